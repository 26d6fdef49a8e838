//! The lock that prevents concurrent set-ups.

use std::cell::Cell;

use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use crate::sequences::own::tables;
use crate::server::extension::Extension;
use crate::server::obstacle::{Missed, explained};
use crate::server::role::owns_database;
use crate::server::subtransaction::attempt;
use crate::server::waiting::is_in_use;
use crate::server::work_lock::{SessionLock, WorkLock};

/// The lock that prevents concurrent set-ups of a database.
fn setup_lock(extension: Extension) -> Result<WorkLock, Error> {
    let table = tables::SETUP.oid(extension)?;
    Ok(WorkLock::new(table, table))
}

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// The right to run a set-up, denied to every other session, and to this one if an event trigger of
/// the user begins another set-up within it.
pub(crate) struct SetupLock;

impl SetupLock {
    /// Takes the lock until the end of the transaction.
    ///
    /// # Errors
    /// 55006 if another session has it, or if a set-up is running in this session; 55P03 if the class
    /// is being changed, for longer than lock_timeout.
    pub(crate) fn take(extension: Extension) -> Result<Self, Error> {
        if RUNNING.get() {
            return Err(Error::new(SqlState::ObjectInUse, "a set-up is already running in this session")
                .hint("An event trigger on ALTER SEQUENCE must not run a set-up."));
        }
        if !owns_database() {
            // Owners of single sequences do not take this lock, with which they could block a
            // set-up by the owner of the database: locks on the sequences keep them apart. But the
            // class must not change while they work.
            keep_class(tables::NODE.oid(extension)?)?;
        } else if !setup_lock(extension)?.take() {
            return Err(busy());
        }
        // Takes in the changes of the previous set-up, including those of the node.
        // SAFETY: within a transaction.
        unsafe { pg_sys::AcceptInvalidationMessages() };
        RUNNING.set(true);
        Ok(Self)
    }
}

/// Prevents the class from changing, which a lock on table `node` does.
fn keep_class(node: pg_sys::Oid) -> Result<(), Error> {
    let lock = pg_sys::RowExclusiveLock;
    // SAFETY: takes a lock by OID; the lock manager raises its own errors.
    match attempt(|| unsafe { pg_sys::LockRelationOid(node, lock as i32) }) {
        Ok(()) => Ok(()),
        Err(error) if is_in_use(&error) => {
            let error = Error::new(SqlState::LockNotAvailable, "could not lock the node within lock_timeout")
                .detail("A transaction that changes its class is still open.")
                .hint("Try again when it has ended.");
            Err(explained(error, Missed { relation: node, lock }))
        }
        Err(error) => error.rethrow(),
    }
}

impl Drop for SetupLock {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

/// Takes the lock for the session, over several transactions, until it is dropped.
///
/// # Errors
/// 55006 if another session has it.
pub(crate) fn take_for_session(extension: Extension) -> Result<SessionLock, Error> {
    setup_lock(extension)?.take_for_session().ok_or_else(busy)
}

fn busy() -> Error {
    Error::new(SqlState::ObjectInUse, "another set-up is running in this database")
        .hint("Wait until it has ended. In pg_locks its process has the lock with locktype \"object\" and classid \"keyspace_internal.interleaved_setup\"::regclass.")
}
