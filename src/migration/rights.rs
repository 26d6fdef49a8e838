//! Checks who may look up rows of the table that a column refers to, and which columns of it
//! (fault A08).
//!
//! The checks do not read our tables. Triggers also fire in a copy of the database and after
//! pg_upgrade, where these tables are empty.

use std::ffi::CStr;

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::companions::Companions;
use crate::encoding::from_server;
use crate::server::by_version::{may_use_schema, primary_key_index};
use crate::server::relation::relation_name;

/// The columns of the root that are read, and those that refer to it: old id, key, and the root's
/// time, if that is a column and still exists.
#[derive(Clone, Copy)]
pub(super) struct LookupColumns {
    pub(super) old_id: i16,
    pub(super) key: i16,
    pub(super) root_old_id: i16,
    pub(super) root_key: i16,
    pub(super) root_time: Option<i16>,
}

/// Refuses a table whose owner could not read the rows that are looked up. The owner needs SELECT
/// on the root's columns, or a foreign key of the table on them, which required REFERENCES. No
/// policy of the root may apply to the owner. The rights of the root's owner include all of this.
///
/// # Errors
/// 42501.
///
/// # Safety
/// Both relations must be open.
pub(super) unsafe fn check_may_look_up(
    relation: pg_sys::Relation,
    root: pg_sys::Relation,
    columns: LookupColumns,
) -> Result<(), Error> {
    // SAFETY: see above; looks up catalogs by OID.
    unsafe {
        let owner = (*(*relation).rd_rel).relowner;
        if (*relation).rd_id == (*root).rd_id || pg_sys::has_privs_of_role(owner, (*(*root).rd_rel).relowner)
        {
            return Ok(());
        }
        let hides = pg_sys::check_enable_rls((*root).rd_id, owner, true)
            == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32;
        if hides {
            return Err(denied(
                relation,
                root,
                "Row-level security policies of that table apply to the role.",
            )
            .hint(format!(
                "ALTER ROLE {} BYPASSRLS, or give both tables the same owner.",
                role_name(owner)
            )));
        }
        if has_foreign_key(relation, (*root).rd_id, columns)
            || may_select((*root).rd_id, owner, columns, &Companions::NONE)
        {
            return Ok(());
        }
        let detail =
            "The key migration looks up referenced rows in that table, and no foreign key refers to it.";
        Err(denied(relation, root, detail).hint(format!(
            "GRANT SELECT ON {} TO {}.",
            relation_name((*root).rd_id),
            role_name(owner)
        )))
    }
}

/// Refuses a trigger that names columns of a root which the root's own trigger does not name,
/// unless the table's owner and the current user may both read exactly these columns. The catalogs
/// do not record who created the trigger: a role with TRIGGER on the table, but without privileges
/// on the root, could otherwise read the root with the owner's rights (fault A08). It gains nothing
/// when other users write, because any trigger of its own could act with their rights.
///
/// # Errors
/// 42501.
///
/// # Safety
/// Both relations must be open.
pub(super) unsafe fn check_may_name(
    trigger: &str,
    relation: pg_sys::Relation,
    root: pg_sys::Relation,
    (columns, companions): (LookupColumns, &Companions),
) -> Result<(), Error> {
    // SAFETY: see above; looks up catalogs by OID.
    let (owner, oid) = unsafe { ((*(*relation).rd_rel).relowner, (*root).rd_id) };
    // SAFETY: as above.
    let may = [owner, unsafe { pg_sys::GetUserId() }].into_iter().all(|role| {
        // SAFETY: as above.
        let hides = unsafe { pg_sys::check_enable_rls(oid, role, true) };
        hides != pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
            && may_select(oid, role, columns, companions)
    });
    if may {
        return Ok(());
    }
    // SAFETY: as above.
    let table = relation_name(unsafe { (*relation).rd_id });
    let message = format!("trigger \"{trigger}\" of table {table} cannot read table {}", relation_name(oid));
    Err(Error::new(SqlState::InsufficientPrivilege, message)
        .detail("The trigger reads columns that no trigger of a key migration on that table uses.")
        .hint("CALL key_migration_advance() for the migration that it belongs to, or drop the trigger."))
}

/// Refuses a trigger whose companions are not the other columns of the root's primary key, or whose table
/// belongs to a role without the rights of the root's owner. It could otherwise ask for values of any
/// columns of the root. A root without partitions has no companions. The primary key is on the old ids, or has
/// moved to the keys.
///
/// # Errors
/// 55000, 42501.
///
/// # Safety
/// Both relations must be open.
pub(super) unsafe fn check_companions(
    trigger: &dyn Fn() -> String,
    relation: pg_sys::Relation,
    root: pg_sys::Relation,
    (old_id, key): (i16, i16),
    companions: &Companions,
) -> Result<(), Error> {
    // SAFETY: see above; an index has as many columns as it says, and its lock is kept.
    unsafe {
        let is_partitioned = (*(*root).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE;
        if !is_partitioned && companions.is_empty() {
            return Ok(());
        }
        let primary = primary_key_index(root);
        let is_right = is_partitioned && !companions.is_empty() && primary != pg_sys::InvalidOid && {
            let index = pg_sys::index_open(primary, pg_sys::AccessShareLock as i32);
            let form = (*index).rd_index;
            let count = usize::try_from((*form).indnkeyatts).unwrap_or(0);
            let columns = std::slice::from_raw_parts((*form).indkey.values.as_ptr(), count);
            let is_companion = |column: &i16| companions.iter().any(|one| one.of_key == *column);
            let is_right = companions.iter().count() + 1 == count
                && columns.iter().all(|column| [old_id, key].contains(column) || is_companion(column));
            pg_sys::index_close(index, pg_sys::NoLock as i32);
            is_right
        };
        if !is_right {
            let message = format!(
                "trigger \"{}\" of table {} does not name the primary key of table {}",
                trigger(),
                relation_name((*relation).rd_id),
                relation_name((*root).rd_id)
            );
            return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                .detail("Rows of a partitioned table are looked up by its primary key.")
                .hint(
                    "CALL key_migration_advance() for the migration that it belongs to, or drop the trigger.",
                ));
        }
        let (owner, of_root) = ((*(*relation).rd_rel).relowner, (*(*root).rd_rel).relowner);
        if pg_sys::has_privs_of_role(owner, of_root) {
            return Ok(());
        }
        let detail = "Keys of a partitioned table can be looked up only for tables of the same owner.";
        Err(denied(relation, root, detail).hint("Give both tables the same owner."))
    }
}

/// # Safety
/// The relation must be open.
pub(super) unsafe fn has_foreign_key(
    relation: pg_sys::Relation,
    root: pg_sys::Oid,
    columns: LookupColumns,
) -> bool {
    let pairs = [(columns.old_id, columns.root_old_id), (columns.key, columns.root_key)];
    // SAFETY: see above; a list of foreign keys, each with as many columns as it says.
    unsafe {
        let keys = pg_sys::RelationGetFKeyList(relation);
        (0..if keys.is_null() { 0 } else { (*keys).length }).any(|at| {
            let key = &*pg_sys::list_nth(keys, at).cast::<pg_sys::ForeignKeyCacheInfo>();
            let count = usize::try_from(key.nkeys).unwrap_or(0);
            key.confrelid == root
                && key
                    .conkey
                    .iter()
                    .zip(&key.confkey)
                    .take(count)
                    .any(|(own, other)| pairs.contains(&(*own, *other)))
        })
    }
}

fn may_select(root: pg_sys::Oid, role: pg_sys::Oid, columns: LookupColumns, companions: &Companions) -> bool {
    let select = pg_sys::ACL_SELECT as pg_sys::AclMode;
    let ok = pg_sys::AclResult::ACLCHECK_OK;
    // SAFETY: looks up catalogs by OID.
    unsafe {
        may_use_schema(pg_sys::get_rel_namespace(root), role)
            && (pg_sys::pg_class_aclcheck(root, role, select) == ok
                || [Some(columns.root_old_id), Some(columns.root_key), columns.root_time]
                    .into_iter()
                    .flatten()
                    .chain(companions.iter().map(|one| one.of_key))
                    .all(|column| pg_sys::pg_attribute_aclcheck(root, column, role, select) == ok))
    }
}

/// Whether keys of a table may take their time from these columns of another table: its owner must be
/// allowed to read them. Unless the owner itself says so, the current user must be allowed to, too.
/// A foreign key does not suffice, because it required no privilege on the time.
///
/// # Safety
/// Both relations must be open.
pub(super) unsafe fn may_read_time(
    relation: pg_sys::Relation,
    parent: pg_sys::Relation,
    columns: [i16; 2],
    owner_says_so: bool,
) -> bool {
    // SAFETY: see above; looks up catalogs by OID.
    unsafe {
        let oid = (*parent).rd_id;
        let owner = (*(*relation).rd_rel).relowner;
        let (select, ok) = (pg_sys::ACL_SELECT as pg_sys::AclMode, pg_sys::AclResult::ACLCHECK_OK);
        let may = |role: pg_sys::Oid| {
            if pg_sys::has_privs_of_role(role, (*(*parent).rd_rel).relowner) {
                return true;
            }
            let hides =
                pg_sys::check_enable_rls(oid, role, true) == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32;
            !hides
                && may_use_schema(pg_sys::get_rel_namespace(oid), role)
                && (pg_sys::pg_class_aclcheck(oid, role, select) == ok
                    || columns
                        .iter()
                        .all(|column| pg_sys::pg_attribute_aclcheck(oid, *column, role, select) == ok))
        };
        may(owner) && (owner_says_so || may(pg_sys::GetUserId()))
    }
}

/// Refuses a caller who may not read all of a table, as a query by the caller would be refused.
///
/// # Errors
/// 42501.
pub(super) fn check_may_read(table: pg_sys::Oid) -> Result<(), Error> {
    let select = pg_sys::ACL_SELECT as pg_sys::AclMode;
    let ok = pg_sys::AclResult::ACLCHECK_OK;
    // SAFETY: looks up catalogs by OID.
    let (may, hides) = unsafe {
        let user = pg_sys::GetUserId();
        let all = pg_sys::AclMaskHow::ACLMASK_ALL;
        let may = may_use_schema(pg_sys::get_rel_namespace(table), user)
            && (pg_sys::pg_class_aclcheck(table, user, select) == ok
                || pg_sys::pg_attribute_aclcheck_all(table, user, select, all) == ok);
        let hides = pg_sys::check_enable_rls(table, pg_sys::InvalidOid, true)
            == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32;
        (may, hides)
    };
    let name = relation_name(table);
    if !may {
        let message = format!("permission denied for table {}", name.trim_matches('"'));
        return Err(Error::new(SqlState::InsufficientPrivilege, message));
    }
    if hides {
        let message = format!("query would be affected by row-level security policy for table {name}");
        return Err(Error::new(SqlState::InsufficientPrivilege, message));
    }
    Ok(())
}

/// Refuses a caller who does not have the rights of a table's owner.
///
/// # Errors
/// 42501.
pub(super) fn check_is_owner(table: pg_sys::Oid, owner: pg_sys::Oid) -> Result<(), Error> {
    // SAFETY: looks up catalogs by OID.
    if unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), owner) } {
        return Ok(());
    }
    let message = format!("must be owner of table {}", relation_name(table).trim_matches('"'));
    Err(Error::new(SqlState::InsufficientPrivilege, message)
        .hint("Run the migration as a role that owns all of its tables."))
}

/// # Safety
/// Both relations must be open.
#[cold]
unsafe fn denied(relation: pg_sys::Relation, root: pg_sys::Relation, detail: &str) -> Error {
    // SAFETY: see above.
    let (owner, table, root) = unsafe {
        (
            role_name((*(*relation).rd_rel).relowner),
            relation_name((*relation).rd_id),
            relation_name((*root).rd_id),
        )
    };
    let message = format!("owner {owner} of table {table} cannot read table {root}");
    Error::new(SqlState::InsufficientPrivilege, message).detail(detail)
}

fn role_name(role: pg_sys::Oid) -> String {
    // SAFETY: looks up the role; the name is a copy, or null.
    let name = unsafe { pg_sys::GetUserNameFromId(role, true) };
    if name.is_null() {
        return format!("role with OID {}", role.to_u32());
    }
    // SAFETY: not null, and NUL-terminated.
    format!("\"{}\"", from_server(unsafe { CStr::from_ptr(name) }))
}
