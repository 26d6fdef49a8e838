//! The triggers that keep old ids and keys in step, row by row.
//!
//! One column leads and the other follows: the old id up to the cut-over, and the key afterwards.
//! Columns are identified by their attribute numbers, so renaming one does no harm. Nothing is
//! looked up by name, so no `search_path` does harm either (replication runs with an empty one). A
//! user who writes to a table needs no privilege on another.

use std::ffi::{CStr, c_void};

use keyspace::{Error, SqlState};
use pgrx::{pg_guard, pg_sys};

use super::derive::Derivation;
use super::key_type::key_type;
use super::lookup::Lookup;
use super::rights::{LookupColumns, check_may_look_up, check_may_name};
use super::row_time::{RowTime, SaidBy};
use super::trigger_arguments::{TriggerArguments, is_known, is_said_by_owner};
use super::tuple::{Column, Role, RowOf, Unfit, Value};
use super::writer::Writer;
use crate::encoding::from_server;
use crate::error::{or_raise, raise, report};
use crate::fmgr;
use crate::server::by_version;
use crate::server::call::running;
use crate::server::extension::Extension;
use crate::server::relation::relation_name;

/// The kind of table that a trigger is on, and when it fires.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Reference,
    /// AFTER, unlike the others.
    Late,
}

/// A trigger's arguments, read once for each statement. Plain data, because it is stored in
/// PostgreSQL's memory.
#[derive(Clone, Copy)]
struct Bound {
    key_leads: bool,
    derivation: Derivation,
    old_id: Column,
    key: Column,
    root: pg_sys::Oid,
    /// The corresponding columns of the root.
    root_old_id: Column,
    root_key: Column,
    /// The time of a row of the root.
    time: RowTime,
    /// By old id and by key, created when first needed. The second index exists only from the phase
    /// "indexed" on.
    by_old_id: Option<Lookup>,
    by_key: Option<Lookup>,
    /// The last pair found. Consecutive rows often refer to the same row, and neither the old id
    /// nor the key of an existing row changes within a statement.
    last: Option<(Value, Value)>,
}

impl Bound {
    fn leader(&self) -> Column {
        if self.key_leads { self.key } else { self.old_id }
    }

    fn follower(&self) -> Column {
        if self.key_leads { self.old_id } else { self.key }
    }

    /// The key that a row of the root has, or the one derived from it.
    fn key_of(
        &self,
        key: Option<Value>,
        time: impl FnOnce() -> Option<i64>,
        old_id: Option<Value>,
    ) -> Option<Value> {
        if key.is_some() {
            return key;
        }
        let old_id = old_id.filter(|old_id| matches!(old_id, Value::Number(_)))?;
        Some(Value::Key(self.derivation.key(time(), old_id)))
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
            self.key_of(None, || time.of(RowOf::Tuple(version, row.description)), old_id)
        };
        self.time = time;
        key
    }

    /// The follower's value for a value of the leader, or the reverse.
    fn other(&mut self, value: Value, row: &Row) -> Option<Value> {
        if let Some((last, other)) = self.last
            && last == value
        {
            return Some(other);
        }
        let other = self.look_up(value, row);
        self.last = other.map(|other| (value, other));
        other
    }

    fn look_up(&mut self, value: Value, row: &Row) -> Option<Value> {
        match value {
            Value::Number(_) => {
                // A row that refers to itself is not in the table yet.
                // SAFETY: in that case, the row belongs to the root.
                if row.relation == self.root && unsafe { row.new_value(self.root_old_id) } == Some(value) {
                    let mut time = self.time;
                    // SAFETY: as above.
                    let (key, time) = unsafe {
                        (row.new_value(self.root_key), || time.of(RowOf::Tuple(row.new, row.description)))
                    };
                    return self.key_of(key, time, Some(value));
                }
                let by =
                    *(self.by_old_id).get_or_insert_with(|| Lookup::required(self.root, self.root_old_id));
                let mut time = self.time;
                let found = by.row(value, |table, row| {
                    // SAFETY: the key is checked before it is read, and so is the time.
                    unsafe {
                        or_raise(self.root_key.check(table));
                        let key = row.value(self.root_key);
                        self.key_of(key, || time.checked(table, row), Some(value))
                    }
                });
                self.time = time;
                found.flatten()
            }
            Value::Key(_) => {
                // SAFETY: as above.
                if row.relation == self.root && unsafe { row.new_value(self.root_key) } == Some(value) {
                    // SAFETY: as above.
                    return unsafe { row.new_value(self.root_old_id) };
                }
                let by = *(self.by_key).get_or_insert_with(|| Lookup::required(self.root, self.root_key));
                by.row(value, |table, row| {
                    // SAFETY: the column is checked before it is read.
                    unsafe {
                        or_raise(self.root_old_id.check(table));
                        row.value(self.root_old_id)
                    }
                })
                .flatten()
            }
        }
    }
}

/// The row for which a trigger is called.
struct Row {
    relation: pg_sys::Oid,
    description: pg_sys::TupleDesc,
    /// The row before an UPDATE.
    old: Option<pg_sys::HeapTuple>,
    new: pg_sys::HeapTuple,
}

impl Row {
    /// # Safety
    /// `context` must be that of a row-level trigger on INSERT or UPDATE.
    unsafe fn of(context: *const pg_sys::TriggerData) -> Self {
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
    unsafe fn new_value(&self, column: Column) -> Option<Value> {
        // SAFETY: see above.
        unsafe { column.value(self.new, self.description) }
    }

    /// # Safety
    /// The relation must have the column.
    unsafe fn old_value(&self, column: Column) -> Option<Value> {
        // SAFETY: see above.
        unsafe { self.old.and_then(|old| column.value(old, self.description)) }
    }

    /// The row with another value, as a trigger returns it.
    ///
    /// # Safety
    /// The relation must have the column.
    unsafe fn with(&self, column: Column, value: Option<Value>) -> pg_sys::Datum {
        // SAFETY: see above.
        unsafe { column.set(self.new, self.description, value).into() }
    }
}

/// The trigger of the root. Its arguments: table, leader, target, salt, the columns of old id and key,
/// and the source of the time.
///
/// # Errors
/// 23514 for an UPDATE of a key before the cut-over, 55000 for a trigger of another table.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn key_migration_key(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: `bound` checks that this is a trigger call, and that the columns are as its arguments
    // say.
    unsafe {
        let context = trigger_data(fcinfo);
        let row = Row::of(context);
        let Some(bound) = bound(fcinfo, context, Place::Root) else { return row.new.into() };
        let (old, new) = (row.old_value(bound.key), row.new_value(bound.key));
        if row.old.is_none() {
            // After the cut-over, the column's default generates keys. Before it, a row that has a
            // key is a copy of another row, unless replication applies it.
            if new.is_some() && (bound.key_leads || is_applied()) {
                return row.new.into();
            }
            return row.with(bound.key, bound.derived(row.new, &row));
        }
        match (old, new) {
            // The key that the row would have had before the change (trap M22).
            (None, None) => match row.old {
                Some(old) => row.with(bound.key, bound.derived(old, &row)),
                None => row.new.into(),
            },
            // A client read the row before it had a key, and now writes all its columns.
            (Some(_), None) if !bound.key_leads => row.with(bound.key, old),
            (Some(old), Some(new)) if old != new && !bound.key_leads => refuse_change(context, bound.key),
            _ => row.new.into(),
        }
    }
}

/// The trigger of a column that refers to the root. Its arguments: table, leader, target, salt, the
/// columns of old id and key, the root, its columns of old id and key, and the source of its time.
///
/// The leading column decides. If only the other one is changed, the leading column follows it.
/// Rows that replication applies have both values.
///
/// # Errors
/// 23503 if the referenced row does not exist and a key is needed; 55000 for a trigger of another
/// table, or without the root's indexes.
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
        let (leads, follows) = (row.new_value(leader), row.new_value(follower));
        if row.old.is_some() && row.old_value(leader) == leads {
            let old_follows = row.old_value(follower);
            // The backfill gives a row its first key.
            let is_first = old_follows.is_none() && leads.is_some();
            if (old_follows == follows || is_first) && (follows.is_some() || leads.is_none()) {
                return row.new.into();
            }
            if let (Some(_), Some(follows)) = (leads, follows) {
                return row.with(leader, bound.other(follows, &row));
            }
        }
        if row.old.is_none() && leads.is_some() && follows.is_some() && is_applied() {
            return row.new.into();
        }
        match (leads, follows) {
            (Some(leads), _) => {
                let follows = bound.other(leads, &row);
                if follows.is_none() && is_required(row.relation, follower) {
                    refuse_orphan(context, leader, bound.root);
                }
                row.with(follower, follows)
            }
            // If only the other column is written, the leading one follows it.
            (None, Some(follows)) if row.old_value(leader).is_none() => {
                row.with(leader, bound.other(follows, &row))
            }
            (None, Some(_)) => row.with(follower, None),
            (None, None) => row.new.into(),
        }
    }
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
        if row.new_value(follower).is_none()
            && let Some(leads) = row.new_value(bound.leader())
            && let Some(follows) = bound.other(leads, &row)
        {
            write_late((*context).tg_relation, &row, follower, follows);
        }
    }
    pg_sys::Datum::from(0_usize)
}

/// Writes a value into a row, unless the row has been changed since. That change has its own
/// trigger event.
///
/// # Safety
/// The relation must be open and have the column, and the row must belong to it.
unsafe fn write_late(relation: pg_sys::Relation, row: &Row, column: Column, value: Value) {
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
        writer.write(&mut place, column.set(row.new, row.description, Some(value)), snapshot, None);
        writer.close();
    }
}

fmgr::version_1!(key_migration_key, key_migration_reference, key_migration_late);

/// # Safety
/// `context` must be that of a trigger.
unsafe fn operation(context: *const pg_sys::TriggerData) -> u32 {
    // SAFETY: see above.
    unsafe { (*context).tg_event & pg_sys::TRIGGER_EVENT_OPMASK }
}

/// The context of a trigger call.
///
/// # Safety
/// Pass only what the function manager has passed.
unsafe fn trigger_data(fcinfo: pg_sys::FunctionCallInfo) -> *const pg_sys::TriggerData {
    // SAFETY: see above.
    match unsafe { fmgr::trigger_data(fcinfo) } {
        Some(data) => data,
        None => raise(report(fmgr::no_trigger())),
    }
}

/// The arguments, cached after the first row of a statement. `None` if the referenced table no
/// longer exists, because its owner has dropped it with CASCADE. Nothing is known about its rows
/// any more, and writes must not fail.
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
        let is_reference = place != Place::Root;
        let timing = match place {
            Place::Late => pg_sys::TRIGGER_EVENT_AFTER,
            _ => pg_sys::TRIGGER_EVENT_BEFORE,
        };
        let is_well_formed = (*context).tg_event & pg_sys::TRIGGER_EVENT_ROW != 0
            && (*context).tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK == timing
            && operation(context) != pg_sys::TRIGGER_EVENT_DELETE;
        let relation = (*context).tg_relation;
        let parsed = TriggerArguments::of((*context).tg_trigger, is_reference)
            .filter(|parsed| is_well_formed && parsed.table == (*relation).rd_id.to_u32());
        let Some(parsed) = parsed else { refuse_trigger(context) };
        let key = Role::Key(key_type(parsed.target, or_raise(Extension::of_call(fcinfo))));
        let column = |of: pg_sys::Relation, number: i16, role: Role| match Column::of(of, number, role) {
            Ok(column) => column,
            Err(Unfit::Gone) => refuse_trigger(context),
            Err(unfit) => raise(report(unfit.error((*of).rd_id))),
        };
        let old_id = column(relation, parsed.old_id, Role::OldId);
        let own_key = column(relation, parsed.key, key);
        let root = pg_sys::Oid::from(parsed.root);
        let table = pg_sys::try_table_open(root, pg_sys::AccessShareLock as i32);
        if table.is_null() {
            return None;
        }
        let root_old_id = column(table, parsed.root_old_id, Role::OldId);
        let root_key = column(table, parsed.root_key, key);
        let reaches_beyond = parsed.time.reaches_beyond();
        let said_by = if !reaches_beyond || is_said_by_owner(table, &parsed, running(fcinfo)) {
            SaidBy::Owner
        } else {
            SaidBy::Anybody
        };
        let time = RowTime::open(table, &parsed.time, said_by);
        let lookup_columns = LookupColumns {
            old_id: old_id.number,
            key: own_key.number,
            root_old_id: root_old_id.number,
            root_key: root_key.number,
            root_time: time.own_column(),
        };
        or_raise(check_may_look_up(relation, table, lookup_columns));
        if is_reference && !is_known(table, &parsed, running(fcinfo)) {
            let name = from_server(CStr::from_ptr((*(*context).tg_trigger).tgname));
            or_raise(check_may_name(&name, relation, table, lookup_columns));
        }
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        Some(Bound {
            key_leads: parsed.key_leads,
            derivation: Derivation::new(parsed.target, &parsed.salt),
            old_id,
            key: own_key,
            root,
            root_old_id,
            root_key,
            time,
            by_old_id: None,
            by_key: None,
            last: None,
        })
    }
}

/// # Safety
/// `context` must be that of a trigger.
#[cold]
unsafe fn refuse_trigger(context: *const pg_sys::TriggerData) -> ! {
    // SAFETY: every trigger has a name, and an open relation.
    let (trigger, table) = unsafe {
        let trigger = from_server(CStr::from_ptr((*(*context).tg_trigger).tgname));
        (trigger, relation_name((*(*context).tg_relation).rd_id))
    };
    let message = format!("trigger \"{trigger}\" of table {table} was not created for this table");
    raise(report(
        Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("The triggers of a key migration identify the table and its columns by number. This trigger was copied, for example by a restore, or one of the columns was dropped.")
            .hint(format!("DROP TRIGGER \"{trigger}\" ON {table}, drop the column that it fills, and start a new migration.")),
    ))
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

/// Raises the error that the foreign key would raise at the end of the statement.
///
/// # Safety
/// `context` must be that of a trigger, whose relation has the column.
#[cold]
unsafe fn refuse_orphan(context: *const pg_sys::TriggerData, leader: Column, root: pg_sys::Oid) -> ! {
    // SAFETY: see above.
    let (name, table) = unsafe { column_of(context, leader) };
    let root = relation_name(root);
    raise(report(
        Error::new(
            SqlState::ForeignKeyViolation,
            format!("insert or update on table {table} refers to a row that is not present in table {root}"),
        )
        .detail(format!("The reference is in column \"{name}\"."))
        .hint("During a key migration, the referenced row must be inserted first."),
    ))
}

/// The names of a column and its table, for a message.
///
/// # Safety
/// `context` must be that of a trigger, whose relation has the column.
unsafe fn column_of(context: *const pg_sys::TriggerData, column: Column) -> (String, String) {
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
unsafe fn refuse_change(context: *const pg_sys::TriggerData, column: Column) -> ! {
    // SAFETY: see above.
    let (name, table) = unsafe { column_of(context, column) };
    raise(report(
        Error::new(
            SqlState::CheckViolation,
            format!("column \"{name}\" of table {table} cannot be changed during a key migration"),
        )
        .detail("Other rows may already refer to this key."),
    ))
}
