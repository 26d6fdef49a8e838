//! Rows that an UPDATE moves to another partition. PostgreSQL deletes them there and inserts them here, and
//! the trigger on INSERT does not see that it is the same row, which keeps its key (trap M22).
//!
//! The trigger on UPDATE notes the place and the key of a row. If a row with this key is inserted next,
//! PostgreSQL's own mark in the old version says whether it was moved, or only copied.

use std::cell::Cell;

use pgrx::pg_sys;

use super::tuple::Value;

/// A row of a partition that was about to be updated.
#[derive(Clone, Copy)]
struct Updated {
    table: pg_sys::Oid,
    partition: pg_sys::Oid,
    place: pg_sys::ItemPointerData,
    /// When the transaction began.
    at: pg_sys::TimestampTz,
    key: [u8; 16],
}

thread_local! {
    /// The last one.
    static LAST: Cell<Option<Updated>> = const { Cell::new(None) };
}

fn now() -> pg_sys::TimestampTz {
    // SAFETY: within a transaction.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
}

/// Notes a row of a partition that is about to be updated, which has this place and this key.
pub(super) fn may_move(
    table: pg_sys::Oid,
    partition: pg_sys::Oid,
    place: pg_sys::ItemPointerData,
    key: Option<Value>,
) {
    let key = key.and_then(Value::key);
    LAST.set(key.map(|key| Updated { table, partition, place, at: now(), key }));
}

/// Whether a row that is about to be inserted with this key comes from another partition.
pub(super) fn is_moved(table: pg_sys::Oid, key: Option<Value>) -> bool {
    let last = LAST.get().zip(key.and_then(Value::key));
    let last = last.filter(|(last, key)| (last.table, last.at, last.key) == (table, now(), *key));
    let is_moved = last.is_some_and(|(last, _)| was_moved(&last));
    if is_moved {
        LAST.set(None);
    }
    is_moved
}

/// Whether this transaction has deleted the version of the row because it moves to another partition.
fn was_moved(row: &Updated) -> bool {
    let mut version = pg_sys::HeapTupleData { t_self: row.place, ..Default::default() };
    let mut buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
    // SAFETY: what is opened is closed; the lock is kept, as a query keeps it. The snapshot is PostgreSQL's own
    // and static. The version is read while its page is pinned; nobody changes a version that this transaction
    // has deleted.
    unsafe {
        let partition = pg_sys::try_table_open(row.partition, pg_sys::AccessShareLock as i32);
        if partition.is_null() {
            return false;
        }
        let snapshot = &raw mut pg_sys::SnapshotAnyData;
        // Other storage has no such mark, and no migration.
        let is_there = (*(*partition).rd_rel).relam == pg_sys::HEAP_TABLE_AM_OID
            && pg_sys::heap_fetch(partition, snapshot, &mut version, &mut buffer, false);
        pg_sys::table_close(partition, pg_sys::NoLock as i32);
        if !is_there {
            return false;
        }
        let header = version.t_data;
        let is_multi = u32::from((*header).t_infomask) & pg_sys::HEAP_XMAX_IS_MULTI != 0;
        let by =
            if is_multi { pg_sys::HeapTupleGetUpdateXid(header) } else { (*header).t_choice.t_heap.t_xmax };
        let is_marked = u32::from((*header).t_ctid.ip_posid) == pg_sys::MovedPartitionsOffsetNumber;
        let is_moved = is_marked && pg_sys::TransactionIdIsCurrentTransactionId(by);
        pg_sys::ReleaseBuffer(buffer);
        is_moved
    }
}
