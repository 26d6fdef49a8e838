//! Records of other servers and databases that came with a copy: sequences have the same OIDs here.

use std::collections::HashMap;

use keyspace::sequences::{Elsewhere, Sequence};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::sequences::own::tables;
use crate::server::extension::Extension;
use crate::server::tables::own_key;

/// The increments before the set-ups, by the OID of the sequence and the increment that the set-ups
/// gave it. `None` where two records differ.
#[derive(Debug, Default)]
pub(crate) struct CopiedRecords(HashMap<(u32, i64), Option<i64>>);

impl CopiedRecords {
    /// Reads the records of all other servers and databases.
    pub(crate) fn read(extension: Extension) -> SpiResult<Self> {
        let query = "SELECT DISTINCT s.sequence, s.increment, s.former_increment FROM {} AS s \
                     WHERE NOT (s.system_identifier OPERATOR(pg_catalog.=) $1 AND s.database OPERATOR(pg_catalog.=) $2)";
        let (system_identifier, database) = own_key();
        tables::SEQUENCE.select(query, extension, &[system_identifier.into(), database.into()], |rows| {
            let mut copied = HashMap::new();
            for row in rows {
                let sequence: Option<pg_sys::Oid> = row.get(1)?;
                let increments = row.get::<i64>(2)?.zip(row.get::<i64>(3)?);
                if let Some((sequence, (increment, former))) = sequence.zip(increments) {
                    let known = copied.entry((sequence.to_u32(), increment)).or_insert(Some(former));
                    *known = known.filter(|known| *known == former);
                }
            }
            Ok(Self(copied))
        })
    }

    /// Adds to a sequence without a record of its own what the record of its origin says of its
    /// increment. This is all that is known about other nodes then.
    pub(crate) fn with_origin(&self, oid: pg_sys::Oid, sequence: Sequence) -> Sequence {
        let former = self.0.get(&(oid.to_u32(), sequence.increment)).copied().flatten();
        let former = former.filter(|_| sequence.former.is_none());
        let origin = former.map(|former| Elsewhere::origin(sequence.increment, former));
        Sequence { elsewhere: origin.into_iter().collect(), ..sequence }
    }
}
