//! Reads whose locks are given back at once.

use pgrx::pg_sys;

/// Runs `read` in a subtransaction that is then rolled back, so that the locks it took are released;
/// a set-up reads thousands of tables, and would fill the lock table otherwise.
///
/// `read` must return plain Rust values: what it allocated from PostgreSQL is gone. An error within it
/// ends the transaction as a whole.
pub(super) fn read_and_release<T>(read: impl FnOnce() -> T) -> T {
    // SAFETY: these globals are this backend's own, and always valid within a transaction.
    let (context, owner) = unsafe { (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner) };
    // SAFETY: we are inside a transaction; the subtransaction is ended right below.
    unsafe { pg_sys::BeginInternalSubTransaction(std::ptr::null()) };
    // SAFETY: the context was valid before the subtransaction began, and outlives it. The latest
    // snapshot makes the reads independent of whether the transaction has an id (SPI would reuse
    // an old snapshot for read-only statements).
    unsafe {
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
    }
    let result = read();
    // SAFETY: the snapshot is the one pushed above, and the subtransaction the one begun above;
    // context and owner are those from before it, as PL/pgSQL restores them.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::RollbackAndReleaseCurrentSubTransaction();
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
    }
    result
}
