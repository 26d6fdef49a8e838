//! Reports tests that could not run.

use std::io::Write;

/// Names the file that records skipped tests and the reasons.
pub const SKIPPED_VARIABLE: &str = "PG_KEYSPACE_TEST_SKIPPED";

/// Reports that a test was skipped, and why. cargo counts it as passed, `cargo xtask test` as
/// skipped.
///
/// # Panics
///
/// If it cannot be reported: a test that ran nothing must not pass silently.
pub fn skip(test: &str, reason: &str) {
    let line = format!("{test}: {reason}");
    eprintln!("skipped: {line}");
    if let Some(path) = std::env::var_os(SKIPPED_VARIABLE) {
        // One write per line, so that concurrent tests do not mix their lines.
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        assert!(written.is_ok(), "could not say that it was skipped: {line}");
    }
}
