//! Functions that the function manager calls by symbol, without a pgrx wrapper.

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

/// Exports the call convention of these symbols to the function manager.
macro_rules! version_1 {
    ($($symbol:ident),+) => {$(
        const _: () = {
            /// Returns the call convention of the symbol.
            #[unsafe(export_name = concat!("pg_finfo_", stringify!($symbol)))]
            extern "C" fn version() -> &'static pgrx::pg_sys::Pg_finfo_record {
                &$crate::fmgr::VERSION_1
            }
        };
    )+};
}
pub(crate) use version_1;

pub(crate) const VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };

/// The trigger data of a call; `None` if it is not a trigger call.
///
/// # Safety
/// `fcinfo` must come from the function manager.
#[inline]
pub(crate) unsafe fn trigger_data(fcinfo: pg_sys::FunctionCallInfo) -> Option<*mut pg_sys::TriggerData> {
    // SAFETY: a valid call has a context that is null or a node.
    unsafe {
        let context = (*fcinfo).context;
        let is_trigger = !context.is_null() && (*context).type_ == pg_sys::NodeTag::T_TriggerData;
        is_trigger.then(|| context.cast())
    }
}

/// The error for a call that is not a trigger call.
pub(crate) fn no_trigger() -> Error {
    Error::new(SqlState::FeatureNotSupported, "trigger functions can only be called as triggers")
}
