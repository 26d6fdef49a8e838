//! A procedure that ends transactions, as one in PL/pgSQL does by COMMIT.

use std::ffi::CStr;

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

/// A procedure that is running and may end transactions.
pub(crate) struct Procedure {
    /// What a step allocates by PostgreSQL's means, freed before the next one.
    memory: pg_sys::MemoryContext,
}

impl Procedure {
    /// Refuses a call from where no transaction can end. `ends` says, in a sentence, when the procedure ends others.
    ///
    /// # Errors
    /// 25001 in a transaction block (trap M3).
    pub(crate) fn begin(fcinfo: pg_sys::FunctionCallInfo, name: &str, ends: &str) -> Result<Self, Error> {
        // SAFETY: reads the state of this backend's transaction.
        if unsafe { pg_sys::IsTransactionBlock() } {
            let message = format!("{name}() cannot run inside a transaction block");
            return Err(Error::new(SqlState::ActiveSqlTransaction, message)
                .detail(ends)
                .hint("CALL it as a statement of its own, outside BEGIN ... COMMIT and with autocommit."));
        }
        // SAFETY: the call is one of the function manager; SPI is finished when this is dropped, or by PostgreSQL's handling of an error, and the memory, which is a part of
        // what SPI has, with it.
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

    /// Commits, and runs `step` in a transaction of its own, READ COMMITTED. 2D000 is raised in a function, or in a procedure
    /// that cannot end a transaction.
    pub(crate) fn in_transaction<T>(&self, step: impl FnOnce() -> T) -> T {
        // SAFETY: connected by `begin`. Nothing of the new transaction has run yet, so its isolation level can still be set.
        // What the step before has allocated is used by nobody: values that go on live in Rust's memory. On an error
        // PostgreSQL puts its own context in place.
        unsafe {
            pg_sys::SPI_commit();
            set_local(c"transaction_isolation", c"read committed");
            pg_sys::EnsurePortalSnapshotExists();
            pg_sys::MemoryContextReset(self.memory);
            let before = pg_sys::MemoryContextSwitchTo(self.memory);
            let result = step();
            pg_sys::MemoryContextSwitchTo(before);
            result
        }
    }
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
