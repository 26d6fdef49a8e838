//! What follows a cut-over or its rollback, once the locks of all tables are released, and what
//! comes before the end: constraints that are validated, and columns that become NOT NULL. Each
//! step is a transaction of its own, and the catalogs say which are left.

use keyspace::Error;
use keyspace::migration::step::{Lock, Statement, Step};
use keyspace::migration::{Scope, settle as left};
use keyspace::sql::qualified;
use pgrx::prelude::*;

use super::runner::Runner;
use super::state::Migration;
use super::verify;
use crate::failpoint;
use crate::server::failure::Failure;

/// Does the next step after a cut-over or its rollback. Whether there may be more.
///
/// # Errors
/// Those of the statements.
pub(super) fn settle(runner: &mut Runner, migration: &Migration) -> Result<bool, Failure> {
    next(runner, migration, left::steps)
}

/// Does the next step before the end. Whether there may be more.
///
/// # Errors
/// Those of the statements.
pub(super) fn before_end(
    runner: &mut Runner,
    migration: &Migration,
    keep_old_ids: bool,
) -> Result<bool, Failure> {
    next(runner, migration, |scope| left::before_end(scope, keep_old_ids))
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
    runner: &mut Runner,
    migration: &Migration,
) -> Result<BeforeRollback, Failure> {
    let facts = migration.facts(runner.extension)?;
    let scope = Scope::new(&facts, &migration.options)?;
    let Some(step) = left::before_roll_back(&scope).into_iter().next() else {
        return Ok(BeforeRollback::Done);
    };
    // Before it is added, so that no check is left if this can be known; and before it is validated, when
    // no further row can come.
    if let Some(error) = verify::unfit_for_old_ids(runner.extension, migration, step.table)? {
        return Ok(BeforeRollback::Refused(error));
    }
    next(runner, migration, left::before_roll_back)?;
    Ok(BeforeRollback::More)
}

/// Removes the next check of a rollback that was refused. Whether there may be more.
///
/// # Errors
/// Those of the statements.
pub(super) fn without_roll_back(runner: &mut Runner, migration: &Migration) -> Result<bool, Failure> {
    next(runner, migration, left::without_roll_back)
}

/// Does the next step before a migration is removed. Whether there may be more. A migration whose columns
/// have been dropped can still be removed.
///
/// # Errors
/// Those of the statements.
pub(super) fn before_removal(runner: &mut Runner, migration: &Migration) -> Result<bool, Failure> {
    let facts = migration.facts(runner.extension)?;
    if Scope::new(&facts, &migration.options).is_err() {
        return Ok(false);
    }
    next(runner, migration, left::before_removal)
}

fn next(
    runner: &mut Runner,
    migration: &Migration,
    steps: impl Fn(&Scope<'_>) -> Vec<Step>,
) -> Result<bool, Failure> {
    let extension = runner.extension;
    let first = || -> Result<Option<(Step, String)>, Failure> {
        let facts = migration.facts(extension)?;
        let scope = Scope::new(&facts, &migration.options)?;
        let step = steps(&scope).into_iter().find(|step| !step.done);
        if let Some(refusal) = step.as_ref().and_then(|step| left::refusal(&scope, step)) {
            return Err(refusal.into());
        }
        Ok(step.map(|step| {
            let table = facts.table(step.table).map(|table| qualified(&table.schema, &table.name));
            (step, table.unwrap_or_default())
        }))
    };
    let Some((step, name)) = first()? else { return Ok(false) };
    let table = pg_sys::Oid::from(step.table);
    let other = step.other.map(|(other, lock)| (pg_sys::Oid::from(other), lock));
    let relations: Vec<(pg_sys::Oid, Lock)> =
        step.lock.map(|lock| (table, lock)).into_iter().chain(other).collect();
    let statements_under_locks = || {
        let is_same = first()?.is_some_and(|(now, _)| now.is_same(&step));
        let as_owner_of = step.evaluates.then_some(step.table);
        let statements = step.statements.iter().cloned().map(|text| Statement { text, as_owner_of });
        Ok(is_same.then(|| (statements.collect(), ())))
    };
    let Some((_, (), times)) =
        runner.in_locks(&migration.pace, &relations, statements_under_locks, "settle")?
    else {
        return Ok(true);
    };
    runner.log(Some(table), &step.action, &step.statements, times)?;
    failpoint::point(|| "settle: logged".to_owned());
    notice!("{name}: {}", step.action);
    Ok(true)
}
