//! Plans from the catalogs which guards to create and which to drop.

use std::collections::{BTreeMap, HashMap, HashSet};

use keyspace::sequences::Counting;
use keyspace::sequences::guard::{Guard, Mode};
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::request::Chosen;
use super::tables::{Column, Tables};

/// The prefix of our guards' names; the column number follows.
const PREFIX: &str = "interleaved_guard_";
/// The prefix on partitioned tables. A guarded table can become a partition only if the names
/// differ.
const PARTITIONED_PREFIX: &str = "interleaved_guards_";

/// The plan for a column, or for a table without a column to guard.
pub(super) struct Step {
    pub(super) oid: pg_sys::Oid,
    /// `schema.table`, quoted if necessary.
    pub(super) table: String,
    pub(super) column: Option<String>,
    pub(super) sequence: Option<pg_sys::Oid>,
    /// The tables of which it is a partition or child.
    ancestors: Vec<pg_sys::Oid>,
    pub(super) outcome: Outcome,
    /// A short description.
    pub(super) detail: String,
}

pub(super) enum Outcome {
    Change {
        statements: Vec<String>,
        locks: Locks,
    },
    Unchanged,
    /// Not guarded. The error is raised if the caller has named this table.
    Skip(Error),
    Fail(Error),
}

impl Step {
    fn new(column: &Column, sequence: Option<pg_sys::Oid>, outcome: Outcome, detail: String) -> Self {
        let (table, name) = (column.table.clone(), Some(column.name.clone()));
        let ancestors = column.ancestors.clone();
        Self { oid: column.oid, table, column: name, sequence, ancestors, outcome, detail }
    }

    fn of_table(oid: pg_sys::Oid, table: &str, outcome: Outcome, detail: String) -> Self {
        let table = table.to_owned();
        Self { oid, table, column: None, sequence: None, ancestors: Vec::new(), outcome, detail }
    }

    fn failed(column: &Column, sequence: Option<pg_sys::Oid>, error: Error) -> Self {
        let detail = error.message.clone();
        Self::new(column, sequence, Outcome::Fail(error), detail)
    }

    fn fail(&mut self, error: Error) {
        self.detail.clone_from(&error.message);
        self.outcome = Outcome::Fail(error);
    }

    pub(super) fn error(&self) -> Option<&Error> {
        match &self.outcome {
            Outcome::Fail(error) => Some(error),
            _ => None,
        }
    }
}

/// The tables that have to be locked, in the order of their OIDs, each with its name and lock mode.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Locks(pub(super) BTreeMap<u32, (String, u32)>);

impl Locks {
    fn add(&mut self, column: &Column, lock: u32) {
        let kept = self.0.entry(column.oid.to_u32()).or_insert_with(|| (column.table.clone(), lock));
        kept.1 = kept.1.max(lock);
    }

    fn add_all(&mut self, column: &Column, partitions: &[&Column], lock: u32) {
        self.add(column, lock);
        partitions.iter().for_each(|partition| self.add(partition, lock));
    }

    /// The locks of all steps together.
    pub(super) fn of(steps: &[Step]) -> Self {
        let mut all = Self::default();
        for step in steps {
            if let Outcome::Change { locks, .. } = &step.outcome {
                for (oid, (name, lock)) in &locks.0 {
                    let kept = all.0.entry(*oid).or_insert_with(|| (name.clone(), *lock));
                    kept.1 = kept.1.max(*lock);
                }
            }
        }
        all
    }

    /// Whether these locks include all locks in `other`.
    pub(super) fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|(oid, (_, lock))| self.0.get(oid).is_some_and(|(_, held)| held >= lock))
    }
}

/// Plans the guards of the chosen tables.
pub(super) fn guard(tables: &Tables, chosen: &Chosen, mode: Mode, counting: Option<Counting>) -> Vec<Step> {
    let mut steps = Vec::new();
    // Partitions that inherit their guard.
    let mut covered = HashSet::new();
    let mut from_above = FromAbove { tables, chosen, known: HashMap::new() };
    for column in &tables.columns {
        let sequence = tables.sources(column).first().map(|source| source.sequence);
        // A guard whose sequence is gone is left to unguard.
        if sequence.is_none() || !chosen.has(column) {
            continue;
        }
        if from_above.is_guarded(column) {
            covered.insert(column.oid.to_u32());
            continue;
        }
        if let Some(clone) = tables.triggers(column).iter().find(|t| t.guards(column) && t.is_clone) {
            let root = root(tables, column);
            if clone.is_in_force(column, tables.wanted(root, mode, counting)) {
                steps.push(Step::new(
                    column,
                    sequence,
                    Outcome::Unchanged,
                    format!("guarded with {}", root.table),
                ));
            } else {
                steps.push(Step::failed(column, sequence, guarded_with(column, root)));
            }
            continue;
        }
        match tables.refusal(column) {
            Some(refusal) => {
                // The partitioned table has reported it already.
                if tables.is_fed_itself(column) || !tables.parent(column).is_some_and(|p| chosen.has(p)) {
                    let outcome = Outcome::Skip(refusal.error);
                    steps.push(Step::new(column, refusal.sequence, outcome, refusal.detail));
                }
            }
            None => {
                let guard = tables.wanted(column, mode, counting);
                steps.push(put_guard(tables, chosen, column, sequence, guard));
            }
        }
    }
    answer_for_named(&mut steps, chosen, &covered);
    steps
}

/// Finds partitions that get their guard from a partitioned table that is guarded in the same run.
struct FromAbove<'a> {
    tables: &'a Tables,
    chosen: &'a Chosen,
    /// Whether the column of a partitioned table is guarded. Each of its partitions needs that.
    known: HashMap<(u32, i16), bool>,
}

impl FromAbove<'_> {
    fn is_guarded(&mut self, column: &Column) -> bool {
        let mut above = self.tables.parent(column);
        while let Some(parent) = above {
            let (tables, chosen) = (self.tables, self.chosen);
            let guarded = self.known.entry((parent.oid.to_u32(), parent.attribute)).or_insert_with(|| {
                chosen.has(parent) && !tables.sources(parent).is_empty() && tables.refusal(parent).is_none()
            });
            if *guarded {
                return true;
            }
            above = self.tables.parent(parent);
        }
        false
    }
}

/// The nearest partitioned table above that has the guard which its partitions share.
fn root<'a>(tables: &'a Tables, column: &'a Column) -> &'a Column {
    let mut root = column;
    while let Some(parent) = tables.parent(root) {
        root = parent;
        if tables.guards(root).next().is_some() {
            break;
        }
    }
    root
}

/// Guarantees that the tables that the caller named are guarded, or that an error says why not.
fn answer_for_named(steps: &mut Vec<Step>, chosen: &Chosen, covered: &HashSet<u32>) {
    let is_done = |step: &&Step| matches!(step.outcome, Outcome::Change { .. } | Outcome::Unchanged);
    let mut reported = with_ancestors(steps.iter().filter(is_done));
    reported.extend(covered);
    let named: HashSet<u32> = chosen.named.iter().map(|(oid, _)| oid.to_u32()).collect();
    for step in steps.iter_mut() {
        let oid = step.oid.to_u32();
        if named.contains(&oid)
            && !reported.contains(&oid)
            && let Outcome::Skip(error) = &step.outcome
        {
            let error = error.clone();
            step.fail(error);
        }
    }
    reported.extend(steps.iter().map(|step| step.oid.to_u32()));
    for (oid, name) in chosen.named.iter().filter(|(oid, _)| !reported.contains(&oid.to_u32())) {
        let message = format!("no sequence feeds table {}", in_message(name));
        let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("A guard compares ids with the class that their sequence belongs to.")
            .hint("The view interleaved_sequences shows the tables whose ids come from sequences.");
        let detail = error.message.clone();
        steps.push(Step::of_table(*oid, name, Outcome::Fail(error), detail));
    }
}

/// The tables of steps, and their parents, near and far.
fn with_ancestors<'a>(steps: impl Iterator<Item = &'a Step>) -> HashSet<u32> {
    steps
        .flat_map(|step| [step.oid].into_iter().chain(step.ancestors.clone()))
        .map(pg_sys::Oid::to_u32)
        .collect()
}

/// Puts a guard on a column, or fixes the existing one.
fn put_guard(
    tables: &Tables,
    chosen: &Chosen,
    column: &Column,
    sequence: Option<pg_sys::Oid>,
    guard: Guard,
) -> Step {
    let partitions = tables.partitions(column);
    if let Some(error) = left_out(chosen, column, &partitions) {
        return Step::failed(column, sequence, error);
    }
    let (mut statements, mut locks, mut notes) = (Vec::new(), Locks::default(), Vec::new());
    let shared = |partition: &&Column| {
        let mut clones = tables.triggers(partition).iter().filter(|t| t.guards(partition) && t.is_clone);
        clones.any(|clone| clone.is_in_force(partition, guard))
    };
    let in_force = |name: &str| {
        let is_own = tables.guards(column).any(|own| own.name == name && own.is_in_force(column, guard));
        is_own && partitions.iter().all(shared)
    };
    let kept = tables.guards(column).find(|own| in_force(&own.name)).or_else(|| tables.guards(column).next());
    for other in tables.guards(column).filter(|own| kept.is_some_and(|kept| kept.name != own.name)) {
        statements.push(drop_statement(column, &other.name));
        locks.add_all(column, &partitions, pg_sys::AccessExclusiveLock);
        notes.push(format!("trigger {} dropped", other.name));
    }
    for partition in &partitions {
        for own in tables.guards(partition) {
            statements.push(drop_statement(partition, &own.name));
            let below = tables.partitions(partition);
            locks.add_all(partition, &below, pg_sys::AccessExclusiveLock);
            notes.push(format!("replaces the guard of {}", partition.table));
        }
    }
    let name = kept.map_or_else(|| free_name(tables, column, &partitions), |kept| kept.name.clone());
    if !in_force(&name) {
        statements.push(format!(
            "CREATE OR REPLACE TRIGGER {} AFTER INSERT OR {}UPDATE OF {} ON {} FOR EACH ROW EXECUTE FUNCTION {}({})",
            quoted(&name),
            if column.is_partitioned() { "DELETE OR " } else { "" },
            quoted(&column.name),
            column.table,
            tables.function,
            literals(guard)
        ));
        locks.add_all(column, &partitions, pg_sys::ShareRowExclusiveLock);
        notes.insert(
            0,
            match kept.map(|kept| kept.guard()) {
                None => guard.name(),
                Some(Some(former)) if former.mode != guard.mode => {
                    format!("{} to {}", former.mode.name(), guard.name())
                }
                Some(Some(former)) if former != guard => guard.name(),
                Some(_) => format!("{}, was disabled or altered", guard.name()),
            },
        );
    } else {
        notes.insert(0, guard.name());
    }
    change(column, &partitions, sequence, statements, locks, notes.join("; "))
}

/// Plans to drop the guards of the chosen tables.
pub(super) fn unguard(tables: &Tables, chosen: &Chosen) -> Vec<Step> {
    let mut steps = Vec::new();
    for column in tables.columns.iter().filter(|column| chosen.has(column)) {
        let guards: Vec<&str> = tables.guards(column).map(|guard| guard.name.as_str()).collect();
        if guards.is_empty() {
            continue;
        }
        let sequence = tables.sources(column).first().map(|source| source.sequence);
        let partitions = tables.partitions(column);
        if let Some(error) = left_out(chosen, column, &partitions) {
            steps.push(Step::failed(column, sequence, error));
            continue;
        }
        let statements = guards.iter().map(|guard| drop_statement(column, guard)).collect();
        let mut locks = Locks::default();
        locks.add_all(column, &partitions, pg_sys::AccessExclusiveLock);
        steps.push(change(column, &partitions, sequence, statements, locks, String::new()));
    }
    let reported = with_ancestors(steps.iter());
    let unguarded: HashSet<u32> = steps.iter().map(|step| step.oid.to_u32()).collect();
    for (oid, name) in chosen.named.iter().filter(|(oid, _)| !reported.contains(&oid.to_u32())) {
        let clone = tables.columns.iter().find(|column| {
            column.oid == *oid && tables.triggers(column).iter().any(|t| t.guards(column) && t.is_clone)
        });
        match clone {
            // The guard of its partitioned table is dropped in the same run.
            Some(column) if column.ancestors.iter().any(|above| unguarded.contains(&above.to_u32())) => {}
            Some(column) => {
                let error = guarded_with(column, root(tables, column));
                steps.push(Step::failed(column, None, error));
            }
            None => {
                steps.push(Step::of_table(*oid, name, Outcome::Unchanged, "not guarded".to_owned()));
            }
        }
    }
    steps
}

fn change(
    column: &Column,
    partitions: &[&Column],
    sequence: Option<pg_sys::Oid>,
    statements: Vec<String>,
    locks: Locks,
    detail: String,
) -> Step {
    if statements.is_empty() {
        return Step::new(column, sequence, Outcome::Unchanged, detail);
    }
    if let Some(other) = [column].iter().chain(partitions).find(|column| !column.is_owner) {
        let message = format!("must be owner of table {}", in_message(&other.table));
        let hint = "Run it as a role that owns every table, or leave the others out.";
        let error = Error::new(SqlState::InsufficientPrivilege, message).hint(hint);
        return Step::failed(column, sequence, error);
    }
    Step::new(column, sequence, Outcome::Change { statements, locks }, detail)
}

/// The error for a partition that is excluded while its partitioned table is not.
fn left_out(chosen: &Chosen, column: &Column, partitions: &[&Column]) -> Option<Error> {
    let partition = partitions.iter().find(|partition| chosen.excludes(partition.oid))?;
    let message = format!("cannot exclude partition {}", in_message(&partition.table));
    Some(
        Error::new(SqlState::InvalidParameterValue, message)
            .detail(format!(
                "The guard of table {} applies to all of its partitions.",
                in_message(&column.table)
            ))
            .hint("Exclude the partitioned table, and name individual partitions instead."),
    )
}

fn guarded_with(column: &Column, root: &Column) -> Error {
    let message =
        format!("partition {} is guarded with table {}", in_message(&column.table), in_message(&root.table));
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("Partitions share the guard of their partitioned table.")
        .hint("Name the partitioned table.")
}

/// A name that no trigger on the table or on its partitions has.
fn free_name(tables: &Tables, column: &Column, partitions: &[&Column]) -> String {
    let taken: HashSet<&str> = [column]
        .iter()
        .chain(partitions)
        .flat_map(|column| tables.triggers(column))
        .map(|trigger| trigger.name.as_str())
        .collect();
    let prefix = if column.is_partitioned() { PARTITIONED_PREFIX } else { PREFIX };
    let plain = format!("{prefix}{}", column.attribute);
    let mut name = plain.clone();
    let mut more = 1;
    while taken.contains(name.as_str()) {
        more += 1;
        name = format!("{plain}_{more}");
    }
    name
}

/// The arguments of the trigger, as string literals. They contain neither quotes nor backslashes.
fn literals(guard: Guard) -> String {
    let literals: Vec<String> = guard.arguments().iter().map(|argument| format!("'{argument}'")).collect();
    literals.join(", ")
}

fn drop_statement(column: &Column, trigger: &str) -> String {
    format!("DROP TRIGGER {} ON {}", quoted(trigger), column.table)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
