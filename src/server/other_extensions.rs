//! Other extensions, identified by their catalog rows, never by the names of their schemas: a role
//! that may create schemas can use any name (fault A01).

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::open::OpenRelation;
use super::raw_rows::{self, RawRow};
use crate::encoding::from_server;

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
    // SAFETY: looks up a catalog by OID.
    let may_read = unsafe {
        let privilege = pg_sys::ACL_SELECT as pg_sys::AclMode;
        pg_sys::pg_class_aclcheck(table, pg_sys::GetUserId(), privilege) == pg_sys::AclResult::ACLCHECK_OK
    };
    if may_read { all_oids_in(table, column) } else { Vec::new() }
}

/// The same, whatever the caller may read. The caller decides what it reports.
pub(crate) fn all_oids_in(table: pg_sys::Oid, column: &CStr) -> Vec<pg_sys::Oid> {
    let Some(relation) = open(table) else { return Vec::new() };
    let Some(attribute) = attribute(table, column, &[pg_sys::OIDOID, pg_sys::REGCLASSOID]) else {
        return Vec::new();
    };
    let oid = |row: &RawRow<'_>| Some(pg_sys::Oid::from(row.get(attribute)?.value() as u32));
    raw_rows::read(&relation, oid).into_iter().flatten().collect()
}

/// The values of columns of type `name`, whatever the caller may read. Rows in which one is NULL are
/// left out.
pub(crate) fn all_names_in<const N: usize>(table: pg_sys::Oid, columns: [&CStr; N]) -> Vec<[String; N]> {
    let Some(relation) = open(table) else { return Vec::new() };
    let attributes = columns.map(|column| attribute(table, column, &[pg_sys::NAMEOID]));
    if attributes.iter().any(Option::is_none) {
        return Vec::new();
    }
    let names = |row: &RawRow<'_>| {
        let names = attributes.map(|attribute| {
            let name = row.get(attribute?)?;
            // SAFETY: a value of type name, which is NUL-terminated and valid within this call.
            Some(from_server(unsafe { CStr::from_ptr(name.cast_mut_ptr()) }))
        });
        names.iter().all(Option::is_some).then(|| names.map(Option::unwrap_or_default))
    };
    raw_rows::read(&relation, names).into_iter().flatten().collect()
}

/// The number of rows of a table, whatever the caller may read.
pub(crate) fn row_count(table: pg_sys::Oid) -> usize {
    open(table).map_or(0, |relation| raw_rows::read(&relation, |_| ()).len())
}

fn open(table: pg_sys::Oid) -> Option<OpenRelation> {
    let relation = OpenRelation::try_any(table, pg_sys::AccessShareLock)?;
    (relation.kind() == pg_sys::RELKIND_RELATION).then_some(relation)
}

/// The number of a column that has one of these types.
fn attribute(table: pg_sys::Oid, column: &CStr, types: &[pg_sys::Oid]) -> Option<i16> {
    // SAFETY: looks up catalogs by OID, number and a NUL-terminated name.
    let (attribute, type_oid) = unsafe {
        let attribute = pg_sys::get_attnum(table, column.as_ptr());
        (attribute, pg_sys::get_atttype(table, attribute))
    };
    (attribute > 0 && types.contains(&type_oid)).then_some(attribute)
}
