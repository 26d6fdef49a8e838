//! The steps of a migration, in order, each with its cost and whether it is done.

use super::backfill;
use super::cutover;
use super::facts::{Facts, ForeignKey, Index, Table};
use super::findings::{self, Finding};
use super::names::COMMENT;
use super::options::Options;
use super::phase::Phase;
use super::replacement_index::{self, Replacement};
use super::scope::{Member, Scope};
use super::scope::{check_name, foreign_key_name};
use super::step::{Lock, Runs, Step};
use super::time_findings;
use super::triggers::trigger_statements_of;
use crate::error::Error;
use crate::sql::{literal, qualified, quoted};

/// The page size of nearly every server.
const PAGE: i64 = 8_192;
/// The size of an entry of an index on keys, including the free space of its pages.
const ENTRY: i64 = 36;
/// The growth of a row.
const KEY: i64 = 16;

/// All steps.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to know first.
    pub findings: Vec<Finding>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The steps up to a phase that are not done.
    pub fn left(&self, through: Phase) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.phase <= through && !step.done)
    }

    /// The first finding that prevents the migration from starting.
    pub fn refusal(&self) -> Option<&Error> {
        self.findings.iter().find(|finding| finding.is_error()).map(|finding| &finding.error)
    }
}

/// The plan of a migration.
///
/// # Errors
/// As [`Scope::new`].
pub fn plan(facts: &Facts, options: &Options) -> Result<Plan, Error> {
    let scope = Scope::new(facts, options)?;
    let mut steps = Vec::new();
    prepare(&scope, &mut steps);
    for table in scope.tables() {
        fill(&scope, table, &mut steps);
    }
    // Refusals come first, and before others the choice that the caller has to make.
    let (mut findings, times): (Vec<_>, Vec<_>) =
        time_findings::find(&scope).into_iter().partition(Finding::is_error);
    findings.extend(findings::find(&scope));
    findings.extend(times);
    findings.sort_by_key(|finding| !finding.is_error());
    for table in scope.tables() {
        index(&scope, table, &mut steps, &mut findings);
    }
    for table in scope.tables() {
        require(&scope, table, &mut steps);
    }
    refer(&scope, &mut steps);
    verify(&scope, &mut steps);
    // Tables that get columns or triggers again are filled and compared again.
    let unprepared = |table: u32, steps: &[Step]| {
        steps.iter().any(|step| step.phase == Phase::Prepared && step.table == table && !step.done)
    };
    for at in 0..steps.len() {
        let (before, rest) = steps.split_at_mut(at);
        let Some(step) = rest.first_mut() else { break };
        step.done &= match step.phase {
            Phase::Backfilled => !unprepared(step.table, before),
            Phase::Verified => before.iter().all(|step| step.done),
            _ => true,
        };
    }
    cutover::steps(&scope, &mut steps);
    Ok(Plan { findings, steps })
}

/// Adds columns and triggers table by table: each table has both or neither, and writers wait once.
/// If a table refers to a key whose column comes later, the triggers of its references wait for
/// that column: before, they could find no key, or another key's column. The trigger of its own key
/// does not wait, because triggers of other tables look there for what they may read.
fn prepare(scope: &Scope<'_>, steps: &mut Vec<Step>) {
    let (mut prepared, mut late) = (Vec::new(), Vec::new());
    for table in scope.tables() {
        prepared.push(table.oid);
        let finds_key = |member: &Member<'_>| {
            let key = &scope.key_of(member).column;
            key.shadow.is_some() || prepared.contains(&key.table.oid)
        };
        if scope.members_of(table.oid).all(finds_key) {
            steps.push(prepare_table(scope, table, true));
        } else {
            steps.push(prepare_table(scope, table, false));
            late.push(table);
        }
    }
    steps.extend(late.into_iter().map(|table| {
        let references = scope.members_of(table.oid).filter(|member| !member.is_key);
        let statements = trigger_statements_of(scope, references);
        let mut step = Step::new(Phase::Prepared, table, "create triggers", statements);
        step.lock = Some(Lock::ShareRowExclusive);
        step.done = step.statements.is_empty();
        step
    }));
}

/// Adds the columns of a table with all of its triggers, or only with the trigger of its key.
fn prepare_table(scope: &Scope<'_>, table: &Table, with_references: bool) -> Step {
    let name = qualified(&table.schema, &table.name);
    let type_name = scope.options.target.type_name(&scope.facts.extension_schema);
    let missing: Vec<&Member<'_>> =
        scope.members_of(table.oid).filter(|member| member.shadow.is_none()).collect();
    let mut statements = Vec::new();
    if !missing.is_empty() {
        let columns: Vec<String> = missing
            .iter()
            .map(|member| format!("ADD COLUMN {} {type_name}", quoted(&member.shadow_name)))
            .collect();
        statements.push(format!("ALTER TABLE {name} {}", columns.join(", ")));
        for member in &missing {
            let of = if member.is_key { "key" } else { "reference" };
            let comment = format!("{of}{COMMENT}");
            statements.push(format!(
                "COMMENT ON COLUMN {name}.{} IS {}",
                quoted(&member.shadow_name),
                literal(&comment)
            ));
        }
    }
    let has_columns = missing.is_empty();
    let members = scope.members_of(table.oid).filter(|member| with_references || member.is_key);
    let members: Vec<&Member<'_>> = members.collect();
    let action = match (has_columns, with_references, members.is_empty()) {
        (true, ..) => "create triggers",
        (false, true, _) => "add columns and triggers",
        (false, false, true) => "add columns",
        (false, false, false) => "add columns and the triggers of the key",
    };
    statements.extend(trigger_statements_of(scope, members.into_iter()));
    let mut step = Step::new(Phase::Prepared, table, action, statements);
    step.lock = Some(if has_columns { Lock::ShareRowExclusive } else { Lock::AccessExclusive });
    step.done = step.statements.is_empty();
    step
}

fn fill(scope: &Scope<'_>, table: &Table, steps: &mut Vec<Step>) {
    let example = backfill::Range { from: 0, to: 128 };
    let statement = backfill::statement(scope, table, &example.condition(), &[]);
    let mut step = Step::new(Phase::Backfilled, table, "backfill existing rows", vec![statement]);
    let columns = i64::try_from(scope.members_of(table.oid).count()).unwrap_or(1);
    let width = if table.rows > 0 { table.heap_bytes / table.rows.max(1) } else { 0 };
    step.lock = Some(Lock::RowExclusive);
    step.rows = table.rows;
    step.bytes = table.rows.saturating_mul(width + KEY * columns);
    step.runs = Runs::Batches;
    step.done = scope.options.filled.contains(&table.oid);
    let triggers = if scope.options.fire_triggers { "" } else { ", without firing user triggers" };
    step.detail = format!("one of the batches; each runs in its own transaction{triggers}");
    steps.push(step);
    let name = qualified(&table.schema, &table.name);
    let mut vacuum = Step::new(Phase::Backfilled, table, "vacuum", vec![format!("VACUUM {name}")]);
    vacuum.lock = Some(Lock::ShareUpdateExclusive);
    vacuum.rows = table.rows;
    vacuum.runs = Runs::Client;
    vacuum.done = scope.options.filled.contains(&table.oid);
    vacuum.detail =
        "after each tenth of the table, so that the next one reuses the space of dead rows".to_owned();
    steps.push(vacuum);
}

fn index(scope: &Scope<'_>, table: &Table, steps: &mut Vec<Step>, findings: &mut Vec<Finding>) {
    let indexes: Vec<&Index> = scope.indexes(table).filter(|index| !scope.is_new(table, index)).collect();
    for index in indexes {
        if !index.is_valid {
            findings.push(findings::index_not_valid(table, index));
            continue;
        }
        match replacement_index::replacement(scope, table, index) {
            Replacement::Leave(why) => findings.push(findings::index_left(table, index, why)),
            Replacement::Create { name, statement } => {
                let existing = replacement_index::existing(scope, table, index);
                let done = existing.is_some_and(|replacement| replacement.is_valid);
                if existing.is_some_and(|replacement| !replacement.is_valid) {
                    let drop = format!("DROP INDEX CONCURRENTLY {}", qualified(&table.schema, &name));
                    let mut step = Step::new(
                        Phase::Indexed,
                        table,
                        format!("drop invalid index \"{name}\""),
                        vec![drop],
                    );
                    step.lock = Some(Lock::ShareUpdateExclusive);
                    step.runs = Runs::Client;
                    step.detail = "left over from a build that was interrupted".to_owned();
                    steps.push(step);
                }
                let kind = if index.is_unique { "unique index" } else { "index" };
                let mut step =
                    Step::new(Phase::Indexed, table, format!("build {kind} \"{name}\""), vec![statement]);
                step.lock = Some(Lock::ShareUpdateExclusive);
                step.rows = table.rows;
                step.bytes = index.bytes.max(table.rows.saturating_mul(ENTRY)).max(PAGE);
                step.runs = Runs::Client;
                step.done = done;
                steps.push(step);
            }
        }
    }
}

/// Sets NOT NULL by way of a check, which is validated without blocking writers.
///
/// The check comes after the backfill: before it, an UPDATE that replication applies to a row
/// without a key would fail, because the trigger on UPDATE does not fire there.
fn require(scope: &Scope<'_>, table: &Table, steps: &mut Vec<Step>) {
    let name = qualified(&table.schema, &table.name);
    for member in scope.members_of(table.oid).filter(|member| member.is_required()) {
        let done = member.shadow.is_some_and(|shadow| shadow.not_null);
        let check = check_name(scope, member);
        let exists = table.checks.iter().find(|existing| existing.name == check);
        let (constraint, column) = (quoted(&check), quoted(&member.shadow_name));
        let mut add = Step::new(
            Phase::Validated,
            table,
            format!("require \"{}\" in new rows", member.shadow_name),
            vec![format!(
                "ALTER TABLE {name} ADD CONSTRAINT {constraint} CHECK ({column} IS NOT NULL) NOT VALID"
            )],
        );
        add.lock = Some(Lock::AccessExclusive);
        add.done = done || exists.is_some();
        let mut validate = Step::new(
            Phase::Validated,
            table,
            format!("check that no row lacks \"{}\"", member.shadow_name),
            vec![format!("ALTER TABLE {name} VALIDATE CONSTRAINT {constraint}")],
        );
        validate.lock = Some(Lock::ShareUpdateExclusive);
        validate.rows = table.rows;
        validate.evaluates = true;
        validate.done = done || exists.is_some_and(|check| check.validated);
        let mut set = Step::new(
            Phase::Validated,
            table,
            format!("set \"{}\" NOT NULL", member.shadow_name),
            vec![
                format!("ALTER TABLE {name} ALTER COLUMN {column} SET NOT NULL"),
                format!("ALTER TABLE {name} DROP CONSTRAINT {constraint}"),
            ],
        );
        set.lock = Some(Lock::AccessExclusive);
        set.evaluates = true;
        set.done = done && exists.is_none();
        if done && exists.is_some() {
            set.statements.remove(0);
        }
        steps.extend([add, validate, set]);
    }
}

fn refer(scope: &Scope<'_>, steps: &mut Vec<Step>) {
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
        let name = foreign_key_name(scope, old);
        let child_name = qualified(&child.schema, &child.name);
        let mut add = Step::new(
            Phase::Validated,
            child,
            format!("add foreign key \"{name}\""),
            vec![format!(
                "ALTER TABLE {child_name} ADD CONSTRAINT {} {} NOT VALID",
                quoted(&name),
                foreign_key_sql(scope, old, child, parent)
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

fn foreign_key_sql(scope: &Scope<'_>, key: &ForeignKey, child: &Table, parent: &Table) -> String {
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
    if key.deferrable {
        sql.push_str(if key.deferred { " DEFERRABLE INITIALLY DEFERRED" } else { " DEFERRABLE" });
    }
    sql
}

fn verify(scope: &Scope<'_>, steps: &mut Vec<Step>) {
    let root = scope.root();
    let name = qualified(&root.schema, &root.name);
    let statement = format!(
        "SELECT * FROM {}.key_migration_verify({}::pg_catalog.regclass)",
        scope.facts.extension_schema,
        literal(&name)
    );
    let mut step = Step::new(Phase::Verified, root, "compare all values", vec![statement]);
    step.lock = Some(Lock::AccessShare);
    step.rows = scope.tables().iter().map(|table| table.rows).fold(0, i64::saturating_add);
    step.done = scope.options.verified;
    steps.push(step);
}
