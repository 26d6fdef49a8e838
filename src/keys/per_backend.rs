//! State of one server process.

use std::cell::UnsafeCell;

/// A value of which every server process has its own. Unlike a thread-local it costs no look-up on access.
pub(super) struct PerBackend<T>(UnsafeCell<T>);

// SAFETY: a PostgreSQL server process runs extension code in its one main thread only.
unsafe impl<T> Sync for PerBackend<T> {}

impl<T> PerBackend<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Lends the value to `f`, which must not come back here for the same value.
    ///
    /// # Safety
    /// `f` calls neither SQL nor anything else that could run another function on this value.
    #[inline]
    pub(super) unsafe fn with<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: there is one thread, and by the caller's promise no other borrow while `f` runs.
        f(unsafe { &mut *self.0.get() })
    }
}
