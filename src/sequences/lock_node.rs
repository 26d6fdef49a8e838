//! `lock_node`: the lock by which runs of the client program exclude each other.
//!
//! A run reads the classes of several nodes, and then gives a class away. No lock of a single call
//! covers that. This one is held by a session of the run on each node, in a transaction that does
//! nothing else, from before it reads the classes until it ends.

use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use crate::error::or_raise;
use crate::sequences::own::tables;
use crate::server::extension::Extension;
use crate::server::role::owns_database;
use crate::server::work_lock::WorkLock;

/// Takes the lock until the end of the transaction; returns whether it was free.
///
/// # Errors
/// 42501 unless the caller owns the database: nobody else can keep the owner from a change.
#[pg_extern(sql = false)]
fn lock_node(fcinfo: pg_sys::FunctionCallInfo) -> bool {
    or_raise(lock(or_raise(Extension::of_call(fcinfo))))
}

fn lock(extension: Extension) -> Result<bool, Error> {
    if !owns_database() {
        return Err(Error::new(SqlState::InsufficientPrivilege, "must be owner of the database")
            .detail("Only its owner can lock it against changes of the client program."));
    }
    let table = tables::NODE.oid(extension)?;
    Ok(WorkLock::new(table, table).take())
}
