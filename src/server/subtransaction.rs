//! Steps within a transaction that can be taken back alone.

use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

/// An internal subtransaction, as PL/pgSQL opens one for a block with EXCEPTION.
struct Subtransaction {
    context: pg_sys::MemoryContext,
    owner: pg_sys::ResourceOwner,
}

impl Subtransaction {
    fn begin() -> Self {
        // SAFETY: these globals are this backend's own, and always valid within a transaction; the context
        // outlives the subtransaction.
        unsafe {
            let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
            pg_sys::BeginInternalSubTransaction(std::ptr::null());
            pg_sys::MemoryContextSwitchTo(context);
            Self { context, owner }
        }
    }

    fn commit(&self) {
        // SAFETY: ends the subtransaction begun by `begin`; context and owner are those from before it.
        unsafe {
            pg_sys::ReleaseCurrentSubTransaction();
            pg_sys::MemoryContextSwitchTo(self.context);
            pg_sys::CurrentResourceOwner = self.owner;
        }
    }

    fn roll_back(&self) {
        // SAFETY: as for `commit`.
        unsafe {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
            pg_sys::MemoryContextSwitchTo(self.context);
            pg_sys::CurrentResourceOwner = self.owner;
        }
    }

    /// Runs `step` within it. PostgreSQL's abort handling would take an internal subtransaction that is still
    /// open for one of the user's, and leave the session in it, so an error rolls it back here.
    fn run<T>(&self, step: impl FnOnce() -> T) -> Result<T, Box<CaughtError>> {
        PgTryBuilder::new(AssertUnwindSafe(|| Ok(step())))
            .catch_others(|error| {
                self.roll_back();
                Err(Box::new(to_be_raised_anew(error)))
            })
            .catch_rust_panic(|error| {
                self.roll_back();
                Err(Box::new(error))
            })
            .execute()
    }
}

/// An error that is raised again, later on, whatever becomes of PostgreSQL's own record of it.
///
/// pgrx raises an error of PostgreSQL again out of that record, which is gone once the error is caught: what the caller got
/// then was "errstart was not called".
fn to_be_raised_anew(error: CaughtError) -> CaughtError {
    match error {
        CaughtError::PostgresError(report) => CaughtError::ErrorReport(report),
        other => other,
    }
}

/// Runs `read` in a subtransaction that is then rolled back, so that the locks it took are released;
/// a set-up reads thousands of tables, and would fill the lock table otherwise (trap S20).
///
/// An error is given to the caller, as by [`attempt`].
///
/// Call it before the first change only: the end of every subtransaction walks through all files that the
/// transaction has created and dropped.
pub(crate) fn read_and_release<T>(read: impl FnOnce() -> T) -> Result<T, Box<CaughtError>> {
    let subtransaction = Subtransaction::begin();
    let value = subtransaction.run(read)?;
    subtransaction.roll_back();
    Ok(value)
}

/// Runs `step` in a subtransaction. An error of PostgreSQL takes back what it did, locks included, and is given
/// to the caller, who must not swallow it when it is a cancellation.
pub(crate) fn attempt<T>(step: impl FnOnce() -> T) -> Result<T, Box<CaughtError>> {
    let subtransaction = Subtransaction::begin();
    let value = subtransaction.run(step)?;
    subtransaction.commit();
    Ok(value)
}

/// What a step has given, and nothing where it has failed; a cancellation goes on.
pub(crate) fn unless_cancelled<T>(result: Result<T, Box<CaughtError>>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            if sqlstate(&error) == PgSqlErrorCode::ERRCODE_QUERY_CANCELED {
                error.rethrow();
            }
            None
        }
    }
}

/// The SQLSTATE of an error that was caught.
pub(crate) fn sqlstate(error: &CaughtError) -> PgSqlErrorCode {
    let (CaughtError::PostgresError(report)
    | CaughtError::ErrorReport(report)
    | CaughtError::RustPanic { ereport: report, .. }) = error;
    report.sql_error_code()
}
