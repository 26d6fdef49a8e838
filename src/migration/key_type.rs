//! The type of the keys of a migration: that of its target, whatever type a column has (fault A02).

use keyspace::migration::Target;
use pgrx::pg_sys;

use crate::server::by_version::cache;
use crate::server::extension::Extension;

/// Its OID; that of no type where the extension's `ulid` is gone.
pub(super) fn key_type(target: Target, extension: Extension) -> pg_sys::Oid {
    match target {
        Target::Uuid => pg_sys::UUIDOID,
        Target::Ulid => ulid(extension),
    }
}

/// The type `ulid` that is a member of our extension, in whatever schema it is.
///
/// That alone would prove nothing: who has installed the extension can add types of his own to it. But a base type of 16
/// bytes that are passed by reference only a superuser can create.
fn ulid(extension: Extension) -> pg_sys::Oid {
    let null = pg_sys::Datum::null();
    // SAFETY: looks up catalogs by OID and by a NUL-terminated name; a list has as many members as it says, each a row of
    // pg_type, and is given back.
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
