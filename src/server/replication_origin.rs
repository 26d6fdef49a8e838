//! A replication origin for changes of this session that must not be sent to other servers.
//!
//! PostgreSQL does not forget the origin of a session when a transaction ends, nor the position and
//! the commit time that were set for it. A session that is not cleaned up would send nothing ever
//! after, and commit at a time of the past. So all of this is undone by a callback at the end of
//! each transaction, whether it commits or not, and whatever has happened to our own values.

use std::cell::Cell;
use std::ffi::{CStr, c_void};

use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::by_version;

thread_local! {
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
    /// Whether this session uses an origin of ours.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// The functions of PostgreSQL that do the same, and whose privileges a caller therefore needs.
const FUNCTIONS: [&str; 4] = [
    "pg_catalog.pg_replication_origin_create(text)",
    "pg_catalog.pg_replication_origin_drop(text)",
    by_version::ORIGIN_SESSION_SETUP,
    "pg_catalog.pg_replication_origin_xact_setup(pg_lsn, timestamptz)",
];

/// The origin of this session. No other session can use it until this value is dropped, or the
/// transaction is rolled back.
pub(crate) struct SessionOrigin {
    id: by_version::OriginId,
}

/// Refuses a caller who may not use replication origins, and a server that does not keep commit times.
///
/// # Errors
/// 42501, 55000.
pub(crate) fn check() -> Result<(), Error> {
    let query = "SELECT f.name FROM pg_catalog.unnest($1) WITH ORDINALITY AS f (name, at) \
                 WHERE NOT pg_catalog.has_function_privilege(f.name, 'EXECUTE') ORDER BY f.at LIMIT 1";
    let functions: Vec<String> = FUNCTIONS.iter().map(|name| (*name).to_owned()).collect();
    let missing: Option<String> = Spi::connect(|client| {
        let found = client.select(query, Some(1), &[functions.into()])?;
        if found.is_empty() { Ok(None) } else { found.first().get_one() }
    })
    .unwrap_or_default();
    if let Some(function) = missing {
        return Err(Error::new(SqlState::InsufficientPrivilege, "permission denied for replication origins")
            .detail("A migration on several nodes writes with a replication origin of its own.")
            .hint(format!("A superuser can GRANT EXECUTE ON FUNCTION {function} to this role.")));
    }
    // SAFETY: a setting of the server.
    if !unsafe { pg_sys::track_commit_timestamp } {
        let message = "a migration on several nodes needs track_commit_timestamp";
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("The setting is off, so conflicts cannot be resolved by commit times.")
            .hint("Set track_commit_timestamp = on, and restart the server."));
    }
    Ok(())
}

impl SessionOrigin {
    /// Takes an origin for this session, and creates it if there is none of this name.
    ///
    /// # Errors
    /// 55006 if this session has another origin. PostgreSQL's own errors if another session uses it,
    /// or if all slots for origins are in use.
    pub(crate) fn take(name: &CStr) -> Result<Self, Error> {
        if by_version::session_origin() != by_version::NO_ORIGIN {
            return Err(Error::new(SqlState::ObjectInUse, "this session has a replication origin")
                .hint("Use another session, or call pg_replication_origin_session_reset()."));
        }
        if !IS_REGISTERED.replace(true) {
            // SAFETY: the callback is a function of the library, which is never unloaded.
            unsafe { pg_sys::RegisterXactCallback(Some(at_end), std::ptr::null_mut()) };
        }
        // SAFETY: the name is NUL-terminated and copied; called in a transaction.
        let id = unsafe {
            match pg_sys::replorigin_by_name(name.as_ptr(), true) {
                by_version::NO_ORIGIN => pg_sys::replorigin_create(name.as_ptr()),
                id => id,
            }
        };
        // SAFETY: the origin exists. An error leaves the session without one.
        unsafe { by_version::set_up_origin(id) };
        IS_OURS.set(true);
        Ok(Self { id })
    }

    /// Makes the rest of this transaction one of the origin, which commits at a time, given in
    /// microseconds since 2000. To be called before its first change.
    pub(crate) fn use_in_transaction(&self, commit_time: pg_sys::TimestampTz) {
        // PostgreSQL records no time without a position.
        by_version::set_transaction_origin(self.id, 1, commit_time);
    }
}

impl Drop for SessionOrigin {
    fn drop(&mut self) {
        release();
    }
}

/// Drops the origin of this name, if there is one.
pub(crate) fn drop_by_name(name: &CStr) {
    // SAFETY: the name is NUL-terminated; if another session uses the origin, that is an error.
    unsafe { pg_sys::replorigin_drop_by_name(name.as_ptr(), true, true) };
}

/// Gives the origin back, if the session has one of ours.
fn release() {
    if IS_OURS.replace(false) {
        by_version::set_transaction_origin(by_version::NO_ORIGIN, 0, 0);
        // SAFETY: the session has an origin.
        unsafe { pg_sys::replorigin_session_reset() };
    }
}

/// Ends the use of the origin with the transaction. After a rollback, the procedure has ended, too.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn at_end(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if !IS_OURS.get() {
        return;
    }
    match event {
        XACT_EVENT_COMMIT | XACT_EVENT_PREPARE => {
            by_version::set_transaction_origin(by_version::NO_ORIGIN, 0, 0);
        }
        XACT_EVENT_ABORT => release(),
        _ => {}
    }
}
