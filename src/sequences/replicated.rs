//! The trigger that keeps the rows of other servers out of our tables.

use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use crate::error::{raise, report};

/// Leaves out a row that the apply worker of a replication writes (trap S46); a session's own is written, whatever
/// its `session_replication_role`. Enabled as a replica trigger only, so other workers do not meet it.
#[pgrx::pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn interleaved_not_replicated(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the function manager passes a valid call; a context that is a TriggerData node, which is checked, has
    // the tuples of its event.
    unsafe {
        let context = (*fcinfo).context;
        if context.is_null() || (*context).type_ != pg_sys::NodeTag::T_TriggerData {
            raise(report(Error::new(
                SqlState::FeatureNotSupported,
                "trigger functions can only be called as triggers",
            )));
        }
        if pg_sys::MyBackendType != pg_sys::BackendType::B_BACKEND {
            return pg_sys::Datum::from(0_usize);
        }
        let data = context.cast::<pg_sys::TriggerData>();
        let is_update = (*data).tg_event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_UPDATE;
        pg_sys::Datum::from(if is_update { (*data).tg_newtuple } else { (*data).tg_trigtuple })
    }
}

/// Tells the function manager how to call the trigger.
#[doc(hidden)]
#[unsafe(no_mangle)]
pub extern "C" fn pg_finfo_interleaved_not_replicated() -> &'static pg_sys::Pg_finfo_record {
    const VERSION_1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &VERSION_1
}
