//! Finds a row of a partitioned table by a column and its companions, without a query: in the partition
//! that they say, through a unique index on just these columns.
//!
//! It locks the partitioned tables above that partition and the partition itself, and no others. A trigger
//! keeps these locks, as a query would. The backfill does not: its rows can refer to all partitions.

use keyspace::migration::companions::MOST_COMPANIONS;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::companions::{CompanionValues, Companions};
use super::tuple::{Column, Kind, RowOf, base_type_of, number_in};
use crate::error::{raise, report};
use crate::server::partition::partition_for;
use crate::server::relation::relation_name;

/// The most columns of such an index.
const MOST_KEYS: usize = MOST_COMPANIONS + 1;

/// Whether an index can be used.
pub(super) type IsUsable = fn(&pg_sys::FormData_pg_index) -> bool;

/// How to find a row. Plain data, so that it can be stored in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub(super) struct PartitionedLookup {
    table: pg_sys::Oid,
    by: Column,
    companions: Companions,
    is_usable: IsUsable,
    /// Whether it is an error if a partition has no such index.
    is_required: bool,
    /// Whether partitions stay locked until the end of the transaction.
    keeps_locks: bool,
    /// The last partition. Consecutive rows often refer to the same one.
    last: Option<Leaf>,
}

/// A partition with rows, and its index.
#[derive(Clone, Copy)]
struct Leaf {
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    /// In the order of the index.
    keys: [IndexKey; MOST_KEYS],
}

/// A column of an index.
#[derive(Clone, Copy)]
struct IndexKey {
    /// That of the partition.
    column: i16,
    collation: pg_sys::Oid,
    equality: pg_sys::Oid,
    /// Which of the companions it is; `None` for the column itself.
    companion: Option<usize>,
}

impl IndexKey {
    const UNUSED: Self =
        Self { column: 0, collation: pg_sys::InvalidOid, equality: pg_sys::InvalidOid, companion: None };
}

impl PartitionedLookup {
    pub(super) const fn new(
        table: pg_sys::Oid,
        by: Column,
        companions: Companions,
        is_usable: IsUsable,
        is_required: bool,
    ) -> Self {
        Self { table, by, companions, is_usable, is_required, keeps_locks: true, last: None }
    }

    /// The same, for values of many partitions.
    pub(super) const fn without_locks(self) -> Self {
        Self { keeps_locks: false, ..self }
    }

    /// The kind of the column by which rows are found.
    pub(super) const fn kind(&self) -> Kind {
        self.by.kind
    }

    /// Reads the row with these values; `None` if there is no such row. The row is valid until `read`
    /// returns.
    ///
    /// # Errors
    /// 42804 if the column no longer has its type; those of `read`.
    ///
    /// # Safety
    /// `snapshot` must be valid for the scan, `value` must be one of the column, and the companions must
    /// have values of their types.
    pub(super) unsafe fn scan<T>(
        &mut self,
        value: pg_sys::Datum,
        companions: &CompanionValues,
        snapshot: pg_sys::Snapshot,
        read: &mut dyn FnMut(pg_sys::Relation, RowOf) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        // A foreign key of which one column is NULL refers to nothing.
        if (0..self.companions.iter().count()).any(|at| companions.get(at).is_none()) {
            return Ok(None);
        }
        // SAFETY: see above. Everything opened is closed; the locks on the tables above the partition are
        // kept until the end of the transaction.
        unsafe {
            let Some(partition) = self.partition(companions) else { return Ok(None) };
            let lock = pg_sys::AccessShareLock as i32;
            let relation = pg_sys::try_table_open(partition, lock);
            if relation.is_null() {
                return Ok(None);
            }
            let found = self.scan_leaf(relation, value, companions, snapshot, read);
            pg_sys::table_close(relation, if self.keeps_locks { pg_sys::NoLock as i32 } else { lock });
            found
        }
    }

    /// The partition with rows that these values belong to.
    ///
    /// # Safety
    /// As for [`Self::scan`].
    unsafe fn partition(&self, companions: &CompanionValues) -> Option<pg_sys::Oid> {
        let mut at = self.table;
        loop {
            // SAFETY: see above; a table that was dropped meanwhile has no partitions.
            unsafe {
                let relation = pg_sys::try_table_open(at, pg_sys::AccessShareLock as i32);
                if relation.is_null() {
                    return None;
                }
                let is_partitioned = (*(*relation).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE;
                let value = |column: i16| {
                    let mut all = self.companions.iter().filter(|_| column != 0);
                    let of = all.position(|one| number_in(self.table, one.of_key, relation) == column)?;
                    companions.get(of)
                };
                let next = is_partitioned.then(|| partition_for(relation, value));
                pg_sys::table_close(relation, pg_sys::NoLock as i32);
                let next = next??;
                if next.is_leaf {
                    return Some(next.relation);
                }
                at = next.relation;
            }
        }
    }

    /// # Safety
    /// As for [`Self::scan`]; the relation must be open.
    unsafe fn scan_leaf<T>(
        &mut self,
        relation: pg_sys::Relation,
        value: pg_sys::Datum,
        companions: &CompanionValues,
        snapshot: pg_sys::Snapshot,
        read: &mut dyn FnMut(pg_sys::Relation, RowOf) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        // SAFETY: see above; the column is checked to exist unchanged. The row is read before the scan
        // ends.
        unsafe {
            self.by.in_partition(self.table, relation).check(relation)?;
            let oid = (*relation).rd_id;
            // Without a lock, the index can have been replaced.
            let is_there = |last: &Leaf| self.keeps_locks || has_index(relation, last.index);
            let leaf = match self.last.filter(|last| last.relation == oid && is_there(last)) {
                Some(last) => last,
                None => match self.leaf(relation) {
                    Some(found) => found,
                    None if self.is_required => missing(oid),
                    None => return Ok(None),
                },
            };
            self.last = Some(leaf);
            let mut keys = [pg_sys::ScanKeyData::default(); MOST_KEYS];
            let mut count = 0;
            for (at, (key, of)) in keys.iter_mut().zip(&leaf.keys).enumerate() {
                if of.column == 0 {
                    break;
                }
                let wanted = of.companion.map_or(Some(value), |companion| companions.get(companion));
                let Some(wanted) = wanted else { return Ok(None) };
                let strategy = pg_sys::BTEqualStrategyNumber as u16;
                pg_sys::ScanKeyInit(key, of.column, strategy, of.equality, wanted);
                key.sk_collation = of.collation;
                count = at + 1;
            }
            let count = i32::try_from(count).unwrap_or(0);
            let scan =
                pg_sys::systable_beginscan(relation, leaf.index, true, snapshot, count, keys.as_mut_ptr());
            let row = pg_sys::systable_getnext(scan);
            let found =
                (!row.is_null()).then(|| read(relation, RowOf::Tuple(row, (*relation).rd_att))).transpose();
            pg_sys::systable_endscan(scan);
            found
        }
    }

    /// The unique index of a partition on the column and its companions, in any order.
    ///
    /// # Safety
    /// The relation must be open.
    #[cold]
    unsafe fn leaf(&self, relation: pg_sys::Relation) -> Option<Leaf> {
        // SAFETY: see above; everything opened is closed again. The list of indexes is a copy.
        unsafe {
            let lock = pg_sys::AccessShareLock as i32;
            let mut found = None;
            let list = pg_sys::RelationGetIndexList(relation);
            for at in 0..if list.is_null() { 0 } else { (*list).length } {
                let oid = pg_sys::list_nth_oid(list, at);
                let index = pg_sys::index_open(oid, lock);
                let keys = self.keys(relation, index);
                pg_sys::index_close(index, if self.keeps_locks { pg_sys::NoLock as i32 } else { lock });
                if let Some(keys) = keys {
                    found = Some(Leaf { relation: (*relation).rd_id, index: oid, keys });
                    break;
                }
            }
            pg_sys::list_free(list);
            found
        }
    }

    /// The columns of an index, if it is one by which rows can be found.
    ///
    /// # Safety
    /// Both relations must be open, and the index must belong to the table.
    unsafe fn keys(
        &self,
        relation: pg_sys::Relation,
        index: pg_sys::Relation,
    ) -> Option<[IndexKey; MOST_KEYS]> {
        // SAFETY: see above; an index has as many columns as it says.
        unsafe {
            let form = (*index).rd_index;
            let count = usize::try_from((*form).indnkeyatts).unwrap_or(0);
            if !(*form).indisunique
                || !(self.is_usable)(&*form)
                || count != self.companions.iter().count() + 1
                // Not RelationGetIndexPredicate, which evaluates constant expressions in the predicate.
                || !pg_sys::heap_attisnull(
                    (*index).rd_indextuple,
                    pg_sys::Anum_pg_index_indpred as i32,
                    std::ptr::null_mut(),
                )
            {
                return None;
            }
            let by = self.by.in_partition(self.table, relation).number;
            let mut keys = [IndexKey::UNUSED; MOST_KEYS];
            for (at, key) in keys.iter_mut().take(count).enumerate() {
                let column = *(*form).indkey.values.as_ptr().add(at);
                let mut companions = self.companions.iter();
                let companion =
                    companions.position(|one| number_in(self.table, one.of_key, relation) == column);
                if column == 0 || (companion.is_none() && column != by) {
                    return None;
                }
                // A function that runs within the same statement may have altered it.
                let is_same = |of: usize| self.companions.type_of(of) == base_type_of(relation, column);
                if companion.is_some_and(|of| !is_same(of)) {
                    return None;
                }
                let collation = *(*index).rd_indcollation.add(at);
                // Otherwise it finds rows with other bytes.
                if collation != pg_sys::InvalidOid && !pg_sys::get_collation_isdeterministic(collation) {
                    return None;
                }
                let input = *(*index).rd_opcintype.add(at);
                let equal = pg_sys::BTEqualStrategyNumber as i16;
                let operator =
                    pg_sys::get_opfamily_member(*(*index).rd_opfamily.add(at), input, input, equal);
                let equality =
                    if companion.is_some() { pg_sys::get_opcode(operator) } else { self.by.kind.equality() };
                if equality == pg_sys::InvalidOid {
                    return None;
                }
                *key = IndexKey { column, collation, equality, companion };
            }
            Some(keys)
        }
    }
}

/// Whether a relation has an index.
///
/// # Safety
/// The relation must be open.
unsafe fn has_index(relation: pg_sys::Relation, index: pg_sys::Oid) -> bool {
    // SAFETY: see above; the list is a copy.
    unsafe {
        let list = pg_sys::RelationGetIndexList(relation);
        let has = pg_sys::list_member_oid(list, index);
        pg_sys::list_free(list);
        has
    }
}

#[cold]
fn missing(relation: pg_sys::Oid) -> ! {
    let message = format!("partition {} has no unique index on its key", relation_name(relation));
    raise(report(
        Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("A key migration uses this index to find referenced rows.")
            .hint("Create the index again, or CALL key_migration_rollback()."),
    ))
}
