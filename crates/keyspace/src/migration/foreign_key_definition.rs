//! The definition of a foreign key on keys, and the step that validates one.

use super::facts::{ForeignKey, Table};
use super::phase::Phase;
use super::scope::Scope;
use super::step::{Lock, Step};
use crate::sql::{qualified, quoted};

/// When a foreign key is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Timing {
    NotDeferrable,
    Immediate,
    Deferred,
}

impl Timing {
    pub(super) const fn of(key: &ForeignKey) -> Self {
        match (key.deferrable, key.deferred) {
            (false, _) => Self::NotDeferrable,
            (true, false) => Self::Immediate,
            (true, true) => Self::Deferred,
        }
    }

    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::NotDeferrable => "NOT DEFERRABLE",
            Self::Immediate => "DEFERRABLE INITIALLY IMMEDIATE",
            Self::Deferred => "DEFERRABLE INITIALLY DEFERRED",
        }
    }

    /// That of the foreign key on keys before the cut-over. If all or none of its columns must be
    /// NULL, it has to wait for keys that are filled late.
    pub(super) fn before_cut_over(old: &ForeignKey) -> Self {
        if is_full(old) { Self::Deferred } else { Self::of(old) }
    }
}

/// Whether all or none of several columns must be NULL.
pub(super) fn is_full(key: &ForeignKey) -> bool {
    key.matching == "f" && key.child_columns.len() > 1
}

/// The definition of a foreign key on the columns of keys.
pub(super) fn definition(scope: &Scope<'_>, key: &ForeignKey, child: &Table, parent: &Table) -> String {
    let columns = |table: &Table, columns: &[i16]| {
        let mapped = scope.mapped(table.oid, columns);
        mapped.iter().map(|column| scope.column_sql(table, *column)).collect::<Vec<_>>().join(", ")
    };
    definition_on(key, child, parent, columns, Timing::before_cut_over(key))
}

/// The definition of a foreign key on the columns that it has.
pub(super) fn own_definition(scope: &Scope<'_>, key: &ForeignKey, child: &Table, parent: &Table) -> String {
    let columns = |table: &Table, columns: &[i16]| {
        columns.iter().map(|column| scope.column_sql(table, *column)).collect::<Vec<_>>().join(", ")
    };
    definition_on(key, child, parent, columns, Timing::of(key))
}

/// The definition of a foreign key on other columns, whose names `columns` gives.
pub(super) fn definition_on(
    key: &ForeignKey,
    child: &Table,
    parent: &Table,
    columns: impl Fn(&Table, &[i16]) -> String,
    timing: Timing,
) -> String {
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
    match timing {
        Timing::NotDeferrable => {}
        timing => sql.push_str(&format!(" {}", timing.sql())),
    }
    sql
}

/// The step that validates a foreign key which is not valid.
pub(super) fn validate_step(
    scope: &Scope<'_>,
    phase: Phase,
    old: &ForeignKey,
    (child, parent): (&Table, &Table),
    name: &str,
) -> Step {
    let statement =
        format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", qualified(&child.schema, &child.name), quoted(name));
    let mut validate = Step::new(phase, child, format!("validate foreign key \"{name}\""), vec![statement]);
    validate.lock = Some(Lock::ShareUpdateExclusive);
    validate.rows = child.rows;
    validate.evaluates = true;
    // No index can be added to another owner's table while a query over both is planned.
    let is_stranger = scope.facts.strangers.iter().any(|stranger| stranger.is(old));
    let lock = if is_stranger { Lock::ShareUpdateExclusive } else { Lock::AccessShare };
    validate.other = (parent.oid != child.oid).then_some((parent.oid, lock));
    validate
}
