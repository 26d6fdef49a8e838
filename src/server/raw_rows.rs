//! The rows of a small table, read without a query: nothing of the table is run, and no privilege is asked for.

use pgrx::pg_sys;

/// The values of one row, by the numbers of its columns.
pub(crate) struct RawRow<'a> {
    values: &'a [pg_sys::Datum],
    nulls: &'a [bool],
}

impl RawRow<'_> {
    /// A value; `None` where it is NULL, or the table has no such column.
    pub(crate) fn get(&self, attribute: i16) -> Option<pg_sys::Datum> {
        let at = usize::try_from(attribute).ok()?.checked_sub(1)?;
        if *self.nulls.get(at)? { None } else { self.values.get(at).copied() }
    }
}

/// Reads each row that the latest snapshot shows.
///
/// # Safety
/// `relation` must be a table, opened and locked with at least AccessShare. Values by reference are valid within `read`
/// alone, which must not close the table.
pub(crate) unsafe fn read<T>(relation: pg_sys::Relation, mut read: impl FnMut(&RawRow<'_>) -> T) -> Vec<T> {
    let mut rows = Vec::new();
    // SAFETY: the snapshot is registered as long as the scan runs, and both are given back; an error of the scan ends the
    // transaction, which does so too. The arrays have room for all columns of the table.
    unsafe {
        let columns = (*relation).rd_att;
        let count = usize::try_from((*columns).natts).unwrap_or_default();
        let mut values = vec![pg_sys::Datum::null(); count];
        let mut nulls = vec![true; count];
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let scan = pg_sys::systable_beginscan(
            relation,
            pg_sys::InvalidOid,
            false,
            snapshot,
            0,
            std::ptr::null_mut(),
        );
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
