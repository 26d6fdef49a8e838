//! A key column that a batch fills, and the source of its keys.

use keyspace::Error;
use keyspace::migration::facts::Table;
use keyspace::migration::known_keys::KnownKeys;
use keyspace::migration::member::Member;
use keyspace::migration::scope::Scope;
use pgrx::itemptr::item_pointer_get_both;
use pgrx::pg_sys;

use super::companions::{CompanionValues, Companions};
use super::derive::Derivation;
use super::refers::Refers;
use super::rights::{LookupColumns, check_may_look_up};
use super::root_lookup::{RootLookup, RootScan};
use super::row_time::{RowTime, SaidBy};
use super::tuple::{Column, Kind, Role, RowOf, Value};
use super::violation;
use crate::error::or_raise;

/// A key column that a batch fills.
pub(super) struct Filler<'k> {
    old_id: Column,
    key: Column,
    derivation: Derivation,
    source: Source,
    /// Whether it refers to a key, of another row or the same.
    is_reference: bool,
    /// Which rows do.
    refers: Refers,
    /// The columns with which a row of a partitioned root is found.
    companions: Companions,
    /// Whether it also compares the keys of references that have one with those of the root: they
    /// may have been derived with another time than the root's key.
    compares: bool,
    /// Keys that were looked up before.
    known: Option<&'k KnownKeys>,
}

/// The source of a column's keys.
enum Source {
    /// The row itself, whose key it is, or whose old id is the key.
    Own { time: RowTime },
    /// The row of this root with the old id that the column refers to.
    Root {
        root: pg_sys::Oid,
        scan: RootScan,
        key: Column,
        time: RowTime,
        last: Option<(Value, Option<Value>)>,
    },
}

/// Opens all key columns of a table. Raises 42804 if a column of the table or of the table that it
/// refers to does not have the migration's type.
///
/// # Safety
/// The relation must be open and be that of the table. The snapshot must be valid until the result is
/// closed.
pub(super) unsafe fn open_all<'k>(
    scope: &Scope<'_>,
    table: &Table,
    relation: pg_sys::Relation,
    key_type: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
) -> Vec<Filler<'k>> {
    let members = scope.members_of(table.oid);
    // SAFETY: see above.
    members.map(|member| or_raise(unsafe { open(scope, member, relation, key_type, snapshot) })).collect()
}

/// # Safety
/// As for [`open_all`].
unsafe fn open<'k>(
    scope: &Scope<'_>,
    member: &Member<'_>,
    relation: pg_sys::Relation,
    key_type: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
) -> Result<Filler<'k>, Error> {
    // SAFETY: see above; columns are checked before they are used.
    unsafe {
        let column = |of: pg_sys::Relation, number: i16, role: Role| {
            Column::of(of, number, role).map_err(|unfit| unfit.error((*of).rd_id))
        };
        let of = scope.key_of(member);
        let old_id = column(relation, member.old_id.number, Role::of_member(&of.column, member))?;
        let key = column(relation, member.shadow_number, Role::Key(key_type))?;
        let mut companions = Companions::NONE;
        let source = if member.is_key || scope.keeps_values() {
            let table = pg_sys::Oid::from(of.column.table.oid);
            // If keys keep their values, there is no time.
            let table = if member.is_key { table } else { (*relation).rd_id };
            Source::Own { time: RowTime::open_in(relation, table, &of.time.source, SaidBy::Owner) }
        } else {
            let oid = pg_sys::Oid::from(of.column.table.oid);
            let root = pg_sys::table_open(oid, pg_sys::AccessShareLock as i32);
            let by = column(root, of.column.old_id.number, Role::of_key(&of.column))?;
            let key = column(root, of.column.shadow_number, Role::Key(key_type))?;
            let time = RowTime::open(root, &of.time.source, SaidBy::Owner);
            let lookup_columns = LookupColumns {
                old_id: old_id.number,
                key: member.shadow_number,
                root_old_id: by.number,
                root_key: key.number,
                root_time: time.own_column(),
            };
            check_may_look_up(relation, root, lookup_columns)?;
            companions = Companions::open(relation, root, &member.companions)
                .map_err(|unfit| unfit.error((*relation).rd_id))?;
            pg_sys::table_close(root, pg_sys::NoLock as i32);
            let scan = RootLookup::required(oid, by, &companions).open(snapshot);
            Source::Root { root: oid, scan, key, time, last: None }
        };
        let derivation = Derivation::new(scope.options.target, &of.options.salt);
        let compares = !member.is_key && of.time.can_differ();
        let is_reference = !member.is_key;
        let refers = Refers::of(relation, member, old_id)?;
        Ok(Filler {
            old_id,
            key,
            derivation,
            source,
            is_reference,
            refers,
            companions,
            compares,
            known: None,
        })
    }
}

impl<'k> Filler<'k> {
    /// The number of its column.
    pub(super) const fn key_column(&self) -> i16 {
        self.key.number
    }

    /// Whether its keys are looked up ahead, in the table that it refers to. Batches look up those of
    /// old ids that are texts or UUIDs, and those in partitioned tables.
    pub(super) fn is_looked_up(&self) -> bool {
        matches!(self.source, Source::Root { .. })
            && self.companions.is_empty()
            && matches!(self.old_id.kind, Kind::Smallint | Kind::Integer | Kind::Bigint)
    }

    /// Takes a key that a row has for the right one.
    pub(super) const fn trust_keys(&mut self) {
        self.compares = false;
    }

    /// Uses keys that were looked up before.
    pub(super) const fn know(&mut self, known: &'k KnownKeys) {
        self.known = Some(known);
    }

    /// The old id of a row.
    ///
    /// # Safety
    /// As for [`Self::lacks`].
    pub(super) unsafe fn old_id(
        &self,
        row: *mut pg_sys::HeapTupleData,
        of: pg_sys::TupleDesc,
    ) -> Option<Value> {
        // SAFETY: see above.
        unsafe { self.old_id.value(row, of) }
    }

    /// Whether a row lacks this key, or may have another one than the root's row. The page of the row may
    /// be locked.
    ///
    /// # Safety
    /// The row must belong to a relation with this descriptor, which must have the columns.
    #[inline]
    pub(super) unsafe fn lacks(&self, row: *mut pg_sys::HeapTupleData, of: pg_sys::TupleDesc) -> bool {
        // SAFETY: see above; the key column has no default.
        unsafe {
            (self.compares || self.key.is_null(row))
                && !(self.is_reference && pg_sys::heap_attisnull(row, i32::from(self.old_id.number), of))
                && self.refers.may_be_of_type(RowOf::Tuple(row, of))
        }
    }

    /// The old id by which the key of a row has to be looked up; `None` if it has its key, or refers
    /// to nothing.
    ///
    /// # Safety
    /// As for [`Self::lacks`].
    #[inline]
    pub(super) unsafe fn old_id_to_look_up(
        &self,
        row: *mut pg_sys::HeapTupleData,
        of: pg_sys::TupleDesc,
    ) -> Option<i64> {
        // SAFETY: see above.
        unsafe {
            let lacks = self.is_looked_up()
                && (self.compares || self.key.is_null(row))
                && self.refers.may_be_of_type(RowOf::Tuple(row, of));
            if lacks { self.refers.old_id(self.old_id.value(row, of))?.number() } else { None }
        }
    }

    /// The key of the referenced row with this old id, if it can be used later: if it is stored there
    /// (it never changes then), or any later one would be derived in the same way.
    pub(super) fn lasting_key(&mut self, old_id: i64) -> Option<[u8; 16]> {
        let (derivation, compares) = (&self.derivation, self.compares);
        let Source::Root { scan, key, time, .. } = &mut self.source else { return None };
        let old_id = Value::Number(old_id);
        // SAFETY: the columns are those of the root.
        let key_of = |_, row: RowOf| unsafe {
            match row.value(*key) {
                Some(key) => Some(key),
                None if compares => None,
                None => Some(derivation.key(time.of(row), old_id)),
            }
        };
        scan.row(old_id, &CompanionValues::NONE, key_of).flatten().and_then(Value::key)
    }

    /// A row with this key.
    ///
    /// # Safety
    /// As for [`Self::lacks`].
    pub(super) unsafe fn with_key(
        &self,
        row: *mut pg_sys::HeapTupleData,
        of: pg_sys::TupleDesc,
        key: Value,
    ) -> pg_sys::HeapTuple {
        // SAFETY: see above.
        unsafe { self.key.set(row, of, Some(key)) }
    }

    /// The key for a row; `None` if it refers to nothing, or has this key.
    ///
    /// # Safety
    /// As for [`Self::lacks`].
    pub(super) unsafe fn missing_key(
        &mut self,
        row: *mut pg_sys::HeapTupleData,
        of: pg_sys::TupleDesc,
    ) -> Option<Value> {
        // SAFETY: see above.
        unsafe {
            let key = self.key_of(row, of)?;
            (!self.compares || self.key.value(row, of) != Some(key)).then_some(key)
        }
    }

    /// The key for a row; `None` if it refers to nothing.
    ///
    /// # Safety
    /// As for [`Self::lacks`].
    unsafe fn key_of(&mut self, row: *mut pg_sys::HeapTupleData, of: pg_sys::TupleDesc) -> Option<Value> {
        let derivation = &self.derivation;
        // SAFETY: see above.
        unsafe {
            let old_id = self.refers.old_id(self.old_id.value(row, of))?;
            if !self.refers.is_of_type(RowOf::Tuple(row, of)) {
                return None;
            }
            if !self.is_reference && self.old_id.is_unfit(old_id) {
                violation::refuse_unfit_id((*row).t_tableOid, self.old_id, old_id);
            }
            match &mut self.source {
                Source::Own { time } => Some(derivation.key(time.of(RowOf::Tuple(row, of)), old_id)),
                // Consecutive rows often refer to the same row.
                Source::Root { last: Some((last, key)), .. }
                    if *last == old_id && self.companions.is_empty() =>
                {
                    *key
                }
                Source::Root { root, scan, key, time, last } => {
                    let (page, offset) = item_pointer_get_both((*row).t_self);
                    let by = written_by(row).into_inner();
                    let known = self.known.zip(old_id.number());
                    let known = known.and_then(|(known, old_id)| known.key(page, offset, by, old_id));
                    let known = known.map(Value::Key);
                    let companions = self.companions.values(RowOf::Tuple(row, of));
                    let found = known.or_else(|| {
                        scan.row(old_id, &companions, |table, row| {
                            match row.value(key.in_partition(*root, table)) {
                                // A key stored in the root takes precedence over a derived one (trap
                                // M22).
                                Some(key) => key,
                                None => {
                                    // The state of the time is for one relation.
                                    if (*table).rd_id == *root {
                                        return derivation.key(time.of(row), old_id);
                                    }
                                    let mut time = time.in_partition(*root, table);
                                    derivation.key(time.of(row), old_id)
                                }
                            }
                        })
                    });
                    *last = old_id.lasting().map(|old_id| (old_id, found));
                    found
                }
            }
        }
    }

    /// # Safety
    /// Call it once, at the end.
    pub(super) unsafe fn close(self) {
        if let Source::Root { scan, .. } = self.source {
            // SAFETY: it is open, and not used again.
            unsafe { scan.close() };
        }
    }
}

/// The transaction that has written this version of a row.
///
/// # Safety
/// The row must be one of a heap.
pub(super) const unsafe fn written_by(row: *const pg_sys::HeapTupleData) -> pg_sys::TransactionId {
    // SAFETY: see above; a row that is stored has these fields.
    unsafe { (*(*row).t_data).t_choice.t_heap.t_xmin }
}
