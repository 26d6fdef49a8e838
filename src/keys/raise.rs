//! Errors of the pure crate, raised at once. A `Result` with a report in it is far larger than a key, and moving it
//! about costs more than making the key.

use std::convert::Infallible;

use keyspace::Error;
use pgrx::pg_sys::panic::{ErrorReport, ErrorReportable};

use crate::error::report;

/// The value, or an error to the caller in SQL.
#[inline]
pub(super) fn or_raise<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => raise(report(error)),
    }
}

/// Leaves the function called from SQL with this error.
#[cold]
#[inline(never)]
pub(super) fn raise(report: ErrorReport) -> ! {
    match Err::<Infallible, _>(report).unwrap_or_report() {}
}
