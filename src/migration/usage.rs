//! The columns whose use `key_migration_usage` reports.

use keyspace::migration::condition::Condition;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

use super::state;
use crate::error::or_raise;
use crate::server::extension::Extension;
use crate::server::relation::{existing_relation, with_partitions};

/// The old id columns of a migration, with those of partitions. Declared in sql/migration/key_migration_usage.sql.
///
/// # Errors
/// 22004 for NULL, 42704 if the table is not being migrated, 55000 if the migration has ended.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn key_migration_columns(
    migration: Option<pg_sys::Oid>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<'static, (name!(relation, Option<pg_sys::Oid>), name!(attribute, Option<i16>))> {
    let relation = or_raise(existing_relation(migration, "migration"));
    let extension = or_raise(Extension::of_call(fcinfo));
    let found =
        state::migration_of(extension, relation).and_then(|relation| state::existing(extension, relation));
    match found {
        Ok(migration) => {
            let keys = migration.options.keys.iter().filter_map(|key| Some((key.table, key.column?)));
            // A column that stays can be used on.
            let stays = |of: &(u32, i16)| {
                let condition = migration.options.condition(of.0, of.1);
                condition.is_some_and(Condition::stays)
            };
            let references = migration.references.iter().map(|reference| (reference.table, reference.column));
            let references = references.filter(|of| !stays(of));
            let columns = keys.chain(references);
            let columns = columns.flat_map(|(table, column)| with_partitions(table.into(), column));
            let columns: Vec<_> = columns.collect();
            TableIterator::new(columns.into_iter().map(|(table, column)| (Some(table), Some(column))))
        }
        Err(failure) => failure.raise(),
    }
}
