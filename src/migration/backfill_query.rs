//! The backfill's writes by queries, so that the triggers of users fire.

use keyspace::migration::backfill::{self as rows, Range};
use keyspace::migration::facts::Table;
use keyspace::migration::member::Member;
use keyspace::migration::old_id::{IdKind, OldId};
use keyspace::migration::scope::Scope;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::backfill_page::{Filled, Place};
use super::old_id;
use super::referenced::{self, may_be_joined};
use super::writer::unless_too_long;
use crate::encoding::to_server;
use crate::server::failure::Failure;

/// Gives keys to rows of these pages. `is_unlocked` says whether to skip rows that other sessions have
/// locked. If a key does not fit into a row, all other rows still get theirs.
pub(super) fn fill(
    scope: &Scope<'_>,
    table: &Table,
    range: Range,
    is_unlocked: bool,
    key_type: pg_sys::Oid,
) -> Result<Filled, Failure> {
    let filled = unless_too_long(|| {
        let condition = range.condition();
        let given = given(scope, table, &condition, key_type)?;
        let statement = if is_unlocked {
            rows::unlocked_statement(scope, table, range, &given.columns)
        } else {
            rows::statement(scope, table, &condition, &given.columns)
        };
        run(&statement, given)
    });
    match filled {
        Some(rows) => Ok(Filled { rows: rows?, ..Filled::default() }),
        None => fill_apart(scope, table, range, key_type),
    }
}

/// The same, row by row.
fn fill_apart(
    scope: &Scope<'_>,
    table: &Table,
    range: Range,
    key_type: pg_sys::Oid,
) -> Result<Filled, Failure> {
    let mut filled = Filled::default();
    for (place, old_id) in lacking(scope, table, range)? {
        pgrx::check_for_interrupts!();
        let done = unless_too_long(|| {
            let condition =
                format!("t.ctid OPERATOR(pg_catalog.=) '({},{})'::pg_catalog.tid", place.0, place.1);
            let given = given(scope, table, &condition, key_type)?;
            run(&rows::statement(scope, table, &condition, &given.columns), given)
        });
        match done {
            Some(rows) => filled.rows += rows?,
            None => filled.wide.push((place, old_id)),
        }
    }
    Ok(filled)
}

/// The rows of these pages that lack a key, each with its first old id, if it is not NULL.
fn lacking(scope: &Scope<'_>, table: &Table, range: Range) -> Result<Vec<(Place, Option<OldId>)>, Failure> {
    let kind = scope.members_of(table.oid).next().map_or(IdKind::Integer, kind);
    let query = to_server(&rows::lacking(scope, table, &range.condition()));
    Ok(Spi::connect(|client| -> SpiResult<Vec<(Place, Option<OldId>)>> {
        let mut found = Vec::new();
        for row in client.select(query.as_c_str(), None, &[])? {
            let page = row.get::<i64>(1)?.and_then(|page| u32::try_from(page).ok());
            let offset = row.get::<i64>(2)?.and_then(|offset| u16::try_from(offset).ok());
            if let Some(place) = page.zip(offset) {
                found.push((place, old_id::from_query(&row, 3, kind)?));
            }
        }
        Ok(found)
    })?)
}

/// Keys that are parameters of a statement, because the table that they are in must not be part of the
/// same query.
struct Given {
    /// The columns of old ids.
    columns: Vec<i16>,
    /// Each as a JSON object.
    keys: Vec<String>,
}

fn given(scope: &Scope<'_>, table: &Table, condition: &str, key_type: pg_sys::Oid) -> Result<Given, Failure> {
    let mut given = Given { columns: Vec::new(), keys: Vec::new() };
    let referring = scope.members_of(table.oid).filter(|member| !member.is_key && !scope.keeps_values());
    for member in referring.filter(|member| !may_be_joined(scope, member)) {
        let query = to_server(&rows::old_ids(member, condition));
        let old_ids: Vec<OldId> = Spi::connect(|client| -> SpiResult<Vec<Option<OldId>>> {
            let rows = client.select(query.as_c_str(), None, &[])?;
            rows.map(|row| old_id::from_query(&row, 1, kind(member))).collect()
        })?
        .into_iter()
        .flatten()
        .collect();
        given.columns.push(member.old_id.number);
        given.keys.push(referenced::keys(scope, member, key_type, &old_ids)?);
    }
    Ok(given)
}

fn kind(member: &Member<'_>) -> IdKind {
    member.id_kind().unwrap_or(IdKind::Integer)
}

fn run(statement: &str, given: Given) -> Result<usize, Failure> {
    let statement = to_server(statement);
    let keys: Vec<_> = given.keys.into_iter().map(Into::into).collect();
    Ok(Spi::connect_mut(|client| -> SpiResult<usize> {
        Ok(client.update(statement.as_c_str(), None, &keys)?.len())
    })?)
}
