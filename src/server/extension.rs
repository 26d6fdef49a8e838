//! The extension in this database: which it is, and where its objects lie.

use std::ffi::CStr;

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::by_version;
use super::call::running;
use crate::encoding::from_server;

/// The schema of our tables and of the functions that nobody calls by hand.
const INTERNAL: &CStr = c"keyspace_internal";

/// The extension that a function of ours belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extension(pg_sys::Oid);

impl Extension {
    /// That of the function that runs.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub(crate) fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self, Error> {
        Self::of(running(fcinfo))
    }

    /// That of a function.
    ///
    /// # Errors
    /// 55000 where the function has been taken out of its extension.
    pub(crate) fn of(function: pg_sys::Oid) -> Result<Self, Error> {
        // SAFETY: looks up a catalog by OID.
        let oid = unsafe { pg_sys::getExtensionOfObject(pg_sys::ProcedureRelationId, function) };
        if oid == pg_sys::InvalidOid {
            return Err(Error::new(
                SqlState::ObjectNotInPrerequisiteState,
                "this function does not belong to an extension",
            )
            .hint("Put it back by ALTER EXTENSION ... ADD FUNCTION, or create the extension again."));
        }
        Ok(Self(oid))
    }

    /// Its OID. That something is a member of it proves nothing by itself: who has installed it can add what is his.
    pub(crate) fn oid(self) -> pg_sys::Oid {
        self.0
    }

    /// The schema of our tables: the one of a superuser's that belongs to the extension, whatever it is called by now. A
    /// schema of that name which does not belong to it is nothing to us, and neither is one that whoever has installed
    /// the extension has added to it.
    ///
    /// # Errors
    /// 55000 where it has been taken out of the extension.
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
            .hint("Put it back by ALTER EXTENSION pg_keyspace ADD SCHEMA.")
        })
    }

    /// The same by its name, quoted where needed, for a statement.
    ///
    /// # Errors
    /// As for [`Self::internal_schema`].
    pub(crate) fn internal_schema_name(self) -> Result<String, Error> {
        let schema = self.internal_schema()?;
        // SAFETY: the schema exists, since it is a member; names are NUL-terminated copies.
        Ok(unsafe {
            let name = pg_sys::get_namespace_name(schema);
            from_server(CStr::from_ptr(pg_sys::quote_identifier(name)))
        })
    }

    /// The schema among its members that is a superuser's.
    fn schema_of_superuser(self) -> Option<pg_sys::Oid> {
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        // SAFETY: pg_depend has these columns of type oid; what is opened is closed, and a row is read before the
        // next one is asked for.
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

/// Whether a schema belongs to a superuser.
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
