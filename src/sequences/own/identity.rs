//! The node of this database: a row of our own table, cached in every backend.

use std::cell::Cell;
use std::ffi::CStr;

use keyspace::sequences::{Class, Peer};
use keyspace::{Error, SqlState};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::error::or_raise;
use crate::sequences::own::peers_seen::UNIX_EPOCH;
use crate::sequences::own::{settings, tables};
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::open::OpenRelation;
use crate::server::raw_rows;
use crate::server::role::owns_database;
use crate::server::tables::own_key;

/// The cached state of the row.
#[derive(Clone, Copy)]
enum Stored {
    /// It has to be read again.
    Unknown,
    /// Valid until the table changes.
    Read { table: pg_sys::Oid, node: Option<Node> },
}

/// The stored row.
#[derive(Clone, Copy)]
struct Node {
    class: Class,
    /// Whether new sequences are moved into the class as they are created.
    new_sequences: bool,
}

thread_local! {
    static STORED: Cell<Stored> = const { Cell::new(Stored::Unknown) };
    static CALLBACK_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// The class of this database's node.
///
/// Call it after something that takes in invalidations, such as the lock of a `nextval`, so that a
/// session that was open before a change follows the change (trap S42).
///
/// # Errors
/// 55000 if the database has no node, or if the settings name a different node from the stored one.
#[inline]
pub(crate) fn class(extension: Extension) -> Result<Class, Error> {
    known(extension)?.map_or_else(|| Err(unknown(extension, "")?), Ok)
}

/// The same for a call that could name its node instead.
///
/// # Errors
/// As above.
#[inline]
pub(crate) fn class_to_draw(extension: Extension) -> Result<Class, Error> {
    let instead = ", or specify the node: partitioned_nextval(sequence, node, nodes)";
    known(extension)?.map_or_else(|| Err(unknown(extension, instead)?), Ok)
}

/// The error that says why this database has no node, and what to do: set it up, or what else the
/// caller may do `instead`.
#[cold]
fn unknown(extension: Extension, instead: &str) -> Result<Error, Error> {
    let error =
        Error::new(SqlState::ObjectNotInPrerequisiteState, "this database has not been set up as a node");
    let others = others(extension)?;
    let Some(other) = others.first() else {
        return Ok(error
            .detail("No node is stored for this server and this database.")
            .hint(format!("Call setup_interleaved_sequences(node, nodes){instead}.")));
    };
    Ok(error
        .detail(format!(
            "The stored node {} of {} belongs to another server or database, and this one may be a copy of it.",
            other.class.node(),
            other.class.nodes()
        ))
        .hint(
            "If this database replaces it, call confirm_interleaved_node(). Otherwise call setup_interleaved_sequences() to make it a different node.",
        ))
}

/// The class of this database's node, if the backend has cached it and no setting overrides it.
/// Raises no error.
#[inline]
pub(crate) fn cached() -> Option<Class> {
    match STORED.get() {
        Stored::Read { node: Some(node), .. } if !settings::is_any_set() => Some(node.class),
        _ => None,
    }
}

/// The class of this database's node, if it has one.
///
/// # Errors
/// 55000 if the settings name a different node from the stored one, 22023 if they form no class.
pub(crate) fn known(extension: Extension) -> Result<Option<Class>, Error> {
    match (settings::class()?, stored(extension)?) {
        (Some(setting), Some(stored)) if setting != stored => Err(contradiction(setting, stored)),
        (setting, stored) => Ok(setting.or(stored)),
    }
}

/// The class that this database leaves by becoming a node of `class`, if it has another.
///
/// # Errors
/// 55000 if it has another class and no peers are known, if another server or database that is
/// stored here has a class with common values, or if the settings name another.
pub(crate) fn class_to_leave(
    extension: Extension,
    class: Class,
    peers: &[Peer],
) -> Result<Option<Class>, Error> {
    if let Some(setting) = settings::class()?
        && setting != class
    {
        return Err(contradiction(setting, class));
    }
    match stored(extension)? {
        Some(stored) if stored == class => Ok(None),
        Some(stored) if !peers.is_empty() => Ok(Some(stored)),
        Some(stored) => Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            format!("this database is already node {} of {}", stored.node(), stored.nodes()),
        )
        .detail(format!("It can become node {} of {} only if the states of all other nodes are passed as peers.", class.node(), class.nodes()))
        .hint(
            "To make room for more nodes, call split_interleaved_sequences(). To give this node another class, pass the states of all other nodes as peers. If it was set up with a wrong number and there is no other node yet, call reset_interleaved_sequences() first.",
        )),
        None => {
            let meets = |other: &Other| other.class.residue().meets(class.residue());
            let taken =
                others(extension)?.into_iter().find(|other| meets(other) && !other.is_superseded_by(peers));
            taken.map_or(Ok(None), |other| Err(taken_by(other, class)))
        }
    }
}

fn taken_by(other: Other, class: Class) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("another server or database is node {} of {}", other.class.node(), other.class.nodes()),
    )
    .detail(format!(
        "This database may be a copy of it, and would share values with it as node {} of {}.",
        class.node(),
        class.nodes()
    ))
    .hint("If this database replaces it, call confirm_interleaved_node(). If the other one has another class now, or is gone, pass its last state as one of the peers (as state || '{\"left\": true}' if it is gone). Otherwise set this database up as a different node.")
}

fn contradiction(setting: Class, other: Class) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!(
            "\"pg_keyspace.node\" and \"pg_keyspace.nodes\" specify node {} of {}, not {} of {}",
            setting.node(),
            setting.nodes(),
            other.node(),
            other.nodes()
        ),
    )
    .hint("The settings and the node of setup_interleaved_sequences() must be the same.")
}

/// Refuses if the caller may not store the node.
///
/// # Errors
/// 42501 if the caller does not own the database.
pub(crate) fn check_may_store() -> Result<(), Error> {
    if !owns_database() {
        let message = "permission denied to set this database up as a node";
        return Err(Error::new(SqlState::InsufficientPrivilege, message)
            .hint("Run the set-up as the owner of the database, or as a superuser."));
    }
    Ok(())
}

/// Stores the class of this database's node.
pub(crate) fn store(extension: Extension, class: Class) -> SpiResult<()> {
    let insert = "INSERT INTO {} (system_identifier, database, node, nodes) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (system_identifier, database) DO UPDATE \
         SET node = EXCLUDED.node, nodes = EXCLUDED.nodes, set_up_at = EXCLUDED.set_up_at";
    let (system_identifier, database) = own_key();
    let values = [system_identifier.into(), database.into(), class.node().into(), class.nodes().into()];
    change(extension, insert, &values)
}

/// Removes this database's node, and what is told of the set-up in batches that made it one. No
/// such set-up may be running.
pub(crate) fn forget(extension: Extension) -> SpiResult<()> {
    tables::SETUP.forget_all(extension)?;
    tables::NODE.forget_all(extension)?;
    announce(extension);
    Ok(())
}

/// Changes the table.
fn change(extension: Extension, statement: &str, arguments: &[DatumWithOid<'_>]) -> SpiResult<()> {
    tables::NODE.write(statement, extension, arguments)?;
    announce(extension);
    Ok(())
}

/// Every session, including those that are open, reads its node again as soon as this transaction is
/// committed (trap S42).
fn announce(extension: Extension) {
    let table = or_raise(tables::NODE.oid(extension));
    // SAFETY: the relation was just written to.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(table) };
}

/// Whether this database's node is stored.
pub(crate) fn is_stored(extension: Extension) -> Result<bool, Error> {
    Ok(stored(extension)?.is_some())
}

/// Whether new sequences are moved into the class, if the backend has cached that. Raises no error.
#[inline]
pub(crate) fn takes_new_sequences_cached() -> Option<bool> {
    match STORED.get() {
        Stored::Read { node, .. } => Some(node.is_some_and(|node| node.new_sequences)),
        Stored::Unknown => None,
    }
}

/// Whether new sequences are moved into the class as they are created.
pub(crate) fn takes_new_sequences(extension: Extension) -> Result<bool, Error> {
    Ok(node(extension)?.is_some_and(|node| node.new_sequences))
}

/// Stores whether new sequences are moved into the class as they are created.
///
/// # Errors
/// 42501 if the caller does not own the database.
pub(crate) fn take_new_sequences(extension: Extension, enable: bool) -> Result<(), Failure> {
    if !owns_database() {
        let message = "permission denied to interleave new sequences";
        return Err(Error::new(SqlState::InsufficientPrivilege, message)
            .hint("Call interleave_new_sequences() as the owner of the database, or as a superuser.")
            .into());
    }
    let update = "UPDATE {} SET new_sequences = $3 \
         WHERE system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2";
    let (system_identifier, database) = own_key();
    change(extension, update, &[system_identifier.into(), database.into(), enable.into()])?;
    Ok(())
}

#[inline]
fn stored(extension: Extension) -> Result<Option<Class>, Error> {
    Ok(node(extension)?.map(|node| node.class))
}

#[inline]
fn node(extension: Extension) -> Result<Option<Node>, Error> {
    match STORED.get() {
        Stored::Read { node, .. } => Ok(node),
        Stored::Unknown => read(extension),
    }
}

/// Reads the row of this database.
#[cold]
fn read(extension: Extension) -> Result<Option<Node>, Error> {
    register_callback();
    let table = tables::NODE.oid(extension)?;
    let own = own_key();
    let row = rows(table)?.into_iter().find(|row| row.key == own);
    let node = row
        .map(|row| {
            let class = Class::new(row.node, row.nodes)?;
            Ok(Node { class, new_sequences: row.new_sequences })
        })
        .transpose()?;
    STORED.set(Stored::Read { table, node });
    Ok(node)
}

/// A node that is stored for another server or database. This database may be a copy of it.
#[derive(Clone, Copy)]
pub(crate) struct Other {
    pub(crate) key: (i64, pg_sys::Oid),
    pub(crate) class: Class,
    /// Whether new sequences are moved into its class.
    pub(crate) new_sequences: bool,
    /// When it was set up, in microseconds since 1970.
    set_up_at: i64,
}

impl Other {
    /// Whether one of the peers' states is of the same database, and later than this row: the row
    /// came with a copy, and its origin may have another class now.
    fn is_superseded_by(&self, peers: &[Peer]) -> bool {
        let is_its = |peer: &Peer| {
            (peer.system_identifier, peer.database_oid) == (self.key.0, self.key.1.to_u32())
                && peer.taken_at().is_some_and(|taken_at| taken_at > self.set_up_at)
        };
        peers.iter().any(is_its)
    }
}

/// When this database became a node of its class, in microseconds since 1970, if it is one.
pub(crate) fn set_up_at(extension: Extension) -> Result<Option<i64>, Error> {
    let own = own_key();
    let row = rows(tables::NODE.oid(extension)?)?.into_iter().find(|row| row.key == own);
    Ok(row.map(|row| row.set_up_at))
}

/// The nodes of other servers and databases, ordered by their keys.
pub(crate) fn others(extension: Extension) -> Result<Vec<Other>, Error> {
    let own = own_key();
    let others = rows(tables::NODE.oid(extension)?)?.into_iter().filter(|row| row.key != own);
    let mut others = others
        .map(|row| {
            let class = Class::new(row.node, row.nodes)?;
            Ok(Other { key: row.key, class, new_sequences: row.new_sequences, set_up_at: row.set_up_at })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    others.sort_by_key(|other| (other.key.0, other.key.1.to_u32()));
    Ok(others)
}

/// The class of the node that this database was copied from, as far as the copy shows it: the last
/// one that another server or database was given.
pub(crate) fn origin(extension: Extension) -> Result<Option<Class>, Error> {
    let others = others(extension)?;
    Ok(others.into_iter().max_by_key(|other| other.set_up_at).map(|other| other.class))
}

/// A row of the table.
struct Row {
    key: (i64, pg_sys::Oid),
    node: i32,
    nodes: i32,
    new_sequences: bool,
    /// In microseconds since 1970.
    set_up_at: i64,
}

/// The columns that are read, with their types. The table may have more columns, in another order,
/// if the extension was updated after this library was loaded.
const COLUMNS: [(&CStr, pg_sys::Oid); 6] = [
    (c"system_identifier", pg_sys::INT8OID),
    (c"database", pg_sys::OIDOID),
    (c"node", pg_sys::INT4OID),
    (c"nodes", pg_sys::INT4OID),
    (c"new_sequences", pg_sys::BOOLOID),
    (c"set_up_at", pg_sys::TIMESTAMPTZOID),
];

/// The numbers of the columns.
///
/// # Errors
/// 55000 if one is missing or has another type.
fn columns(table: pg_sys::Oid) -> Result<[i16; COLUMNS.len()], Error> {
    let mut numbers = [0; COLUMNS.len()];
    for (number, (name, kind)) in numbers.iter_mut().zip(COLUMNS) {
        // SAFETY: looks up a catalog by OID, name and number.
        unsafe {
            *number = pg_sys::get_attnum(table, name.as_ptr());
            if *number <= 0 || pg_sys::get_atttype(table, *number) != kind {
                let message = format!(
                    "table \"{}\" has no column \"{}\" of the type that this library expects",
                    tables::NODE.name(),
                    name.to_string_lossy()
                );
                return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                    .hint("Install the same version of the library and of the extension."));
            }
        }
    }
    Ok(numbers)
}

/// Reads the table without a privilege check: any role that may draw a value must get one of the
/// right class, with or without USAGE on our schema.
fn rows(table: pg_sys::Oid) -> Result<Vec<Row>, Error> {
    let [system_identifier, database, node, nodes, new_sequences, set_up_at] = columns(table)?;
    let table = OpenRelation::table(table, pg_sys::AccessShareLock);
    Ok(raw_rows::read(&table, |row| {
        // The columns exist, and their types are passed by value.
        let value = |attribute| row.get(attribute).map_or(0, |value| value.value());
        Row {
            key: (value(system_identifier) as i64, pg_sys::Oid::from(value(database) as u32)),
            node: value(node) as i32,
            nodes: value(nodes) as i32,
            new_sequences: value(new_sequences) as u8 != 0,
            set_up_at: (value(set_up_at) as i64).saturating_add(UNIX_EPOCH),
        }
    }))
}

fn register_callback() {
    if !CALLBACK_REGISTERED.replace(true) {
        // SAFETY: the callback stays valid, since libraries are never unloaded.
        unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::null()) };
    }
}

/// Called for every relation whose cache entry is dropped, and with the invalid OID if all are.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    if let Stored::Read { table, .. } = STORED.get()
        && (relation == table || relation == pg_sys::InvalidOid)
    {
        STORED.set(Stored::Unknown);
    }
}
