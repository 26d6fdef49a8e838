//! Converts text between Rust's UTF-8 and the encoding of the database.

use std::ffi::{CStr, CString};

use keyspace::{Error, SqlState};
use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;

/// Whether text needs no conversion.
pub(crate) fn is_utf8() -> bool {
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
    // That of the copy, which is empty if there is a zero byte in the text.
    let length = i32::try_from(plain.as_bytes().len()).unwrap_or(i32::MAX);
    // SAFETY: the source is valid for its length and ends in a zero byte. The result is the source
    // itself or a new string that ends in a zero byte.
    unsafe {
        let converted = pg_sys::pg_any_to_server(plain.as_ptr(), length, pg_sys::pg_enc::PG_UTF8 as i32);
        CStr::from_ptr(converted).to_owned()
    }
}

/// Converts text of the server, such as a name, to UTF-8. Bytes that cannot be converted are written
/// as `\xE9`.
pub(crate) fn from_server(text: &CStr) -> String {
    decoded(text.to_bytes()).unwrap_or_else(|escaped| escaped)
}

/// As [`from_server`], for bytes that `convert_to(..., 'SQL_ASCII')` returned, which converts nothing.
pub(crate) fn from_server_bytes(bytes: Vec<u8>) -> String {
    decoded(&bytes).unwrap_or_else(|escaped| escaped)
}

/// Text of the server in UTF-8.
///
/// # Errors
/// The text with the bytes that cannot be converted as `\xE9`: the bytes of a SQL_ASCII database have
/// no known encoding, and some encodings have characters that Unicode lacks.
pub(crate) fn decoded(bytes: &[u8]) -> Result<String, String> {
    // SAFETY: reads this backend's encoding.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    let is_any = encoding == pg_sys::pg_enc::PG_SQL_ASCII as i32;
    let converted = if is_any || is_utf8() || bytes.is_ascii() {
        Some(bytes.to_vec())
    } else {
        convert(bytes, encoding, pg_sys::pg_enc::PG_UTF8 as i32)
    };
    converted.and_then(|converted| String::from_utf8(converted).ok()).ok_or_else(|| escaped(bytes))
}

/// The bytes as text, those beyond ASCII as `\xE9`.
fn escaped(bytes: &[u8]) -> String {
    escaped_by("\\x", bytes)
}

fn escaped_by(escape: &str, bytes: &[u8]) -> String {
    let escape = |byte: &u8| {
        if byte.is_ascii() { char::from(*byte).to_string() } else { format!("{escape}{byte:02X}") }
    };
    bytes.iter().map(escape).collect()
}

/// A JSON document of the server, as bytes that `convert_to(..., 'SQL_ASCII')` returned. If its strings
/// cannot be converted, bytes beyond ASCII are read as `\xE9`.
pub(crate) fn json_from_server(document: &[u8]) -> String {
    // Within a JSON string, a backslash is written twice.
    decoded(document).unwrap_or_else(|_| escaped_by("\\\\x", document))
}

/// The same for a document with names by which objects are addressed.
///
/// # Errors
/// 55000 with the first string that cannot be converted.
pub(crate) fn json_with_names(document: &[u8]) -> Result<String, Error> {
    decoded(document).map_err(|_| {
        let mut strings = document.split(|byte| *byte == b'"');
        let name = strings.find_map(|string| decoded(string).err()).unwrap_or_default();
        let message = format!("the name \"{}\" cannot be converted to UTF-8", name.trim_end_matches('\\'));
        Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("It is the name of a table of the key migration, or of a part of one. The bytes that cannot be converted are shown as \\x.")
            .hint("Rename it, and try again.")
    })
}

/// Converts bytes from one encoding to another; `None` if that is not possible for all of them.
fn convert(bytes: &[u8], from: i32, to: i32) -> Option<Vec<u8>> {
    let length = i32::try_from(bytes.len()).ok()?;
    let size = length.checked_mul(pg_sys::MAX_CONVERSION_GROWTH as i32)?.checked_add(1)?;
    let mut converted = vec![0_u8; usize::try_from(size).ok()?];
    // SAFETY: the source is read for its length, and the result, with a zero byte, fits the buffer of
    // this size. An error of the conversion itself is not raised.
    let done = unsafe {
        let conversion = pg_sys::FindDefaultConversionProc(from, to);
        if conversion == pg_sys::InvalidOid {
            return None;
        }
        let source = bytes.as_ptr().cast_mut();
        pg_sys::pg_do_encoding_conversion_buf(
            conversion,
            from,
            to,
            source,
            length,
            converted.as_mut_ptr(),
            size,
            true,
        )
    };
    let end = converted.iter().position(|byte| *byte == 0)?;
    converted.truncate(end);
    (done == length).then_some(converted)
}

/// Text for a message, which is sent as it is, in the encoding of the database. Characters that it
/// lacks are written as in PostgreSQL's strings: `\u00E9`.
pub(crate) fn for_message(text: &str) -> CString {
    let any = pg_sys::pg_enc::PG_SQL_ASCII as i32;
    // SAFETY: reads this backend's encoding.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    if text.is_ascii() || is_utf8() || encoding == any {
        return CString::new(text).unwrap_or_default();
    }
    let utf8 = pg_sys::pg_enc::PG_UTF8 as i32;
    let escape = |c: char| match u32::from(c) {
        0..0x80 => c.to_string(),
        code @ 0x80..0x1_0000 => format!("\\u{code:04X}"),
        code => format!("\\U{code:08X}"),
    };
    let bytes = convert(text.as_bytes(), utf8, encoding).unwrap_or_else(|| {
        let one = |c: char| convert(c.to_string().as_bytes(), utf8, encoding);
        text.chars().flat_map(|c| one(c).unwrap_or_else(|| escape(c).into_bytes())).collect()
    });
    CString::new(bytes).unwrap_or_default()
}

/// Whether messages are UTF-8, or cannot be told from it.
pub(crate) fn messages_are_utf8() -> bool {
    // SAFETY: reads this backend's encoding.
    is_utf8() || unsafe { pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_SQL_ASCII as i32 }
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
