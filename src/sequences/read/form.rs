//! The stored form of a sequence: its definition in the catalog, and its state in its own page.
//! Only the page says whether a value was handed out.

use keyspace::sequences::{NumberType, Progression};
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::server::by_version::{self, buffer_lock};
use crate::server::open::OpenRelation;
use crate::server::subtransaction;

/// `FormData_pg_sequence_data` of commands/sequence.h, which the bindings lack.
#[repr(C)]
struct SequenceData {
    last_value: i64,
    log_cnt: i64,
    is_called: bool,
}

/// The position of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The value that was handed out last, or will be handed out first.
    pub(crate) last_value: i64,
    /// Whether `last_value` has been handed out.
    pub(crate) is_called: bool,
}

/// How many times to try to read a sequence while other sessions replace its file.
const TRIES: u32 = 5;

/// Reads the position of a sequence, whatever the snapshot; `None` if it does not exist any more.
///
/// It does not wait for `ALTER SEQUENCE`, which holds ShareRowExclusive and may replace the
/// sequence's file, but only for commands that block reading altogether (DROP, TRUNCATE ... RESTART
/// IDENTITY). It checks no privilege, and keeps no lock.
///
/// # Safety
/// `sequence` must be the OID of a sequence, or of no relation at all.
pub(crate) unsafe fn state(sequence: pg_sys::Oid) -> Option<State> {
    // SAFETY: guaranteed by the caller.
    unsafe {
        read_protected(sequence)
            .or_else(|| read_unprotected(|| OpenRelation::try_any(sequence, pg_sys::AccessShareLock)))
    }
}

/// Reads the position of a sequence without waiting; `None` if the sequence does not exist any
/// more, or if another session has locked it against drawing or is waiting for such a lock (ALTER
/// SEQUENCE, a set-up, TRUNCATE ... RESTART IDENTITY, DROP).
///
/// # Safety
/// As for [`state`].
pub(crate) unsafe fn state_at_once(sequence: pg_sys::Oid) -> Option<State> {
    // SAFETY: the first call looks at shared memory. The rest is guaranteed by the caller.
    unsafe {
        if pg_sys::RecoveryInProgress() {
            return read_unprotected(|| open_at_once(sequence, pg_sys::AccessShareLock));
        }
        read_protected(sequence)
    }
}

/// Reads like [`state_at_once`], but also during an ALTER SEQUENCE: `None` only if the sequence
/// does not exist any more or cannot be read at all.
///
/// # Safety
/// As for [`state`].
pub(crate) unsafe fn state_during_alter(sequence: pg_sys::Oid) -> Option<State> {
    // SAFETY: guaranteed by the caller.
    unsafe {
        read_protected(sequence)
            .or_else(|| read_unprotected(|| open_at_once(sequence, pg_sys::AccessShareLock)))
    }
}

/// Reads a sequence under a lock that conflicts with ALTER SEQUENCE, as PostgreSQL's own functions
/// do, so that nobody can replace its file meanwhile. `None` if the lock is not available at once.
///
/// # Safety
/// As for [`state`].
unsafe fn read_protected(sequence: pg_sys::Oid) -> Option<State> {
    // SAFETY: looks at shared memory, and at the locks of this session. The rest is guaranteed by
    // the caller.
    unsafe {
        // A standby replays an ALTER without the lock that protected it on the primary.
        if pg_sys::RecoveryInProgress() {
            return None;
        }
        if let Some(relation) = open_at_once(sequence, pg_sys::RowExclusiveLock) {
            return Some(read(&relation));
        }
        // If other sessions wait for a lock on the sequence, this session cannot acquire a
        // conflicting one at once, either, even if it already holds one.
        let relation = open_at_once(sequence, pg_sys::AccessShareLock)?;
        let lock = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
        pg_sys::CheckRelationLockedByMe(relation.raw(), lock, true).then(|| read(&relation))
    }
}

/// Reads a sequence whose file other sessions may replace meanwhile, as it is before or after that.
///
/// # Safety
/// `open` must return a sequence, locked with AccessShare.
unsafe fn read_unprotected(open: impl Fn() -> Option<OpenRelation>) -> Option<State> {
    for _ in 1..TRIES {
        // SAFETY: guaranteed by the caller.
        match subtransaction::attempt(|| open().map(|relation| unsafe { read(&relation) })) {
            Ok(state) => return state,
            // SAFETY: takes in the current files of relations, within a transaction.
            Err(error) if is_replaced(&error) => unsafe { pg_sys::AcceptInvalidationMessages() },
            Err(error) => error.rethrow(),
        }
    }
    // SAFETY: guaranteed by the caller.
    open().map(|relation| unsafe { read(&relation) })
}

/// Whether the error says that a file is empty or missing, as a replaced file is.
fn is_replaced(error: &CaughtError) -> bool {
    use PgSqlErrorCode::{ERRCODE_DATA_CORRUPTED, ERRCODE_UNDEFINED_FILE};
    matches!(subtransaction::sqlstate(error), ERRCODE_DATA_CORRUPTED | ERRCODE_UNDEFINED_FILE)
}

/// Opens a sequence under a lock that is released when it is closed, if the lock is available
/// without waiting.
fn open_at_once(sequence: pg_sys::Oid, lock: u32) -> Option<OpenRelation> {
    // SAFETY: acquires a lock by OID without waiting, and releases it if there is nothing to open.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(sequence, lock as i32) {
            return None;
        }
        let Some(relation) = OpenRelation::try_any(sequence, pg_sys::NoLock) else {
            pg_sys::UnlockRelationOid(sequence, lock as i32);
            return None;
        };
        Some(relation.release(lock))
    }
}

/// # Safety
/// It must be a sequence, locked with AccessShare.
unsafe fn read(sequence: &OpenRelation) -> State {
    // SAFETY: a sequence has exactly one page with exactly one tuple, which is never pruned. The
    // buffer is pinned and share-locked while its tuple is read, and released afterwards.
    unsafe {
        let buffer = pg_sys::ReadBuffer(sequence.raw(), 0);
        pg_sys::LockBuffer(buffer, buffer_lock::SHARE);
        let page = pg_sys::BufferGetPage(buffer);
        let item = pg_sys::PageGetItem(page, pg_sys::PageGetItemId(page, 1));
        let tuple = item.cast::<pg_sys::HeapTupleHeaderData>();
        let data = tuple.cast::<u8>().add((*tuple).t_hoff as usize).cast::<SequenceData>();
        let state = State { last_value: (*data).last_value, is_called: (*data).is_called };
        pg_sys::UnlockReleaseBuffer(buffer);
        state
    }
}

/// `FormData_pg_sequence` of catalog/pg_sequence.h, which the bindings lack. It is the same in
/// PostgreSQL 10 to 19.
#[repr(C)]
pub(crate) struct SequenceForm {
    seqrelid: pg_sys::Oid,
    seqtypid: pg_sys::Oid,
    pub(crate) seqstart: i64,
    pub(crate) seqincrement: i64,
    pub(crate) seqmax: i64,
    pub(crate) seqmin: i64,
    seqcache: i64,
    seqcycle: bool,
}

/// The definition of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    /// `AS`.
    pub(crate) number_type: NumberType,
    /// `START WITH`.
    pub(crate) start: i64,
    pub(crate) progression: Progression,
}

/// The definition of a sequence; `None` if there is no such sequence.
pub(crate) fn definition(sequence: pg_sys::Oid) -> Option<Definition> {
    // SAFETY: the tuple is held while its fixed part is copied. pg_sequence has no nullable
    // columns.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(by_version::cache::SEQRELID, sequence.into());
        if tuple.is_null() {
            return None;
        }
        let data = (*tuple).t_data;
        let form = data.cast::<u8>().add((*data).t_hoff as usize).cast::<SequenceForm>();
        let definition = Definition {
            number_type: match (*form).seqtypid {
                pg_sys::INT2OID => NumberType::Smallint,
                pg_sys::INT4OID => NumberType::Integer,
                _ => NumberType::Bigint,
            },
            start: (*form).seqstart,
            progression: Progression {
                increment: (*form).seqincrement,
                min_value: (*form).seqmin,
                max_value: (*form).seqmax,
                cycle: (*form).seqcycle,
            },
        };
        pg_sys::ReleaseSysCache(tuple);
        Some(definition)
    }
}
