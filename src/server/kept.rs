//! What a procedure keeps from one of its transactions to the next.

use std::cell::Cell;

/// Room for it, one for each session. A plain pointer: what a thread-local value drops when a process ends, it drops
/// after the process has left shared memory, where the locks are that it would give back.
pub(crate) struct Kept<T>(Cell<*mut T>);

impl<T> Kept<T> {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(std::ptr::null_mut()))
    }

    /// Takes it out; an error of whoever has taken it drops it.
    pub(crate) fn take(&self) -> Option<Box<T>> {
        let kept = self.0.replace(std::ptr::null_mut());
        // SAFETY: not null, so it is from `keep`, and taken only once.
        (!kept.is_null()).then(|| unsafe { Box::from_raw(kept) })
    }

    /// Keeps it for the next transaction.
    pub(crate) fn keep(&self, what: Box<T>) {
        drop(self.take());
        self.0.set(Box::into_raw(what));
    }
}
