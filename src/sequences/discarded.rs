//! Reads whose locks are given back at once.

use std::panic::AssertUnwindSafe;

use pgrx::{PgTryBuilder, pg_sys};

/// Runs `read` in a subtransaction that is then rolled back, so that the locks it took are released;
/// a set-up reads thousands of tables, and would fill the lock table otherwise (trap S20).
///
/// `read` must return plain Rust values: what it allocated from PostgreSQL is gone.
pub(super) fn read_and_release<T>(read: impl FnOnce() -> T) -> T {
    // SAFETY: these globals are this backend's own, and always valid within a transaction.
    let (context, owner) = unsafe { (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner) };
    let roll_back = || {
        // SAFETY: ends the subtransaction begun below, and with it the snapshot pushed there; context
        // and owner are those from before it, as PL/pgSQL restores them.
        unsafe {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::CurrentResourceOwner = owner;
        }
    };
    // SAFETY: we are inside a transaction; the context outlives the subtransaction. The latest snapshot
    // makes the reads independent of whether the transaction has an id: SPI would take the statement's
    // snapshot for read-only queries and a new one for others (trap S39).
    unsafe {
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
    }
    // PostgreSQL's abort handling would take an internal subtransaction that is still open for one of
    // the user's, and leave the session in it.
    let clean_up = AssertUnwindSafe(&roll_back);
    let result = PgTryBuilder::new(AssertUnwindSafe(read))
        .catch_others(|error| {
            (*clean_up)();
            error.rethrow()
        })
        .catch_rust_panic(|error| {
            (*clean_up)();
            error.rethrow()
        })
        .execute();
    roll_back();
    result
}
