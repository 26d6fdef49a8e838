//! The values of a column, of its table and of all that is below it, without the planner.
//!
//! SQL would be shorter, and would run what the owners of tables have written: the planner computes what is constant in
//! the predicate of an index and in a policy, and `max` of one type must not be computed as another. Here a table is scanned,
//! or walked along an index on the column itself, with PostgreSQL's own comparisons, and as its owner.

use std::ffi::CStr;

use keyspace::sequences::NumberType;
use pgrx::check_for_interrupts;
use pgrx::pg_sys::{self, ScanDirection};

use crate::sequences::read::catalog::Column;
use crate::server::as_owner::as_owner;
use crate::server::by_version::{begin_index_scan, begin_table_scan};
use crate::server::open::{ActiveSnapshot, OpenRelation};

/// `InvalidStrategy` of access/stratnum.h, which the bindings lack.
const NO_STRATEGY: pg_sys::StrategyNumber = 0;
/// The btree operator family of `numeric`, as in pg_opfamily.dat; the bindings lack it.
const NUMERIC_BTREE_FAMILY: pg_sys::Oid = pg_sys::Oid::from_u32(1988);
/// How many rows are read at a time in a scan.
const ROWS: usize = 256;

unsafe extern "C-unwind" {
    /// Of executor/tuptable.h: reads the columns of a slot up to one of them.
    fn slot_getsomeattrs_int(slot: *mut pg_sys::TupleTableSlot, attribute: std::ffi::c_int);
    /// Of utils/adt/numeric.c: a `bigint` as a `numeric`.
    fn int8_numeric(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    /// Of the same: the text of a `numeric`.
    fn numeric_out(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
}

impl Column {
    /// A value of the column as a whole number; `None` where no sequence can have given it.
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

/// A table with rows of its own that holds a column, or the same column of a partition or a child.
struct Table {
    oid: pg_sys::Oid,
    /// The number of the column in it.
    attribute: i16,
}

/// An index that gives the values in their order.
struct Index {
    oid: pg_sys::Oid,
    /// Whether its order is reversed.
    descending: bool,
}

/// In which order the values of a table are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The furthest first: through an index.
    FurthestFirst,
    /// In none, each of them.
    Any,
}

/// A column whose tables are locked against changes of their form, so that its values can be read.
pub(crate) struct Values<'a> {
    column: &'a Column,
    tables: Vec<Table>,
}

impl<'a> Values<'a> {
    /// Opens the tables under AccessShare, reads them, and gives the locks back; `None` where the column holds no whole
    /// numbers, may not be read by the caller, or is gone.
    ///
    /// They are read under a new snapshot, so that whether the transaction has an id makes no difference: SPI
    /// would take the statement's snapshot for read-only queries and a new one for others (trap S39).
    pub(crate) fn of<T>(column: &'a Column, read: impl FnOnce(&Self) -> T) -> Option<T> {
        if column.number_type.is_none() || column.is_hidden() {
            return None;
        }
        let root = OpenRelation::try_table(column.relation_oid, pg_sys::AccessShareLock)?;
        let values = Self { column, tables: tables(&root, column.attribute)? };
        let snapshot = ActiveSnapshot::latest();
        let found = read(&values);
        drop(snapshot);
        for table in values.tables.iter().filter(|table| table.oid != column.relation_oid) {
            // SAFETY: the locks of the tables below were taken in `tables`.
            unsafe { pg_sys::UnlockRelationOid(table.oid, pg_sys::AccessShareLock as i32) };
        }
        Some(found)
    }

    /// Whether each of its tables has an index that gives the furthest values at once.
    pub(crate) fn are_indexed(&self) -> bool {
        self.tables.iter().all(|table| {
            let relation = OpenRelation::locked_table(table.oid);
            leading_index(&relation, table.attribute).is_some()
        })
    }

    /// Gives every whole number that a `bigint` can hold to `see`, table by table, as long as it asks for more of
    /// this table; of numbers with a fraction the part before it. `begin` is told in which order they come.
    pub(crate) fn each(
        &self,
        ascending: bool,
        mut begin: impl FnMut(Order),
        mut see: impl FnMut(i64) -> bool,
    ) {
        for table in &self.tables {
            // The caller's privileges for the column are checked, and those for its table hold for what is below it.
            let relation = OpenRelation::locked_table(table.oid);
            as_owner(relation.class().relowner, || match leading_index(&relation, table.attribute) {
                Some(index) => {
                    begin(Order::FurthestFirst);
                    // SAFETY: the index is one of this table's, and a snapshot is active.
                    unsafe { self.walk(&relation, table.attribute, &index, ascending, &mut see) };
                }
                None => {
                    begin(Order::Any);
                    // SAFETY: a snapshot is active.
                    unsafe { self.scan(&relation, table.attribute, &mut see) };
                }
            });
        }
    }

    /// Walks an index from its far end as long as `see` asks for more.
    ///
    /// # Safety
    /// `index` must be one of the table's own that leads with this column, and an active snapshot set.
    unsafe fn walk(
        &self,
        table: &OpenRelation,
        attribute: i16,
        index: &Index,
        ascending: bool,
        see: &mut impl FnMut(i64) -> bool,
    ) {
        let direction = if ascending == index.descending {
            ScanDirection::ForwardScanDirection
        } else {
            ScanDirection::BackwardScanDirection
        };
        // SAFETY: everything opened here is closed here, or by PostgreSQL's handling of an error. A key makes the
        // scan leave out NULLs, so each slot holds a value of the column's type.
        unsafe {
            let index = OpenRelation::index(index.oid, pg_sys::AccessShareLock);
            let mut keys = self.keys(&index);
            let slot = pg_sys::table_slot_create(table.raw(), std::ptr::null_mut());
            let snapshot = pg_sys::GetActiveSnapshot();
            let count = keys.len() as i32;
            let scan = begin_index_scan(table.raw(), index.raw(), snapshot, count);
            pg_sys::index_rescan(scan, keys.as_mut_ptr(), count, std::ptr::null_mut(), 0);
            while pg_sys::index_getnext_slot(scan, direction, slot) {
                check_for_interrupts!();
                let mut is_null = false;
                let datum = pg_sys::slot_getattr(slot, i32::from(attribute), &mut is_null);
                if self.column.whole(datum).is_some_and(|value| !see(value)) {
                    break;
                }
            }
            pg_sys::index_endscan(scan);
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
    }

    /// What the values have to be: not NULL, and of `numeric` nothing beyond a `bigint`, which did not come from a
    /// sequence.
    ///
    /// # Safety
    /// `index` must be an index of the kind that [`leading_index`] finds.
    unsafe fn keys(&self, index: &OpenRelation) -> Vec<pg_sys::ScanKeyData> {
        let mut keys = Vec::new();
        if self.column.is_numeric() {
            for (strategy, bound) in [
                (pg_sys::BTGreaterEqualStrategyNumber, i64::MIN),
                (pg_sys::BTLessEqualStrategyNumber, i64::MAX),
            ] {
                // SAFETY: looks operators of PostgreSQL's own up; the bound lives in the current memory context.
                unsafe {
                    let operator = pg_sys::get_opfamily_member(
                        NUMERIC_BTREE_FAMILY,
                        pg_sys::NUMERICOID,
                        pg_sys::NUMERICOID,
                        strategy as i16,
                    );
                    let mut key = pg_sys::ScanKeyData::default();
                    pg_sys::ScanKeyEntryInitialize(
                        &mut key,
                        0,
                        1,
                        strategy as pg_sys::StrategyNumber,
                        pg_sys::NUMERICOID,
                        *index.rd_indcollation,
                        pg_sys::get_opcode(operator),
                        pg_sys::DirectFunctionCall1Coll(
                            Some(int8_numeric),
                            pg_sys::InvalidOid,
                            pg_sys::Datum::from(bound),
                        ),
                    );
                    keys.push(key);
                }
            }
        } else {
            let mut key = pg_sys::ScanKeyData::default();
            // SAFETY: a key without an operator needs none.
            unsafe {
                pg_sys::ScanKeyEntryInitialize(
                    &mut key,
                    (pg_sys::SK_ISNULL | pg_sys::SK_SEARCHNOTNULL) as i32,
                    1,
                    NO_STRATEGY,
                    pg_sys::InvalidOid,
                    pg_sys::InvalidOid,
                    pg_sys::InvalidOid,
                    pg_sys::Datum::null(),
                );
            }
            keys.push(key);
        }
        keys
    }

    /// Reads every row of a table, unless `see` asks for no more.
    ///
    /// # Safety
    /// An active snapshot must be set.
    unsafe fn scan(&self, table: &OpenRelation, attribute: i16, see: &mut impl FnMut(i64) -> bool) {
        // What a value of a type by reference points to is gone with the next row.
        let rows = if self.column.is_numeric() { 1 } else { ROWS };
        let mut found = [pg_sys::Datum::null(); ROWS];
        // SAFETY: everything opened here is closed here, or by PostgreSQL's handling of an error.
        unsafe {
            let slot = pg_sys::table_slot_create(table.raw(), std::ptr::null_mut());
            let scan = begin_table_scan(table.raw(), pg_sys::GetActiveSnapshot());
            loop {
                check_for_interrupts!();
                let (count, ended) = next_rows(scan, slot, attribute, &mut found[..rows]);
                let mut values = found[..count].iter().filter_map(|datum| self.column.whole(*datum));
                if values.any(|value| !see(value)) || ended {
                    break;
                }
            }
            pg_sys::table_endscan(scan);
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
    }
}

/// The values of the next rows, NULLs left out: how many, and whether there are no more rows.
///
/// Behind one guard for all of them: a scan has as many rows as the table.
///
/// # Safety
/// `scan` must be a scan that has begun, `slot` one for its table.
unsafe fn next_rows(
    scan: pg_sys::TableScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
    attribute: i16,
    found: &mut [pg_sys::Datum],
) -> (usize, bool) {
    // SAFETY: an error of PostgreSQL jumps out of the closure, in which nothing is to be dropped. The access method of
    // an open table has this function; a slot that holds a row has as many columns as the table.
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

/// The tables with rows: the one that is open, and its partitions and children, locked under AccessShare. `None` where
/// the column is gone.
fn tables(root: &OpenRelation, attribute: i16) -> Option<Vec<Table>> {
    // SAFETY: the list is a copy in this memory context; names are copies; a table that is locked can be opened.
    unsafe {
        let oid = root.rd_id;
        let name = pg_sys::get_attname(oid, attribute, true);
        if name.is_null() {
            return None;
        }
        if !root.class().relhassubclass {
            let has_rows = root.kind() == pg_sys::RELKIND_RELATION;
            return Some(if has_rows { vec![Table { oid, attribute }] } else { Vec::new() });
        }
        let all = pg_sys::find_all_inheritors(oid, pg_sys::AccessShareLock as i32, std::ptr::null_mut());
        let mut tables = Vec::new();
        for at in 0..if all.is_null() { 0 } else { (*all).length } {
            let table = pg_sys::list_nth_oid(all, at);
            let attribute = pg_sys::get_attnum(table, name);
            let is_read = attribute > 0 && has_rows(&OpenRelation::locked_table(table));
            if is_read {
                tables.push(Table { oid: table, attribute });
            } else if table != oid {
                pg_sys::UnlockRelationOid(table, pg_sys::AccessShareLock as i32);
            }
        }
        Some(tables)
    }
}

/// Whether a table holds rows itself that can be read here: neither a partitioned nor a foreign one, no temporary one
/// of another session, and on a standby no unlogged one, which is empty when that is promoted.
fn has_rows(table: &OpenRelation) -> bool {
    let persistence = table.class().relpersistence as u8;
    let is_of_others = persistence == pg_sys::RELPERSISTENCE_TEMP && !table.rd_islocaltemp;
    let is_unlogged = persistence == pg_sys::RELPERSISTENCE_UNLOGGED;
    // SAFETY: reads shared memory.
    let in_recovery = || unsafe { pg_sys::RecoveryInProgress() };
    table.kind() == pg_sys::RELKIND_RELATION && !is_of_others && !(is_unlogged && in_recovery())
}

/// Looks for an index on all rows that is ordered by the column first.
fn leading_index(table: &OpenRelation, attribute: i16) -> Option<Index> {
    if !table.class().relhasindex {
        return None;
    }
    // SAFETY: the list is a copy in this memory context; an open index has its rows of the catalogs.
    unsafe {
        let indexes = pg_sys::RelationGetIndexList(table.raw());
        for at in 0..if indexes.is_null() { 0 } else { (*indexes).length } {
            let oid = pg_sys::list_nth_oid(indexes, at);
            let index = OpenRelation::index(oid, pg_sys::AccessShareLock);
            let form = index.rd_index;
            // `RelationGetIndexPredicate` would compute what is constant in a predicate, by functions of the owner's.
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
                return Some(Index { oid, descending });
            }
        }
    }
    None
}

/// Whether an index can be used under the snapshots of this transaction: where chains of updated rows were broken when
/// it was built, not those from before it. The planner says so by the same.
fn is_usable(index: &OpenRelation) -> bool {
    // SAFETY: an open index has its row of pg_index, a tuple from a catalog.
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

/// The part of a `numeric` before its point, where a `bigint` can hold it.
pub(crate) fn whole_part(number: pg_sys::Datum) -> Option<i64> {
    // SAFETY: the datum is a numeric; its text is a copy in the current memory context, which is freed.
    unsafe {
        let text = pg_sys::DirectFunctionCall1Coll(Some(numeric_out), pg_sys::InvalidOid, number);
        let text = text.cast_mut_ptr::<std::ffi::c_char>();
        let whole = CStr::from_ptr(text).to_str().ok().and_then(whole_part_of_text);
        pg_sys::pfree(text.cast());
        whole
    }
}

fn whole_part_of_text(text: &str) -> Option<i64> {
    // "NaN" and "Infinity" are no numbers to it.
    text.split('.').next()?.parse().ok()
}
