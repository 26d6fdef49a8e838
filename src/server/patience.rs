//! How long the locks of a phase may be waited for, all of them together.

use std::cell::Cell;
use std::time::{Duration, Instant};

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::obstacle::Missed;
use super::timeout::Timeout;
use crate::error::{raise, report};

thread_local! {
    /// How long the running phase may still wait; `None` outside of one.
    static LEFT: Cell<Option<Duration>> = const { Cell::new(None) };
    /// The lock that is waited for or, after an error, was waited for in vain.
    static MISSED: Cell<Option<Missed>> = const { Cell::new(None) };
}

/// A timeout for all waits of a phase together. Only waits count, not the work between them.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    timeout: Timeout,
    left: Cell<Duration>,
}

impl Patience {
    pub(crate) const fn new(timeout: Timeout) -> Self {
        Self { timeout, left: Cell::new(timeout.duration()) }
    }

    /// How long the next wait may take.
    pub(crate) fn left(&self) -> Timeout {
        Timeout::of_at_least_one_millisecond(self.left.get())
    }

    /// The timeout as the caller gave it.
    pub(crate) const fn given(&self) -> Timeout {
        self.timeout
    }

    /// Subtracts a wait.
    pub(crate) fn spend(&self, waited: Duration) {
        self.left.set(self.left.get().saturating_sub(waited));
    }

    /// Leaves nothing: no later wait of the phase takes any time.
    pub(crate) fn use_up(&self) {
        self.left.set(Duration::ZERO);
    }

    /// Restores the full timeout, for the next phase.
    pub(crate) fn renew(&self) {
        self.left.set(self.timeout.duration());
    }

    /// Runs a part of the phase. Its waits in [`acquire`] are subtracted, and no other wait in it is
    /// longer than what was left at its beginning.
    pub(crate) fn during<T>(&self, part: impl FnOnce() -> T) -> T {
        let _part = Part::begin(self);
        self.left().limiting(part)
    }
}

/// A part of a phase that is running. An error ends it, too.
struct Part<'a> {
    patience: &'a Patience,
    /// What was left of the phase in which this one runs.
    around: Option<Duration>,
}

impl<'a> Part<'a> {
    fn begin(patience: &'a Patience) -> Self {
        MISSED.set(None);
        Self { patience, around: LEFT.replace(Some(patience.left.get())) }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.patience.left.set(LEFT.replace(self.around).unwrap_or_default());
    }
}

/// Acquires a lock on a relation, as `LockRelationOid` does. Within [`Patience::during`], raises 55P03
/// if that takes longer than what is left of the phase; if nothing is left, it does not wait.
pub(crate) fn acquire(relation: pg_sys::Oid, lock: u32) {
    // SAFETY: takes a lock by OID without waiting; the lock manager raises its own errors.
    if unsafe { pg_sys::ConditionalLockRelationOid(relation, lock as i32) } {
        return;
    }
    // SAFETY: takes a lock by OID; the lock manager raises its own errors.
    let wait = || unsafe { pg_sys::LockRelationOid(relation, lock as i32) };
    let Some(left) = LEFT.get() else { return wait() };
    MISSED.set(Some(Missed { relation, lock }));
    if left.is_zero() {
        raise(report(Error::new(SqlState::LockNotAvailable, "could not acquire a lock at once")));
    }
    // What a wait in vain leaves.
    LEFT.set(Some(Duration::ZERO));
    let began = Instant::now();
    Timeout::of_at_least_one_millisecond(left).limiting(wait);
    LEFT.set(Some(left.saturating_sub(began.elapsed())));
    MISSED.set(None);
}

/// The lock that was waited for in vain, once an error has ended the wait.
pub(crate) fn missed() -> Option<Missed> {
    MISSED.take()
}
