//! Reads the rows of a small table without a query: none of the table's code runs, and no privilege
//! is checked.

use pgrx::pg_sys;

use super::open::OpenRelation;

/// The values of one row, by column number.
pub(crate) struct RawRow<'a> {
    values: &'a [pg_sys::Datum],
    nulls: &'a [bool],
}

impl RawRow<'_> {
    /// A value; `None` if it is NULL or the table has no such column.
    pub(crate) fn get(&self, attribute: i16) -> Option<pg_sys::Datum> {
        let at = usize::try_from(attribute).ok()?.checked_sub(1)?;
        if *self.nulls.get(at)? { None } else { self.values.get(at).copied() }
    }
}

/// Reads each row that the latest snapshot sees. Values by reference are valid only within `read`.
pub(crate) fn read<T>(table: &OpenRelation, mut read: impl FnMut(&RawRow<'_>) -> T) -> Vec<T> {
    let mut rows = Vec::new();
    let columns = table.rd_att;
    // SAFETY: the table is open, so that it has its columns, and the arrays have room for all of
    // them. The snapshot is registered while the scan runs, and both are released. An error ends
    // the transaction, which releases them, too.
    unsafe {
        let count = usize::try_from((*columns).natts).unwrap_or_default();
        let mut values = vec![pg_sys::Datum::null(); count];
        let mut nulls = vec![true; count];
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let (index, keys) = (pg_sys::InvalidOid, std::ptr::null_mut());
        let scan = pg_sys::systable_beginscan(table.raw(), index, false, snapshot, 0, keys);
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            pg_sys::heap_deform_tuple(tuple, columns, values.as_mut_ptr(), nulls.as_mut_ptr());
            rows.push(read(&RawRow { values: &values, nulls: &nulls }));
        }
        pg_sys::systable_endscan(scan);
        pg_sys::UnregisterSnapshot(snapshot);
    }
    rows
}
