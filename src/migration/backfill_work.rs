//! What a batch of the backfill works on, and the result.

use keyspace::migration::backfill::Range;
use keyspace::migration::missed::Lacking;
use keyspace::migration::old_id::OldId;
use pgrx::pg_sys;

use super::backfill_page::Place;

/// The position of a table's backfill.
pub(super) struct Position {
    pub(super) file: pg_sys::Oid,
    pub(super) page: i64,
    pub(super) pages: i64,
    /// The current number of pages.
    pub(super) size: i64,
    /// The first range to return to.
    pub(super) behind: Option<Range>,
}

/// The work of a batch.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// Some of the rows of these pages.
    Part(Range),
    /// All remaining rows of these pages.
    Rest(Range),
    /// A look at the rows to which rows of these pages, and of more pages up to the second range's
    /// end, refer.
    LookAhead {
        wanted: Range,
        pages: Range,
    },
    /// The rows that no other session has locked.
    Unlocked(Range),
    /// The rows that were locked, or that a check has found; the batch waits for them.
    Behind(Range),
    /// The same range once more.
    Again,
    /// Nothing yet: pages have no room.
    Nothing,
    /// A look at all rows of the table.
    Check,
    /// The backfill returns to rows that were found.
    Return,
    /// It passes over all pages from this one on again.
    Restart(i64),
    /// Only this many rows are left, to which no key can be added.
    Stuck(usize),
    /// The backfill has returned to a row in vain.
    InVain,
    Done,
}

/// The result of a batch's work.
pub(super) struct Worked {
    pub(super) work: Work,
    pub(super) rows: usize,
    /// The rows that a key does not fit into.
    pub(super) wide: Vec<(Place, Option<OldId>)>,
    /// The row to which the backfill has returned in vain.
    pub(super) vain: Option<Lacking>,
    /// The ranges to return to.
    pub(super) missed: Vec<Range>,
}

impl Worked {
    pub(super) const fn of(work: Work, rows: usize) -> Self {
        Self { work, rows, wide: Vec::new(), vain: None, missed: Vec::new() }
    }
}
