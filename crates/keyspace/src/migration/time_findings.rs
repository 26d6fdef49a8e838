//! The findings on where keys take their time from.

use super::facts::Column;
use super::finding::Finding;
use super::key_reference;
use super::key_time::{self, TimeState};
use super::scope::{Key, Scope};
use super::time_source::{TimeReference, TimeSource};
use crate::error::{Error, SqlState};
use crate::sql::{qualified, quoted};

/// All of them.
pub(super) fn find(scope: &Scope<'_>) -> Vec<Finding> {
    // A key that refers to another one cannot be migrated by itself, whatever its time is.
    let own = |key: &&Key<'_>| key_reference::parent(scope.facts, key).is_none();
    scope.keys.iter().filter(own).flat_map(|key| of_key(scope, key)).collect()
}

fn of_key(scope: &Scope<'_>, key: &Key<'_>) -> Vec<Finding> {
    let table = key.column.table;
    match &key.time.state {
        TimeState::Undetermined(error) => return vec![Finding::error(table, error.clone())],
        TimeState::Lost(what) => {
            return vec![Finding::warning(
                table,
                what.clone(),
                format!("Rows that have no key yet {} Keys that exist stay as they are.", without_time(key)),
            )];
        }
        TimeState::Known => {}
    }
    match &key.time.source {
        TimeSource::Column { number, .. } => {
            table.column(*number).map(|column| of_column(key, column)).unwrap_or_default()
        }
        TimeSource::Reference(of) => of_reference(scope, key, of),
        TimeSource::Expression { .. } | TimeSource::Constant => Vec::new(),
    }
}

/// The keys of rows without a time.
fn without_time(key: &Key<'_>) -> String {
    format!("get keys with the time 1970-01-01, in {}.", order(key))
}

/// The order of keys that have the same time.
fn order(key: &Key<'_>) -> &'static str {
    if key.column.old_id.is_integer() { "the order of their old ids" } else { "no particular order" }
}

fn of_column(key: &Key<'_>, column: &Column) -> Vec<Finding> {
    let table = key.column.table;
    let name = qualified(&table.schema, &table.name);
    let of = format!("column \"{}\" of table \"{name}\"", column.name);
    let mut found = Vec::new();
    if !column.not_null {
        let part = match column.null_thousandths {
            Some(0) | None => String::new(),
            Some(part) => format!(" (in about {part} of 1000 rows)"),
        };
        found.push(Finding::warning(
            table,
            format!("{of} can be null{part}"),
            format!("Rows whose time is null, infinite, or before 1970 {}", without_time(key)),
        ));
    }
    if let Some(rows) = rows_for_each_time(column) {
        found.push(Finding::warning(
            table,
            format!("{of} has about {rows} rows per distinct time"),
            format!("The keys of such rows are distinct, and in {}.", order(key)),
        ));
    }
    found
}

/// How many rows share a time, if more than one.
fn rows_for_each_time(timestamp: &Column) -> Option<i64> {
    let distinct = timestamp.distinct_thousandths?;
    let rows = distinct.checked_add(2_000)?.checked_div(distinct.checked_mul(2)?)?;
    (rows > 1).then_some(rows)
}

fn of_reference(scope: &Scope<'_>, key: &Key<'_>, of: &TimeReference) -> Vec<Finding> {
    let table = key.column.table;
    let name = qualified(&table.schema, &table.name);
    let mut found = Vec::new();
    if let Some(column) = table.column(of.column).filter(|column| !column.not_null) {
        found.push(Finding::warning(
            table,
            format!("column \"{}\" of table \"{name}\" can be null", column.name),
            format!("Rows that refer to no row with a time {}", without_time(key)),
        ));
    }
    let Some(parent) = key_time::parent(scope.facts, table, of) else { return found };
    if parent.may_read(Some(of.time)) {
        return found;
    }
    let role = quoted(&parent.owner);
    let other = parent.name_sql();
    let message = format!("owner {role} of table \"{name}\" cannot read table \"{other}\"");
    let error = Error::new(SqlState::InsufficientPrivilege, message);
    found.push(Finding::error(
        table,
        if parent.hides_rows {
            error
                .detail("Keys take their time from that table, but its row-level security policies apply to the owner.")
                .hint(format!("ALTER ROLE {role} BYPASSRLS, or give both tables the same owner."))
        } else {
            let mut grants = Vec::new();
            if !parent.may_use_schema {
                grants.push(format!("GRANT USAGE ON SCHEMA {} TO {role}", quoted(&parent.schema)));
            }
            grants.push(format!("GRANT SELECT ON {other} TO {role}"));
            error.detail("Keys take their time from that table.").hint(format!("{}.", grants.join("; ")))
        },
    ));
    found
}
