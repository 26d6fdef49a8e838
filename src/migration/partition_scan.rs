//! Finds many rows of a partitioned table by a column and its companions, without a query.
//!
//! The partition of a row stays open and locked until a row of another one is looked up: consecutive rows
//! often refer to the same partition. Of all partitions, one is locked at a time.

use keyspace::Error;
use pgrx::pg_sys;

use super::companions::CompanionValues;
use super::partitioned_lookup::{Leaf, PartitionedLookup};
use super::tuple::{RowOf, Value};
use crate::server::by_version::begin_index_scan;

/// An open scan for many values.
pub(super) struct PartitionScan {
    lookup: PartitionedLookup,
    snapshot: pg_sys::Snapshot,
    /// The partitioned table.
    top: pg_sys::Relation,
    /// The partition of the last row.
    open: Option<OpenPartition>,
    /// The memory context of what is open.
    memory: pg_sys::MemoryContext,
}

/// A partition with rows, and a scan of its index.
struct OpenPartition {
    leaf: Leaf,
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    scan: pg_sys::IndexScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
}

/// The lock on a partition and its index, as of a query that reads it.
const LOCK: pg_sys::LOCKMODE = pg_sys::AccessShareLock as pg_sys::LOCKMODE;

impl PartitionScan {
    /// # Safety
    /// The snapshot must be valid until the result is closed.
    pub(super) unsafe fn new(lookup: PartitionedLookup, snapshot: pg_sys::Snapshot) -> Self {
        // SAFETY: see above; the table has just been looked at.
        unsafe {
            let top = pg_sys::table_open(lookup.table, LOCK);
            Self { lookup, snapshot, top, open: None, memory: pg_sys::CurrentMemoryContext }
        }
    }

    /// Reads the row with these values; `None` if there is no such row. `read` gets its partition. The row
    /// is valid until `read` returns.
    ///
    /// # Errors
    /// 42804 if the column no longer has its type, 55000 if a partition lacks its index.
    ///
    /// # Safety
    /// The companions must have values of their types.
    pub(super) unsafe fn row<T>(
        &mut self,
        value: Value,
        companions: &CompanionValues,
        read: impl FnOnce(pg_sys::Relation, RowOf) -> T,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.lookup.kind().datum(value) else { return Ok(None) };
        // SAFETY: see above; what is open was opened here. The slot keeps the row until the next one.
        unsafe {
            let Some(partition) = self.lookup.partition(self.top, companions) else { return Ok(None) };
            let memory = self.memory;
            let before = pg_sys::MemoryContextSwitchTo(memory);
            let opened = self.open(partition);
            pg_sys::MemoryContextSwitchTo(before);
            let Some(open) = opened? else { return Ok(None) };
            let keys = open.leaf.scan_keys(value, companions, |place, _| place);
            let Some((mut keys, count)) = keys else { return Ok(None) };
            let before = pg_sys::MemoryContextSwitchTo(memory);
            pg_sys::index_rescan(open.scan, keys.as_mut_ptr(), count, std::ptr::null_mut(), 0);
            let forward = pg_sys::ScanDirection::ForwardScanDirection;
            let is_found = pg_sys::index_getnext_slot(open.scan, forward, open.slot);
            pg_sys::MemoryContextSwitchTo(before);
            Ok(is_found.then(|| read(open.table, RowOf::Slot(open.slot))))
        }
    }

    /// Opens a partition, unless it is the open one; `None` if it was dropped meanwhile.
    ///
    /// # Safety
    /// The current memory context must be that of this scan.
    unsafe fn open(&mut self, partition: pg_sys::Oid) -> Result<Option<&OpenPartition>, Error> {
        // SAFETY: see above; what is opened is closed by `close`, unless an error ends the transaction.
        unsafe {
            if self.open.as_ref().is_some_and(|open| (*open.table).rd_id == partition) {
                return Ok(self.open.as_ref());
            }
            self.close_partition();
            let table = pg_sys::try_table_open(partition, LOCK);
            if table.is_null() {
                return Ok(None);
            }
            let leaf = self.lookup.leaf(table, LOCK);
            let Ok(Some(leaf)) = leaf else {
                pg_sys::table_close(table, LOCK);
                return leaf.map(|_| None);
            };
            let index = pg_sys::index_open(leaf.index, LOCK);
            let scan = begin_index_scan(table, index, self.snapshot, (*(*index).rd_index).indnkeyatts.into());
            let slot = pg_sys::table_slot_create(table, std::ptr::null_mut());
            Ok(Some(self.open.insert(OpenPartition { leaf, table, index, scan, slot })))
        }
    }

    /// Closes the open partition, and unlocks it.
    fn close_partition(&mut self) {
        let Some(open) = self.open.take() else { return };
        // SAFETY: closes what `open` has opened.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(open.slot);
            pg_sys::index_endscan(open.scan);
            pg_sys::index_close(open.index, LOCK);
            pg_sys::table_close(open.table, LOCK);
        }
    }

    /// # Safety
    /// Call it once, at the end.
    pub(super) unsafe fn close(mut self) {
        self.close_partition();
        // SAFETY: opened by `new`; its lock is kept until the end of the transaction.
        unsafe { pg_sys::table_close(self.top, pg_sys::NoLock as pg_sys::LOCKMODE) };
    }
}
