//! Locks that keep two sessions from doing the same work, which nobody waits for here.
//!
//! They are locks on objects, not advisory locks: those everybody who can connect can take, and so keep a database from
//! being set up. These only the library takes, for whoever may do the work.

use pgrx::pg_sys;

/// The lock of some work in this database.
#[derive(Clone, Copy)]
pub(crate) struct WorkLock(pg_sys::LOCKTAG);

impl WorkLock {
    /// The lock of the work that `table`, a table of ours, keeps the state of, at one object or, with the table's own
    /// OID, at all.
    pub(crate) fn new(table: pg_sys::Oid, object: pg_sys::Oid) -> Self {
        Self(pg_sys::LOCKTAG {
            // SAFETY: set before a backend runs its first statement.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            // In place of a catalog: no object of PostgreSQL's is locked by such a tag.
            locktag_field2: table.to_u32(),
            locktag_field3: object.to_u32(),
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        })
    }

    /// Takes it to the end of the transaction; whether nobody else had it.
    pub(crate) fn take(self) -> bool {
        self.acquire(false)
    }

    /// Takes it for the session, until what is returned is dropped or a transaction is rolled back; `None` where another
    /// session has it.
    pub(crate) fn take_for_session(self) -> Option<SessionLock> {
        self.acquire(true).then(|| SessionLock(self))
    }

    fn acquire(self, for_session: bool) -> bool {
        // SAFETY: does not wait; the lock manager raises its own errors.
        let result = unsafe { pg_sys::LockAcquire(&self.0, pg_sys::ExclusiveLock as i32, for_session, true) };
        result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }
}

/// A lock that the session holds over several transactions. Given back when dropped.
pub(crate) struct SessionLock(WorkLock);

impl Drop for SessionLock {
    fn drop(&mut self) {
        // SAFETY: releases what `take_for_session` acquired and no rollback has released, since whoever keeps it drops
        // it before; a session's lock needs no transaction.
        unsafe { pg_sys::LockRelease(&self.0.0, pg_sys::ExclusiveLock as i32, true) };
    }
}
