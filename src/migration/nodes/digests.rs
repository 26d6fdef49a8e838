//! `key_migration_digests`: the rows of this node for a comparison on another one.

use keyspace::migration::Scope;
use keyspace::migration::nodes::digests::{Digests, PARTS};
use keyspace::migration::nodes::{Form, Refusal};
use keyspace::{Error, SqlState};
use pgrx::AnyElement;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use super::own_state::present_agreement;
use super::read_rows;
use super::stored::Nodes;
use crate::encoding::{ServerJson, from_utf8};
use crate::error::or_raise;
use crate::migration::state::{self, Migration};
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::{existing_relation, relation_name};

/// The digests of all tables, or the rows of some parts of one. Declared in
/// sql/migration/key_migration_nodes.sql.
///
/// # Errors
/// 22004, 22023 for parts that cannot be; 42501 if the caller does not own the database or may not read
/// the tables; 42704, 55000 if there is no such migration, or if the tables are not prepared.
#[pg_extern(sql = false)]
fn key_migration_digests(
    migration: Option<pg_sys::Oid>,
    table_name: Option<pg_sys::Oid>,
    parts: Option<Vec<Option<i32>>>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> ServerJson {
    let relation = or_raise(existing_relation(migration, "migration"));
    match read(or_raise(Extension::of_call(fcinfo)), relation, table_name, parts) {
        Ok(json) => ServerJson(json),
        Err(failure) => failure.raise(),
    }
}

fn read(
    extension: Extension,
    relation: pg_sys::Oid,
    table: Option<pg_sys::Oid>,
    parts: Option<Vec<Option<i32>>>,
) -> Result<String, Failure> {
    let (migration, nodes) = prepared(extension, relation)?;
    let facts = migration.facts(extension)?;
    let scope = Scope::new(&facts, &migration.options)?;
    let tables = match (table, parts) {
        (None, None) => scope
            .tables()
            .into_iter()
            .map(|table| read_rows::digests(&scope, table))
            .collect::<Result<_, _>>()?,
        (table, parts) => {
            let table = existing_relation(table, "table_name")?;
            let parts = checked(required(parts, "parts")?)?;
            let found = scope.tables().into_iter().find(|one| one.oid == table.to_u32());
            let found = found.ok_or_else(|| {
                let message = format!("table {} is not part of the key migration", relation_name(table));
                Error::new(SqlState::InvalidParameterValue, message)
            })?;
            vec![read_rows::rows(&scope, found, &parts)?]
        }
    };
    let agreement = match nodes.agreement {
        Some(agreement) => agreement,
        None => present_agreement(extension, &migration)?,
    };
    Ok(Digests::new(nodes.node, agreement, tables).to_json())
}

/// The parts.
///
/// # Errors
/// 22004, 22023.
fn checked(parts: Vec<Option<i32>>) -> Result<Vec<u32>, Error> {
    let mut found = Vec::new();
    for part in parts {
        let part = required(part, "an element of parts")?;
        let number = u32::try_from(part).ok().filter(|part| *part < PARTS);
        found.push(number.ok_or_else(|| {
            let message = format!("a part must be between 0 and {}, not {part}", PARTS - 1);
            Error::new(SqlState::InvalidParameterValue, message)
        })?);
    }
    if found.is_empty() {
        let error = Error::new(SqlState::InvalidParameterValue, "parts must not be empty");
        return Err(error.hint("Name the parts that key_migration_compare() returns on the other node."));
    }
    Ok(found)
}

/// A migration on several nodes whose tables are prepared and not cut over.
///
/// # Errors
/// 42501 if the caller does not own the database; 42704 if there is no such migration; 55000 if it is
/// one of this node alone, or if its tables are in another form.
pub(super) fn prepared(extension: Extension, relation: pg_sys::Oid) -> Result<(Migration, Nodes), Failure> {
    state::check_may_write()?;
    let migration = state::existing(extension, state::migration_of(extension, relation)?)?;
    let nodes = Nodes::read(extension, migration.relation, &migration.options.nodes)?
        .ok_or_else(|| super::steps::of_one_node(migration.relation))?;
    if nodes.progress.form != Form::OldIds {
        let refusal = Refusal::NotNext { from: nodes.progress.form };
        return Err(refusal.error(nodes.node, keyspace::migration::nodes::NodeStep::Compare).into());
    }
    Ok((migration, nodes))
}

/// Reads the argument of a function that takes digests.
///
/// # Errors
/// 22004, 22023 if it is NULL or none.
pub(super) fn from_argument(digests: Option<AnyElement>) -> Result<Digests, Failure> {
    let digests = required(digests, "digests")?;
    // SAFETY: the functions are declared with an argument of type jsonb, which lives as long as the call.
    let argument = unsafe { DatumWithOid::new(digests.datum(), pg_sys::JSONBOID) };
    let query = "SELECT pg_catalog.convert_to($1::pg_catalog.text, 'UTF8')";
    let document =
        Spi::connect(|client| client.select(query, Some(1), &[argument])?.first().get_one::<Vec<u8>>())?;
    Ok(Digests::from_json(&from_utf8(document.unwrap_or_default()))?)
}
