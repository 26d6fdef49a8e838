//! Statistics on the new columns. Without them the planner guesses, and queries that were fast on the old
//! ids can be slow after the cut-over. They come before the validation of foreign keys, which is a
//! query, too.

use super::facts::Table;
use super::member::Member;
use super::phase::Phase;
use super::scope::Scope;
use super::step::{Lock, Step};
use crate::sql::qualified;

/// The first version that can analyze a partitioned table without its partitions.
const ANALYZE_ONLY: i32 = 18;

/// The steps of a table. Those of partitions come one by one, before the statistics about all of them.
pub(super) fn steps(scope: &Scope<'_>, table: &Table) -> Vec<Step> {
    let is_done = !is_missing(scope, table);
    let mut steps = Vec::new();
    let mut only = "";
    if table.is_partitioned() && scope.facts.major >= ANALYZE_ONLY {
        only = "ONLY ";
        for partition in scope.with_rows(table) {
            // Those of a later partition are a matter for autovacuum.
            steps.push(step(partition, "", is_done || !is_missing(scope, partition)));
        }
    }
    steps.push(step(table, only, is_done));
    steps
}

fn is_missing(scope: &Scope<'_>, table: &Table) -> bool {
    let is_missing = |member: &Member<'_>| {
        member.shadow.is_none_or(|shadow| !table.is_empty && !shadow.has_statistics && !shadow.statistics_off)
    };
    scope.members_of(table.oid).any(is_missing)
}

fn step(table: &Table, only: &str, done: bool) -> Step {
    // All columns: a list would leave out statistics objects, with a warning.
    let statements = vec![format!("ANALYZE {only}{}", qualified(&table.schema, &table.name))];
    let mut step = Step::new(Phase::Validated, table, "collect statistics on the new columns", statements);
    step.lock = Some(Lock::ShareUpdateExclusive);
    step.rows = table.rows;
    step.is_statistics = true;
    step.evaluates = true;
    step.done = done;
    if done {
        step.statements.clear();
    }
    step
}
