//! Whether the catalogs have changed since they were read.

use pgrx::pg_sys;

/// The number of changes to catalogs that this session has been told of, by any session. Every change
/// of a catalog sends messages, and who acquires a lock receives those of whoever held it before:
/// core's `RangeVarGetRelidExtended` relies on the same number to see whether a name still means the
/// table that it has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeenChanges(u64);

impl SeenChanges {
    /// The number now. Catalogs must be read afterwards, with a new snapshot.
    pub(crate) fn now() -> Self {
        // SAFETY: receives what other sessions have sent, in a transaction, where any use of a table
        // does the same; then reads a plain integer of this backend.
        unsafe {
            pg_sys::AcceptInvalidationMessages();
            Self(pg_sys::SharedInvalidMessageCounter)
        }
    }

    /// Whether nothing has changed since.
    pub(crate) fn are_all(self) -> bool {
        self == Self::now()
    }
}
