//! Catalog data of a relation or a type, by OID.

use std::ffi::CStr;

use keyspace::sequences::NumberType;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::by_version;
use super::call::required;
use super::open::OpenRelation;
use crate::encoding::from_server;

/// The name of a relation for a message, in quotation marks.
pub(crate) fn relation_name(relation: pg_sys::Oid) -> String {
    // SAFETY: looks up the OID in the cache. The result is a copy in the current memory context, or
    // null.
    let name = unsafe { pg_sys::get_rel_name(relation) };
    if name.is_null() {
        return format!("with OID {}", relation.to_u32());
    }
    // SAFETY: not null, and NUL-terminated like every name.
    let name = unsafe { CStr::from_ptr(name) };
    format!("\"{}\"", from_server(name))
}

/// Returns an argument of type regclass, which may be any OID.
///
/// # Errors
/// 22004 if it is NULL, 42P01 if there is no such relation.
pub(crate) fn existing_relation(argument: Option<pg_sys::Oid>, name: &str) -> Result<pg_sys::Oid, Error> {
    let oid = required(argument, name)?;
    if OpenRelation::try_any(oid, pg_sys::AccessShareLock).is_none() {
        let message = format!("relation with OID {} does not exist", oid.to_u32());
        return Err(Error::new(SqlState::UndefinedTable, message));
    }
    Ok(oid)
}

/// What a message calls a relation of this kind.
pub(crate) fn kind_name(relation: pg_sys::Oid) -> &'static str {
    // SAFETY: looks up a catalog by OID.
    match unsafe { pg_sys::get_rel_relkind(relation) } as u8 {
        pg_sys::RELKIND_SEQUENCE => "sequence",
        pg_sys::RELKIND_INDEX | pg_sys::RELKIND_PARTITIONED_INDEX => "index",
        _ => "table",
    }
}

/// The owner of a relation; the invalid OID if the relation is gone.
pub(crate) fn relation_owner(relation: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: looks up the relation in the cache. The tuple is valid until it is released.
    unsafe {
        let found = pg_sys::SearchSysCache1(by_version::cache::RELOID, relation.into());
        if found.is_null() {
            return pg_sys::InvalidOid;
        }
        let owner = (*pg_sys::GETSTRUCT(found).cast::<pg_sys::FormData_pg_class>()).relowner;
        pg_sys::ReleaseSysCache(found);
        owner
    }
}

// The bindings do not export it: from catalog/partition.h.
unsafe extern "C-unwind" {
    fn get_partition_ancestors(relation: pg_sys::Oid) -> *mut pg_sys::List;
}

/// The partitioned tables that a partition belongs to, the topmost one last; none for other tables.
pub(crate) fn partition_ancestors(relation: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: looks up the OID in the catalogs, behind a guard, since an error must not jump over
    // this frame. The list is a copy.
    unsafe {
        let list = pg_sys::ffi::pg_guard_ffi_boundary(|| get_partition_ancestors(relation));
        let length = if list.is_null() { 0 } else { (*list).length };
        let ancestors = (0..length).map(|at| pg_sys::list_nth_oid(list, at)).collect();
        pg_sys::list_free(list);
        ancestors
    }
}

/// A column of a partitioned table, and the same column of each of its partitions, as relation and
/// number; for other tables, the column itself.
pub(crate) fn with_partitions(relation: pg_sys::Oid, column: i16) -> Vec<(pg_sys::Oid, i16)> {
    // SAFETY: looks up catalogs by OID and by a NUL-terminated name. The name and the list are copies in
    // the current memory context, or null.
    unsafe {
        let is_partitioned = pg_sys::get_rel_relkind(relation) as u8 == pg_sys::RELKIND_PARTITIONED_TABLE;
        let name = pg_sys::get_attname(relation, column, true);
        if !is_partitioned || name.is_null() {
            return vec![(relation, column)];
        }
        let no_lock = pg_sys::NoLock as pg_sys::LOCKMODE;
        let list = pg_sys::find_all_inheritors(relation, no_lock, std::ptr::null_mut());
        let relations = (0..(*list).length).map(|at| pg_sys::list_nth_oid(list, at));
        let columns: Vec<_> = relations.map(|one| (one, pg_sys::get_attnum(one, name))).collect();
        pg_sys::list_free(list);
        columns.into_iter().filter(|(_, number)| *number != 0).collect()
    }
}

/// The number type of a type or of a domain's base type; `None` if it is no number type.
pub(crate) fn number_type(declared: Option<pg_sys::Oid>) -> Option<NumberType> {
    // SAFETY: looks up the type and the base type of a domain.
    match unsafe { pg_sys::getBaseType(declared?) } {
        pg_sys::INT2OID => Some(NumberType::Smallint),
        pg_sys::INT4OID => Some(NumberType::Integer),
        pg_sys::INT8OID => Some(NumberType::Bigint),
        pg_sys::NUMERICOID => Some(NumberType::Numeric),
        _ => None,
    }
}

/// The name of a type for a message.
pub(crate) fn type_name(type_oid: pg_sys::Oid) -> String {
    // SAFETY: looks up the type. The function returns a name for any OID, a copy in the current
    // memory context.
    from_server(unsafe { CStr::from_ptr(pg_sys::format_type_be(type_oid)) })
}
