//! Text arguments as stored bytes. A `&str` would panic in a database whose encoding is not UTF-8.

use std::ffi::CStr;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::varlena::{varatt_is_1b, varatt_is_1b_e, varatt_is_4b_u, varlena_to_byte_slice};

use crate::error::{Report, raise};

/// An argument of type `text`, in the encoding of the database.
#[derive(Clone, Copy)]
pub(crate) struct RawText<'fcx>(&'fcx [u8]);

impl<'fcx> RawText<'fcx> {
    /// The text of a datum, detoasted if necessary.
    ///
    /// # Safety
    /// The datum must be a `text` that is not NULL and lives as long as the call.
    #[inline]
    pub(super) unsafe fn new(datum: pg_sys::Datum) -> Self {
        // SAFETY: the caller guarantees that the datum is a text.
        unsafe {
            match Self::in_place(datum) {
                Some(text) => text,
                None => Self(varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr()))),
            }
        }
    }

    /// The text of a datum, if it is stored inline and uncompressed, so that no function needs to
    /// be called to read it.
    ///
    /// # Safety
    /// As above.
    #[inline]
    pub(super) unsafe fn in_place(datum: pg_sys::Datum) -> Option<Self> {
        let stored: *mut pg_sys::varlena = datum.cast_mut_ptr();
        // SAFETY: the caller guarantees that the datum is a text.
        unsafe {
            let plain = varatt_is_4b_u(stored) || varatt_is_1b(stored) && !varatt_is_1b_e(stored);
            plain.then(|| Self(varlena_to_byte_slice(stored)))
        }
    }

    /// The bytes in the encoding of the database.
    #[inline]
    pub(crate) fn bytes(self) -> &'fcx [u8] {
        self.0
    }

    /// The text in UTF-8, whatever the encoding of the database.
    pub(crate) fn to_utf8(self) -> &'fcx str {
        // ASCII is the same in every server encoding, even if PostgreSQL has no conversion.
        if let Some(text) = self.0.is_ascii().then(|| std::str::from_utf8(self.0)).and_then(Result::ok) {
            return text;
        }
        // Text is shorter than 1 GB, so its length always fits.
        let len = i32::try_from(self.0.len()).unwrap_or(i32::MAX);
        let source = self.0.as_ptr().cast();
        // SAFETY: `source` is valid for `len` bytes. The result is `source` itself, or a new string
        // that ends in a zero byte and lives in the memory context of the call.
        let utf8 = unsafe {
            let converted = pg_sys::pg_server_to_any(source, len, pg_sys::pg_enc::PG_UTF8 as i32);
            if converted.cast_const() == source { self.0 } else { CStr::from_ptr(converted).to_bytes() }
        };
        match std::str::from_utf8(utf8) {
            Ok(text) => text,
            Err(_) => raise(Report::new(
                PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                "invalid byte sequence for encoding \"UTF8\"",
            )),
        }
    }
}

// SAFETY: the datum of a `text` is a varlena, whose content is read as bytes.
unsafe impl SqlTranslatable for RawText<'_> {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(RawText<'_>);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("text"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Err(ReturnsError::Datum);
}

impl FromDatum for RawText<'_> {
    #[inline]
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        // SAFETY: the caller guarantees that the datum is a text.
        if is_null { None } else { Some(unsafe { Self::new(datum) }) }
    }
}

// SAFETY: the argument is unboxed as a text, whose bytes live as long as the call.
unsafe impl<'fcx> ArgAbi<'fcx> for RawText<'fcx> {
    #[inline]
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller guarantees an argument of this type. Functions that take one are
        // strict, so a NULL, which would be read as empty text, never gets here.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or(Self(&[]))
    }
}
