//! Finds triggers of others that a batch of the backfill would have to fire.

use std::ffi::CStr;

use keyspace::Error;
use keyspace::migration::capture::{self, Capture};
use pgrx::pg_sys;
use pgrx::spi::{Spi, SpiResult};

use crate::encoding::from_server;
use crate::server::settings::with_own_settings;

/// The functions of our own triggers.
const OURS: [&CStr; 7] = [
    c"key_migration_key",
    c"key_migration_reference",
    c"key_migration_late",
    c"key_migration_applied",
    c"key_migration_copy",
    c"key_migration_copy_applied",
    c"key_migration_closed",
];

/// Refuses a batch that does not fire triggers of others that it would have to fire. `keys` are the
/// columns that it writes, and `known` the triggers that existed when the migration was created.
///
/// The table must be locked against CREATE TRIGGER, as every writer locks it. A trigger that is
/// created later by a tool sees the rows of this batch in the tool's first copy, because that is made
/// after the lock.
///
/// # Errors
/// 55000.
///
/// # Safety
/// The relation must be open.
pub(super) unsafe fn check(
    relation: pg_sys::Relation,
    names: (&str, &str),
    keys: &[i16],
    known: &[u32],
    internal_schema: pg_sys::Oid,
) -> Result<(), Error> {
    // SAFETY: see above; a relation has as many triggers as it says, and a trigger as many columns.
    let found: Vec<Capture> = unsafe {
        let triggers = (*relation).trigdesc;
        let count =
            if triggers.is_null() { 0 } else { usize::try_from((*triggers).numtriggers).unwrap_or(0) };
        (0..count)
            .map(|at| &*(*triggers).triggers.add(at))
            .filter(|trigger| captures(trigger, keys) && !is_ours(trigger, internal_schema))
            .map(|trigger| Capture {
                name: from_server(CStr::from_ptr(trigger.tgname)),
                is_always: trigger.tgenabled as u8 == pg_sys::TRIGGER_FIRES_ALWAYS,
                is_known: known.contains(&trigger.tgoid.to_u32())
                    || (trigger.tgisclone && belongs_to_known(trigger.tgoid, known)),
            })
            .collect()
    };
    match capture::refusal(names.0, names.1, &found) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// Whether a trigger of a partition belongs to a known one of its partitioned table.
fn belongs_to_known(trigger: pg_sys::Oid, known: &[u32]) -> bool {
    let query = "WITH RECURSIVE up AS (SELECT $1::oid AS trigger UNION ALL \
                     SELECT t.tgparentid FROM up JOIN pg_trigger AS t ON t.oid = up.trigger WHERE t.tgparentid <> 0) \
                 SELECT bool_or(up.trigger = ANY ($2)) FROM up";
    let known: Vec<pg_sys::Oid> = known.iter().map(|oid| pg_sys::Oid::from(*oid)).collect();
    let read = || {
        Spi::connect(|client| -> SpiResult<Option<bool>> {
            client.select(query, Some(1), &[trigger.into(), known.into()])?.first().get(1)
        })
    };
    with_own_settings(read).ok().flatten().unwrap_or(false)
}

/// Whether an UPDATE of these columns in an ordinary session fires a trigger that is not one of
/// PostgreSQL's own.
///
/// # Safety
/// The trigger must be that of an open relation.
unsafe fn captures(trigger: &pg_sys::Trigger, keys: &[i16]) -> bool {
    let enabled = trigger.tgenabled as u8;
    let is_on_update = trigger.tgtype & pg_sys::TRIGGER_TYPE_UPDATE as i16 != 0;
    let fires = enabled == pg_sys::TRIGGER_FIRES_ALWAYS || enabled == pg_sys::TRIGGER_FIRES_ON_ORIGIN;
    if trigger.tgisinternal || !is_on_update || !fires {
        return false;
    }
    let columns = usize::try_from(trigger.tgnattr).unwrap_or(0);
    // SAFETY: a trigger has as many columns as it says.
    columns == 0 || (0..columns).any(|at| keys.contains(unsafe { &*trigger.tgattr.add(at) }))
}

/// Whether a trigger is one of ours: its function is in our schema, where only a superuser can create
/// another.
fn is_ours(trigger: &pg_sys::Trigger, internal_schema: pg_sys::Oid) -> bool {
    // SAFETY: looks up catalogs by OID; the name is a NUL-terminated copy, or null.
    unsafe {
        if pg_sys::get_func_namespace(trigger.tgfoid) != internal_schema {
            return false;
        }
        let name = pg_sys::get_func_name(trigger.tgfoid);
        !name.is_null() && OURS.contains(&CStr::from_ptr(name))
    }
}
