//! Guards for open relations and active snapshots.
//!
//! After an error of PostgreSQL nothing is released here: the end of the transaction or
//! subtransaction does that, as for C code.

use std::ops::Deref;

use pgrx::pg_sys;

use super::patience::acquire;

/// An open relation.
pub(crate) struct OpenRelation {
    relation: pg_sys::Relation,
    /// The lock that closing releases.
    lock: pg_sys::LOCKMODE,
}

impl OpenRelation {
    /// Opens a table; raises PostgreSQL's error if it is gone.
    pub(crate) fn table(oid: pg_sys::Oid, lock: u32) -> Self {
        let lock = lock as pg_sys::LOCKMODE;
        // SAFETY: opens a relation by OID within a transaction, in which every function called from
        // SQL runs.
        Self { relation: unsafe { pg_sys::table_open(oid, lock) }, lock }
    }

    /// Opens a table that is already locked, and keeps the lock.
    pub(crate) fn locked_table(oid: pg_sys::Oid) -> Self {
        Self::table(oid, pg_sys::NoLock)
    }

    /// Opens a table; `None` if it is gone.
    pub(crate) fn try_table(oid: pg_sys::Oid, lock: u32) -> Option<Self> {
        // SAFETY: as for `table`, and the lock is held.
        Self::locked(oid, lock, || unsafe { pg_sys::table_open(oid, pg_sys::NoLock as i32) })
    }

    /// Opens a relation of any kind; `None` if it is gone.
    pub(crate) fn try_any(oid: pg_sys::Oid, lock: u32) -> Option<Self> {
        // SAFETY: as for `table`, and the lock is held.
        Self::locked(oid, lock, || unsafe { pg_sys::relation_open(oid, pg_sys::NoLock as i32) })
    }

    /// Opens an index; raises PostgreSQL's error if it is gone.
    pub(crate) fn index(oid: pg_sys::Oid, lock: u32) -> Self {
        acquire(oid, lock);
        let none = pg_sys::NoLock as pg_sys::LOCKMODE;
        // SAFETY: as for `table`, and the lock is held.
        Self { relation: unsafe { pg_sys::index_open(oid, none) }, lock: lock as pg_sys::LOCKMODE }
    }

    /// Lets closing release a lock that was acquired before.
    pub(crate) fn release(mut self, lock: u32) -> Self {
        self.lock = lock as pg_sys::LOCKMODE;
        self
    }

    /// Acquires the lock, and opens the relation; releases the lock if it is gone.
    ///
    /// The relation cache itself says whether it is gone. `try_relation_open` would first look for it
    /// in another cache, which costs as much as to read its row once more.
    fn locked(oid: pg_sys::Oid, lock: u32, open: impl FnOnce() -> pg_sys::Relation) -> Option<Self> {
        if lock != pg_sys::NoLock {
            acquire(oid, lock);
        }
        let mode = lock as pg_sys::LOCKMODE;
        // SAFETY: looks up a relation that is locked, so that it stays as it is, and gives the reference
        // back.
        let found = unsafe { pg_sys::RelationIdGetRelation(oid) };
        // The value is created only for an open relation, since dropping it closes the relation.
        if !found.is_null() {
            let relation = open();
            // SAFETY: the reference from above; `relation` is another one.
            unsafe { pg_sys::RelationClose(found) };
            return Some(Self { relation, lock: mode });
        }
        if lock != pg_sys::NoLock {
            // SAFETY: releases the lock that was acquired above.
            unsafe { pg_sys::UnlockRelationOid(oid, mode) };
        }
        None
    }

    /// Closes it, and removes it from the relation cache, unless it is still open elsewhere.
    pub(crate) fn forget(self) {
        // One that this transaction has created stays in the cache, and would be read once more for that.
        let (oid, is_new) = (self.rd_id, self.rd_createSubid != 0);
        drop(self);
        if !is_new {
            // SAFETY: within a transaction. A relation that is open elsewhere stays valid: it is read
            // again, as after a change by another session.
            unsafe { pg_sys::RelationCacheInvalidateEntry(oid) }
        }
    }

    /// The pointer for PostgreSQL's functions, valid as long as this value lives.
    pub(crate) const fn raw(&self) -> pg_sys::Relation {
        self.relation
    }

    /// Its row of pg_class.
    pub(crate) fn class(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: an open relation has its row of pg_class, which is valid while it is open.
        unsafe { &*self.rd_rel }
    }

    /// Its kind, as in pg_class.relkind.
    pub(crate) fn kind(&self) -> u8 {
        self.class().relkind as u8
    }
}

impl Deref for OpenRelation {
    type Target = pg_sys::RelationData;

    fn deref(&self) -> &Self::Target {
        // SAFETY: not null, and open as long as this value lives.
        unsafe { &*self.relation }
    }
}

impl Drop for OpenRelation {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the relation is open, and is closed only once.
            unsafe { pg_sys::relation_close(self.relation, self.lock) };
        }
    }
}

/// An active snapshot.
pub(crate) struct ActiveSnapshot(());

impl ActiveSnapshot {
    /// As each statement of a transaction that is READ COMMITTED takes one.
    pub(crate) fn of_statement() -> Self {
        // SAFETY: popped when this is dropped.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
        Self(())
    }

    /// A new snapshot that sees everything committed by now.
    pub(crate) fn latest() -> Self {
        // SAFETY: popped when this value is dropped.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
        Self(())
    }
}

impl Drop for ActiveSnapshot {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: pushed by `latest`. Values are dropped in reverse order.
            unsafe { pg_sys::PopActiveSnapshot() };
        }
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[allow(clippy::unwrap_used, clippy::expect_used)]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::OpenRelation;

    fn open(oid: pg_sys::Oid) -> OpenRelation {
        OpenRelation::try_table(oid, pg_sys::AccessShareLock).unwrap()
    }

    #[pg_test]
    fn a_relation_that_is_forgotten_stays_valid_where_it_is_open() {
        let catalog = pg_sys::Oid::from_u32(2609);
        let elsewhere = open(catalog);
        open(catalog).forget();
        assert_eq!((elsewhere.rd_id, elsewhere.kind()), (catalog, pg_sys::RELKIND_RELATION));
        assert_eq!(Spi::get_one("SELECT count(*) > 0 FROM pg_description"), Ok(Some(true)));
        drop(elsewhere);
        open(catalog).forget();
        assert_eq!(open(catalog).class().relname.data[0], b'p' as std::ffi::c_char);
    }

    #[pg_test]
    fn a_new_relation_that_is_forgotten_is_still_new() {
        Spi::run("CREATE TABLE fresh (id bigint)").unwrap();
        let fresh = Spi::get_one::<pg_sys::Oid>("SELECT 'fresh'::regclass::oid").unwrap().unwrap();
        open(fresh).forget();
        assert_ne!(open(fresh).rd_createSubid, 0);
    }

    #[pg_test]
    fn a_relation_that_is_gone_is_not_opened_and_not_locked() {
        let gone = pg_sys::Oid::from_u32(4_000_000_000);
        assert!(OpenRelation::try_table(gone, pg_sys::AccessShareLock).is_none());
        assert!(OpenRelation::try_any(gone, pg_sys::AccessShareLock).is_none());
        let locks = "SELECT count(*) FROM pg_locks WHERE relation = 4000000000::bigint::oid";
        assert_eq!(Spi::get_one(locks), Ok(Some(0_i64)));
    }
}
