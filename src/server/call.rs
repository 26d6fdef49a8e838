//! The call of a function of ours.

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

/// The OID of the function that runs.
pub(crate) fn running(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Oid {
    // SAFETY: called by the function manager, which fills in flinfo.
    unsafe { (*(*fcinfo).flinfo).fn_oid }
}

/// An argument that must not be NULL is.
pub(crate) fn null(argument: &str) -> Error {
    Error::new(SqlState::NullValueNotAllowed, format!("{argument} must not be null"))
}
