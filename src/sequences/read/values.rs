//! Reads the values of a column in its table and all partitions and children, without the planner.
//!
//! SQL would be shorter, but would run code of the tables' owners: the planner evaluates constants
//! in policies and index predicates, and `max` could be computed by an aggregate for another type.
//! Therefore a table is scanned, or read through an index on the column, with PostgreSQL's own
//! comparisons and as the table's owner.

use std::ffi::CStr;
use std::ops::RangeInclusive;

use keyspace::sequences::NumberType;
use pgrx::check_for_interrupts;
use pgrx::pg_sys::{self, ScanDirection};

use crate::sequences::read::catalog::Column;
use crate::server::as_owner::as_owner;
use crate::server::by_version::{attribute as attribute_of, begin_index_scan, begin_table_scan};
use crate::server::open::{ActiveSnapshot, OpenRelation};
use crate::server::patience::acquire;

/// The btree operator family of `numeric`, as in pg_opfamily.dat; the bindings lack it.
const NUMERIC_BTREE_FAMILY: pg_sys::Oid = pg_sys::Oid::from_u32(1988);
/// From access/visibilitymapdefs.h: the bit of a page whose rows are visible to everybody.
const ALL_VISIBLE: u8 = 1;
/// How many rows are read at a time.
const ROWS: usize = 256;

unsafe extern "C-unwind" {
    /// From executor/tuptable.h: deforms a slot up to a column.
    fn slot_getsomeattrs_int(slot: *mut pg_sys::TupleTableSlot, attribute: std::ffi::c_int);
    /// From access/genam.h: the next entry of an index, and the row that belongs to it.
    fn index_getnext_tid(
        scan: pg_sys::IndexScanDesc,
        direction: ScanDirection::Type,
    ) -> *mut pg_sys::ItemPointerData;
    fn index_fetch_heap(scan: pg_sys::IndexScanDesc, slot: *mut pg_sys::TupleTableSlot) -> bool;
    /// From access/itup.h: a column of an entry.
    fn nocache_index_getattr(
        entry: *mut pg_sys::IndexTupleData,
        column: std::ffi::c_int,
        columns: pg_sys::TupleDesc,
    ) -> pg_sys::Datum;
    /// From access/visibilitymap.h: the bits of a page.
    fn visibilitymap_get_status(
        table: pg_sys::Relation,
        page: pg_sys::BlockNumber,
        map: *mut pg_sys::Buffer,
    ) -> u8;
    /// From storage/predicate.h: records for SERIALIZABLE that a page was read.
    fn PredicateLockPage(table: pg_sys::Relation, page: pg_sys::BlockNumber, snapshot: pg_sys::Snapshot);
    /// From utils/adt/numeric.c: converts a `bigint` to a `numeric`.
    fn int8_numeric(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    /// From the same file: the text of a `numeric`.
    fn numeric_out(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
}

impl Column {
    /// A value of the column as a whole number; `None` if no sequence can have generated it.
    pub(crate) fn whole(&self, datum: pg_sys::Datum) -> Option<i64> {
        match self.number_type {
            Some(NumberType::Smallint) => Some(i64::from(datum.value() as i16)),
            Some(NumberType::Integer) => Some(i64::from(datum.value() as i32)),
            Some(NumberType::Bigint) => Some(datum.value() as i64),
            Some(NumberType::Numeric) => whole_part(datum),
            None => None,
        }
    }
}

/// A table with rows of its own that has the column: the table itself, a partition or a child.
struct Table {
    /// The index through which it is read, if there is one.
    index: Option<Index>,
    /// Open, and locked until it is closed.
    relation: OpenRelation,
    /// The column number in this table.
    attribute: i16,
}

/// An index that returns the values in order.
struct Index {
    relation: OpenRelation,
    /// Whether its order is reversed.
    descending: bool,
}

/// The order in which the values of a table are returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The furthest first: through an index.
    FurthestFirst,
    /// In no order, all of them.
    Any,
}

/// A column whose tables are locked against DDL, so that its values can be read.
pub(crate) struct Values<'a> {
    column: &'a Column,
    tables: Vec<Table>,
}

impl<'a> Values<'a> {
    /// Opens the tables under AccessShare, reads them, and releases the locks. `None` if the column
    /// has no whole numbers, if the caller may not read it, or if it is gone.
    ///
    /// The tables are read under a new snapshot, so that it does not matter whether the transaction
    /// has an id: SPI would use the statement's snapshot for read-only queries and a new one for
    /// others (trap S39).
    pub(crate) fn of<T>(column: &'a Column, read: impl FnOnce(&Self) -> T) -> Option<T> {
        if column.number_type.is_none() || column.is_hidden() {
            return None;
        }
        let root = OpenRelation::try_table(column.relation_oid, pg_sys::AccessShareLock)?;
        let values = Self { column, tables: tables(root, column.attribute)? };
        let snapshot = ActiveSnapshot::latest();
        let found = read(&values);
        drop(snapshot);
        values.forget();
        Some(found)
    }

    /// Closes its tables, and frees the memory that PostgreSQL keeps for each of them: for thousands of
    /// tables, to fill new memory takes longer than to use the same again.
    fn forget(self) {
        for Table { index, relation, .. } in self.tables {
            if let Some(index) = index {
                index.relation.forget();
            }
            relation.forget();
        }
    }

    /// Whether each of its tables has an index that gives the furthest values directly.
    pub(crate) fn are_indexed(&self) -> bool {
        self.tables.iter().all(|table| table.index.is_some())
    }

    /// Passes every whole number within `range` to `visit`, table by table; of numbers with a
    /// fraction, only the whole part. `visit` returns whether it needs more values of this table.
    /// `begin` receives their order. An index is read from the end of the range on, and not beyond
    /// it.
    pub(crate) fn each(
        &self,
        ascending: bool,
        range: &RangeInclusive<i64>,
        mut begin: impl FnMut(Order),
        mut visit: impl FnMut(i64) -> bool,
    ) {
        for Table { index, relation, attribute } in &self.tables {
            // The caller's privilege on the column has been checked, and that on its table covers
            // partitions and children.
            as_owner(relation.class().relowner, || match index {
                Some(index) => {
                    begin(Order::FurthestFirst);
                    // SAFETY: the index belongs to this table, and a snapshot is active.
                    unsafe { self.walk(relation, index, ascending, range, &mut visit) };
                }
                None => {
                    begin(Order::Any);
                    // SAFETY: a snapshot is active.
                    unsafe { self.scan(relation, *attribute, range, &mut visit) };
                }
            });
        }
    }

    /// Reads an index from its far end until `visit` needs no more values. From the second batch on,
    /// only the index is read where every row of a page is visible to everybody.
    ///
    /// # Safety
    /// `index` must belong to the table and have this column first, and a snapshot must be active.
    unsafe fn walk(
        &self,
        table: &OpenRelation,
        index: &Index,
        ascending: bool,
        range: &RangeInclusive<i64>,
        visit: &mut impl FnMut(i64) -> bool,
    ) {
        let Index { relation: index, descending } = index;
        let direction = if ascending == *descending {
            ScanDirection::ForwardScanDirection
        } else {
            ScanDirection::BackwardScanDirection
        };
        let mut found = [pg_sys::Datum::null(); ROWS];
        // Mostly, the first one is enough. To look for it in the visibility map would open one more file.
        let (mut rows, mut is_first) = (1, true);
        // SAFETY: everything that is opened here is closed here, or by PostgreSQL's error handling.
        // The keys exclude NULLs, so each entry holds a value of the column's type. A btree index can
        // return its entries.
        unsafe {
            let mut keys = keys(index, range);
            let slot = pg_sys::table_slot_create(table.raw(), std::ptr::null_mut());
            let snapshot = pg_sys::GetActiveSnapshot();
            let count = keys.len() as i32;
            let scan = begin_index_scan(table.raw(), index.raw(), snapshot, count);
            (*scan).xs_want_itup = true;
            let mut map = pg_sys::InvalidBuffer as pg_sys::Buffer;
            pg_sys::index_rescan(scan, keys.as_mut_ptr(), count, std::ptr::null_mut(), 0);
            loop {
                check_for_interrupts!();
                let known = (!is_first).then_some(&mut map);
                let (count, ended) = next_entries(scan, direction, slot, known, &mut found[..rows]);
                let values = found[..count].iter().filter_map(|datum| self.column.whole(*datum));
                let mut values = values.filter(|value| range.contains(value));
                if values.any(|value| !visit(value)) || ended {
                    break;
                }
                rows = if self.column.is_numeric() { 1 } else { ROWS.min(rows * 4) };
                is_first = false;
            }
            pg_sys::index_endscan(scan);
            if map != pg_sys::InvalidBuffer as pg_sys::Buffer {
                pg_sys::ReleaseBuffer(map);
            }
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
    }

    /// Reads every row of a table until `visit` needs no more values.
    ///
    /// # Safety
    /// A snapshot must be active.
    unsafe fn scan(
        &self,
        table: &OpenRelation,
        attribute: i16,
        range: &RangeInclusive<i64>,
        visit: &mut impl FnMut(i64) -> bool,
    ) {
        // The memory of a value passed by reference is not valid after the next row is read.
        let rows = if self.column.is_numeric() { 1 } else { ROWS };
        let mut found = [pg_sys::Datum::null(); ROWS];
        // SAFETY: everything that is opened here is closed here, or by PostgreSQL's error handling.
        unsafe {
            let slot = pg_sys::table_slot_create(table.raw(), std::ptr::null_mut());
            let scan = begin_table_scan(table.raw(), pg_sys::GetActiveSnapshot());
            loop {
                check_for_interrupts!();
                let (count, ended) = next_rows(scan, slot, attribute, &mut found[..rows]);
                let values = found[..count].iter().filter_map(|datum| self.column.whole(*datum));
                let mut values = values.filter(|value| range.contains(value));
                if values.any(|value| !visit(value)) || ended {
                    break;
                }
            }
            pg_sys::table_endscan(scan);
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
    }
}

/// Waits until a table or an index can be read.
pub(crate) fn wait_for(relation: pg_sys::Oid) {
    acquire(relation, pg_sys::AccessShareLock);
    // SAFETY: releases the lock that was just acquired.
    unsafe { pg_sys::UnlockRelationOid(relation, pg_sys::AccessShareLock as i32) };
}

/// The keys of a scan: within the range, and not NULL. Values beyond it did not come from the
/// sequence.
///
/// # Safety
/// `index` must be an index as found by [`leading_index`].
unsafe fn keys(index: &OpenRelation, range: &RangeInclusive<i64>) -> Vec<pg_sys::ScanKeyData> {
    let bounds = [
        (pg_sys::BTGreaterEqualStrategyNumber, *range.start()),
        (pg_sys::BTLessEqualStrategyNumber, *range.end()),
    ];
    let key = |(strategy, bound)| {
        let mut key = pg_sys::ScanKeyData::default();
        // SAFETY: looks up PostgreSQL's own operators, which its families have for each pair of
        // their types. The bound lives in the current memory context.
        unsafe {
            let (family, column) = (*index.rd_opfamily, *index.rd_opcintype);
            let is_numeric = family == NUMERIC_BTREE_FAMILY;
            let subtype = if is_numeric { pg_sys::NUMERICOID } else { pg_sys::INT8OID };
            let operator = pg_sys::get_opfamily_member(family, column, subtype, strategy as i16);
            let bound = pg_sys::Datum::from(bound);
            let bound = if is_numeric {
                pg_sys::DirectFunctionCall1Coll(Some(int8_numeric), pg_sys::InvalidOid, bound)
            } else {
                bound
            };
            pg_sys::ScanKeyEntryInitialize(
                &mut key,
                0,
                1,
                strategy as pg_sys::StrategyNumber,
                subtype,
                *index.rd_indcollation,
                pg_sys::get_opcode(operator),
                bound,
            );
        }
        key
    };
    bounds.map(key).to_vec()
}

/// The values of the next rows without NULLs: how many, and whether there are no more rows.
///
/// One guard covers many rows, since a scan reads all rows of the table.
///
/// # Safety
/// `scan` must be a scan that has begun, and `slot` must fit its table.
unsafe fn next_rows(
    scan: pg_sys::TableScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
    attribute: i16,
    found: &mut [pg_sys::Datum],
) -> (usize, bool) {
    // SAFETY: an error of PostgreSQL jumps out of the closure, in which nothing has to be dropped.
    // The access method of an open table has this function. A slot that holds a row has as many
    // columns as the table.
    unsafe {
        let next = (*(*(*scan).rs_rd).rd_tableam).scan_getnextslot;
        let Some(next) = next else { return (0, true) };
        let at = attribute as usize - 1;
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            let mut count = 0;
            while count < found.len() {
                if !next(scan, ScanDirection::ForwardScanDirection, slot) {
                    return (count, true);
                }
                if (*slot).tts_nvalid < attribute {
                    slot_getsomeattrs_int(slot, i32::from(attribute));
                }
                if !*(*slot).tts_isnull.add(at) {
                    found[count] = *(*slot).tts_values.add(at);
                    count += 1;
                }
            }
            (count, false)
        })
    }
}

/// The values of the next entries of an index whose rows are visible: how many, and whether there are
/// no more entries. With a `map`, it looks at the visibility map first, as an index-only scan of
/// PostgreSQL does.
///
/// One guard covers many rows.
///
/// # Safety
/// `scan` must be a scan that has begun and returns entries, with keys that exclude NULLs; `slot` must
/// fit its table, and `map` be a pinned page of the table's visibility map, or invalid. A value that is
/// passed by reference is valid until the next call.
unsafe fn next_entries(
    scan: pg_sys::IndexScanDesc,
    direction: ScanDirection::Type,
    slot: *mut pg_sys::TupleTableSlot,
    mut map: Option<&mut pg_sys::Buffer>,
    found: &mut [pg_sys::Datum],
) -> (usize, bool) {
    // SAFETY: an error of PostgreSQL jumps out of the closure, in which nothing has to be dropped. With
    // an entry, its columns and the place of its row are valid.
    unsafe {
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            let mut count = 0;
            while count < found.len() {
                let place = index_getnext_tid(scan, direction);
                if place.is_null() {
                    return (count, true);
                }
                let (table, id) = ((*scan).heapRelation, (*place).ip_blkid);
                let page = u32::from(id.bi_hi) << 16 | u32::from(id.bi_lo);
                let is_visible =
                    |map: &mut pg_sys::Buffer| visibilitymap_get_status(table, page, map) & ALL_VISIBLE != 0;
                if map.as_deref_mut().is_some_and(is_visible) {
                    PredicateLockPage(table, page, (*scan).xs_snapshot);
                } else if !index_fetch_heap(scan, slot) {
                    continue;
                }
                found[count] = nocache_index_getattr((*scan).xs_itup, 1, (*scan).xs_itupdesc);
                count += 1;
            }
            (count, false)
        })
    }
}

/// The tables with rows: the open one, and its partitions and children, locked under AccessShare.
/// `None` if the column is gone.
fn tables(root: OpenRelation, attribute: i16) -> Option<Vec<Table>> {
    let number = usize::try_from(attribute).ok().filter(|number| *number > 0)?;
    // SAFETY: an open relation has its columns. The number is not greater than theirs.
    let (name, is_dropped) = unsafe {
        if number > usize::try_from((*root.rd_att).natts).unwrap_or_default() {
            return None;
        }
        let column = attribute_of(root.rd_att, i32::from(attribute) - 1);
        ((*column).attname, (*column).attisdropped)
    };
    if is_dropped {
        return None;
    }
    let (oid, has_children) = (root.rd_id, root.class().relhassubclass);
    let mut tables: Vec<Table> = Table::with_rows(root, attribute).into_iter().collect();
    if !has_children {
        return Some(tables);
    }
    // SAFETY: the list is a copy in this memory context, and the name is a copy, too.
    unsafe {
        let all = pg_sys::find_all_inheritors(oid, pg_sys::NoLock as i32, std::ptr::null_mut());
        for at in 0..if all.is_null() { 0 } else { (*all).length } {
            let child = pg_sys::list_nth_oid(all, at);
            if child == oid {
                continue;
            }
            acquire(child, pg_sys::AccessShareLock);
            // 0 if it was dropped meanwhile.
            let attribute = pg_sys::get_attnum(child, name.data.as_ptr());
            if attribute > 0 {
                let child = OpenRelation::locked_table(child).release(pg_sys::AccessShareLock);
                tables.extend(Table::with_rows(child, attribute));
            } else {
                pg_sys::UnlockRelationOid(child, pg_sys::AccessShareLock as i32);
            }
        }
    }
    Some(tables)
}

impl Table {
    /// `None`, and the table is closed, if it has no rows of its own.
    fn with_rows(relation: OpenRelation, attribute: i16) -> Option<Self> {
        has_rows(&relation).then(|| Self { index: leading_index(&relation, attribute), relation, attribute })
    }
}

/// Whether a table has rows of its own that can be read here. Excluded are partitioned and foreign
/// tables, temporary tables of other sessions and, on a standby, unlogged tables, which are empty
/// after a promotion.
fn has_rows(table: &OpenRelation) -> bool {
    let persistence = table.class().relpersistence as u8;
    let is_of_others = persistence == pg_sys::RELPERSISTENCE_TEMP && !table.rd_islocaltemp;
    let is_unlogged = persistence == pg_sys::RELPERSISTENCE_UNLOGGED;
    // SAFETY: reads shared memory.
    let in_recovery = || unsafe { pg_sys::RecoveryInProgress() };
    table.kind() == pg_sys::RELKIND_RELATION && !is_of_others && !(is_unlogged && in_recovery())
}

/// Finds an index on all rows that is ordered by the column first.
fn leading_index(table: &OpenRelation, attribute: i16) -> Option<Index> {
    if !table.class().relhasindex {
        return None;
    }
    // SAFETY: the list is a copy in this memory context. An open index has its catalog rows.
    unsafe {
        let indexes = pg_sys::RelationGetIndexList(table.raw());
        for at in 0..if indexes.is_null() { 0 } else { (*indexes).length } {
            let oid = pg_sys::list_nth_oid(indexes, at);
            let index = OpenRelation::index(oid, pg_sys::AccessShareLock);
            let form = index.rd_index;
            // `RelationGetIndexPredicate` would evaluate constants in a predicate with functions of
            // the owner.
            let has_predicate = !pg_sys::heap_attisnull(
                index.rd_indextuple,
                pg_sys::Anum_pg_index_indpred as i32,
                std::ptr::null_mut(),
            );
            if index.class().relam == pg_sys::BTREE_AM_OID
                && (*form).indisvalid
                && *(*form).indkey.values.as_ptr() == attribute
                && !has_predicate
                && [pg_sys::INTEGER_BTREE_FAM_OID, NUMERIC_BTREE_FAMILY].contains(&*index.rd_opfamily)
                && is_usable(&index)
            {
                let descending = *index.rd_indoption & pg_sys::INDOPTION_DESC as i16 != 0;
                return Some(Index { relation: index, descending });
            }
        }
    }
    None
}

/// Whether the snapshots of this transaction can use an index. If there were broken HOT chains when
/// it was built, older snapshots cannot. The planner uses the same condition.
fn is_usable(index: &OpenRelation) -> bool {
    // SAFETY: an open index has its row of pg_index, a tuple of a catalog.
    unsafe {
        if !(*index.rd_index).indcheckxmin {
            return true;
        }
        let header = (*index.rd_indextuple).t_data;
        let frozen = pg_sys::HEAP_XMIN_FROZEN as u16;
        (*header).t_infomask & frozen == frozen
            || pg_sys::TransactionIdPrecedes((*header).t_choice.t_heap.t_xmin, pg_sys::TransactionXmin)
    }
}

/// The whole part of a `numeric`, if it is within the range of `bigint`.
pub(crate) fn whole_part(number: pg_sys::Datum) -> Option<i64> {
    // SAFETY: the datum is a numeric. Its text is a copy in the current memory context, which is
    // freed.
    unsafe {
        let text = pg_sys::DirectFunctionCall1Coll(Some(numeric_out), pg_sys::InvalidOid, number);
        let text = text.cast_mut_ptr::<std::ffi::c_char>();
        let whole = CStr::from_ptr(text).to_str().ok().and_then(whole_part_of_text);
        pg_sys::pfree(text.cast());
        whole
    }
}

fn whole_part_of_text(text: &str) -> Option<i64> {
    // "NaN" and "Infinity" are not numbers for it.
    text.split('.').next()?.parse().ok()
}
