//! Records of sequences that are set up as they are created, kept whoever creates them.

use std::ffi::CStr;

use keyspace::Error;
use keyspace::sequences::{Phase, Plan, Residue, Sequence};
use pgrx::{IntoDatum, pg_sys};

use super::records;
use super::tables::{self, own_key};
use crate::encoding::ServerJson;

/// Keeps what was done with a sequence, and what it was before, as `records::keep` does, but without a privilege
/// and without a query: whoever creates a table has no privilege on ours, and the row says nothing but what was
/// done just now.
///
/// # Errors
/// 55000 where the table is gone.
pub(super) fn keep(
    function: pg_sys::Oid,
    oid: pg_sys::Oid,
    before: &Sequence,
    plan: &Plan,
) -> Result<(), Error> {
    let table = tables::SEQUENCE.oid(function)?;
    let (system_identifier, database) = own_key();
    let number = |value: i64| Some(pg_sys::Datum::from(value));
    // SAFETY: plain reading of the clock's time of this transaction.
    let now = unsafe { pg_sys::GetCurrentTransactionStartTimestamp() };
    let goes_on_with =
        Residue::through(i128::from(plan.restart.unwrap_or_default()), plan.increment.unsigned_abs());
    let phases = Phase::extend(Vec::new(), Phase::so_far(before, None), goes_on_with);
    let row: [(&CStr, Option<pg_sys::Datum>); 13] = [
        (c"system_identifier", number(system_identifier)),
        (c"database", Some(database.into())),
        (c"sequence", Some(oid.into())),
        (c"increment", number(plan.increment)),
        (c"former_increment", number(before.increment)),
        (c"former_start", number(before.start)),
        (c"former_min_value", number(before.min_value)),
        (c"former_max_value", number(before.max_value)),
        (c"in_use", plan.in_use.map(pg_sys::Datum::from)),
        (c"restart", plan.restart.map(pg_sys::Datum::from)),
        (c"before_setup", ServerJson(Phase::to_json(&phases)).into_datum()),
        (c"timeline", Some(records::timeline().unwrap_or_default().into())),
        (c"set_up_at", number(now)),
    ];
    // SAFETY: the columns have the types that sql/sequences/interleaved_sequence.sql gives them; the table is
    // open and locked while it is read and written.
    unsafe { write(table, &row) };
    Ok(())
}

/// The number of columns of the key, which come first.
const KEY: usize = 3;

/// # Safety
/// `table` must be a table with columns of these names, to whose types the values belong.
unsafe fn write(table: pg_sys::Oid, row: &[(&CStr, Option<pg_sys::Datum>)]) {
    // SAFETY: see above. What is opened is closed; the tuple that is found is used before its scan ends.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::RowExclusiveLock as i32);
        let columns = (*relation).rd_att;
        let natts = usize::try_from((*columns).natts).unwrap_or(0);
        let mut values = vec![pg_sys::Datum::null(); natts];
        let mut nulls = vec![true; natts];
        let mut keys = [pg_sys::ScanKeyData::default(); KEY];
        for (at, (name, value)) in row.iter().enumerate() {
            let number = pg_sys::get_attnum(table, name.as_ptr());
            let (Some(value), Ok(column)) = (value, usize::try_from(number - 1)) else { continue };
            if column >= natts {
                continue;
            }
            values[column] = *value;
            nulls[column] = false;
            if let Some(key) = keys.get_mut(at) {
                let equal = if at == 0 { pg_sys::F_INT8EQ } else { pg_sys::F_OIDEQ };
                let strategy = pg_sys::BTEqualStrategyNumber as u16;
                pg_sys::ScanKeyInit(key, number, strategy, equal.into(), *value);
            }
        }
        let new = pg_sys::heap_form_tuple(columns, values.as_mut_ptr(), nulls.as_mut_ptr());
        // Numbers of dropped sequences come again, after four billion of them.
        #[cfg(not(feature = "pg18"))]
        let index = pg_sys::RelationGetPrimaryKeyIndex(relation);
        #[cfg(feature = "pg18")]
        let index = pg_sys::RelationGetPrimaryKeyIndex(relation, false);
        let scan = pg_sys::systable_beginscan(
            relation,
            index,
            index != pg_sys::InvalidOid,
            std::ptr::null_mut(),
            KEY as i32,
            keys.as_mut_ptr(),
        );
        let old = pg_sys::systable_getnext(scan);
        if old.is_null() {
            pg_sys::CatalogTupleInsert(relation, new);
        } else {
            let mut place = (*old).t_self;
            pg_sys::CatalogTupleUpdate(relation, &mut place, new);
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::RowExclusiveLock as i32);
    }
}
