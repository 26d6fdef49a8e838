//! Functions that the function manager calls as it calls those of C.
//!
//! A default or a scan pays for a key on every row, and what pgrx puts around a function costs a good part of what
//! the key does. So the functions of [`as_in_c!`] run without a guard. An error of PostgreSQL's jumps over their
//! frames, as it jumps over those of C, and a panic would have nowhere to go. That is sound as long as
//!
//! - they do not panic, and call what may panic or raise an error of ours behind `#[pg_guard]` only,
//! - nothing that is to be dropped is alive in them while they call that or PostgreSQL,
//! - SQL declares them STRICT and with the types that they read.

use std::ffi::{CStr, c_void};

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    /// pgrx's own turns an error into a panic.
    fn palloc(size: usize) -> *mut c_void;
}

/// A call of a function, whose arguments are not NULL.
#[derive(Clone, Copy)]
pub(super) struct Call(pg_sys::FunctionCallInfo);

impl Call {
    /// # Safety
    /// `fcinfo` is what the function manager passed, and the function is declared STRICT.
    #[inline]
    pub(super) unsafe fn new(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        Self(fcinfo)
    }

    /// What the function manager passed.
    pub(super) fn fcinfo(self) -> pg_sys::FunctionCallInfo {
        self.0
    }

    /// # Safety
    /// The function is declared with more arguments than `at`.
    #[inline]
    pub(super) unsafe fn datum(self, at: usize) -> pg_sys::Datum {
        // SAFETY: the caller's promise.
        unsafe { (*(*self.0).args.as_ptr().add(at)).value }
    }

    /// # Safety
    /// The argument is a `bigint` or a `timestamptz`.
    #[inline]
    pub(super) unsafe fn int8(self, at: usize) -> i64 {
        // SAFETY: the caller's promise.
        unsafe { self.datum(at) }.value() as i64
    }

    /// # Safety
    /// The argument is a `uuid` or a `ulid`.
    #[inline]
    pub(super) unsafe fn key(self, at: usize) -> [u8; 16] {
        // SAFETY: a pointer to 16 bytes of any alignment.
        unsafe { self.datum(at).cast_mut_ptr::<[u8; 16]>().read() }
    }

    /// # Safety
    /// The argument is a `cstring`.
    #[inline]
    pub(super) unsafe fn cstring<'a>(self, at: usize) -> &'a CStr {
        // SAFETY: it ends in a zero byte, and lives as long as the call.
        unsafe { CStr::from_ptr(self.datum(at).cast_mut_ptr()) }
    }

    /// NULL as the result.
    #[inline]
    pub(super) fn null(self) -> pg_sys::Datum {
        // SAFETY: the function manager passed it for writing, too.
        unsafe { (*self.0).isnull = true };
        pg_sys::Datum::null()
    }
}

/// Bytes on fresh memory as the result.
///
/// # Safety
/// As for all that a function of this kind calls: there may be no memory.
#[inline]
pub(super) unsafe fn bytes<const N: usize>(bytes: [u8; N]) -> pg_sys::Datum {
    // SAFETY: what is allocated has room for `bytes`; it need not be aligned for them.
    unsafe {
        let place = palloc(N).cast::<[u8; N]>();
        place.write(bytes);
        place.into()
    }
}

/// Defines functions that are called without a guard; see the head of this file.
macro_rules! as_in_c {
    ($($(#[$about:meta])* fn $symbol:ident($call:ident) $body:block)*) => {$(
        $(#[$about])*
        ///
        /// # Safety
        /// To be called by the function manager.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $symbol(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            // SAFETY: the SQL file that names the symbol declares a strict function of these types; otherwise see
            // the head of call.rs.
            unsafe {
                let $call = $crate::keys::call::Call::new(fcinfo);
                $body
            }
        }
        $crate::fmgr::version_1!($symbol);
    )*};
}
pub(super) use as_in_c;
