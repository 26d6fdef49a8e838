//! What the procedures do between two commits.
//!
//! Each transaction reads anew where the migration stands, so whatever ends one, the next call goes on from there.

use std::cell::Cell;
use std::time::{Duration, Instant};

use keyspace::migration::names::qualified;
use keyspace::migration::plan::{Lock, Plan, Runs, Statement, Step};
use keyspace::migration::{Facts, Phase};
use keyspace::{Error, SqlState};
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;
use pgrx::{PgRelation, PgSqlErrorCode};

use super::backfill::Filling;
use super::rights::check_is_owner;
use super::search_path::explained;
use super::stored::{self, COLUMN, MIGRATION, Migration, Pace, STEP};
use super::{switch, verify};
use crate::encoding::{ServerText, to_server};
use crate::error::{or_raise, raise, report};
use crate::fault;
use crate::server::across_transactions::AcrossTransactions;
use crate::server::as_owner::as_owner;
use crate::server::call::null;
use crate::server::call::running;
use crate::server::failure::Failure;
use crate::server::names;
use crate::server::prepared::Prepared;
use crate::server::relation::{relation_name, relation_owner};
use crate::server::settings::{self, with_own_settings};
use crate::server::subtransaction::attempt;
use crate::server::transaction::{check_own_statement, check_transaction};
use crate::server::waiting::{backoff, flush_commits, is_in_use, pause};
use crate::server::work_lock::{SessionLock, WorkLock};

/// How often a migration that is paused looks whether it may go on.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What a procedure is there for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Advance { through: Phase, max_pages: Option<i64> },
    CutOver { by_views: bool },
    RollBack,
    Finalize { keep_numbers: bool },
}

/// A procedure under way, kept from one transaction to the next.
pub(super) struct Progress {
    pub(super) function: pg_sys::Oid,
    pub(super) relation: pg_sys::Oid,
    task: Task,
    /// How often the step in hand found something locked.
    pub(super) tries: u32,
    /// What ends the procedure once it is stored.
    failure: Option<Box<CaughtError>>,
    /// The backfill in hand.
    pub(super) filling: Option<Box<Filling>>,
    /// Whether this call has compared all values.
    pub(super) compared: bool,
    /// How many pages this call has gone through.
    pub(super) pages: i64,
    /// The pause before the next batch.
    pause: Duration,
    /// How it goes on.
    pace: Prepared,
    told_at: Instant,
    told_pause: bool,
    /// Given back when the procedure ends, by an error, too.
    _lock: SessionLock,
}

/// The procedure under way.
static PROGRESS: AcrossTransactions<Progress> = AcrossTransactions::new();

/// Takes the right to work at a migration for the session, over several transactions, until it is dropped.
///
/// # Errors
/// 55006 where another session has it.
fn lock(function: pg_sys::Oid, relation: pg_sys::Oid) -> Result<SessionLock, Error> {
    WorkLock::new(MIGRATION.oid(function)?, relation).take_for_session().ok_or_else(|| {
        let message = format!("another session is at the key migration of table {}", relation_name(relation));
        Error::new(SqlState::ObjectInUse, message)
            .hint("Wait until it has ended; key_migration_progress shows its process.")
    })
}

/// Refuses a call from where no transaction can end, before PostgreSQL would without a word on what to do. Declared
/// in sql/migration/key_migration_procedures.sql.
///
/// # Errors
/// 25001 within a transaction block (trap M3).
#[pg_extern(sql = false)]
fn key_migration_check(procedure: &str) {
    or_raise(check_own_statement(procedure, "It ends a transaction for each of its steps."));
}

/// Begins a procedure. Declared in sql/migration/key_migration_procedures.sql.
///
/// # Errors
/// 22004, 22023 for arguments that mean nothing, 42501 without the privileges, 42704 where the table is not being
/// migrated, 55000 out of order, 55006 beside another session.
#[pg_extern(sql = false)]
fn key_migration_begin(
    migration: Option<PgRelation>,
    task: Option<&str>,
    through: Option<&str>,
    max_pages: Option<i64>,
    confirm: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    drop(PROGRESS.take());
    let relation = or_raise(migration.ok_or_else(|| null("migration"))).oid();
    let function = running(fcinfo);
    let task = match task {
        Some("advance") => {
            let through = or_raise(through.ok_or_else(|| null("through")).and_then(Phase::parse_through));
            if max_pages.is_some_and(|pages| pages < 1) {
                let message = format!("max_pages must be at least 1, not {}", max_pages.unwrap_or(0));
                raise(report(Error::new(SqlState::InvalidParameterValue, message)));
            }
            Task::Advance { through, max_pages }
        }
        Some("cut over") => match or_raise(through.ok_or_else(|| null("way"))) {
            "rename" => Task::CutOver { by_views: false },
            "view" => Task::CutOver { by_views: true },
            other => raise(report(
                Error::new(SqlState::InvalidParameterValue, format!("unknown way \"{other}\""))
                    .hint("The way is \"rename\" or \"view\"."),
            )),
        },
        Some("roll back") => Task::RollBack,
        _ => match or_raise(through.ok_or_else(|| null("keep_numbers"))) {
            "keep" => Task::Finalize { keep_numbers: true },
            _ => Task::Finalize { keep_numbers: false },
        },
    };
    match begin(function, relation, task, confirm) {
        Ok(progress) => PROGRESS.keep(Box::new(progress)),
        Err(failure) => failure.raise(),
    }
}

fn begin(
    function: pg_sys::Oid,
    relation: pg_sys::Oid,
    task: Task,
    confirm: Option<&str>,
) -> Result<Progress, Failure> {
    check_transaction(match task {
        Task::Advance { .. } => c"key_migration_advance()",
        Task::CutOver { .. } => c"key_migration_cutover()",
        Task::RollBack => c"key_migration_rollback()",
        Task::Finalize { .. } => c"key_migration_finalize()",
    })?;
    stored::check_may_write()?;
    let relation = stored::migration_of(function, relation)?;
    let migration = stored::existing(function, relation)?;
    let lock = lock(function, relation)?;
    match task {
        Task::Finalize { .. } => switch::check_confirmation(&migration, function, confirm)?,
        Task::RollBack => switch::check_removal(&migration, function, confirm)?,
        Task::Advance { .. } | Task::CutOver { .. } => {}
    }
    if migration.options.cut_over
        && let Task::Advance { .. } | Task::CutOver { .. } = task
    {
        let message = format!("the key migration of table {} is cut over already", relation_name(relation));
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .hint("CALL key_migration_finalize() to end it, or key_migration_rollback() to take the cut-over back.")
            .into());
    }
    stored::write(
        "UPDATE {} SET pid = pg_backend_pid(), tries = 0 WHERE {own} AND relation = $3",
        MIGRATION,
        function,
        relation,
        [],
    )?;
    Ok(Progress {
        function,
        relation,
        task,
        tries: 0,
        failure: None,
        filling: None,
        compared: false,
        pages: 0,
        pause: Duration::ZERO,
        pace: Prepared::default(),
        told_at: Instant::now(),
        told_pause: false,
        _lock: lock,
    })
}

/// Does the next step in this transaction. Whether there are more. Declared in
/// sql/migration/key_migration_procedures.sql.
///
/// # Errors
/// 55000 outside a procedure of ours, or out of order; 55P03 where a lock was not to be had; whatever a statement
/// raises.
#[pg_extern(sql = false)]
fn key_migration_next(fcinfo: pg_sys::FunctionCallInfo) -> bool {
    let Some(mut progress) = PROGRESS.take() else {
        raise(report(
            Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                "no key migration is under way in this session",
            )
            .hint("CALL key_migration_advance()."),
        ));
    };
    progress.function = running(fcinfo);
    match progress.next() {
        Ok(true) => {
            PROGRESS.keep(progress);
            true
        }
        Ok(false) => false,
        Err(failure) => failure.raise(),
    }
}

impl Progress {
    fn next(&mut self) -> Result<bool, Failure> {
        stored::check_may_write()?;
        if let Some(failure) = self.failure.take() {
            failure.rethrow();
        }
        // No lock is held while it waits.
        if self.tries > 0 {
            pause(backoff(self.tries));
        } else if !self.pause.is_zero() {
            // Who commits while it rests need not flush its log.
            flush_commits();
            pause(std::mem::take(&mut self.pause));
        }
        // In the midst of a backfill only what can be changed at once is read again.
        if let (Some(filling), Task::Advance { max_pages, .. }) = (self.filling.take(), self.task)
            && let Some(pace) = Pace::current(&mut self.pace, self.function, self.relation)?
        {
            if self.is_paused(&pace) {
                self.filling = Some(filling);
                return Ok(true);
            }
            return self.fill(&pace, filling, max_pages);
        }
        let migration = stored::existing(self.function, self.relation)?;
        if self.is_paused(&migration.pace) {
            return Ok(true);
        }
        let done = match self.task {
            Task::Advance { through, max_pages } => self.advance(&migration, through, max_pages),
            Task::CutOver { by_views } => switch::cut_over(self, &migration, by_views),
            Task::RollBack => switch::roll_back(self, &migration),
            Task::Finalize { keep_numbers } => switch::finalize(self, &migration, keep_numbers),
        };
        match done {
            // Nothing has been done yet in this transaction: what there is could not even be looked at.
            Err(Failure::Refused(error))
                if error.sqlstate == SqlState::LockNotAvailable && self.tries < migration.pace.retries =>
            {
                self.tries += 1;
                self.store_tries(Some(error.message))?;
                Ok(true)
            }
            done => done,
        }
    }

    /// Whether it is to stand still, which it has done for a moment then.
    fn is_paused(&mut self, pace: &Pace) -> bool {
        if !pace.is_paused {
            self.told_pause = false;
            return false;
        }
        if !std::mem::replace(&mut self.told_pause, true) {
            notice!("the key migration of table {} is paused", relation_name(self.relation));
        }
        pause(LOOK_EVERY);
        true
    }

    fn advance(
        &mut self,
        migration: &Migration,
        through: Phase,
        max_pages: Option<i64>,
    ) -> Result<bool, Failure> {
        let (facts, plan) = migration.plan(self.function)?;
        if let Some(refusal) = plan.refusal() {
            return Err(refusal.clone().into());
        }
        let Some(step) = next_step(&plan, through) else {
            notice!(
                "the key migration of table {} is {}",
                relation_name(self.relation),
                super::planned::phase(migration, &plan).name()
            );
            return Ok(false);
        };
        match step.runs {
            Runs::Batches => {
                if max_pages.is_some_and(|most| self.pages >= most) {
                    return Ok(false);
                }
                let filling = Filling::new(&facts, &migration.options, pg_sys::Oid::from(step.table));
                self.fill(&migration.pace, Box::new(filling), max_pages)
            }
            Runs::Client => Err(self.needs_client(&plan, step).into()),
            _ if step.phase == Phase::Verified => {
                verify::complete(self.function, migration)?;
                Ok(true)
            }
            _ => self.run(migration, through, step),
        }
    }

    fn needs_client(&self, plan: &Plan, step: &Step) -> Error {
        let left =
            plan.left(step.phase).filter(|step| step.runs == Runs::Client && step.phase == Phase::Indexed);
        let message = format!("{} indexes are to be built first", left.count());
        Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("PostgreSQL builds an index beside writers only as a statement of its own.")
            .hint(format!(
                "SELECT statement FROM key_migration_statements('{}') \\gexec in psql, or run these statements one by one.",
                relation_name(self.relation).trim_matches('"')
            ))
    }

    fn fill(
        &mut self,
        pace: &Pace,
        mut filling: Box<Filling>,
        max_pages: Option<i64>,
    ) -> Result<bool, Failure> {
        let left = max_pages.map(|most| (most - self.pages).max(1));
        let more = filling.batch(self, pace, left)?;
        self.pause = pace.pause;
        if self.told_at.elapsed() >= TELL_EVERY {
            self.told_at = Instant::now();
            filling.tell();
        }
        let is_enough = max_pages.is_some_and(|most| self.pages >= most || !more);
        if more {
            self.filling = Some(filling);
        }
        Ok(self.failure.is_some() || !is_enough)
    }

    /// Runs a step, or tries to.
    fn run(&mut self, migration: &Migration, through: Phase, step: &Step) -> Result<bool, Failure> {
        let table = pg_sys::Oid::from(step.table);
        let lock = step.lock.map(|lock| (table, lock));
        let other = step.other.map(|(other, lock)| (pg_sys::Oid::from(other), lock));
        let relations: Vec<(pg_sys::Oid, Lock)> = lock.into_iter().chain(other).collect();
        let phase = step.phase.name();
        // The step that comes next has to be the same one still: what it was made from may have been altered before it was
        // locked, and names mean something else then.
        let function = self.function;
        let look_again = || {
            let (facts, plan) = migration.plan(function)?;
            if let Some(refusal) = plan.refusal() {
                return Err(refusal.clone().into());
            }
            let is_same = next_step(&plan, through).is_some_and(|now| now.is_same(step));
            let as_owner_of = step.evaluates.then_some(step.table);
            let statements = step.statements.iter().cloned().map(|text| Statement { text, as_owner_of });
            Ok(is_same.then(|| (statements.collect(), facts)))
        };
        let Some((_, facts, times)) = self.in_locks(&migration.pace, &relations, look_again, phase)? else {
            return Ok(true);
        };
        if step.phase == Phase::Prepared {
            self.keep_columns(&facts, migration, step.table)?;
        }
        self.log(Some(table), &step.action, &step.statements, times)?;
        fault::point(|| format!("{phase}: logged"));
        let name = facts.table(step.table).map(|table| qualified(&table.schema, &table.name));
        notice!("{}: {}", name.unwrap_or_default(), step.action);
        Ok(true)
    }

    /// Runs statements once these relations are locked and their schemas keep their names; `name` is for tests; `None` where
    /// it is to be tried again, or has failed.
    ///
    /// The statements are made by `look_again` from what is there under the locks, and come with what they were made from;
    /// it gives none where other locks or other statements are needed, which is tried again then.
    ///
    /// # Errors
    /// Those of `look_again` and of SPI itself.
    pub(super) fn in_locks<T>(
        &mut self,
        pace: &Pace,
        relations: &[(pg_sys::Oid, Lock)],
        look_again: impl FnOnce() -> Result<Option<(Vec<Statement>, T)>, Failure>,
        name: &str,
    ) -> Result<Option<(Vec<String>, T, Times)>, Failure> {
        let timeout = pace.timeout();
        let began = Instant::now();
        let was_altered = Cell::new(false);
        // The table as whose owner the last statement was run.
        let owned = Cell::new(None);
        let function = self.function;
        let relation = self.relation;
        let in_locks = || -> Result<(Vec<String>, T, Times), Failure> {
            for (relation, lock) in relations {
                // SAFETY: takes a lock by OID; the lock manager raises its own errors.
                unsafe { pg_sys::LockRelationOid(*relation, mode(*lock)) };
            }
            names::lock_schemas(function, MIGRATION, relations.iter().map(|(relation, _)| *relation))?;
            let locked = Instant::now();
            fault::point(|| format!("{name}: locked"));
            let Some((statements, made_from)) = with_new_snapshot(look_again)? else {
                // Raised here, so that the locks are given back.
                was_altered.set(true);
                raise(report(altered(relation)));
            };
            for statement in &statements {
                owned.set(statement.as_owner_of.map(pg_sys::Oid::from));
                run_statement(&statement.text, owned.get())?;
            }
            fault::point(|| format!("{name}: done"));
            let statements = statements.into_iter().map(|statement| statement.text).collect();
            Ok((statements, made_from, Times { began, waited: locked - began, held: locked.elapsed() }))
        };
        let done = attempt(|| {
            with_own_settings(|| settings::with(&[(c"lock_timeout", timeout.as_c_str())], in_locks))
        });
        match done {
            Ok(done) => Ok(Some(done?)),
            Err(error) if was_altered.get() && self.tries < pace.retries => {
                self.tries += 1;
                self.store_tries(Some(message_of(&error).0))?;
                Ok(None)
            }
            Err(error) => {
                let error = match owned.get() {
                    Some(table) => explained(error, table),
                    None => error,
                };
                self.failed(pace, error)?;
                Ok(None)
            }
        }
    }

    /// Stores that a step has failed: it is tried again where others were in the way, and ends the procedure with the
    /// next transaction where that was too often or something else is the matter.
    ///
    /// # Errors
    /// Those of SPI itself; a cancellation goes on.
    pub(super) fn failed(&mut self, pace: &Pace, error: Box<CaughtError>) -> Result<(), Failure> {
        let (message, code) = message_of(&error);
        if code == PgSqlErrorCode::ERRCODE_QUERY_CANCELED {
            error.rethrow();
        }
        if is_in_use(&error) && self.tries < pace.retries {
            self.tries += 1;
        } else {
            self.failure = Some(error);
        }
        self.store_tries(Some(message))?;
        Ok(())
    }

    /// Stores that a step has succeeded after some tries.
    pub(super) fn succeeded(&mut self) -> SpiResult<()> {
        if std::mem::take(&mut self.tries) > 0 {
            self.store_tries(None)?;
        }
        Ok(())
    }

    fn store_tries(&self, error: Option<String>) -> SpiResult<()> {
        let tries = i32::try_from(self.tries).unwrap_or(i32::MAX);
        stored::write(
            "UPDATE {} SET tries = $4, last_error = COALESCE($5, last_error) WHERE {own} AND relation = $3",
            MIGRATION,
            self.function,
            self.relation,
            [tries.into(), error.map(ServerText).into()],
        )
        .map(|_| ())
    }

    /// Remembers the new columns of a table.
    ///
    /// # Errors
    /// 55006 where the table was altered meanwhile.
    fn keep_columns(&self, before: &Facts, migration: &Migration, table: u32) -> Result<(), Failure> {
        let scope = keyspace::migration::Scope::new(before, &migration.options)?;
        for member in scope.members_of(table) {
            let name = to_server(&member.shadow_name);
            // SAFETY: looks up a catalog by OID and by a NUL-terminated name.
            let number = unsafe { pg_sys::get_attnum(pg_sys::Oid::from(table), name.as_ptr()) };
            if number != member.shadow_number {
                return Err(altered(pg_sys::Oid::from(table)).into());
            }
            stored::write(
                "INSERT INTO {} (system_identifier, database, migration, relation, attribute, new_attribute, declared, \
                                 key_relation) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (system_identifier, database, relation, attribute) DO UPDATE \
                 SET new_attribute = EXCLUDED.new_attribute, declared = EXCLUDED.declared, \
                     key_relation = EXCLUDED.key_relation",
                COLUMN,
                self.function,
                self.relation,
                [
                    pg_sys::Oid::from(table).into(),
                    member.number.number.into(),
                    number.into(),
                    member.declared.into(),
                    pg_sys::Oid::from(member.key).into(),
                ],
            )?;
        }
        // Rows from before are to be filled, whatever was done to a column that is gone; and while a trigger was,
        // anything may have been written.
        stored::begin_again(self.function, self.relation, pg_sys::Oid::from(table))?;
        Ok(())
    }

    /// Writes down what was done.
    pub(super) fn log(
        &mut self,
        table: Option<pg_sys::Oid>,
        action: &str,
        statements: &[String],
        times: Times,
    ) -> SpiResult<()> {
        let tries = i32::try_from(self.tries).unwrap_or(i32::MAX);
        let statements: Vec<ServerText> = statements.iter().cloned().map(ServerText).collect();
        stored::write(
            "INSERT INTO {} AS s (system_identifier, database, migration, step, relation, action, statements, \
                                  started_at, ended_at, lock_wait, lock_held, tries) \
             SELECT $1, $2, $3, COALESCE((SELECT max(o.step) FROM {} AS o WHERE {own} AND o.migration = $3), 0) + 1, \
                    $4, $5, $6, clock_timestamp() - $7, clock_timestamp(), $8, $9, $10",
            STEP,
            self.function,
            self.relation,
            [
                table.into(),
                ServerText(action.to_owned()).into(),
                statements.into(),
                interval(times.began.elapsed()).into(),
                interval(times.waited).into(),
                interval(times.held).into(),
                tries.into(),
            ],
        )?;
        self.succeeded()
    }
}

/// The step that comes next on the way to a phase.
fn next_step(plan: &Plan, through: Phase) -> Option<&Step> {
    plan.left(through).find(|step| step.phase != Phase::Backfilled || step.runs == Runs::Batches)
}

/// That others have altered what was to be locked.
fn altered(relation: pg_sys::Oid) -> Error {
    let message =
        format!("tables of the key migration of table {} were altered meanwhile", relation_name(relation));
    Error::new(SqlState::ObjectInUse, message).hint("Run it again.")
}

/// Runs `read` with a snapshot of its own: what was committed while locks were waited for counts.
fn with_new_snapshot<T>(read: impl FnOnce() -> T) -> T {
    // SAFETY: popped below, or by the end of the subtransaction where an error is raised.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let result = read();
    // SAFETY: pushed above.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

/// What an error says, and its SQLSTATE.
fn message_of(error: &CaughtError) -> (String, PgSqlErrorCode) {
    let (CaughtError::PostgresError(report)
    | CaughtError::ErrorReport(report)
    | CaughtError::RustPanic { ereport: report, .. }) = error;
    (report.message().to_owned(), report.sql_error_code())
}

/// Runs a statement, as the owner of a table if one is given.
fn run_statement(statement: &str, as_owner_of: Option<pg_sys::Oid>) -> Result<(), Failure> {
    let run =
        || Spi::connect_mut(|client| client.update(to_server(statement).as_c_str(), None, &[]).map(|_| ()));
    match as_owner_of {
        None => run()?,
        Some(table) => {
            let owner = relation_owner(table);
            check_is_owner(table, owner)?;
            as_owner(owner, run)?;
        }
    }
    Ok(())
}

/// How long a step has taken.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) began: Instant,
    pub(super) waited: Duration,
    pub(super) held: Duration,
}

/// A time as PostgreSQL has it.
pub(super) fn interval(time: Duration) -> Option<Interval> {
    Interval::new(0, 0, i64::try_from(time.as_micros()).unwrap_or(i64::MAX)).ok()
}

/// A lock as LockAcquire takes it.
const fn mode(lock: Lock) -> i32 {
    (match lock {
        Lock::AccessShare => pg_sys::AccessShareLock,
        Lock::RowExclusive => pg_sys::RowExclusiveLock,
        Lock::ShareUpdateExclusive => pg_sys::ShareUpdateExclusiveLock,
        Lock::ShareRowExclusive => pg_sys::ShareRowExclusiveLock,
        Lock::AccessExclusive => pg_sys::AccessExclusiveLock,
    }) as i32
}
