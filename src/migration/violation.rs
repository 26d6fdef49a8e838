//! The errors for a row that refers to no row. That of a foreign key is raised as at the end of the
//! statement: programs find the constraint in it under the name that they know (fault C21).

use std::ffi::CStr;

use keyspace::migration::numeric;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::old_id::shown as shown_id;
use super::tuple::{Column, Value};
use crate::encoding::from_server;
use crate::error::{Violated, raise, report};
use crate::server::by_version::is_enforced;
use crate::server::relation::relation_name;

/// Raises the error that the foreign key on a column would raise for this value. `by` is the column
/// whose foreign key is named if there is none on this one.
///
/// # Safety
/// The relation must be open and have the column.
#[cold]
pub(super) unsafe fn refuse_orphan(
    relation: pg_sys::Relation,
    column: Column,
    value: Value,
    root: pg_sys::Oid,
    by: Column,
) -> ! {
    // SAFETY: see above; names are copies, or null.
    let (oid, name, table, schema, constraint, shown) = unsafe {
        let oid = (*relation).rd_id;
        (
            oid,
            text(pg_sys::get_attname(oid, column.number, true)).unwrap_or_default(),
            text(pg_sys::get_rel_name(oid)).unwrap_or_default(),
            text(pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid))).unwrap_or_default(),
            foreign_key(relation, column.number, root).or_else(|| foreign_key(relation, by.number, root)),
            shown(oid, column, value),
        )
    };
    let (of, other) = (relation_name(oid), relation_name(root));
    let message = match &constraint {
        Some(constraint) => {
            format!("insert or update on table {of} violates foreign key constraint \"{constraint}\"")
        }
        None => {
            format!("insert or update on table {of} refers to a row that is not present in table {other}")
        }
    };
    let detail = match shown {
        Some(value) => format!("Key ({name})=({value}) is not present in table {other}."),
        None => format!("Key is not present in table {other}."),
    };
    let error = Error::new(SqlState::ForeignKeyViolation, message)
        .detail(detail)
        .hint("During a key migration, the referenced row must be inserted first.");
    raise(report(error).violated(violated(schema, table, name, constraint)))
}

/// Raises the error for NULL in a column that is NOT NULL.
///
/// # Safety
/// The relation must be open and have the column.
#[cold]
pub(super) unsafe fn refuse_null(relation: pg_sys::Relation, column: Column) -> ! {
    // SAFETY: see above; names are copies, or null.
    let (name, table, schema) = unsafe {
        let oid = (*relation).rd_id;
        (
            text(pg_sys::get_attname(oid, column.number, true)).unwrap_or_default(),
            text(pg_sys::get_rel_name(oid)).unwrap_or_default(),
            text(pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid))).unwrap_or_default(),
        )
    };
    let message =
        format!("null value in column \"{name}\" of relation \"{table}\" violates not-null constraint");
    let error = Error::new(SqlState::NotNullViolation, message);
    raise(report(error).violated(violated(schema, table, name, None)))
}

/// Refuses an id of type `numeric` from which no key can be derived.
///
/// # Safety
/// The relation must have the column.
#[cold]
pub(super) unsafe fn refuse_unfit_id(relation: pg_sys::Oid, column: Column, id: Value) -> ! {
    // SAFETY: see above; the name is a copy, or null.
    let name = unsafe { text(pg_sys::get_attname(relation, column.number, true)) }.unwrap_or_default();
    // SAFETY: see above.
    let id = id.to_old_id().filter(|_| unsafe { may_see(relation, column) });
    let message = numeric::message(id.as_ref().map(shown_id).as_deref(), &name, &relation_name(relation));
    raise(report(
        Error::new(SqlState::NumericValueOutOfRange, message)
            .detail("A key migration derives keys from ids as bigint."),
    ))
}

/// The fields of these errors.
fn violated(schema: String, table: String, column: String, constraint: Option<String>) -> Violated {
    Violated {
        schema: Some(schema),
        table: Some(table),
        column: Some(column),
        constraint,
        ..Violated::default()
    }
}

/// Whether there is a foreign key on one column, which must hold for this row if the column is not NULL,
/// and none on another column.
///
/// # Safety
/// The relation must be open and have the columns, and the row must belong to it.
#[cold]
pub(super) unsafe fn is_only_on(
    relation: pg_sys::Relation,
    row: pg_sys::HeapTuple,
    column: i16,
    other: i16,
) -> bool {
    // SAFETY: see above; a list of foreign keys, each with as many columns as it says.
    unsafe {
        let keys = pg_sys::RelationGetFKeyList(relation);
        let count = if keys.is_null() { 0 } else { (*keys).length };
        let mut is_on = false;
        for at in 0..count {
            let key = &*pg_sys::list_nth(keys, at).cast::<pg_sys::ForeignKeyCacheInfo>();
            let columns = key.conkey.iter().take(usize::try_from(key.nkeys).unwrap_or(0));
            if columns.clone().any(|own| *own == other) {
                return false;
            }
            let is_null = |own: &i16| {
                *own != column && pg_sys::heap_attisnull(row, i32::from(*own), (*relation).rd_att)
            };
            let is_on_it = columns.clone().any(|own| *own == column);
            is_on |= is_on_it && is_enforced(key) && !columns.clone().any(is_null);
        }
        is_on
    }
}

/// The name of a foreign key on a column; preferably one that is only on this column and refers to
/// the root.
///
/// # Safety
/// The relation must be open.
unsafe fn foreign_key(relation: pg_sys::Relation, column: i16, root: pg_sys::Oid) -> Option<String> {
    // SAFETY: see above; a list of foreign keys, each with as many columns as it says. The name is a
    // copy, or null.
    unsafe {
        let keys = pg_sys::RelationGetFKeyList(relation);
        let count = if keys.is_null() { 0 } else { (*keys).length };
        let of_column = (0..count)
            .map(|at| &*pg_sys::list_nth(keys, at).cast::<pg_sys::ForeignKeyCacheInfo>())
            .filter(|key| {
                let count = usize::try_from(key.nkeys).unwrap_or(0);
                key.conkey.iter().take(count).any(|own| *own == column)
            });
        let best = of_column.min_by_key(|key| (key.nkeys, key.confrelid != root, key.conoid.to_u32()))?;
        text(pg_sys::get_constraint_name(best.conoid))
    }
}

/// The value as text, if the user may read the column, and no policy may hide the row.
///
/// # Safety
/// The relation must have the column.
unsafe fn shown(relation: pg_sys::Oid, column: Column, value: Value) -> Option<String> {
    // SAFETY: looks up catalogs by OID; the output function of the type gets a value of it.
    unsafe {
        if !may_see(relation, column) {
            return None;
        }
        let datum = column.kind.datum(value)?;
        let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
        pg_sys::getTypeOutputInfo(pg_sys::get_atttype(relation, column.number), &mut output, &mut is_varlena);
        text(pg_sys::OidOutputFunctionCall(output, datum))
    }
}

/// Whether the user may read all values of a column.
///
/// # Safety
/// The relation must have the column.
unsafe fn may_see(relation: pg_sys::Oid, column: Column) -> bool {
    // SAFETY: looks up catalogs by OID.
    unsafe {
        let user = pg_sys::GetUserId();
        let select = pg_sys::ACL_SELECT as pg_sys::AclMode;
        let ok = pg_sys::AclResult::ACLCHECK_OK;
        let hides = pg_sys::check_enable_rls(relation, pg_sys::InvalidOid, true)
            == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32;
        let may = pg_sys::pg_class_aclcheck(relation, user, select) == ok
            || pg_sys::pg_attribute_aclcheck(relation, column.number, user, select) == ok;
        may && !hides
    }
}

/// # Safety
/// A text of the server, or null.
unsafe fn text(text: *const std::ffi::c_char) -> Option<String> {
    // SAFETY: see above.
    (!text.is_null()).then(|| from_server(unsafe { CStr::from_ptr(text) }))
}

/// Raises the error for a key that is the old id of a row of the root.
///
/// # Safety
/// The relation must be open and have the column, and the root must have its columns.
#[cold]
pub(super) unsafe fn refuse_old_id(
    relation: pg_sys::Relation,
    column: Column,
    root: pg_sys::Oid,
    (old_id, key): (Column, Column),
) -> ! {
    // SAFETY: see above; names are copies, or null.
    let (oid, [column, old_id, key, table, schema]) = unsafe {
        let oid = (*relation).rd_id;
        let names = [
            pg_sys::get_attname(oid, column.number, true),
            pg_sys::get_attname(root, old_id.number, true),
            pg_sys::get_attname(root, key.number, true),
            pg_sys::get_rel_name(oid),
            pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid)),
        ];
        (
            oid,
            names.map(|name| if name.is_null() { String::new() } else { from_server(CStr::from_ptr(name)) }),
        )
    };
    let (of, other) = (relation_name(oid), relation_name(root));
    let error = Error::new(
        SqlState::ForeignKeyViolation,
        format!("insert or update on table {of} refers to a row that is not present in table {other}"),
    )
    .detail(format!("The value of column \"{column}\" is the old id of a row of table {other}, not its key."))
    .hint(format!("Read the key again: column \"{key}\" of the row that has this value as \"{old_id}\"."));
    let violated =
        Violated { schema: Some(schema), table: Some(table), column: Some(column), ..Violated::default() };
    raise(report(error).violated(violated))
}
