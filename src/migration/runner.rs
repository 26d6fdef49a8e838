//! The common parts of all steps of a migration: locks, retries, and the log.

use std::cell::Cell;
use std::time::{Duration, Instant};

use keyspace::migration::step::{Lock, Statement};
use keyspace::{Error, SqlState};
use pgrx::PgSqlErrorCode;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::rights::check_is_owner;
use super::search_path::explained;
use super::state::{self, MIGRATION, Pace, STEP};
use crate::encoding::{ServerText, to_server};
use crate::error::{raise, report};
use crate::failpoint;
use crate::server::as_owner::as_owner;
use crate::server::caught::Caught;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::names;
use crate::server::obstacle::{self, Missed};
use crate::server::open::ActiveSnapshot;
use crate::server::procedure::without_snapshot;
use crate::server::relation::{relation_name, relation_owner};
use crate::server::settings::{self, with_own_settings};
use crate::server::subtransaction::attempt;
use crate::server::waiting::is_in_use;

/// Runs the steps of a migration, one transaction after the other.
pub(super) struct Runner {
    pub(super) extension: Extension,
    pub(super) relation: pg_sys::Oid,
    /// How often the current step found something locked.
    pub(super) tries: u32,
    /// The error that ends the procedure once it is stored.
    failure: Option<Box<Caught>>,
    /// The same, in our words.
    refusal: Option<Error>,
}

impl Runner {
    pub(super) const fn new(extension: Extension, relation: pg_sys::Oid) -> Self {
        Self { extension, relation, tries: 0, failure: None, refusal: None }
    }

    /// Whether the next transaction must end the procedure.
    pub(super) const fn has_failed(&self) -> bool {
        self.failure.is_some() || self.refusal.is_some()
    }

    /// Forgets the failure if a row lacks a value that it must have. Whether that was so.
    pub(super) fn forget_missing_value(&mut self) -> bool {
        use PgSqlErrorCode::{ERRCODE_CHECK_VIOLATION, ERRCODE_NOT_NULL_VIOLATION};
        let is_missing =
            |error: &Caught| matches!(error.sqlstate(), ERRCODE_CHECK_VIOLATION | ERRCODE_NOT_NULL_VIOLATION);
        self.failure.take_if(|error| is_missing(error)).is_some()
    }

    /// Ends the procedure if it must end.
    pub(super) fn end_if_failed(&mut self) {
        if let Some(refusal) = self.refusal.take() {
            raise(report(refusal));
        }
        if let Some(failure) = self.failure.take() {
            failure.rethrow();
        }
    }

    /// Tries once more, if there are tries left; stores `error`.
    ///
    /// # Errors
    /// `error` if there are none.
    pub(super) fn again(&mut self, pace: &Pace, error: Error) -> Result<(), Failure> {
        if self.tries >= pace.retries {
            return Err(error.into());
        }
        self.tries += 1;
        Ok(self.store_tries(Some(error.message))?)
    }

    /// Runs statements once these relations are locked and their schemas are protected from
    /// renaming. `name` is for tests. Returns `None` if the step must be tried again, or has
    /// failed.
    ///
    /// `statements_under_locks` builds the statements from the catalogs under the locks, and returns
    /// them with the facts that it used. It returns `None` if other locks or other statements are
    /// needed; then the step is tried again.
    ///
    /// # Errors
    /// Those of `statements_under_locks` and of SPI itself.
    pub(super) fn in_locks<T>(
        &mut self,
        pace: &Pace,
        relations: &[(pg_sys::Oid, Lock)],
        statements_under_locks: impl FnOnce() -> Result<Option<(Vec<Statement>, T)>, Failure>,
        name: &str,
    ) -> Result<Option<(Vec<String>, T, Times)>, Failure> {
        let timeout = pace.timeout();
        let began = Instant::now();
        let was_altered = Cell::new(false);
        // The lock that is being waited for.
        let missed = Cell::new(None);
        // The table as whose owner the last statement was run.
        let owned = Cell::new(None);
        let extension = self.extension;
        let relation = self.relation;
        let in_locks = || -> Result<(Vec<String>, T, Times), Failure> {
            for (relation, lock) in relations {
                let mode = mode(*lock);
                missed.set(Some(Missed { relation: *relation, lock: mode.unsigned_abs() }));
                // SAFETY: takes a lock by OID; the lock manager raises its own errors.
                unsafe { pg_sys::LockRelationOid(*relation, mode) };
            }
            missed.set(None);
            names::lock_schemas(extension, MIGRATION, relations.iter().map(|(relation, _)| *relation))?;
            let locked = Instant::now();
            failpoint::point(|| format!("{name}: locked"));
            // What was committed while locks were waited for counts.
            let snapshot = ActiveSnapshot::latest();
            let built = statements_under_locks()?;
            drop(snapshot);
            let Some((statements, made_from)) = built else {
                // Raised here, so that the locks are released.
                was_altered.set(true);
                raise(report(altered(relation)));
            };
            for statement in &statements {
                owned.set(statement.as_owner_of.map(pg_sys::Oid::from));
                run_statement(&statement.text, owned.get())?;
            }
            failpoint::point(|| format!("{name}: done"));
            let statements = statements.into_iter().map(|statement| statement.text).collect();
            Ok((statements, made_from, Times { began, waited: locked - began, held: locked.elapsed() }))
        };
        let done = without_snapshot(|| {
            attempt(|| {
                with_own_settings(|| settings::with(&[(c"lock_timeout", timeout.as_c_str())], in_locks))
            })
        });
        match done {
            Ok(done) => Ok(Some(done?)),
            Err(error) if was_altered.get() && self.tries < pace.retries => {
                self.tries += 1;
                self.store_tries(Some(error.message().to_owned()))?;
                Ok(None)
            }
            Err(error) if is_lock_timeout(&error) && self.tries >= pace.retries && missed.get().is_some() => {
                let Some(missed) = missed.get() else { return Ok(None) };
                self.refuse(missed)?;
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

    /// Stores that a step has failed. It is tried again if another session blocked it. After too
    /// many tries, or for any other error, the next transaction ends the procedure.
    ///
    /// # Errors
    /// Those of SPI itself; a cancellation is raised again.
    pub(super) fn failed(&mut self, pace: &Pace, error: Box<Caught>) -> Result<(), Failure> {
        if error.is_cancellation() {
            error.rethrow();
        }
        let message = error.message().to_owned();
        if is_in_use(&error) && self.tries < pace.retries {
            self.tries += 1;
        } else {
            self.failure = Some(error);
        }
        self.store_tries(Some(message))?;
        Ok(())
    }

    /// Ends the procedure, because a lock could not be acquired in any attempt (fault C18).
    fn refuse(&mut self, missed: Missed) -> SpiResult<()> {
        let attempts = match self.tries {
            0 => "1 attempt".to_owned(),
            tries => format!("{} attempts", tries.saturating_add(1)),
        };
        let message =
            format!("could not acquire a lock on table {} in {attempts}", relation_name(missed.relation));
        let error = Error::new(SqlState::LockNotAvailable, message.clone())
            .hint("Try again. key_migration_set() changes lock_timeout and retries.");
        self.refusal = Some(obstacle::explained(error, missed));
        self.store_tries(Some(message))
    }

    /// Stores that a step has succeeded after some retries.
    pub(super) fn succeeded(&mut self) -> SpiResult<()> {
        if std::mem::take(&mut self.tries) > 0 {
            self.store_tries(None)?;
        }
        Ok(())
    }

    fn store_tries(&self, error: Option<String>) -> SpiResult<()> {
        let tries = i32::try_from(self.tries).unwrap_or(i32::MAX);
        state::write(
            "UPDATE {} SET tries = $4, last_error = COALESCE($5, last_error) WHERE {own} AND relation = $3",
            MIGRATION,
            self.extension,
            self.relation,
            [tries.into(), error.map(ServerText).into()],
        )
        .map(|_| ())
    }

    /// Writes a step to the log.
    pub(super) fn log(
        &mut self,
        table: Option<pg_sys::Oid>,
        action: &str,
        statements: &[String],
        times: Times,
    ) -> SpiResult<()> {
        let tries = i32::try_from(self.tries).unwrap_or(i32::MAX);
        let statements: Vec<ServerText> = statements.iter().cloned().map(ServerText).collect();
        state::write(
            "INSERT INTO {} AS s (system_identifier, database, migration, step, relation, action, statements, \
                                  started_at, ended_at, lock_wait, lock_held, tries) \
             SELECT $1, $2, $3, COALESCE((SELECT max(o.step) FROM {} AS o WHERE {own} AND o.migration = $3), 0) + 1, \
                    $4, $5, $6, clock_timestamp() - $7, clock_timestamp(), $8, $9, $10",
            STEP,
            self.extension,
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

/// The error if another session has altered the objects before they were locked.
pub(super) fn altered(relation: pg_sys::Oid) -> Error {
    let message =
        format!("tables of the key migration of table {} were altered concurrently", relation_name(relation));
    Error::new(SqlState::ObjectInUse, message).hint("Try again.")
}

/// Whether a lock could not be acquired in time.
fn is_lock_timeout(error: &Caught) -> bool {
    error.sqlstate() == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE
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

/// The duration of a step.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) began: Instant,
    pub(super) waited: Duration,
    pub(super) held: Duration,
}

/// A duration as PostgreSQL's type.
pub(super) fn interval(time: Duration) -> Option<Interval> {
    Interval::new(0, 0, i64::try_from(time.as_micros()).unwrap_or(i64::MAX)).ok()
}

/// The lock mode for LockAcquire.
const fn mode(lock: Lock) -> i32 {
    (match lock {
        Lock::AccessShare => pg_sys::AccessShareLock,
        Lock::RowExclusive => pg_sys::RowExclusiveLock,
        Lock::ShareUpdateExclusive => pg_sys::ShareUpdateExclusiveLock,
        Lock::ShareRowExclusive => pg_sys::ShareRowExclusiveLock,
        Lock::AccessExclusive => pg_sys::AccessExclusiveLock,
    }) as i32
}
