//! PostgreSQL's memory: without the cost of a guarded call, and without what it keeps.
//!
//! Every function that pgrx binds runs behind `sigsetjmp`, so that an error of PostgreSQL unwinds
//! Rust's stack. For a key of 16 bytes, that costs more than the allocation. `palloc_extended` with
//! the flag below raises no error for small sizes, so it needs no guard. If there is no memory,
//! `palloc` behind its guard raises the error.

use std::ffi::{CStr, c_int, c_void};

use pgrx::pg_sys;

/// Sizes below this one are small, far below the limit at which PostgreSQL raises an error.
const SMALL: usize = 8_192;

unsafe extern "C-unwind" {
    fn palloc_extended(size: usize, flags: c_int) -> *mut c_void;
}

/// Memory in the current memory context, aligned like all memory of PostgreSQL.
#[inline]
pub(crate) fn allocate(size: usize) -> *mut u8 {
    // SAFETY: for a small size, the flag makes it return NULL if there is no memory, so it raises
    // no error. Everything else runs behind a guard.
    unsafe {
        if size < SMALL {
            let place = palloc_extended(size, pg_sys::MCXT_ALLOC_NO_OOM as c_int);
            if !place.is_null() {
                return place.cast();
            }
        }
        pg_sys::palloc(size).cast()
    }
}

/// A pointer to a copy of `bytes` in the current memory context.
#[inline]
pub(crate) fn datum_of<const N: usize>(bytes: [u8; N]) -> pg_sys::Datum {
    let place = allocate(N).cast::<[u8; N]>();
    // SAFETY: the memory has room for `bytes`; it need not be aligned for them.
    unsafe { place.write_unaligned(bytes) };
    place.into()
}

/// A memory context that is emptied after each use.
pub(crate) struct OwnMemory(pg_sys::MemoryContext);

impl OwnMemory {
    /// In the current memory context, which also ends it if an error does not.
    pub(crate) fn new(name: &'static CStr) -> Self {
        // SAFETY: creates a memory context, whose name lives as long as it.
        Self(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                name.as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        })
    }

    /// Calls a function whose memory is needed no longer than until it returns. Its result must not
    /// point there.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        // SAFETY: the context exists, and what it contains is not used any more.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.0);
            let result = work();
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextReset(self.0);
            result
        }
    }
}

impl Drop for OwnMemory {
    fn drop(&mut self) {
        // SAFETY: nothing uses it any more. While an error unwinds the stack, it is left to its parent.
        unsafe {
            if !std::thread::panicking() {
                pg_sys::MemoryContextDelete(self.0);
            }
        }
    }
}

/// After how many tables the caches are emptied. The entries are kept for fewer, because what reads a
/// table mostly reads its sequence again.
const CACHED_TABLES: usize = 20_000;

/// Counts the tables that a loop opens. PostgreSQL keeps their rows of the catalogs, and those of their
/// sequences, until the session ends. Before that becomes much, they are freed, as if other sessions had
/// changed all tables.
#[derive(Default)]
pub(crate) struct OpenedTables(usize);

impl OpenedTables {
    /// Call it between two tables.
    pub(crate) fn add(&mut self, count: usize) {
        self.0 += count;
        if self.0 >= CACHED_TABLES {
            self.0 = 0;
            // SAFETY: within a transaction. Relations that are open stay valid.
            unsafe { pg_sys::InvalidateSystemCaches() }
        }
    }
}
