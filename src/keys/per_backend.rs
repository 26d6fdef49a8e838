//! State of one server process.

use std::cell::UnsafeCell;

/// A value that each server process has of its own. Unlike a thread-local, it needs no look-up on
/// access.
pub(super) struct PerBackend<T>(UnsafeCell<T>);

// SAFETY: a PostgreSQL server process runs extension code only in its main thread.
unsafe impl<T> Sync for PerBackend<T> {}

impl<T> PerBackend<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Lends the value to `f`.
    ///
    /// # Safety
    /// `f` must call neither SQL nor anything else that could use this value.
    #[inline]
    pub(super) unsafe fn with<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: there is one thread, and the caller guarantees that there is no other borrow
        // while `f` runs.
        f(unsafe { &mut *self.0.get() })
    }
}
