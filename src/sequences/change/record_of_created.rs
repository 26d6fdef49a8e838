//! Records sequences that are set up as they are created, whoever creates them.

use std::ffi::CStr;

use keyspace::sequences::{PastValues, Plan, Residue, Sequence};
use keyspace::{Error, SqlState};
use pgrx::{IntoDatum, pg_sys};

use crate::encoding::ServerJson;
use crate::sequences::change::records;
use crate::sequences::own::tables;
use crate::server::by_version::primary_key_index;
use crate::server::extension::Extension;
use crate::server::open::OpenRelation;
use crate::server::tables::own_key;

/// Records what was done with a sequence, and its former state, like `records::keep`, but without a
/// privilege and without a query. Roles that create tables have no privilege on our table, and the
/// row describes only what was just done.
///
/// # Errors
/// 55000 if the table is gone, or another one has taken its place.
pub(crate) fn keep(
    extension: Extension,
    oid: pg_sys::Oid,
    before: &Sequence,
    plan: &Plan,
) -> Result<(), Error> {
    let table = tables::SEQUENCE.oid(extension)?;
    let (system_identifier, database) = own_key();
    let number = |value: i64| Some(pg_sys::Datum::from(value));
    // SAFETY: reads the start time of this transaction.
    let now = unsafe { pg_sys::GetCurrentTransactionStartTimestamp() };
    let next_values =
        Residue::through(i128::from(plan.restart.unwrap_or_default()), plan.increment.unsigned_abs());
    let history = PastValues::extend(Vec::new(), before.handed_out(None), next_values, before.increment > 0);
    let history = ServerJson(PastValues::to_json(&history)).into_datum();
    let timeline = Some(records::timeline().unwrap_or_default().into());
    let (bigint, oid_type, time) = (pg_sys::INT8OID, pg_sys::OIDOID, pg_sys::TIMESTAMPTZOID);
    let row = [
        Value { column: c"system_identifier", kind: bigint, datum: number(system_identifier) },
        Value { column: c"database", kind: oid_type, datum: Some(database.into()) },
        Value { column: c"sequence", kind: oid_type, datum: Some(oid.into()) },
        Value { column: c"increment", kind: bigint, datum: number(plan.increment) },
        Value { column: c"former_increment", kind: bigint, datum: number(before.increment) },
        Value { column: c"former_start", kind: bigint, datum: number(before.start) },
        Value { column: c"former_min_value", kind: bigint, datum: number(before.min_value) },
        Value { column: c"former_max_value", kind: bigint, datum: number(before.max_value) },
        Value { column: c"start", kind: bigint, datum: number(plan.bounds.start) },
        Value { column: c"min_value", kind: bigint, datum: number(plan.bounds.min_value) },
        Value { column: c"max_value", kind: bigint, datum: number(plan.bounds.max_value) },
        Value { column: c"in_use", kind: bigint, datum: plan.in_use.map(pg_sys::Datum::from) },
        Value { column: c"restart", kind: bigint, datum: plan.restart.map(pg_sys::Datum::from) },
        Value { column: c"before_setup", kind: pg_sys::JSONBOID, datum: history },
        Value { column: c"gap", kind: bigint, datum: number(0) },
        Value { column: c"timeline", kind: pg_sys::INT4OID, datum: timeline },
        Value { column: c"set_up_at", kind: time, datum: number(now) },
    ];
    // SAFETY: looks up catalogs by OID.
    let is_ours = unsafe {
        pg_sys::get_rel_relkind(table) as u8 == pg_sys::RELKIND_RELATION
            && row.iter().all(|value| {
                let number = pg_sys::get_attnum(table, value.column.as_ptr());
                number > 0 && pg_sys::get_atttype(table, number) == value.kind
            })
    };
    if !is_ours {
        let message = format!("table \"{}\" is not the table of the extension", tables::SEQUENCE.name());
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .hint("Restore the name and schema of the table of the extension."));
    }
    // SAFETY: the table has these columns, as was checked.
    unsafe { write(table, &row) };
    Ok(())
}

/// A value for a column.
struct Value {
    column: &'static CStr,
    kind: pg_sys::Oid,
    datum: Option<pg_sys::Datum>,
}

/// The number of columns of the primary key, which come first.
const KEY: usize = 3;

/// # Safety
/// `table` must be a table with columns of these names, whose types match the values.
unsafe fn write(table: pg_sys::Oid, row: &[Value]) {
    // SAFETY: see above. The relation is closed again, and the tuple that is found is used before
    // its scan ends.
    unsafe {
        let relation = OpenRelation::table(table, pg_sys::RowExclusiveLock);
        let columns = relation.rd_att;
        let natts = usize::try_from((*columns).natts).unwrap_or(0);
        let mut values = vec![pg_sys::Datum::null(); natts];
        let mut nulls = vec![true; natts];
        let mut keys = [pg_sys::ScanKeyData::default(); KEY];
        for (at, value) in row.iter().enumerate() {
            let number = pg_sys::get_attnum(table, value.column.as_ptr());
            let (Some(datum), Ok(column)) = (value.datum, usize::try_from(number - 1)) else { continue };
            if column >= natts {
                continue;
            }
            values[column] = datum;
            nulls[column] = false;
            if let Some(key) = keys.get_mut(at) {
                let equal = if at == 0 { pg_sys::F_INT8EQ } else { pg_sys::F_OIDEQ };
                let strategy = pg_sys::BTEqualStrategyNumber as u16;
                pg_sys::ScanKeyInit(key, number, strategy, equal.into(), datum);
            }
        }
        let new = pg_sys::heap_form_tuple(columns, values.as_mut_ptr(), nulls.as_mut_ptr());
        // OIDs of dropped sequences can be reused, after four billion others.
        let index = primary_key_index(relation.raw());
        let scan = pg_sys::systable_beginscan(
            relation.raw(),
            index,
            index != pg_sys::InvalidOid,
            std::ptr::null_mut(),
            KEY as i32,
            keys.as_mut_ptr(),
        );
        let old = pg_sys::systable_getnext(scan);
        if old.is_null() {
            pg_sys::CatalogTupleInsert(relation.raw(), new);
        } else {
            let mut place = (*old).t_self;
            pg_sys::CatalogTupleUpdate(relation.raw(), &raw mut place, new);
        }
        pg_sys::systable_endscan(scan);
    }
}
