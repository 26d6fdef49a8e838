//! The limits of a migration at which its backfill waits, as they are stored.

use std::ffi::CString;
use std::time::Duration;

use keyspace::migration::throttle::Limits;
use pgrx::pg_sys;
use pgrx::spi::{SpiHeapTupleData, SpiResult};

/// The limits of a migration, as they are stored.
#[derive(Clone, Default)]
pub(super) struct Stored {
    pub(super) limits: Limits,
    /// The user's query, and the role that has set it.
    pub(super) query: Option<(CString, pg_sys::Oid)>,
}

impl Stored {
    /// The columns that hold them.
    pub(super) const COLUMNS: &str = "(extract(epoch FROM m.max_standby_lag) * 1000)::bigint, m.max_slot_wal, \
        m.max_archive_files::bigint, m.max_wal_rate, m.min_free_disk, m.max_overdue_tables::bigint, \
        convert_to(m.throttle_query, getdatabaseencoding()::text), m.throttle_role";

    /// Reads them from columns that follow others.
    pub(super) fn read(row: &SpiHeapTupleData<'_>, after: usize) -> SpiResult<Self> {
        let number = |at: usize| row.get::<i64>(after + at);
        let milliseconds = number(1)?.map(|lag| Duration::from_millis(u64::try_from(lag).unwrap_or(0)));
        // In the server's encoding, as the query is run.
        let query = row.get::<Vec<u8>>(after + 7)?.and_then(|text| CString::new(text).ok());
        let query = query.zip(row.get::<pg_sys::Oid>(after + 8)?);
        let limits = Limits {
            standby_lag: milliseconds,
            slot_wal: number(2)?,
            archive_files: number(3)?,
            wal_rate: number(4)?,
            free_disk: number(5)?,
            overdue_tables: number(6)?,
            has_query: query.is_some(),
        };
        Ok(Self { limits, query })
    }
}
