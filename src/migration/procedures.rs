//! The procedures of a migration: how each begins, and the work between two commits.
//!
//! Each transaction reads the state of the migration again. So whatever interrupts a call, the next
//! call continues from there.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use keyspace::migration::nodes::{Form, LocalWrite, NodeStep};
use keyspace::migration::plan::Plan;
use keyspace::migration::step::{Lock, Runs, Statement, Step};
use keyspace::migration::{Facts, Phase, Scope, settle as left};
use keyspace::sql::qualified;
use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::backfill::{Backfill, Outcome};
use super::batch_error;
use super::cutover::{self, Ignored};
use super::lost_old_ids;
use super::next_table;
use super::nodes::origin::FillOrigin;
use super::nodes::steps::{self as node_steps, Opening};
use super::runner::{Runner, altered};
use super::settle::{self, BeforeRollback};
use super::state::{self, COLUMN, MIGRATION, Migration, Pace};
use super::throttle::Throttle;
use super::verify::{Compared, Comparison};
use crate::encoding::to_server;
use crate::error::or_raise;
use crate::failpoint;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::{Failure, or_fail};
use crate::server::names::name_argument;
use crate::server::prepared::Prepared;
use crate::server::procedure::Procedure;
use crate::server::relation::{existing_relation, relation_name};
use crate::server::transaction::check_transaction;
use crate::server::waiting::{backoff, flush_commits, pause};
use crate::server::work_lock::{SessionLock, WorkLock};

/// How often a paused migration checks whether it may continue.
const PAUSE_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How often a backfill that waits for others looks whether they have caught up.
const THROTTLE_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How often a call compares all values if replication changes them meanwhile.
const COMPARISONS: u32 = 3;
/// How often progress is reported.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// The task of a procedure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Advance {
        through: Phase,
        max_pages: Option<i64>,
    },
    CutOver {
        by_views: bool,
        ignored: Ignored,
    },
    RollBack,
    /// What is left after a cut-over or its rollback.
    Settle,
    Finalize {
        keep_old_ids: bool,
    },
    /// Makes writers on this node wait.
    Close,
    /// Lets them go on, or announces that.
    Open,
}

/// A procedure under way.
struct Progress {
    runner: Runner,
    task: Task,
    /// Steps that follow in the plan, and belong to the same phase.
    planned: VecDeque<Step>,
    /// Steps before or after a change of names, each of which is a transaction.
    left: settle::Left,
    /// Whether objects were altered before the locks of the last step were acquired.
    was_altered: bool,
    /// The current backfill.
    backfill: Option<Box<Backfill>>,
    /// The origin of its changes, if the migration is one on several nodes.
    origin: Option<FillOrigin>,
    throttle: Throttle,
    /// Tables with rows that no key can be added to, and the error that says so. The others are filled
    /// first.
    stuck: Vec<(u32, Error)>,
    /// How many rows were filled when the backfill last returned to rows without a key.
    returned_at: Option<i64>,
    /// Why the cut-over cannot be rolled back. What was prepared for it is undone first.
    refused_rollback: Option<Error>,
    /// The comparison of all values, if it has begun.
    comparison: Option<Comparison>,
    /// How often this call has compared all values.
    comparisons: u32,
    /// Whether this call has compared all values, or has checked whether it can cut over.
    compared: bool,
    /// Whether this call has gone on with an index that was built.
    finished_index: bool,
    /// Whether this call has let writers go on.
    has_opened: bool,
    /// How many pages this call has processed.
    pages: i64,
    /// The pause before the next batch.
    pause: Duration,
    /// The statement that reads its settings.
    pace: Prepared,
    reported_at: Instant,
    reported_pause: bool,
    /// Released when the procedure ends, also by an error.
    _lock: SessionLock,
}

/// Locks a migration for this session, over several transactions, until the lock is dropped.
///
/// # Errors
/// 55006 if another session holds it.
pub(super) fn lock(extension: Extension, relation: pg_sys::Oid) -> Result<SessionLock, Error> {
    WorkLock::new(MIGRATION.oid(extension)?, relation).take_for_session().ok_or_else(|| {
        let message =
            format!("another session is working on the key migration of table {}", relation_name(relation));
        Error::new(SqlState::ObjectInUse, message)
            .hint("Wait until it has finished. The view key_migration_progress shows its process.")
    })
}

/// Takes a migration through a phase. Declared in sql/migration/key_migration_procedures.sql, as are
/// the other three.
///
/// # Errors
/// 22004, 22023 for invalid arguments; 55P03 if a lock could not be acquired; those of [`begin`],
/// and those of the statements.
#[pg_extern(sql = false)]
fn key_migration_advance(
    migration: Option<pg_sys::Oid>,
    through: Option<&str>,
    max_pages: Option<i64>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let task = || {
        let through = required(through, "through").and_then(Phase::parse_through)?;
        match max_pages {
            Some(pages) if pages < 1 => {
                let message = format!("max_pages must be at least 1, not {pages}");
                Err(Error::new(SqlState::InvalidParameterValue, message))
            }
            _ => Ok(Task::Advance { through, max_pages }),
        }
    };
    run("key_migration_advance", migration, task, None, fcinfo);
}

/// Gives the new columns the names of the old ones.
///
/// # Errors
/// 22004, 22023 for an unknown way; otherwise as for [`key_migration_advance`].
#[pg_extern(sql = false)]
fn key_migration_cutover(
    migration: Option<pg_sys::Oid>,
    way: Option<&str>,
    ignore: Option<Vec<Option<String>>>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let task = || {
        let by_views = match required(way, "way")? {
            "rename" => false,
            "view" => true,
            other => {
                return Err(Error::new(SqlState::InvalidParameterValue, format!("unknown way \"{other}\""))
                    .hint("The way must be \"rename\" or \"view\"."));
            }
        };
        Ok(Task::CutOver { by_views, ignored: Ignored::parse(ignore)? })
    };
    run("key_migration_cutover", migration, task, None, fcinfo);
}

/// Takes the cut-over back or, before it, everything.
///
/// # Errors
/// As for [`key_migration_advance`].
#[pg_extern(sql = false)]
fn key_migration_rollback(
    migration: Option<pg_sys::Oid>,
    confirm: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    run("key_migration_rollback", migration, || Ok(Task::RollBack), confirm, fcinfo);
}

/// Ends a migration.
///
/// # Errors
/// As for [`key_migration_advance`].
#[pg_extern(sql = false)]
fn key_migration_finalize(
    migration: Option<pg_sys::Oid>,
    confirm: Option<&str>,
    keep_old_ids: Option<bool>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let task = || Ok(Task::Finalize { keep_old_ids: required(keep_old_ids, "keep_old_ids")? });
    run("key_migration_finalize", migration, task, confirm, fcinfo);
}

/// Makes writers on this node wait, while apply goes on. Declared in
/// sql/migration/key_migration_nodes.sql, as is the other one.
///
/// # Errors
/// 55000 if the migration is one of this node alone, or if other nodes are not as far; otherwise as for
/// [`key_migration_advance`].
#[pg_extern(sql = false)]
fn key_migration_close(migration: Option<pg_sys::Oid>, fcinfo: pg_sys::FunctionCallInfo) {
    run("key_migration_close", migration, || Ok(Task::Close), None, fcinfo);
}

/// Lets writers on this node go on without a change of names.
///
/// # Errors
/// 55000 if they do not wait, or if other nodes do not know of it yet; otherwise as for
/// [`key_migration_close`].
#[pg_extern(sql = false)]
fn key_migration_open(migration: Option<pg_sys::Oid>, fcinfo: pg_sys::FunctionCallInfo) {
    run("key_migration_open", migration, || Ok(Task::Open), None, fcinfo);
}

/// Runs a procedure: its first transaction begins it, and each further one does a step.
fn run(
    name: &str,
    migration: Option<pg_sys::Oid>,
    task: impl FnOnce() -> Result<Task, Error>,
    confirm: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let procedure = or_raise(Procedure::begin(fcinfo, name, "It commits after each of its steps."));
    let start = || {
        let relation = or_raise(existing_relation(migration, "migration"));
        let task = or_raise(task());
        or_fail(begin(or_raise(Extension::of_call(fcinfo)), relation, task, confirm))
    };
    let mut progress = procedure.in_transaction(|| {}, start);
    // The extension may have been dropped, or moved, between two transactions.
    loop {
        let rest = progress.rest();
        let next = || {
            progress.runner.extension = or_raise(Extension::of_call(fcinfo));
            or_fail(progress.next())
        };
        if !procedure.in_transaction(rest, next) {
            break;
        }
    }
}

/// # Errors
/// 42501 without the privileges, 42704 if the table is not being migrated, 55000 out of order,
/// 55006 if another session works on the migration.
fn begin(
    extension: Extension,
    relation: pg_sys::Oid,
    task: Task,
    confirm: Option<&str>,
) -> Result<Progress, Failure> {
    check_transaction(match task {
        Task::Advance { .. } => c"key_migration_advance()",
        Task::CutOver { .. } => c"key_migration_cutover()",
        Task::RollBack | Task::Settle => c"key_migration_rollback()",
        Task::Finalize { .. } => c"key_migration_finalize()",
        Task::Close => c"key_migration_close()",
        Task::Open => c"key_migration_open()",
    })?;
    state::check_may_write()?;
    let relation = state::migration_of(extension, relation)?;
    let migration = state::existing(extension, relation)?;
    let lock = lock(extension, relation)?;
    match task {
        Task::Finalize { .. } => cutover::check_confirmation(&migration, extension, confirm)?,
        Task::RollBack => cutover::check_removal(&migration, extension, confirm)?,
        Task::Close | Task::Open => node_steps::check_several(&migration)?,
        Task::Advance { .. } | Task::CutOver { .. } | Task::Settle => {}
    }
    // A cut-over that was interrupted after its first transaction continues.
    let is_left = matches!(task, Task::CutOver { .. }) && migration.options.cut_over && {
        let facts = migration.facts(extension)?;
        !left::steps(&Scope::new(&facts, &migration.options)?).is_empty()
    };
    let task = if is_left { Task::Settle } else { task };
    if migration.options.cut_over
        && let Task::Advance { .. } | Task::CutOver { .. } = task
    {
        let argument = name_argument(relation);
        let message =
            format!("the key migration of table {} has already been cut over", relation_name(relation));
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .hint(format!(
                "CALL key_migration_finalize({argument}, confirm => ...) to end it, or key_migration_rollback({argument}) to roll back the cut-over."
            ))
            .into());
    }
    state::write(
        "UPDATE {} SET pid = pg_backend_pid(), tries = 0, throttled_by = NULL WHERE {own} AND relation = $3",
        MIGRATION,
        extension,
        relation,
        [],
    )?;
    Ok(Progress {
        runner: Runner::new(extension, relation),
        task,
        planned: VecDeque::new(),
        left: settle::Left::default(),
        was_altered: false,
        backfill: None,
        origin: None,
        throttle: Throttle::new(),
        stuck: Vec::new(),
        returned_at: None,
        refused_rollback: None,
        comparison: None,
        comparisons: 0,
        compared: false,
        finished_index: false,
        has_opened: false,
        pages: 0,
        pause: Duration::ZERO,
        pace: Prepared::default(),
        reported_at: Instant::now(),
        reported_pause: false,
        _lock: lock,
    })
}

impl Progress {
    /// The rest before the next step, in which no lock is held.
    fn rest(&mut self) -> impl FnOnce() + use<> {
        let (tries, length) = (self.runner.tries, std::mem::take(&mut self.pause));
        move || {
            if tries > 0 {
                pause(backoff(tries));
            } else if !length.is_zero() {
                // Other sessions that commit during the pause then need not flush this WAL.
                flush_commits();
                pause(length);
            }
        }
    }

    /// Does the next step in this transaction. Whether there are more.
    fn next(&mut self) -> Result<bool, Failure> {
        state::check_may_write()?;
        self.runner.end_if_failed();
        // During a backfill, only the settings that can change at any time are read again.
        if let (Some(mut backfill), Task::Advance { max_pages, .. }) = (self.backfill.take(), self.task)
            && let Some(pace) = Pace::current(&mut self.pace, self.runner.extension, self.runner.relation)?
        {
            if self.is_paused(&pace) {
                backfill.rest();
                self.backfill = Some(backfill);
                return Ok(true);
            }
            return self.fill(&pace, backfill, max_pages);
        }
        let migration = state::existing(self.runner.extension, self.runner.relation)?;
        if self.is_paused(&migration.pace) {
            return Ok(true);
        }
        let done = match self.task {
            Task::Advance { through, max_pages } => self.advance(&migration, through, max_pages),
            Task::CutOver { by_views, ignored } if !std::mem::replace(&mut self.compared, true) => {
                cutover::check_start(&self.runner, &migration, by_views, ignored).map(|()| true)
            }
            Task::CutOver { by_views, ignored } => {
                let done = cutover::cut_over(&mut self.runner, &migration, by_views, ignored);
                self.then_settle(done)
            }
            Task::Close => cutover::close(&mut self.runner, &migration),
            Task::Open => self.open(&migration),
            Task::RollBack if migration.options.cut_over => self.roll_back(&migration),
            Task::RollBack => self.remove(&migration),
            Task::Settle => settle::settle(&mut self.left, &mut self.runner, &migration),
            Task::Finalize { keep_old_ids: true } if lost_old_ids::are_lost(&self.runner, &migration)? => {
                lost_old_ids::end(&mut self.runner, &migration)
            }
            // Compare in a separate transaction, so that its locks are released before exclusive
            // locks are acquired.
            Task::Finalize { keep_old_ids } if !std::mem::replace(&mut self.compared, true) => {
                if node_steps::is_checked(self.runner.extension, &migration)? {
                    return Ok(true);
                }
                cutover::check_end(&self.runner, &migration, keep_old_ids).map(|()| true)
            }
            Task::Finalize { keep_old_ids }
                if settle::before_end(&mut self.left, &mut self.runner, &migration, keep_old_ids)? =>
            {
                Ok(true)
            }
            Task::Finalize { .. } if node_steps::check_before_close(self.runner.extension, &migration)? => {
                notice!(
                    "the key migration of table {} can be finalized; CALL key_migration_close() on all nodes, pass their states to each other, and call key_migration_finalize() again",
                    relation_name(self.runner.relation)
                );
                Ok(false)
            }
            Task::Finalize { keep_old_ids } => cutover::finalize(&mut self.runner, &migration, keep_old_ids),
        };
        match done {
            // Nothing has been done in this transaction: even reading the facts failed because of a
            // lock.
            Err(Failure::Refused(error)) if error.sqlstate == SqlState::LockNotAvailable => {
                self.compared = false;
                self.runner.again(&migration.pace, error).map(|()| true)
            }
            done => done,
        }
    }

    /// Lets writers go on, or announces it.
    fn open(&mut self, migration: &Migration) -> Result<bool, Failure> {
        let extension = self.runner.extension;
        match node_steps::opening(extension, migration)? {
            Opening::Announce => {
                node_steps::allow(extension, migration, NodeStep::Withdraw)?;
                node_steps::taken(extension, migration, NodeStep::Withdraw)?;
                notice!(
                    "writers on this node will go on; pass key_migration_node_state() to all other nodes, and their states to this one, and call key_migration_open() again"
                );
                Ok(false)
            }
            Opening::Open => {
                node_steps::allow(extension, migration, NodeStep::Open)?;
                node_steps::taken(extension, migration, NodeStep::Open)?;
                self.has_opened = true;
                Ok(true)
            }
            // What is left of an earlier call.
            Opening::Done => {
                let has_fence = cutover::has_fence(&self.runner, migration)?;
                if !has_fence && !self.has_opened {
                    node_steps::allow(extension, migration, NodeStep::Withdraw)?;
                }
                self.has_opened = true;
                if has_fence { cutover::drop_fence(&mut self.runner, migration) } else { Ok(false) }
            }
        }
    }

    /// Removes what was prepared.
    fn remove(&mut self, migration: &Migration) -> Result<bool, Failure> {
        let (extension, step) = (self.runner.extension, NodeStep::Change(Form::Unprepared));
        // Before anything is done for it.
        if node_steps::is_left(extension, migration, step)? {
            node_steps::allow(extension, migration, step)?;
        }
        if settle::before_removal(&mut self.left, &mut self.runner, migration)? {
            return Ok(true);
        }
        cutover::roll_back(&mut self.runner, migration)
    }

    /// Rolls back a cut-over, once it is certain that every row has an old id.
    fn roll_back(&mut self, migration: &Migration) -> Result<bool, Failure> {
        // Before anything is prepared for it.
        node_steps::allow(self.runner.extension, migration, NodeStep::Change(Form::OldIds))?;
        if let Some(error) = &self.refused_rollback {
            let error = error.clone();
            return if settle::without_roll_back(&mut self.left, &mut self.runner, migration)? {
                Ok(true)
            } else {
                Err(error.into())
            };
        }
        match settle::before_roll_back(&mut self.left, &mut self.runner, migration)? {
            BeforeRollback::More => Ok(true),
            BeforeRollback::Refused(error) => {
                self.refused_rollback = Some(error);
                Ok(true)
            }
            BeforeRollback::Done => {
                let done = cutover::roll_back(&mut self.runner, migration);
                self.then_settle(done)
            }
        }
    }

    /// After a cut-over or its rollback, what is left follows in transactions of its own.
    fn then_settle(&mut self, is_left: Result<bool, Failure>) -> Result<bool, Failure> {
        if !is_left? && !self.runner.has_failed() {
            self.task = Task::Settle;
        }
        Ok(true)
    }

    /// Whether the migration is paused. If it is, it rests before it looks again.
    fn is_paused(&mut self, pace: &Pace) -> bool {
        if !pace.is_paused {
            self.reported_pause = false;
            return false;
        }
        if !std::mem::replace(&mut self.reported_pause, true) {
            notice!("the key migration of table {} is paused", relation_name(self.runner.relation));
        }
        self.pause = PAUSE_POLL_INTERVAL;
        true
    }

    fn advance(
        &mut self,
        migration: &Migration,
        through: Phase,
        max_pages: Option<i64>,
    ) -> Result<bool, Failure> {
        if self.comparison.is_some() {
            return self.compare(migration);
        }
        // It is planned again under its locks, with its own tables alone.
        if let Some(step) = self.planned.pop_front_if(|step| is_by_statements(step)) {
            return self.run(migration, through, &step);
        }
        let (facts, plan) = self.plan(migration, through)?;
        if let Some(refusal) = plan.refusal() {
            return Err(refusal.clone().into());
        }
        let next = next_step(&plan, through, &self.stuck);
        if !migration.options.nodes.is_empty()
            && self.node_step(migration, through, next.map(|step| step.phase))?
        {
            return Ok(true);
        }
        // Nothing after the backfill works without all keys.
        if next.is_none_or(|step| step.phase > Phase::Backfilled)
            && let Some((_, error)) = self.stuck.first()
        {
            return Err(error.clone().into());
        }
        let Some(step) = next else {
            notice!(
                "the key migration of table {} is {}",
                relation_name(self.runner.relation),
                super::plan::phase(migration, &plan).name()
            );
            return Ok(false);
        };
        match step.runs {
            Runs::Batches => {
                if max_pages.is_some_and(|most| self.pages >= most) {
                    return Ok(false);
                }
                let backfill = Backfill::new(&facts, migration, pg_sys::Oid::from(step.table));
                self.fill(&migration.pace, Box::new(backfill), max_pages)
            }
            // The index that this call had to go on with is done, and the next one comes first.
            Runs::Client if self.finished_index && through == Phase::Indexed => Ok(false),
            Runs::Client => Err(self.needs_client(&plan, step).into()),
            _ if is_by_statements(step) => self.run(migration, through, step),
            _ => self.compare(migration),
        }
    }

    /// Whether other nodes allow the next phase. If this node has come to the end of one, stores that, and
    /// returns whether it did.
    fn node_step(
        &mut self,
        migration: &Migration,
        through: Phase,
        next: Option<Phase>,
    ) -> Result<bool, Failure> {
        let extension = self.runner.extension;
        let prepare = NodeStep::Change(Form::OldIds);
        if next.is_none_or(|phase| phase > Phase::Prepared) {
            if node_steps::is_left(extension, migration, prepare)? {
                node_steps::taken(extension, migration, prepare)?;
                return Ok(true);
            }
        } else if node_steps::is_left(extension, migration, prepare)? {
            node_steps::allow(extension, migration, prepare)?;
        } else {
            node_steps::check_agreement(extension, migration)?;
        }
        if next.is_none_or(|phase| phase > Phase::Backfilled) {
            let is_filled = through >= Phase::Backfilled && self.stuck.is_empty();
            if is_filled && node_steps::is_left(extension, migration, NodeStep::Fill)? {
                node_steps::allow(extension, migration, NodeStep::Fill)?;
                node_steps::taken(extension, migration, NodeStep::Fill)?;
                return Ok(true);
            }
        } else if next == Some(Phase::Backfilled) {
            node_steps::allow(extension, migration, NodeStep::Fill)?;
            if self.origin.is_none() {
                self.origin = Some(FillOrigin::take(self.runner.relation)?);
            }
        }
        Ok(false)
    }

    /// The plan. Reading the catalogs about all tables for each step would take most of the time if
    /// there are many. So the steps of a phase are planned together, and each one is planned once more
    /// with its own tables alone: under its locks, or before its batches. So is a table that this call
    /// fills a part of.
    fn plan(&mut self, migration: &Migration, through: Phase) -> Result<(Facts, Plan), Failure> {
        if let Some(planned) = self.planned.pop_front() {
            let (facts, plan) = migration.plan_of(self.runner.extension, &planned.tables())?;
            if next_step(&plan, through, &self.stuck).is_some_and(|step| step.is_same(&planned)) {
                return Ok((facts, plan));
            }
            self.planned.clear();
        }
        if let Task::Advance { max_pages: Some(_), .. } = self.task {
            let is_stuck = |table| self.stuck.iter().any(|(stuck, _)| *stuck == table);
            if let Some(table) = next_table::to_fill(migration, is_stuck)? {
                let (facts, plan) = migration.plan_of(self.runner.extension, &[table])?;
                let is_it = |step: &Step| step.phase == Phase::Backfilled && step.table == table;
                if next_step(&plan, through, &self.stuck).is_some_and(is_it) {
                    return Ok((facts, plan));
                }
            }
        }
        let (facts, plan) = migration.plan(self.runner.extension)?;
        let mut left: VecDeque<Step> = plan.left(through).filter(is_by_procedure).cloned().collect();
        if let Some(first) = left.pop_front() {
            left.retain(|step| step.phase == first.phase);
        }
        self.planned = left;
        Ok((facts, plan))
    }

    /// Compares all values, unless replication keeps changing them.
    fn compare(&mut self, migration: &Migration) -> Result<bool, Failure> {
        if self.comparisons >= COMPARISONS {
            let message = format!(
                "values of the key migration of table {} were changed while they were compared",
                relation_name(self.runner.relation)
            );
            return Err(Error::new(SqlState::ObjectInUse, message)
                .detail("Replication, or sessions in the role of a replica, change rows in a way that cannot be corrected at once.")
                .hint("Try again once the rows that they refer to have arrived.")
                .into());
        }
        let extension = self.runner.extension;
        let mut comparison = match self.comparison.take() {
            Some(comparison) => comparison,
            None => Comparison::new(extension, migration)?,
        };
        let compared = comparison.next(extension, migration);
        // The next transaction goes on, also after it could not acquire a lock.
        if matches!(compared, Ok(Compared::More) | Err(_)) {
            self.comparison = Some(comparison);
        }
        match compared? {
            Compared::More => Ok(true),
            Compared::Equal => {
                self.comparisons += 1;
                Ok(true)
            }
            Compared::Different(tables, error) => self.return_to(&tables, error),
        }
    }

    /// Lets the backfill return to tables that have rows without a key.
    ///
    /// # Errors
    /// `error` if there is no such table, or if nothing was filled since it last returned.
    fn return_to(&mut self, tables: &[pg_sys::Oid], error: Error) -> Result<bool, Failure> {
        let filled = state::filled_rows(self.runner.extension, self.runner.relation)?;
        if tables.is_empty() || self.returned_at == Some(filled) {
            return Err(error.into());
        }
        self.returned_at = Some(filled);
        for table in tables {
            notice!("rows of table {} may lack a key, so the backfill looks for them", relation_name(*table));
            state::reopen_backfill(self.runner.extension, self.runner.relation, *table)?;
        }
        Ok(true)
    }

    /// The error for rows to which the backfill can give no key.
    fn keyless(&self, table: pg_sys::Oid) -> Error {
        let message = format!("rows of table {} have no key, and none can be computed", relation_name(table));
        Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("They refer to rows that do not exist, although a foreign key forbids this.")
            .hint(format!(
                "SELECT * FROM key_migration_verify({}) shows them. Correct what they refer to, and try again.",
                name_argument(self.runner.relation)
            ))
    }

    fn needs_client(&self, plan: &Plan, step: &Step) -> Error {
        let left =
            plan.left(step.phase).filter(|step| step.runs == Runs::Client && step.phase == Phase::Indexed);
        let message = match left.count() {
            1 => "1 index must be built first".to_owned(),
            count => format!("{count} indexes must be built first"),
        };
        Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("Indexes cannot be built concurrently inside a procedure.")
            .hint(format!(
                "In psql, run \\set ON_ERROR_STOP on, then SELECT statement FROM key_migration_statements({}) \\gexec. Or run these statements one by one.",
                name_argument(self.runner.relation)
            ))
    }

    fn fill(
        &mut self,
        pace: &Pace,
        mut backfill: Box<Backfill>,
        max_pages: Option<i64>,
    ) -> Result<bool, Failure> {
        let Runner { extension, relation, .. } = self.runner;
        if self.throttle.waits(extension, relation, pace, backfill.table())? {
            self.backfill = Some(backfill);
            self.pause = THROTTLE_POLL_INTERVAL;
            return Ok(true);
        }
        let left = max_pages.map(|most| (most - self.pages).max(1));
        if let Some(origin) = &self.origin {
            origin.use_in_transaction(LocalWrite::Fill);
        }
        let batch = backfill.batch(&self.runner, pace, left)?;
        self.pages += batch.pages;
        self.pause = pace.pause;
        let more = match batch.outcome {
            Outcome::Written => {
                self.runner.succeeded()?;
                true
            }
            Outcome::Complete(times) => {
                self.runner.log(Some(backfill.table()), "backfill existing rows", &[], times)?;
                false
            }
            Outcome::Stuck(error) => {
                self.stuck.push((backfill.table().to_u32(), error));
                false
            }
            Outcome::Waits => true,
            Outcome::Rests(pause) => {
                self.pause = pause.max(pace.pause);
                true
            }
            Outcome::Failed(error) => {
                let error = batch_error::located(error, backfill.table(), backfill.page());
                self.runner.failed(pace, error)?;
                true
            }
        };
        if self.reported_at.elapsed() >= PROGRESS_INTERVAL {
            self.reported_at = Instant::now();
            backfill.report_progress();
        }
        let is_enough = max_pages.is_some_and(|most| self.pages >= most || !more);
        if more {
            self.backfill = Some(backfill);
        }
        Ok(self.runner.has_failed() || !is_enough)
    }

    /// Runs a step; returns without an error if it must be tried again.
    fn run(&mut self, migration: &Migration, through: Phase, step: &Step) -> Result<bool, Failure> {
        let table = pg_sys::Oid::from(step.table);
        let lock = step.lock.map(|lock| (table, lock));
        let other = step.other.map(|(other, lock)| (pg_sys::Oid::from(other), lock));
        let relations: Vec<(pg_sys::Oid, Lock)> = lock.into_iter().chain(other).collect();
        let phase = step.phase.name();
        // The next step must still be the same. The objects that it was made from may have been
        // altered before they were locked, and names could then mean other objects.
        let extension = self.runner.extension;
        let was_altered = self.was_altered;
        let is_altered = Cell::new(false);
        let statements_under_locks = || {
            let (facts, plan) = if was_altered {
                migration.plan(extension)?
            } else {
                migration.plan_of(extension, &step.tables())?
            };
            if let Some(refusal) = plan.refusal() {
                return Err(refusal.clone().into());
            }
            let is_same = next_step(&plan, through, &[]).is_some_and(|now| now.is_same(step));
            is_altered.set(!is_same);
            let as_owner_of = step.evaluates.then_some(step.table);
            let statements = step.statements.iter().cloned().map(|text| Statement { text, as_owner_of });
            Ok(is_same.then(|| (statements.collect(), facts)))
        };
        let Some((_, facts, times)) =
            self.runner.in_locks(&migration.pace, &relations, statements_under_locks, phase)?
        else {
            if step.phase == Phase::Validated && self.runner.forget_missing_value() {
                self.planned.clear();
                return self.return_to(&[table], self.keyless(table));
            }
            self.was_altered = is_altered.get();
            if self.was_altered {
                self.planned.clear();
            } else {
                // The same once more; the rest of the phase need not be planned again.
                self.planned.push_front(step.clone());
            }
            return Ok(true);
        };
        self.was_altered = false;
        self.finished_index |= step.phase == Phase::Indexed;
        if step.phase == Phase::Prepared {
            self.keep_columns(&facts, migration, step.table)?;
        }
        self.runner.log(Some(table), &step.action, &step.statements, times)?;
        failpoint::point(|| format!("{phase}: logged"));
        let name = facts.table(step.table).map(|table| qualified(&table.schema, &table.name));
        notice!("{}: {}", name.unwrap_or_default(), step.action);
        Ok(true)
    }

    /// Stores the new columns of a table.
    ///
    /// # Errors
    /// 55006 if the table was altered concurrently.
    fn keep_columns(&self, before: &Facts, migration: &Migration, table: u32) -> Result<(), Failure> {
        let scope = Scope::new(before, &migration.options)?;
        for member in scope.members_of(table) {
            let name = to_server(&member.shadow_name);
            // SAFETY: looks up a catalog by OID and by a NUL-terminated name.
            let number = unsafe { pg_sys::get_attnum(pg_sys::Oid::from(table), name.as_ptr()) };
            if number != member.shadow_number {
                return Err(altered(pg_sys::Oid::from(table)).into());
            }
            state::write(
                // Those of a table that the plan did not have at first are known from now on.
                &format!(
                    "INSERT INTO {{}} (system_identifier, database, migration, relation, attribute, new_attribute, declared, \
                                 key_relation, known_triggers) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, {}) \
                 ON CONFLICT (system_identifier, database, relation, attribute) DO UPDATE \
                 SET new_attribute = EXCLUDED.new_attribute, declared = EXCLUDED.declared, \
                     key_relation = EXCLUDED.key_relation",
                    state::TRIGGERS
                ),
                COLUMN,
                self.runner.extension,
                self.runner.relation,
                [
                    pg_sys::Oid::from(table).into(),
                    member.old_id.number.into(),
                    number.into(),
                    member.declared.into(),
                    pg_sys::Oid::from(member.key).into(),
                ],
            )?;
        }
        // Existing rows must be filled, even if they were filled in a column that was dropped.
        // While the trigger was missing, anything may have been written.
        state::restart_backfill(self.runner.extension, self.runner.relation, pg_sys::Oid::from(table))?;
        Ok(())
    }
}

/// The next step on the way to a phase. Tables that are stuck are left out.
fn next_step<'a>(plan: &'a Plan, through: Phase, stuck: &[(u32, Error)]) -> Option<&'a Step> {
    let is_stuck = |step: &Step| stuck.iter().any(|(table, _)| *table == step.table);
    plan.left(through).filter(is_by_procedure).find(|step| step.phase != Phase::Backfilled || !is_stuck(step))
}

/// Whether a step runs statements under locks, in one transaction.
fn is_by_statements(step: &Step) -> bool {
    matches!(step.runs, Runs::Advance | Runs::Procedure) && step.phase != Phase::Verified
}

/// Whether a step concerns the procedure: a VACUUM between the parts of a backfill does not.
fn is_by_procedure(step: &&Step) -> bool {
    step.phase != Phase::Backfilled || step.runs == Runs::Batches
}
