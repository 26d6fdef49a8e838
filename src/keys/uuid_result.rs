//! A `uuid` as a result.

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::prelude::*;

use crate::server::memory::datum_of;

/// Returned in place of [`pgrx::Uuid`], which allocates behind a guard.
pub(crate) struct UuidResult([u8; 16]);

impl From<uuid::Uuid> for UuidResult {
    #[inline]
    fn from(uuid: uuid::Uuid) -> Self {
        Self(uuid.into_bytes())
    }
}

impl_sql_translatable!(UuidResult, "uuid");

// SAFETY: the datum points to the 16 bytes of a uuid in the memory context of the call.
unsafe impl BoxRet for UuidResult {
    #[inline]
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: see above.
        unsafe { fcinfo.return_raw_datum(datum_of(self.0)) }
    }
}
