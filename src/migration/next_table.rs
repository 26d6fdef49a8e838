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
    let keys = migration.options.keys.iter().map(|key| key.table);
    for table in keys.filter(is_left) {
        // SAFETY: looks up a catalog by OID.
        let kind = unsafe { pg_sys::get_rel_relkind(pg_sys::Oid::from(table)) } as u8;
        if kind != pg_sys::RELKIND_PARTITIONED_TABLE {
            return Ok(Some(table));
        }
        if let Some(partition) = first(vec![pg_sys::Oid::from(table)], is_left)? {
            return Ok(Some(partition));
        }
    }
    let tables = migration.references.iter().map(|reference| reference.table).filter(is_left);
    let tables: Vec<pg_sys::Oid> = tables.map(pg_sys::Oid::from).collect();
    if tables.is_empty() { Ok(None) } else { first(tables, is_left) }
}

/// The first of these tables, or of their partitions, that is left.
fn first(tables: Vec<pg_sys::Oid>, is_left: impl Fn(&u32) -> bool) -> SpiResult<Option<u32>> {
    // The partitions of a table come level by level, as in the plan.
    let query = "WITH RECURSIVE tree AS ( \
                     SELECT r AS top, r AS relation, 0 AS level FROM unnest($1::oid[]) AS r \
                     UNION ALL \
                     SELECT t.top, i.inhrelid, t.level + 1 FROM tree AS t JOIN pg_class AS p ON p.oid = t.relation AND p.relkind = 'p' \
                     JOIN pg_inherits AS i ON i.inhparent = t.relation) \
                 SELECT c.oid FROM tree AS t JOIN pg_class AS c ON c.oid = t.relation AND c.relkind <> 'p' \
                 JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                 JOIN pg_class AS top ON top.oid = t.top JOIN pg_namespace AS s ON s.oid = top.relnamespace \
                 ORDER BY s.nspname COLLATE \"C\", top.relname COLLATE \"C\", t.level, n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";
    let read = || {
        Spi::connect(|client| -> SpiResult<Option<u32>> {
            for row in client.select(query, None, &[tables.clone().into()])? {
                let table = row.get::<pg_sys::Oid>(1)?.map(pg_sys::Oid::to_u32);
                if let Some(table) = table.filter(|table| is_left(table)) {
                    return Ok(Some(table));
                }
            }
            Ok(None)
        })
    };
    with_own_settings(read)
}
