//! The backfill's writes: rows of some pages get their keys, page by page.
//!
//! Done by the heap's own update rather than by a query. A query would lock each row before it updates it, since the
//! table has triggers (ours among them), and would fire those that nobody wants here; and it would say beforehand which
//! rows it takes, while what fits on a page is known only when one looks at it.

use keyspace::migration::backfill::{Range, Room};
use keyspace::migration::facts::Table;
use keyspace::migration::scope::{Member, Scope};
use pgrx::itemptr::item_pointer_set_all;
use pgrx::pg_sys;

use super::derive::Derivation;
use super::entries::Entries;
use super::lookup::{Lookup, Scan};
use super::tuple::{Column, Value};
use crate::server::by_version::{buffer_lock, prune_page};
use crate::server::waiting::Turns;

/// What a key adds to a row.
const KEY_BYTES: usize = 16;

/// What a batch has done.
#[derive(Clone, Copy, Default)]
pub(super) struct Filled {
    /// How many rows have got keys.
    pub(super) rows: usize,
    /// How many rows somebody else was at.
    pub(super) skipped: usize,
    /// Whether some were left for another batch.
    pub(super) is_part: bool,
}

/// A column of keys that a batch fills.
struct Filler {
    number: Column,
    key: Column,
    derivation: Derivation,
    source: Source,
}

/// Where the keys of a column come from.
enum Source {
    /// The row itself, which it is the key of.
    Own { time: Column },
    /// The row with this number that the column refers to.
    Root { scan: Scan, key: Column, time: Column, last: Option<(Value, Option<[u8; 16]>)> },
}

/// How a batch goes about it.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// Whether it takes all rows of its pages, or a part of each page's.
    pub(super) all: bool,
    /// Whether it waits for whoever is at a row, or passes it by.
    pub(super) waits: bool,
    /// Whether others who want the CPU go first, and it flushes what it logs as it goes.
    pub(super) gives_way: bool,
}

/// Gives keys to rows of these pages. The table must be a heap, and locked.
///
/// Those that refer to nothing stay as they are; so do those that others have changed meanwhile, whom our triggers
/// give keys to.
pub(super) fn fill(scope: &Scope<'_>, table: &Table, range: Range, manner: Manner) -> Filled {
    let mut filled = Filled::default();
    // SAFETY: the relation is an ordinary table that the caller has locked. What is opened is closed; an error gives
    // back what is held.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::Oid::from(table.oid), pg_sys::NoLock as i32);
        // What a query would refuse: such a table takes no UPDATE from anybody.
        pg_sys::CheckCmdReplicaIdentity(relation, pg_sys::CmdType::CMD_UPDATE);
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let key_type = key_type(scope, relation);
        let mut fillers: Vec<Filler> = scope
            .members_of(table.oid)
            .filter_map(|member| filler(scope, member, relation, key_type, snapshot))
            .collect();
        let mut writer = Writer::open(scope, table, relation, manner.waits);
        let pages = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
        let mut turns = manner.gives_way.then(Turns::begin);
        for page in range.from.max(0)..range.to.min(i64::from(pages)) {
            pgrx::check_for_interrupts!();
            if let Some(turns) = &mut turns {
                turns.give_way();
            }
            let Ok(page) = pg_sys::BlockNumber::try_from(page) else { break };
            writer.page(page, snapshot, &mut fillers, manner.all, &mut filled);
        }
        writer.close();
        for filler in fillers {
            if let Source::Root { scan, .. } = filler.source {
                scan.close();
            }
        }
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
    }
    filled
}

/// The OID of the type of the keys; every column of keys of a migration has it.
///
/// # Safety
/// The relation must be open.
unsafe fn key_type(scope: &Scope<'_>, relation: pg_sys::Relation) -> pg_sys::Oid {
    // SAFETY: see above; the column exists once a table is prepared.
    unsafe {
        let oid = (*relation).rd_id.to_u32();
        let number = scope.members_of(oid).next().map_or(0, |member| member.shadow_number);
        pg_sys::SPI_gettypeid((*relation).rd_att, i32::from(number))
    }
}

/// # Safety
/// The relation must be that of the member, and open; the snapshot must be valid until what is returned is closed.
unsafe fn filler(
    scope: &Scope<'_>,
    member: &Member<'_>,
    relation: pg_sys::Relation,
    key_type: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
) -> Option<Filler> {
    // SAFETY: see above; columns are looked at before they are used.
    unsafe {
        let own = |number: i16| Column::of((*relation).rd_att, number, key_type);
        let (number, key) = (own(member.number.number)?, own(member.shadow_number)?);
        let of = scope.key_of(member);
        let source = if member.is_key {
            Source::Own { time: own(of.timestamp.number)? }
        } else {
            let oid = pg_sys::Oid::from(of.column.table.oid);
            let root = pg_sys::table_open(oid, pg_sys::AccessShareLock as i32);
            let of_root = |number: i16| Column::of((*root).rd_att, number, key_type);
            let columns = (
                of_root(of.column.number.number),
                of_root(of.column.shadow_number),
                of_root(of.timestamp.number),
            );
            pg_sys::table_close(root, pg_sys::NoLock as i32);
            let (Some(by), Some(key), Some(time)) = columns else { return None };
            Source::Root { scan: Lookup::required(oid, by).open(snapshot), key, time, last: None }
        };
        let derivation = Derivation::new(scope.options.target, &of.options.salt);
        Some(Filler { number, key, derivation, source })
    }
}

impl Filler {
    /// Whether a row lacks this key.
    ///
    /// # Safety
    /// The row must be one of a relation of this description, which has the columns.
    #[inline]
    unsafe fn lacks(&self, row: *mut pg_sys::HeapTupleData, of: pg_sys::TupleDesc) -> bool {
        // SAFETY: see above; the column of keys has no default.
        unsafe {
            self.key.is_null(row)
                && !(matches!(self.source, Source::Root { .. })
                    && pg_sys::heap_attisnull(row, i32::from(self.number.number), of))
        }
    }

    /// The key that a row is to have; `None` where it refers to nothing.
    ///
    /// # Safety
    /// As for [`Self::lacks`].
    unsafe fn key_of(&mut self, row: *mut pg_sys::HeapTupleData, of: pg_sys::TupleDesc) -> Option<[u8; 16]> {
        let derivation = &self.derivation;
        // SAFETY: see above.
        unsafe {
            let number = self.number.value(row, of)?;
            match &mut self.source {
                Source::Own { time } => Some(derivation.key(time.value(row, of), number)),
                // Rows that refer to the same one often come one after the other.
                Source::Root { last: Some((last, key)), .. } if *last == number => *key,
                Source::Root { scan, key, time, last } => {
                    let found = scan.columns(number, [*key, *time]).map(|found| match found {
                        // The root's stored key goes before what can be derived (trap M22).
                        [Some(Value::Key(key)), _] => key,
                        [_, time] => derivation.key(time, number),
                    });
                    *last = Some((number, found));
                    found
                }
            }
        }
    }
}

/// A table that is written to.
struct Writer {
    relation: pg_sys::Relation,
    entries: Entries,
    /// What a row needs.
    memory: pg_sys::MemoryContext,
    command: pg_sys::CommandId,
    waits: bool,
    /// Rows of the page in hand that lack a key.
    found: Vec<pg_sys::OffsetNumber>,
    sizes: Vec<usize>,
}

impl Writer {
    /// # Safety
    /// The relation must be that of the table, open, and locked until [`Self::close`].
    unsafe fn open(scope: &Scope<'_>, table: &Table, relation: pg_sys::Relation, waits: bool) -> Self {
        // SAFETY: see above; the command's number is of this transaction.
        unsafe {
            let memory = pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"key migration row".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            );
            let entries = Entries::open(scope, table, relation);
            let command = pg_sys::GetCurrentCommandId(true);
            Self { relation, entries, memory, command, waits, found: Vec::new(), sizes: Vec::new() }
        }
    }

    /// # Safety
    /// To be called once, at the end.
    unsafe fn close(self) {
        // SAFETY: what `open` has opened.
        unsafe {
            self.entries.close();
            pg_sys::MemoryContextDelete(self.memory);
            pg_sys::CommandCounterIncrement();
        }
    }

    /// Gives keys to rows of a page.
    ///
    /// # Safety
    /// The relation must have the page, and the snapshot must be valid.
    unsafe fn page(
        &mut self,
        page: pg_sys::BlockNumber,
        snapshot: pg_sys::Snapshot,
        fillers: &mut [Filler],
        all: bool,
        filled: &mut Filled,
    ) {
        // SAFETY: the buffer is pinned all the time, so that nothing on the page moves.
        unsafe {
            let buffer = pg_sys::ReadBuffer(self.relation, page);
            prune_page(self.relation, buffer);
            let content = pg_sys::BufferGetPage(buffer);
            let (room, last) = room(buffer);
            let enough = if all { usize::MAX } else { room.most() + 1 };
            let (mut next, mut most, mut taken) = (1, None, 0);
            // Rows that refer to nothing get no key, and there may be more of them than are looked at in one go.
            'page: while next <= last {
                next = self.find(buffer, next, last, enough, snapshot, fillers);
                let growth = KEY_BYTES * fillers.len();
                let most = *most
                    .get_or_insert_with(|| if all { usize::MAX } else { room.take(&self.sizes, growth) });
                for at in 0..self.found.len() {
                    if taken >= most {
                        filled.is_part = true;
                        break 'page;
                    }
                    let Some(offset) = self.found.get(at).copied() else { break };
                    let mut row = self.row(content, page, offset);
                    match self.write(&mut row, fillers) {
                        Some(true) => taken += 1,
                        Some(false) => filled.skipped += 1,
                        None => {}
                    }
                }
            }
            filled.rows += taken;
            pg_sys::ReleaseBuffer(buffer);
        }
    }

    /// Finds rows of a page that lack a key, from one line pointer up to another. Returns the line pointer after the last
    /// one that was looked at.
    ///
    /// # Safety
    /// The buffer must be pinned, and its page have the line pointers; the snapshot must be valid.
    unsafe fn find(
        &mut self,
        buffer: pg_sys::Buffer,
        from: pg_sys::OffsetNumber,
        last: pg_sys::OffsetNumber,
        enough: usize,
        snapshot: pg_sys::Snapshot,
        fillers: &[Filler],
    ) -> pg_sys::OffsetNumber {
        // SAFETY: see above; the page is locked while it is looked at, and line pointers that are normal have a row.
        unsafe {
            let of = (*self.relation).rd_att;
            let (content, page) = (pg_sys::BufferGetPage(buffer), pg_sys::BufferGetBlockNumber(buffer));
            self.found.clear();
            self.sizes.clear();
            let mut next = from;
            pg_sys::LockBuffer(buffer, buffer_lock::SHARE);
            while next <= last && self.found.len() < enough {
                let offset = next;
                next += 1;
                if !is_row(content, offset) {
                    continue;
                }
                let mut row = self.row(content, page, offset);
                if fillers.iter().any(|filler| filler.lacks(&mut row, of))
                    && pg_sys::HeapTupleSatisfiesVisibility(&mut row, snapshot, buffer)
                {
                    self.found.push(offset);
                    self.sizes.push(row.t_len as usize);
                }
            }
            pg_sys::LockBuffer(buffer, buffer_lock::UNLOCK);
            next
        }
    }

    /// # Safety
    /// The page must be that of a pinned buffer, and have a row at the offset.
    unsafe fn row(
        &self,
        content: pg_sys::Page,
        page: pg_sys::BlockNumber,
        offset: pg_sys::OffsetNumber,
    ) -> pg_sys::HeapTupleData {
        // SAFETY: see above.
        unsafe {
            let item = pg_sys::PageGetItemId(content, offset);
            let mut row = pg_sys::HeapTupleData {
                t_len: (*item).lp_len(),
                t_tableOid: (*self.relation).rd_id,
                t_data: pg_sys::PageGetItem(content, item).cast(),
                ..Default::default()
            };
            item_pointer_set_all(&mut row.t_self, page, offset);
            row
        }
    }

    /// Gives a row the keys that it lacks. Whether it has got them, or somebody else was at it; `None` where there
    /// is nothing to give.
    ///
    /// # Safety
    /// The row must be on a page that is pinned.
    unsafe fn write(&mut self, row: &mut pg_sys::HeapTupleData, fillers: &mut [Filler]) -> Option<bool> {
        // SAFETY: the columns are those of the relation; memory is reset only where nothing points into it.
        unsafe {
            let of = (*self.relation).rd_att;
            let before = pg_sys::MemoryContextSwitchTo(self.memory);
            let mut new = std::ptr::null_mut::<pg_sys::HeapTupleData>();
            for filler in fillers {
                if filler.lacks(row, of)
                    && let Some(key) = filler.key_of(row, of)
                {
                    let from = if new.is_null() { &raw mut *row } else { new };
                    new = filler.key.set(from, of, Some(Value::Key(key)));
                }
            }
            let written = (!new.is_null()).then(|| self.update(row, new));
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextReset(self.memory);
            written
        }
    }

    /// Whether the row could be updated.
    ///
    /// # Safety
    /// The new row must be one of the relation.
    unsafe fn update(&self, row: &mut pg_sys::HeapTupleData, new: pg_sys::HeapTuple) -> bool {
        // SAFETY: see above; where the row has moved it gets entries in all indexes.
        unsafe {
            let mut failure = pg_sys::TM_FailureData::default();
            let mut lock = pg_sys::LockTupleMode::LockTupleNoKeyExclusive;
            #[cfg(not(feature = "pg15"))]
            let mut indexes = pg_sys::TU_UpdateIndexes::TU_None;
            let result = pg_sys::heap_update(
                self.relation,
                &raw mut row.t_self,
                new,
                self.command,
                #[cfg(feature = "pg19")]
                0,
                std::ptr::null_mut(),
                self.waits,
                &mut failure,
                &mut lock,
                #[cfg(not(feature = "pg15"))]
                &mut indexes,
            );
            if result != pg_sys::TM_Result::TM_Ok {
                return false;
            }
            #[cfg(feature = "pg15")]
            let (needs_entries, only_summarizing) =
                (u32::from((*(*new).t_data).t_infomask2) & pg_sys::HEAP_ONLY_TUPLE == 0, false);
            #[cfg(not(feature = "pg15"))]
            let (needs_entries, only_summarizing) = (
                indexes != pg_sys::TU_UpdateIndexes::TU_None,
                indexes == pg_sys::TU_UpdateIndexes::TU_Summarizing,
            );
            if needs_entries {
                self.entries.insert(new, only_summarizing);
            }
            true
        }
    }
}

/// What room there is on a page, and its last line pointer.
///
/// # Safety
/// The buffer must be pinned.
unsafe fn room(buffer: pg_sys::Buffer) -> (Room, pg_sys::OffsetNumber) {
    // SAFETY: see above; the page is locked while it is looked at.
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

/// Whether there is a row behind a line pointer.
///
/// # Safety
/// The page must be that of a buffer that is locked, and have the line pointer.
unsafe fn is_row(content: pg_sys::Page, offset: pg_sys::OffsetNumber) -> bool {
    // SAFETY: see above.
    unsafe { (*pg_sys::PageGetItemId(content, offset)).lp_flags() == pg_sys::LP_NORMAL }
}
