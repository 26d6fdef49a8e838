//! Reads what the limits of a migration are about. The pure crate decides.

use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use keyspace::migration::throttle::{History, Named, Reading, Readings, Standby};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiResult, SpiTupleTable};

use super::state::{self, MIGRATION, Pace};
use crate::encoding::{ServerText, from_utf8};
use crate::server::as_owner::as_owner;
use crate::server::caught::Caught;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::settings::{self, with_own_settings};
use crate::server::subtransaction::attempt;

/// How often limits are checked.
const INTERVAL: Duration = Duration::from_millis(100);
/// How often the limits are checked that take longer: archive, disk, autovacuum, the user's query.
const SLOW_INTERVAL: Duration = Duration::from_secs(1);
/// How often a reason that changes is stored.
const STORE_INTERVAL: Duration = Duration::from_secs(5);

/// The name of a role that may read the statistics of others.
const READER: &str = "pg_read_all_stats";

/// The throttle of a procedure.
pub(super) struct Throttle {
    began: Instant,
    history: History,
    checked_at: Option<Instant>,
    slow_at: Option<Instant>,
    /// What was read last.
    readings: Readings,
    /// The limit that the last check has found exceeded.
    is_waiting: bool,
    /// The limit that is stored as the reason, and since when.
    stored: Option<(&'static str, Instant)>,
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            history: History::default(),
            checked_at: None,
            slow_at: None,
            readings: Readings::default(),
            is_waiting: false,
            stored: None,
        }
    }

    /// Whether the backfill of a table has to wait. It stores why.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(super) fn waits(
        &mut self,
        extension: Extension,
        relation: pg_sys::Oid,
        pace: &Pace,
        table: pg_sys::Oid,
    ) -> Result<bool, Failure> {
        let limits = &pace.throttle.limits;
        if limits.is_empty() {
            self.is_waiting = false;
            self.store(extension, relation, None)?;
            return Ok(false);
        }
        if self.checked_at.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(self.is_waiting);
        }
        self.read(pace, table);
        self.checked_at = Some(Instant::now());
        let reason = self.history.reason(limits, &self.readings);
        self.is_waiting = reason.is_some();
        self.store(extension, relation, reason.map(|reason| (reason.limit, reason.text())))?;
        Ok(self.is_waiting)
    }

    /// Stores a reason, if it is another one, or if it is time.
    fn store(
        &mut self,
        extension: Extension,
        relation: pg_sys::Oid,
        reason: Option<(&'static str, String)>,
    ) -> Result<(), Failure> {
        let is_stored = match (&reason, self.stored) {
            (None, None) => true,
            (Some((limit, _)), Some((stored, at))) => *limit == stored && at.elapsed() < STORE_INTERVAL,
            _ => false,
        };
        if is_stored {
            return Ok(());
        }
        self.stored = reason.as_ref().map(|(limit, _)| (*limit, Instant::now()));
        let text = reason.map(|(_, text)| ServerText(text));
        let statement = "UPDATE {} SET throttled_by = $4 WHERE {own} AND relation = $3";
        state::write(statement, MIGRATION, extension, relation, [text.into()])?;
        Ok(())
    }

    fn read(&mut self, pace: &Pace, table: pg_sys::Oid) {
        let limits = &pace.throttle.limits;
        self.readings.at = self.began.elapsed();
        self.readings.written = number(WRITTEN, &[]).unwrap_or(self.readings.written);
        if limits.standby_lag.is_some() {
            self.readings.standbys = as_reader("pg_stat_replication", standbys);
        }
        if limits.slot_wal.is_some() {
            self.readings.slots = slots();
        }
        if self.slow_at.is_some_and(|at| at.elapsed() < SLOW_INTERVAL) {
            return;
        }
        self.slow_at = Some(Instant::now());
        if limits.archive_files.is_some() {
            self.readings.archive_files = number(ARCHIVE_FILES, &[]);
        }
        if limits.free_disk.is_some() {
            self.readings.disks = disks(table);
        }
        if limits.overdue_tables.is_some() {
            self.readings.overdue_tables = number(OVERDUE_TABLES, &[]);
        }
        if let Some((query, role)) = &pace.throttle.query {
            self.readings.query = answer(query, *role, pace);
        }
    }
}

/// Not the position at which the next record begins: no standby replays up to there if it is behind the
/// header of a page.
const WRITTEN: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint";
const ARCHIVE_FILES: &str = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'";
/// Tables with twice the number of dead rows at which autovacuum is due.
const OVERDUE_TABLES: &str = "SELECT count(*) FROM pg_stat_all_tables AS s JOIN pg_class AS c ON c.oid = s.relid \
    CROSS JOIN LATERAL ( \
        SELECT max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_threshold') AS threshold, \
               max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_scale_factor') AS factor \
        FROM pg_options_to_table(c.reloptions) AS o) AS own \
    WHERE s.n_dead_tup > 2 * (coalesce(own.threshold, current_setting('autovacuum_vacuum_threshold'))::float8 \
        + coalesce(own.factor, current_setting('autovacuum_vacuum_scale_factor'))::float8 * greatest(c.reltuples, 0))";
const STANDBYS: &str = "SELECT convert_to(application_name, 'UTF8'), pg_wal_lsn_diff(replay_lsn, '0/0')::bigint, \
    (extract(epoch FROM replay_lag) * 1000)::bigint \
    FROM pg_stat_replication WHERE state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL";
const SLOTS: &str = "SELECT convert_to(slot_name::text, 'UTF8'), \
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint \
    FROM pg_replication_slots WHERE restart_lsn IS NOT NULL";

/// Runs a query of ours as the caller. An error is the reason why nothing was read.
fn query<T>(
    text: &str,
    arguments: &[DatumWithOid<'_>],
    read: impl FnOnce(SpiTupleTable<'_>) -> SpiResult<T>,
) -> Reading<T> {
    let run = || with_own_settings(|| Spi::connect(|client| read(client.select(text, None, arguments)?)));
    match attempt(run) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("cannot be checked: {error}")),
        Err(error) => Err(unreadable(error)),
    }
}

/// Why something could not be read. A cancellation is raised again.
fn unreadable(error: Box<Caught>) -> String {
    if error.is_cancellation() {
        error.rethrow();
    }
    format!("cannot be checked: {}", error.message())
}

fn number(text: &str, arguments: &[DatumWithOid<'_>]) -> Reading<i64> {
    query(text, arguments, |rows| Ok(rows.first().get::<i64>(1)?.unwrap_or(0)))
}

/// Reads a view in which a role without privileges sees NULL.
fn as_reader<T>(view: &str, read: impl FnOnce() -> Reading<T>) -> Reading<T> {
    let may = "SELECT pg_has_role($1::name, 'USAGE')::integer::bigint";
    match number(may, &[READER.into()])? {
        1 => read(),
        _ => Err(format!("cannot be checked: no privilege to read {view} (GRANT {READER})")),
    }
}

fn standbys() -> Reading<Vec<Standby>> {
    query(STANDBYS, &[], |rows| {
        let mut found = Vec::new();
        for row in rows {
            found.push(Standby {
                name: from_utf8(row.get::<Vec<u8>>(1)?.unwrap_or_default()),
                replayed: row.get::<i64>(2)?.unwrap_or(0),
                reported: Duration::from_millis(u64::try_from(row.get::<i64>(3)?.unwrap_or(0)).unwrap_or(0)),
            });
        }
        Ok(found)
    })
}

fn slots() -> Reading<Vec<Named>> {
    query(SLOTS, &[], |rows| {
        let mut found = Vec::new();
        for row in rows {
            let name = from_utf8(row.get::<Vec<u8>>(1)?.unwrap_or_default());
            found.push(Named { name, value: row.get::<i64>(2)?.unwrap_or(0) });
        }
        Ok(found)
    })
}

/// The file systems of the data directory, of WAL, and of a table.
fn disks(table: pg_sys::Oid) -> Reading<Vec<Named>> {
    // SAFETY: looks up a catalog by OID.
    let tablespace = unsafe { pg_sys::get_rel_tablespace(table) };
    let mut paths =
        vec![("the data directory", c".".to_owned()), ("the directory of WAL", c"pg_wal".to_owned())];
    if tablespace != pg_sys::InvalidOid
        && let Ok(path) = CString::new(format!("pg_tblspc/{}", tablespace.to_u32()))
    {
        paths.push(("the tablespace", path));
    }
    paths.into_iter().map(|(name, path)| Ok(Named { name: name.to_owned(), value: free(&path)? })).collect()
}

/// The bytes that are free where a path leads to. Paths are relative to the data directory, which is
/// the working directory of every process of the server.
fn free(path: &CStr) -> Reading<i64> {
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path is NUL-terminated, and the result is written before it is read.
    let found = unsafe {
        if libc::statvfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
            return Err(format!("cannot be checked: {}", std::io::Error::last_os_error()));
        }
        found.assume_init()
    };
    let bytes = u128::from(found.f_bavail) * u128::from(found.f_frsize);
    Ok(i64::try_from(bytes).unwrap_or(i64::MAX))
}

/// The answer of the user's query. It runs as the role that has set it, whoever runs the migration,
/// and cannot change anything itself.
fn answer(query: &CStr, role: pg_sys::Oid, pace: &Pace) -> Reading<bool> {
    // SAFETY: looks up the role; the name is a copy, or null.
    if unsafe { pg_sys::GetUserNameFromId(role, true) }.is_null() {
        return Err("the role that has set the query no longer exists".to_owned());
    }
    let timeout = pace.timeout();
    let run = || {
        settings::with(&[(c"lock_timeout", timeout.as_c_str())], || {
            as_owner(role, || Spi::connect(|_| first_value(query)))
        })
    };
    attempt(run).unwrap_or_else(|error| Err(unreadable(error)))
}

/// The first value of a query, which must be a boolean. NULL and no row count as false.
fn first_value(query: &CStr) -> Reading<bool> {
    // SAFETY: within SPI; the result is that of this query, and its descriptor has the column.
    unsafe {
        let done = pg_sys::SPI_execute(query.as_ptr(), true, 1);
        if done != pg_sys::SPI_OK_SELECT as i32 || pg_sys::SPI_tuptable.is_null() {
            return Err("the query returns no rows of its own".to_owned());
        }
        let of = (*pg_sys::SPI_tuptable).tupdesc;
        if (*of).natts != 1 || pg_sys::SPI_gettypeid(of, 1) != pg_sys::BOOLOID {
            return Err("the query does not return a boolean".to_owned());
        }
        if pg_sys::SPI_processed == 0 {
            return Ok(false);
        }
        let row = *(*pg_sys::SPI_tuptable).vals;
        let mut is_null = false;
        let value = pg_sys::SPI_getbinval(row, of, 1, &mut is_null);
        Ok(!is_null && value.value() != 0)
    }
}
