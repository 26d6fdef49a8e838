//! Guarantees that names in statements refer to the relations that were locked.
//!
//! A lock on a relation prevents renaming the relation, but not its schema. The owner of two
//! schemas could exchange their names between the lock and the statement, which would then alter a
//! relation of another owner.

use std::ffi::CStr;

use keyspace::sql::{in_message, literal};
use keyspace::{Error, SqlState};
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::extension::Extension;
use super::settings::with_own_settings;
use super::tables::Table;
use crate::encoding::from_server;

/// Prevents the schemas of locked relations from being renamed or dropped until the end of the
/// transaction. `ours` can be any of our tables; its owner may lock rows of catalogs.
///
/// # Errors
/// Those of SPI itself. Raises 55P03 if another transaction that renames a schema lasts longer than
/// lock_timeout.
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
    // The name of a schema is in a unique index, so FOR KEY SHARE blocks renaming and DROP, and
    // nothing else.
    let query = "SELECT FROM pg_catalog.pg_namespace AS n WHERE n.oid OPERATOR(pg_catalog.=) ANY ($1) \
                 ORDER BY n.oid FOR KEY SHARE";
    // Only a superuser may lock a row of a catalog.
    ours.with_rights(extension, || {
        Spi::connect_mut(|client| client.update(query, None, &[schemas.into()]).map(|_| ()))
    })?;
    // Takes in changes that were committed during the wait.
    // SAFETY: within a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    Ok(())
}

/// The qualified name of a relation, quoted if necessary; `None` if the relation is gone. Call it
/// with the settings for our own queries.
pub(crate) fn qualified_name(relation: pg_sys::Oid) -> Option<String> {
    // SAFETY: looks up catalogs by OID. The results are NUL-terminated copies.
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
    Error::new(SqlState::ObjectInUse, format!("{kind} {} was renamed concurrently", in_message(name)))
        .hint("Run it again. Nothing has been changed.")
}
