//! Entries in the indexes of a table for rows that the backfill has moved to other pages.
//!
//! The executor would ask each unique index whether the value is there already, which it always is, in the entry of the
//! row before, and look at that row to find that it is gone. Here the value is known to be that of the row before, so
//! that nothing is asked; the index is told so, and clears out entries of rows that earlier batches have moved rather
//! than split a page.

use keyspace::migration::facts::Table;
use keyspace::migration::scope::Scope;
use pgrx::pg_sys;

/// The open indexes of a table.
pub(super) struct Entries {
    relation: pg_sys::Relation,
    state: *mut pg_sys::EState,
    result: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    /// What each index is asked.
    questions: Vec<Question>,
}

/// What an index is asked about a row that has moved.
#[derive(Clone, Copy)]
struct Question {
    unique: pg_sys::IndexUniqueCheck::Type,
    exclusion: bool,
}

impl Question {
    /// Only an index that knows the new keys has something new to check.
    ///
    /// # Safety
    /// The index must be open, with its description.
    unsafe fn of(index: pg_sys::Relation, info: *const pg_sys::IndexInfo, keys: &[i16]) -> Self {
        // SAFETY: see above; a description has as many columns as it says.
        unsafe {
            let columns = usize::try_from((*info).ii_NumIndexAttrs).unwrap_or(0);
            // A column of number 0 is an expression, which may be about anything.
            let is_about_keys = !(*info).ii_Predicate.is_null()
                || (*info)
                    .ii_IndexAttrNumbers
                    .iter()
                    .take(columns)
                    .any(|number| *number == 0 || keys.contains(number));
            let is_unique = (*(*index).rd_index).indisunique;
            // A deferrable constraint is looked at here, too: nothing of this batch comes after it.
            let unique = if is_about_keys && is_unique {
                pg_sys::IndexUniqueCheck::UNIQUE_CHECK_YES
            } else {
                pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO
            };
            Self { unique, exclusion: is_about_keys && !(*info).ii_ExclusionOps.is_null() }
        }
    }
}

impl Entries {
    /// # Safety
    /// The relation must be that of the table, open, and locked until [`Self::close`].
    pub(super) unsafe fn open(scope: &Scope<'_>, table: &Table, relation: pg_sys::Relation) -> Self {
        let keys: Vec<i16> = scope.members_of(table.oid).map(|member| member.shadow_number).collect();
        // SAFETY: see above. The executor's state is what expressions of indexes need.
        unsafe {
            let state = pg_sys::CreateExecutorState();
            let before = pg_sys::MemoryContextSwitchTo((*state).es_query_cxt);
            let result = pg_sys::palloc0(size_of::<pg_sys::ResultRelInfo>()).cast::<pg_sys::ResultRelInfo>();
            (*result).type_ = pg_sys::NodeTag::T_ResultRelInfo;
            pg_sys::InitResultRelInfo(result, relation, 0, std::ptr::null_mut(), 0);
            pg_sys::ExecOpenIndices(result, false);
            let slot =
                pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, &raw const pg_sys::TTSOpsHeapTuple);
            (*pg_sys::MakePerTupleExprContext(state)).ecxt_scantuple = slot;
            pg_sys::MemoryContextSwitchTo(before);
            let questions = (0..usize::try_from((*result).ri_NumIndices).unwrap_or(0))
                .map(|at| {
                    let index = *(*result).ri_IndexRelationDescs.add(at);
                    Question::of(index, *(*result).ri_IndexRelationInfo.add(at), &keys)
                })
                .collect();
            Self { relation, state, result, slot, questions }
        }
    }

    /// Makes the entries of a row that has moved; `only_summarizing` where it has not, and an index that summarizes
    /// (BRIN) is on a column that has changed.
    ///
    /// # Safety
    /// The row must be one of the relation, at the place that it says.
    pub(super) unsafe fn insert(&self, row: pg_sys::HeapTuple, only_summarizing: bool) {
        // SAFETY: indexes and descriptions are open, and each has at most as many columns as there is room for; a slot
        // that does not own the row is emptied before the row is freed.
        unsafe {
            if self.questions.is_empty() {
                return;
            }
            pg_sys::ExecStoreHeapTuple(row, self.slot, false);
            for (at, question) in self.questions.iter().enumerate() {
                let index = *(*self.result).ri_IndexRelationDescs.add(at);
                let info = *(*self.result).ri_IndexRelationInfo.add(at);
                if (*info).ii_ReadyForInserts
                    && (!only_summarizing || is_summarizing(info))
                    && self.is_in(info)
                {
                    self.enter(index, info, *question, row);
                }
            }
            pg_sys::ExecClearTuple(self.slot);
            pg_sys::MemoryContextReset((*(*self.state).es_per_tuple_exprcontext).ecxt_per_tuple_memory);
        }
    }

    /// Whether the row in the slot is one of those that a partial index is about.
    ///
    /// # Safety
    /// The description must be that of an index of the relation.
    unsafe fn is_in(&self, info: *mut pg_sys::IndexInfo) -> bool {
        // SAFETY: see above; what is prepared lives as long as the state.
        unsafe {
            if (*info).ii_Predicate.is_null() {
                return true;
            }
            if (*info).ii_PredicateState.is_null() {
                (*info).ii_PredicateState = pg_sys::ExecPrepareQual((*info).ii_Predicate, self.state);
            }
            let context = (*self.state).es_per_tuple_exprcontext;
            let mut is_null = false;
            let is_true = pg_sys::ExecEvalExprSwitchContext((*info).ii_PredicateState, context, &mut is_null);
            // As core has it: a condition that is prepared as a filter is never NULL.
            is_true.value() != 0
        }
    }

    /// # Safety
    /// As for [`Self::insert`].
    unsafe fn enter(
        &self,
        index: pg_sys::Relation,
        info: *mut pg_sys::IndexInfo,
        question: Question,
        row: pg_sys::HeapTuple,
    ) {
        const MOST: usize = pg_sys::INDEX_MAX_KEYS as usize;
        let (mut values, mut nulls) = ([pg_sys::Datum::null(); MOST], [false; MOST]);
        let (values, nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
        // SAFETY: see above.
        unsafe {
            pg_sys::FormIndexDatum(info, self.slot, self.state, values, nulls);
            let place = &raw mut (*row).t_self;
            pg_sys::index_insert(index, values, nulls, place, self.relation, question.unique, true, info);
            if question.exclusion {
                pg_sys::check_exclusion_constraint(
                    self.relation,
                    index,
                    info,
                    place,
                    values,
                    nulls,
                    self.state,
                    false,
                );
            }
        }
    }

    /// # Safety
    /// To be called once, at the end.
    pub(super) unsafe fn close(self) {
        // SAFETY: what `open` has opened.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::ExecCloseIndices(self.result);
            pg_sys::FreeExecutorState(self.state);
        }
    }
}

/// Whether an index has no entries for single rows.
///
/// # Safety
/// It must be the description of an index.
#[cfg(not(feature = "pg15"))]
unsafe fn is_summarizing(info: *const pg_sys::IndexInfo) -> bool {
    // SAFETY: see above.
    unsafe { (*info).ii_Summarizing }
}

/// The same: before PostgreSQL 16 every row with new values in an index moves.
///
/// # Safety
/// None is needed.
#[cfg(feature = "pg15")]
unsafe fn is_summarizing(_: *const pg_sys::IndexInfo) -> bool {
    true
}
