//! Steps within a transaction that can be rolled back separately.

use std::panic::AssertUnwindSafe;

use pgrx::{PgTryBuilder, pg_sys};

use crate::server::caught::Caught;

/// An internal subtransaction, like the one that PL/pgSQL opens for a block with EXCEPTION.
struct Subtransaction {
    context: pg_sys::MemoryContext,
    owner: pg_sys::ResourceOwner,
}

impl Subtransaction {
    fn begin() -> Self {
        // SAFETY: these globals belong to this backend and are valid within a transaction. The
        // context outlives the subtransaction.
        unsafe {
            let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
            pg_sys::BeginInternalSubTransaction(std::ptr::null());
            pg_sys::MemoryContextSwitchTo(context);
            Self { context, owner }
        }
    }

    fn commit(&self) {
        // SAFETY: ends the subtransaction begun by `begin`. Context and owner are those from before
        // it.
        unsafe {
            pg_sys::ReleaseCurrentSubTransaction();
            pg_sys::MemoryContextSwitchTo(self.context);
            pg_sys::CurrentResourceOwner = self.owner;
        }
    }

    fn roll_back(&self) {
        // SAFETY: as for `commit`.
        unsafe {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
            pg_sys::MemoryContextSwitchTo(self.context);
            pg_sys::CurrentResourceOwner = self.owner;
        }
    }

    /// Runs `step` within it. An error rolls it back here: PostgreSQL's abort handling would
    /// mistake an internal subtransaction that is still open for one of the user's, and leave the
    /// session in it.
    fn run<T>(&self, step: impl FnOnce() -> T) -> Result<T, Box<Caught>> {
        PgTryBuilder::new(AssertUnwindSafe(|| Ok(step())))
            .catch_others(|error| {
                let error = Caught::new(error);
                self.roll_back();
                Err(Box::new(error))
            })
            .catch_rust_panic(|error| {
                self.roll_back();
                Err(Box::new(Caught::new(error)))
            })
            .execute()
    }
}

/// Runs `read` in a subtransaction and rolls it back, so that its locks are released. A set-up
/// reads thousands of tables, and would otherwise fill the lock table (trap S20).
///
/// Returns an error to the caller, as [`attempt`] does.
///
/// Call it only before the first change: the end of every subtransaction walks through all files
/// that the transaction has created and dropped.
pub(crate) fn read_and_release<T>(read: impl FnOnce() -> T) -> Result<T, Box<Caught>> {
    let subtransaction = Subtransaction::begin();
    let value = subtransaction.run(read)?;
    subtransaction.roll_back();
    Ok(value)
}

/// Runs `step` in a subtransaction. An error of PostgreSQL rolls it back, releases its locks, and
/// is returned to the caller, which must not ignore a cancellation.
pub(crate) fn attempt<T>(step: impl FnOnce() -> T) -> Result<T, Box<Caught>> {
    let subtransaction = Subtransaction::begin();
    let value = subtransaction.run(step)?;
    subtransaction.commit();
    Ok(value)
}

/// The result of a step, or nothing if the step failed. Cancellations are raised again.
pub(crate) fn unless_cancelled<T>(result: Result<T, Box<Caught>>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            if error.is_cancellation() {
                error.rethrow();
            }
            None
        }
    }
}
