//! Settings that apply to one step only.

use std::ffi::CStr;

use pgrx::pg_sys;

/// The context in which the caller's `SET` would run.
pub(crate) fn context() -> pg_sys::GucContext::Type {
    // SAFETY: asks for the current role.
    if unsafe { pg_sys::superuser() } {
        pg_sys::GucContext::PGC_SUSET
    } else {
        pg_sys::GucContext::PGC_USERSET
    }
}

/// Runs `step` with settings that apply until it returns, like the `SET` clause of a function.
/// After an error, the end of the transaction resets them.
pub(crate) fn with<T>(settings: &[(&CStr, &CStr)], step: impl FnOnce() -> T) -> T {
    run(settings, step, true)
}

/// As [`with`], but also resets everything that `step` has set, even by `SET`: it may have run
/// other users' code.
pub(crate) fn within_and_undo<T>(settings: &[(&CStr, &CStr)], step: impl FnOnce() -> T) -> T {
    run(settings, step, false)
}

fn run<T>(settings: &[(&CStr, &CStr)], step: impl FnOnce() -> T, keeps: bool) -> T {
    // SAFETY: opens and closes a new level of settings within this transaction. If `step` raises an
    // error, the abort of the transaction or subtransaction closes the level.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in settings {
        // SAFETY: both strings are NUL-terminated and outlive the call, which copies them.
        unsafe {
            pg_sys::set_config_option(
                name.as_ptr(),
                value.as_ptr(),
                context(),
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                pgrx::PgLogLevel::ERROR as i32,
                false,
            );
        }
    }
    let result = step();
    // SAFETY: closes the level opened above.
    unsafe { pg_sys::AtEOXact_GUC(keeps, level) };
    result
}

/// Settings for our own queries:
///
/// - No object of the caller can take the place of one of PostgreSQL's.
/// - A policy raises an error instead of hiding rows (trap S05).
/// - Prepared statements are not planned again for each sequence.
/// - The planner does not evaluate check constraints of tables.
/// - Queries, their input and their output do not depend on settings of the session.
const OWN_QUERIES: &[(&CStr, &CStr)] = &[
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"row_security", c"off"),
    (c"plan_cache_mode", c"force_generic_plan"),
    (c"constraint_exclusion", c"off"),
    (c"standard_conforming_strings", c"on"),
    (c"quote_all_identifiers", c"off"),
    (c"transform_null_equals", c"off"),
    (c"array_nulls", c"on"),
    (c"bytea_output", c"hex"),
    (c"DateStyle", c"ISO, YMD"),
    (c"IntervalStyle", c"postgres"),
];

/// Runs `read` with the settings for our own queries.
pub(crate) fn with_own_settings<T>(read: impl FnOnce() -> T) -> T {
    with(OWN_QUERIES, read)
}
