//! The argument `trust_position`: sequences whose position is trusted. The nearest row ahead of it,
//! and all rows beyond that, do not count, since the sequence has not generated them. They are
//! stored in the table `interleaved_trusted`.

use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::sequences::own::tables;
use crate::server::extension::Extension;
use crate::server::role::owns_database;
use crate::server::tables::own_key;

/// A sequence whose position is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trusted {
    pub(crate) sequence: pg_sys::Oid,
    /// The nearest of the rows that do not count; `None` if it has to be looked up.
    pub(crate) rows_from: Option<i64>,
}

/// The sequences that earlier set-ups have trusted.
pub(crate) fn stored(extension: Extension) -> SpiResult<Vec<Trusted>> {
    let query = "SELECT t.sequence, t.rows_from FROM {} AS t \
                 WHERE t.system_identifier OPERATOR(pg_catalog.=) $1 AND t.database OPERATOR(pg_catalog.=) $2";
    let (system_identifier, database) = own_key();
    tables::TRUSTED.select(query, extension, &[system_identifier.into(), database.into()], |rows| {
        let mut stored = Vec::new();
        for row in rows {
            if let Some(sequence) = row.get(1)? {
                stored.push(Trusted { sequence, rows_from: row.get(2)? });
            }
        }
        Ok(stored)
    })
}

/// Stores the sequences that a call trusts, if the caller may, so that a check, a split, a reset
/// and later set-ups trust them, too.
pub(crate) fn keep(extension: Extension, trusted: &[Trusted]) -> SpiResult<()> {
    let known = stored(extension)?;
    let new = || trusted.iter().filter(|trusted| !known.contains(trusted));
    let sequences: Vec<pg_sys::Oid> = new().map(|trusted| trusted.sequence).collect();
    if sequences.is_empty() || !owns_database() {
        return Ok(());
    }
    let rows_from: Vec<Option<i64>> = new().map(|trusted| trusted.rows_from).collect();
    let statement = "INSERT INTO {} (system_identifier, database, sequence, rows_from) \
         SELECT $1, $2, t.sequence, t.rows_from \
         FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4)) AS t (sequence, rows_from) \
         ON CONFLICT (system_identifier, database, sequence) DO UPDATE SET rows_from = EXCLUDED.rows_from";
    let (system_identifier, database) = own_key();
    let arguments = [system_identifier.into(), database.into(), sequences.into(), rows_from.into()];
    tables::TRUSTED.write(statement, extension, &arguments).map(|_| ())
}

/// Trusts no sequence any longer, if the caller may say so.
pub(crate) fn forget_all(extension: Extension) -> SpiResult<()> {
    if !owns_database() {
        return Ok(());
    }
    tables::TRUSTED.forget_all(extension)
}
