//! The tables of ours, which lie beside our functions, and whose rows are each server's and database's own.

use std::ffi::CStr;

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use crate::error::or_raise;

/// A table of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table(&'static CStr);

impl Table {
    /// The table of this name.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self(name)
    }

    /// Its name, not quoted.
    pub(crate) fn name(self) -> &'static str {
        self.0.to_str().unwrap_or_default()
    }

    /// Its OID. `function` is the function of ours that runs.
    ///
    /// # Errors
    /// 55000 where it is gone.
    pub(crate) fn oid(self, function: pg_sys::Oid) -> Result<pg_sys::Oid, Error> {
        // SAFETY: looks up catalogs by OID and by a NUL-terminated name.
        let table =
            unsafe { pg_sys::get_relname_relid(self.0.as_ptr(), pg_sys::get_func_namespace(function)) };
        if table == pg_sys::InvalidOid {
            let message = format!("table \"{}\" is missing", self.name());
            return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                .hint("It was renamed, moved or dropped; give it back its name and schema."));
        }
        Ok(table)
    }

    /// Its name with that of its schema, quoted, in the encoding of the database: for a statement.
    pub(crate) fn qualified(self, function: pg_sys::Oid) -> Vec<u8> {
        // SAFETY: the schema exists, since a function in it runs; the strings are NUL-terminated.
        unsafe {
            let schema = pg_sys::get_namespace_name(pg_sys::get_func_namespace(function));
            let name = pg_sys::quote_qualified_identifier(schema, self.0.as_ptr());
            CStr::from_ptr(name).to_bytes().to_vec()
        }
    }

    /// Whether the caller has one of these privileges on it: who has one of ours has all.
    pub(crate) fn allows(self, function: pg_sys::Oid, privileges: u32) -> bool {
        let table = or_raise(self.oid(function));
        // SAFETY: looks up catalogs by OID.
        unsafe {
            let privileges = privileges as pg_sys::AclMode;
            pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), privileges)
                == pg_sys::AclResult::ACLCHECK_OK
        }
    }
}

/// A statement in which each `{}` stands for a table of ours.
pub(crate) fn statement(text: &str, table: Table, function: pg_sys::Oid) -> std::ffi::CString {
    let name = table.qualified(function);
    let bytes: Vec<&[u8]> = text.split("{}").map(str::as_bytes).collect();
    std::ffi::CString::new(bytes.join(name.as_slice())).unwrap_or_default()
}

/// The key of this database's rows. A copy of the cluster made by dump, template, pg_createsubscriber
/// or pg_upgrade has another.
pub(crate) fn own_key() -> (i64, pg_sys::Oid) {
    // SAFETY: both are set before a backend runs its first statement.
    unsafe { (pg_sys::GetSystemIdentifier() as i64, pg_sys::MyDatabaseId) }
}
