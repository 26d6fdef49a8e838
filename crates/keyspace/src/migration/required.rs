//! NOT NULL of columns of keys: for each column of old ids that is NOT NULL.
//!
//! | column | NOT NULL |
//! | --- | --- |
//! | a key, or a reference that a foreign key checks at once | before the cut-over, by a check that is validated without blocking writers |
//! | a reference with a deferrable foreign key | from the cut-over on. Before it, a row may wait for the row that it refers to, without a key; after it, without an old id, so the old column loses its NOT NULL |
//! | any column, if keys keep their values | before the cut-over, at which the old column loses its NOT NULL. A rollback gives it back, once a check says that it can |
//! | a reference without a foreign key, or with one that is not valid | at the end, when every row has a key. From the cut-over on, a row must have a key or an old id |
//! | a reference of which only some rows refer to a key | never. From the cut-over on, a row must have a key or an old id. If the old column stays, that remains so |
//!
//! A check that is left is the mark that its column has to become NOT NULL, whatever interrupts the
//! procedure that added it.

use super::facts::{Check, Table};
use super::member::Member;
use super::names;
use super::phase::Phase;
use super::scope::{Scope, check_name};
use super::step::{Lock, Statement, Step};
use crate::sql::{qualified, quoted};

/// Sets NOT NULL before the cut-over.
///
/// The check comes after the backfill: before it, an UPDATE that replication applies to a row
/// without a key would fail, because the trigger on UPDATE does not fire there.
pub(super) fn steps(scope: &Scope<'_>, table: &Table, steps: &mut Vec<Step>) {
    if scope.options.cut_over {
        return;
    }
    for member in scope.members_of(table.oid) {
        if scope.is_required(member) {
            steps.extend(becomes_not_null(scope, member));
        } else if let Some(shadow) = member.shadow.filter(|_| scope.may_lack_key(member)) {
            // Its foreign key became deferrable, or was dropped.
            let name = member.table_sql();
            let mut statements = Vec::new();
            if shadow.not_null {
                let column = quoted(&shadow.name);
                statements.push(format!("ALTER TABLE {name} ALTER COLUMN {column} DROP NOT NULL"));
            }
            if let Some(check) = on_key(scope, member) {
                statements.push(drop_check(member, check));
            }
            if !statements.is_empty() {
                let action = format!("let rows wait for \"{}\"", shadow.name);
                let mut step = Step::new(Phase::Validated, table, action, statements);
                step.lock = Some(Lock::AccessExclusive);
                steps.push(step);
            }
        }
    }
}

/// The steps by which a column of keys becomes NOT NULL.
fn becomes_not_null(scope: &Scope<'_>, member: &Member<'_>) -> Vec<Step> {
    let done = member.shadow.is_some_and(|shadow| shadow.not_null);
    let exists = on_key(scope, member);
    let name = exists.map_or_else(|| check_name(scope, member), |check| check.name.clone());
    let add = add_step(Phase::Validated, member, &member.shadow_name, &name, done || exists.is_some());
    let is_validated = done || exists.is_some_and(|check| check.validated);
    let validate =
        validate_steps(scope, Phase::Validated, member, &member.shadow_name, (&name, is_validated));
    let mut set = set_step(Phase::Validated, member, &member.shadow_name, &name);
    set.done = done && exists.is_none();
    if done && exists.is_some() {
        set.statements.remove(0);
    }
    std::iter::once(add).chain(validate).chain([set]).collect()
}

fn add_step(phase: Phase, member: &Member<'_>, column: &str, check: &str, done: bool) -> Step {
    let statements = vec![format!(
        "ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT VALID",
        member.table_sql(),
        quoted(check),
        quoted(column)
    )];
    let mut step = Step::new(phase, member.table, format!("require \"{column}\" in new rows"), statements);
    step.lock = Some(Lock::AccessExclusive);
    step.done = done;
    step
}

/// The steps that validate a check. That of a partitioned table reads nothing once those of its
/// partitions are valid.
fn validate_steps(
    scope: &Scope<'_>,
    phase: Phase,
    member: &Member<'_>,
    column: &str,
    (check, done): (&str, bool),
) -> Vec<Step> {
    let is_part = |part: &&Member<'_>| {
        !part.table.is_partitioned()
            && part.old_id.name == member.old_id.name
            && scope.facts.top_of(part.table.oid) == member.table.oid
    };
    let mut steps: Vec<Step> = Vec::new();
    for part in scope.parts.iter().filter(is_part) {
        let is_valid = part.table.checks.iter().any(|one| one.name == check && one.validated);
        steps.push(validate_step(phase, part, column, check, done || is_valid));
    }
    let mut own = validate_step(phase, member, column, check, done);
    if member.table.is_partitioned() {
        own.rows = 0;
    }
    steps.push(own);
    steps
}

fn validate_step(phase: Phase, member: &Member<'_>, column: &str, check: &str, done: bool) -> Step {
    let statement = format!("ALTER TABLE {} VALIDATE CONSTRAINT {}", member.table_sql(), quoted(check));
    let action = format!("check that no row lacks \"{column}\"");
    let mut step = Step::new(phase, member.table, action, vec![statement]);
    step.lock = Some(Lock::ShareUpdateExclusive);
    step.rows = member.table.rows;
    step.evaluates = true;
    step.done = done;
    step
}

fn set_step(phase: Phase, member: &Member<'_>, column: &str, check: &str) -> Step {
    let name = member.table_sql();
    let statements = vec![
        format!("ALTER TABLE {name} ALTER COLUMN {} SET NOT NULL", quoted(column)),
        format!("ALTER TABLE {name} DROP CONSTRAINT {}", quoted(check)),
    ];
    let mut step = Step::new(phase, member.table, format!("set \"{column}\" NOT NULL"), statements);
    step.lock = Some(Lock::AccessExclusive);
    step.evaluates = true;
    step
}

/// The statements of the cut-over: keys are required from now on, and old ids may come later.
/// `old` and `key` are the names that the columns of a member have then.
pub(super) fn cut_over(scope: &Scope<'_>, member: &Member<'_>, old: &str, key: &str) -> Vec<String> {
    if scope.keeps_values() && member.old_id.not_null {
        let table = member.table_sql();
        return vec![format!("ALTER TABLE {table} ALTER COLUMN {} DROP NOT NULL", quoted(old))];
    }
    if !scope.may_lack_key(member) || !member.old_id.not_null {
        return Vec::new();
    }
    let table = member.table_sql();
    let mut statements = Vec::new();
    if member.shadow.is_none_or(|shadow| !shadow.not_null) {
        let (old, key) = (quoted(old), quoted(key));
        // Rows that refer to nothing keep their old id until somebody decides what they mean.
        let (check, condition) = if member.declared {
            (check_name(scope, member), format!("{key} IS NOT NULL"))
        } else {
            let check = name_of(scope, member, &format!("{}{GIVEN}", scope.options.new_suffix));
            (check, format!("{key} IS NOT NULL OR {old} IS NOT NULL"))
        };
        let check = quoted(&check);
        statements.push(format!("ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({condition}) NOT VALID"));
    }
    if can_be_null(member) {
        statements.push(format!("ALTER TABLE {table} ALTER COLUMN {} DROP NOT NULL", quoted(old)));
    }
    statements
}

/// The statements of a rollback: old ids are required from now on, and keys may come later.
pub(super) fn roll_back(scope: &Scope<'_>, member: &Member<'_>, old: &str, key: &str) -> Vec<String> {
    if member.is_key || scope.keeps_values() {
        return Vec::new();
    }
    let (table, key) = (member.table_sql(), quoted(key));
    let mut statements = Vec::new();
    let checks = on_key(scope, member).into_iter().chain(on_both(scope, member));
    let checks: Vec<&Check> = checks.collect();
    let is_required = member.shadow.is_some_and(|shadow| shadow.not_null);
    if (is_required || !checks.is_empty()) && !member.old_id.not_null {
        let check = quoted(&name_of(scope, member, &format!("{}{FILLED}", scope.options.old_suffix)));
        statements.push(format!(
            "ALTER TABLE {table} ADD CONSTRAINT {check} CHECK ({} IS NOT NULL) NOT VALID",
            quoted(old)
        ));
    }
    statements.extend(checks.into_iter().map(|check| drop_check(member, check)));
    if is_required && scope.may_lack_key(member) {
        statements.push(format!("ALTER TABLE {table} ALTER COLUMN {key} DROP NOT NULL"));
    }
    statements
}

/// The steps that are left for a column after a cut-over or its rollback.
pub(super) fn unsettled(scope: &Scope<'_>, phase: Phase, member: &Member<'_>) -> Vec<Step> {
    let of_key = on_key(scope, member).filter(|_| scope.options.cut_over);
    let of_old = on_old(scope, member).filter(|_| !scope.options.cut_over);
    let found = of_key.map(|check| (check, &member.shadow_name));
    let Some((check, column)) = found.or_else(|| of_old.map(|check| (check, &member.old_id.name))) else {
        return Vec::new();
    };
    let mut steps = validate_steps(scope, phase, member, column, (&check.name, check.validated));
    steps.push(set_step(phase, member, column, &check.name));
    steps
}

/// The steps before the end: now every row has a key, so that the column can become NOT NULL.
pub(super) fn before_end(scope: &Scope<'_>, member: &Member<'_>) -> Option<Step> {
    on_both(scope, member).filter(|_| member.refers.is_none())?;
    if member.shadow.is_none_or(|shadow| shadow.not_null) {
        return None;
    }
    match on_key(scope, member) {
        None => {
            let name = check_name(scope, member);
            Some(add_step(Phase::Finalized, member, &member.shadow_name, &name, false))
        }
        Some(check) => {
            let of = (check.name.as_str(), check.validated);
            let steps = validate_steps(scope, Phase::Finalized, member, &member.shadow_name, of);
            steps.into_iter().find(|step| !step.done)
        }
    }
}

/// Whether the old id of a row without a key cannot be set to NULL.
pub(super) fn needs_old_id(scope: &Scope<'_>, member: &Member<'_>) -> bool {
    member.old_id.not_null || on_both(scope, member).is_some() || on_old(scope, member).is_some()
}

/// The statements of the end. A check on both columns is dropped with the old one. If that is kept, and
/// rows can mean none, nothing gives them the old id any more that says so.
pub(super) fn at_end(scope: &Scope<'_>, member: &Member<'_>, keeps_old_id: bool) -> Vec<Statement> {
    let means_none = member.refers.is_some_and(|refers| !refers.condition.null_values.is_empty());
    if let Some(check) = on_both(scope, member).filter(|_| means_none && keeps_old_id) {
        return vec![drop_check(member, check).into()];
    }
    let Some(check) = on_key(scope, member) else { return Vec::new() };
    let step = set_step(Phase::Finalized, member, &member.shadow_name, &check.name);
    let as_owner_of = Some(member.table.oid);
    step.statements.into_iter().map(|text| Statement { text, as_owner_of }).collect()
}

/// The statements that remove the checks of a column.
pub(super) fn remove(scope: &Scope<'_>, member: &Member<'_>) -> Vec<String> {
    let checks = on_key(scope, member).into_iter().chain(on_old(scope, member)).chain(on_both(scope, member));
    checks.map(|check| drop_check(member, check)).collect()
}

/// The check that has to be valid before keys that keep their values are rolled back, if it exists.
fn of_roll_back<'a>(scope: &Scope<'_>, member: &Member<'a>) -> Option<&'a Check> {
    if is_key_required(member) { on_old(scope, member) } else { on_held(scope, member) }
}

/// Whether the column of keys is NOT NULL.
fn is_key_required(member: &Member<'_>) -> bool {
    member.shadow.is_some_and(|shadow| shadow.not_null)
}

/// The step that adds this check, or those that validate it.
pub(super) fn before_roll_back(scope: &Scope<'_>, member: &Member<'_>, adds: bool) -> Vec<Step> {
    let exists = of_roll_back(scope, member);
    let (old_id, phase) = (&member.old_id.name, Phase::CutOver);
    match exists {
        None if adds => {
            let (end, or_no_key) = if is_key_required(member) {
                (FILLED, String::new())
            } else {
                (HELD, format!(" OR {} IS NULL", quoted(&member.shadow_name)))
            };
            let name = name_of(scope, member, &format!("{}{end}", scope.options.old_suffix));
            let mut step = add_step(phase, member, old_id, &name, false);
            step.statements = vec![format!(
                "ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL{or_no_key}) NOT VALID",
                member.table_sql(),
                quoted(&name),
                quoted(old_id)
            )];
            vec![step]
        }
        Some(check) if !adds => validate_steps(scope, phase, member, old_id, (&check.name, check.validated)),
        _ => Vec::new(),
    }
}

/// The step that drops this check.
pub(super) fn without_roll_back(scope: &Scope<'_>, phase: Phase, member: &Member<'_>) -> Option<Step> {
    let check = of_roll_back(scope, member)?;
    let action = format!("no longer require \"{}\" in new rows", member.old_id.name);
    let mut step = Step::new(phase, member.table, action, vec![drop_check(member, check)]);
    step.lock = Some(Lock::AccessExclusive);
    Some(step)
}

/// The statements of a rollback of keys that keep their values, once the columns have their names.
pub(super) fn restore(scope: &Scope<'_>, member: &Member<'_>) -> Vec<Statement> {
    let Some(check) = of_roll_back(scope, member) else { return Vec::new() };
    let as_owner_of = Some(member.table.oid);
    let mut statements = Vec::new();
    if is_key_required(member) {
        let column = quoted(&member.shadow_name);
        let text = format!("ALTER TABLE {} ALTER COLUMN {column} SET NOT NULL", member.table_sql());
        statements.push(Statement { text, as_owner_of });
    }
    statements.push(drop_check(member, check).into());
    statements
}

/// Whether a check is one of the migration.
pub(super) fn is_ours(scope: &Scope<'_>, table: &Table, check: &Check) -> bool {
    scope.members_of(table.oid).any(|member| {
        [on_key(scope, member), on_old(scope, member), on_both(scope, member), on_held(scope, member)]
            .into_iter()
            .flatten()
            .any(|ours| std::ptr::eq(ours, check))
    })
}

/// Whether nothing prevents an old column from being null.
pub(super) fn can_be_null(member: &Member<'_>) -> bool {
    let number = member.old_id.number;
    member.old_id.identity.is_empty()
        && !member
            .table
            .indexes
            .iter()
            .any(|index| (index.is_primary || index.is_replica_identity) && index.has_column(number))
}

/// The end of the name of a check on one column.
const FILLED: &str = "_filled";
/// The end of the name of a check that one of two columns is filled.
const GIVEN: &str = "_given";

/// The end of the name of a check that the old column holds each key.
const HELD: &str = "_held";

/// The check that a row has a key.
fn on_key<'a>(scope: &Scope<'_>, member: &Member<'a>) -> Option<&'a Check> {
    find(member, &scope.options.new_suffix, FILLED, &[member.shadow_number])
}

/// The check that a row has an old id.
fn on_old<'a>(scope: &Scope<'_>, member: &Member<'a>) -> Option<&'a Check> {
    find(member, &scope.options.old_suffix, FILLED, &[member.old_id.number])
}

/// The check that a row has one of the two.
fn on_both<'a>(scope: &Scope<'_>, member: &Member<'a>) -> Option<&'a Check> {
    find(member, &scope.options.new_suffix, GIVEN, &[member.old_id.number, member.shadow_number])
}

/// The check that a row has an old id if it has a key.
fn on_held<'a>(scope: &Scope<'_>, member: &Member<'a>) -> Option<&'a Check> {
    find(member, &scope.options.old_suffix, HELD, &[member.old_id.number, member.shadow_number])
}

fn find<'a>(member: &Member<'a>, suffix: &str, kind: &str, columns: &[i16]) -> Option<&'a Check> {
    let end = format!("{suffix}{kind}");
    member.table.checks.iter().find(|check| {
        check.name.ends_with(&end)
            && check.columns.len() == columns.len()
            && columns.iter().all(|column| check.columns.contains(column))
    })
}

fn name_of(scope: &Scope<'_>, member: &Member<'_>, end: &str) -> String {
    names::suffixed(&format!("{}_{}", scope.known_table(member.table), scope.known_column(member)), end)
}

fn drop_check(member: &Member<'_>, check: &Check) -> String {
    let name = qualified(&member.table.schema, &member.table.name);
    format!("ALTER TABLE {name} DROP CONSTRAINT {}", quoted(&check.name))
}
