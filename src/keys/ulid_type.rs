//! The datum of type `ulid`: 16 bytes, big-endian, stored like a `uuid`.

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;

use crate::server::memory::datum_of;

/// A value of type `ulid`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub(crate) struct Ulid([u8; 16]);

impl From<ulid::Ulid> for Ulid {
    #[inline]
    fn from(value: ulid::Ulid) -> Self {
        Self(value.0.to_be_bytes())
    }
}

impl From<Ulid> for ulid::Ulid {
    #[inline]
    fn from(value: Ulid) -> Self {
        Self(u128::from_be_bytes(value.0))
    }
}

impl From<[u8; 16]> for Ulid {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

// SAFETY: the SQL type is created by sql/keys/ulid_type.sql with the length and alignment of this
// type.
unsafe impl SqlTranslatable for Ulid {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Ulid);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::ThisExtension;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("ulid"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("ulid")));
}

impl FromDatum for Ulid {
    #[inline]
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the caller guarantees that the datum is a ulid: a pointer to 16 bytes of any
        // alignment.
        Some(unsafe { datum.cast_mut_ptr::<Self>().read() })
    }
}

impl IntoDatum for Ulid {
    #[inline]
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(datum_of(self.0))
    }

    fn type_oid() -> pg_sys::Oid {
        pgrx::wrappers::rust_regtypein::<Self>()
    }
}

// SAFETY: the argument is unboxed as the 16 bytes of a ulid.
unsafe impl<'fcx> ArgAbi<'fcx> for Ulid {
    #[inline]
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller guarantees an argument of this type that is not NULL.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or(Self([0; 16]))
    }
}

// SAFETY: the datum points to the 16 bytes of a ulid in the memory context of the call.
unsafe impl BoxRet for Ulid {
    #[inline]
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: see above.
        unsafe { fcinfo.return_raw_datum(datum_of(self.0)) }
    }
}
