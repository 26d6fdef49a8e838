//! Writes columns of a row as an UPDATE of these columns does, with the parts of PostgreSQL's
//! executor, but without user triggers.
//!
//! It does not use `ExecSimpleRelationUpdate`, which locks each row first if a table has a BEFORE
//! trigger (as ours are), and fires triggers that are ENABLE ALWAYS or REPLICA. It skips
//! constraints that do not involve the written columns: existing rows may violate one that is NOT
//! VALID, and these values do not change. Of the AFTER triggers, it fires PostgreSQL's own for
//! foreign keys on the written columns and for deferrable unique constraints.

use pgrx::{PgSqlErrorCode, pg_sys};

use crate::server::by_version::{self, EntriesFor, buffer_lock};
use crate::server::subtransaction::attempt;

/// The result for a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    /// Another transaction has locked or changed the row, or this transaction has changed it.
    Skipped,
    /// The new version of the row does not fit on a page.
    TooWide,
}

/// The longest row that fits on a page.
const LONGEST: usize = pg_sys::BLCKSZ as usize
    - (size_of::<pg_sys::PageHeaderData>() + size_of::<pg_sys::ItemIdData>())
        .next_multiple_of(pg_sys::MAXIMUM_ALIGNOF as usize);

/// A table of which some columns are written.
pub(super) struct Writer {
    relation: pg_sys::Relation,
    state: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
    /// The new version of the row.
    slot: *mut pg_sys::TupleTableSlot,
    command: pg_sys::CommandId,
    /// The lock mode of an update of these columns.
    lock: pg_sys::LockTupleMode::Type,
    /// Whether generated columns depend on the written ones.
    generates: bool,
    /// The relation with the constraints that involve written columns; `None` if there are none.
    checked: Option<*mut pg_sys::ResultRelInfo>,
    /// Whether foreign keys involve written columns.
    fires: bool,
}

impl Writer {
    /// Opens a table to write columns of it. It must stay open and locked until [`Self::close`].
    ///
    /// # Safety
    /// The relation must be an ordinary table that is open, locked for writing, and has the
    /// columns.
    pub(super) unsafe fn open(relation: pg_sys::Relation, columns: &[i16]) -> Self {
        // SAFETY: see above. Everything allocated here lives as long as the executor's state.
        unsafe {
            // As for a query: a published table without a replica identity accepts no UPDATE.
            pg_sys::CheckCmdReplicaIdentity(relation, pg_sys::CmdType::CMD_UPDATE);
            let state = pg_sys::CreateExecutorState();
            let before = pg_sys::MemoryContextSwitchTo((*state).es_query_cxt);
            let written = columns.iter().fold(std::ptr::null_mut(), |set, column| {
                pg_sys::bms_add_member(set, member(i32::from(*column)))
            });
            by_version::init_range_table(state, relation, written);
            let result = result_of(relation);
            pg_sys::ExecOpenIndices(result, false);
            let (affected, generates) = affected(relation, written);
            let checked = with_constraints_of(relation, affected);
            let fires = keep_own_triggers(relation, result, affected);
            let kind = pg_sys::IndexAttrBitmapKind::INDEX_ATTR_BITMAP_KEY;
            let is_of_key = pg_sys::bms_overlap(affected, pg_sys::RelationGetIndexAttrBitmap(relation, kind));
            let lock = if is_of_key {
                pg_sys::LockTupleMode::LockTupleExclusive
            } else {
                pg_sys::LockTupleMode::LockTupleNoKeyExclusive
            };
            let slot =
                pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, &raw const pg_sys::TTSOpsHeapTuple);
            let command = pg_sys::GetCurrentCommandId(true);
            (*state).es_output_cid = command;
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::AfterTriggerBeginQuery();
            Self { relation, state, result, slot, command, lock, generates, checked, fires }
        }
    }

    /// Whether it checks foreign keys on the written columns.
    pub(super) const fn checks_foreign_keys(&self) -> bool {
        self.fires
    }

    /// Replaces a row by a new version. It waits for a transaction that has locked the row, unless
    /// `if_free` gives the row and its page.
    ///
    /// # Safety
    /// The new row must belong to the relation and be allocated separately; this function frees it.
    /// It may differ from the row at this location only in the columns for which the writer was
    /// opened. The snapshot must be valid, and the page must be pinned and be one of a heap.
    pub(super) unsafe fn write(
        &self,
        place: &mut pg_sys::ItemPointerData,
        new: pg_sys::HeapTuple,
        snapshot: pg_sys::Snapshot,
        if_free: Option<(&mut pg_sys::HeapTupleData, pg_sys::Buffer)>,
    ) -> Outcome {
        // SAFETY: see above; the slot is cleared before the memory is reset.
        unsafe {
            // Some values may be moved out of line, or generated columns may become longer.
            let longest = if self.generates { LONGEST / 2 } else { LONGEST };
            let is_wide = (*new).t_len as usize > longest;
            pg_sys::ExecStoreHeapTuple(new, self.slot, true);
            if self.generates {
                let update = pg_sys::CmdType::CMD_UPDATE;
                pg_sys::ExecComputeStoredGenerated(self.result, self.state, self.slot, update);
            }
            if let Some(checked) = self.checked {
                pg_sys::ExecConstraints(checked, self.slot, self.state);
            }
            let is_busy = if_free.is_some_and(|(row, buffer)| !self.is_free(row, buffer));
            let mut failure = pg_sys::TM_FailureData::default();
            let mut update = || {
                let (table, slot) = (self.relation, self.slot);
                by_version::update_row(table, place, slot, self.command, snapshot, &mut failure)
            };
            let done = if is_busy {
                Some((pg_sys::TM_Result::TM_WouldBlock, EntriesFor::None))
            } else if is_wide {
                unless_too_long(update)
            } else {
                Some(update())
            };
            let (result, entries) = done.unwrap_or((pg_sys::TM_Result::TM_Invisible, EntriesFor::None));
            let outcome = match result {
                _ if done.is_none() => Outcome::TooWide,
                pg_sys::TM_Result::TM_Ok => {
                    self.follow(place, entries);
                    Outcome::Written
                }
                pg_sys::TM_Result::TM_BeingModified
                | pg_sys::TM_Result::TM_WouldBlock
                | pg_sys::TM_Result::TM_Updated
                | pg_sys::TM_Result::TM_Deleted
                | pg_sys::TM_Result::TM_SelfModified => Outcome::Skipped,
                // The heap itself raises an error for TM_Invisible.
                other => pgrx::error!("unexpected result {other} of an update"),
            };
            pg_sys::ExecClearTuple(self.slot);
            let context = (*self.state).es_per_tuple_exprcontext;
            if !context.is_null() {
                pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
            }
            outcome
        }
    }

    /// Whether an update of a row would not wait for another session. A row that other sessions
    /// have locked is locked by this transaction, too, if their locks permit it. The update does
    /// wait for a session that locks the row in between.
    ///
    /// # Safety
    /// The row must belong to the relation, which must be a heap, on a page that is pinned and not
    /// locked.
    unsafe fn is_free(&self, row: &mut pg_sys::HeapTupleData, buffer: pg_sys::Buffer) -> bool {
        // SAFETY: see above; every lock acquired is released. Nothing on a pinned page moves.
        unsafe {
            pg_sys::LockBuffer(buffer, buffer_lock::SHARE);
            let marks = u32::from((*row.t_data).t_infomask);
            pg_sys::LockBuffer(buffer, buffer_lock::UNLOCK);
            // The usual cases: the row is not locked, or only by a foreign key check, which only
            // blocks updates of a key.
            if marks & pg_sys::HEAP_XMAX_INVALID != 0 || self.permits_update(marks) {
                return true;
            }
            pg_sys::LockBuffer(buffer, buffer_lock::EXCLUSIVE);
            let state = pg_sys::HeapTupleSatisfiesUpdate(row, self.command, buffer);
            pg_sys::LockBuffer(buffer, buffer_lock::UNLOCK);
            // If the row is gone, the update reports it without waiting.
            state != pg_sys::TM_Result::TM_BeingModified || self.is_locked_at_once(row)
        }
    }

    /// Whether a row has at most one locker, whose lock permits the update.
    const fn permits_update(&self, marks: u32) -> bool {
        let kinds = pg_sys::HEAP_XMAX_IS_MULTI | pg_sys::HEAP_LOCK_MASK | pg_sys::HEAP_XMAX_LOCK_ONLY;
        self.lock == pg_sys::LockTupleMode::LockTupleNoKeyExclusive
            && marks & kinds == pg_sys::HEAP_XMAX_KEYSHR_LOCK | pg_sys::HEAP_XMAX_LOCK_ONLY
    }

    /// Locks a row, unless it would have to wait.
    ///
    /// # Safety
    /// As for [`Self::is_free`].
    unsafe fn is_locked_at_once(&self, row: &pg_sys::HeapTupleData) -> bool {
        let mut locked = pg_sys::HeapTupleData { t_self: row.t_self, ..Default::default() };
        let (mut buffer, mut failure) =
            (pg_sys::InvalidBuffer as pg_sys::Buffer, pg_sys::TM_FailureData::default());
        // SAFETY: see above; the page is pinned once more and unpinned again.
        unsafe {
            let result = pg_sys::heap_lock_tuple(
                self.relation,
                &mut locked,
                self.command,
                self.lock,
                pg_sys::LockWaitPolicy::LockWaitSkip,
                false,
                &mut buffer,
                &mut failure,
            );
            pg_sys::ReleaseBuffer(buffer);
            result == pg_sys::TM_Result::TM_Ok
        }
    }

    /// Inserts the index entries of a row, and queues the checks that run at the end.
    ///
    /// # Safety
    /// The slot must hold the row, with the location at which the table has stored it; `old` is the
    /// former location.
    unsafe fn follow(&self, old: &mut pg_sys::ItemPointerData, entries: EntriesFor) {
        // SAFETY: see above.
        unsafe {
            let mut again = std::ptr::null_mut();
            if entries != EntriesFor::None && (*self.result).ri_NumIndices > 0 {
                let only_summarizing = entries == EntriesFor::Summarizing;
                again =
                    by_version::insert_index_entries(self.result, self.slot, self.state, only_summarizing);
            }
            if self.fires || !again.is_null() {
                let null = std::ptr::null_mut();
                pg_sys::ExecARUpdateTriggers(
                    self.state,
                    self.result,
                    null,
                    null,
                    old,
                    std::ptr::null_mut(),
                    self.slot,
                    again,
                    std::ptr::null_mut(),
                    false,
                );
            }
            pg_sys::list_free(again);
        }
    }

    /// Runs the remaining checks, and releases what [`Self::open`] has allocated.
    ///
    /// # Safety
    /// Call it once, at the end.
    pub(super) unsafe fn close(self) {
        // SAFETY: releases what `open` has allocated.
        unsafe {
            pg_sys::CommandCounterIncrement();
            pg_sys::AfterTriggerEndQuery(self.state);
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::ExecCloseIndices(self.result);
            pg_sys::ExecCloseResultRelations(self.state);
            pg_sys::ExecResetTupleTable((*self.state).es_tupleTable, false);
            pg_sys::FreeExecutorState(self.state);
        }
    }
}

/// The result of an update; `None` if the row does not fit on a page. The update is rolled back alone
/// then.
pub(super) fn unless_too_long<T>(update: impl FnOnce() -> T) -> Option<T> {
    match attempt(update) {
        Ok(done) => Some(done),
        Err(error) if error.sqlstate() == PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED => None,
        Err(error) => error.rethrow(),
    }
}

/// The number of a column in a set of columns.
const fn member(column: i32) -> i32 {
    column - pg_sys::FirstLowInvalidHeapAttributeNumber
}

/// # Safety
/// The relation must be open.
unsafe fn result_of(relation: pg_sys::Relation) -> *mut pg_sys::ResultRelInfo {
    // SAFETY: see above; the first entry of the range table is the relation.
    unsafe {
        let result = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
        (*result).type_ = pg_sys::NodeTag::T_ResultRelInfo;
        pg_sys::InitResultRelInfo(result, relation, 1, std::ptr::null_mut(), 0);
        result
    }
}

/// The written columns and the generated ones that depend on them; whether some of these are
/// stored.
///
/// # Safety
/// The relation must be open.
unsafe fn affected(
    relation: pg_sys::Relation,
    written: *mut pg_sys::Bitmapset,
) -> (*mut pg_sys::Bitmapset, bool) {
    // SAFETY: see above; the column numbers are those of the relation.
    unsafe {
        let of = (*relation).rd_att;
        let (mut affected, mut generates) = (pg_sys::bms_copy(written), false);
        if (*of).constr.is_null() {
            return (affected, generates);
        }
        for at in 0..(*of).natts {
            let generated = (*by_version::attribute(of, at)).attgenerated;
            if generated == 0 {
                continue;
            }
            let mut used = std::ptr::null_mut();
            pg_sys::pull_varattnos(pg_sys::build_column_default(relation, at + 1), 1, &mut used);
            if is_about(used, written) {
                affected = pg_sys::bms_add_member(affected, member(at + 1));
                generates |= generated == pg_sys::ATTRIBUTE_GENERATED_STORED as std::ffi::c_char;
            }
        }
        (affected, generates)
    }
}

/// Whether an expression that uses these columns depends on some of the others; a whole-row
/// reference depends on each.
///
/// # Safety
/// Both must be sets.
unsafe fn is_about(used: *const pg_sys::Bitmapset, columns: *const pg_sys::Bitmapset) -> bool {
    // SAFETY: see above.
    unsafe { pg_sys::bms_overlap(used, columns) || pg_sys::bms_is_member(member(0), used) }
}

/// The relation without the constraints that do not involve these columns, for `ExecConstraints`;
/// `None` if none would be left.
///
/// # Safety
/// The relation must be open as long as this is used.
unsafe fn with_constraints_of(
    relation: pg_sys::Relation,
    affected: *const pg_sys::Bitmapset,
) -> Option<*mut pg_sys::ResultRelInfo> {
    // SAFETY: see above; only a copy is changed.
    unsafe {
        if (*(*relation).rd_att).constr.is_null() {
            return None;
        }
        let of = pg_sys::CreateTupleDescCopyConstr((*relation).rd_att);
        let constraints = (*of).constr;
        let mut kept = 0;
        for at in 0..(*constraints).num_check {
            let check = (*constraints).check.add(usize::from(at));
            let expression = by_version::check_expression(relation, (*check).ccbin);
            let mut used = std::ptr::null_mut();
            pg_sys::pull_varattnos(expression, 1, &mut used);
            if is_about(used, affected) {
                (*constraints).check.add(usize::from(kept)).write(*check);
                kept += 1;
            }
        }
        (*constraints).num_check = kept;
        (*constraints).has_not_null = false;
        for at in 0..(*of).natts {
            let attribute = by_version::attribute(of, at);
            (*attribute).attnotnull &= pg_sys::bms_is_member(member(at + 1), affected);
            (*constraints).has_not_null |= (*attribute).attnotnull;
        }
        if kept == 0 && !(*constraints).has_not_null {
            return None;
        }
        let class =
            pg_sys::palloc(size_of::<pg_sys::FormData_pg_class>()).cast::<pg_sys::FormData_pg_class>();
        class.write(*(*relation).rd_rel);
        (*class).relchecks = i16::try_from(kept).unwrap_or(i16::MAX);
        let copy = pg_sys::palloc(size_of::<pg_sys::RelationData>()).cast::<pg_sys::RelationData>();
        copy.copy_from_nonoverlapping(relation, 1);
        (*copy).rd_att = of;
        (*copy).rd_rel = class;
        Some(result_of(copy))
    }
}

/// Keeps only the triggers that check the table's foreign keys on these columns, and its deferrable
/// unique constraints. Returns whether there are some of the first kind.
///
/// # Safety
/// `result` must be that of the relation, which must be open.
unsafe fn keep_own_triggers(
    relation: pg_sys::Relation,
    result: *mut pg_sys::ResultRelInfo,
    affected: *const pg_sys::Bitmapset,
) -> bool {
    // SAFETY: see above; the triggers are a copy, and there are as many as it says. The same holds
    // for the columns of keys.
    unsafe {
        let triggers = (*result).ri_TrigDesc;
        if triggers.is_null() {
            return false;
        }
        let mut constraints: Vec<pg_sys::Oid> = Vec::new();
        let keys = pg_sys::RelationGetFKeyList(relation);
        for at in 0..if keys.is_null() { 0 } else { (*keys).length } {
            let key = pg_sys::list_nth(keys, at).cast::<pg_sys::ForeignKeyCacheInfo>();
            let columns = usize::try_from((*key).nkeys).unwrap_or(0);
            let is_affected = |column: &i16| pg_sys::bms_is_member(member(i32::from(*column)), affected);
            if (*key).conkey.iter().take(columns).any(is_affected) {
                constraints.push((*key).conoid);
            }
        }
        let (mut kept, mut fires) = (0, false);
        for at in 0..usize::try_from((*triggers).numtriggers).unwrap_or(0) {
            let trigger = *(*triggers).triggers.add(at);
            let function = trigger.tgfoid.to_u32();
            let is_key =
                function == pg_sys::F_RI_FKEY_CHECK_UPD && constraints.contains(&trigger.tgconstraint);
            if trigger.tgisinternal && (is_key || function == pg_sys::F_UNIQUE_KEY_RECHECK) {
                (*triggers).triggers.add(kept).write(trigger);
                kept += 1;
                fires |= is_key;
            }
        }
        (*triggers).numtriggers = i32::try_from(kept).unwrap_or(0);
        (*triggers).trig_update_after_row = kept > 0;
        (*triggers).trig_update_old_table = false;
        (*triggers).trig_update_new_table = false;
        fires
    }
}
