//! Foreign keys of partitioned tables that a rollback adds again.
//!
//! Up to PostgreSQL 17, a partitioned table cannot have one that is NOT VALID, and a valid one reads the
//! rows under the locks of the rollback. So each partition gets one that is not valid, with a mark in its
//! comment. Once they are valid, one partition after the other, that of the table takes them over.

use super::facts::{ForeignKey, Table};
use super::foreign_key_definition::{own_definition, validate_step};
use super::names::{marked, without_mark};
use super::phase::Phase;
use super::properties;
use super::scope::Scope;
use super::step::{Lock, Step};
use crate::sql::{qualified, quoted};

/// The statements of the rollback for one foreign key.
pub(super) fn add_again(scope: &Scope<'_>, top: &Table, key: &ForeignKey, definition: &str) -> Vec<String> {
    let partitions = scope.with_rows(top);
    let add = |table: &Table, name: &str, validity: &str| {
        let of = qualified(&table.schema, &table.name);
        format!("ALTER TABLE {of} ADD CONSTRAINT {} {definition}{validity}", quoted(name))
    };
    if partitions.is_empty() {
        let comment = key.comment.as_deref();
        let of = qualified(&top.schema, &top.name);
        let comment = comment.map(|text| properties::comment_on_constraint(&of, &key.name, text));
        return std::iter::once(add(top, &key.name, "")).chain(comment).collect();
    }
    let mut statements = Vec::new();
    for partition in partitions {
        let part = key.parts.iter().find(|part| part.table == partition.oid);
        let name = part.map_or(key.name.as_str(), |part| part.name.as_str());
        statements.push(add(partition, name, " NOT VALID"));
        let of = qualified(&partition.schema, &partition.name);
        let comment = marked(key.comment.as_deref());
        statements.push(properties::comment_on_constraint(&of, name, &comment));
    }
    statements
}

/// The foreign keys of partitions that a rollback has added, and that are not yet one of their table.
pub(super) fn marked_keys<'a>(scope: &Scope<'a>) -> impl Iterator<Item = &'a ForeignKey> {
    let facts = scope.facts;
    facts.foreign_keys.iter().filter(move |key| {
        without_mark(key.comment.as_deref()).is_some()
            && facts.table(key.child).is_some_and(|child| child.parent.is_some())
    })
}

/// The steps that validate them, and that make them one of their table.
pub(super) fn unsettled(scope: &Scope<'_>, phase: Phase) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut left: Vec<&ForeignKey> = marked_keys(scope).collect();
    while let Some(first) = left.first().copied() {
        let (same, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|key| is_same(scope, key, first));
        left = others;
        let Some(parent) = scope.facts.table(first.parent) else { continue };
        for key in &same {
            let Some(partition) = scope.facts.table(key.child) else { continue };
            let mut validate = validate_step(scope, phase, key, (partition, parent), &key.name);
            validate.done = key.validated;
            steps.push(validate);
        }
        steps.extend(take_over(scope, phase, &same, parent));
    }
    steps
}

/// Whether two partitions have the same foreign key.
fn is_same(scope: &Scope<'_>, one: &ForeignKey, other: &ForeignKey) -> bool {
    let names = |key: &ForeignKey| -> Vec<&str> {
        let Some(table) = scope.facts.table(key.child) else { return Vec::new() };
        let columns = key.child_columns.iter().filter_map(|column| table.column(*column));
        columns.map(|column| column.name.as_str()).collect()
    };
    scope.facts.top_of(one.child) == scope.facts.top_of(other.child)
        && (one.parent, &one.parent_columns) == (other.parent, &other.parent_columns)
        && names(one) == names(other)
}

/// The step that adds the foreign key to the partitioned table.
fn take_over(scope: &Scope<'_>, phase: Phase, keys: &[&ForeignKey], parent: &Table) -> Option<Step> {
    // The name of most of them: that of one partition can have been taken.
    let count = |name: &str| keys.iter().filter(|key| key.name == name).count();
    let key = keys.iter().rev().max_by_key(|key| count(&key.name))?;
    let (partition, top) = (scope.facts.table(key.child)?, scope.facts.top_of(key.child));
    let top = scope.facts.table(top)?;
    let of = qualified(&top.schema, &top.name);
    let definition = own_definition(scope, key, partition, parent);
    let mut statements = vec![format!("ALTER TABLE {of} ADD CONSTRAINT {} {definition}", quoted(&key.name))];
    if let Some(comment) = without_mark(key.comment.as_deref()).filter(|comment| !comment.is_empty()) {
        statements.push(properties::comment_on_constraint(&of, &key.name, comment));
    }
    // Those of partitions have no comments of their own.
    for key in keys {
        let Some(partition) = scope.facts.table(key.child) else { continue };
        let of = qualified(&partition.schema, &partition.name);
        statements.push(format!("COMMENT ON CONSTRAINT {} ON {of} IS NULL", quoted(&key.name)));
    }
    let mut step = Step::new(phase, top, format!("add foreign key \"{}\"", key.name), statements);
    step.lock = Some(Lock::ShareRowExclusive);
    step.other = Some((parent.oid, Lock::ShareRowExclusive));
    step.detail = format!(
        "also locks {}, and all partitions; takes over the foreign keys of the partitions",
        qualified(&parent.schema, &parent.name)
    );
    Some(step)
}
