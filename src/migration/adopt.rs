//! `key_migration_adopt`: continues a migration in a copy of the database in which it began.
//!
//! Our tables hold the migration under the server and the database that they were copied from. The
//! copy has the same tables with the same OIDs, so the triggers go on filling their columns.

use keyspace::migration::{Scope, live_triggers};
use keyspace::{Error, SqlState};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::plan;
use super::rights::check_is_owner;
use super::state::{self, COLUMN, KEY, MARK, MIGRATION, Migration, STEP, TABLE};
use crate::error::{notify, or_raise};
use crate::server::extension::Extension;
use crate::server::failure::{Failure, or_fail};
use crate::server::names::qualified_name;
use crate::server::relation::{existing_relation, relation_name, relation_owner};
use crate::server::settings::with_own_settings;
use crate::server::subtransaction::attempt;
use crate::server::tables::Table;
use crate::server::transaction::check_transaction;

/// A migration that is stored for another server or database.
struct Other {
    system_identifier: i64,
    database: pg_sys::Oid,
}

/// Continues the migration of a table in this database. Declared in
/// sql/migration/key_migration_create.sql.
///
/// # Errors
/// 42501 if the caller owns neither the database nor the tables; 55000 if the migration is known
/// here already, if none is stored, or if the triggers are not those of the stored one.
#[pg_extern(sql = false)]
fn key_migration_adopt(migration: Option<pg_sys::Oid>, fcinfo: pg_sys::FunctionCallInfo) {
    let relation = or_raise(existing_relation(migration, "migration"));
    if let Err(failure) = adopt(or_raise(Extension::of_call(fcinfo)), relation) {
        failure.raise();
    }
}

fn adopt(extension: Extension, relation: pg_sys::Oid) -> Result<(), Failure> {
    check_transaction(c"key_migration_adopt()")?;
    state::check_may_write()?;
    let own = state::load(extension, state::migration_of(extension, relation)?)?;
    if own.is_some_and(|migration| !migration.is_finalized) {
        let message = format!("the key migration of table {} is already known here", relation_name(relation));
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("There is nothing to adopt.")
            .into());
    }
    let Some(root) = state::root_elsewhere(extension, relation)? else {
        return Err(none(relation).into());
    };
    let others = others(extension, root)?;
    let mut first = None;
    for other in &others {
        match attempt(|| or_fail(take_over(extension, root, other))) {
            Ok(migration) => {
                let phase = plan::phase(&migration, &migration.plan(extension)?.1);
                notify(format!(
                    "the key migration of table {} continues here; it is {}",
                    relation_name(root),
                    phase.name()
                ));
                return Ok(());
            }
            Err(error) if error.is_cancellation() => error.rethrow(),
            Err(error) => first = first.or(Some(error)),
        }
    }
    match first {
        Some(error) => error.rethrow(),
        None => Err(none(relation).into()),
    }
}

/// The error if there is nothing to adopt.
fn none(relation: pg_sys::Oid) -> Error {
    let message = format!(
        "no key migration of table {} is stored for another server or database",
        relation_name(relation)
    );
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("A copy of the data directory and a copy by CREATE DATABASE ... TEMPLATE contain it. A dump does not.")
        .hint(live_triggers::after_restore())
}

/// The servers and databases for which a migration is stored; those that have come furthest first.
fn others(extension: Extension, root: pg_sys::Oid) -> SpiResult<Vec<Other>> {
    let query = "SELECT m.system_identifier, m.database FROM {} AS m \
         WHERE m.relation = $3 AND NOT ({own}) AND m.finalized_at IS NULL \
         ORDER BY m.cut_over_at DESC NULLS LAST, m.verified_at DESC NULLS LAST, m.created_at DESC";
    state::select(query, MIGRATION, extension, &state::arguments(root, []), |rows| {
        rows.map(|row| {
            let (system_identifier, database) = (row.get::<i64>(1)?, row.get::<pg_sys::Oid>(2)?);
            Ok(Other {
                system_identifier: system_identifier.unwrap_or(0),
                database: database.unwrap_or(pg_sys::InvalidOid),
            })
        })
        .collect()
    })
}

/// Copies the rows of a migration for this database, and checks that its triggers are here.
fn take_over(extension: Extension, root: pg_sys::Oid, other: &Other) -> Result<Migration, Failure> {
    // What is left of an earlier migration that has ended.
    state::remove(extension, root)?;
    for (table, column) in [
        (MIGRATION, "relation"),
        (KEY, "migration"),
        (COLUMN, "migration"),
        (TABLE, "migration"),
        (STEP, "migration"),
        (MARK, "migration"),
    ] {
        copy(extension, table, column, root, other)?;
    }
    let reset = "UPDATE {} SET pid = NULL, tries = 0, last_error = NULL WHERE {own} AND relation = $3";
    state::write(reset, MIGRATION, extension, root, [])?;
    let migration = state::existing(extension, root)?;
    let facts = migration.facts(extension)?;
    // Columns that are gone are those of a migration that has ended.
    let scope = Scope::new(&facts, &migration.options).map_err(|_| {
        live_triggers::mismatch(&with_own_settings(|| qualified_name(root)).unwrap_or_default())
    })?;
    for table in scope.tables_and_partitions() {
        let table = pg_sys::Oid::from(table.oid);
        check_is_owner(table, relation_owner(table))?;
    }
    live_triggers::check(&scope)?;
    Ok(migration)
}

/// Copies the rows of one of our tables, with all of its columns.
fn copy(
    extension: Extension,
    table: Table,
    column: &str,
    root: pg_sys::Oid,
    other: &Other,
) -> Result<(), Failure> {
    let columns = columns(table.oid(extension)?)?;
    let list = columns.join(", ");
    let values: Vec<String> = columns.iter().map(|name| format!("o.{name}")).collect();
    let statement = format!(
        "INSERT INTO {{}} (system_identifier, database, {list}) SELECT $1, $2, {} FROM {{}} AS o \
         WHERE o.system_identifier = $4 AND o.database = $5 AND o.{column} = $3 ON CONFLICT DO NOTHING",
        values.join(", ")
    );
    let others: [DatumWithOid<'_>; 2] = [other.system_identifier.into(), other.database.into()];
    state::write(&statement, table, extension, root, others)?;
    Ok(())
}

/// The columns of one of our tables, without those that say whose rows they are.
fn columns(table: pg_sys::Oid) -> SpiResult<Vec<String>> {
    let query = "SELECT quote_ident(a.attname) FROM pg_attribute AS a \
         WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' \
           AND a.attname <> ALL (ARRAY['system_identifier', 'database']::name[]) ORDER BY a.attnum";
    with_own_settings(|| {
        Spi::connect(|client| {
            let rows = client.select(query, None, &[table.into()])?;
            rows.map(|row| Ok(row.get::<String>(1)?.unwrap_or_default())).collect()
        })
    })
}
