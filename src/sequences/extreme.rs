//! The furthest values of the columns that sequences feed.

use keyspace::sequences::Residue;
use pgrx::check_for_interrupts;
use pgrx::pg_sys::{self, ScanDirection};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::catalog::Column;
use crate::encoding::to_server;
use crate::server::by_version::begin_index_scan;

/// `InvalidStrategy` of access/stratnum.h, which the bindings lack.
const NO_STRATEGY: pg_sys::StrategyNumber = 0;

/// What is looked for: values in the direction of a sequence, and those among them that it will hand out itself.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// Whether the sequence ascends.
    pub(super) ascending: bool,
    /// The next value of the sequence.
    pub(super) next: i128,
    /// The values that it hands out.
    pub(super) own_values: Residue,
}

impl Ahead {
    /// Whether the sequence has yet to come to a value.
    pub(super) fn is_ahead(self, value: i64) -> bool {
        let value = i128::from(value);
        if self.ascending { value >= self.next } else { value <= self.next }
    }
}

/// What was found in a column.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extreme {
    /// The furthest value; `None` where there is none.
    pub(super) value: Option<i64>,
    /// The furthest value that the sequence will hand out itself.
    pub(super) ahead: Option<i64>,
}

/// The btree index that leads with a column.
struct Index {
    oid: pg_sys::Oid,
    /// Whether its order is that of the values, reversed.
    descending: bool,
    /// Whether it is one of plain integers, usable under every snapshot, on a table without children.
    is_plain: bool,
}

/// Which columns are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// All of them.
    All,
    /// Those with an index that tells at once: what is quick is read when the sequence is locked.
    Indexed,
    /// The others: what takes a scan is read before the sequence is locked (trap S06).
    Unindexed,
}

/// Reads a column to its end in the direction of a sequence: through an index where there is one, by a scan
/// otherwise. `None` where it was not read.
pub(super) fn read(column: &Column, ahead: Ahead, which: Which) -> SpiResult<Option<Extreme>> {
    with_table(column, |table, index| match index {
        Some(_) if which == Which::Unindexed => Ok(None),
        None if which == Which::Indexed => Ok(None),
        Some(index) if index.is_plain => {
            let mut found = Extreme::default();
            // SAFETY: the table is open, the index one of its own, and the column holds integers.
            unsafe {
                walk_index(table, &index, column, ahead.ascending, |value| {
                    found.value = found.value.or(Some(value));
                    if ahead.is_ahead(value) && ahead.own_values.contains(i128::from(value)) {
                        found.ahead = Some(value);
                    }
                    ahead.is_ahead(value) && found.ahead.is_none()
                });
            }
            Ok(Some(found))
        }
        Some(_) => read_by_query(column, ahead, true).map(Some),
        None => read_by_query(column, ahead, false).map(Some),
    })
    .unwrap_or(Ok(None))
}

/// The values of the last rows of a column in the direction of a sequence, the furthest first.
pub(super) fn last_values(column: &Column, ascending: bool, rows: usize) -> SpiResult<Vec<i64>> {
    with_table(column, |table, index| match index {
        Some(index) if index.is_plain => {
            let mut found = Vec::new();
            // SAFETY: as in `read`.
            unsafe {
                walk_index(table, &index, column, ascending, |value| {
                    found.push(value);
                    found.len() < rows
                });
            }
            Ok(found)
        }
        _ => {
            let (name, order) = (&column.column, if ascending { "DESC" } else { "ASC" });
            let query = format!(
                "SELECT trunc({name})::bigint FROM {} WHERE {name} BETWEEN {} AND {} ORDER BY {name} {order} LIMIT {rows}",
                column.relation,
                i64::MIN,
                i64::MAX
            );
            Spi::connect(|client| {
                let table = client.select(to_server(&query).as_c_str(), None, &[])?;
                table.into_iter().filter_map(|row| row.get(1).transpose()).collect()
            })
        }
    })
    .unwrap_or(Ok(Vec::new()))
}

/// Opens the table of a column under AccessShare, with the index that leads with the column; `None` where the column
/// cannot be read or is gone.
///
/// It is read under a new snapshot, so that whether the transaction has an id makes no difference: SPI
/// would take the statement's snapshot for read-only queries and a new one for others (trap S39).
fn with_table<T>(column: &Column, read: impl FnOnce(pg_sys::Relation, Option<Index>) -> T) -> Option<T> {
    if column.number_type.is_none() || column.is_hidden() {
        return None;
    }
    // SAFETY: the relation is opened under AccessShare, if it is still there, and closed below.
    let table = unsafe { pg_sys::try_table_open(column.relation_oid, pg_sys::AccessShareLock as i32) };
    if table.is_null() {
        return None;
    }
    // SAFETY: the snapshot is popped below; on an error the end of the transaction or subtransaction does it.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    // SAFETY: the table is open.
    let found = read(table, unsafe { leading_index(table, column) });
    // SAFETY: pushed and opened above.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
    }
    Some(found)
}

/// Looks for an index that gives the furthest value at once.
///
/// # Safety
/// `table` must be open.
unsafe fn leading_index(table: pg_sys::Relation, column: &Column) -> Option<Index> {
    // SAFETY: the list is a copy in this memory context; each index is opened under AccessShare and closed.
    unsafe {
        if !(*(*table).rd_rel).relhasindex {
            return None;
        }
        let without_children = (*(*table).rd_rel).relkind == pg_sys::RELKIND_RELATION as i8
            && !(*(*table).rd_rel).relhassubclass;
        let indexes = pg_sys::RelationGetIndexList(table);
        let mut best: Option<Index> = None;
        for at in 0..if indexes.is_null() { 0 } else { (*indexes).length } {
            let oid = pg_sys::list_nth_oid(indexes, at);
            let index = pg_sys::index_open(oid, pg_sys::AccessShareLock as i32);
            let form = (*index).rd_index;
            let leads = (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
                && (*form).indisvalid
                && *(*form).indkey.values.as_ptr() == column.attribute
                && pg_sys::RelationGetIndexPredicate(index).is_null();
            if leads {
                let is_plain = without_children
                    && !(*form).indcheckxmin
                    && *(*index).rd_opfamily == pg_sys::INTEGER_BTREE_FAM_OID;
                let descending = *(*index).rd_indoption & pg_sys::INDOPTION_DESC as i16 != 0;
                if best.is_none() || is_plain {
                    best = Some(Index { oid, descending, is_plain });
                }
            }
            pg_sys::index_close(index, pg_sys::AccessShareLock as i32);
            if best.as_ref().is_some_and(|best| best.is_plain) {
                break;
            }
        }
        best
    }
}

/// Walks an index from its far end as long as `goes_on` says so of each value.
///
/// # Safety
/// `table` must be open, `index` one of its plain indexes, and an active snapshot set.
unsafe fn walk_index(
    table: pg_sys::Relation,
    index: &Index,
    column: &Column,
    ascending: bool,
    mut goes_on: impl FnMut(i64) -> bool,
) {
    let direction = if ascending == index.descending {
        ScanDirection::ForwardScanDirection
    } else {
        ScanDirection::BackwardScanDirection
    };
    // SAFETY: everything opened here is closed here, or by PostgreSQL's handling of an error. The key makes the
    // scan leave out NULLs, so each slot holds a value of the column's type.
    unsafe {
        let relation = pg_sys::index_open(index.oid, pg_sys::AccessShareLock as i32);
        let mut not_null = pg_sys::ScanKeyData::default();
        pg_sys::ScanKeyEntryInitialize(
            &mut not_null,
            (pg_sys::SK_ISNULL | pg_sys::SK_SEARCHNOTNULL) as i32,
            1,
            NO_STRATEGY,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::Datum::null(),
        );
        let slot = pg_sys::table_slot_create(table, std::ptr::null_mut());
        let snapshot = pg_sys::GetActiveSnapshot();
        let scan = begin_index_scan(table, relation, snapshot);
        pg_sys::index_rescan(scan, &mut not_null, 1, std::ptr::null_mut(), 0);
        while pg_sys::index_getnext_slot(scan, direction, slot) {
            check_for_interrupts!();
            let mut is_null = false;
            let datum = pg_sys::slot_getattr(slot, i32::from(column.attribute), &mut is_null);
            if !goes_on(column.integer(datum)) {
                break;
            }
        }
        pg_sys::index_endscan(scan);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::index_close(relation, pg_sys::AccessShareLock as i32);
    }
}

/// Asks for the furthest values by SQL: for parents of partitions and children, for `numeric`, and where
/// there is no index.
fn read_by_query(column: &Column, ahead: Ahead, indexed: bool) -> SpiResult<Extreme> {
    let (aggregate, beyond) = if ahead.ascending { ("max", ">=") } else { ("min", "<=") };
    let name = &column.column;
    // What a bigint cannot hold did not come from a sequence.
    let (value, range) = if column.is_numeric() {
        (format!("trunc({name})"), format!("{name} BETWEEN {} AND {}", i64::MIN, i64::MAX))
    } else {
        (name.clone(), "true".to_owned())
    };
    let extreme = format!("trunc({aggregate}({name}))::bigint");
    // The remainder of a negative number is negative, so it is compared with zero only.
    let own = format!(
        "{name} {beyond} {} AND mod({value}::numeric - ({}), {}) = 0",
        ahead.next,
        ahead.own_values.at_or_above(0),
        ahead.own_values.modulus()
    );
    let from = format!("FROM {} WHERE {range}", column.relation);
    let get = |query: &str| -> SpiResult<Extreme> {
        Spi::connect(|client| {
            let row = client.select(to_server(query).as_c_str(), Some(1), &[])?.first();
            Ok(Extreme { value: row.get(1)?, ahead: row.get(2)? })
        })
    };
    if !indexed {
        return get(&format!(
            "SELECT {extreme}, trunc({aggregate}({name}) FILTER (WHERE {own}))::bigint {from}"
        ));
    }
    let found = get(&format!("SELECT {extreme}, NULL::bigint {from}"))?;
    if found.value.is_some_and(|value| ahead.is_ahead(value)) {
        let own = get(&format!("SELECT {extreme}, NULL::bigint {from} AND {own}"))?;
        return Ok(Extreme { ahead: own.value, ..found });
    }
    Ok(found)
}
