//! Keys that are references themselves, as the tables of subclasses and of details have them
//! (`invoices.id` refers to `documents.id`). Their values are those of the other key.

use super::facts::{Facts, TimeParent};
use super::finding::Finding;
use super::scope::{Key, Scope};
use super::time_source::TimeSource;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, qualified};

/// The other table that the key of a table refers to. Known only until the migration is created:
/// afterwards, the parents are those that keys take their time from.
pub(super) fn parent<'a>(facts: &'a Facts, key: &Key<'_>) -> Option<&'a TimeParent> {
    if matches!(key.options.time, Some(TimeSource::Reference(_))) {
        return None;
    }
    let (table, column) = (key.column.table.oid, key.column.old_id.number);
    facts
        .time_parents
        .iter()
        .find(|parent| (parent.child, parent.column) == (table, column) && parent.parent != table)
}

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for key in &scope.keys {
        let Some(parent) = parent(scope.facts, key) else { continue };
        let (table, other) = (key.column.table, parent.name_sql());
        let name = qualified(&table.schema, &table.name);
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!("the key of table {} refers to table {}", in_message(&name), in_message(&other)),
        )
        .detail("Its values are keys of that table, so its rows cannot get keys of their own.")
        .hint(format!(
            "Migrate the key of the other table, which includes this one: SELECT key_migration_create({}). Or drop the foreign key before.",
            literal(&other)
        ));
        found.push(Finding::error(table, error));
    }
}
