//! Looks up the keys of referenced rows ahead of the batches that write them.
//!
//! It does so for as many rows as `maintenance_work_mem` allows, in transactions of their own that
//! write nothing. Batches use a key only for the same version of a row. It is then as if the row had
//! been filled when its key was looked up (docs/protocols.md). If a key is not known, the batch looks it
//! up.

use std::time::{Duration, Instant};

use keyspace::migration::backfill::Range;
use keyspace::migration::facts::Table;
use keyspace::migration::known_keys::KnownKeys;
use keyspace::migration::scope::Scope;
use pgrx::pg_sys;

use super::backfill_page::{check_is_heap, each_row};
use super::filler::{self, Filler, written_by};
use crate::error::or_raise;
use crate::server::waiting::TimeSlice;

/// How long a transaction reads at most: not longer than a batch writes.
const TURN: Duration = Duration::from_millis(20);
/// How many old ids are looked up before it compares times.
const LOOKUPS: usize = 64;
/// No page has more rows.
const MOST_ROWS_OF_PAGE: usize =
    pg_sys::BLCKSZ as usize / (size_of::<pg_sys::HeapTupleHeaderData>() + size_of::<pg_sys::ItemIdData>());
/// How long keys are used at most. A backfill that rests often writes few rows in this time, and then
/// fewer keys are looked up at once.
const LONGEST_USE: Duration = Duration::from_secs(300);
/// A backfill that has written fewer rows in this time reads this number ahead.
const LEAST_ROWS: usize = 10_000;

/// The keys of the rows that a table's rows refer to, on the pages that batches are to fill next.
pub(super) struct LookAhead {
    /// The number of columns that refer to a key.
    references: usize,
    /// For each column of the migration in the table.
    known: Vec<KnownKeys>,
    stage: Stage,
    /// The page up to which batches look nothing up themselves, if there was enough memory.
    until: i64,
    /// The number of rows to read ahead at most, as far as it has turned out.
    most: usize,
    /// The number of rows that batches have written since.
    written: usize,
}

/// What is to be done.
#[derive(Clone, Copy)]
enum Stage {
    /// Nothing is known yet.
    Empty,
    /// Rows are read, from this page on.
    Reads(pg_sys::BlockNumber),
    /// Their old ids are looked up.
    LooksUp,
    /// Batches use the keys, since then.
    Used(Instant),
}

/// The time of a transaction.
struct Turn {
    began: Instant,
    slice: Option<TimeSlice>,
}

impl Turn {
    fn begin(gives_way: bool) -> Self {
        Self { began: Instant::now(), slice: gives_way.then(TimeSlice::begin) }
    }

    /// Whether it is over.
    fn is_over(&mut self) -> bool {
        pgrx::check_for_interrupts!();
        if let Some(slice) = &mut self.slice {
            slice.give_way();
        }
        self.began.elapsed() >= TURN
    }
}

impl LookAhead {
    /// For a table with this number of columns that refer to a key.
    pub(super) const fn new(references: usize) -> Self {
        Self { references, known: Vec::new(), stage: Stage::Empty, until: 0, most: usize::MAX, written: 0 }
    }

    /// Whether keys have to be looked up before a batch fills these pages.
    pub(super) fn is_due(&self, range: Range) -> bool {
        self.references > 0
            && match self.stage {
                Stage::Used(since) => range.to > self.until || since.elapsed() >= LONGEST_USE,
                Stage::Empty | Stage::Reads(_) | Stage::LooksUp => true,
            }
    }

    /// The keys that are known, for each column.
    pub(super) fn known(&self) -> &[KnownKeys] {
        &self.known
    }

    /// Records that a batch has written rows.
    pub(super) const fn written(&mut self, rows: usize) {
        self.written = self.written.saturating_add(rows);
    }

    /// Frees the memory.
    pub(super) fn forget(&mut self) {
        (self.known, self.stage) = (Vec::new(), Stage::Empty);
    }

    /// Ends what a failed transaction has begun.
    pub(super) fn failed(&mut self) {
        if let Stage::Reads(_) | Stage::LooksUp = self.stage {
            self.forget();
        }
    }

    /// Looks keys up for some time. `pages` are those that batches may fill; `wanted` are those of the
    /// next batch. The table must be a heap, and locked.
    pub(super) fn proceed(
        &mut self,
        scope: &Scope<'_>,
        table: &Table,
        pages: Range,
        wanted: Range,
        key_type: pg_sys::Oid,
        gives_way: bool,
    ) {
        let mut turn = Turn::begin(gives_way);
        // SAFETY: the relation is an ordinary table that the caller has locked. Everything opened is
        // closed; an error releases everything held.
        unsafe {
            let relation = pg_sys::table_open(pg_sys::Oid::from(table.oid), pg_sys::NoLock as i32);
            or_raise(check_is_heap(relation));
            let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
            let mut fillers = filler::open_all(scope, table, relation, key_type, snapshot);
            let size = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
            let page = |page: i64| pg_sys::BlockNumber::try_from(page.max(0)).unwrap_or(size).min(size);
            let (from, to) = (page(pages.from), page(pages.to));
            if let Stage::Empty | Stage::Used(_) = self.stage {
                self.stage = Stage::Reads(self.begin(from, to, &fillers));
            }
            if let Stage::Reads(from) = self.stage {
                self.stage = self.read(relation, snapshot, from..to, &fillers, &mut turn);
            }
            if let Stage::LooksUp = self.stage
                && self.look_up(&mut fillers, &mut turn)
            {
                self.until = self.until.max(wanted.to);
                self.stage = Stage::Used(Instant::now());
            }
            fillers.into_iter().for_each(|filler| filler.close());
            pg_sys::UnregisterSnapshot(snapshot);
            pg_sys::table_close(relation, pg_sys::NoLock as i32);
        }
    }

    /// Forgets keys that are no longer needed, and allocates memory. Returns the page to begin with.
    fn begin(
        &mut self,
        from: pg_sys::BlockNumber,
        to: pg_sys::BlockNumber,
        fillers: &[Filler<'_>],
    ) -> pg_sys::BlockNumber {
        match self.stage {
            Stage::Used(since) if since.elapsed() >= LONGEST_USE => {
                self.forget();
                self.most = self.written.max(LEAST_ROWS);
            }
            _ => self.most = self.most.saturating_mul(2),
        }
        self.written = 0;
        self.known.resize_with(fillers.len(), KnownKeys::default);
        // SAFETY: the value of a setting, in kB.
        let memory =
            usize::try_from(unsafe { pg_sys::maintenance_work_mem }).unwrap_or(0).saturating_mul(1024);
        let pages = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let most = (memory / KnownKeys::BYTES_PER_ROW / self.references.max(1))
            .min(self.most)
            .min(pages.saturating_mul(MOST_ROWS_OF_PAGE));
        let begin = |known: &mut KnownKeys| known.begin(from, most);
        // If there is not as much memory, batches look up what is not known.
        references(&mut self.known, fillers).map(begin).try_fold(from, |_, next| next).unwrap_or(to)
    }

    /// Reads rows that lack a key.
    ///
    /// # Safety
    /// The relation must be open and have these pages. The snapshot must be valid, and the columns must
    /// be those of the relation.
    unsafe fn read(
        &mut self,
        relation: pg_sys::Relation,
        snapshot: pg_sys::Snapshot,
        pages: std::ops::Range<pg_sys::BlockNumber>,
        fillers: &[Filler<'_>],
        turn: &mut Turn,
    ) -> Stage {
        // The column, the line pointer, the transaction that has written the row, and the old id.
        let mut found: Vec<(usize, pg_sys::OffsetNumber, pg_sys::TransactionId, i64)> = Vec::new();
        let mut stage = Stage::LooksUp;
        self.until = i64::from(pages.end);
        // SAFETY: see above; the buffer belongs to the relation and is pinned.
        unsafe {
            let of = (*relation).rd_att;
            let strategy = pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_BULKREAD);
            for page in pages {
                let buffer = pg_sys::ReadBufferExtended(
                    relation,
                    pg_sys::ForkNumber::MAIN_FORKNUM,
                    page,
                    pg_sys::ReadBufferMode::RBM_NORMAL,
                    strategy,
                );
                each_row(relation, buffer, 1, |offset, row| {
                    let (before, by) = (found.len(), written_by(row));
                    for (column, filler) in fillers.iter().enumerate() {
                        let old_id = filler.old_id_to_look_up(row, of);
                        found.extend(old_id.map(|old_id| (column, offset, by, old_id)));
                    }
                    if found.len() > before && !pg_sys::HeapTupleSatisfiesVisibility(row, snapshot, buffer) {
                        found.truncate(before);
                    }
                    true
                });
                pg_sys::ReleaseBuffer(buffer);
                if !references(&mut self.known, fillers).all(|known| known.has_room(found.len())) {
                    self.until = i64::from(page);
                    break;
                }
                references(&mut self.known, fillers).for_each(KnownKeys::add_page);
                for (column, offset, by, old_id) in found.drain(..) {
                    if let Some(known) = self.known.get_mut(column) {
                        known.add(offset, by.into_inner(), old_id);
                    }
                }
                if turn.is_over() {
                    stage = Stage::Reads(page + 1);
                    break;
                }
            }
            pg_sys::FreeAccessStrategy(strategy);
        }
        stage
    }

    /// Looks old ids up, in ascending order. Whether all are looked up.
    fn look_up(&mut self, fillers: &mut [Filler<'_>], turn: &mut Turn) -> bool {
        let mut count: usize = 0;
        for (known, filler) in self.known.iter_mut().zip(fillers) {
            while let Some(old_id) = known.next_old_id() {
                known.found(filler.lasting_key(old_id));
                count += 1;
                if count.is_multiple_of(LOOKUPS) && turn.is_over() {
                    return false;
                }
            }
            known.end();
        }
        true
    }
}

/// The keys of the columns that refer to a key.
fn references<'a>(
    known: &'a mut [KnownKeys],
    fillers: &'a [Filler<'_>],
) -> impl Iterator<Item = &'a mut KnownKeys> {
    let columns = known.iter_mut().zip(fillers);
    columns.filter(|(_, filler)| filler.is_looked_up()).map(|(known, _)| known)
}
