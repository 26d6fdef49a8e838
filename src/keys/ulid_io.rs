//! The text form of `ulid`. Its binary form is that of `uuid`, and uses PostgreSQL's own functions.

use keyspace::keys::ulid_text::{self, TEXT_LEN};
use keyspace::keys::{Layout, UlidLayout};
use pgrx::{pg_guard, pg_sys};

use super::call::{Call, as_in_c, bytes};
use crate::error::{raise, report};

as_in_c! {
    /// `ulid_in(cstring)`
    fn keyspace_ulid_in(call) {
        match ulid_text::read(call.cstring(0).to_bytes()) {
            Some(ulid) => bytes(UlidLayout::to_bytes(ulid)),
            None => refuse(call.fcinfo()),
        }
    }

    /// `ulid_out(ulid)`
    fn keyspace_ulid_out(call) {
        let mut text = [0; TEXT_LEN + 1];
        text[..TEXT_LEN].copy_from_slice(&ulid_text::encode(UlidLayout::from_bytes(call.key(0))));
        bytes(text)
    }
}

/// Reports text that is not a ULID: raises the error, or saves it if the caller asked for that.
#[cold]
#[inline(never)]
#[pg_guard]
extern "C-unwind" fn refuse(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: ulid_in is strict and takes a cstring.
    let (call, text) = unsafe { (Call::new(fcinfo), Call::new(fcinfo).cstring(0)) };
    let Err(error) = ulid_text::decode(text.to_bytes()) else { return call.null() };
    #[cfg(not(feature = "pg15"))]
    if soft::leave(fcinfo, &error) {
        return call.null();
    }
    raise(report(error))
}

/// Errors that are saved for the caller, as `pg_input_is_valid` and ON_ERROR of COPY require, from
/// PostgreSQL 16 on.
#[cfg(not(feature = "pg15"))]
mod soft {
    use std::ffi::{c_char, c_int};
    use std::ptr;

    use pgrx::{PgSqlErrorCode, pg_sys};

    use crate::encoding::for_message;

    unsafe extern "C-unwind" {
        fn errcode(code: c_int) -> c_int;
        fn errmsg(format: *const c_char, ...) -> c_int;
    }

    /// Saves the error for the caller; returns `false` if the caller did not ask for that.
    pub(super) fn leave(fcinfo: pg_sys::FunctionCallInfo, error: &keyspace::Error) -> bool {
        // SAFETY: the context of a call is a node or null.
        let context = unsafe { (*fcinfo).context };
        // SAFETY: it is a node, which begins with its tag.
        let asks = !context.is_null() && unsafe { (*context).type_ } == pg_sys::NodeTag::T_ErrorSaveContext;
        if !asks {
            return false;
        }
        let message = for_message(&error.message);
        // SAFETY: these are the calls in PostgreSQL's macro errsave(). The format takes one string,
        // which errmsg() copies. They raise no error except out of memory.
        unsafe {
            if pg_sys::errsave_start(context, ptr::null()) {
                pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    errcode(PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION as c_int);
                    errmsg(c"%s".as_ptr(), message.as_ptr());
                });
                pg_sys::errsave_finish(
                    context,
                    c"ulid_io.rs".as_ptr(),
                    line!() as c_int,
                    c"ulid_in".as_ptr(),
                );
            }
        }
        true
    }
}
