//! Other extensions, identified by their catalog rows, never by the names of their schemas: a role
//! that may create schemas can use any name (fault A01).

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::open::OpenRelation;
use super::raw_rows::{self, RawRow};

/// Whether an extension is installed in this database.
pub(crate) fn is_installed(extension: &CStr) -> bool {
    // SAFETY: looks up the name. If it does not exist, that is not an error.
    unsafe { pg_sys::get_extension_oid(extension.as_ptr(), true) != pg_sys::InvalidOid }
}

/// The ordinary table of this name that is a member of an extension, in any schema. Call it with
/// the settings for our own queries.
pub(crate) fn member_table(extension: &CStr, table: &CStr) -> SpiResult<Option<pg_sys::Oid>> {
    // SAFETY: looks up the name. If it does not exist, that is not an error.
    let extension = unsafe { pg_sys::get_extension_oid(extension.as_ptr(), true) };
    if extension == pg_sys::InvalidOid {
        return Ok(None);
    }
    let query = "SELECT c.oid FROM pg_depend d JOIN pg_class c ON c.oid = d.objid \
                 WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = $1 AND d.deptype = 'e' \
                   AND d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND c.relkind = 'r' AND c.relname = $2::name";
    let table = table.to_str().unwrap_or_default();
    Spi::connect(|client| {
        let found = client.select(query, Some(1), &[extension.into(), table.into()])?;
        if found.is_empty() { Ok(None) } else { found.first().get_one() }
    })
}

/// The values of an OID column of a table, if the caller may read it. It is read by OID, so no
/// other table can take its place and none of its code runs.
pub(crate) fn oids_in(table: pg_sys::Oid, column: &CStr) -> Vec<pg_sys::Oid> {
    let Some(relation) = OpenRelation::try_any(table, pg_sys::AccessShareLock) else { return Vec::new() };
    // SAFETY: looks up catalogs by OID, number and a NUL-terminated name.
    let (attribute, is_oid, may_read) = unsafe {
        let attribute = pg_sys::get_attnum(table, column.as_ptr());
        let is_oid = attribute > 0
            && [pg_sys::OIDOID, pg_sys::REGCLASSOID].contains(&pg_sys::get_atttype(table, attribute));
        let privilege = pg_sys::ACL_SELECT as pg_sys::AclMode;
        let may_read = pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), privilege)
            == pg_sys::AclResult::ACLCHECK_OK;
        (attribute, is_oid, may_read)
    };
    if !may_read || !is_oid || relation.kind() != pg_sys::RELKIND_RELATION {
        return Vec::new();
    }
    let oid = |row: &RawRow<'_>| Some(pg_sys::Oid::from(row.get(attribute)?.value() as u32));
    raw_rows::read(&relation, oid).into_iter().flatten().collect()
}
