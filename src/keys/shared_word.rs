//! The word of shared memory by which keys increase over all sessions: see [`keyspace::keys::server_wide`].
//!
//! Up to PostgreSQL 16 it is part of the memory that the server sets aside when it starts, so the library has to be
//! in `shared_preload_libraries`. From 17 on the session that first asks for it makes it, and no preload is needed.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use keyspace::keys::{Reading, server_wide};
use pgrx::{pg_guard, pg_sys};

use super::clock;

/// By this name other sessions find it.
const NAME: &std::ffi::CStr = c"pg_keyspace_monotonic";

/// The word, with nothing beside it that other cores would fetch along.
#[repr(C, align(128))]
struct Word(AtomicU64);

/// Where it is in this process. A server process inherits the address from the one that forked it.
static WORD: AtomicPtr<Word> = AtomicPtr::new(ptr::null_mut());

/// Takes the next nanosecond of the server. Where there is no shared memory and none can be had, it raises an error;
/// without a guard, see `call.rs`.
#[inline]
pub(super) fn nanosecond() -> Reading {
    // Before the word is looked at, which is free for others meanwhile.
    let now = clock::nanosecond();
    loop {
        // SAFETY: once set, the address is valid for as long as the process is attached to the server's memory.
        match unsafe { WORD.load(Ordering::Relaxed).as_ref() } {
            Some(word) => return server_wide::claim(&word.0, now),
            None => attach(),
        }
    }
}

/// Asks for the memory while the server starts; called when the library is loaded.
pub(crate) fn request() {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    at_start::request();
}

/// Looks for the memory, and raises an error where it cannot be had.
#[cold]
#[inline(never)]
#[pg_guard]
extern "C-unwind" fn attach() {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    crate::error::raise(crate::error::report(not_preloaded()));
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    on_demand::attach();
}

#[cfg(any(feature = "pg15", feature = "pg16"))]
fn not_preloaded() -> keyspace::Error {
    keyspace::Error::new(
        keyspace::SqlState::ObjectNotInPrerequisiteState,
        "pg_keyspace must be loaded via \"shared_preload_libraries\" for keys that increase over all sessions",
    )
    .detail("Before PostgreSQL 17, shared memory is given out only while the server starts.")
    .hint("Add pg_keyspace to shared_preload_libraries and restart the server.")
}

/// Up to PostgreSQL 16.
#[cfg(any(feature = "pg15", feature = "pg16"))]
mod at_start {
    use super::{AtomicU64, NAME, Ordering, WORD, Word, pg_guard, pg_sys};

    type Hook = Option<unsafe extern "C-unwind" fn()>;

    static mut REQUEST_BEFORE: Hook = None;
    static mut STARTUP_BEFORE: Hook = None;

    /// Asks for the memory, if the server is starting.
    pub(super) fn request() {
        // SAFETY: these variables are PostgreSQL's and ours, in the one thread of the process.
        unsafe {
            if !pg_sys::process_shared_preload_libraries_in_progress {
                return;
            }
            REQUEST_BEFORE = pg_sys::shmem_request_hook;
            pg_sys::shmem_request_hook = Some(on_request);
            STARTUP_BEFORE = pg_sys::shmem_startup_hook;
            pg_sys::shmem_startup_hook = Some(on_startup);
        }
    }

    #[pg_guard]
    unsafe extern "C-unwind" fn on_request() {
        // SAFETY: the hook of another library, which is called in its turn; then PostgreSQL takes requests.
        unsafe {
            if let Some(before) = REQUEST_BEFORE {
                pg_sys::ffi::pg_guard_ffi_boundary(|| before());
            }
            pg_sys::RequestAddinShmemSpace(size_of::<Word>());
        }
    }

    /// Runs in the postmaster before it starts any other process, and again after a crash, when the memory is made
    /// anew. So nobody else can be at it, and no lock is needed.
    #[pg_guard]
    unsafe extern "C-unwind" fn on_startup() {
        // SAFETY: the hook of another library, which is called in its turn; then memory of the size that was asked
        // for, aligned to a cache line.
        unsafe {
            if let Some(before) = STARTUP_BEFORE {
                pg_sys::ffi::pg_guard_ffi_boundary(|| before());
            }
            let mut found = false;
            let word: *mut Word =
                pg_sys::ShmemInitStruct(NAME.as_ptr(), size_of::<Word>(), &mut found).cast();
            if !found {
                word.write(Word(AtomicU64::new(0)));
            }
            WORD.store(word, Ordering::Relaxed);
        }
    }
}

/// From PostgreSQL 17 on.
#[cfg(not(any(feature = "pg15", feature = "pg16")))]
mod on_demand {
    use std::ffi::c_void;

    use super::{AtomicU64, NAME, Ordering, WORD, Word, pg_guard, pg_sys};

    /// Finds the memory, or makes it.
    pub(super) fn attach() {
        let mut found = false;
        // SAFETY: the callback initialises memory of the size that is asked for. The server holds on to it, and this
        // process stays attached.
        let word = unsafe {
            pg_sys::GetNamedDSMSegment(
                NAME.as_ptr(),
                size_of::<Word>(),
                Some(initialise),
                &mut found,
                #[cfg(not(any(feature = "pg17", feature = "pg18")))]
                std::ptr::null_mut(),
            )
        };
        WORD.store(word.cast(), Ordering::Relaxed);
    }

    /// Called under a lock by the process that makes the memory.
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    #[pg_guard]
    unsafe extern "C-unwind" fn initialise(place: *mut c_void) {
        // SAFETY: a segment starts at a page.
        unsafe { place.cast::<Word>().write(Word(AtomicU64::new(0))) };
    }

    /// The same, as PostgreSQL 19 calls it.
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    #[pg_guard]
    unsafe extern "C-unwind" fn initialise(place: *mut c_void, _argument: *mut c_void) {
        // SAFETY: a segment starts at a page.
        unsafe { place.cast::<Word>().write(Word(AtomicU64::new(0))) };
    }
}
