//! The steps of a migration, in order, each with its cost and whether it is done.

use super::backfill;
use super::carried;
use super::costs;
use super::cutover;
use super::facts::{Facts, Index, Table};
use super::finding::Finding;
use super::findings;
use super::foreign_keys;
use super::kept_index;
use super::member::Member;
use super::names::COMMENT;
use super::options::Options;
use super::partitions;
use super::phase::Phase;
use super::primary_key;
use super::properties;
use super::replacement_index::{self, Replacement};
use super::required;
use super::scope::Scope;
use super::settle;
use super::statistics;
use super::step::{Lock, Runs, Step};
use super::time_findings;
use super::triggers::trigger_statements_of;
use crate::error::Error;
use crate::sql::{in_message, literal, qualified, quoted};

/// The page size of nearly every server.
const PAGE: i64 = 8_192;
/// The size of an entry of an index on keys without the key, including the free space of its pages.
const ENTRY: i64 = 20;

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
        scope.with_rows(table).into_iter().for_each(|table| fill(&scope, table, &mut steps));
    }
    // Refusals come first, and before others the choice that the caller has to make.
    let (mut findings, times): (Vec<_>, Vec<_>) =
        time_findings::find(&scope).into_iter().partition(Finding::is_error);
    findings.extend(findings::find(&scope));
    findings.extend(times);
    findings.sort_by_key(|finding| !finding.is_error());
    for table in scope.tables() {
        indexes(&scope, table, &mut steps, &mut findings);
    }
    for table in scope.tables() {
        steps.extend(statistics::steps(&scope, table));
    }
    for table in scope.tables() {
        required::steps(&scope, table, &mut steps);
    }
    foreign_keys::steps(&scope, &mut steps);
    if !scope.options.cut_over {
        steps.extend(settle::steps(&scope));
    }
    verify(&scope, &mut steps);
    // Tables that get columns or triggers again are filled and compared again.
    let unprepared = |table: u32, steps: &[Step]| {
        steps.iter().any(|step| step.phase == Phase::Prepared && step.table == table && !step.done)
    };
    for at in 0..steps.len() {
        let (before, rest) = steps.split_at_mut(at);
        let Some(step) = rest.first_mut() else { break };
        step.done &= match step.phase {
            Phase::Backfilled => !unprepared(facts.top_of(step.table), before),
            Phase::Verified => before.iter().all(|step| step.done || step.is_statistics),
            _ => true,
        };
    }
    cutover::steps(&scope, &mut steps);
    carried::find(&scope, &mut findings);
    primary_key::find(&scope, &mut findings);
    findings.extend(costs::note(&scope, &steps));
    findings.sort_by_key(|finding| !finding.is_error());
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
            scope.keeps_values() || key.shadow.is_some() || prepared.contains(&key.table.oid)
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
            statements.extend(properties::of_column(member));
        }
        for part in scope.partitions_of(table.oid).flat_map(|part| scope.members_of(part.oid)) {
            statements.extend(properties::of_column(part));
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

/// The growth of a row by a key.
fn key_size(scope: &Scope<'_>) -> i64 {
    i64::try_from(scope.options.target.size()).unwrap_or(i64::MAX)
}

fn fill(scope: &Scope<'_>, table: &Table, steps: &mut Vec<Step>) {
    let example = backfill::Range { from: 0, to: 128 };
    let statement = backfill::statement(scope, table, &example.condition(), &[]);
    let mut step = Step::new(Phase::Backfilled, table, "backfill existing rows", vec![statement]);
    let columns = i64::try_from(scope.members_of(table.oid).count()).unwrap_or(1);
    let width = if table.rows > 0 { table.heap_bytes / table.rows.max(1) } else { 0 };
    step.lock = Some(Lock::RowExclusive);
    step.rows = table.rows;
    step.bytes = table.rows.saturating_mul(width + key_size(scope) * columns);
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

/// Adds the steps for the indexes of a table and of its partitions. Those of partitioned tables come
/// first, so that a partition that is created meanwhile has its index from the start.
fn indexes(scope: &Scope<'_>, table: &Table, steps: &mut Vec<Step>, findings: &mut Vec<Finding>) {
    if !table.is_partitioned() {
        index(scope, table, steps, findings);
        kept_index::steps(scope, table, steps);
        return;
    }
    let all = || std::iter::once(table).chain(scope.partitions_of(table.oid));
    for table in all().filter(|table| table.is_partitioned()) {
        index(scope, table, steps, findings);
    }
    for table in scope.with_rows(table) {
        index(scope, table, steps, findings);
    }
    // The lowest level first: an index is valid once all below it are attached.
    for table in all().collect::<Vec<_>>().into_iter().rev() {
        let old = scope.indexes(table).filter(|index| index.is_valid && !scope.is_new(table, index));
        let has_replacement = |index: &&Index| {
            matches!(replacement_index::replacement(scope, table, index), Replacement::Create { .. })
        };
        steps.extend(old.filter(has_replacement).filter_map(|index| partitions::attach(scope, table, index)));
    }
    kept_index::steps(scope, table, steps);
}

fn index(scope: &Scope<'_>, table: &Table, steps: &mut Vec<Step>, findings: &mut Vec<Finding>) {
    let indexes: Vec<&Index> = scope.indexes(table).filter(|index| !scope.is_new(table, index)).collect();
    for index in indexes {
        if !index.is_valid {
            findings.push(findings::index_not_valid(table, index));
            continue;
        }
        match replacement_index::replacement(scope, table, index) {
            Replacement::Refuse(error) => findings.push(carried::index_refused(table, *error)),
            Replacement::Leave(why) => {
                if replacement_index::existing(scope, table, index).is_none() {
                    findings.push(findings::index_left(table, index, &why));
                }
            }
            Replacement::Create { name, statement } if table.is_partitioned() => {
                steps.push(partitions::index_on_only(scope, table, index, (&name, statement)));
            }
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
                step.bytes = index.bytes.max(table.rows.saturating_mul(ENTRY + key_size(scope))).max(PAGE);
                step.runs = Runs::Client;
                step.done = done;
                steps.push(step);
                steps.extend(finish_index(scope, table, index, &name, existing.filter(|_| done)));
            }
        }
    }
}

/// What an index needs before it is like the one that it replaces: the time at which uniqueness is
/// checked, and statistics targets.
fn finish_index(
    scope: &Scope<'_>,
    table: &Table,
    index: &Index,
    name: &str,
    existing: Option<&Index>,
) -> Option<Step> {
    // That of a partition comes with the index of the partitioned table.
    let constraint =
        index.constraint.as_ref().filter(|constraint| constraint.deferrable && index.parent.is_none());
    let mut statements = properties::statistics_of_index(table, index, existing, name);
    let mut lock = Lock::ShareUpdateExclusive;
    if let Some(constraint) = constraint.filter(|_| existing.is_none_or(|built| built.constraint.is_none())) {
        let timing = replacement_index::timing(constraint);
        let (of, name) = (qualified(&table.schema, &table.name), quoted(name));
        statements.push(format!("ALTER TABLE {of} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}{timing}"));
        lock = Lock::AccessExclusive;
    }
    if constraint.is_none() && index.statistics.is_empty() {
        return None;
    }
    let what = if constraint.is_some() {
        "check uniqueness when the old index does"
    } else {
        "set statistics targets"
    };
    let mut step = Step::new(Phase::Indexed, table, format!("index \"{name}\": {what}"), statements);
    step.lock = Some(lock);
    // PostgreSQL may look at checks of the table.
    step.evaluates = true;
    step.done = scope.options.cut_over || step.statements.is_empty();
    if constraint.is_some() && existing.is_none() {
        step.detail = "until then, the new index checks each row at once".to_owned();
    }
    Some(step)
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
    let doubts: Vec<String> = scope
        .options
        .doubts
        .iter()
        .filter_map(|(table, doubt)| {
            let table = scope.facts.table(*table)?;
            let name = qualified(&table.schema, &table.name);
            Some(format!("table {} {}", in_message(&name), doubt.reason()))
        })
        .collect();
    step.detail = doubts.join("; ");
    steps.push(step);
}
