//! Gives the identity of a column to another column of the same table.
//!
//! PostgreSQL has no command for it. Dropping the identity and adding another one would replace the
//! sequence, and lose its privileges, its comment, its place in publications and replication sets, and
//! what is recorded about its class. So the two catalogs are changed here that say which column it is:
//! the columns in `pg_attribute`, and the dependency of the sequence in `pg_depend`. The commands ADD
//! and DROP IDENTITY write the same two. Since PostgreSQL 17, the columns of partitions are identity columns
//! with that of their table, and are changed with it.

use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::rights::check_is_owner;
use crate::error::or_raise;
use crate::server::by_version::{self, PARTITIONS_SHARE_IDENTITY};
use crate::server::call::required;
use crate::server::open::OpenRelation;
use crate::server::relation::{existing_relation, relation_name, relation_owner};

/// Declared in sql/migration/key_migration_triggers.sql.
///
/// # Errors
/// 22004, 42P01 for invalid arguments; 42809 for another kind of relation; 42501 if the caller does not own the
/// table; 55000 for a partition, if the first column is no identity column, or if the second one cannot become
/// one.
#[pg_extern(sql = false)]
fn key_migration_move_identity(
    table_name: Option<pg_sys::Oid>,
    from_column: Option<i16>,
    to_column: Option<i16>,
) {
    let relation = or_raise(existing_relation(table_name, "table_name"));
    let from = or_raise(required(from_column, "from_column"));
    let to = or_raise(required(to_column, "to_column"));
    or_raise(check_is_owner(relation, relation_owner(relation)));
    or_raise(move_identity(relation, from, to));
}

fn move_identity(relation: pg_sys::Oid, from: i16, to: i16) -> Result<(), Error> {
    // SAFETY: looks up a catalog by OID.
    let kind = unsafe { pg_sys::get_rel_relkind(relation) } as u8;
    if ![pg_sys::RELKIND_RELATION, pg_sys::RELKIND_PARTITIONED_TABLE].contains(&kind) {
        return Err(Error::new(
            SqlState::WrongObjectType,
            format!("{} is not an ordinary or partitioned table", relation_name(relation)),
        ));
    }
    // Nobody writes to the table or draws for it meanwhile. It may have got another owner before.
    let lock = pg_sys::AccessExclusiveLock;
    let table = OpenRelation::table(relation, lock);
    check_is_owner(relation, relation_owner(relation))?;
    let refusal = |why: &str| {
        let message = format!("cannot move an identity of table {}", relation_name(relation));
        Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(why))
    };
    // SAFETY: the table is open.
    if PARTITIONS_SHARE_IDENTITY && unsafe { (*(*table.raw()).rd_rel).relispartition } {
        return refusal("It is a partition, whose identity columns are those of its table.");
    }
    let (Some(own), Some(other)) = (column(&table, from), column(&table, to)) else {
        return refusal("One of the columns does not exist.");
    };
    // SAFETY: the table is locked; looks up its identity sequence.
    let sequence = unsafe { by_version::identity_sequence(table.raw(), from) };
    if own.attidentity == 0 || sequence == pg_sys::InvalidOid {
        return refusal("The first column is no identity column.");
    }
    let is_integer = [pg_sys::INT2OID, pg_sys::INT4OID, pg_sys::INT8OID].contains(&other.atttypid);
    if !is_integer || !other.attnotnull || other.atthasdef || other.attidentity != 0 {
        return refusal("An identity column is an integer that is NOT NULL and has no default.");
    }
    // SAFETY: both columns exist, also in partitions, and the sequence is locked. The list is a copy. Catalogs
    // are changed as PostgreSQL's own commands change them, and the changes are made visible at the end.
    unsafe {
        pg_sys::LockRelationOid(sequence, pg_sys::ShareRowExclusiveLock as i32);
        set_identity(relation, from, 0);
        set_identity(relation, to, own.attidentity);
        if PARTITIONS_SHARE_IDENTITY && kind == pg_sys::RELKIND_PARTITIONED_TABLE {
            let names = [own.attname, other.attname];
            let all = pg_sys::find_all_inheritors(relation, lock as i32, std::ptr::null_mut());
            for partition in (0..(*all).length).map(|at| pg_sys::list_nth_oid(all, at)) {
                // A partition has all columns of its table, by the same names.
                let [from, to] = names.map(|name| pg_sys::get_attnum(partition, name.data.as_ptr()));
                if partition != relation && from > 0 && to > 0 {
                    set_identity(partition, from, 0);
                    set_identity(partition, to, own.attidentity);
                }
            }
            pg_sys::list_free(all);
        }
        let (class, internal) = (pg_sys::RelationRelationId, pg_sys::DependencyType::DEPENDENCY_INTERNAL);
        pg_sys::deleteDependencyRecordsForClass(class, sequence, class, internal as std::ffi::c_char);
        let depender = pg_sys::ObjectAddress { classId: class, objectId: sequence, objectSubId: 0 };
        let referenced =
            pg_sys::ObjectAddress { classId: class, objectId: relation, objectSubId: i32::from(to) };
        pg_sys::recordDependencyOn(&depender, &referenced, internal);
        pg_sys::CommandCounterIncrement();
    }
    // The lock is kept until the end of the transaction.
    drop(table.release(pg_sys::NoLock));
    Ok(())
}

/// A column of an open table; `None` if it does not exist, or was dropped.
fn column(table: &OpenRelation, number: i16) -> Option<pg_sys::FormData_pg_attribute> {
    // SAFETY: the table is open, and the number is checked before it is used.
    unsafe {
        let of = (*table.raw()).rd_att;
        if number < 1 || i32::from(number) > (*of).natts {
            return None;
        }
        let found = *by_version::attribute(of, i32::from(number) - 1);
        (!found.attisdropped).then_some(found)
    }
}

/// Writes `attidentity` of a column.
///
/// # Safety
/// The column must exist, and its table must be locked.
unsafe fn set_identity(relation: pg_sys::Oid, number: i16, identity: std::ffi::c_char) {
    // SAFETY: see above; the row is a copy of the one in the catalog, and its fixed part is written.
    unsafe {
        let catalog =
            pg_sys::table_open(pg_sys::AttributeRelationId, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
        let row = pg_sys::SearchSysCacheCopyAttNum(relation, number);
        (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_attribute>()).attidentity = identity;
        pg_sys::CatalogTupleUpdate(catalog, &raw mut (*row).t_self, row);
        pg_sys::heap_freetuple(row);
        pg_sys::table_close(catalog, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
    }
}
