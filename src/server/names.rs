//! Names in statements: that they mean what was locked.
//!
//! A lock on a relation keeps it from being renamed, but not its schema. Whoever owns two schemas could exchange their names
//! between the lock and the statement, which would then alter another owner's relation.

use std::ffi::CStr;

use keyspace::sql::literal;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::extension::Extension;
use super::settings::with_own_settings;
use super::tables::Table;
use crate::encoding::from_server;

/// Keeps the schemas of relations that are locked from being renamed or dropped, to the end of the transaction. `ours` is
/// any table of ours, whose owner may lock rows of catalogs.
///
/// # Errors
/// Those of SPI itself; 55P03 is raised where a schema is being renamed for longer than lock_timeout.
pub(crate) fn lock_schemas(
    extension: Extension,
    ours: Table,
    relations: impl Iterator<Item = pg_sys::Oid>,
) -> SpiResult<()> {
    // SAFETY: looks up a catalog by OID.
    let mut schemas: Vec<pg_sys::Oid> =
        relations.map(|relation| unsafe { pg_sys::get_rel_namespace(relation) }).collect();
    schemas.sort_unstable_by_key(|schema| schema.to_u32());
    schemas.dedup();
    // A row's name is of a unique index, so FOR KEY SHARE is in the way of a new name, and of nothing else but DROP.
    let query = "SELECT FROM pg_catalog.pg_namespace AS n WHERE n.oid OPERATOR(pg_catalog.=) ANY ($1) \
                 ORDER BY n.oid FOR KEY SHARE";
    // Locking a row of a catalog takes the rights of a superuser.
    ours.with_rights(extension, || {
        Spi::connect_mut(|client| client.update(query, None, &[schemas.into()]).map(|_| ()))
    })?;
    // What was committed while they were waited for.
    // SAFETY: within a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    Ok(())
}

/// The name of a relation with its schema, each quoted where needed; `None` where it is gone. To be called with settings
/// for our own queries.
pub(crate) fn qualified_name(relation: pg_sys::Oid) -> Option<String> {
    // SAFETY: looks up catalogs by OID; what is found are copies, NUL-terminated.
    unsafe {
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relation));
        let name = pg_sys::get_rel_name(relation);
        if schema.is_null() || name.is_null() {
            return None;
        }
        Some(from_server(CStr::from_ptr(pg_sys::quote_qualified_identifier(schema, name))))
    }
}

/// The name of a relation as an argument of a call in a hint, with its schema.
pub(crate) fn name_argument(relation: pg_sys::Oid) -> String {
    literal(&with_own_settings(|| qualified_name(relation)).unwrap_or_default())
}

/// That a relation has another name than when it was looked for.
pub(crate) fn renamed(kind: &str, name: &str) -> Error {
    Error::new(SqlState::ObjectInUse, format!("{kind} \"{name}\" was renamed meanwhile"))
        .hint("Run it again. Nothing has been changed.")
}
