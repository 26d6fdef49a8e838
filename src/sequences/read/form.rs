//! The stored form of a sequence: its definition in the catalog, and its state in its own page.
//! Only the page says whether a value was handed out.

use keyspace::sequences::{NumberType, Progression};
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::server::by_version::{self, buffer_lock};
use crate::server::caught::Caught;
use crate::server::patience::acquire;
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
/// Nothing here opens the sequence: an entry in the relation cache costs more than all the rest, and
/// would stay in the memory of the session.
pub(crate) fn state(sequence: pg_sys::Oid) -> Option<State> {
    read_protected(sequence)
        .or_else(|| read_unprotected(|| Some(Locked::wait(sequence, pg_sys::AccessShareLock))))
}

/// Reads the position of a sequence without waiting; `None` if the sequence does not exist any
/// more, or if another session has locked it against drawing or is waiting for such a lock (ALTER
/// SEQUENCE, a set-up, TRUNCATE ... RESTART IDENTITY, DROP).
pub(crate) fn state_at_once(sequence: pg_sys::Oid) -> Option<State> {
    // SAFETY: looks at shared memory.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return read_unprotected(|| Locked::at_once(sequence, pg_sys::AccessShareLock));
    }
    read_protected(sequence)
}

/// Reads like [`state_at_once`], but also during an ALTER SEQUENCE: `None` only if the sequence
/// does not exist any more or cannot be read at all.
pub(crate) fn state_during_alter(sequence: pg_sys::Oid) -> Option<State> {
    read_protected(sequence)
        .or_else(|| read_unprotected(|| Locked::at_once(sequence, pg_sys::AccessShareLock)))
}

/// Reads a sequence under a lock that conflicts with ALTER SEQUENCE, as PostgreSQL's own functions
/// do, so that nobody can replace its file meanwhile. `None` if the lock is not available at once.
fn read_protected(sequence: pg_sys::Oid) -> Option<State> {
    // A standby replays an ALTER without the lock that protected it on the primary.
    // SAFETY: looks at shared memory.
    if unsafe { pg_sys::RecoveryInProgress() } {
        return None;
    }
    if let Some(locked) = Locked::at_once(sequence, pg_sys::RowExclusiveLock) {
        return locked.read();
    }
    // If other sessions wait for a lock on the sequence, this session cannot acquire a
    // conflicting one at once, either, even if it already holds one.
    let locked = Locked::at_once(sequence, pg_sys::AccessShareLock)?;
    let lock = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
    // SAFETY: looks at the locks of this session.
    if unsafe { pg_sys::CheckRelationOidLockedByMe(sequence, lock, true) } { locked.read() } else { None }
}

/// Reads a sequence whose file other sessions may replace meanwhile, as it is before or after that.
fn read_unprotected(lock: impl Fn() -> Option<Locked>) -> Option<State> {
    let read = || lock().and_then(|locked| locked.read());
    for _ in 1..TRIES {
        match subtransaction::attempt(read) {
            Ok(state) => return state,
            // SAFETY: takes in the current files of relations, within a transaction.
            Err(error) if is_replaced(&error) => unsafe { pg_sys::AcceptInvalidationMessages() },
            Err(error) => error.rethrow(),
        }
    }
    read()
}

/// Whether the error says that a file is empty or missing, as a replaced file is.
fn is_replaced(error: &Caught) -> bool {
    use PgSqlErrorCode::{ERRCODE_DATA_CORRUPTED, ERRCODE_UNDEFINED_FILE};
    matches!(error.sqlstate(), ERRCODE_DATA_CORRUPTED | ERRCODE_UNDEFINED_FILE)
}

/// A sequence, or what was one, under a lock that is released when this value is dropped. After an
/// error of PostgreSQL, the end of the (sub)transaction does that.
struct Locked {
    sequence: pg_sys::Oid,
    lock: u32,
}

impl Locked {
    /// Acquires the lock if it is available without waiting.
    fn at_once(sequence: pg_sys::Oid, lock: u32) -> Option<Self> {
        // SAFETY: acquires a lock by OID without waiting; the lock manager raises its own errors.
        // Whether it is new or not, changes that were committed before it are taken in.
        unsafe { pg_sys::ConditionalLockRelationOid(sequence, lock as i32) }.then(|| Self { sequence, lock })
    }

    fn wait(sequence: pg_sys::Oid, lock: u32) -> Self {
        acquire(sequence, lock);
        Self { sequence, lock }
    }

    /// The position; `None` if the sequence was dropped.
    fn read(&self) -> Option<State> {
        let file = File::of(self.sequence)?;
        // SAFETY: a sequence has exactly one page with exactly one tuple, which is never pruned. The
        // buffer is pinned and share-locked while its tuple is read, and released afterwards.
        unsafe {
            let buffer = by_version::read_first_page(file.tablespace, file.number, file.is_permanent);
            pg_sys::LockBuffer(buffer, buffer_lock::SHARE);
            let page = pg_sys::BufferGetPage(buffer);
            let item = pg_sys::PageGetItem(page, pg_sys::PageGetItemId(page, 1));
            let tuple = item.cast::<pg_sys::HeapTupleHeaderData>();
            let data = tuple.cast::<u8>().add((*tuple).t_hoff as usize).cast::<SequenceData>();
            let state = State { last_value: (*data).last_value, is_called: (*data).is_called };
            pg_sys::UnlockReleaseBuffer(buffer);
            Some(state)
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: releases the lock that this value has acquired.
            unsafe { pg_sys::UnlockRelationOid(self.sequence, self.lock as i32) };
        }
    }
}

/// The file of a sequence, as pg_class names it.
struct File {
    tablespace: pg_sys::Oid,
    number: pg_sys::Oid,
    is_permanent: bool,
}

impl File {
    /// `None` if there is no such sequence, and for a temporary one, whose file belongs to a session.
    fn of(sequence: pg_sys::Oid) -> Option<Self> {
        // SAFETY: the tuple is held while its fixed part is read.
        unsafe {
            let tuple = pg_sys::SearchSysCache1(by_version::cache::RELOID, sequence.into());
            if tuple.is_null() {
                return None;
            }
            let class = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
            let persistence = (*class).relpersistence as u8;
            let is_file = (*class).relkind as u8 == pg_sys::RELKIND_SEQUENCE
                && persistence != pg_sys::RELPERSISTENCE_TEMP;
            let file = Self {
                tablespace: (*class).reltablespace,
                number: (*class).relfilenode,
                is_permanent: persistence == pg_sys::RELPERSISTENCE_PERMANENT,
            };
            pg_sys::ReleaseSysCache(tuple);
            is_file.then_some(file)
        }
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
