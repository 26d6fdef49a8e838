//! Which node this database is: a row of our own table, cached in every backend.

use std::cell::Cell;

use keyspace::sequences::Class;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::settings;
use crate::error::{raise, report};

/// The table that holds it, beside our functions.
pub(super) const TABLE: &std::ffi::CStr = c"interleaved_node";

/// What this backend knows of the stored row.
#[derive(Clone, Copy)]
enum Stored {
    /// To be read again.
    Unknown,
    /// As it stood when it was read; invalidated by a change of the table.
    Read { table: pg_sys::Oid, class: Option<Class> },
}

thread_local! {
    static STORED: Cell<Stored> = const { Cell::new(Stored::Unknown) };
    static CALLBACK_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// The class of this database's node.
///
/// Call it after something that takes in invalidations (the lock of a `nextval` does), so that a
/// session that was open before a change follows it (trap S42). `function` is the OID of the
/// function of ours that runs: the table lies in its schema.
///
/// # Errors
/// 55000 where the database has no node, or where the settings name another than the stored one.
#[inline]
pub(super) fn class(function: pg_sys::Oid) -> Result<Class, Error> {
    let setting = settings::class()?;
    let stored = stored(function)?;
    match (setting, stored) {
        (None, Some(class)) | (Some(class), None) => Ok(class),
        (Some(setting), Some(stored)) if setting == stored => Ok(stored),
        (Some(setting), Some(stored)) => Err(contradiction(setting, stored)),
        (None, None) => Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            "this database has not been set up as a node",
        )
        .detail("No node is stored for this server and this database.")
        .hint(
            "Call setup_interleaved_sequences(node, nodes), or name them: partitioned_nextval(sequence, node, nodes).",
        )),
    }
}

/// Refuses a class other than the one that this database has already.
///
/// # Errors
/// 55000 where the stored node or the settings name another.
pub(super) fn check_class_is_kept(function: pg_sys::Oid, class: Class) -> Result<(), Error> {
    if let Some(stored) = stored(function)?
        && stored != class
    {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("this database is node {} of {} already", stored.node(), stored.nodes()),
        )
        .detail(format!("It cannot be set up as node {} of {} as well.", class.node(), class.nodes()))
        .hint(format!(
            "A node keeps its class for good. Where it was set up by mistake and no value of the class is in use, \
             delete its row of \"{}\" and set it up again.",
            TABLE.to_string_lossy()
        )));
    }
    if let Some(setting) = settings::class()?
        && setting != class
    {
        return Err(contradiction(setting, class));
    }
    Ok(())
}

fn contradiction(setting: Class, other: Class) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!(
            "\"pg_keyspace.node\" and \"pg_keyspace.nodes\" name node {} of {}, not {} of {}",
            setting.node(),
            setting.nodes(),
            other.node(),
            other.nodes()
        ),
    )
    .hint("The settings and the node of setup_interleaved_sequences() must be the same.")
}

/// Whether this database's node is stored.
pub(super) fn is_stored(function: pg_sys::Oid) -> Result<bool, Error> {
    Ok(stored(function)?.is_some())
}

/// The OID of the table of nodes.
///
/// # Errors
/// 55000 where it is gone.
pub(super) fn table(function: pg_sys::Oid) -> Result<pg_sys::Oid, Error> {
    // SAFETY: looks up catalogs by OID and by a NUL-terminated name.
    let table = unsafe { pg_sys::get_relname_relid(TABLE.as_ptr(), pg_sys::get_func_namespace(function)) };
    if table == pg_sys::InvalidOid {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("table \"{}\" is missing", TABLE.to_string_lossy()),
        )
        .hint("It was renamed, moved or dropped; give it back its name and schema."));
    }
    Ok(table)
}

#[inline]
fn stored(function: pg_sys::Oid) -> Result<Option<Class>, Error> {
    match STORED.get() {
        Stored::Read { class, .. } => Ok(class),
        Stored::Unknown => read(function),
    }
}

/// Reads the row without a privilege check: whoever may draw a value must get one of the right
/// class, with or without USAGE on our schema.
#[cold]
fn read(function: pg_sys::Oid) -> Result<Option<Class>, Error> {
    register_callback();
    let table = table(function)?;
    let mut found = None;
    // SAFETY: the table is opened by OID under AccessShare and closed below; the snapshot is
    // registered as long as the scan runs. The columns read are NOT NULL and of the types that
    // sql/sequences/interleaved_node.sql gives them.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::AccessShareLock as i32);
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let scan = pg_sys::systable_beginscan(
            relation,
            pg_sys::InvalidOid,
            false,
            snapshot,
            0,
            std::ptr::null_mut(),
        );
        let (system_identifier, database) = own_key();
        let mut values = [pg_sys::Datum::null(); COLUMNS];
        let mut nulls = [false; COLUMNS];
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            pg_sys::heap_deform_tuple(tuple, (*relation).rd_att, values.as_mut_ptr(), nulls.as_mut_ptr());
            if values[0].value() as i64 == system_identifier && values[1].value() as u32 == database.to_u32()
            {
                found = Some((values[2].value() as i32, values[3].value() as i32));
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    let class = found.map(|(node, nodes)| Class::new(node, nodes)).transpose()?;
    STORED.set(Stored::Read { table, class });
    Ok(class)
}

/// The number of columns of the table.
const COLUMNS: usize = 5;

/// The key of this database's row. A copy of the cluster made by dump, template, pg_createsubscriber
/// or pg_upgrade has another.
pub(super) fn own_key() -> (i64, pg_sys::Oid) {
    // SAFETY: both are set before a backend runs its first statement.
    unsafe { (pg_sys::GetSystemIdentifier() as i64, pg_sys::MyDatabaseId) }
}

fn register_callback() {
    if !CALLBACK_REGISTERED.replace(true) {
        // SAFETY: the callback stays valid, since libraries are never unloaded.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::null()) };
    }
}

/// Called for every relation whose cache entry is dropped, and with no OID for all of them.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    if let Stored::Read { table, .. } = STORED.get()
        && (relation == table || relation == pg_sys::InvalidOid)
    {
        STORED.set(Stored::Unknown);
    }
}

/// The trigger on the table: whoever changes a row, by a set-up or by hand, tells every session, so
/// that sessions which are open follow as soon as the change is committed (trap S42).
#[pgrx::pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn interleaved_node_changed(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the function manager passes a valid call; a context that is a TriggerData node, which is
    // checked, has an open relation.
    unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            raise(report(Error::new(
                SqlState::FeatureNotSupported,
                "trigger functions can only be called as triggers",
            )));
        }
        pg_sys::CacheInvalidateRelcache((*context.cast::<pg_sys::TriggerData>()).tg_relation);
    }
    pg_sys::Datum::from(0_usize)
}

/// Tells the function manager how to call the trigger.
#[doc(hidden)]
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_interleaved_node_changed() -> &'static pg_sys::Pg_finfo_record {
    const VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &VERSION_1
}
