//! The current call of one of our functions.

use keyspace::{Error, SqlState};
use pgrx::{FromDatum, pg_sys};

/// The OID of the function that is running.
pub(crate) fn running(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Oid {
    // SAFETY: called by the function manager, which fills in flinfo.
    unsafe { (*(*fcinfo).flinfo).fn_oid }
}

/// An argument of the call, counted from 0; `None` if it is NULL.
///
/// # Safety
/// The function must be declared with an argument of this type at this place.
pub(crate) unsafe fn argument<T: FromDatum>(fcinfo: pg_sys::FunctionCallInfo, at: usize) -> Option<T> {
    // SAFETY: the function manager passes a valid call. The rest is guaranteed by the caller.
    unsafe { pgrx::fcinfo::pg_getarg(fcinfo, at) }
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
