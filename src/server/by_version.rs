//! One form for functions of PostgreSQL whose arguments depend on the version.

use pgrx::pg_sys;

/// Whether logical replication can replicate positions of sequences: publications of ALL SEQUENCES.
pub(crate) const HAS_SEQUENCE_PUBLICATIONS: bool =
    cfg!(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")));

/// Caches of the catalogs, as [`pg_sys::SearchSysCache1`] takes them. Their type has a different
/// sign up to PostgreSQL 18.
#[allow(clippy::unnecessary_cast)]
pub(crate) mod cache {
    use std::ffi::c_int;

    use pgrx::pg_sys::SysCacheIdentifier;

    pub(crate) const ATTNUM: c_int = SysCacheIdentifier::ATTNUM as c_int;
    pub(crate) const NAMESPACEOID: c_int = SysCacheIdentifier::NAMESPACEOID as c_int;
    pub(crate) const RELOID: c_int = SysCacheIdentifier::RELOID as c_int;
    pub(crate) const SEQRELID: c_int = SysCacheIdentifier::SEQRELID as c_int;
    pub(crate) const STATRELATTINH: c_int = SysCacheIdentifier::STATRELATTINH as c_int;
    pub(crate) const TYPEOID: c_int = SysCacheIdentifier::TYPEOID as c_int;
    pub(crate) const TYPENAMENSP: c_int = SysCacheIdentifier::TYPENAMENSP as c_int;
}

/// Modes of buffer locks, as [`pg_sys::LockBuffer`] takes them.
#[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
pub(crate) mod buffer_lock {
    use std::ffi::c_int;

    use pgrx::pg_sys;

    pub(crate) const SHARE: c_int = pg_sys::BUFFER_LOCK_SHARE as c_int;
    pub(crate) const EXCLUSIVE: c_int = pg_sys::BUFFER_LOCK_EXCLUSIVE as c_int;
    pub(crate) const UNLOCK: c_int = pg_sys::BUFFER_LOCK_UNLOCK as c_int;
}

/// Modes of buffer locks, as [`pg_sys::LockBuffer`] takes them.
#[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
pub(crate) mod buffer_lock {
    use pgrx::pg_sys::BufferLockMode;

    pub(crate) const SHARE: BufferLockMode::Type = BufferLockMode::BUFFER_LOCK_SHARE;
    pub(crate) const EXCLUSIVE: BufferLockMode::Type = BufferLockMode::BUFFER_LOCK_EXCLUSIVE;
    pub(crate) const UNLOCK: BufferLockMode::Type = BufferLockMode::BUFFER_LOCK_UNLOCK;
}

/// Whether a foreign key is enforced: all are, up to PostgreSQL 17.
#[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
pub(crate) const fn is_enforced(_: &pg_sys::ForeignKeyCacheInfo) -> bool {
    true
}

/// Whether a foreign key is enforced.
#[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
pub(crate) const fn is_enforced(key: &pg_sys::ForeignKeyCacheInfo) -> bool {
    key.conenforced
}

/// Begins a scan of an index with this number of keys.
///
/// # Safety
/// Table and index must be open, the index must belong to the table, and the snapshot must be valid
/// until the scan ends.
pub(crate) unsafe fn begin_index_scan(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    keys: i32,
) -> pg_sys::IndexScanDesc {
    // SAFETY: see above. No statistics are collected, and no flag is set.
    unsafe {
        pg_sys::index_beginscan(
            table,
            index,
            snapshot,
            #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
            std::ptr::null_mut(),
            keys,
            0,
            #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
            0,
        )
    }
}

/// Begins a scan of all rows of a table.
///
/// # Safety
/// The table must be open, and the snapshot must be valid until the scan ends.
pub(crate) unsafe fn begin_table_scan(
    table: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
) -> pg_sys::TableScanDesc {
    // SAFETY: see above; there are no keys, and no flag is set.
    unsafe {
        pg_sys::table_beginscan(
            table,
            snapshot,
            0,
            std::ptr::null_mut(),
            #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
            0,
        )
    }
}

/// Pins the first page of a relation of this database by the names of its tablespace and its file, as
/// pg_class has them: without an entry in the relation cache.
///
/// # Safety
/// The relation must exist, not be temporary, and be locked, or its file may be gone, which is an error
/// of PostgreSQL.
pub(crate) unsafe fn read_first_page(
    tablespace: pg_sys::Oid,
    file: pg_sys::Oid,
    is_permanent: bool,
) -> pg_sys::Buffer {
    // SAFETY: see above. The variables are set before a backend runs its first statement.
    unsafe {
        let tablespace =
            if tablespace == pg_sys::InvalidOid { pg_sys::MyDatabaseTableSpace } else { tablespace };
        #[cfg(feature = "pg15")]
        let file = pg_sys::RelFileNode { spcNode: tablespace, dbNode: pg_sys::MyDatabaseId, relNode: file };
        #[cfg(not(feature = "pg15"))]
        let file =
            pg_sys::RelFileLocator { spcOid: tablespace, dbOid: pg_sys::MyDatabaseId, relNumber: file };
        pg_sys::ReadBufferWithoutRelcache(
            file,
            pg_sys::ForkNumber::MAIN_FORKNUM,
            0,
            pg_sys::ReadBufferMode::RBM_NORMAL,
            std::ptr::null_mut(),
            is_permanent,
        )
    }
}

/// The index of a table's primary key, unless that is deferrable.
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

/// Removes dead rows from a page, as every reader of a full page does.
///
/// # Safety
/// The table must be an open heap, and the buffer must belong to it, pinned and not locked.
pub(crate) unsafe fn prune_page(table: pg_sys::Relation, buffer: pg_sys::Buffer) {
    // SAFETY: see above.
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
    unsafe {
        pg_sys::heap_page_prune_opt(table, buffer)
    };
    // SAFETY: see above. A page of the visibility map that it has pinned is released.
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
    unsafe {
        let mut map = pg_sys::InvalidBuffer as pg_sys::Buffer;
        pg_sys::heap_page_prune_opt(table, buffer, &mut map, false);
        if map != pg_sys::InvalidBuffer as pg_sys::Buffer {
            pg_sys::ReleaseBuffer(map);
        }
    }
}

/// The indexes in which an updated row needs new entries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntriesFor {
    None,
    /// Indexes that have no entries for single rows (BRIN). Before PostgreSQL 16, a row gets
    /// entries in all indexes.
    Summarizing,
    All,
}

/// Updates a row by its table's access method. It waits for other transactions that hold the row: a
/// heap cannot do otherwise, and asserts that there are none if it is told not to wait.
///
/// # Safety
/// The table must be open and locked for writing, the slot must hold one of its rows, and the
/// snapshot must be valid.
pub(crate) unsafe fn update_row(
    table: pg_sys::Relation,
    place: &mut pg_sys::ItemPointerData,
    slot: *mut pg_sys::TupleTableSlot,
    command: pg_sys::CommandId,
    snapshot: pg_sys::Snapshot,
    failure: &mut pg_sys::TM_FailureData,
) -> (pg_sys::TM_Result::Type, EntriesFor) {
    let mut lock = pg_sys::LockTupleMode::LockTupleNoKeyExclusive;
    #[cfg(feature = "pg15")]
    let mut entries = false;
    #[cfg(not(feature = "pg15"))]
    let mut entries = pg_sys::TU_UpdateIndexes::TU_None;
    // SAFETY: see above. The closure contains only the call, which may raise an error of
    // PostgreSQL.
    let result = unsafe {
        let Some(update) = (*(*table).rd_tableam).tuple_update else {
            pgrx::error!("the access method of a table has no update");
        };
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            update(
                table,
                place,
                slot,
                command,
                #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
                0,
                snapshot,
                std::ptr::null_mut(),
                true,
                failure,
                &mut lock,
                &mut entries,
            )
        })
    };
    #[cfg(feature = "pg15")]
    let entries = if entries { EntriesFor::All } else { EntriesFor::None };
    #[cfg(not(feature = "pg15"))]
    let entries = match entries {
        pg_sys::TU_UpdateIndexes::TU_None => EntriesFor::None,
        pg_sys::TU_UpdateIndexes::TU_Summarizing => EntriesFor::Summarizing,
        _ => EntriesFor::All,
    };
    (result, entries)
}

/// Inserts the index entries of an updated row. Returns the indexes of deferrable constraints that
/// must be checked again.
///
/// # Safety
/// The slot must hold the row at its new place, and the indexes of the table must be open.
pub(crate) unsafe fn insert_index_entries(
    result: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    state: *mut pg_sys::EState,
    #[allow(unused_variables)] only_summarizing: bool,
) -> *mut pg_sys::List {
    // SAFETY: see above.
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
    unsafe {
        pg_sys::ExecInsertIndexTuples(
            result,
            slot,
            state,
            true,
            false,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            #[cfg(not(feature = "pg15"))]
            only_summarizing,
        )
    }
    // SAFETY: see above.
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
    unsafe {
        let summarizing = if only_summarizing { pg_sys::EIIT_ONLY_SUMMARIZING } else { 0 };
        let null = std::ptr::null_mut();
        let flags = pg_sys::EIIT_IS_UPDATE | summarizing;
        pg_sys::ExecInsertIndexTuples(result, state, flags, slot, null, std::ptr::null_mut())
    }
}

/// Makes a table, of which some columns are written, the first entry of a range table.
///
/// # Safety
/// The table must be open, and the current memory context must live as long as the state.
pub(crate) unsafe fn init_range_table(
    state: *mut pg_sys::EState,
    table: pg_sys::Relation,
    written: *mut pg_sys::Bitmapset,
) {
    // SAFETY: see above. The node has the right size and is zeroed except for its type.
    unsafe {
        let entry = pg_sys::palloc0(size_of::<pg_sys::RangeTblEntry>()).cast::<pg_sys::RangeTblEntry>();
        (*entry).type_ = pg_sys::NodeTag::T_RangeTblEntry;
        (*entry).rtekind = pg_sys::RTEKind::RTE_RELATION;
        (*entry).relid = (*table).rd_id;
        (*entry).relkind = (*(*table).rd_rel).relkind;
        (*entry).rellockmode = pg_sys::RowExclusiveLock as i32;
        let entries = pg_sys::lappend(std::ptr::null_mut(), entry.cast());
        #[cfg(feature = "pg15")]
        {
            (*entry).updatedCols = written;
            pg_sys::ExecInitRangeTable(state, entries);
        }
        #[cfg(not(feature = "pg15"))]
        {
            let mut permissions = std::ptr::null_mut();
            (*pg_sys::addRTEPermissionInfo(&mut permissions, entry)).updatedCols = written;
            pg_sys::ExecInitRangeTable(
                state,
                entries,
                permissions,
                #[cfg(not(any(feature = "pg16", feature = "pg17")))]
                pg_sys::bms_make_singleton(1),
            );
        }
    }
}

/// A column of a tuple descriptor, counted from 0.
///
/// # Safety
/// The descriptor must have the column.
pub(crate) unsafe fn attribute(
    of: pg_sys::TupleDesc,
    at: std::ffi::c_int,
) -> *mut pg_sys::FormData_pg_attribute {
    // SAFETY: see above.
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    unsafe {
        (*of).attrs.as_mut_ptr().add(usize::try_from(at).unwrap_or(0))
    }
    // SAFETY: see above.
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
    unsafe {
        pg_sys::TupleDescAttr(of, at)
    }
}

/// Whether a column, counted from 0, is NOT NULL, and all rows are known to have it. Since version 18, the
/// constraint can be one that is not valid.
///
/// # Safety
/// The descriptor must be that of an open relation, and have the column.
pub(crate) unsafe fn is_required(of: pg_sys::TupleDesc, at: std::ffi::c_int) -> bool {
    // SAFETY: see above.
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    unsafe {
        (*attribute(of, at)).attnotnull
    }
    // SAFETY: see above; there are as many of them as columns.
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
    unsafe {
        let column = (*of).compact_attrs.as_ptr().add(usize::try_from(at).unwrap_or(0));
        (*column).attnullability as u8 == pg_sys::ATTNULLABLE_VALID
    }
}

/// The expression of a check constraint, with virtual columns replaced by their expressions.
///
/// # Safety
/// The relation must be open, and the text must be that of one of its check constraints.
pub(crate) unsafe fn check_expression(
    #[allow(unused_variables)] relation: pg_sys::Relation,
    text: *const std::ffi::c_char,
) -> *mut pg_sys::Node {
    // SAFETY: see above.
    unsafe {
        let expression = pg_sys::stringToNode(text).cast::<pg_sys::Node>();
        #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
        let expression = pg_sys::expand_generated_columns_in_expr(expression, relation, 1);
        expression
    }
}

/// Whether a role may use a schema.
pub(crate) fn may_use_schema(schema: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    let usage = pg_sys::ACL_USAGE as pg_sys::AclMode;
    // SAFETY: looks up catalogs by OID.
    unsafe {
        #[cfg(feature = "pg15")]
        let result = pg_sys::pg_namespace_aclcheck(schema, role, usage);
        #[cfg(not(feature = "pg15"))]
        let result = pg_sys::object_aclcheck(pg_sys::NamespaceRelationId, schema, role, usage);
        result == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// Whether an identity column of a partitioned table is one of its partitions, too, with the same sequence.
/// Up to PostgreSQL 16, it is not, and a partition can have one of its own.
pub(crate) const PARTITIONS_SHARE_IDENTITY: bool = cfg!(not(any(feature = "pg15", feature = "pg16")));

/// The sequence of an identity column; InvalidOid if the column is none.
///
/// # Safety
/// The relation must be open and have the column.
pub(crate) unsafe fn identity_sequence(relation: pg_sys::Relation, column: i16) -> pg_sys::Oid {
    // SAFETY: see above.
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    unsafe {
        pg_sys::getIdentitySequence((*relation).rd_id, column, true)
    }
    // SAFETY: see above.
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    unsafe {
        pg_sys::getIdentitySequence(relation, column, true)
    }
}

/// The ID of a replication origin.
#[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
pub(crate) type OriginId = pg_sys::RepOriginId;
/// The ID of a replication origin.
#[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
pub(crate) type OriginId = pg_sys::ReplOriginId;

/// No replication origin.
pub(crate) const NO_ORIGIN: OriginId = 0;

/// The replication origin of this session's changes.
pub(crate) fn session_origin() -> OriginId {
    // SAFETY: a variable of this backend.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
        let origin = pg_sys::replorigin_session_origin;
        #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
        let origin = pg_sys::replorigin_xact_state.origin;
        origin
    }
}

/// Sets the replication origin of this transaction's changes, the position that it reports for them, and
/// their commit time; 0 for none.
pub(crate) fn set_transaction_origin(
    origin: OriginId,
    position: pg_sys::XLogRecPtr,
    time: pg_sys::TimestampTz,
) {
    // SAFETY: variables of this backend.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18"))]
        {
            pg_sys::replorigin_session_origin = origin;
            pg_sys::replorigin_session_origin_lsn = position;
            pg_sys::replorigin_session_origin_timestamp = time;
        }
        #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17", feature = "pg18")))]
        {
            pg_sys::replorigin_xact_state.origin = origin;
            pg_sys::replorigin_xact_state.origin_lsn = position;
            pg_sys::replorigin_xact_state.origin_timestamp = time;
        }
    }
}

/// The function of PostgreSQL that reserves a replication origin for a session. Since version 19, a session
/// can share that of a process.
pub(crate) const ORIGIN_SESSION_SETUP: &str = if cfg!(feature = "pg19") {
    "pg_catalog.pg_replication_origin_session_setup(text, integer)"
} else {
    "pg_catalog.pg_replication_origin_session_setup(text)"
};

/// Reserves a replication origin for this session.
///
/// # Safety
/// The origin must exist.
pub(crate) unsafe fn set_up_origin(origin: OriginId) {
    // SAFETY: see above. PostgreSQL refuses an origin that another session uses.
    unsafe {
        pg_sys::replorigin_session_setup(
            origin,
            #[cfg(not(feature = "pg15"))]
            0,
        );
    }
}
