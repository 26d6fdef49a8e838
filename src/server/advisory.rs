//! Advisory locks, which nobody waits for here.

use pgrx::pg_sys;

/// An advisory lock of this database.
#[derive(Clone, Copy)]
pub(crate) struct Advisory(pg_sys::LOCKTAG);

impl Advisory {
    /// What `pg_advisory_lock(bigint)` takes.
    pub(crate) fn of_bigint(key: u64) -> Self {
        Self::of((key >> 32) as u32, key as u32, 1)
    }

    /// What `pg_advisory_lock(int, int)` takes.
    pub(crate) fn of_pair(class: u32, object: u32) -> Self {
        Self::of(class, object, 2)
    }

    fn of(locktag_field2: u32, locktag_field3: u32, locktag_field4: u16) -> Self {
        Self(pg_sys::LOCKTAG {
            // SAFETY: set before a backend runs its first statement.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2,
            locktag_field3,
            locktag_field4,
            locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        })
    }

    /// Takes it to the end of the transaction; whether it was to be had.
    pub(crate) fn take(self) -> bool {
        self.acquire(false)
    }

    /// Takes it for the session, until what is returned is dropped; `None` where another session has it.
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
pub(crate) struct SessionLock(Advisory);

impl Drop for SessionLock {
    fn drop(&mut self) {
        // SAFETY: releases what `take_for_session` acquired; a session's lock needs no transaction.
        unsafe { pg_sys::LockRelease(&self.0.0, pg_sys::ExclusiveLock as i32, true) };
    }
}
