//! Finds a row of a partitioned table by a column and its companions, without a query: in the partition
//! that they say, through a unique index on just these columns.
//!
//! It locks the partitioned tables above that partition and the partition itself, and no others. It keeps
//! these locks, as a query would. For many rows there is [`super::partition_scan`].

use keyspace::migration::companions::MOST_COMPANIONS;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::companions::{CompanionValues, Companions};
use super::tuple::{Column, Kind, RowOf, base_type_of, number_in};
use crate::server::partition::{Partition, partition_for};
use crate::server::relation::relation_name;

/// The most columns of such an index.
const MOST_KEYS: usize = MOST_COMPANIONS + 1;

/// Whether an index can be used.
pub(super) type IsUsable = fn(&pg_sys::FormData_pg_index) -> bool;

/// How to find a row. Plain data, so that it can be stored in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub(super) struct PartitionedLookup {
    pub(super) table: pg_sys::Oid,
    pub(super) by: Column,
    companions: Companions,
    is_usable: IsUsable,
    /// Whether it is an error if a partition has no such index.
    is_required: bool,
    /// The last partition. Consecutive rows often refer to the same one.
    last: Option<Leaf>,
}

/// A partition with rows, and its index.
#[derive(Clone, Copy)]
pub(super) struct Leaf {
    relation: pg_sys::Oid,
    pub(super) index: pg_sys::Oid,
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
        Self { table, by, companions, is_usable, is_required, last: None }
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
        // SAFETY: see above. Everything opened is closed, and the locks are kept until the end of the
        // transaction.
        unsafe {
            let lock = pg_sys::AccessShareLock as i32;
            let top = pg_sys::try_table_open(self.table, lock);
            if top.is_null() {
                return Ok(None);
            }
            let partition = self.partition(top, companions);
            pg_sys::table_close(top, pg_sys::NoLock as i32);
            let Some(partition) = partition else { return Ok(None) };
            let relation = pg_sys::try_table_open(partition, lock);
            if relation.is_null() {
                return Ok(None);
            }
            let found = self.scan_leaf(relation, value, companions, snapshot, read);
            pg_sys::table_close(relation, pg_sys::NoLock as i32);
            found
        }
    }

    /// The partition with rows that these values belong to; `None` if there is none, or if one of them is
    /// NULL: a foreign key of which one column is NULL refers to nothing. The locks on the tables above it
    /// are kept until the end of the transaction.
    ///
    /// # Safety
    /// The table must be open, and the companions must have values of their types.
    pub(super) unsafe fn partition(
        &self,
        top: pg_sys::Relation,
        companions: &CompanionValues,
    ) -> Option<pg_sys::Oid> {
        if (0..self.companions.iter().count()).any(|at| companions.get(at).is_none()) {
            return None;
        }
        // SAFETY: see above; a table that was dropped meanwhile has no partitions.
        unsafe {
            let mut next = self.below(top, companions)?;
            while !next.is_leaf {
                let relation = pg_sys::try_table_open(next.relation, pg_sys::AccessShareLock as i32);
                if relation.is_null() {
                    return None;
                }
                let found = self.below(relation, companions);
                pg_sys::table_close(relation, pg_sys::NoLock as i32);
                next = found?;
            }
            Some(next.relation)
        }
    }

    /// The partition of a table for these values.
    ///
    /// # Safety
    /// As for [`Self::partition`].
    unsafe fn below(&self, relation: pg_sys::Relation, companions: &CompanionValues) -> Option<Partition> {
        // SAFETY: see above.
        unsafe {
            let is_partitioned = (*(*relation).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE;
            let value = |column: i16| {
                let mut all = self.companions.iter().filter(|_| column != 0);
                let of = all.position(|one| number_in(self.table, one.of_key, relation) == column)?;
                companions.get(of)
            };
            if is_partitioned { partition_for(relation, value) } else { None }
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
            let oid = (*relation).rd_id;
            let leaf = match self.last.filter(|last| last.relation == oid) {
                Some(last) => {
                    self.by.in_partition(self.table, relation).check(relation)?;
                    last
                }
                None => match self.leaf(relation, pg_sys::NoLock as i32)? {
                    Some(found) => found,
                    None => return Ok(None),
                },
            };
            self.last = Some(leaf);
            let Some((mut keys, count)) = leaf.scan_keys(value, companions, |_, column| column) else {
                return Ok(None);
            };
            let scan =
                pg_sys::systable_beginscan(relation, leaf.index, true, snapshot, count, keys.as_mut_ptr());
            let row = pg_sys::systable_getnext(scan);
            let found =
                (!row.is_null()).then(|| read(relation, RowOf::Tuple(row, (*relation).rd_att))).transpose();
            pg_sys::systable_endscan(scan);
            found
        }
    }

    /// The unique index of a partition on the column and its companions, in any order. `closing` is the
    /// lock on indexes that is released again.
    ///
    /// # Errors
    /// 42804 if the column no longer has its type; 55000 if there is no such index, but there must be.
    ///
    /// # Safety
    /// The relation must be open.
    #[cold]
    pub(super) unsafe fn leaf(
        &self,
        relation: pg_sys::Relation,
        closing: pg_sys::LOCKMODE,
    ) -> Result<Option<Leaf>, Error> {
        // SAFETY: see above; everything opened is closed again. The list of indexes is a copy.
        unsafe {
            self.by.in_partition(self.table, relation).check(relation)?;
            let mut found = None;
            let list = pg_sys::RelationGetIndexList(relation);
            for at in 0..if list.is_null() { 0 } else { (*list).length } {
                let oid = pg_sys::list_nth_oid(list, at);
                let index = pg_sys::index_open(oid, pg_sys::AccessShareLock as i32);
                let keys = self.keys(relation, index);
                pg_sys::index_close(index, closing);
                if let Some(keys) = keys {
                    found = Some(Leaf { relation: (*relation).rd_id, index: oid, keys });
                    break;
                }
            }
            pg_sys::list_free(list);
            if found.is_none() && self.is_required {
                return Err(missing((*relation).rd_id));
            }
            Ok(found)
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

impl Leaf {
    /// The keys of a scan for a row with these values, and their number; `None` if one of them is NULL.
    /// `number` gives the column for a key: that of the partition, or its place in the index.
    pub(super) fn scan_keys(
        &self,
        value: pg_sys::Datum,
        companions: &CompanionValues,
        number: impl Fn(i16, i16) -> i16,
    ) -> Option<([pg_sys::ScanKeyData; MOST_KEYS], i32)> {
        let mut keys = [pg_sys::ScanKeyData::default(); MOST_KEYS];
        let mut count = 0;
        for (place, (key, of)) in (1..).zip(keys.iter_mut().zip(&self.keys)) {
            if of.column == 0 {
                break;
            }
            let wanted = of.companion.map_or(Some(value), |companion| companions.get(companion))?;
            let strategy = pg_sys::BTEqualStrategyNumber as u16;
            // SAFETY: the function is one of PostgreSQL, and the key is a place to write to.
            unsafe { pg_sys::ScanKeyInit(key, number(place, of.column), strategy, of.equality, wanted) };
            key.sk_collation = of.collation;
            count = i32::from(place);
        }
        Some((keys, count))
    }
}

#[cold]
fn missing(relation: pg_sys::Oid) -> Error {
    let message = format!("partition {} has no unique index on its key", relation_name(relation));
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("A key migration uses this index to find referenced rows.")
        .hint("Create the index again, or CALL key_migration_rollback().")
}
