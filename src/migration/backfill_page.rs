//! The backfill's writes: gives keys to rows of some pages, page by page.
//!
//! It selects rows by reading the pages, not by a query. Only a page itself shows how many rows fit
//! on it. A query would lock each row before updating it, because the table has triggers, including
//! ours.

use keyspace::migration::backfill::{Range, Room};
use keyspace::migration::facts::Table;
use keyspace::migration::known_keys::KnownKeys;
use keyspace::migration::old_id::OldId;
use keyspace::migration::scope::Scope;
use keyspace::{Error, SqlState};
use pgrx::itemptr::item_pointer_set_all;
use pgrx::pg_sys;

use super::filler::{self, Filler};
use super::tuple::Value;
use super::writer::{Outcome, Writer};
use crate::error::or_raise;
use crate::server::by_version::{buffer_lock, prune_page};
use crate::server::relation::relation_name;
use crate::server::waiting::TimeSlice;

/// Where a row is: its page, and its line pointer.
pub(super) type Place = (pg_sys::BlockNumber, pg_sys::OffsetNumber);

/// The result of a batch.
#[derive(Clone, Default)]
pub(super) struct Filled {
    /// How many rows were given keys.
    pub(super) rows: usize,
    /// How many rows were locked or changed by other transactions.
    pub(super) skipped: usize,
    /// Whether rows were left for another batch.
    pub(super) is_part: bool,
    /// Rows that a key does not fit into, with their first old id, if it is not NULL.
    pub(super) wide: Vec<(Place, Option<OldId>)>,
}

/// How a batch works.
#[derive(Clone, Copy)]
pub(super) struct FillOptions {
    /// Whether it takes all rows of its pages, or a part of each page's.
    pub(super) all: bool,
    /// Whether it waits for a transaction that has locked a row, or skips the row. It waits only
    /// once, before it has written anything. So another session that waits for its rows has not
    /// waited long enough for PostgreSQL to look for a deadlock and cancel it.
    pub(super) waits: bool,
    /// Whether it yields the CPU to other processes, and flushes its WAL as it proceeds.
    pub(super) gives_way: bool,
}

/// Gives keys to rows of these pages. The table must be a heap, and locked; `key_type` is the type
/// of the target's keys; `known` are keys of referenced rows, for each column. Raises 42804 if a
/// column of the table or of the table that it refers to does not have the migration's type.
///
/// Rows that refer to nothing stay as they are. So do rows that other sessions have changed
/// meanwhile: our triggers give them keys.
pub(super) fn fill(
    scope: &Scope<'_>,
    table: &Table,
    range: Range,
    options: FillOptions,
    key_type: pg_sys::Oid,
    known: &[KnownKeys],
) -> Filled {
    let mut filled = Filled::default();
    // SAFETY: the relation is an ordinary table that the caller has locked. Everything opened is
    // closed; an error releases everything held.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::Oid::from(table.oid), pg_sys::NoLock as i32);
        or_raise(check_is_heap(relation));
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let mut fillers = filler::open_all(scope, table, relation, key_type, snapshot);
        let columns: Vec<i16> = fillers.iter().map(Filler::key_column).collect();
        let writer = Writer::open(relation, &columns);
        // If a foreign key on the keys is checked, the row must exist now.
        if !writer.checks_foreign_keys() {
            fillers.iter_mut().zip(known).for_each(|(filler, known)| filler.know(known));
        }
        let key_size = scope.options.target.size();
        let mut pages_of = Pages::open(relation, writer, key_size, options.waits);
        let pages = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
        let mut slice = options.gives_way.then(TimeSlice::begin);
        for page in range.from.max(0)..range.to.min(i64::from(pages)) {
            pgrx::check_for_interrupts!();
            if let Some(slice) = &mut slice {
                slice.give_way();
            }
            let Ok(page) = pg_sys::BlockNumber::try_from(page) else { break };
            pages_of.fill(page, snapshot, &mut fillers, options.all, &mut filled);
        }
        pages_of.close();
        fillers.into_iter().for_each(|filler| filler.close());
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
    }
    filled
}

/// The pages of the table that is filled.
struct Pages {
    relation: pg_sys::Relation,
    writer: Writer,
    /// The bytes that a key adds to a row.
    key_size: usize,
    /// Whether it may still wait for a lock.
    may_wait: bool,
    /// Memory for the work on one row.
    memory: pg_sys::MemoryContext,
    /// Rows of the current page that lack a key.
    found: Vec<pg_sys::OffsetNumber>,
    sizes: Vec<usize>,
}

/// Refuses a table that is not a heap, because its pages are read as heap pages. The access method
/// may have any name.
///
/// # Safety
/// The relation must be open.
pub(super) unsafe fn check_is_heap(relation: pg_sys::Relation) -> Result<(), Error> {
    // SAFETY: see above; the heap's routine is a constant of the server.
    if std::ptr::eq(unsafe { (*relation).rd_tableam }, unsafe { pg_sys::GetHeapamTableAmRoutine() }) {
        return Ok(());
    }
    // SAFETY: see above.
    let name = relation_name(unsafe { (*relation).rd_id });
    Err(Error::new(SqlState::FeatureNotSupported, format!("table {name} is not a heap table"))
        .hint("Use ALTER TABLE ... SET ACCESS METHOD heap."))
}

impl Pages {
    /// # Safety
    /// The relation must be open, and the writer must belong to it.
    unsafe fn open(relation: pg_sys::Relation, writer: Writer, key_size: usize, may_wait: bool) -> Self {
        // SAFETY: creates a memory context, which `close` deletes.
        let memory = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"key migration row".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        };
        Self { relation, writer, key_size, may_wait, memory, found: Vec::new(), sizes: Vec::new() }
    }

    /// # Safety
    /// Call it once, at the end.
    unsafe fn close(self) {
        // SAFETY: closes what `open` has opened.
        unsafe {
            self.writer.close();
            pg_sys::MemoryContextDelete(self.memory);
            pg_sys::CommandCounterIncrement();
        }
    }

    /// Gives keys to rows of a page.
    ///
    /// # Safety
    /// The relation must have the page, and the snapshot must be valid.
    unsafe fn fill(
        &mut self,
        page: pg_sys::BlockNumber,
        snapshot: pg_sys::Snapshot,
        fillers: &mut [Filler<'_>],
        all: bool,
        filled: &mut Filled,
    ) {
        // SAFETY: the buffer stays pinned, so nothing on the page moves.
        unsafe {
            let buffer = pg_sys::ReadBuffer(self.relation, page);
            prune_page(self.relation, buffer);
            let content = pg_sys::BufferGetPage(buffer);
            let (room, last) = room(buffer);
            let enough = if all { usize::MAX } else { room.most() + 1 };
            let (mut next, mut most, mut taken) = (1, None, 0);
            // Rows that refer to nothing get no key, and there may be more of them than one pass
            // reads.
            'page: while next <= last {
                next = self.find(buffer, next, enough, snapshot, fillers);
                let growth = self.key_size * fillers.len();
                let most = *most
                    .get_or_insert_with(|| if all { usize::MAX } else { room.take(&self.sizes, growth) });
                for at in 0..self.found.len() {
                    if taken >= most {
                        filled.is_part = true;
                        break 'page;
                    }
                    let Some(offset) = self.found.get(at).copied() else { break };
                    let mut row = row_at(self.relation, content, page, offset);
                    match self.write(&mut row, buffer, fillers, snapshot) {
                        Some(Outcome::Written) => taken += 1,
                        Some(Outcome::Skipped) => filled.skipped += 1,
                        Some(Outcome::TooWide) => {
                            let of = (*self.relation).rd_att;
                            let old_id = fillers.first().and_then(|filler| filler.old_id(&mut row, of));
                            filled.wide.push(((page, offset), old_id.and_then(Value::to_old_id)));
                        }
                        None => {}
                    }
                }
            }
            filled.rows += taken;
            pg_sys::ReleaseBuffer(buffer);
        }
    }

    /// Finds rows of a page that lack a key, from one line pointer on, until there are enough. Returns
    /// the line pointer after the last one that was read.
    ///
    /// # Safety
    /// The buffer must be pinned, and the snapshot must be valid.
    unsafe fn find(
        &mut self,
        buffer: pg_sys::Buffer,
        from: pg_sys::OffsetNumber,
        enough: usize,
        snapshot: pg_sys::Snapshot,
        fillers: &[Filler<'_>],
    ) -> pg_sys::OffsetNumber {
        self.found.clear();
        self.sizes.clear();
        // SAFETY: see above; the columns are those of the relation.
        unsafe {
            let of = (*self.relation).rd_att;
            each_row(self.relation, buffer, from, |offset, row| {
                if fillers.iter().any(|filler| filler.lacks(row, of))
                    && pg_sys::HeapTupleSatisfiesVisibility(row, snapshot, buffer)
                {
                    self.found.push(offset);
                    self.sizes.push(row.t_len as usize);
                }
                self.found.len() < enough
            })
        }
    }

    /// Gives a row the keys that it lacks; `None` if there is nothing to write.
    ///
    /// # Safety
    /// The row must be on the page of this buffer, which is pinned.
    unsafe fn write(
        &mut self,
        row: &mut pg_sys::HeapTupleData,
        buffer: pg_sys::Buffer,
        fillers: &mut [Filler<'_>],
        snapshot: pg_sys::Snapshot,
    ) -> Option<Outcome> {
        // SAFETY: the columns are those of the relation; memory is reset only when nothing points
        // into it.
        unsafe {
            let of = (*self.relation).rd_att;
            let before = pg_sys::MemoryContextSwitchTo(self.memory);
            let mut new = std::ptr::null_mut::<pg_sys::HeapTupleData>();
            for filler in fillers {
                if filler.lacks(row, of)
                    && let Some(key) = filler.missing_key(row, of)
                {
                    let from = if new.is_null() { &raw mut *row } else { new };
                    new = filler.with_key(from, of, key);
                }
            }
            let written = (!new.is_null()).then(|| {
                let mut place = row.t_self;
                // After the first write, other sessions may wait for the rows written.
                let if_free = (!std::mem::take(&mut self.may_wait)).then_some((&mut *row, buffer));
                self.writer.write(&mut place, new, snapshot, if_free)
            });
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextReset(self.memory);
            written
        }
    }
}

/// Shows each row of a page, from a line pointer on, as long as `see` returns true. Returns the line
/// pointer after the last one. Not every row is visible to each snapshot.
///
/// # Safety
/// The buffer must be pinned and belong to the relation.
pub(super) unsafe fn each_row(
    relation: pg_sys::Relation,
    buffer: pg_sys::Buffer,
    from: pg_sys::OffsetNumber,
    mut see: impl FnMut(pg_sys::OffsetNumber, &mut pg_sys::HeapTupleData) -> bool,
) -> pg_sys::OffsetNumber {
    // SAFETY: see above; the page is locked while it is read, and normal line pointers have a row.
    unsafe {
        let (content, page) = (pg_sys::BufferGetPage(buffer), pg_sys::BufferGetBlockNumber(buffer));
        pg_sys::LockBuffer(buffer, buffer_lock::SHARE);
        let last = pg_sys::PageGetMaxOffsetNumber(content);
        let mut next = from;
        while next <= last {
            let offset = next;
            next += 1;
            if is_row(content, offset) && !see(offset, &mut row_at(relation, content, page, offset)) {
                break;
            }
        }
        pg_sys::LockBuffer(buffer, buffer_lock::UNLOCK);
        next
    }
}

/// A row of a page.
///
/// # Safety
/// The page must be that of a pinned buffer of the relation, and must have a row at the offset.
pub(super) unsafe fn row_at(
    relation: pg_sys::Relation,
    content: pg_sys::Page,
    page: pg_sys::BlockNumber,
    offset: pg_sys::OffsetNumber,
) -> pg_sys::HeapTupleData {
    // SAFETY: see above.
    unsafe {
        let item = pg_sys::PageGetItemId(content, offset);
        let mut row = pg_sys::HeapTupleData {
            t_len: (*item).lp_len(),
            t_tableOid: (*relation).rd_id,
            t_data: pg_sys::PageGetItem(content, item).cast(),
            ..Default::default()
        };
        item_pointer_set_all(&mut row.t_self, page, offset);
        row
    }
}

/// The free space on a page, and its last line pointer.
///
/// # Safety
/// The buffer must be pinned.
unsafe fn room(buffer: pg_sys::Buffer) -> (Room, pg_sys::OffsetNumber) {
    // SAFETY: see above; the page is locked while it is read.
    unsafe {
        pg_sys::LockBuffer(buffer, buffer_lock::SHARE);
        let content = pg_sys::BufferGetPage(buffer);
        let last = pg_sys::PageGetMaxOffsetNumber(content);
        let rows = (1..=last).filter(|offset| is_row(content, *offset)).count();
        let free = pg_sys::PageGetHeapFreeSpace(content);
        pg_sys::LockBuffer(buffer, buffer_lock::UNLOCK);
        (Room { free, rows }, last)
    }
}

/// Whether a line pointer has a row.
///
/// # Safety
/// The page must be that of a locked buffer, and must have the line pointer.
unsafe fn is_row(content: pg_sys::Page, offset: pg_sys::OffsetNumber) -> bool {
    // SAFETY: see above.
    unsafe { (*pg_sys::PageGetItemId(content, offset)).lp_flags() == pg_sys::LP_NORMAL }
}
