//! Locks that keep two sessions from doing the same work. Mostly nobody waits for them.
//!
//! They are locks on objects, not advisory locks. Any role that can connect can take advisory
//! locks, and could use them to prevent a set-up. Only the library takes these locks, for roles
//! that may do the work.

use pgrx::pg_sys;

/// The lock for some work in this database.
#[derive(Clone, Copy)]
pub(crate) struct WorkLock(pg_sys::LOCKTAG);

impl WorkLock {
    /// The lock for the work whose state our table `table` holds: work on one object, or all of it
    /// if `object` is the table's own OID.
    pub(crate) fn new(table: pg_sys::Oid, object: pg_sys::Oid) -> Self {
        Self(pg_sys::LOCKTAG {
            // SAFETY: set before a backend runs its first statement.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            // Takes the place of a catalog. No object of PostgreSQL is locked with such a tag.
            locktag_field2: table.to_u32(),
            locktag_field3: object.to_u32(),
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        })
    }

    /// Takes it until the end of the transaction; returns whether it was free.
    pub(crate) fn take(self) -> bool {
        self.acquire(false)
    }

    /// Takes it for the session, until the result is dropped or a transaction is rolled back;
    /// `None` if another session has it.
    pub(crate) fn take_for_session(self) -> Option<SessionLock> {
        self.acquire(true).then(|| SessionLock(self))
    }

    /// Waits for it, and takes it until the end of the transaction.
    pub(crate) fn wait(self) {
        // SAFETY: the lock manager raises its own errors.
        unsafe { pg_sys::LockAcquire(&self.0, pg_sys::ExclusiveLock as i32, false, false) };
    }

    /// Whether no session has it, or waits for it.
    pub(crate) fn is_free(self) -> bool {
        // SAFETY: does not wait, and releases what it has acquired. Others that look do not conflict.
        unsafe {
            let lock = pg_sys::ShareLock as i32;
            let result = pg_sys::LockAcquire(&self.0, lock, false, true);
            let is_free = result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL;
            if is_free {
                pg_sys::LockRelease(&self.0, lock, false);
            }
            is_free
        }
    }

    fn acquire(self, for_session: bool) -> bool {
        // SAFETY: does not wait; the lock manager raises its own errors.
        let result = unsafe { pg_sys::LockAcquire(&self.0, pg_sys::ExclusiveLock as i32, for_session, true) };
        result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }
}

/// A lock that the session holds over several transactions. Released when dropped.
pub(crate) struct SessionLock(WorkLock);

impl Drop for SessionLock {
    fn drop(&mut self) {
        // SAFETY: releases the lock that `take_for_session` acquired. No rollback has released it,
        // since its holder drops this value before. A session lock needs no transaction.
        unsafe { pg_sys::LockRelease(&self.0.0, pg_sys::ExclusiveLock as i32, true) };
    }
}
