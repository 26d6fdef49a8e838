//! What every step of a migration has in common: its locks, its tries, and the record of what was done.

use std::cell::Cell;
use std::time::{Duration, Instant};

use keyspace::migration::step::{Lock, Statement};
use keyspace::{Error, SqlState};
use pgrx::PgSqlErrorCode;
use pgrx::datum::Interval;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::rights::check_is_owner;
use super::search_path::explained;
use super::state::{self, MIGRATION, Pace, STEP};
use crate::encoding::{ServerText, to_server};
use crate::error::{raise, report};
use crate::failpoint;
use crate::server::as_owner::as_owner;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::names;
use crate::server::open::ActiveSnapshot;
use crate::server::relation::{relation_name, relation_owner};
use crate::server::settings::{self, with_own_settings};
use crate::server::subtransaction::attempt;
use crate::server::waiting::is_in_use;

/// Runs the steps of a migration, one transaction after the other.
pub(super) struct Runner {
    pub(super) extension: Extension,
    pub(super) relation: pg_sys::Oid,
    /// How often the step in hand found something locked.
    pub(super) tries: u32,
    /// What ends the procedure once it is stored.
    failure: Option<Box<CaughtError>>,
}

impl Runner {
    pub(super) const fn new(extension: Extension, relation: pg_sys::Oid) -> Self {
        Self { extension, relation, tries: 0, failure: None }
    }

    /// Whether it has to end with the next transaction.
    pub(super) const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Ends it where it has to.
    pub(super) fn end_if_failed(&mut self) {
        if let Some(failure) = self.failure.take() {
            failure.rethrow();
        }
    }

    /// Tries once more, if there are tries left; `error` is stored.
    ///
    /// # Errors
    /// `error` where there are none.
    pub(super) fn again(&mut self, pace: &Pace, error: Error) -> Result<(), Failure> {
        if self.tries >= pace.retries {
            return Err(error.into());
        }
        self.tries += 1;
        Ok(self.store_tries(Some(error.message))?)
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
        let extension = self.extension;
        let relation = self.relation;
        let in_locks = || -> Result<(Vec<String>, T, Times), Failure> {
            for (relation, lock) in relations {
                // SAFETY: takes a lock by OID; the lock manager raises its own errors.
                unsafe { pg_sys::LockRelationOid(*relation, mode(*lock)) };
            }
            names::lock_schemas(extension, MIGRATION, relations.iter().map(|(relation, _)| *relation))?;
            let locked = Instant::now();
            failpoint::point(|| format!("{name}: locked"));
            // What was committed while locks were waited for counts.
            let snapshot = ActiveSnapshot::latest();
            let looked = look_again()?;
            drop(snapshot);
            let Some((statements, made_from)) = looked else {
                // Raised here, so that the locks are given back.
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
        state::write(
            "UPDATE {} SET tries = $4, last_error = COALESCE($5, last_error) WHERE {own} AND relation = $3",
            MIGRATION,
            self.extension,
            self.relation,
            [tries.into(), error.map(ServerText).into()],
        )
        .map(|_| ())
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

/// That others have altered what was to be locked.
pub(super) fn altered(relation: pg_sys::Oid) -> Error {
    let message =
        format!("tables of the key migration of table {} were altered meanwhile", relation_name(relation));
    Error::new(SqlState::ObjectInUse, message).hint("Run it again.")
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
