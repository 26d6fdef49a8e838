//! Steps within a transaction that can be rolled back separately.

use std::convert::Infallible;
use std::ffi::{CStr, c_char};
use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportable};
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

use crate::encoding::{from_server, is_utf8};

/// An internal subtransaction, like the one that PL/pgSQL opens for a block with EXCEPTION.
struct Subtransaction {
    context: pg_sys::MemoryContext,
    owner: pg_sys::ResourceOwner,
}

impl Subtransaction {
    fn begin() -> Self {
        // SAFETY: these globals belong to this backend and are valid within a transaction. The
        // context outlives the subtransaction.
        unsafe {
            let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
            pg_sys::BeginInternalSubTransaction(std::ptr::null());
            pg_sys::MemoryContextSwitchTo(context);
            Self { context, owner }
        }
    }

    fn commit(&self) {
        // SAFETY: ends the subtransaction begun by `begin`. Context and owner are those from before
        // it.
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

    /// Runs `step` within it. An error rolls it back here: PostgreSQL's abort handling would
    /// mistake an internal subtransaction that is still open for one of the user's, and leave the
    /// session in it.
    fn run<T>(&self, step: impl FnOnce() -> T) -> Result<T, Box<CaughtError>> {
        PgTryBuilder::new(AssertUnwindSafe(|| Ok(step())))
            .catch_others(|error| {
                let error = for_rethrow(error);
                self.roll_back();
                Err(Box::new(error))
            })
            .catch_rust_panic(|error| {
                self.roll_back();
                Err(Box::new(error))
            })
            .execute()
    }
}

/// An error that can be raised again later, whatever happens to PostgreSQL's own record of it.
///
/// To raise an error of PostgreSQL again, pgrx uses that record, which is gone once the error is
/// caught. The caller would get "errstart was not called".
///
/// Call it while that record is still there.
fn for_rethrow(error: CaughtError) -> CaughtError {
    match error {
        CaughtError::PostgresError(_) if !is_utf8() => in_utf8(),
        CaughtError::PostgresError(report) => CaughtError::ErrorReport(report),
        other => other,
    }
}

/// The error of PostgreSQL that was caught last, in UTF-8. pgrx reads its text as UTF-8 in any
/// database.
fn in_utf8() -> CaughtError {
    let text = |text: *const c_char| {
        // SAFETY: a string of the record, or null.
        (!text.is_null()).then(|| unsafe { from_server(CStr::from_ptr(text)) })
    };
    // SAFETY: PostgreSQL's record of the error is there until the handler of an error has ended. This
    // is a copy of it in the current memory context.
    let (code, message, detail, hint) = unsafe {
        let record = pg_sys::CopyErrorData();
        let texts = (text((*record).message), text((*record).detail), text((*record).hint));
        let code = PgSqlErrorCode::from((*record).sqlerrcode);
        pg_sys::FreeErrorData(record);
        (code, texts.0, texts.1, texts.2)
    };
    let mut report = ErrorReport::new(code, message.unwrap_or_default(), "pg_keyspace");
    if let Some(detail) = detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    // The only way to a caught error is to raise it.
    let raise = AssertUnwindSafe(|| match Err::<Infallible, _>(report).unwrap_or_report() {});
    PgTryBuilder::new(raise).catch_others(|error| error).execute()
}

/// Runs `read` in a subtransaction and rolls it back, so that its locks are released. A set-up
/// reads thousands of tables, and would otherwise fill the lock table (trap S20).
///
/// Returns an error to the caller, as [`attempt`] does.
///
/// Call it only before the first change: the end of every subtransaction walks through all files
/// that the transaction has created and dropped.
pub(crate) fn read_and_release<T>(read: impl FnOnce() -> T) -> Result<T, Box<CaughtError>> {
    let subtransaction = Subtransaction::begin();
    let value = subtransaction.run(read)?;
    subtransaction.roll_back();
    Ok(value)
}

/// Runs `step` in a subtransaction. An error of PostgreSQL rolls it back, releases its locks, and
/// is returned to the caller, which must not ignore a cancellation.
pub(crate) fn attempt<T>(step: impl FnOnce() -> T) -> Result<T, Box<CaughtError>> {
    let subtransaction = Subtransaction::begin();
    let value = subtransaction.run(step)?;
    subtransaction.commit();
    Ok(value)
}

/// The result of a step, or nothing if the step failed. Cancellations are raised again.
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

/// The SQLSTATE of a caught error.
pub(crate) fn sqlstate(error: &CaughtError) -> PgSqlErrorCode {
    let (CaughtError::PostgresError(report)
    | CaughtError::ErrorReport(report)
    | CaughtError::RustPanic { ereport: report, .. }) = error;
    report.sql_error_code()
}
