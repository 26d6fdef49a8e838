//! What follows a cut-over or its rollback, once the locks of all tables are released, and what
//! comes before the end: constraints that are validated, and columns that become NOT NULL. Each
//! step is a transaction of its own, and the catalogs say which are left.

use std::cell::Cell;
use std::collections::VecDeque;

use keyspace::Error;
use keyspace::migration::step::{Lock, Statement, Step};
use keyspace::migration::{Facts, Scope, settle as left};
use keyspace::sql::qualified;
use pgrx::prelude::*;

use super::runner::Runner;
use super::state::Migration;
use super::verify;
use crate::failpoint;
use crate::server::failure::Failure;

/// The steps that are left of a procedure, as the catalogs about all tables said. To read these for each
/// step would take most of the time if there are many tables or partitions. So a step that is known is only
/// compared with the catalogs about its own tables, under its locks.
#[derive(Default)]
pub(super) struct Left {
    steps: VecDeque<Step>,
    /// Whether objects were altered before the locks of the last step were acquired. Then the catalogs about
    /// all tables are read under the locks, too.
    was_altered: bool,
}

/// Which steps of a migration are meant.
type Steps<'a> = &'a dyn Fn(&Scope<'_>) -> Vec<Step>;

impl Left {
    /// The next step, if there is one.
    fn first(
        &mut self,
        runner: &Runner,
        migration: &Migration,
        steps: Steps<'_>,
    ) -> Result<Option<Step>, Failure> {
        if self.steps.is_empty() {
            let facts = migration.facts(runner.extension)?;
            let scope = Scope::new(&facts, &migration.options)?;
            self.steps = steps(&scope).into_iter().filter(|step| !step.done).collect();
            if let Some(refusal) = self.steps.front().and_then(|step| left::refusal(&scope, step)) {
                return Err(refusal.into());
            }
        }
        Ok(self.steps.pop_front())
    }

    /// Does the next step. Whether there may be more.
    fn next(
        &mut self,
        runner: &mut Runner,
        migration: &Migration,
        steps: Steps<'_>,
    ) -> Result<bool, Failure> {
        let Some(step) = self.first(runner, migration, steps)? else { return Ok(false) };
        self.run(runner, migration, steps, step)?;
        Ok(true)
    }

    /// Runs a step; returns without an error if it must be tried again.
    fn run(
        &mut self,
        runner: &mut Runner,
        migration: &Migration,
        steps: Steps<'_>,
        step: Step,
    ) -> Result<(), Failure> {
        let extension = runner.extension;
        let table = pg_sys::Oid::from(step.table);
        let other = step.other.map(|(other, lock)| (pg_sys::Oid::from(other), lock));
        let relations: Vec<(pg_sys::Oid, Lock)> =
            step.lock.map(|lock| (table, lock)).into_iter().chain(other).collect();
        let tables = step.tables();
        let only = (!self.was_altered).then_some(tables.as_slice());
        let is_altered = Cell::new(false);
        let statements_under_locks = || {
            let facts = migration.facts_of(extension, only)?;
            let scope = Scope::new(&facts, &migration.options)?;
            let now = steps(&scope).into_iter().find(|step| !step.done);
            if let Some(refusal) = now.as_ref().and_then(|step| left::refusal(&scope, step)) {
                return Err(refusal.into());
            }
            let is_same = now.is_some_and(|now| now.is_same(&step));
            is_altered.set(!is_same);
            let as_owner_of = step.evaluates.then_some(step.table);
            let statements = step.statements.iter().cloned().map(|text| Statement { text, as_owner_of });
            let name = table_name(&facts, step.table);
            Ok(is_same.then(|| (statements.collect(), name)))
        };
        let done = runner.in_locks(&migration.pace, &relations, statements_under_locks, "settle")?;
        self.was_altered = is_altered.get();
        let Some((_, name, times)) = done else {
            if self.was_altered {
                self.steps.clear();
            } else {
                self.steps.push_front(step);
            }
            return Ok(());
        };
        runner.log(Some(table), &step.action, &step.statements, times)?;
        failpoint::point(|| "settle: logged".to_owned());
        notice!("{name}: {}", step.action);
        Ok(())
    }
}

/// A table as SQL writes it.
fn table_name(facts: &Facts, table: u32) -> String {
    facts.table(table).map(|table| qualified(&table.schema, &table.name)).unwrap_or_default()
}

/// Does the next step after a cut-over or its rollback. Whether there may be more.
///
/// # Errors
/// Those of the statements.
pub(super) fn settle(all: &mut Left, runner: &mut Runner, migration: &Migration) -> Result<bool, Failure> {
    all.next(runner, migration, &left::steps)
}

/// Does the next step before the end. Whether there may be more.
///
/// # Errors
/// Those of the statements.
pub(super) fn before_end(
    all: &mut Left,
    runner: &mut Runner,
    migration: &Migration,
    keep_old_ids: bool,
) -> Result<bool, Failure> {
    all.next(runner, migration, &|scope| left::before_end(scope, keep_old_ids))
}

/// What a step before the rollback of a cut-over has found.
pub(super) enum BeforeRollback {
    /// There may be more steps.
    More,
    Done,
    /// Some rows cannot return to old ids.
    Refused(Error),
}

/// Does the next step before the rollback of a cut-over.
///
/// # Errors
/// Those of the statements.
pub(super) fn before_roll_back(
    all: &mut Left,
    runner: &mut Runner,
    migration: &Migration,
) -> Result<BeforeRollback, Failure> {
    let Some(step) = all.first(runner, migration, &left::before_roll_back)? else {
        return Ok(BeforeRollback::Done);
    };
    // Before it is added, so that no check is left if this can be known; and before it is validated, when
    // no further row can come.
    if let Some(error) = verify::unfit_for_old_ids(runner.extension, migration, step.table)? {
        // Those that remove what was added follow.
        *all = Left::default();
        return Ok(BeforeRollback::Refused(error));
    }
    all.run(runner, migration, &left::before_roll_back, step)?;
    Ok(BeforeRollback::More)
}

/// Removes the next check of a rollback that was refused. Whether there may be more.
///
/// # Errors
/// Those of the statements.
pub(super) fn without_roll_back(
    all: &mut Left,
    runner: &mut Runner,
    migration: &Migration,
) -> Result<bool, Failure> {
    all.next(runner, migration, &left::without_roll_back)
}

/// Does the next step before a migration is removed. Whether there may be more. A migration whose columns
/// have been dropped can still be removed.
///
/// # Errors
/// Those of the statements.
pub(super) fn before_removal(
    all: &mut Left,
    runner: &mut Runner,
    migration: &Migration,
) -> Result<bool, Failure> {
    // What is known of its steps was read when they had columns.
    if all.steps.is_empty() {
        let facts = migration.facts(runner.extension)?;
        if Scope::new(&facts, &migration.options).is_err() {
            return Ok(false);
        }
    }
    all.next(runner, migration, &left::before_removal)
}
