//! The table that a backfill comes to next, without a plan of all tables.
//!
//! The statements that lead through a backfill call it once for each table, or part of one. Each call
//! would otherwise read the catalogs about all tables, which takes most of the time if there are many.

use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::state::Migration;
use crate::server::settings::with_own_settings;

/// The first table, in the order of the plan, whose backfill is not complete; without `stuck` ones.
pub(super) fn to_fill(migration: &Migration, stuck: impl Fn(u32) -> bool) -> SpiResult<Option<u32>> {
    let is_left = |table: &u32| !migration.options.filled.contains(table) && !stuck(*table);
    let mut keys = migration.options.keys.iter().map(|key| key.table);
    if let Some(table) = keys.find(is_left) {
        return Ok(Some(table));
    }
    let tables = migration.references.iter().map(|reference| reference.table).filter(is_left);
    let tables: Vec<pg_sys::Oid> = tables.map(pg_sys::Oid::from).collect();
    if tables.is_empty() {
        return Ok(None);
    }
    let query = "SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                 WHERE c.oid = ANY ($1) ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\" LIMIT 1";
    let read = || {
        Spi::connect(|client| -> SpiResult<Option<pg_sys::Oid>> {
            let mut rows = client.select(query, Some(1), &[tables.into()])?;
            rows.next().map_or(Ok(None), |row| row.get(1))
        })
    };
    Ok(with_own_settings(read)?.map(pg_sys::Oid::to_u32))
}
