//! What is opened, pinned or pushed for as long as a value lives.
//!
//! After an error of PostgreSQL's nothing is given back here: the end of the transaction or subtransaction does so, as for
//! C code.

use std::ops::Deref;

use pgrx::pg_sys;

/// A relation that is open.
pub(crate) struct OpenRelation {
    relation: pg_sys::Relation,
    /// The lock that is given back when it is closed.
    lock: pg_sys::LOCKMODE,
}

impl OpenRelation {
    /// Opens a table; raises PostgreSQL's error where it is gone.
    pub(crate) fn table(oid: pg_sys::Oid, lock: u32) -> Self {
        let lock = lock as pg_sys::LOCKMODE;
        // SAFETY: opens a relation by OID, within a transaction as every function called from SQL.
        Self { relation: unsafe { pg_sys::table_open(oid, lock) }, lock }
    }

    /// Opens a table that is locked already; the lock stays.
    pub(crate) fn locked_table(oid: pg_sys::Oid) -> Self {
        Self::table(oid, pg_sys::NoLock)
    }

    /// Opens a table; `None` where it is gone.
    pub(crate) fn try_table(oid: pg_sys::Oid, lock: u32) -> Option<Self> {
        let lock = lock as pg_sys::LOCKMODE;
        // SAFETY: as for `table`.
        Self::found(unsafe { pg_sys::try_table_open(oid, lock) }, lock)
    }

    /// Opens a relation of any kind; `None` where it is gone.
    pub(crate) fn try_any(oid: pg_sys::Oid, lock: u32) -> Option<Self> {
        let lock = lock as pg_sys::LOCKMODE;
        // SAFETY: as for `table`.
        Self::found(unsafe { pg_sys::try_relation_open(oid, lock) }, lock)
    }

    /// Opens an index; raises PostgreSQL's error where it is gone.
    pub(crate) fn index(oid: pg_sys::Oid, lock: u32) -> Self {
        let lock = lock as pg_sys::LOCKMODE;
        // SAFETY: as for `table`.
        Self { relation: unsafe { pg_sys::index_open(oid, lock) }, lock }
    }

    /// The lock that was taken by others is given back when it is closed.
    pub(crate) fn release(mut self, lock: u32) -> Self {
        self.lock = lock as pg_sys::LOCKMODE;
        self
    }

    fn found(relation: pg_sys::Relation, lock: pg_sys::LOCKMODE) -> Option<Self> {
        // Not made before it is known to be open: it is closed when it goes.
        if relation.is_null() { None } else { Some(Self { relation, lock }) }
    }

    /// For PostgreSQL's functions; valid as long as this lives.
    pub(crate) const fn raw(&self) -> pg_sys::Relation {
        self.relation
    }

    /// Its row of pg_class.
    pub(crate) fn class(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: an open relation has its row of pg_class, which is valid as long as it is open.
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
        // SAFETY: not null, and open as long as this lives.
        unsafe { &*self.relation }
    }
}

impl Drop for OpenRelation {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: it was opened, and is closed once.
            unsafe { pg_sys::relation_close(self.relation, self.lock) };
        }
    }
}

/// A new snapshot that is the active one.
pub(crate) struct ActiveSnapshot(());

impl ActiveSnapshot {
    /// Sees what is committed by now.
    pub(crate) fn latest() -> Self {
        // SAFETY: popped when this is dropped.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
        Self(())
    }
}

impl Drop for ActiveSnapshot {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: pushed by `latest`; values are dropped in the reverse order.
            unsafe { pg_sys::PopActiveSnapshot() };
        }
    }
}
