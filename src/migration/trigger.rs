//! The triggers that keep old ids and keys in step, row by row.
//!
//! One column leads and the other follows: the old id up to the cut-over, and the key afterwards.
//! Columns are identified by their attribute numbers, so renaming one does no harm. Nothing is
//! looked up by name, so no `search_path` does harm either (replication runs with an empty one). A
//! user who writes to a table needs no privilege on another.

use std::ffi::{CStr, c_void};

use keyspace::migration::condition::TriggerCondition;
use keyspace::migration::names::is_our_comment;
use keyspace::migration::old_id::IdKind;
use keyspace::{Error, SqlState};
use pgrx::spi::{Spi, SpiError, SpiResult};
use pgrx::{pg_guard, pg_sys};

use super::companions::{CompanionValues, Companions};
use super::derive::Derivation;
use super::key_type::key_type;
use super::nodes::stored::is_of_several;
use super::refers::Refers;
use super::rights::{LookupColumns, check_companions, check_may_look_up, check_may_name, has_foreign_key};
use super::root_lookup::RootLookup;
use super::row_time::{RowTime, SaidBy};
use super::trigger_arguments::{TriggerArguments, is_known, is_said_by_owner};
use super::tuple::{Column, Kind, Role, RowOf, Unfit, Value, number_in};
use super::violation;
use super::writer::Writer;
use super::{marks, moved};
use crate::encoding::{from_server, from_server_bytes};
use crate::error::{or_raise, raise, report};
use crate::fmgr;
use crate::server::by_version;
use crate::server::call::running;
use crate::server::extension::Extension;
use crate::server::failure::{Failure, or_fail};
use crate::server::relation::{partition_ancestors, relation_name};
use crate::server::settings::with_own_settings;

/// The kind of table that a trigger is on, and when it fires.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Reference,
    /// AFTER INSERT OR UPDATE of a table that refers to a root.
    Late,
    /// AFTER UPDATE of either, in the role of a replica.
    Applied,
}

/// A trigger's arguments, read once for each statement. Plain data, because it is stored in
/// PostgreSQL's memory.
#[derive(Clone, Copy)]
struct Bound {
    extension: Extension,
    key_leads: bool,
    /// Whether a foreign key declares the reference. Only known in the role of a replica.
    is_declared: bool,
    /// Whether it refers to the root, and is not its key.
    is_reference: bool,
    derivation: Derivation,
    old_id: Column,
    key: Column,
    /// The table of the migration: that of the row, or the one that it is a partition of.
    table: pg_sys::Oid,
    root: pg_sys::Oid,
    /// The corresponding columns of the root.
    root_old_id: Column,
    root_key: Column,
    /// The time of a row of the root.
    time: RowTime,
    /// Which rows refer to the root.
    refers: Refers,
    /// The columns with which a row of a partitioned root is found.
    companions: Companions,
    /// The columns of the root in the relation of the row, if that is the root or a partition of it.
    in_root: Option<InRoot>,
    /// By old id and by key, created when first needed. The second index exists only from the phase
    /// "indexed" on.
    by_old_id: Option<RootLookup>,
    by_key: Option<RootLookup>,
    /// The same index, also while it is being built. `None` until it was looked for.
    taken: Option<Option<RootLookup>>,
    /// The last pair found. Consecutive rows often refer to the same row, and neither the old id
    /// nor the key of an existing row changes within a statement.
    last: Option<(Value, Value)>,
}

/// A row of the root can refer to itself, before it is in the table.
#[derive(Clone, Copy)]
struct InRoot {
    old_id: Column,
    key: Column,
    time: RowTime,
    /// Those with which another row finds this one.
    companions: Companions,
}

/// The key that a row of the root has, or the one derived from it.
fn key_of(
    derivation: &Derivation,
    key: Option<Value>,
    time: impl FnOnce() -> Option<i64>,
    old_id: Option<Value>,
) -> Option<Value> {
    if key.is_some() {
        return key;
    }
    let old_id = old_id.filter(|old_id| !matches!(old_id, Value::Key(_)))?;
    Some(derivation.key(time(), old_id))
}

impl Bound {
    fn leader(&self) -> Column {
        if self.key_leads { self.key } else { self.old_id }
    }

    fn follower(&self) -> Column {
        if self.key_leads { self.old_id } else { self.key }
    }

    /// The key derived from a version of a row of the root.
    ///
    /// # Safety
    /// The version must be one of the row.
    unsafe fn derived(&mut self, version: pg_sys::HeapTuple, row: &Row) -> Option<Value> {
        let mut time = self.time;
        // SAFETY: see above; the columns are those of the relation.
        let key = unsafe {
            let old_id = self.old_id.value(version, row.description);
            key_of(&self.derivation, None, || time.of(RowOf::Tuple(version, row.description)), old_id)
        };
        self.time = time;
        key
    }

    /// The key of a row of the root that is inserted with this old id.
    ///
    /// A row whose id was changed keeps the key derived from the former id, and this one may have
    /// that id and the same time. Its key is then derived from the key that is taken, so that all
    /// servers find the same one. Ids that are integers are hardly ever given away, and are not looked up.
    ///
    /// # Safety
    /// The row must be one of the root.
    unsafe fn key_at_insert(&mut self, row: &Row, old_id: Option<Value>) -> Option<Value> {
        let mut time = self.time;
        // SAFETY: see above.
        let mut micros = || unsafe { time.of(RowOf::Tuple(row.new, row.description)) };
        let mut key = key_of(&self.derivation, None, &mut micros, old_id)?;
        if self.root_old_id.kind.id_kind() != Some(IdKind::Integer)
            && let Some(in_root) = self.in_root
            && let Some(by_key) = (self.taken).get_or_insert_with(|| {
                RootLookup::that_refuses(self.root, self.root_key, &in_root.companions)
            })
        {
            // SAFETY: see above.
            let companions = unsafe { in_root.companions.values(RowOf::Tuple(row.new, row.description)) };
            while by_key.is_taken(key, &companions) {
                pgrx::check_for_interrupts!();
                key = self.derivation.key(micros(), key);
            }
        }
        self.time = time;
        Some(key)
    }

    /// Refuses a key that is unknown in the root and is one of its old ids, which a client has read
    /// before the cut-over. That is only possible if both are UUIDs. An enforced foreign key refuses it
    /// itself.
    ///
    /// # Errors
    /// 23503.
    ///
    /// # Safety
    /// The relation must be open, and the row must belong to it and have this key.
    #[cold]
    unsafe fn refuse_old_id(&mut self, relation: pg_sys::Relation, row: &Row, key: Value) {
        let Value::Key(bytes) = key else { return };
        // SAFETY: see above.
        let companions = unsafe { self.companion_values(row) };
        let is_there = |by: &mut RootLookup, value| by.row(value, &companions, |_, _| ()).is_some();
        // SAFETY: see above; no column has the number 0.
        let has_foreign_key = || unsafe { violation::is_only_on(relation, row.new, self.key.number, 0) };
        if self.root_old_id.kind != Kind::Uuid
            || is_applied()
            || has_foreign_key()
            || !is_there(
                (self.by_old_id).get_or_insert_with(|| {
                    RootLookup::required(self.root, self.root_old_id, &self.companions)
                }),
                Value::Uuid(bytes),
            )
            || is_there(
                (self.by_key)
                    .get_or_insert_with(|| RootLookup::required(self.root, self.root_key, &self.companions)),
                key,
            )
        {
            return;
        }
        // SAFETY: see above.
        unsafe { violation::refuse_old_id(relation, self.key, self.root, (self.root_old_id, self.root_key)) }
    }

    /// The value of one of the two columns; `None` if it is NULL, or an old id that means none.
    ///
    /// # Safety
    /// The relation must have the column.
    unsafe fn now(&self, row: &Row, column: Column) -> Option<Value> {
        // SAFETY: see above.
        self.said(column, unsafe { row.new_value(column) })
    }

    /// The same before an UPDATE; `None` also if the row did not refer to the root's table.
    ///
    /// # Safety
    /// As for [`Self::now`].
    unsafe fn before(&self, row: &Row, column: Column) -> Option<Value> {
        // SAFETY: see above.
        unsafe { self.said(column, row.old_value(column).filter(|_| self.referred(row))) }
    }

    fn said(&self, column: Column, value: Option<Value>) -> Option<Value> {
        if column.number == self.old_id.number { self.refers.old_id(value) } else { value }
    }

    /// Whether the row was of a kind that refers to the root's table before an UPDATE.
    ///
    /// # Safety
    /// As for [`Self::now`].
    unsafe fn referred(&self, row: &Row) -> bool {
        // SAFETY: see above.
        row.old.is_some_and(|old| unsafe { self.refers.is_of_type(RowOf::Tuple(old, row.description)) })
    }

    /// Whether the row is of such a kind.
    ///
    /// # Safety
    /// As for [`Self::now`].
    unsafe fn refers(&self, row: &Row) -> bool {
        // SAFETY: see above.
        unsafe { self.refers.is_of_type(RowOf::Tuple(row.new, row.description)) }
    }

    /// The values with which a row finds the row that it refers to.
    ///
    /// # Safety
    /// As for [`Self::now`].
    unsafe fn companion_values(&self, row: &Row) -> CompanionValues {
        // SAFETY: see above.
        unsafe { self.companions.values(RowOf::Tuple(row.new, row.description)) }
    }

    /// Whether an UPDATE leaves these values as they are.
    ///
    /// # Safety
    /// As for [`Self::now`].
    unsafe fn keeps_companions(&self, row: &Row) -> bool {
        let Some(old) = row.old else { return true };
        // SAFETY: see above; both rows belong to the relation.
        self.companions.is_empty()
            || unsafe {
                let before = self.companions.values(RowOf::Tuple(old, row.description));
                self.companions.are_equal(row.description, &before, &self.companion_values(row))
            }
    }

    /// Whether a row of the root has the companions that it refers to.
    ///
    /// # Safety
    /// As for [`Self::now`].
    unsafe fn is_itself(&self, in_root: &InRoot, row: &Row) -> bool {
        // SAFETY: see above.
        self.companions.is_empty()
            || unsafe {
                let own = in_root.companions.values(RowOf::Tuple(row.new, row.description));
                self.companions.are_equal(row.description, &own, &self.companion_values(row))
            }
    }

    /// A value for one of the two columns. An old id that means none stays, and where a row must have one,
    /// it has one.
    ///
    /// # Safety
    /// As for [`Self::now`].
    unsafe fn put(&self, row: &Row, column: Column, value: Option<Value>) -> pg_sys::Datum {
        // SAFETY: see above.
        unsafe {
            if value.is_none() && column.number == self.old_id.number {
                return self.without_old_id(row);
            }
            row.with(column, value)
        }
    }

    /// A row that refers to nothing, with the old id that says so.
    ///
    /// # Safety
    /// As for [`Self::now`].
    unsafe fn without_old_id(&self, row: &Row) -> pg_sys::Datum {
        // SAFETY: see above.
        unsafe {
            match (row.new_value(self.old_id), self.now(row, self.old_id)) {
                // It says so already.
                (Some(_), None) => row.new.into(),
                (None, _) if self.refers.none().is_none() => row.new.into(),
                _ => row.with(self.old_id, self.refers.none()),
            }
        }
    }

    /// Marks the table for another comparison, because a row that replication applies cannot be
    /// corrected now.
    fn mark(&self) {
        or_fail(marks::add(self.extension, self.table, self.key_leads).map_err(Failure::from));
    }

    /// Whether the migration is one on several nodes.
    #[cold]
    fn is_of_several_nodes(&self) -> bool {
        or_fail(is_of_several(self.extension, self.table).map_err(Failure::from))
    }

    /// The follower's value for a value of the leader, or the reverse.
    fn other(&mut self, value: Value, row: &Row) -> Option<Value> {
        // With other companions, an old id is another row.
        if let Some((last, other)) = self.last
            && last == value
            && self.companions.is_empty()
        {
            return Some(other);
        }
        let other = self.look_up(value, row);
        self.last = other.and_then(|other| Some((value.lasting()?, other.lasting()?)));
        other
    }

    fn look_up(&mut self, value: Value, row: &Row) -> Option<Value> {
        // A row that refers to itself is not in the table yet.
        // SAFETY: such a row belongs to the root, or to a partition of it.
        let is_itself = self.in_root.as_ref().is_some_and(|in_root| unsafe { self.is_itself(in_root, row) });
        // SAFETY: the columns are those of the relation.
        let companions = unsafe { self.companion_values(row) };
        match value {
            Value::Number(_) | Value::Uuid(_) | Value::Text(_) => {
                if is_itself
                    && let Some(InRoot { old_id, key, mut time, .. }) = self.in_root
                    // SAFETY: as above.
                    && unsafe { row.new_value(old_id) } == Some(value)
                {
                    // SAFETY: as above.
                    let key = unsafe { row.new_value(key) };
                    if key.is_none() && row.old.is_none() {
                        // SAFETY: as above.
                        return unsafe { self.key_at_insert(row, Some(value)) };
                    }
                    // SAFETY: as above.
                    let time = || unsafe { time.of(RowOf::Tuple(row.new, row.description)) };
                    return key_of(&self.derivation, key, time, Some(value));
                }
                let required = || RootLookup::required(self.root, self.root_old_id, &self.companions);
                let by = self.by_old_id.get_or_insert_with(required);
                let mut time = self.time;
                let found = by.row(value, &companions, |table, row| {
                    // SAFETY: the key is checked before it is read, and so is the time.
                    unsafe {
                        let key = self.root_key.in_partition(self.root, table);
                        or_raise(key.check(table));
                        let key = row.value(key);
                        if (*table).rd_id == self.root {
                            return key_of(&self.derivation, key, || time.checked(table, row), Some(value));
                        }
                        let of_root = time;
                        let time = || of_root.in_partition(self.root, table).checked(table, row);
                        key_of(&self.derivation, key, time, Some(value))
                    }
                });
                self.time = time;
                found.flatten()
            }
            Value::Key(_) => {
                if is_itself
                    && let Some(in_root) = self.in_root
                    // SAFETY: as above.
                    && unsafe { row.new_value(in_root.key) } == Some(value)
                {
                    // SAFETY: as above.
                    return unsafe { row.new_value(in_root.old_id) };
                }
                let required = || RootLookup::required(self.root, self.root_key, &self.companions);
                let by = self.by_key.get_or_insert_with(required);
                by.row(value, &companions, |table, row| {
                    // SAFETY: the column is checked before it is read.
                    unsafe {
                        let old_id = self.root_old_id.in_partition(self.root, table);
                        or_raise(old_id.check(table));
                        row.value(old_id)
                    }
                })
                .flatten()
            }
        }
    }
}

/// The row for which a trigger is called.
pub(super) struct Row {
    pub(super) relation: pg_sys::Oid,
    description: pg_sys::TupleDesc,
    /// The row before an UPDATE.
    pub(super) old: Option<pg_sys::HeapTuple>,
    pub(super) new: pg_sys::HeapTuple,
}

impl Row {
    /// # Safety
    /// `context` must be that of a row-level trigger on INSERT or UPDATE.
    pub(super) unsafe fn of(context: *const pg_sys::TriggerData) -> Self {
        // SAFETY: see above; an UPDATE has both rows.
        unsafe {
            let relation = (*context).tg_relation;
            let is_update = operation(context) == pg_sys::TRIGGER_EVENT_UPDATE;
            Self {
                relation: (*relation).rd_id,
                description: (*relation).rd_att,
                old: is_update.then_some((*context).tg_trigtuple),
                new: if is_update { (*context).tg_newtuple } else { (*context).tg_trigtuple },
            }
        }
    }

    /// # Safety
    /// The relation must have the column.
    pub(super) unsafe fn new_value(&self, column: Column) -> Option<Value> {
        // SAFETY: see above.
        unsafe { column.value(self.new, self.description) }
    }

    /// # Safety
    /// The relation must have the column.
    pub(super) unsafe fn old_value(&self, column: Column) -> Option<Value> {
        // SAFETY: see above.
        unsafe { self.old.and_then(|old| column.value(old, self.description)) }
    }

    /// Whether the column is NOT NULL.
    ///
    /// # Safety
    /// The relation must have the column.
    unsafe fn must_have(&self, column: Column) -> bool {
        // SAFETY: see above; columns are counted from 1.
        unsafe { (*by_version::attribute(self.description, i32::from(column.number) - 1)).attnotnull }
    }

    /// The row with another value, as a trigger returns it.
    ///
    /// # Safety
    /// The relation must have the column.
    pub(super) unsafe fn with(&self, column: Column, value: Option<Value>) -> pg_sys::Datum {
        // SAFETY: see above.
        unsafe { column.set(self.new, self.description, value).into() }
    }
}

/// The trigger of the root. Its arguments: table, leader, target, salt, the columns of old id and key,
/// and the source of the time.
///
/// # Errors
/// 22003 for an id of type `numeric` that is not an integer of type `bigint`;
/// 23514 for an UPDATE of a key before the cut-over, or of an old id after one at which the primary key
/// has moved; 55000 for a trigger of another table.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn key_migration_key(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: `bound` checks that this is a trigger call, and that the columns are as its arguments
    // say.
    unsafe {
        let context = trigger_data(fcinfo);
        let row = Row::of(context);
        let Some(bound) = bound(fcinfo, context, Place::Root) else { return row.new.into() };
        if let Some(old_id) = row.new_value(bound.old_id)
            && bound.old_id.is_unfit(old_id)
        {
            violation::refuse_unfit_id(row.relation, bound.old_id, old_id);
        }
        let (old, new) = (row.old_value(bound.key), row.new_value(bound.key));
        // Once the primary key has moved, no foreign key keeps rows together with an old id that changes.
        if row.old.is_some()
            && bound.key_leads
            && row.old_value(bound.old_id) != row.new_value(bound.old_id)
            && !is_in_primary_key((*context).tg_relation, bound.old_id)
        {
            refuse_change(context, bound.old_id);
        }
        if row.old.is_none() {
            // After the cut-over, the column's default generates keys. Before it, a row that has a
            // key is a copy of another row, unless replication applies it, or it comes from another
            // partition.
            if new.is_some() && (bound.key_leads || is_applied() || moved::is_moved(bound.root, new)) {
                return row.new.into();
            }
            return row.with(bound.key, bound.key_at_insert(&row, row.new_value(bound.old_id)));
        }
        let key = match (old, new, row.old) {
            // The key that the row would have had before the change (trap M22).
            (None, None, Some(old)) => bound.derived(old, &row),
            // A client read the row before it had a key, and now writes all its columns.
            (Some(_), None, _) if !bound.key_leads => old,
            (Some(old), Some(new), _) if old != new && !bound.key_leads => refuse_change(context, bound.key),
            _ => new,
        };
        if let Some(old) = row.old
            && row.relation != bound.root
            && !bound.key_leads
        {
            moved::may_move(bound.root, row.relation, (*old).t_self, key);
        }
        if key == new { row.new.into() } else { row.with(bound.key, key) }
    }
}

/// The trigger of a column that refers to the root. Its arguments: table, leader, target, salt, the
/// columns of old id and key, the root, its columns of old id and key, and the source of its time.
///
/// The leading column decides. If only the other one is changed, the leading column follows it.
/// Rows that replication applies have both values, which must match here.
///
/// # Errors
/// 23503 if the referenced row does not exist and a key is needed, or if an old id is written as a key;
/// 55000 for a trigger of another table, or without the root's indexes.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn key_migration_reference(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: `bound` checks that this is a trigger call, and that the columns are as its arguments
    // say.
    unsafe {
        let context = trigger_data(fcinfo);
        let row = Row::of(context);
        let Some(bound) = bound(fcinfo, context, Place::Reference) else { return row.new.into() };
        let (leader, follower) = (bound.leader(), bound.follower());
        // A row of another kind has no key, and its old id is that of another table.
        if !bound.refers(&row) {
            let has_key = row.new_value(bound.key).is_some();
            return if has_key { row.with(bound.key, None) } else { row.new.into() };
        }
        let (leads, follows) = (bound.now(&row, leader), bound.now(&row, follower));
        let keeps_companions = bound.keeps_companions(&row);
        if keeps_companions && bound.referred(&row) && bound.before(&row, leader) == leads {
            let old_follows = bound.before(&row, follower);
            // The backfill gives a row its first key.
            let is_first = old_follows.is_none() && leads.is_some();
            if (old_follows == follows || is_first) && (follows.is_some() || leads.is_none()) {
                return row.new.into();
            }
            if let (Some(_), Some(follows)) = (leads, follows) {
                let leads = leading((*context).tg_relation, &row, bound, follows);
                return bound.put(&row, leader, leads);
            }
        }
        // The other server may have another key for the row. If the row that it refers to is still to
        // come, nothing is known.
        if let (None, Some(value), Some(other)) = (row.old, leads, follows)
            && is_applied()
        {
            let right = bound.other(value, &row);
            if right.is_none() {
                bound.mark();
            }
            return match right.filter(|right| *right != other) {
                Some(right) => row.with(follower, Some(right)),
                None => row.new.into(),
            };
        }
        // After the cut-over, an old id that is removed removes the reference (fault C13). Before it, a
        // key that is removed is computed again.
        if bound.key_leads
            && follows.is_none()
            && leads.is_some()
            && keeps_companions
            && bound.before(&row, leader) == leads
            && bound.before(&row, follower).is_some()
        {
            return row.with(leader, None);
        }
        match (leads, follows) {
            (Some(leads), _) => {
                let follows = bound.other(leads, &row);
                if follows.is_none() && bound.key_leads && row.old_value(leader) != Some(leads) {
                    bound.refuse_old_id((*context).tg_relation, &row, leads);
                }
                if follows.is_none() && is_required(row.relation, follower) {
                    violation::refuse_orphan((*context).tg_relation, leader, leads, bound.root, leader);
                }
                row.with(follower, follows)
            }
            // If only the other column is written, the leading one follows it.
            (None, Some(follows)) if bound.before(&row, leader).is_none() => {
                let leads = leading((*context).tg_relation, &row, bound, follows);
                bound.put(&row, leader, leads)
            }
            // PostgreSQL would name the old column, which comes first (fault C21).
            (None, _) if bound.key_leads && row.must_have(leader) => {
                violation::refuse_null((*context).tg_relation, leader)
            }
            (None, Some(_)) => bound.put(&row, follower, None),
            (None, None) if bound.key_leads => bound.without_old_id(&row),
            (None, None) => row.new.into(),
        }
    }
}

/// The leader's value for a value of the follower.
///
/// If only the foreign key on keys is left, it does not find an old id that refers to no row: the row
/// has no key then. A rollback could not add the foreign key on old ids again.
///
/// # Errors
/// 23503 for such a row.
///
/// # Safety
/// The relation must be open, and the row must belong to it.
unsafe fn leading(relation: pg_sys::Relation, row: &Row, bound: &mut Bound, follows: Value) -> Option<Value> {
    let leads = bound.other(follows, row);
    let (leader, follower) = (bound.leader(), bound.follower());
    // SAFETY: see above; the columns are those of the relation.
    unsafe {
        if leads.is_none()
            && bound.key_leads
            && !is_applied()
            && violation::is_only_on(relation, row.new, leader.number, follower.number)
        {
            violation::refuse_orphan(relation, follower, follows, bound.root, leader);
        }
    }
    leads
}

/// The trigger for rows that refer to one inserted after them. It fires at the end of the
/// transaction, and writes only the missing column. No trigger of the table fires, and nothing runs
/// as its owner (fault A07). As with the triggers above, a user who writes the row needs no
/// privilege on the column. Its condition names the columns; its arguments are those of the trigger
/// above.
///
/// # Errors
/// 55000 for a trigger of another table.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn key_migration_late(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the context is checked; a row-level AFTER trigger has a row of the table, and an open
    // relation.
    unsafe {
        let context = trigger_data(fcinfo);
        let row = Row::of(context);
        let Some(bound) = bound(fcinfo, context, Place::Late) else { return pg_sys::Datum::from(0_usize) };
        let follower = bound.follower();
        // A row that refers to nothing stays as it is.
        if bound.refers(&row)
            && row.new_value(follower).is_none()
            && let Some(leads) = bound.now(&row, bound.leader())
        {
            match bound.other(leads, &row) {
                Some(follows) => correct((*context).tg_relation, &row, follower, Some(follows)),
                None if bound.is_declared => bound.mark(),
                None => {}
            }
        }
    }
    pg_sys::Datum::from(0_usize)
}

/// The trigger for rows that replication updates, or another session in the role of a replica, where
/// the trigger on UPDATE does not fire. It corrects what that one would have corrected, and marks the
/// table if it cannot (fault C09). As a BEFORE trigger it would do harm under pglogical (trap M24). Its
/// arguments are those of the trigger on UPDATE.
///
/// # Errors
/// 55000 for a trigger of another table, or without the root's indexes.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn key_migration_applied(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: as for `key_migration_late`; an UPDATE has both rows.
    unsafe {
        let context = trigger_data(fcinfo);
        let row = Row::of(context);
        let Some(bound) = bound(fcinfo, context, Place::Applied) else { return pg_sys::Datum::from(0_usize) };
        let relation = (*context).tg_relation;
        let is_root = !bound.is_reference;
        let (leader, follower) = (bound.leader(), bound.follower());
        if is_root {
            applied_to_root(relation, &row, bound);
            return pg_sys::Datum::from(0_usize);
        }
        if !bound.refers(&row) {
            if row.new_value(bound.key).is_some() {
                correct(relation, &row, bound.key, None);
            }
            return pg_sys::Datum::from(0_usize);
        }
        let (leads, follows) = (bound.now(&row, leader), bound.now(&row, follower));
        let was = (bound.before(&row, leader), bound.before(&row, follower));
        let is_same = was == (leads, follows) && bound.keeps_companions(&row);
        if is_same && (follows.is_some() || leads.is_none()) {
            return pg_sys::Datum::from(0_usize);
        }
        match (leads, follows) {
            (Some(value), _) => match bound.other(value, &row) {
                right @ Some(_) if right != follows => correct(relation, &row, follower, right),
                Some(_) => {}
                None => {
                    // The key of the row that it referred to before is certainly wrong. The backfill
                    // returns to a row without a key.
                    let is_other = was.0 != leads || !bound.keeps_companions(&row);
                    let is_stale = follows.is_some() && was.1 == follows && is_other;
                    if is_stale && !bound.key_leads && !is_required(row.relation, follower) {
                        correct(relation, &row, follower, None);
                    }
                    if follows.is_some() || bound.is_declared {
                        bound.mark();
                    }
                }
            },
            (None, Some(_)) if was.0.is_some() => {
                let none = if bound.key_leads { bound.refers.none() } else { None };
                correct(relation, &row, follower, none);
            }
            // A row that has become one of this kind.
            (None, Some(value)) if row.old.is_some() && !bound.referred(&row) => {
                match bound.other(value, &row) {
                    right @ Some(_) => correct(relation, &row, leader, right),
                    None => bound.mark(),
                }
            }
            (None, Some(_)) => bound.mark(),
            (None, None) => {}
        }
    }
    pg_sys::Datum::from(0_usize)
}

/// The same for a row of the root. After the cut-over its key is as replication says.
///
/// # Safety
/// The relation must be open and be the root, and the row must be one that was updated.
unsafe fn applied_to_root(relation: pg_sys::Relation, row: &Row, bound: &mut Bound) {
    if bound.key_leads {
        return;
    }
    // SAFETY: see above.
    unsafe {
        let derived = row.old.and_then(|old| bound.derived(old, row));
        // A row without a key has the key that it would have had before the change (trap M22).
        let right = row.old_value(bound.key).or(derived);
        match row.new_value(bound.key) {
            None => correct(relation, row, bound.key, right),
            new if new != right => match row.old_value(bound.key) {
                // Nodes that migrate together have compared their keys, or will compare them.
                kept @ Some(_) if bound.is_of_several_nodes() => correct(relation, row, bound.key, kept),
                // Others may refer to the former key.
                _ => bound.mark(),
            },
            Some(_) => {}
        }
    }
}

/// Writes a value into a row, unless the row has been changed since. That change has its own
/// trigger event.
///
/// # Safety
/// The relation must be open and have the column, and the row must belong to it.
pub(super) unsafe fn correct(relation: pg_sys::Relation, row: &Row, column: Column, value: Option<Value>) {
    // SAFETY: see above; everything opened is closed. The snapshot is PostgreSQL's own and static,
    // and shows the changes of this transaction.
    unsafe {
        let mut place = (*row.new).t_self;
        let snapshot = &raw mut pg_sys::SnapshotSelfData;
        let slot = pg_sys::table_slot_create(relation, std::ptr::null_mut());
        let is_there = pg_sys::table_tuple_fetch_row_version(relation, &mut place, snapshot, slot);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        if !is_there {
            return;
        }
        // The row may have been written by the preceding command.
        pg_sys::CommandCounterIncrement();
        let writer = Writer::open(relation, &[column.number]);
        writer.write(&mut place, column.set(row.new, row.description, value), snapshot, None);
        writer.close();
    }
}

fmgr::version_1!(key_migration_key, key_migration_reference, key_migration_late, key_migration_applied);

/// # Safety
/// `context` must be that of a trigger.
pub(super) unsafe fn operation(context: *const pg_sys::TriggerData) -> u32 {
    // SAFETY: see above.
    unsafe { (*context).tg_event & pg_sys::TRIGGER_EVENT_OPMASK }
}

/// The context of a trigger call.
///
/// # Safety
/// Pass only what the function manager has passed.
pub(super) unsafe fn trigger_data(fcinfo: pg_sys::FunctionCallInfo) -> *const pg_sys::TriggerData {
    // SAFETY: see above.
    match unsafe { fmgr::trigger_data(fcinfo) } {
        Some(data) => data,
        None => raise(report(fmgr::no_trigger())),
    }
}

/// The arguments, cached after the first row of a statement. `None` if the referenced table no
/// longer exists, because its owner has dropped it with CASCADE, or if one of the columns was dropped
/// (fault C07). Nothing is known about the keys of rows any more, and writes must not fail.
///
/// # Safety
/// `context` must be that of the call.
unsafe fn bound<'a>(
    fcinfo: pg_sys::FunctionCallInfo,
    context: *const pg_sys::TriggerData,
    place: Place,
) -> Option<&'a mut Bound> {
    // SAFETY: fn_extra was set below, in memory that lives as long as flinfo.
    unsafe {
        let function = (*fcinfo).flinfo;
        if (*function).fn_extra.is_null() {
            let bound = read(fcinfo, context, place)?;
            let memory = pg_sys::MemoryContextAlloc((*function).fn_mcxt, size_of::<Bound>()).cast::<Bound>();
            memory.write(bound);
            (*function).fn_extra = memory.cast::<c_void>();
        }
        Some(&mut *(*function).fn_extra.cast::<Bound>())
    }
}

/// # Safety
/// `context` must be that of the call.
#[cold]
unsafe fn read(
    fcinfo: pg_sys::FunctionCallInfo,
    context: *const pg_sys::TriggerData,
    place: Place,
) -> Option<Bound> {
    // SAFETY: the call is a trigger's; every relation opened is closed.
    unsafe {
        let timing = match place {
            Place::Late | Place::Applied => pg_sys::TRIGGER_EVENT_AFTER,
            Place::Root | Place::Reference => pg_sys::TRIGGER_EVENT_BEFORE,
        };
        let is_well_formed = (*context).tg_event & pg_sys::TRIGGER_EVENT_ROW != 0
            && (*context).tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK == timing
            && match place {
                Place::Applied => operation(context) == pg_sys::TRIGGER_EVENT_UPDATE,
                _ => operation(context) != pg_sys::TRIGGER_EVENT_DELETE,
            };
        let relation = (*context).tg_relation;
        let arguments = |is_reference| TriggerArguments::of((*context).tg_trigger, is_reference);
        let parsed = match place {
            Place::Root => arguments(false),
            Place::Reference | Place::Late => arguments(true),
            // Both kinds of tables have it.
            Place::Applied => arguments(true).or_else(|| arguments(false)),
        };
        let trigger = (*context).tg_trigger;
        let parsed = parsed.filter(|_| is_well_formed);
        let is_reference =
            parsed.as_ref().is_some_and(|one| (one.root, one.root_old_id) != (one.table, one.old_id));
        let Some((table_of_migration, parsed)) =
            parsed.and_then(|parsed| Some((parsed.table, parsed.for_relation(relation, trigger)?)))
        else {
            refuse_trigger(context)
        };
        let extension = or_raise(Extension::of_call(fcinfo));
        let key = Role::Key(key_type(parsed.target, extension));
        let column = |of: pg_sys::Relation, number: i16, role: Role| match Column::of(of, number, role) {
            Ok(column) => Some(column),
            Err(Unfit::Gone) => None,
            Err(unfit) => raise(report(unfit.error((*of).rd_id))),
        };
        let root = pg_sys::Oid::from(parsed.root);
        let table = pg_sys::try_table_open(root, pg_sys::AccessShareLock as i32);
        if table.is_null() {
            return None;
        }
        let columns = || {
            let root_old_id = column(table, parsed.root_old_id, Role::OldId)?;
            // A value can only be found among those of the same kind.
            let of_kind = if is_reference { Role::Reference } else { Role::OldIdOf };
            let role = root_old_id.kind.id_kind().map_or(Role::OldId, of_kind);
            let own = (column(relation, parsed.old_id, role)?, column(relation, parsed.key, key)?);
            let refers = match parsed.condition.as_ref().map(|one| refers(fcinfo, relation, one, own.0)) {
                None => Refers::all(),
                Some(Ok(refers)) => refers,
                Some(Err(Unfit::Gone)) => return None,
                Some(Err(unfit)) => raise(report(unfit.error((*relation).rd_id))),
            };
            let companions = match Companions::open(relation, table, &parsed.companions) {
                Ok(companions) => companions,
                Err(Unfit::Gone) => return None,
                Err(unfit) => raise(report(unfit.error((*relation).rd_id))),
            };
            Some((own, (root_old_id, column(table, parsed.root_key, key)?), refers, companions))
        };
        let Some(((old_id, own_key), (root_old_id, root_key), refers, companions)) = columns() else {
            pg_sys::table_close(table, pg_sys::NoLock as i32);
            return None;
        };
        let reaches_beyond = parsed.time.reaches_beyond();
        let said_by = if !reaches_beyond || is_said_by_owner(table, &parsed, running(fcinfo)) {
            SaidBy::Owner
        } else {
            SaidBy::Anybody
        };
        let time = RowTime::open(table, &parsed.time, said_by);
        let trigger_name = || from_server(CStr::from_ptr((*(*context).tg_trigger).tgname));
        let of_root = (root_old_id.number, root_key.number);
        or_raise(check_companions(&trigger_name, relation, table, of_root, &companions));
        let own = (*relation).rd_id;
        let is_partition = (*(*relation).rd_rel).relispartition;
        let is_in_root = own == root || (is_partition && partition_ancestors(own).contains(&root));
        let in_root = is_in_root.then(|| InRoot {
            old_id: root_old_id.in_partition(root, relation),
            key: root_key.in_partition(root, relation),
            time: time.in_partition(root, relation),
            companions: companions.of_key_itself(|number| number_in(root, number, relation)),
        });
        let lookup_columns = LookupColumns {
            old_id: old_id.number,
            key: own_key.number,
            root_old_id: root_old_id.number,
            root_key: root_key.number,
            root_time: time.own_column(),
        };
        or_raise(check_may_look_up(relation, table, lookup_columns));
        if is_reference && !is_known(table, &parsed, running(fcinfo)) {
            or_raise(check_may_name(&trigger_name(), relation, table, (lookup_columns, &companions)));
        }
        let is_declared = is_applied() && has_foreign_key(relation, root, lookup_columns);
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        Some(Bound {
            extension,
            is_declared,
            is_reference,
            key_leads: parsed.key_leads,
            derivation: Derivation::new(parsed.target, &parsed.salt),
            old_id,
            key: own_key,
            table: pg_sys::Oid::from(table_of_migration),
            root,
            root_old_id,
            root_key,
            // That of a root is about its own rows.
            time: in_root.filter(|_| !is_reference).map_or(time, |in_root| in_root.time),
            refers,
            companions,
            in_root,
            by_old_id: None,
            by_key: None,
            taken: None,
            last: None,
        })
    }
}

/// A condition in memory that lives as long as `flinfo`.
///
/// # Safety
/// The relation must be open and have the column.
#[cold]
unsafe fn refers(
    fcinfo: pg_sys::FunctionCallInfo,
    relation: pg_sys::Relation,
    condition: &TriggerCondition,
    old_id: Column,
) -> Result<Refers, Unfit> {
    // SAFETY: see above; the call has its own information.
    unsafe {
        let before = pg_sys::MemoryContextSwitchTo((*(*fcinfo).flinfo).fn_mcxt);
        let refers = Refers::open(relation, condition, old_id);
        pg_sys::MemoryContextSwitchTo(before);
        refers
    }
}

/// # Safety
/// `context` must be that of a trigger.
#[cold]
pub(super) unsafe fn refuse_trigger(context: *const pg_sys::TriggerData) -> ! {
    // SAFETY: every trigger has a name, and an open relation.
    let (trigger, table) = unsafe {
        let trigger = from_server(CStr::from_ptr((*(*context).tg_trigger).tgname));
        (trigger, relation_name((*(*context).tg_relation).rd_id))
    };
    let message = format!("trigger \"{trigger}\" of table {table} was not created for this table");
    // SAFETY: as above.
    let (relation, key_leads) = unsafe {
        let arguments = (*(*context).tg_trigger).tgargs;
        let leads = (*(*context).tg_trigger).tgnargs > 1 && CStr::from_ptr(*arguments.add(1)) == c"key";
        ((*(*context).tg_relation).rd_id, leads)
    };
    let keys = columns_of_keys(relation);
    let hint = match (key_leads, keys.is_empty()) {
        (false, false) => format!(
            "DROP TRIGGER \"{trigger}\" ON {table}, drop the columns of keys ({}), and start a new migration.",
            keys.join(", ")
        ),
        (true, false) => format!(
            "DROP TRIGGER \"{trigger}\" ON {table}. Its keys stay in use ({}); drop the columns of old ids.",
            keys.join(", ")
        ),
        (_, true) => format!(
            "DROP TRIGGER \"{trigger}\" ON {table}. Columns of keys have a comment that ends in \"of a key migration; filled by triggers\"."
        ),
    };
    raise(report(
        Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("The triggers of a key migration identify the table and its columns by number. This trigger was copied, for example by a restore.")
            .hint(hint),
    ))
}

/// The columns of a table that a migration has added, by their comments, which a dump contains. The
/// numbers in the trigger's arguments may mean other columns here.
#[cold]
fn columns_of_keys(relation: pg_sys::Oid) -> Vec<String> {
    let query = "SELECT convert_to(quote_ident(a.attname), 'SQL_ASCII'), convert_to(d.description, 'SQL_ASCII') FROM pg_attribute AS a \
         JOIN pg_description AS d ON d.classoid = 'pg_class'::regclass AND d.objoid = a.attrelid AND d.objsubid = a.attnum \
         WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    let read = || {
        Spi::connect(|client| -> SpiResult<Vec<String>> {
            let mut columns = Vec::new();
            for row in client.select(query, None, &[relation.into()])? {
                let text = |at| Ok::<_, SpiError>(row.get::<Vec<u8>>(at)?.map(from_server_bytes));
                let (name, comment) = (text(1)?, text(2)?);
                if comment.is_some_and(|comment| is_our_comment(&comment)) {
                    columns.extend(name);
                }
            }
            Ok(columns)
        })
    };
    // The error itself matters more than its hint.
    with_own_settings(read).unwrap_or_default()
}

/// Whether the statement applies changes of another server.
fn is_applied() -> bool {
    // SAFETY: a plain integer of this backend.
    unsafe { pg_sys::SessionReplicationRole == pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32 }
}

/// Whether a column is NOT NULL.
#[cold]
fn is_required(relation: pg_sys::Oid, column: Column) -> bool {
    // SAFETY: looks the column up in the cache; the tuple is valid until it is released.
    unsafe {
        let cache = by_version::cache::ATTNUM;
        let found = pg_sys::SearchSysCache2(cache, relation.into(), column.number.into());
        if found.is_null() {
            return false;
        }
        let is_required = (*pg_sys::GETSTRUCT(found).cast::<pg_sys::FormData_pg_attribute>()).attnotnull;
        pg_sys::ReleaseSysCache(found);
        is_required
    }
}

/// Whether a column is part of the primary key.
///
/// # Safety
/// The relation must be open.
#[cold]
unsafe fn is_in_primary_key(relation: pg_sys::Relation, column: Column) -> bool {
    // SAFETY: see above; the list of indexes is a copy, and each index has as many columns as it says.
    unsafe {
        let list = pg_sys::RelationGetIndexList(relation);
        let found = (0..if list.is_null() { 0 } else { (*list).length }).any(|at| {
            let index = pg_sys::index_open(pg_sys::list_nth_oid(list, at), pg_sys::AccessShareLock as i32);
            let form = (*index).rd_index;
            let count = usize::try_from((*form).indnkeyatts).unwrap_or(0);
            let columns = (*form).indkey.values.as_ptr();
            let is_found = (*form).indisprimary && (0..count).any(|at| *columns.add(at) == column.number);
            pg_sys::index_close(index, pg_sys::NoLock as i32);
            is_found
        });
        pg_sys::list_free(list);
        found
    }
}

/// The names of a column and its table, for a message.
///
/// # Safety
/// `context` must be that of a trigger, whose relation has the column.
pub(super) unsafe fn column_of(context: *const pg_sys::TriggerData, column: Column) -> (String, String) {
    // SAFETY: see above; the name is a copy, or null.
    unsafe {
        let relation = (*(*context).tg_relation).rd_id;
        let name = pg_sys::get_attname(relation, column.number, true);
        let name = if name.is_null() { String::new() } else { from_server(CStr::from_ptr(name)) };
        (name, relation_name(relation))
    }
}

/// # Safety
/// `context` must be that of a trigger, whose relation has the column.
#[cold]
pub(super) unsafe fn refuse_change(context: *const pg_sys::TriggerData, column: Column) -> ! {
    // SAFETY: see above.
    let (name, table) = unsafe { column_of(context, column) };
    raise(report(
        Error::new(
            SqlState::CheckViolation,
            format!("column \"{name}\" of table {table} cannot be changed during a key migration"),
        )
        .detail("Other rows may already refer to this value."),
    ))
}
