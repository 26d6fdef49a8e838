//! Finds the root's row for a reference through an index, without a query.

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::tuple::{Column, RowOf, Value};
use crate::error::{or_raise, raise, report};
use crate::server::by_version::begin_index_scan;
use crate::server::relation::relation_name;

/// How to find a row of a table by one of its columns. Plain data, so that it can be stored in
/// PostgreSQL's memory.
#[derive(Clone, Copy)]
pub(super) struct Lookup {
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    /// The collation of the index, for texts.
    collation: pg_sys::Oid,
    by: Column,
}

impl Lookup {
    /// Uses a unique index on this column alone, if there is one.
    pub(super) fn new(relation: pg_sys::Oid, by: Column) -> Option<Self> {
        Self::by_index(relation, by, |index| index.indisvalid)
    }

    /// The same, also if the index is not valid, but new rows are entered: it is being built, or its
    /// build has failed. It refuses equal values already, and may lack rows that were there before.
    pub(super) fn that_refuses(relation: pg_sys::Oid, by: Column) -> Option<Self> {
        Self::by_index(relation, by, |index| index.indisready)
    }

    fn by_index(
        relation: pg_sys::Oid,
        by: Column,
        is_usable: fn(&pg_sys::FormData_pg_index) -> bool,
    ) -> Option<Self> {
        let mut found = None;
        // SAFETY: everything opened is closed again; the locks are kept until the end of the
        // transaction, as a query keeps them. The list of indexes is a copy; an index has at least
        // one column.
        unsafe {
            let table = pg_sys::table_open(relation, pg_sys::AccessShareLock as i32);
            let list = pg_sys::RelationGetIndexList(table);
            for at in 0..if list.is_null() { 0 } else { (*list).length } {
                let oid = pg_sys::list_nth_oid(list, at);
                let index = pg_sys::index_open(oid, pg_sys::AccessShareLock as i32);
                let form = (*index).rd_index;
                let collation = *(*index).rd_indcollation;
                let fits = (*form).indisunique
                    // That of a partitioned table has no entries.
                    && (*(*index).rd_rel).relkind as u8 == pg_sys::RELKIND_INDEX
                    && is_usable(&*form)
                    && (*form).indnkeyatts == 1
                    && *(*form).indkey.values.as_ptr() == by.number
                    // Otherwise it finds rows with other bytes.
                    && (collation == pg_sys::InvalidOid || pg_sys::get_collation_isdeterministic(collation))
                    // Not RelationGetIndexPredicate, which evaluates constant expressions in the
                    // predicate: code of the table's owner.
                    && pg_sys::heap_attisnull(
                        (*index).rd_indextuple,
                        pg_sys::Anum_pg_index_indpred as i32,
                        std::ptr::null_mut(),
                    );
                pg_sys::index_close(index, pg_sys::NoLock as i32);
                if fits {
                    found = Some((oid, collation));
                    break;
                }
            }
            pg_sys::list_free(list);
            pg_sys::table_close(table, pg_sys::NoLock as i32);
        }
        found.map(|(index, collation)| Self { relation, index, collation, by })
    }

    /// The same, but raises an error if the root lacks the index by which references are found.
    pub(super) fn required(relation: pg_sys::Oid, by: Column) -> Self {
        Self::new(relation, by).unwrap_or_else(|| missing(relation))
    }

    /// Whether a row with this value would prevent another one with it: one that is committed or of this
    /// transaction, or one that another transaction inserts, changes or deletes.
    ///
    /// Reads under no snapshot that another transaction could conflict with (SERIALIZABLE).
    pub(super) fn is_taken(&self, value: Value) -> bool {
        let Some(value) = self.by.kind.datum(value) else { return false };
        // SAFETY: the snapshot lives as long as the scan.
        is_there_for_writers(|snapshot| unsafe { self.scan(value, snapshot, &mut |_, _| Ok(())) })
    }

    /// Reads the row with this value; `None` if there is no such row. The row is valid until `read`
    /// returns.
    ///
    /// It sees committed rows and those of this transaction, including the running statement:
    ///
    /// `WITH o AS (INSERT INTO orders ...) INSERT INTO items ...`.
    ///
    /// Raises an error if the column by which rows are found no longer has its type.
    pub(super) fn row<T>(
        &self,
        value: Value,
        mut read: impl FnMut(pg_sys::Relation, RowOf) -> T,
    ) -> Option<T> {
        or_raise(self.look_up(value, &mut |table, row| Ok(read(table, row))))
    }

    /// The same, with a column that is read; `None` also if one of the columns no longer has its
    /// type.
    pub(super) fn row_if_unaltered<T>(
        &self,
        value: Value,
        column: Column,
        mut read: impl FnMut(RowOf) -> T,
    ) -> Option<T> {
        // SAFETY: the table is open.
        let read =
            &mut |table: pg_sys::Relation, row: RowOf| unsafe { column.check(table).map(|()| read(row)) };
        self.look_up(value, read).ok().flatten()
    }

    fn look_up<T>(
        &self,
        value: Value,
        read: &mut dyn FnMut(pg_sys::Relation, RowOf) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.by.kind.datum(value) else { return Ok(None) };
        // SAFETY: the snapshot lives as long as the scan.
        present(|snapshot| unsafe { self.scan(value, snapshot, read) })
    }

    /// # Safety
    /// `snapshot` must be valid for the scan, and `value` must be one of the column.
    unsafe fn scan<T>(
        &self,
        value: pg_sys::Datum,
        snapshot: pg_sys::Snapshot,
        read: &mut dyn FnMut(pg_sys::Relation, RowOf) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        // SAFETY: the column is checked to exist unchanged; the row is read before the scan ends.
        unsafe {
            let table = pg_sys::table_open(self.relation, pg_sys::AccessShareLock as i32);
            if let Err(error) = self.by.check(table) {
                pg_sys::table_close(table, pg_sys::NoLock as i32);
                return Err(error);
            }
            let mut key = pg_sys::ScanKeyData::default();
            let strategy = pg_sys::BTEqualStrategyNumber as u16;
            pg_sys::ScanKeyInit(&mut key, self.by.number, strategy, self.by.kind.equality(), value);
            key.sk_collation = self.collation;
            let scan = pg_sys::systable_beginscan(table, self.index, true, snapshot, 1, &mut key);
            let row = pg_sys::systable_getnext(scan);
            let found = (!row.is_null()).then(|| read(table, RowOf::Tuple(row, (*table).rd_att))).transpose();
            pg_sys::systable_endscan(scan);
            pg_sys::table_close(table, pg_sys::NoLock as i32);
            found
        }
    }
}

/// What a scan finds among committed rows and those of this transaction, including the running
/// statement.
///
/// # Errors
/// Those of the scan.
pub(super) fn present<T>(
    mut scan: impl FnMut(pg_sys::Snapshot) -> Result<Option<T>, Error>,
) -> Result<Option<T>, Error> {
    // The snapshot is PostgreSQL's own and static.
    if let Some(found) = scan(&raw mut pg_sys::SnapshotSelfData)? {
        return Ok(Some(found));
    }
    // The first scan may miss a row that another session moves meanwhile, because it reads the row's
    // locations one after the other.
    // SAFETY: the snapshot is registered while the scan runs.
    unsafe {
        let latest = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let found = scan(latest);
        pg_sys::UnregisterSnapshot(latest);
        found
    }
}

/// Whether a scan finds a row that would prevent another one with its value: see [`Lookup::is_taken`].
pub(super) fn is_there_for_writers(
    mut scan: impl FnMut(pg_sys::Snapshot) -> Result<Option<()>, Error>,
) -> bool {
    // The first scan may miss a row that another session moves meanwhile.
    (0..2).any(|_| {
        // PostgreSQL writes into this snapshot.
        let mut dirty = pg_sys::SnapshotData {
            snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
            ..Default::default()
        };
        matches!(scan(&raw mut dirty), Ok(Some(())))
    })
}

impl Lookup {
    /// Opens it for many values, under a snapshot.
    ///
    /// # Safety
    /// The snapshot must be valid until the result is closed.
    pub(super) unsafe fn open(self, snapshot: pg_sys::Snapshot) -> Scan {
        // SAFETY: see above; one key, for the only column of the index.
        unsafe {
            let lock = pg_sys::AccessShareLock as i32;
            let table = pg_sys::table_open(self.relation, lock);
            let index = pg_sys::index_open(self.index, lock);
            let scan = begin_index_scan(table, index, snapshot, 1);
            let slot = pg_sys::table_slot_create(table, std::ptr::null_mut());
            Scan {
                by: self.by,
                collation: self.collation,
                table,
                index,
                scan,
                slot,
                memory: pg_sys::CurrentMemoryContext,
            }
        }
    }
}

/// An open scan for many values.
pub(super) struct Scan {
    by: Column,
    collation: pg_sys::Oid,
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    scan: pg_sys::IndexScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
    /// The memory context of the state that the index keeps between values.
    memory: pg_sys::MemoryContext,
}

impl Scan {
    /// The table whose rows it finds.
    pub(super) const fn relation(&self) -> pg_sys::Relation {
        self.table
    }

    /// Reads the row with this value; `None` if there is no such row. The row is valid until `read`
    /// returns.
    pub(super) fn row<T>(&mut self, value: Value, read: impl FnOnce(RowOf) -> T) -> Option<T> {
        let value = self.by.kind.datum(value)?;
        // SAFETY: the scan is open, and the value belongs to the first column of its index. The slot
        // keeps the row until the next one.
        unsafe {
            let mut key = pg_sys::ScanKeyData::default();
            let strategy = pg_sys::BTEqualStrategyNumber as u16;
            pg_sys::ScanKeyInit(&mut key, 1, strategy, self.by.kind.equality(), value);
            key.sk_collation = self.collation;
            let before = pg_sys::MemoryContextSwitchTo(self.memory);
            pg_sys::index_rescan(self.scan, &mut key, 1, std::ptr::null_mut(), 0);
            let forward = pg_sys::ScanDirection::ForwardScanDirection;
            let is_found = pg_sys::index_getnext_slot(self.scan, forward, self.slot);
            pg_sys::MemoryContextSwitchTo(before);
            is_found.then(|| read(RowOf::Slot(self.slot)))
        }
    }

    /// # Safety
    /// Call it once, at the end.
    pub(super) unsafe fn close(self) {
        // SAFETY: closes what `open` has opened; locks are kept until the end of the transaction.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::index_endscan(self.scan);
            pg_sys::index_close(self.index, pg_sys::NoLock as i32);
            pg_sys::table_close(self.table, pg_sys::NoLock as i32);
        }
    }
}

fn missing(relation: pg_sys::Oid) -> ! {
    let message = format!("table {} has no unique index on its key", relation_name(relation));
    raise(report(
        Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("A key migration uses this index to find referenced rows.")
            .hint("Create the index again, or CALL key_migration_rollback()."),
    ))
}
