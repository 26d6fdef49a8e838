//! The foreign keys on keys, and when they are checked.
//!
//! Of the two foreign keys of a reference, the one on the leading columns is checked when the
//! application expects it. After the cut-over, the other one is checked at the end of the
//! transaction: a violation is then found by the one whose name applications know (fault C21), and
//! rows whose old id is filled late (see [`Scope::waits`]) do not violate it before.

use super::facts::{ForeignKey, Table};
use super::phase::Phase;
use super::scope::{Member, Scope};
use super::step::{Lock, Step};
use crate::sql::{qualified, quoted};

/// When a foreign key is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Timing {
    NotDeferrable,
    Immediate,
    Deferred,
}

impl Timing {
    const fn of(key: &ForeignKey) -> Self {
        match (key.deferrable, key.deferred) {
            (false, _) => Self::NotDeferrable,
            (true, false) => Self::Immediate,
            (true, true) => Self::Deferred,
        }
    }

    const fn sql(self) -> &'static str {
        match self {
            Self::NotDeferrable => "NOT DEFERRABLE",
            Self::Immediate => "DEFERRABLE INITIALLY IMMEDIATE",
            Self::Deferred => "DEFERRABLE INITIALLY DEFERRED",
        }
    }

    /// That of the foreign key on keys before the cut-over. If all or none of its columns must be
    /// NULL, it has to wait for keys that are filled late.
    fn before_cut_over(old: &ForeignKey) -> Self {
        if is_full(old) { Self::Deferred } else { Self::of(old) }
    }
}

/// Whether all or none of several columns must be NULL.
fn is_full(key: &ForeignKey) -> bool {
    key.matching == "f" && key.child_columns.len() > 1
}

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
        let child_name = qualified(&child.schema, &child.name);
        let validity = if old.not_enforced { "NOT ENFORCED" } else { "NOT VALID" };
        let mut add = Step::new(
            Phase::Validated,
            child,
            format!("add foreign key \"{name}\""),
            vec![format!(
                "ALTER TABLE {child_name} ADD CONSTRAINT {} {} {validity}",
                quoted(&name),
                definition(scope, old, child, parent)
            )],
        );
        add.lock = Some(Lock::ShareRowExclusive);
        add.done = replacement.is_some();
        add.detail = format!("also locks {}", qualified(&parent.schema, &parent.name));
        let other = |lock: Lock| (parent.oid != child.oid).then_some((parent.oid, lock));
        add.other = other(Lock::ShareRowExclusive);
        steps.push(add);
        if !old.validated {
            continue;
        }
        let existing = replacement.map_or(name.as_str(), |replacement| replacement.name.as_str());
        let mut validate = Step::new(
            Phase::Validated,
            child,
            format!("validate foreign key \"{existing}\""),
            vec![format!("ALTER TABLE {child_name} VALIDATE CONSTRAINT {}", quoted(existing))],
        );
        validate.lock = Some(Lock::ShareUpdateExclusive);
        validate.rows = child.rows;
        validate.evaluates = true;
        // No index can be added to another owner's table while a query over both is planned.
        let is_stranger = scope.facts.strangers.iter().any(|stranger| stranger.is(old));
        validate.other = other(if is_stranger { Lock::ShareUpdateExclusive } else { Lock::AccessShare });
        validate.done = replacement.is_some_and(|replacement| replacement.validated);
        steps.push(validate);
    }
}

fn definition(scope: &Scope<'_>, key: &ForeignKey, child: &Table, parent: &Table) -> String {
    let columns = |table: &Table, columns: &[i16]| {
        let mapped = scope.mapped(table.oid, columns);
        mapped.iter().map(|column| scope.column_sql(table, *column)).collect::<Vec<_>>().join(", ")
    };
    let mut sql = format!(
        "FOREIGN KEY ({}) REFERENCES {} ({})",
        columns(child, &key.child_columns),
        qualified(&parent.schema, &parent.name),
        columns(parent, &key.parent_columns)
    );
    if key.matching == "f" {
        sql.push_str(" MATCH FULL");
    }
    for (event, action) in [("UPDATE", &key.on_update), ("DELETE", &key.on_delete)] {
        let action = match action.as_str() {
            "r" => "RESTRICT",
            "c" => "CASCADE",
            "n" => "SET NULL",
            "d" => "SET DEFAULT",
            _ => continue,
        };
        sql.push_str(&format!(" ON {event} {action}"));
        if event == "DELETE" && !key.set_columns.is_empty() {
            sql.push_str(&format!(" ({})", columns(child, &key.set_columns)));
        }
    }
    match Timing::before_cut_over(key) {
        Timing::NotDeferrable => {}
        timing => sql.push_str(&format!(" {}", timing.sql())),
    }
    sql
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
        statements.extend(alter(&table, &new_name, Timing::of(new), Timing::of(old)));
        statements.extend(alter(&table, &old_name, Timing::of(old), Timing::Deferred));
    }
    statements
}

/// The statements that undo this, once the names are as they were.
pub(super) fn roll_back(scope: &Scope<'_>, swapped: bool) -> Vec<String> {
    let mut statements = Vec::new();
    for (old, new, table) in pairs(scope) {
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

fn pairs<'a>(scope: &Scope<'a>) -> Vec<(&'a ForeignKey, &'a ForeignKey, String)> {
    let pair = |(old, new): (&'a ForeignKey, Option<&'a ForeignKey>)| {
        let child = scope.facts.table(old.child)?;
        let new = new.filter(|_| !old.not_enforced)?;
        Some((old, new, qualified(&child.schema, &child.name)))
    };
    scope.foreign_keys().into_iter().filter_map(pair).collect()
}

fn alter(table: &str, name: &str, now: Timing, then: Timing) -> Option<String> {
    (now != then).then(|| format!("ALTER TABLE {table} ALTER CONSTRAINT {} {}", quoted(name), then.sql()))
}
