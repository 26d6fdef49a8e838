//! Our tables, whose rows belong to one server and one database.
//!
//! No role has a privilege to write to them. The library writes as the owner of the tables, after
//! its own checks. A trigger on each table refuses all other changes, whoever makes them.

use std::cell::Cell;
use std::ffi::{CStr, CString};

use keyspace::{Error, SqlState};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiResult, SpiTupleTable};

use super::extension::Extension;
use super::relation::{relation_name, relation_owner};
use super::role::run_as;
use super::settings::with_own_settings;
use crate::error::{or_raise, raise, report};
use crate::fmgr;

thread_local! {
    /// Whether one of the library's own statements is running.
    static IS_OURS: Cell<bool> = const { Cell::new(false) };
}

/// One of our tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table(&'static CStr);

impl Table {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self(name)
    }

    /// Its name, not quoted.
    pub(crate) fn name(self) -> &'static str {
        self.0.to_str().unwrap_or_default()
    }

    /// Its OID.
    ///
    /// # Errors
    /// 55000 if it is gone.
    pub(crate) fn oid(self, extension: Extension) -> Result<pg_sys::Oid, Error> {
        let schema = extension.internal_schema()?;
        // SAFETY: looks up a catalog by OID and by a NUL-terminated name.
        let table = unsafe { pg_sys::get_relname_relid(self.0.as_ptr(), schema) };
        if table == pg_sys::InvalidOid {
            let message = format!("table \"{}\" is missing", self.name());
            return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                .hint("If it was renamed or moved, restore its name and schema."));
        }
        Ok(table)
    }

    /// Runs `step` with the rights of the table's owner, and as the library. Only for our own
    /// statements.
    pub(super) fn with_rights<T>(self, extension: Extension, step: impl FnOnce() -> T) -> T {
        let table = or_raise(self.oid(extension));
        let owner = relation_owner(table);
        let _ours = Ours(IS_OURS.replace(true));
        run_as(owner, pg_sys::SECURITY_LOCAL_USERID_CHANGE, || with_own_settings(step))
    }
}

/// Marks a statement as the library's own until this value is dropped, which restores the previous
/// state.
struct Ours(bool);

impl Drop for Ours {
    fn drop(&mut self) {
        IS_OURS.set(self.0);
    }
}

/// A statement in which each `{}` stands for one of our tables, qualified and quoted, in the
/// encoding of the database.
pub(crate) fn statement(text: &str, table: Table, extension: Extension) -> CString {
    let oid = or_raise(table.oid(extension));
    // SAFETY: the schema exists, since the table does. The strings are NUL-terminated.
    let name = unsafe {
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid));
        CStr::from_ptr(pg_sys::quote_qualified_identifier(schema, table.0.as_ptr())).to_bytes()
    };
    let parts: Vec<&[u8]> = text.split("{}").map(str::as_bytes).collect();
    CString::new(parts.join(name)).unwrap_or_default()
}

impl Table {
    /// Reads from the table, whatever the privileges of the calling role. The caller decides which
    /// data it reports.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn select<T>(
        self,
        text: &str,
        extension: Extension,
        arguments: &[DatumWithOid<'_>],
        read: impl FnOnce(SpiTupleTable<'_>) -> SpiResult<T>,
    ) -> SpiResult<T> {
        let statement = statement(text, self, extension);
        self.with_rights(extension, || {
            Spi::connect(|client| read(client.select(statement.as_c_str(), None, arguments)?))
        })
    }

    /// Writes to the table, whatever the privileges of the calling role, which must have been
    /// checked. Returns the number of rows.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn write(
        self,
        text: &str,
        extension: Extension,
        arguments: &[DatumWithOid<'_>],
    ) -> SpiResult<usize> {
        let statement = statement(text, self, extension);
        self.with_rights(extension, || {
            Spi::connect_mut(|client| Ok(client.update(statement.as_c_str(), None, arguments)?.len()))
        })
    }
}

impl Table {
    /// Deletes the rows `r` of this database that fulfil a condition, whose parameters begin with $3.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn delete<'a>(
        self,
        condition: &str,
        extension: Extension,
        further: impl IntoIterator<Item = DatumWithOid<'a>>,
    ) -> SpiResult<()> {
        let statement = format!(
            "DELETE FROM {{}} AS r WHERE r.system_identifier OPERATOR(pg_catalog.=) $1 \
                 AND r.database OPERATOR(pg_catalog.=) $2 AND {condition}"
        );
        let (system_identifier, database) = own_key();
        let mut arguments = vec![system_identifier.into(), database.into()];
        arguments.extend(further);
        self.write(&statement, extension, &arguments).map(|_| ())
    }

    /// Deletes all rows of this database.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn forget_all(self, extension: Extension) -> SpiResult<()> {
        self.delete("true", extension, [])
    }

    /// Deletes the rows about some sequences, in a table with a column `sequence`.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn forget(self, extension: Extension, sequences: &[pg_sys::Oid]) -> SpiResult<()> {
        let condition = "r.sequence OPERATOR(pg_catalog.=) ANY ($3)";
        self.delete(condition, extension, [sequences.to_vec().into()])
    }

    /// Deletes the rows about dropped sequences, which would accumulate in a database that often
    /// creates and drops tables, and whose OIDs others can get. OID 0 stands for no sequence.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(crate) fn prune(self, extension: Extension) -> SpiResult<()> {
        let condition = "r.sequence OPERATOR(pg_catalog.<>) 0::pg_catalog.oid \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) r.sequence)";
        self.delete(condition, extension, [])
    }
}

/// The trigger of our tables, for rows and for TRUNCATE, which fires under every
/// `session_replication_role`. It accepts the library's own statements. It ignores rows that come
/// from another server, since they describe that server (trap S46): rows of an apply worker, and of
/// a session that replays changes as a replica. It refuses everything else.
#[pgrx::pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn library_only(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the function manager passes a valid call. A call of a row trigger has the tuples of
    // its event.
    unsafe {
        let Some(data) = fmgr::trigger_data(fcinfo) else { raise(report(fmgr::no_trigger())) };
        let event = (*data).tg_event;
        let is_row = event & pg_sys::TRIGGER_EVENT_ROW != 0;
        if IS_OURS.get() {
            let is_update = event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_UPDATE;
            return match (is_row, is_update) {
                (true, true) => (*data).tg_newtuple.into(),
                (true, false) => (*data).tg_trigtuple.into(),
                (false, _) => pg_sys::Datum::from(0_usize),
            };
        }
        let is_replayed = pg_sys::MyBackendType != pg_sys::BackendType::B_BACKEND
            || pg_sys::SessionReplicationRole == pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32;
        if is_row && is_replayed {
            return pg_sys::Datum::from(0_usize);
        }
        let name = relation_name((*(*data).tg_relation).rd_id);
        raise(report(
            Error::new(
                SqlState::InsufficientPrivilege,
                format!("table {name} can be changed only by the functions of pg_keyspace"),
            )
            .detail("Its rows describe this server and database."),
        ))
    }
}

fmgr::version_1!(library_only);

/// The key of this database's rows. A copy made by dump, template, pg_createsubscriber or
/// pg_upgrade has a different one.
pub(crate) fn own_key() -> (i64, pg_sys::Oid) {
    // SAFETY: both are set before a backend runs its first statement.
    unsafe { (pg_sys::GetSystemIdentifier() as i64, pg_sys::MyDatabaseId) }
}
