//! Checks over old ids that mean the same for keys: those that only compare them with NULL and with
//! each other. At the cut-over they move to the columns of keys, and a rollback moves them back.
//!
//! A check that has moved is not valid, because validating it reads the table. Its comment says so
//! until that is done, whatever interrupts the procedure.

use super::expression::{Operators, Replaced, rewritten};
use super::facts::{Check, Table};
use super::member::Member;
use super::names::{marked, without_mark};
use super::phase::Phase;
use super::required;
use super::scope::Scope;
use super::step::{Lock, Step};
use crate::sql::{literal, qualified, quoted};

/// What the columns of a member are called once the names are as they should be.
pub(super) struct Names {
    /// The column of old ids.
    pub(super) old: String,
    /// The column of keys.
    pub(super) key: String,
}

/// Whether a check moves with the columns of old ids. If not, it stays with them, and has to be
/// dropped before the end.
pub(super) fn moves(scope: &Scope<'_>, table: &Table, check: &Check) -> bool {
    !scope.options.cut_over && to_keys(scope, table, check, |_| None).is_some()
}

/// The checks that do not move with those of the partitioned table.
fn own(table: &Table) -> impl Iterator<Item = &Check> {
    table.checks.iter().filter(|check| !check.is_inherited || table.parent.is_none())
}

/// The expression of a check on keys.
fn to_keys(
    scope: &Scope<'_>,
    table: &Table,
    check: &Check,
    name: impl Fn(i16) -> Option<String>,
) -> Option<String> {
    let uses = |column: i16| check.columns.contains(&column);
    let mut members = scope.members_of(table.oid).filter(|member| uses(member.old_id.number)).peekable();
    members.peek()?;
    // Rows that refer to nothing have no key. It would be violated by rows that it permits.
    let lacks = |member: &Member<'_>| !member.is_key && !member.declared && !scope.keeps_values();
    if !check.validated || uses(0) || members.any(lacks) {
        return None;
    }
    let replaced = scope.replaced(scope.members_of(table.oid), |member| {
        name(member.old_id.number).unwrap_or_else(|| member.shadow_name.clone())
    });
    of(check, &replaced, scope.operators())
}

/// The expression, if each of the columns that it uses was replaced.
fn of(check: &Check, replaced: &[Replaced], operators: Operators<'_>) -> Option<String> {
    let new = rewritten(&check.expression, replaced, operators)?;
    (!new.columns.is_empty()).then_some(new.text)
}

/// The statements that move the checks of a table to keys. `names` gives the names that columns have
/// then, by the number of the old column.
pub(super) fn cut_over(
    scope: &Scope<'_>,
    table: &Table,
    names: impl Fn(i16) -> Option<Names>,
) -> Vec<String> {
    let checks = own(table).filter(|check| !required::is_ours(scope, table, check));
    let moved = checks.filter_map(|check| {
        let expression = to_keys(scope, table, check, |old| names(old).map(|names| names.key))?;
        Some(moved(table, check, &expression))
    });
    moved.flatten().collect()
}

/// The statements that move them back.
pub(super) fn roll_back(
    scope: &Scope<'_>,
    table: &Table,
    names: impl Fn(i16) -> Option<Names>,
) -> Vec<String> {
    let Operators { from, to, keep_values } = scope.operators();
    let back = Operators { from: to, to: from, keep_values };
    let mut statements = Vec::new();
    for check in own(table).filter(|check| !required::is_ours(scope, table, check)) {
        let members =
            scope.members_of(table.oid).filter(|member| check.columns.contains(&member.shadow_number));
        let replaced: Vec<Replaced> = members
            .map(|member| Replaced {
                old: member.shadow_name.clone(),
                new: names(member.old_id.number)
                    .map_or_else(|| member.old_id.name.clone(), |names| names.old),
                key: member.key,
                may_lack_key: false,
            })
            .collect();
        if let Some(expression) = of(check, &replaced, back).filter(|_| !check.columns.contains(&0)) {
            statements.extend(moved(table, check, &expression));
        }
    }
    statements
}

fn moved(table: &Table, check: &Check, expression: &str) -> Vec<String> {
    let (of, name) = (qualified(&table.schema, &table.name), quoted(&check.name));
    let inherit = if check.no_inherit { " NO INHERIT" } else { "" };
    let validity = if check.not_enforced { "NOT ENFORCED" } else { "NOT VALID" };
    let comment =
        if check.not_enforced { check.comment.clone() } else { Some(marked(check.comment.as_deref())) };
    let mut statements = vec![
        format!("ALTER TABLE {of} DROP CONSTRAINT {name}"),
        format!("ALTER TABLE {of} ADD CONSTRAINT {name} CHECK ({expression}){inherit} {validity}"),
    ];
    statements.extend(
        comment.map(|comment| format!("COMMENT ON CONSTRAINT {name} ON {of} IS {}", literal(&comment))),
    );
    statements
}

fn validate(phase: Phase, table: &Table, check: &Check, statements: Vec<String>) -> Step {
    let mut step =
        Step::new(phase, table, format!("validate check constraint \"{}\"", check.name), statements);
    step.lock = Some(Lock::ShareUpdateExclusive);
    step.rows = table.rows;
    step.evaluates = true;
    step
}

/// The steps that validate the checks of a table that have moved.
pub(super) fn unsettled(scope: &Scope<'_>, phase: Phase, table: &Table) -> Vec<Step> {
    let mut steps = Vec::new();
    for check in own(table) {
        let Some(comment) = without_mark(check.comment.as_deref()) else { continue };
        let (of, name) = (qualified(&table.schema, &table.name), quoted(&check.name));
        let comment = if comment.is_empty() { "NULL".to_owned() } else { literal(comment) };
        let statements = vec![
            format!("ALTER TABLE {of} VALIDATE CONSTRAINT {name}"),
            format!("COMMENT ON CONSTRAINT {name} ON {of} IS {comment}"),
        ];
        // After its partitions, a partitioned table reads nothing.
        let is_left =
            |one: &&Table| one.checks.iter().any(|other| other.name == check.name && !other.validated);
        if table.is_partitioned() {
            let partitions = scope.partitions_of(table.oid).filter(|one| !one.is_partitioned());
            steps.extend(partitions.filter(is_left).map(|one| {
                let of = qualified(&one.schema, &one.name);
                validate(phase, one, check, vec![format!("ALTER TABLE {of} VALIDATE CONSTRAINT {name}")])
            }));
        }
        steps.push(validate(phase, table, check, statements));
    }
    steps
}
