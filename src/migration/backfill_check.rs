//! The check at the end of a backfill: looks at all rows of a table in one snapshot, and finds those
//! that lack a key although there is one for them.

use std::collections::HashMap;

use keyspace::migration::Scope;
use keyspace::migration::facts::Table;
use keyspace::migration::missed::Missed;
use pgrx::pg_sys;

use super::backfill_page::{Place, check_is_heap, is_row, row_at};
use super::filler::{self, Filler};
use crate::error::or_raise;
use crate::server::by_version::buffer_lock;
use crate::server::waiting::TimeSlice;

/// The result of a check.
#[derive(Default)]
pub(super) struct Found {
    /// The pages to return to.
    pub(super) missed: Missed,
    /// The number of rows that a key does not fit into.
    pub(super) wide: usize,
}

/// Looks at all rows of a table, which must be a heap, and locked. Rows that refer to nothing have no
/// key to take. `wide` are rows that a key does not fit into.
///
/// Every row that is visible to the snapshot is seen once, whoever moves rows meanwhile. A row that is
/// written later has a key if it had one before, or if it is new.
pub(super) fn find(
    scope: &Scope<'_>,
    table: &Table,
    key_type: pg_sys::Oid,
    wide: &HashMap<Place, i64>,
) -> Found {
    let mut found = Found::default();
    // SAFETY: the relation is an ordinary table that the caller has locked. Everything opened is
    // closed; an error releases everything held.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::Oid::from(table.oid), pg_sys::NoLock as i32);
        or_raise(check_is_heap(relation));
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let mut fillers = filler::open_all(scope, table, relation, key_type, snapshot);
        // After the snapshot: its rows are on these pages.
        let pages = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
        let strategy = pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_BULKREAD);
        let mut lacking: Vec<pg_sys::OffsetNumber> = Vec::new();
        let mut slice = TimeSlice::begin();
        for page in 0..pages {
            pgrx::check_for_interrupts!();
            slice.give_way();
            let buffer = pg_sys::ReadBufferExtended(
                relation,
                pg_sys::ForkNumber::MAIN_FORKNUM,
                page,
                pg_sys::ReadBufferMode::RBM_NORMAL,
                strategy,
            );
            rows_without_key(relation, buffer, snapshot, &fillers, &mut lacking);
            let (content, of) = (pg_sys::BufferGetPage(buffer), (*relation).rd_att);
            let mut is_missed = false;
            for offset in lacking.drain(..) {
                let mut row = row_at(relation, content, page, offset);
                let has_key_to_take = fillers
                    .iter_mut()
                    .any(|filler| filler.lacks(&mut row, of) && filler.missing_key(&mut row, of).is_some());
                match (has_key_to_take, wide.contains_key(&(page, offset))) {
                    (true, true) => found.wide += 1,
                    (true, false) => is_missed = true,
                    (false, _) => {}
                }
            }
            pg_sys::ReleaseBuffer(buffer);
            if is_missed && !found.missed.add(i64::from(page)) {
                break;
            }
        }
        pg_sys::FreeAccessStrategy(strategy);
        fillers.into_iter().for_each(|filler| filler.close());
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
    }
    found
}

/// The rows of a page that lack a key.
///
/// # Safety
/// The buffer must be pinned and belong to the relation, and the snapshot must be valid.
unsafe fn rows_without_key(
    relation: pg_sys::Relation,
    buffer: pg_sys::Buffer,
    snapshot: pg_sys::Snapshot,
    fillers: &[Filler<'_>],
    lacking: &mut Vec<pg_sys::OffsetNumber>,
) {
    // SAFETY: see above; the page is locked while it is read, and normal line pointers have a row.
    unsafe {
        let of = (*relation).rd_att;
        let (content, page) = (pg_sys::BufferGetPage(buffer), pg_sys::BufferGetBlockNumber(buffer));
        pg_sys::LockBuffer(buffer, buffer_lock::SHARE);
        for offset in 1..=pg_sys::PageGetMaxOffsetNumber(content) {
            if !is_row(content, offset) {
                continue;
            }
            let mut row = row_at(relation, content, page, offset);
            if fillers.iter().any(|filler| filler.lacks(&mut row, of))
                && pg_sys::HeapTupleSatisfiesVisibility(&mut row, snapshot, buffer)
            {
                lacking.push(offset);
            }
        }
        pg_sys::LockBuffer(buffer, buffer_lock::UNLOCK);
    }
}
