//! Functions of PostgreSQL that take other arguments on other versions, in one form.

use pgrx::pg_sys;

/// Whether logical replication carries positions of sequences to other servers: publications of ALL SEQUENCES.
pub(crate) const HAS_SEQUENCE_PUBLICATIONS: bool =
    cfg!(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")));

/// Whether the lock table ends where its settings say. Before, what was left of shared memory was there for locks, too.
pub(crate) const LOCK_TABLE_IS_FIXED: bool =
    cfg!(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")));

/// Caches of the catalogs, as [`pg_sys::SearchSysCache1`] takes them: their type is of another sign until PostgreSQL 18.
#[allow(clippy::unnecessary_cast)]
pub(crate) mod cache {
    use std::ffi::c_int;

    use pgrx::pg_sys::SysCacheIdentifier;

    pub(crate) const ATTNUM: c_int = SysCacheIdentifier::ATTNUM as c_int;
    pub(crate) const SEQRELID: c_int = SysCacheIdentifier::SEQRELID as c_int;
    pub(crate) const TYPENAMENSP: c_int = SysCacheIdentifier::TYPENAMENSP as c_int;
}

/// How a buffer is locked, as [`pg_sys::LockBuffer`] takes it.
#[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
pub(crate) mod buffer_lock {
    use std::ffi::c_int;

    use pgrx::pg_sys;

    pub(crate) const SHARE: c_int = pg_sys::BUFFER_LOCK_SHARE as c_int;
    pub(crate) const UNLOCK: c_int = pg_sys::BUFFER_LOCK_UNLOCK as c_int;
}

/// How a buffer is locked, as [`pg_sys::LockBuffer`] takes it.
#[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
pub(crate) mod buffer_lock {
    use pgrx::pg_sys::BufferLockMode;

    pub(crate) const SHARE: BufferLockMode::Type = BufferLockMode::BUFFER_LOCK_SHARE;
    pub(crate) const UNLOCK: BufferLockMode::Type = BufferLockMode::BUFFER_LOCK_UNLOCK;
}

/// Begins a scan of an index by one key.
///
/// # Safety
/// Table and index must be open, the index one of the table's, and the snapshot valid until the scan ends.
pub(crate) unsafe fn begin_index_scan(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
) -> pg_sys::IndexScanDesc {
    // SAFETY: see above; nothing is counted, and no flag is set.
    unsafe {
        pg_sys::index_beginscan(
            table,
            index,
            snapshot,
            #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
            std::ptr::null_mut(),
            1,
            0,
            #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
            0,
        )
    }
}

/// The index of a table's primary key, one that is checked at once.
///
/// # Safety
/// The table must be open.
pub(crate) unsafe fn primary_key_index(table: pg_sys::Relation) -> pg_sys::Oid {
    // SAFETY: see above.
    unsafe {
        pg_sys::RelationGetPrimaryKeyIndex(
            table,
            #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
            false,
        )
    }
}

/// Makes room on a page out of what is dead, as every reader of a full page does it.
///
/// # Safety
/// The table must be a heap and open, and the buffer one of its own, pinned and not locked.
pub(crate) unsafe fn prune_page(table: pg_sys::Relation, buffer: pg_sys::Buffer) {
    // SAFETY: see above.
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
    unsafe {
        pg_sys::heap_page_prune_opt(table, buffer)
    };
    // SAFETY: see above; a page of the visibility map that it has pinned is given back.
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
    unsafe {
        let mut map = pg_sys::InvalidBuffer as pg_sys::Buffer;
        pg_sys::heap_page_prune_opt(table, buffer, &mut map, false);
        if map != pg_sys::InvalidBuffer as pg_sys::Buffer {
            pg_sys::ReleaseBuffer(map);
        }
    }
}
