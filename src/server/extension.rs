//! The extension in this database, and the schema of its objects.

use std::ffi::CStr;

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::by_version;
use super::call::running;
use crate::encoding::from_server;

/// The schema of our tables and internal functions.
const INTERNAL: &CStr = c"keyspace_internal";

/// The extension that one of our functions belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extension(pg_sys::Oid);

impl Extension {
    /// The extension of the function that is running.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub(crate) fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self, Error> {
        Self::of(running(fcinfo))
    }

    /// The extension of a function.
    ///
    /// # Errors
    /// 55000 if the function has been removed from its extension.
    pub(crate) fn of(function: pg_sys::Oid) -> Result<Self, Error> {
        // SAFETY: looks up a catalog by OID.
        let oid = unsafe { pg_sys::getExtensionOfObject(pg_sys::ProcedureRelationId, function) };
        if oid == pg_sys::InvalidOid {
            return Err(Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                "this function does not belong to an extension",
            )
            .hint("Add it back with ALTER EXTENSION ... ADD FUNCTION, or create the extension again."));
        }
        Ok(Self(oid))
    }

    /// Its OID. Membership in the extension alone proves nothing: the role that installed the
    /// extension can add its own objects.
    pub(crate) fn oid(self) -> pg_sys::Oid {
        self.0
    }

    /// The schema of our tables: the schema, whatever its current name, that belongs to the
    /// extension and is owned by a superuser. A schema with the right name that does not belong to
    /// the extension does not count, nor does one that the role that installed the extension has
    /// added.
    ///
    /// # Errors
    /// 55000 if the schema has been removed from the extension.
    pub(crate) fn internal_schema(self) -> Result<pg_sys::Oid, Error> {
        // SAFETY: looks up catalogs by a NUL-terminated name and by OID.
        let named = unsafe {
            let schema = pg_sys::get_namespace_oid(INTERNAL.as_ptr(), true);
            (schema != pg_sys::InvalidOid
                && pg_sys::getExtensionOfObject(pg_sys::NamespaceRelationId, schema) == self.0
                && is_of_superuser(schema))
            .then_some(schema)
        };
        named.or_else(|| self.schema_of_superuser()).ok_or_else(|| {
            Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                format!("schema \"{}\" does not belong to the extension", INTERNAL.to_string_lossy()),
            )
            .hint("Add it back with ALTER EXTENSION pg_keyspace ADD SCHEMA.")
        })
    }

    /// Its name for a statement, quoted if necessary.
    ///
    /// # Errors
    /// As for [`Self::internal_schema`].
    pub(crate) fn internal_schema_name(self) -> Result<String, Error> {
        let schema = self.internal_schema()?;
        // SAFETY: the schema exists, since it is a member. The names are NUL-terminated copies.
        Ok(unsafe {
            let name = pg_sys::get_namespace_name(schema);
            from_server(CStr::from_ptr(pg_sys::quote_identifier(name)))
        })
    }

    /// The member schema that a superuser owns.
    fn schema_of_superuser(self) -> Option<pg_sys::Oid> {
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        // SAFETY: these columns of pg_depend have type oid. Table and scan are closed, and each row
        // is read before the next one is fetched.
        unsafe {
            for (at, (column, value)) in [
                (pg_sys::Anum_pg_depend_refclassid, pg_sys::ExtensionRelationId),
                (pg_sys::Anum_pg_depend_refobjid, self.0),
            ]
            .into_iter()
            .enumerate()
            {
                pg_sys::ScanKeyInit(
                    &mut keys[at],
                    column as pg_sys::AttrNumber,
                    pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                    pg_sys::F_OIDEQ.into(),
                    value.into(),
                );
            }
            let depend = pg_sys::table_open(pg_sys::DependRelationId, pg_sys::AccessShareLock as i32);
            let scan = pg_sys::systable_beginscan(
                depend,
                pg_sys::Oid::from(pg_sys::DependReferenceIndexId),
                true,
                std::ptr::null_mut(),
                keys.len() as i32,
                keys.as_mut_ptr(),
            );
            let mut found = None;
            while found.is_none() {
                let row = pg_sys::systable_getnext(scan);
                if row.is_null() {
                    break;
                }
                let form = pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_depend>();
                let is_member = (*form).deptype as u8 == pg_sys::DependencyType::DEPENDENCY_EXTENSION as u8;
                let is_schema = (*form).classid == pg_sys::NamespaceRelationId;
                found = (is_member && is_schema && is_of_superuser((*form).objid)).then_some((*form).objid);
            }
            pg_sys::systable_endscan(scan);
            pg_sys::table_close(depend, pg_sys::AccessShareLock as i32);
            found
        }
    }
}

/// Whether a superuser owns a schema.
fn is_of_superuser(schema: pg_sys::Oid) -> bool {
    // SAFETY: looks the schema up in the cache; the tuple is valid until it is released.
    unsafe {
        let found = pg_sys::SearchSysCache1(by_version::cache::NAMESPACEOID, schema.into());
        if found.is_null() {
            return false;
        }
        let owner = (*pg_sys::GETSTRUCT(found).cast::<pg_sys::FormData_pg_namespace>()).nspowner;
        pg_sys::ReleaseSysCache(found);
        pg_sys::superuser_arg(owner)
    }
}
