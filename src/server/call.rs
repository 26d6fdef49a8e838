//! The current call of one of our functions.

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

/// The OID of the function that is running.
pub(crate) fn running(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Oid {
    // SAFETY: called by the function manager, which fills in flinfo.
    unsafe { (*(*fcinfo).flinfo).fn_oid }
}

/// Returns an argument that must not be NULL.
///
/// # Errors
/// 22004 if it is NULL.
pub(crate) fn required<T>(argument: Option<T>, name: &str) -> Result<T, Error> {
    argument.ok_or_else(|| null(name))
}

/// The error for an argument that is NULL.
pub(crate) fn null(argument: &str) -> Error {
    Error::new(SqlState::NullValueNotAllowed, format!("{argument} must not be null"))
}
