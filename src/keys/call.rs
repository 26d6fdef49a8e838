//! Functions that the function manager calls in the same way as C functions.
//!
//! A default or a scan calls such a function for every row, and the wrapper that pgrx adds costs a
//! good part of the time that the key itself takes. Therefore the functions of [`as_in_c!`] run
//! without a guard. An error of PostgreSQL jumps over their frames, as over those of C functions,
//! and nothing would catch a panic. That is sound as long as
//!
//! - they do not panic, and call code that may panic or raise one of our errors only behind
//!   `#[pg_guard]`,
//! - no value that has to be dropped is alive while they call such code or PostgreSQL,
//! - SQL declares them STRICT and with the types that they read.

use std::ffi::{CStr, c_void};

use pgrx::pg_sys;

unsafe extern "C-unwind" {
    /// The binding of pgrx turns an error into a panic.
    fn palloc(size: usize) -> *mut c_void;
}

/// A function call whose arguments are not NULL.
#[derive(Clone, Copy)]
pub(super) struct Call(pg_sys::FunctionCallInfo);

impl Call {
    /// # Safety
    /// `fcinfo` must come from the function manager, and the function must be declared STRICT.
    #[inline]
    pub(super) unsafe fn new(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        Self(fcinfo)
    }

    /// The call as the function manager passed it.
    pub(super) fn fcinfo(self) -> pg_sys::FunctionCallInfo {
        self.0
    }

    /// # Safety
    /// The function must be declared with more than `at` arguments.
    #[inline]
    pub(super) unsafe fn datum(self, at: usize) -> pg_sys::Datum {
        // SAFETY: the caller's promise.
        unsafe { (*(*self.0).args.as_ptr().add(at)).value }
    }

    /// # Safety
    /// The argument must be a `bigint` or a `timestamptz`.
    #[inline]
    pub(super) unsafe fn int8(self, at: usize) -> i64 {
        // SAFETY: the caller's promise.
        unsafe { self.datum(at) }.value() as i64
    }

    /// # Safety
    /// The argument must be a `uuid` or a `ulid`.
    #[inline]
    pub(super) unsafe fn key(self, at: usize) -> [u8; 16] {
        // SAFETY: points to 16 bytes of any alignment.
        unsafe { self.datum(at).cast_mut_ptr::<[u8; 16]>().read() }
    }

    /// # Safety
    /// The argument must be a `cstring`.
    #[inline]
    pub(super) unsafe fn cstring<'a>(self, at: usize) -> &'a CStr {
        // SAFETY: the string ends in a zero byte and lives as long as the call.
        unsafe { CStr::from_ptr(self.datum(at).cast_mut_ptr()) }
    }

    /// Returns NULL.
    #[inline]
    pub(super) fn null(self) -> pg_sys::Datum {
        // SAFETY: the function manager allows writes to `fcinfo`.
        unsafe { (*self.0).isnull = true };
        pg_sys::Datum::null()
    }
}

/// Returns the bytes in newly allocated memory.
///
/// # Safety
/// The allocation may raise an error, so the rules at the top of this file apply.
#[inline]
pub(super) unsafe fn bytes<const N: usize>(bytes: [u8; N]) -> pg_sys::Datum {
    // SAFETY: the allocation has room for `bytes`; it need not be aligned for them.
    unsafe {
        let place = palloc(N).cast::<[u8; N]>();
        place.write(bytes);
        place.into()
    }
}

/// Defines functions that are called without a guard; see the top of this file.
macro_rules! as_in_c {
    ($($(#[$about:meta])* fn $symbol:ident($call:ident) $body:block)*) => {$(
        $(#[$about])*
        ///
        /// # Safety
        /// Only the function manager may call it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C-unwind" fn $symbol(fcinfo: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            // SAFETY: the SQL file that names the symbol declares a strict function of these types.
            // For the rest, see the top of call.rs.
            unsafe {
                let $call = $crate::keys::call::Call::new(fcinfo);
                $body
            }
        }
        $crate::fmgr::version_1!($symbol);
    )*};
}
pub(super) use as_in_c;
