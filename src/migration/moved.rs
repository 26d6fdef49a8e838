//! Rows that an UPDATE moves to another partition. PostgreSQL deletes them there and inserts them here, and
//! the trigger on INSERT does not see that it is the same row, which keeps its key (trap M22).
//!
//! The trigger on UPDATE notes the key of the row. If the row moves, its trigger on INSERT is the next one
//! that fires for the table, within the same command.

use std::cell::Cell;

use pgrx::pg_sys;

use super::tuple::Value;

thread_local! {
    /// The last row that was updated: its table, the command, and its key.
    static LAST: Cell<Option<(pg_sys::Oid, Command, [u8; 16])>> = const { Cell::new(None) };
}

/// A command: when its transaction began, and its number within it.
type Command = (pg_sys::TimestampTz, pg_sys::CommandId);

fn now() -> Command {
    // SAFETY: within a transaction. Neither assigns anything.
    unsafe { (pg_sys::GetCurrentTransactionStartTimestamp(), pg_sys::GetCurrentCommandId(false)) }
}

/// Notes a row of a partition that is about to be updated.
pub(super) fn may_move(table: pg_sys::Oid, key: Option<Value>) {
    LAST.set(key.and_then(Value::key).map(|key| (table, now(), key)));
}

/// Whether a row that is about to be inserted with this key comes from another partition.
pub(super) fn is_moved(table: pg_sys::Oid, key: Option<Value>) -> bool {
    let last = LAST.take();
    last.is_some_and(|last| key.and_then(Value::key).is_some_and(|key| last == (table, now(), key)))
}
