//! The trigger that keeps the rows of other servers out of our tables.

use pgrx::pg_sys;

use crate::error::{raise, report};
use crate::fmgr;

/// Leaves out a row that the apply worker of a replication writes (trap S46); a session's own is written, whatever
/// its `session_replication_role`. Enabled as a replica trigger only, so other workers do not meet it.
#[pgrx::pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn interleaved_not_replicated(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the function manager passes a valid call; that of a trigger has the tuples of its event.
    unsafe {
        let Some(data) = fmgr::trigger_data(fcinfo) else { raise(report(fmgr::no_trigger())) };
        if pg_sys::MyBackendType != pg_sys::BackendType::B_BACKEND {
            return pg_sys::Datum::from(0_usize);
        }
        let is_update = (*data).tg_event & pg_sys::TRIGGER_EVENT_OPMASK == pg_sys::TRIGGER_EVENT_UPDATE;
        pg_sys::Datum::from(if is_update { (*data).tg_newtuple } else { (*data).tg_trigtuple })
    }
}

fmgr::version_1!(interleaved_not_replicated);
