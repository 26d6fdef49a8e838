//! Tests that say that they could not be run.

use std::io::Write;

/// Names the file that takes what was skipped, and why.
pub const SKIPPED_VARIABLE: &str = "PG_KEYSPACE_TEST_SKIPPED";

/// Says that a test was skipped, and why: cargo counts it as passed, `cargo xtask test` as skipped.
///
/// # Panics
///
/// When it cannot be said: a test that ran nothing must not pass silently.
pub fn skip(test: &str, reason: &str) {
    let line = format!("{test}: {reason}");
    eprintln!("skipped: {line}");
    if let Some(path) = std::env::var_os(SKIPPED_VARIABLE) {
        // One write for a line, so that tests beside each other do not mix theirs.
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        assert!(written.is_ok(), "could not say that it was skipped: {line}");
    }
}
