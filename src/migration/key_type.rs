//! The type of the new keys of a migration. The target decides it, whatever type a column has
//! (fault A02). Which types the old ids may have is decided by the pure crate (`Column::is_integer`).

use keyspace::migration::Target;
use pgrx::pg_sys;

use crate::server::by_version::cache;
use crate::server::extension::Extension;

/// Its OID; InvalidOid if the extension's `ulid` no longer exists.
pub(super) fn key_type(target: Target, extension: Extension) -> pg_sys::Oid {
    match target {
        Target::Uuid => pg_sys::UUIDOID,
        Target::Ulid => ulid(extension),
        Target::Bigint => pg_sys::INT8OID,
    }
}

/// The type `ulid` that is a member of our extension, in whatever schema it is.
///
/// Membership alone would prove nothing, because the extension's owner can add other types to it.
/// But only a superuser can create a base type of 16 bytes that is passed by reference.
fn ulid(extension: Extension) -> pg_sys::Oid {
    let null = pg_sys::Datum::null();
    // SAFETY: looks up catalogs by OID and by a NUL-terminated name. A list has as many members as
    // it says, each a row of pg_type, and is released.
    unsafe {
        let list = pg_sys::SearchSysCacheList(cache::TYPENAMENSP, 1, c"ulid".as_ptr().into(), null, null);
        let members = (*list).members.as_slice(usize::try_from((*list).n_members).unwrap_or(0));
        let found = members
            .iter()
            .map(|member| *pg_sys::GETSTRUCT(&raw mut (**member).tuple).cast::<pg_sys::FormData_pg_type>())
            .filter(|found| {
                found.typtype as u8 == pg_sys::TYPTYPE_BASE && found.typlen == 16 && !found.typbyval
            })
            .map(|found| found.oid)
            .find(|found| pg_sys::getExtensionOfObject(pg_sys::TypeRelationId, *found) == extension.oid());
        pg_sys::ReleaseCatCacheList(list);
        found.unwrap_or(pg_sys::InvalidOid)
    }
}
