//! Checks of the current transaction.

use std::ffi::CStr;

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

/// Refuses a transaction whose snapshot would hide committed rows (trap S04), and one that cannot
/// write.
///
/// # Errors
/// 25000 above READ COMMITTED; 25006 in a read-only transaction and on a standby.
pub(crate) fn check_transaction(name: &'static CStr) -> Result<(), Error> {
    // SAFETY: plain checks of this backend's state, which raise PostgreSQL's own errors.
    unsafe {
        pg_sys::PreventCommandIfReadOnly(name.as_ptr());
        pg_sys::PreventCommandDuringRecovery(name.as_ptr());
    }
    // SAFETY: a plain integer of this backend.
    if unsafe { pg_sys::XactIsoLevel } > pg_sys::XACT_READ_COMMITTED as i32 {
        let message = format!("{} requires the isolation level READ COMMITTED", name.to_string_lossy());
        return Err(Error::new(SqlState::InvalidTransactionState, message)
            .detail(
                "REPEATABLE READ and SERIALIZABLE hide rows that other sessions have committed since the transaction began.",
            )
            .hint("Use SET TRANSACTION ISOLATION LEVEL READ COMMITTED."));
    }
    Ok(())
}
