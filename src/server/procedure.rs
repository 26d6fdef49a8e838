//! A procedure that ends transactions, as one in PL/pgSQL does by COMMIT.

use std::ffi::CStr;

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::open::ActiveSnapshot;

/// A procedure that is running and may end transactions.
pub(crate) struct Procedure {
    /// What a step allocates by PostgreSQL's means, freed before the next one.
    memory: pg_sys::MemoryContext,
}

impl Procedure {
    /// Refuses a call in a transaction block, where it cannot end a transaction. `ends` is a sentence
    /// that says when the procedure ends transactions.
    ///
    /// # Errors
    /// 25001 in a transaction block (trap M3).
    pub(crate) fn begin(fcinfo: pg_sys::FunctionCallInfo, name: &str, ends: &str) -> Result<Self, Error> {
        // SAFETY: reads the state of this backend's transaction.
        if unsafe { pg_sys::IsTransactionBlock() } {
            let message = format!("{name}() cannot run inside a transaction block");
            return Err(Error::new(SqlState::ActiveSqlTransaction, message).detail(ends).hint(
                "CALL it as a separate statement, outside a transaction block and with autocommit on.",
            ));
        }
        // SAFETY: the function manager makes the call. SPI is finished when this value is dropped, or
        // by PostgreSQL's handling of an error. That frees the memory, too, which is SPI's.
        unsafe {
            // CALL says whether its caller lets transactions end.
            let context = (*fcinfo).context;
            let is_atomic = context.is_null()
                || (*context).type_ != pg_sys::NodeTag::T_CallContext
                || (*context.cast::<pg_sys::CallContext>()).atomic;
            pg_sys::SPI_connect_ext(if is_atomic { 0 } else { pg_sys::SPI_OPT_NONATOMIC as i32 });
            let memory = pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"step of a procedure of pg_keyspace".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            );
            Ok(Self { memory })
        }
    }

    /// Commits, lets `rest` pass some time, and runs `step`, in a transaction of its own, READ
    /// COMMITTED. PostgreSQL raises 2D000 in a function, or in a procedure that cannot end a
    /// transaction.
    ///
    /// `rest` runs without a snapshot, so that nobody has to wait for this transaction meanwhile:
    /// CREATE and REINDEX INDEX CONCURRENTLY wait for every snapshot that is older than theirs.
    pub(crate) fn in_transaction<T>(&self, rest: impl FnOnce(), step: impl FnOnce() -> T) -> T {
        pgrx::check_for_interrupts!();
        // SAFETY: connected by `begin`. Nothing of the new transaction has run yet, so its isolation
        // level can still be set. Nothing uses what the step before has allocated: values that
        // outlive it are in Rust's memory. On an error PostgreSQL switches to its own context.
        unsafe {
            pg_sys::SPI_commit();
            set_local(c"transaction_isolation", c"read committed");
            rest();
            pg_sys::MemoryContextReset(self.memory);
            let before = pg_sys::MemoryContextSwitchTo(self.memory);
            let snapshot = ActiveSnapshot::of_statement();
            let result = step();
            drop(snapshot);
            pg_sys::MemoryContextSwitchTo(before);
            result
        }
    }
}

/// Runs `wait`, which waits for locks, without the snapshot of [`Procedure::in_transaction`], for the
/// same reason. There is a new one afterwards.
pub(crate) fn without_snapshot<T>(wait: impl FnOnce() -> T) -> T {
    // SAFETY: the snapshot of the step is the active one, and is replaced by another one, which the
    // end of the step pops. The snapshot of the catalogs is taken again when it is needed.
    unsafe {
        pg_sys::PopActiveSnapshot();
        pg_sys::InvalidateCatalogSnapshot();
    }
    let result = wait();
    std::mem::forget(ActiveSnapshot::of_statement());
    result
}

impl Drop for Procedure {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: connected by `begin`.
            unsafe { pg_sys::SPI_finish() };
        }
    }
}

/// As `SET LOCAL`.
///
/// # Safety
/// To be called within a transaction.
unsafe fn set_local(name: &CStr, value: &CStr) {
    // SAFETY: see above; both strings are copied.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            pgrx::PgLogLevel::ERROR as i32,
            false,
        );
    }
}
