//! The argument `trust_position`: sequences of which rows beyond the position do not count, since
//! the sequence has not generated them. They are stored in the table `interleaved_trusted`.

use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::sequences::own::tables;
use crate::sequences::read::selection::Selection;
use crate::server::extension::Extension;
use crate::server::role::owns_database;
use crate::server::tables::own_key;

/// The sequences that earlier set-ups have trusted.
pub(crate) fn stored(extension: Extension) -> SpiResult<Vec<pg_sys::Oid>> {
    let query = "SELECT t.sequence FROM {} AS t \
                 WHERE t.system_identifier OPERATOR(pg_catalog.=) $1 AND t.database OPERATOR(pg_catalog.=) $2";
    let (system_identifier, database) = own_key();
    tables::TRUSTED.select(query, extension, &[system_identifier.into(), database.into()], |rows| {
        rows.map(|row| row.get(1)).filter_map(SpiResult::transpose).collect()
    })
}

/// Stores the sequences that a call trusts, if the caller may, so that a check, a split, a reset
/// and later set-ups trust them, too. An empty array takes all back.
pub(crate) fn keep(extension: Extension, selection: &Selection) -> SpiResult<()> {
    if !owns_database() {
        return Ok(());
    }
    let Some(given) = selection.given_trust()? else { return Ok(()) };
    let known = stored(extension)?;
    if given.is_empty() {
        return forget(extension, &known);
    }
    let new: Vec<pg_sys::Oid> = given.into_iter().filter(|sequence| !known.contains(sequence)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let statement = "INSERT INTO {} (system_identifier, database, sequence) \
                     SELECT $1, $2, t.sequence FROM pg_catalog.unnest($3) AS t (sequence)";
    let (system_identifier, database) = own_key();
    let arguments = [system_identifier.into(), database.into(), new.into()];
    tables::TRUSTED.write(statement, extension, &arguments).map(|_| ())
}

/// Trusts some sequences no longer.
pub(crate) fn forget(extension: Extension, sequences: &[pg_sys::Oid]) -> SpiResult<()> {
    if sequences.is_empty() {
        return Ok(());
    }
    let statement = "DELETE FROM {} WHERE system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2 \
                       AND sequence OPERATOR(pg_catalog.=) ANY ($3)";
    let (system_identifier, database) = own_key();
    let arguments = [system_identifier.into(), database.into(), sequences.to_vec().into()];
    tables::TRUSTED.write(statement, extension, &arguments).map(|_| ())
}

/// Forgets dropped sequences, whose OIDs others can get.
pub(crate) fn prune(extension: Extension) -> SpiResult<()> {
    let statement = "DELETE FROM {} AS t WHERE t.system_identifier OPERATOR(pg_catalog.=) $1 \
           AND t.database OPERATOR(pg_catalog.=) $2 \
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) t.sequence)";
    let (system_identifier, database) = own_key();
    tables::TRUSTED.write(statement, extension, &[system_identifier.into(), database.into()]).map(|_| ())
}
