//! Results on fresh memory, without the cost of a guarded call.
//!
//! Every function that pgrx binds runs behind `sigsetjmp`, so that an error of PostgreSQL's unwinds Rust's stack. For
//! a key of 16 bytes that costs more than the allocation. `palloc_extended` with the flag below raises no error for
//! sizes this small, so it needs no guard; if there is no memory, `palloc` behind its guard says so.

use std::ffi::{c_int, c_void};

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    fn palloc_extended(size: usize, flags: c_int) -> *mut c_void;
}

/// A pointer to a copy of `bytes` in the current memory context.
#[inline]
pub(super) fn fresh_datum<const N: usize>(bytes: [u8; N]) -> pg_sys::Datum {
    const { assert!(N < 8_192, "far below the size that PostgreSQL refuses with an error") };
    // SAFETY: the size is in range and the flag makes it return NULL where there is no memory, so it does not leave
    // by an error. In both cases the memory has room for `bytes`; it need not be aligned for them.
    unsafe {
        let mut place = palloc_extended(N, pg_sys::MCXT_ALLOC_NO_OOM as c_int);
        if place.is_null() {
            place = pg_sys::palloc(N);
        }
        place.cast::<[u8; N]>().write(bytes);
        place.into()
    }
}
