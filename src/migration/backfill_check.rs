//! The check at the end of a backfill: looks at all rows of a table in one snapshot, and finds those
//! that lack a key although there is one for them.

use std::collections::HashMap;

use keyspace::migration::Scope;
use keyspace::migration::facts::Table;
use keyspace::migration::missed::{Lacking, Missed};
use keyspace::migration::old_id::OldId;
use pgrx::pg_sys;

use super::backfill_page::{Place, check_is_heap, each_row, row_at};
use super::filler::{self, Filler};
use crate::error::or_raise;
use crate::server::memory::OwnMemory;
use crate::server::waiting::TimeSlice;

/// The result of a check.
#[derive(Default)]
pub(super) struct Found {
    /// The pages to return to.
    pub(super) missed: Missed,
    /// The number of rows to return to, and the least of them.
    pub(super) count: usize,
    pub(super) least: Option<Lacking>,
    /// The number of rows that a key does not fit into.
    pub(super) wide: usize,
}

/// Looks at all rows of a table, which must be a heap, and locked. Rows that refer to nothing have no
/// key to take. `wide` are rows that a key does not fit into. `replaces` says whether the backfill
/// replaces keys that differ from those of the referenced rows.
///
/// Every row that is visible to the snapshot is seen once, whoever moves rows meanwhile. A row that is
/// written later has a key if it had one before, or if it is new.
pub(super) fn find(
    scope: &Scope<'_>,
    table: &Table,
    key_type: pg_sys::Oid,
    wide: &HashMap<Place, Option<OldId>>,
    replaces: bool,
) -> Found {
    let mut found = Found::default();
    // SAFETY: the relation is an ordinary table that the caller has locked. Everything opened is
    // closed; an error releases everything held.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::Oid::from(table.oid), pg_sys::NoLock as i32);
        or_raise(check_is_heap(relation));
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let mut fillers = filler::open_all(scope, table, relation, key_type, snapshot);
        if !replaces {
            fillers.iter_mut().for_each(Filler::trust_keys);
        }
        // After the snapshot: its rows are on these pages.
        let pages = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
        let strategy = pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_BULKREAD);
        let mut lacking: Vec<pg_sys::OffsetNumber> = Vec::new();
        let mut slice = TimeSlice::begin();
        let memory = OwnMemory::new(c"key migration check");
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
            let (content, of) = (pg_sys::BufferGetPage(buffer), (*relation).rd_att);
            each_row(relation, buffer, 1, |offset, row| {
                if fillers.iter().any(|filler| filler.lacks(row, of))
                    && pg_sys::HeapTupleSatisfiesVisibility(row, snapshot, buffer)
                {
                    lacking.push(offset);
                }
                true
            });
            let mut is_missed = false;
            for offset in lacking.drain(..) {
                let mut row = row_at(relation, content, page, offset);
                let column = memory.run(|| {
                    fillers.iter_mut().find_map(|filler| {
                        if !filler.lacks(&mut row, of) || filler.missing_key(&mut row, of).is_none() {
                            return None;
                        }
                        Some((filler.key_column(), filler.old_id(&mut row, of)?.to_old_id()?))
                    })
                });
                match column {
                    Some(_) if wide.contains_key(&(page, offset)) => found.wide += 1,
                    Some((column, old_id)) => {
                        let row = Lacking { column, old_id, page, offset };
                        is_missed = true;
                        found.count += 1;
                        found.least = Some(match found.least.take() {
                            Some(least) => least.min(row),
                            None => row,
                        });
                    }
                    None => {}
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
