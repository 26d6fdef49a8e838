//! Points at which a test can halt a session in order to kill it there.

use std::ffi::CString;
use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_sys};

use crate::server::waiting::pause;

static STOP_AT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Defines the setting; called once, when the library is loaded. Only superusers can set it, and
/// they can stop any session anyway.
pub(crate) fn register_setting() {
    GucRegistry::define_string_guc(
        c"pg_keyspace.stop_at",
        c"Name of the point at which this session stops, for tests.",
        c"When it has stopped, its application_name is the name of the point.",
        &STOP_AT,
        GucContext::Suset,
        GucFlags::NO_SHOW_ALL,
    );
}

/// If the setting names this point, halts here until the session is terminated.
#[inline]
pub(crate) fn point(name: impl FnOnce() -> String) {
    if let Some(wanted) = STOP_AT.get() {
        stop(&wanted, &name());
    }
}

#[cold]
fn stop(wanted: &CString, name: &str) {
    if wanted.to_bytes() != name.as_bytes() {
        return;
    }
    // SAFETY: a NUL-terminated string, which is copied.
    unsafe { pg_sys::pgstat_report_appname(wanted.as_ptr()) };
    loop {
        pause(Duration::from_millis(100));
    }
}
