//! Makes a primary key of the unique index of a partitioned table and of those that are attached to it.
//!
//! PostgreSQL has `ADD PRIMARY KEY USING INDEX` for tables without partitions only. Adding the primary key
//! to the partitioned table would build all indexes once more, under its lock. So this does what that command
//! does, for the index of the table and then for those of its partitions, level by level: PostgreSQL's own
//! function writes the catalogs, and the constraints of partitions belong to that of the table, as if it
//! had been created with it.

use std::ffi::CStr;

use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::rights::check_is_owner;
use crate::encoding::from_server;
use crate::error::or_raise;
use crate::server::by_version;
use crate::server::open::OpenRelation;
use crate::server::relation::{existing_relation, relation_name, relation_owner};

/// Declared in sql/migration/key_migration_triggers.sql.
///
/// # Errors
/// 22004, 42P01 for invalid arguments; 42809 if it is not an index of a partitioned table; 42501 if the caller
/// does not own the table; 55000 if the table has a primary key, or if the index or one of a partition cannot
/// be one.
#[pg_extern(sql = false)]
fn key_migration_add_primary_key(index: Option<pg_sys::Oid>) {
    let index = or_raise(existing_relation(index, "index"));
    or_raise(add(index));
}

fn add(index: pg_sys::Oid) -> Result<(), Error> {
    // SAFETY: looks up a catalog by OID.
    let (kind, is_attached) =
        unsafe { (pg_sys::get_rel_relkind(index) as u8, pg_sys::get_rel_relispartition(index)) };
    if kind != pg_sys::RELKIND_PARTITIONED_INDEX || is_attached {
        let message = format!("{} is not an index of a partitioned table", relation_name(index));
        return Err(Error::new(SqlState::WrongObjectType, message));
    }
    // SAFETY: looks up a catalog by OID.
    let table = unsafe { pg_sys::IndexGetRelation(index, true) };
    check_is_owner(table, relation_owner(table))?;
    // Nobody adds a partition or changes its indexes meanwhile. The locks are kept until the end of the
    // transaction. The index may have been dropped before.
    let lock = pg_sys::AccessExclusiveLock;
    let opened = OpenRelation::table(table, lock);
    check_is_owner(table, relation_owner(table))?;
    // SAFETY: locks all partitions by OID; the list is a copy.
    unsafe { pg_sys::list_free(pg_sys::find_all_inheritors(table, lock as i32, std::ptr::null_mut())) };
    drop(opened.release(pg_sys::NoLock));
    add_to(index, pg_sys::InvalidOid)
}

/// Makes one index a primary key, and then those that are attached to it. `parent` is the primary key of the
/// partitioned table above.
fn add_to(index: pg_sys::Oid, parent: pg_sys::Oid) -> Result<(), Error> {
    // SAFETY: the tables are locked, so nothing is dropped meanwhile. Everything opened is closed; the list
    // is a copy. The catalogs are changed by PostgreSQL's own function, and the changes are made visible.
    unsafe {
        let lock = pg_sys::AccessExclusiveLock as i32;
        let opened = pg_sys::index_open(index, lock);
        let table = pg_sys::table_open((*(*opened).rd_index).indrelid, pg_sys::NoLock as i32);
        let checked = check(table, opened);
        let added = checked.map(|()| {
            let name = pg_sys::get_rel_name(index);
            let flags = pg_sys::INDEX_CONSTR_CREATE_MARK_AS_PRIMARY
                | pg_sys::INDEX_CONSTR_CREATE_UPDATE_INDEX
                | pg_sys::INDEX_CONSTR_CREATE_REMOVE_OLD_DEPS;
            pg_sys::index_constraint_create(
                table,
                index,
                parent,
                pg_sys::BuildIndexInfo(opened),
                name,
                pg_sys::CONSTRAINT_PRIMARY as std::ffi::c_char,
                flags as u16,
                false,
                false,
            )
            .objectId
        });
        pg_sys::index_close(opened, pg_sys::NoLock as i32);
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        let constraint = added?;
        pg_sys::CommandCounterIncrement();
        let attached = pg_sys::find_inheritance_children(index, lock);
        for at in 0..if attached.is_null() { 0 } else { (*attached).length } {
            add_to(pg_sys::list_nth_oid(attached, at), constraint)?;
        }
        pg_sys::list_free(attached);
    }
    Ok(())
}

/// Whether a table has a primary key, valid or not.
///
/// # Safety
/// The relation must be open.
unsafe fn has_primary_key(table: pg_sys::Relation) -> bool {
    // SAFETY: see above; the list is a copy. The indexes are locked as for a query.
    unsafe {
        let list = pg_sys::RelationGetIndexList(table);
        let found = (0..if list.is_null() { 0 } else { (*list).length }).any(|at| {
            let index = pg_sys::index_open(pg_sys::list_nth_oid(list, at), pg_sys::AccessShareLock as i32);
            let is_primary = (*(*index).rd_index).indisprimary;
            pg_sys::index_close(index, pg_sys::NoLock as i32);
            is_primary
        });
        pg_sys::list_free(list);
        found
    }
}

/// Refuses an index that cannot be that of a primary key.
///
/// # Safety
/// Both relations must be open, and the index must belong to the table.
unsafe fn check(table: pg_sys::Relation, index: pg_sys::Relation) -> Result<(), Error> {
    // SAFETY: see above; an index has as many columns as it says.
    unsafe {
        let form = &*(*index).rd_index;
        let refusal = |why: String| {
            let message = format!("index {} cannot become a primary key", relation_name((*index).rd_id));
            Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(why))
        };
        let table_name = relation_name((*table).rd_id);
        if has_primary_key(table) {
            return refusal(format!("Table {table_name} already has a primary key."));
        }
        let has = |number: u32| {
            !pg_sys::heap_attisnull((*index).rd_indextuple, number as i32, std::ptr::null_mut())
        };
        let is_plain = !has(pg_sys::Anum_pg_index_indpred) && !has(pg_sys::Anum_pg_index_indexprs);
        let is_unique = form.indisunique && form.indimmediate && !form.indnullsnotdistinct;
        if !(is_unique && form.indisvalid && form.indisready && is_plain) {
            return refusal("It is not a valid unique index on columns of all rows.".to_owned());
        }
        if pg_sys::get_index_constraint((*index).rd_id) != pg_sys::InvalidOid {
            return refusal("It belongs to another constraint.".to_owned());
        }
        for at in 0..usize::try_from(form.indnkeyatts).unwrap_or(0) {
            let column = i32::from(*form.indkey.values.as_ptr().add(at)) - 1;
            let attribute = &*by_version::attribute((*table).rd_att, column);
            if !by_version::is_required((*table).rd_att, column) {
                let name = from_server(CStr::from_ptr(attribute.attname.data.as_ptr()));
                return refusal(format!("Column \"{name}\" of table {table_name} is not marked NOT NULL."));
            }
            // A primary key could not be created so, and a dump would not say it.
            let usual = pg_sys::GetDefaultOpClass(attribute.atttypid, (*(*index).rd_rel).relam);
            let is_usual = usual != pg_sys::InvalidOid
                && *(*index).rd_opfamily.add(at) == pg_sys::get_opclass_family(usual)
                && *(*index).rd_indcollation.add(at) == attribute.attcollation
                && *(*index).rd_indoption.add(at) == 0;
            if !is_usual {
                return refusal("It does not have the default sorting behavior.".to_owned());
            }
        }
        Ok(())
    }
}
