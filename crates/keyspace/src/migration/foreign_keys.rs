//! The foreign keys on keys, and when they are checked.
//!
//! Of the two foreign keys of a reference, the one on the leading columns is checked when the
//! application expects it. After the cut-over, the other one is checked at the end of the
//! transaction: a violation is then found by the one whose name applications know (fault C21), and
//! rows whose old id is filled late (see [`Scope::waits`]) do not violate it before.
//!
//! With `move_primary_key`, the one on old ids is dropped at the cut-over instead, and a rollback adds
//! it again.

use super::facts::{Facts, ForeignKey, Table};
use super::foreign_key_definition::{Timing, definition, definition_on, is_full, validate_step};
use super::foreign_key_notes;
use super::foreign_keys_of_partitions;
use super::member::Member;
use super::names::{marked, without_mark};
use super::options::Options;
use super::phase::Phase;
use super::primary_key;
use super::properties;
use super::scope::Scope;
use super::step::{Lock, Step};
use crate::sql::{literal, qualified, quoted};

/// Whether a column is part of a foreign key in which all or none of several columns must be NULL.
pub(super) fn is_in_full(scope: &Scope<'_>, member: &Member<'_>) -> bool {
    let columns = [member.old_id.number, member.shadow_number];
    scope.facts.foreign_keys.iter().any(|key| {
        key.child == member.table.oid
            && is_full(key)
            && key.child_columns.iter().any(|column| columns.contains(column))
    })
}

/// The name of the replacement of a foreign key.
pub(super) fn new_name(scope: &Scope<'_>, key: &ForeignKey) -> String {
    scope.options.new_name(&key.name)
}

/// Adds the steps to a plan.
pub(super) fn steps(scope: &Scope<'_>, steps: &mut Vec<Step>) {
    // If a foreign key was dropped, its replacement is not wanted either.
    for (key, child) in scope.orphaned_replacements() {
        let mut drop = Step::new(
            Phase::Validated,
            child,
            format!("drop foreign key \"{}\"", key.name),
            vec![format!(
                "ALTER TABLE {} DROP CONSTRAINT {}",
                qualified(&child.schema, &child.name),
                quoted(&key.name)
            )],
        );
        drop.lock = Some(Lock::AccessExclusive);
        drop.detail = "the foreign key on the old ids has been dropped".to_owned();
        steps.push(drop);
    }
    for (old, replacement) in scope.foreign_keys() {
        let (Some(child), Some(parent)) = (scope.facts.table(old.child), scope.facts.table(old.parent))
        else {
            continue;
        };
        let name = new_name(scope, old);
        // Up to PostgreSQL 17, one of a partitioned table cannot be NOT VALID. It adopts those of its
        // partitions instead, if they are valid.
        if child.is_partitioned() && is_trusted(old) && !old.not_enforced {
            steps.extend(on_partitions(scope, old, replacement, (child, parent)));
            steps.push(add_step(scope, old, (child, parent), child, "", replacement.is_some()));
            continue;
        }
        let validity = if old.not_enforced { " NOT ENFORCED" } else { " NOT VALID" };
        steps.push(add_step(scope, old, (child, parent), child, validity, replacement.is_some()));
        if !is_trusted(old) {
            continue;
        }
        let existing = replacement.map_or(name.as_str(), |replacement| replacement.name.as_str());
        let mut validate = validate_step(scope, Phase::Validated, old, (child, parent), existing);
        validate.done = replacement.is_some_and(|replacement| replacement.validated);
        steps.push(validate);
    }
}

/// Adds a foreign key on keys to the referencing table, or to a partition of it.
fn add_step(
    scope: &Scope<'_>,
    old: &ForeignKey,
    (child, parent): (&Table, &Table),
    of: &Table,
    validity: &str,
    done: bool,
) -> Step {
    let name = new_name(scope, old);
    let statement = format!(
        "ALTER TABLE {} ADD CONSTRAINT {} {}{validity}",
        qualified(&of.schema, &of.name),
        quoted(&name),
        definition(scope, old, child, parent)
    );
    let mut add = Step::new(Phase::Validated, of, format!("add foreign key \"{name}\""), vec![statement]);
    add.lock = Some(Lock::ShareRowExclusive);
    add.done = done;
    add.detail = format!("also locks {}", qualified(&parent.schema, &parent.name));
    if parent.is_partitioned() {
        add.detail.push_str(" with its partitions");
    }
    if of.is_partitioned() {
        add.detail.push_str(", and all partitions; takes over the foreign keys of the partitions");
        // PostgreSQL reads the rows of a partition that has come since the plan was made.
        add.evaluates = true;
    }
    add.other = (parent.oid != of.oid).then_some((parent.oid, Lock::ShareRowExclusive));
    add
}

/// The steps that add a foreign key on keys to each partition, and validate it.
fn on_partitions(
    scope: &Scope<'_>,
    old: &ForeignKey,
    replacement: Option<&ForeignKey>,
    (child, parent): (&Table, &Table),
) -> Vec<Step> {
    let mut steps = Vec::new();
    for partition in scope.partitions_of(child.oid).filter(|partition| !partition.is_partitioned()) {
        let own = scope.part_of_replacement(old, partition);
        let done = replacement.is_some();
        steps.push(add_step(scope, old, (child, parent), partition, " NOT VALID", done || own.is_some()));
        let name = own.map_or_else(|| new_name(scope, old), |own| own.name.clone());
        let mut validate = validate_step(scope, Phase::Validated, old, (partition, parent), &name);
        validate.done = done || own.is_some_and(|own| own.validated);
        steps.push(validate);
    }
    steps
}

/// Whether rows satisfy a foreign key: it is valid, or was until it moved.
pub(super) fn is_trusted(key: &ForeignKey) -> bool {
    key.validated || without_mark(key.comment.as_deref()).is_some()
}

/// Declares references whose foreign keys the query over the catalogs does not count: those that have
/// moved to keys, and those that a rollback has added again and that are not validated yet.
pub fn declare(facts: &mut Facts, options: &Options) {
    let Facts { references, foreign_keys, tables, .. } = facts;
    for reference in references.iter_mut().filter(|reference| !reference.declared) {
        let shadow = options.shadow(reference.table, reference.column).filter(|_| options.cut_over);
        let is_shadow = |table: u32, column: i16| {
            options.shadows.iter().any(|shadow| (shadow.0, shadow.2) == (table, column))
        };
        let of_table = |oid: u32| tables.iter().find(|table| table.oid == oid);
        let is_required = |key: &ForeignKey, column: &i16| {
            of_table(key.child).and_then(|table| table.column(*column)).is_some_and(|column| column.not_null)
        };
        let name = of_table(reference.table).and_then(|table| table.column(reference.column));
        let name = name.map(|column| column.name.as_str());
        // A rollback adds that of a partitioned table to its partitions first.
        let is_part = |key: &ForeignKey| {
            let mut above = of_table(key.child);
            while let Some(table) = above {
                if table.parent == Some(reference.table) {
                    return true;
                }
                above = table.parent.and_then(of_table);
            }
            false
        };
        let is_of_it = |key: &&ForeignKey| key.child == reference.table || is_part(key);
        // It may have no partition left that has it.
        let noted = of_table(reference.table).map(foreign_key_notes::noted).unwrap_or_default();
        reference.declared = foreign_keys.iter().chain(&noted).filter(is_of_it).any(|key| {
            let is_marked = without_mark(key.comment.as_deref()).is_some();
            let is_column = |own: &i16| {
                let column = of_table(key.child).and_then(|table| table.column(*own));
                column.is_some_and(|column| Some(column.name.as_str()) == name)
            };
            let is_about_it = |(own, other): (&i16, &i16)| {
                (is_column(own) && is_marked)
                    || (Some(*own) == shadow && key.validated && is_shadow(key.parent, *other))
            };
            let own = key.child_columns.iter().zip(&key.parent_columns).find(|pair| is_about_it(*pair));
            // One on several columns says nothing about rows in which another one is NULL.
            let is_total = |own: &i16| {
                key.matching == "f"
                    || key.child_columns.iter().all(|column| column == own || is_required(key, column))
            };
            own.is_some_and(|(own, _)| is_total(own))
        });
    }
}

/// Whether a foreign key on old ids moves to keys at the cut-over: the primary keys of all keys that it
/// is about do.
pub(super) fn moves(scope: &Scope<'_>, old: &ForeignKey) -> bool {
    let members = old.child_columns.iter().filter_map(|column| scope.member(old.child, *column));
    let mut tables = members.filter_map(|member| scope.facts.table(member.key)).peekable();
    tables.peek().is_some() && tables.all(|table| primary_key::moves(scope, table))
}

/// The statements that drop the foreign keys on old ids which move at the cut-over.
pub(super) fn drop_old(scope: &Scope<'_>) -> Vec<String> {
    let moved = pairs(scope).into_iter().filter(|(old, ..)| moves(scope, old));
    moved.map(|(old, _, table)| drop(&table, &old.name)).collect()
}

/// The statements that drop the foreign keys on keys which a rollback moves back to old ids. They
/// depend on the index of the primary key on keys.
pub(super) fn drop_moved(scope: &Scope<'_>) -> Vec<String> {
    let moved = scope.moved_foreign_keys().into_iter();
    moved
        .filter_map(|key| {
            let child = scope.facts.table(key.child)?;
            Some(drop(&qualified(&child.schema, &child.name), &key.name))
        })
        .collect()
}

/// The statements that add them to old ids again, once the columns have their names and the primary
/// keys are back. Writers have kept old ids right, so this is only validated later: here it would read
/// the tables under their locks.
pub(super) fn add_again(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for key in scope.moved_foreign_keys() {
        let (Some(child), Some(parent)) = (scope.facts.table(key.child), scope.facts.table(key.parent))
        else {
            continue;
        };
        let (of, name) = (qualified(&child.schema, &child.name), quoted(&key.name));
        let columns = |table: &Table, columns: &[i16]| scope.rolled_back_columns(table, columns);
        let definition = definition_on(key, child, parent, columns, Timing::of(key));
        if child.is_partitioned() && key.validated && !key.not_enforced {
            statements.extend(foreign_keys_of_partitions::add_again(scope, child, key, &definition));
            continue;
        }
        let validity = if key.not_enforced { "NOT ENFORCED" } else { "NOT VALID" };
        statements.push(format!("ALTER TABLE {of} ADD CONSTRAINT {name} {definition} {validity}"));
        let comment = if key.validated && !key.not_enforced {
            Some(marked(key.comment.as_deref()))
        } else {
            key.comment.clone()
        };
        statements.extend(comment.map(|comment| properties::comment_on_constraint(&of, &key.name, &comment)));
    }
    statements
}

/// The steps that validate the foreign keys which a rollback has added again.
pub(super) fn unsettled(scope: &Scope<'_>, phase: Phase) -> Vec<Step> {
    let mut steps = Vec::new();
    for (key, _) in scope.foreign_keys() {
        let (Some(child), Some(parent)) = (scope.facts.table(key.child), scope.facts.table(key.parent))
        else {
            continue;
        };
        let Some(unmark) = unmarked(child, key).filter(|_| !key.not_enforced) else { continue };
        let mut step = validate_step(scope, phase, key, (child, parent), &key.name);
        step.statements.push(unmark);
        steps.push(step);
    }
    steps.extend(foreign_keys_of_partitions::unsettled(scope, phase));
    steps
}

/// The statement that takes its mark from a foreign key that has not been validated; `None` if it has
/// none.
fn unmarked(child: &Table, key: &ForeignKey) -> Option<String> {
    let comment = without_mark(key.comment.as_deref())?;
    let comment = if comment.is_empty() { "NULL".to_owned() } else { literal(comment) };
    let of = qualified(&child.schema, &child.name);
    Some(format!("COMMENT ON CONSTRAINT {} ON {of} IS {comment}", quoted(&key.name)))
}

/// The statements that take the marks from all foreign keys, at the removal of a migration. They stay
/// as they are.
pub(super) fn remove(scope: &Scope<'_>) -> Vec<String> {
    let keys = scope.foreign_keys().into_iter().map(|(key, _)| key);
    let keys = keys.chain(foreign_key_notes::marked_keys(scope.facts));
    keys.filter_map(|key| unmarked(scope.facts.table(key.child)?, key)).collect()
}

fn drop(table: &str, name: &str) -> String {
    format!("ALTER TABLE {table} DROP CONSTRAINT {}", quoted(name))
}

/// The statements after which the foreign keys on keys are checked when the application expects
/// it. `swapped` is whether names are.
pub(super) fn cut_over(scope: &Scope<'_>, swapped: bool) -> Vec<String> {
    let mut statements = Vec::new();
    for (old, new, table) in pairs(scope) {
        let (old_name, new_name) = if swapped {
            (scope.options.old_name(&old.name), old.name.clone())
        } else {
            (old.name.clone(), new.name.clone())
        };
        if !old.not_enforced {
            statements.extend(alter(&table, &new_name, Timing::of(new), Timing::of(old)));
        }
        if moves(scope, old) {
            let comment = old.comment.as_ref().filter(|_| new.comment.is_none());
            statements
                .extend(comment.map(|comment| properties::comment_on_constraint(&table, &new_name, comment)));
        } else if !old.not_enforced {
            statements.extend(alter(&table, &old_name, Timing::of(old), Timing::Deferred));
        }
    }
    statements
}

/// The statements that undo this, once the names are as they were.
pub(super) fn roll_back(scope: &Scope<'_>, swapped: bool) -> Vec<String> {
    let mut statements = Vec::new();
    for (old, new, table) in pairs(scope).into_iter().filter(|(old, ..)| !old.not_enforced) {
        let (old_name, new_name) = if swapped {
            (new.name.clone(), scope.options.new_name(&new.name))
        } else {
            (old.name.clone(), new.name.clone())
        };
        // The one on keys has had the timing of the other one since.
        statements.extend(alter(&table, &old_name, Timing::of(old), Timing::of(new)));
        statements.extend(alter(&table, &new_name, Timing::of(new), Timing::before_cut_over(new)));
    }
    statements
}

/// The foreign keys on old ids and on keys, each with the table that refers.
fn pairs<'a>(scope: &Scope<'a>) -> Vec<(&'a ForeignKey, &'a ForeignKey, String)> {
    let pair = |(old, new): (&'a ForeignKey, Option<&'a ForeignKey>)| {
        let child = scope.facts.table(old.child)?;
        Some((old, new?, qualified(&child.schema, &child.name)))
    };
    scope.foreign_keys().into_iter().filter_map(pair).collect()
}

fn alter(table: &str, name: &str, now: Timing, then: Timing) -> Option<String> {
    (now != then).then(|| format!("ALTER TABLE {table} ALTER CONSTRAINT {} {}", quoted(name), then.sql()))
}
