//! What the keys of the extension are measured against. Part of the benchmark, and never installed.
//!
//! | function | what it does |
//! | --- | --- |
//! | `baseline_floor` | reads the precise clock and packs 16 bytes: the minimum for a time-ordered key |
//! | `baseline_locked` | a generator in shared memory behind a spinlock, as in comparable extensions |
//! | `baseline_locked_briefly` | the same with only the comparison with the last key inside the lock |
//!
//! The shared ones take their random bits from a generator that is quick and not secure, and so are quicker than
//! what they stand for. They need the library in `shared_preload_libraries`.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use pgrx::{pg_guard, pg_sys};

pgrx::pg_module_magic!();

unsafe extern "C-unwind" {
    /// Without the guards that pgrx puts around each.
    fn palloc(size: usize) -> *mut c_void;
    #[link_name = "SpinLockAcquire__pgrx_cshim"]
    fn acquire(lock: *mut pg_sys::slock_t);
    #[link_name = "SpinLockRelease__pgrx_cshim"]
    fn release(lock: *mut pg_sys::slock_t);
}

const STEPS_PER_MS: u64 = 4_096;
const NANOS_PER_MS: u64 = 1_000_000;

/// Milliseconds since 1970 and their 4096ths, of the precise clock.
#[inline]
fn tick() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for a write of a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    let (seconds, nanos) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
    let ms = seconds.wrapping_mul(1_000).wrapping_add(nanos / NANOS_PER_MS);
    (ms << 12) | (nanos % NANOS_PER_MS * STEPS_PER_MS / NANOS_PER_MS)
}

/// A version-7 UUID as the result.
#[inline]
fn result(tick: u64, tail: u64) -> pg_sys::Datum {
    let upper = tick >> 12 << 16 | 0x7000 | tick & 0xfff;
    let lower = 0x8000_0000_0000_0000 | tail >> 2;
    let bytes = (u128::from(upper) << 64 | u128::from(lower)).to_be_bytes();
    // SAFETY: an error jumps over frames in which nothing is to be dropped; the memory has room for the bytes.
    unsafe {
        let place = palloc(16).cast::<[u8; 16]>();
        place.write(bytes);
        place.into()
    }
}

/// Quick and not secure (SplitMix64).
#[inline]
fn random() -> u64 {
    // Of this process, which has one thread.
    static STATE: AtomicU64 = AtomicU64::new(0);
    let state = STATE.load(Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.store(state, Ordering::Relaxed);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// What the sessions share.
#[repr(C, align(128))]
struct Shared {
    lock: pg_sys::slock_t,
    tick: u64,
    tail: u64,
}

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

/// The next key after the last one, with the clock at `now`.
///
/// # Safety
/// The caller holds the lock.
#[inline]
unsafe fn next(shared: *mut Shared, now: u64, random: u64) -> (u64, u64) {
    // SAFETY: the caller holds the lock, and the pointer is that of shared memory.
    let shared = unsafe { &mut *shared };
    if now > shared.tick {
        (shared.tick, shared.tail) = (now, random);
    } else {
        match shared.tail.checked_add((random >> 24) + 1) {
            Some(tail) => shared.tail = tail,
            None => (shared.tick, shared.tail) = (shared.tick + 1, random),
        }
    }
    (shared.tick, shared.tail)
}

/// `baseline_floor() RETURNS uuid`
///
/// # Safety
/// To be called by the function manager.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn baseline_floor(_fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let tick = tick();
    result(tick, tick)
}

/// Makes a key. The caller holds the lock.
#[inline]
fn under_lock(key: impl FnOnce(*mut Shared) -> (u64, u64)) -> pg_sys::Datum {
    let shared = SHARED.load(Ordering::Relaxed);
    if shared.is_null() {
        return refuse();
    }
    // SAFETY: the pointer is that of shared memory, and the lock is given back.
    let (tick, tail) = unsafe {
        acquire(&raw mut (*shared).lock);
        let key = key(shared);
        release(&raw mut (*shared).lock);
        key
    };
    result(tick, tail)
}

/// `baseline_locked() RETURNS uuid`
///
/// # Safety
/// To be called by the function manager.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn baseline_locked(_fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the lock is held.
    under_lock(|shared| unsafe { next(shared, tick(), random()) })
}

/// `baseline_locked_briefly() RETURNS uuid`
///
/// # Safety
/// To be called by the function manager.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn baseline_locked_briefly(_fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    let (now, random) = (tick(), random());
    // SAFETY: the lock is held.
    under_lock(|shared| unsafe { next(shared, now, random) })
}

#[cold]
#[inline(never)]
#[pg_guard]
extern "C-unwind" fn refuse() -> pg_sys::Datum {
    pgrx::error!("keyspace_baseline is not in shared_preload_libraries");
}

macro_rules! called_as_c {
    ($($name:ident)*) => {$(
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> &'static pg_sys::Pg_finfo_record {
            static VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
            &VERSION_1
        }
    )*};
}
called_as_c!(pg_finfo_baseline_floor pg_finfo_baseline_locked pg_finfo_baseline_locked_briefly);

type Hook = Option<unsafe extern "C-unwind" fn()>;
static mut REQUEST_BEFORE: Hook = None;
static mut STARTUP_BEFORE: Hook = None;

/// Called by every process that loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
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
    // SAFETY: the hook of another library; then PostgreSQL takes requests.
    unsafe {
        if let Some(before) = REQUEST_BEFORE {
            pg_sys::ffi::pg_guard_ffi_boundary(|| before());
        }
        pg_sys::RequestAddinShmemSpace(size_of::<Shared>());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_startup() {
    // SAFETY: the hook of another library; then memory of the size that was asked for, in the postmaster alone.
    unsafe {
        if let Some(before) = STARTUP_BEFORE {
            pg_sys::ffi::pg_guard_ffi_boundary(|| before());
        }
        let mut found = false;
        let shared: *mut Shared =
            pg_sys::ShmemInitStruct(c"keyspace_baseline".as_ptr(), size_of::<Shared>(), &mut found).cast();
        if !found {
            shared.write(std::mem::zeroed());
            pg_sys::SpinLockInit(&raw mut (*shared).lock);
        }
        SHARED.store(shared, Ordering::Relaxed);
    }
}
