//! Findings about what new columns, indexes and constraints cannot take over by themselves.

use super::facts::{ForeignKey, Table};
use super::finding::Finding;
use super::member::Member;
use super::properties::{self, DefaultOf};
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// An index that cannot exist on keys.
pub(super) fn index_refused(table: &Table, error: Error) -> Finding {
    Finding::error(table, error)
}

/// All findings.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    if scope.options.cut_over {
        return;
    }
    for table in scope.tables() {
        primary_key(scope, table, found);
    }
    for member in &scope.members {
        if !scope.keeps_values() && !member.stays() {
            default(member, found);
        }
        waiting_in_key(scope, member, found);
    }
    for part in scope.parts_with_own_default().filter(|part| !scope.keeps_values() && !part.stays()) {
        default(part, found);
    }
    for (key, _) in scope.foreign_keys() {
        period(scope, key, found);
    }
}

fn primary_key(scope: &Scope<'_>, table: &Table, found: &mut Vec<Finding>) {
    let Some(index) = scope.indexes(table).find(|index| {
        index.is_primary && index.constraint.as_ref().is_some_and(|constraint| constraint.deferrable)
    }) else {
        return;
    };
    found.push(Finding::warning(
        table,
        format!("primary key \"{}\" of table {} is deferrable", index.name, in_message(&qualified(&table.schema, &table.name))),
        "PostgreSQL has no way to use an existing index for it. key_migration_finalize() builds the index of the new primary key while it holds ACCESS EXCLUSIVE locks on all tables of the migration.",
    ));
}

fn default(member: &Member<'_>, found: &mut Vec<Finding>) {
    if member.is_key {
        return;
    }
    let (table, column) = (member.table_sql(), &member.old_id.name);
    let of = format!("column \"{column}\" of table {}", in_message(&table));
    match properties::default_of(member.old_id) {
        DefaultOf::Null | DefaultOf::Row(_) => {}
        DefaultOf::Computed => {
            found.push(Finding::warning(
                member.table,
                format!("the default of {of} is computed"),
                format!(
                    "Until the migration is finalized, rows that are inserted without a value, or with NULL, get the key of the row that it refers to. Before you finalize it, run ALTER TABLE {table} ALTER COLUMN {} SET DEFAULT with an expression that gives keys, or ALTER TABLE {table} ALTER COLUMN {} DROP DEFAULT.",
                    quoted(column), quoted(column)
                ),
            ));
        }
    }
}

/// A reference in a primary key cannot be NULL, so that its old id cannot come later.
fn waiting_in_key(scope: &Scope<'_>, member: &Member<'_>, found: &mut Vec<Finding>) {
    let number = member.old_id.number;
    let is_in_key = member
        .table
        .indexes
        .iter()
        .any(|index| (index.is_primary || index.is_replica_identity) && index.has_column(number));
    if !member.is_key && is_in_key && scope.waits(member) {
        found.push(Finding::warning(
            member.table,
            format!(
                "column \"{}\" of table {} has a deferrable foreign key and is part of the primary key or the replica identity", member.old_id.name, in_message(&member.table_sql())),
            "Between the cut-over and the end of the migration, a row must be inserted after the row that it refers to.",
        ));
    }
}

fn period(scope: &Scope<'_>, key: &ForeignKey, found: &mut Vec<Finding>) {
    let Some(child) = scope.facts.table(key.child).filter(|_| key.has_period) else { return };
    let name = qualified(&child.schema, &child.name);
    let message = format!("foreign key \"{}\" of table {} compares periods", key.name, in_message(&name));
    let error = Error::new(SqlState::FeatureNotSupported, message)
        .detail("The primary key that it refers to is one without overlaps, whose index cannot be built concurrently.")
        .hint(format!("Run ALTER TABLE {name} DROP CONSTRAINT {} first.", quoted(&key.name)));
    found.push(Finding::error(child, error));
}
