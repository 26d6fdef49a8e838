//! The trigger that makes writers wait while a node is closed.
//!
//! It fires before a statement, once it holds its locks and before it has written anything, and never
//! in the role of a replica, so that apply goes on. A statement that waits was analyzed with the names
//! that columns have now. So it cannot go on after a change of names: it fails with 40001, and the
//! application runs it again. So does a statement that others may have to wait for:
//!
//! - if this node changes the form of its rows, which needs exclusive locks on the tables;
//! - if another session waits for the statement's transaction: it could be the apply worker;
//! - TRUNCATE, whose lock stops apply.
//!
//! Statements that come later wait for the locks of the change, before they are analyzed.

use std::ffi::CStr;
use std::time::{Duration, Instant};

use keyspace::{Error, SqlState};
use pgrx::{pg_guard, pg_sys};

use crate::error::or_raise;
use crate::fmgr;
use crate::migration::state::{NODE, STEP};
use crate::migration::trigger::{operation, refuse_trigger, trigger_data};
use crate::server::extension::Extension;
use crate::server::open::OpenRelation;
use crate::server::raw_rows;
use crate::server::relation::relation_name;
use crate::server::tables::own_key;
use crate::server::waiting::pause;
use crate::server::work_lock::WorkLock;

/// How often a writer looks whether it may go on.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The columns of `key_migration_node`, by number.
mod column {
    pub(super) const SYSTEM_IDENTIFIER: i16 = 1;
    pub(super) const DATABASE: i16 = 2;
    pub(super) const MIGRATION: i16 = 3;
    pub(super) const IS_CLOSED: i16 = 9;
}

/// The lock of a change of form. Writers that wait make way for its holder.
///
/// # Errors
/// 55000 if our table is gone.
pub(in crate::migration) fn change_lock(
    extension: Extension,
    migration: pg_sys::Oid,
) -> Result<WorkLock, Error> {
    Ok(WorkLock::new(STEP.oid(extension)?, migration))
}

/// The trigger. Its argument is the table that the migration is named after.
///
/// # Errors
/// 40001 if the statement has to be run again, 55P03 after `lock_timeout`.
#[pg_guard]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn key_migration_closed(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the context is checked; a trigger has as many arguments as it says.
    unsafe {
        let context = trigger_data(fcinfo);
        let is_well_formed = (*context).tg_event & pg_sys::TRIGGER_EVENT_ROW == 0
            && (*context).tg_event & pg_sys::TRIGGER_EVENT_TIMINGMASK == pg_sys::TRIGGER_EVENT_BEFORE;
        let argument =
            ((*(*context).tg_trigger).tgnargs == 1).then(|| CStr::from_ptr(*(*(*context).tg_trigger).tgargs));
        let migration = argument.and_then(|text| text.to_str().ok()?.parse::<u32>().ok());
        let Some(migration) = migration.filter(|_| is_well_formed) else { refuse_trigger(context) };
        let table = (*(*context).tg_relation).rd_id;
        // Apply would wait for the lock of TRUNCATE.
        let may_wait = operation(context) != pg_sys::TRIGGER_EVENT_TRUNCATE;
        or_raise(wait(or_raise(Extension::of_call(fcinfo)), migration.into(), table, may_wait));
    }
    pg_sys::Datum::from(0_usize)
}

fmgr::version_1!(key_migration_closed);

fn wait(
    extension: Extension,
    migration: pg_sys::Oid,
    table: pg_sys::Oid,
    may_wait: bool,
) -> Result<(), Error> {
    let lock = change_lock(extension, migration)?;
    let began = Instant::now();
    while is_closed(extension, migration)? {
        if !may_wait || !lock.is_free() || is_waited_for() {
            return Err(again(table));
        }
        // SAFETY: a plain integer of this backend, in milliseconds; 0 for no limit.
        let timeout = u64::try_from(unsafe { pg_sys::LockTimeout }).unwrap_or(0);
        if timeout > 0 && began.elapsed() >= Duration::from_millis(timeout) {
            return Err(timed_out(table));
        }
        pause(POLL_INTERVAL);
    }
    Ok(())
}

/// Whether this node is closed now, whatever the snapshot of the statement shows. A copy of the
/// database is not.
fn is_closed(extension: Extension, migration: pg_sys::Oid) -> Result<bool, Error> {
    let (system_identifier, database) = own_key();
    let table = OpenRelation::table(NODE.oid(extension)?, pg_sys::AccessShareLock);
    let rows = raw_rows::read(&table, |row| {
        // Their types are passed by value.
        let value = |number: i16| row.get(number).map_or(0, |value| value.value());
        value(column::SYSTEM_IDENTIFIER) as i64 == system_identifier
            && value(column::DATABASE) as u32 == database.to_u32()
            && value(column::MIGRATION) as u32 == migration.to_u32()
            && value(column::IS_CLOSED) as u8 != 0
    });
    Ok(rows.contains(&true))
}

/// Whether another session waits for the end of this transaction.
fn is_waited_for() -> bool {
    // SAFETY: reads the state of this backend's transaction; a transaction with an ID holds the lock on
    // it.
    unsafe {
        let transaction = pg_sys::GetTopTransactionIdIfAny();
        if transaction == pg_sys::InvalidTransactionId {
            return false;
        }
        // Of a savepoint, the IDs are not all known.
        if pg_sys::GetCurrentTransactionNestLevel() > 1 {
            return true;
        }
        let tag = pg_sys::LOCKTAG {
            locktag_field1: transaction.into(),
            locktag_field2: 0,
            locktag_field3: 0,
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_TRANSACTION as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        };
        pg_sys::LockHasWaiters(&tag, pg_sys::ExclusiveLock as i32, false)
    }
}

#[cold]
fn again(table: pg_sys::Oid) -> Error {
    let message =
        format!("could not write to table {} because its key is being migrated", relation_name(table));
    Error::new(SqlState::SerializationFailure, message)
        .detail("Writers on this node wait while it changes the names of columns.")
        .hint("Run the transaction again.")
}

#[cold]
fn timed_out(table: pg_sys::Oid) -> Error {
    let message = format!("canceling statement due to lock timeout on table {}", relation_name(table));
    Error::new(SqlState::LockNotAvailable, message)
        .detail("Writers on this node wait for a step of a key migration on several nodes.")
}
