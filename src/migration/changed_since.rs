//! Counts the rows whose key is not the one that their time and old id give now, if the time is not a
//! matter of the row alone. A query would fail on a row whose time cannot be computed, and could
//! involve tables of two owners.

use keyspace::Error;
use keyspace::migration::member::Member;
use keyspace::migration::old_id::OldId;
use keyspace::migration::scope::Key;
use pgrx::pg_sys;

use super::derive::Derivation;
use super::row_time::{RowTime, SaidBy};
use super::tuple::{Column, Role, RowOf};
use crate::server::by_version::begin_table_scan;
use crate::server::memory::OwnMemory;
use crate::server::open::OpenRelation;

/// The number of such rows, and the least old id in them. `member` is the key, or its column in a partition.
/// The caller must have been allowed to
/// read the table, and it must run as the owner.
///
/// # Errors
/// 42804 if a column has another type than the migration's, 55000 if it no longer exists.
pub(super) fn rows(
    key: &Key<'_>,
    member: &Member<'_>,
    derivation: &Derivation,
    key_type: pg_sys::Oid,
) -> Result<(i64, Option<OldId>), Error> {
    let table = OpenRelation::table(pg_sys::Oid::from(member.table.oid), pg_sys::AccessShareLock);
    let relation = table.raw();
    let column = |number: i16, role: Role| {
        // SAFETY: the relation is open.
        unsafe { Column::of(relation, number, role).map_err(|unfit| unfit.error((*relation).rd_id)) }
    };
    let old_id = column(member.old_id.number, Role::of_key(&key.column))?;
    let shadow = column(member.shadow_number, Role::Key(key_type))?;
    let (mut count, mut least) = (0, None::<OldId>);
    // SAFETY: the table is read under a snapshot that stays registered. Everything opened is closed; an
    // error releases everything held. A slot that holds a row has the columns of its table.
    unsafe {
        let of = pg_sys::Oid::from(key.column.table.oid);
        let mut time = RowTime::open_in(relation, of, &key.time.source, SaidBy::Owner);
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetTransactionSnapshot());
        let memory = OwnMemory::new(c"key migration comparison");
        let slot = pg_sys::table_slot_create(relation, std::ptr::null_mut());
        let scan = begin_table_scan(relation, snapshot);
        while pg_sys::table_scan_getnextslot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot) {
            pgrx::check_for_interrupts!();
            let row = RowOf::Slot(slot);
            let changed = memory.run(|| {
                let (old, has) = (row.value(old_id)?, row.value(shadow)?);
                if derivation.key(time.of(row), old) == has { None } else { old.to_old_id() }
            });
            if let Some(old) = changed {
                count += 1;
                least = Some(match least.take() {
                    Some(least) => least.min(old),
                    None => old,
                });
            }
        }
        pg_sys::table_endscan(scan);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::UnregisterSnapshot(snapshot);
    }
    Ok((count, least))
}
