//! The triggers of a migration whose keys keep their values: one column is a copy of the other.
//!
//! The column that leads decides, the old id up to the cut-over and the key afterwards. A key that the
//! column of old ids cannot hold has the old id NULL. Nothing is looked up, so a reference may also be
//! one to a row that does not exist yet, or to none.

use std::ffi::c_void;

use keyspace::migration::old_id::IdKind;
use keyspace::{Error, SqlState};
use pgrx::{pg_guard, pg_sys};

use super::trigger::{self, Row, refuse_change, refuse_trigger, trigger_data};
use super::trigger_arguments::CopyArguments;
use super::tuple::{Column, Role, Unfit, Value};
use crate::error::{raise, report};
use crate::fmgr;
use crate::server::relation::type_name;

/// A trigger's arguments, read once for each statement. Plain data, because it is stored in
/// PostgreSQL's memory.
#[derive(Clone, Copy)]
struct Bound {
    leader: Column,
    follower: Column,
    key_leads: bool,
    /// Whether it is a key, not a reference to one.
    is_key: bool,
}

/// The trigger of a key, or of a column that refers to one. Its arguments: table, leader, whether it
/// is a key, and the columns of old id and key.
///
/// # Errors
/// 23514 for an UPDATE of the column of a key that does not lead; 22003 for a key that the leading
/// column of old ids cannot hold; 55000 for a trigger of another table.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn key_migration_copy(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: `bound` checks that this is a trigger call, and that the columns are as its arguments
    // say.
    unsafe {
        let context = trigger_data(fcinfo);
        let row = Row::of(context);
        let Some(Bound { leader, follower, key_leads, is_key }) = bound(fcinfo, context, true) else {
            return row.new.into();
        };
        let (leads, follows) = (row.new_value(leader), row.new_value(follower));
        let right = follower.fitting(leads);
        if follows == right {
            return row.new.into();
        }
        let is_unchanged = row.old.is_some() && row.old_value(leader) == leads;
        let was_written = is_unchanged && row.old_value(follower) != follows;
        match (leads, follows) {
            // Only the other column was written, and the leading one follows it.
            (Some(_), Some(follows)) if was_written && !is_key => lead(context, &row, leader, follows),
            (Some(_), Some(_)) if was_written => refuse_change(context, follower),
            // After the cut-over, an old id that is removed removes the reference (fault C13).
            (Some(_), None) if was_written && key_leads && !is_key => row.with(leader, None),
            (None, Some(follows)) if !is_key && (row.old.is_none() || is_unchanged) => {
                lead(context, &row, leader, follows)
            }
            // PostgreSQL refuses a key that is NULL.
            (None, _) if is_key => row.new.into(),
            _ => row.with(follower, right),
        }
    }
}

/// The row with another value in the leading column.
///
/// # Errors
/// 22003 if the column cannot hold it.
///
/// # Safety
/// `context` must be that of a trigger on this row, and its relation must have the column.
unsafe fn lead(
    context: *const pg_sys::TriggerData,
    row: &Row,
    leader: Column,
    value: Value,
) -> pg_sys::Datum {
    if leader.fitting(Some(value)).is_none() {
        // SAFETY: see above.
        unsafe { refuse_value(context, leader, value) }
    }
    // SAFETY: see above.
    unsafe { row.with(leader, Some(value)) }
}

/// The trigger for rows that replication updates, or another session in the role of a replica, where
/// the trigger on UPDATE does not fire (fault C09). Its arguments are those of that trigger.
///
/// # Errors
/// 55000 for a trigger of another table.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn key_migration_copy_applied(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: as for `key_migration_copy`; an AFTER trigger has a row of the table, and an open
    // relation.
    unsafe {
        let context = trigger_data(fcinfo);
        let row = Row::of(context);
        if let Some(Bound { leader, follower, .. }) = bound(fcinfo, context, false) {
            let right = follower.fitting(row.new_value(leader));
            if row.new_value(follower) != right {
                trigger::correct((*context).tg_relation, &row, follower, right);
            }
        }
    }
    pg_sys::Datum::from(0_usize)
}

fmgr::version_1!(key_migration_copy, key_migration_copy_applied);

/// The arguments, cached after the first row of a statement. `None` if one of the columns was dropped
/// (fault C07): writes must not fail.
///
/// # Safety
/// `context` must be that of the call.
unsafe fn bound(
    fcinfo: pg_sys::FunctionCallInfo,
    context: *const pg_sys::TriggerData,
    is_before: bool,
) -> Option<Bound> {
    // SAFETY: fn_extra was set below, in memory that lives as long as flinfo.
    unsafe {
        let function = (*fcinfo).flinfo;
        if (*function).fn_extra.is_null() {
            let bound = read(context, is_before)?;
            let memory = pg_sys::MemoryContextAlloc((*function).fn_mcxt, size_of::<Bound>()).cast::<Bound>();
            memory.write(bound);
            (*function).fn_extra = memory.cast::<c_void>();
        }
        Some(*(*function).fn_extra.cast::<Bound>())
    }
}

/// # Safety
/// `context` must be that of a trigger call.
#[cold]
unsafe fn read(context: *const pg_sys::TriggerData, is_before: bool) -> Option<Bound> {
    // SAFETY: see above; every trigger has a relation that is open.
    unsafe {
        let relation = (*context).tg_relation;
        let operation = trigger::operation(context);
        let (timing, is_wanted) = if is_before {
            let is_write = [pg_sys::TRIGGER_EVENT_INSERT, pg_sys::TRIGGER_EVENT_UPDATE].contains(&operation);
            (pg_sys::TRIGGER_EVENT_BEFORE, is_write)
        } else {
            (pg_sys::TRIGGER_EVENT_AFTER, operation == pg_sys::TRIGGER_EVENT_UPDATE)
        };
        let is_well_formed = (*context).tg_event & pg_sys::TRIGGER_EVENT_ROW != 0
            && (*context).tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK == timing
            && is_wanted;
        let trigger = (*context).tg_trigger;
        let arguments = CopyArguments::of(trigger).filter(|_| is_well_formed);
        let arguments = arguments.and_then(|parsed| parsed.for_relation(relation, trigger));
        let Some(arguments) = arguments else { refuse_trigger(context) };
        let column = |number: i16, role: Role| match Column::of(relation, number, role) {
            Ok(column) => Some(column),
            Err(Unfit::Gone) => None,
            Err(unfit) => raise(report(unfit.error((*relation).rd_id))),
        };
        let old_id = column(arguments.old_id, Role::OldIdOf(IdKind::Integer))?;
        let key = column(arguments.key, Role::Key(pg_sys::INT8OID))?;
        let (leader, follower) = if arguments.key_leads { (key, old_id) } else { (old_id, key) };
        Some(Bound { leader, follower, key_leads: arguments.key_leads, is_key: arguments.is_key })
    }
}

/// # Safety
/// `context` must be that of a trigger, whose relation has the column.
#[cold]
unsafe fn refuse_value(context: *const pg_sys::TriggerData, column: Column, value: Value) -> ! {
    // SAFETY: see above.
    let (name, table) = unsafe { trigger::column_of(context, column) };
    let value = value.number().unwrap_or_default();
    raise(report(
        Error::new(
            SqlState::NumericValueOutOfRange,
            format!("value {value} is out of range for column \"{name}\" of table {table}"),
        )
        .detail(format!(
            "Until the cut-over of the key migration, the column is of type {}.",
            type_name(column.declared())
        )),
    ))
}
