//! Converts text between Rust's UTF-8 and the encoding of the database.

use std::ffi::{CStr, CString};

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;

/// Whether text needs no conversion.
fn is_utf8() -> bool {
    // SAFETY: reads this backend's encoding.
    unsafe { pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32 }
}

/// Converts our text to the encoding of the database. PostgreSQL raises 22P05 for a character that
/// the encoding lacks.
pub(crate) fn to_server(text: &str) -> CString {
    let plain = CString::new(text).unwrap_or_default();
    if is_utf8() || text.is_ascii() {
        return plain;
    }
    let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
    // SAFETY: the source is valid for its length and ends in a zero byte. The result is the source
    // itself or a new string that ends in a zero byte.
    unsafe {
        let converted = pg_sys::pg_any_to_server(plain.as_ptr(), length, pg_sys::pg_enc::PG_UTF8 as i32);
        CStr::from_ptr(converted).to_owned()
    }
}

/// Converts text of the server, such as a name, to UTF-8.
pub(crate) fn from_server(text: &CStr) -> String {
    let bytes = text.to_bytes();
    // The bytes of a SQL_ASCII database have no known encoding.
    // SAFETY: reads this backend's encoding.
    let is_any = unsafe { pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_SQL_ASCII as i32 };
    if is_any || is_utf8() || bytes.is_ascii() {
        return text.to_string_lossy().into_owned();
    }
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    // SAFETY: the source is valid for its length and ends in a zero byte. The result is the source
    // itself or a new string that ends in a zero byte.
    unsafe {
        let converted = pg_sys::pg_server_to_any(text.as_ptr(), length, pg_sys::pg_enc::PG_UTF8 as i32);
        CStr::from_ptr(converted).to_string_lossy().into_owned()
    }
}

/// As [`from_server`], for bytes that `convert_to(..., 'SQL_ASCII')` returned, which converts nothing.
pub(crate) fn from_server_bytes(bytes: Vec<u8>) -> String {
    from_server(&CString::new(bytes).unwrap_or_default())
}

/// Text for a message, which is sent without conversion. Unless the database uses UTF8, non-ASCII
/// characters are written as in PostgreSQL's strings: `\u00E9`.
pub(crate) fn for_message(text: String) -> String {
    if text.is_ascii() || is_utf8() {
        return text;
    }
    text.chars()
        .map(|c| match u32::from(c) {
            0..0x80 => c.to_string(),
            code @ 0x80..0x1_0000 => format!("\\u{code:04X}"),
            code => format!("\\U{code:08X}"),
        })
        .collect()
}

/// The text whose UTF-8 bytes `convert_to(..., 'UTF8')` returned.
pub(crate) fn from_utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Our text as a result of type `text`.
pub(crate) struct ServerText(pub(crate) String);

impl IntoDatum for ServerText {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        if is_utf8() {
            return self.0.into_datum();
        }
        // SAFETY: the string ends in a zero byte, and is copied.
        Some(unsafe { pg_sys::cstring_to_text(to_server(&self.0).as_ptr()) }.into())
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::TEXTOID
    }
}

// SAFETY: the datum is that of a `text`.
unsafe impl SqlTranslatable for ServerText {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(ServerText);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("text"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("text")));
}

// SAFETY: as above.
unsafe impl BoxRet for ServerText {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the datum lives in the memory context of the call.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

/// Our JSON document as a result of type `jsonb`.
pub(crate) struct ServerJson(pub(crate) String);

impl IntoDatum for ServerJson {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        let text = to_server(&self.0);
        let argument = Some(pg_sys::Datum::from(text.as_ptr()));
        // SAFETY: the string ends in a zero byte and outlives the call.
        unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[argument]) }
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: the datum is that of a `jsonb`.
unsafe impl SqlTranslatable for ServerJson {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(ServerJson);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}

// SAFETY: as above.
unsafe impl BoxRet for ServerJson {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the datum lives in the memory context of the call.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

/// Our name as a result of type `name`.
pub(crate) struct ServerName(pub(crate) String);

impl IntoDatum for ServerName {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        let name = to_server(&self.0);
        // SAFETY: the memory has the size of a name and is zeroed.
        unsafe {
            let datum = pg_sys::palloc0(size_of::<pg_sys::NameData>()).cast::<pg_sys::NameData>();
            pg_sys::namestrcpy(datum, name.as_ptr());
            Some(datum.into())
        }
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::NAMEOID
    }
}

// SAFETY: the datum is that of a `name`.
unsafe impl SqlTranslatable for ServerName {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(ServerName);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("name"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("name")));
}

// SAFETY: as above.
unsafe impl BoxRet for ServerName {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the datum lives in the memory context of the call.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}
