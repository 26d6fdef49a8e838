//! `key_migration_compare`: compares the rows of this node with those of the first one. The gate for
//! the cut-over: it stores that the keys are the same, once that is certain of all parts.

use keyspace::migration::Scope;
use keyspace::migration::facts::Table;
use keyspace::migration::nodes::NodeStep;
use keyspace::migration::nodes::differences::{self, Difference, Unequal};
use keyspace::migration::nodes::digests::{Digests, TableDigests};
use keyspace::{Error, SqlState};
use pgrx::AnyElement;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

use super::digests::{from_argument, prepared};
use super::own_state::own_state;
use super::read_rows;
use super::steps;
use super::stored::Nodes;
use crate::encoding::ServerText;
use crate::error::or_raise;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::{existing_relation, relation_name};
use crate::server::transaction::check_transaction;

/// Compares, and stores whether keys may still differ. Declared in sql/migration/key_migration_nodes.sql.
///
/// # Errors
/// 22004, 22023 for anything that is not the digests of the first node; 42501 if the caller does not own
/// the database or may not read the tables; 42704, 55000 if there is no such migration, or if nodes are
/// not ready to be compared.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn key_migration_compare(
    migration: Option<pg_sys::Oid>,
    digests: Option<AnyElement>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(table_name, Option<pg_sys::Oid>),
        name!(part, Option<i32>),
        name!(row_id, Option<ServerText>),
        name!(finding, Option<&'static str>),
    ),
> {
    let relation = or_raise(existing_relation(migration, "migration"));
    match compare(or_raise(Extension::of_call(fcinfo)), relation, digests) {
        Ok(found) => TableIterator::new(found.into_iter().map(|(table, difference)| {
            let part = i32::try_from(difference.part).ok();
            (Some(table), part, difference.id.map(ServerText), Some(difference.kind.name()))
        })),
        Err(failure) => failure.raise(),
    }
}

fn compare(
    extension: Extension,
    relation: pg_sys::Oid,
    digests: Option<AnyElement>,
) -> Result<Vec<(pg_sys::Oid, Difference)>, Failure> {
    check_transaction(c"key_migration_compare()")?;
    let (migration, mut nodes) = prepared(extension, relation)?;
    let there = from_argument(digests)?;
    let own = own_state(extension, &migration, &nodes)?;
    check_origin(&nodes, &own.agreement, &there)?;
    steps::allow(extension, &migration, NodeStep::Compare)?;
    let facts = migration.facts(extension)?;
    let scope = Scope::new(&facts, &migration.options)?;
    let is_about_rows = there.tables.iter().any(|table| !table.rows.is_empty());
    if !is_about_rows {
        nodes.unequal = Some(Unequal::default());
    }
    let mut unequal = nodes.unequal.take().ok_or_else(nothing_before)?;
    let mut found = Vec::new();
    for table in scope.tables() {
        let Some(there) = there.table(&table.schema, &table.name) else {
            if is_about_rows {
                continue;
            }
            return Err(missing(table, &there).into());
        };
        let differences = if is_about_rows {
            of_rows(&scope, table, there, &mut unequal)?
        } else {
            of_parts(&scope, table, there, &mut unequal)?
        };
        found.extend(differences.into_iter().map(|one| (pg_sys::Oid::from(table.oid), one)));
    }
    let is_equal = unequal.is_empty();
    nodes.unequal = Some(unequal);
    nodes.store_unequal(extension)?;
    if is_equal && !nodes.progress.compared {
        steps::taken(extension, &migration, NodeStep::Compare)?;
        notice!("the keys of table {} are those of node {}", relation_name(migration.relation), there.node);
    }
    Ok(found)
}

fn of_parts(
    scope: &Scope<'_>,
    table: &Table,
    there: &TableDigests,
    unequal: &mut Unequal,
) -> Result<Vec<Difference>, Failure> {
    let found = differences::of_parts(&read_rows::digests(scope, table)?, there);
    // Those of references are compared with the keys that they refer to, on each node.
    if read_rows::has_key(scope, table) {
        unequal.add(there, &found);
    }
    Ok(found)
}

fn of_rows(
    scope: &Scope<'_>,
    table: &Table,
    there: &TableDigests,
    unequal: &mut Unequal,
) -> Result<Vec<Difference>, Failure> {
    let parts: Vec<u32> = there.rows.keys().copied().collect();
    let found = differences::of_rows(&read_rows::rows(scope, table, &parts)?, there);
    unequal.compared(there, &found);
    Ok(found)
}

/// Refuses digests that are not those of the first node of this migration.
///
/// # Errors
/// 22023.
pub(super) fn check_origin(nodes: &Nodes, agreement: &str, there: &Digests) -> Result<(), Error> {
    let first = nodes.nodes.first().copied().unwrap_or_default();
    let invalid = |message: String| Error::new(SqlState::InvalidParameterValue, message);
    if nodes.node == first {
        return Err(invalid(format!("node {first} is the one that others are compared with"))
            .hint("Compare the rows on the other nodes, with the digests of this one."));
    }
    if there.node != first {
        return Err(invalid(format!("the digests are of node {}, not of node {first}", there.node))
            .hint(format!("Pass the result of key_migration_digests() of node {first}.")));
    }
    if there.agreement != agreement {
        return Err(invalid(format!("node {first} would give rows other keys than this node"))
            .detail("The columns, the source of the time or the type of the keys differ.")
            .hint("Create the migration with the same arguments everywhere."));
    }
    Ok(())
}

/// The error for rows without a comparison of digests before.
fn nothing_before() -> Failure {
    Error::new(SqlState::ObjectNotInPrerequisiteState, "no digests have been compared before these rows")
        .hint("Compare the digests of all tables first: those that key_migration_digests() returns without further arguments.")
        .into()
}

fn missing(table: &Table, there: &Digests) -> Error {
    let name = keyspace::sql::qualified(&table.schema, &table.name);
    let message =
        format!("the digests of node {} lack table {}", there.node, keyspace::sql::in_message(&name));
    Error::new(SqlState::InvalidParameterValue, message)
        .hint("Pass those that key_migration_digests() returns without further arguments, or with parts.")
}
