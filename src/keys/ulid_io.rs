//! The text form of `ulid`. Its binary form is that of `uuid`, by PostgreSQL's own functions.

use std::ffi::CStr;

use keyspace::keys::ulid_text::{self, TEXT_LEN};
use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;

use super::fresh_datum::fresh_datum;
use super::ulid_type::Ulid;
use crate::error::or_raise;

/// A ULID's text as a `cstring`, made in one allocation.
struct UlidText([u8; TEXT_LEN]);

// SAFETY: the datum of a `cstring` is a pointer to bytes that end in a zero byte.
unsafe impl SqlTranslatable for UlidText {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(UlidText);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> =
        Err(ArgumentError::NotValidAsArgument("UlidText"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::literal("cstring")));
}

// SAFETY: the datum points to the text and the zero byte after it, in the memory context of the call.
unsafe impl BoxRet for UlidText {
    #[inline]
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        let mut text = [0; TEXT_LEN + 1];
        text[..TEXT_LEN].copy_from_slice(&self.0);
        // SAFETY: see above.
        unsafe { fcinfo.return_raw_datum(fresh_datum(text)) }
    }
}

#[pg_extern(immutable, parallel_safe, strict)]
fn ulid_in(input: &CStr) -> Ulid {
    or_raise(ulid_text::decode(input.to_bytes())).into()
}

#[pg_extern(immutable, parallel_safe, strict)]
fn ulid_out(value: Ulid) -> UlidText {
    UlidText(ulid_text::encode(value.into()))
}
