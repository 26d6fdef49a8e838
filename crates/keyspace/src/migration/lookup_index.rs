//! The column by which the row of an old id is looked up, and its index. It may be dropped before the
//! cut-over, if it is not that of the primary key.

use super::finding::{Finding, list};
use super::key_column::{is_in, is_unique_alone};
use super::member::Member;
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, quoted};

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for key in scope.keys.iter().map(|key| &key.column).filter(|_| !scope.options.cut_over) {
        // `partitioned_key` says what it needs.
        if key.table.is_partitioned() {
            continue;
        }
        found.extend(next_to_primary_key(key));
        if is_unique_alone(key.table, key.old_id.number) {
            continue;
        }
        let (table, column) = (key.table_sql(), &key.old_id.name);
        let message =
            format!("no index keeps column \"{column}\" of table {} unique by itself", in_message(&table));
        let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("References are looked up by it. Until there is such an index, rows that refer to the table cannot be inserted.")
            .hint(format!("Run CREATE UNIQUE INDEX CONCURRENTLY ON {table} ({}).", quoted(column)));
        found.push(Finding::error(key.table, error));
    }
}

/// The finding on a key whose column is no part of the primary key.
fn next_to_primary_key(key: &Member<'_>) -> Option<Finding> {
    let primary = key.table.primary_key().filter(|primary| !is_in(primary, key.old_id.number))?;
    let (name, column) = (key.table_sql(), &key.old_id.name);
    let of_primary = primary.keys.iter().filter_map(|part| key.table.column(part.column));
    let names: Vec<String> = of_primary.map(|column| column.name.clone()).collect();
    Some(Finding::warning(
        key.table,
        format!(
            "the key of table {} is column \"{column}\", because most foreign keys refer to it",
            in_message(&name)
        ),
        format!("The primary key stays as it is, on {}.", list(&names)),
    ))
}
