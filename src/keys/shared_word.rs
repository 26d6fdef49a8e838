//! The word in shared memory that makes keys increase over all sessions: see
//! [`keyspace::keys::server_wide`].
//!
//! Up to PostgreSQL 16 it is part of the memory that the server allocates at start, so the library
//! must be in `shared_preload_libraries`. From PostgreSQL 17 on, the first session that needs it
//! creates it, and no preload is necessary.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use keyspace::keys::{Reading, server_wide};
use pgrx::{pg_guard, pg_sys};

use super::clock;

/// The name by which other sessions find it.
const NAME: &std::ffi::CStr = c"pg_keyspace_monotonic";

/// The word, alone on its cache lines, so that other cores do not fetch it together with other
/// data.
#[repr(C, align(128))]
struct Word(AtomicU64);

/// The address of the word in this process. A server process inherits it from its parent.
static WORD: AtomicPtr<Word> = AtomicPtr::new(ptr::null_mut());

/// Takes the next nanosecond of the server. If the shared memory does not exist and cannot be
/// created, raises an error, without a guard (see `call.rs`).
#[inline]
pub(super) fn nanosecond() -> Reading {
    // The clock is read before the word is, so that other sessions can use the word meanwhile.
    let now = clock::nanosecond();
    loop {
        // SAFETY: once set, the address is valid for as long as the process is attached to the
        // server's memory.
        match unsafe { WORD.load(Ordering::Relaxed).as_ref() } {
            Some(word) => return server_wide::claim(&word.0, now),
            None => attach(),
        }
    }
}

/// Requests the memory while the server starts; called when the library is loaded.
pub(crate) fn request() {
    #[cfg(any(feature = "pg15", feature = "pg16"))]
    at_start::request();
}

/// Attaches to the memory, and raises an error if that is not possible.
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
    .detail("Before PostgreSQL 17, shared memory can be requested only at server start.")
    .hint("Add pg_keyspace to shared_preload_libraries and restart the server.")
}

/// Up to PostgreSQL 16.
#[cfg(any(feature = "pg15", feature = "pg16"))]
mod at_start {
    use super::{AtomicU64, NAME, Ordering, WORD, Word, pg_guard, pg_sys};

    type Hook = Option<unsafe extern "C-unwind" fn()>;

    static mut REQUEST_BEFORE: Hook = None;
    static mut STARTUP_BEFORE: Hook = None;

    /// Requests the memory, if the server is starting.
    pub(super) fn request() {
        // SAFETY: these variables belong to PostgreSQL and to us, and the process has one thread.
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
        // SAFETY: first calls the hook of another library; then PostgreSQL accepts requests.
        unsafe {
            if let Some(before) = REQUEST_BEFORE {
                pg_sys::ffi::pg_guard_ffi_boundary(|| before());
            }
            pg_sys::RequestAddinShmemSpace(size_of::<Word>());
        }
    }

    /// Runs in the postmaster before it starts any other process, and again after a crash, when the
    /// memory is recreated. No other process can use the memory then, so no lock is needed.
    #[pg_guard]
    unsafe extern "C-unwind" fn on_startup() {
        // SAFETY: first calls the hook of another library. The memory then has the size that was
        // requested, and is aligned to a cache line.
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

    /// Finds the memory, or creates it.
    pub(super) fn attach() {
        let mut found = false;
        // SAFETY: the callback initializes memory of the requested size. The server keeps it, and
        // this process stays attached.
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

    /// Called under a lock by the process that creates the memory.
    #[cfg(any(feature = "pg17", feature = "pg18"))]
    #[pg_guard]
    unsafe extern "C-unwind" fn initialise(place: *mut c_void) {
        // SAFETY: a segment starts at a page.
        unsafe { place.cast::<Word>().write(Word(AtomicU64::new(0))) };
    }

    /// The same, with the signature of PostgreSQL 19.
    #[cfg(not(any(feature = "pg17", feature = "pg18")))]
    #[pg_guard]
    unsafe extern "C-unwind" fn initialise(place: *mut c_void, _argument: *mut c_void) {
        // SAFETY: a segment starts at a page.
        unsafe { place.cast::<Word>().write(Word(AtomicU64::new(0))) };
    }
}
