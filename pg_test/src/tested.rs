//! Reports which version of a driver was tested.

use std::io::Write;

/// Names the file that records versions.
pub const TESTED_VARIABLE: &str = "PG_KEYSPACE_TEST_VERSIONS";

/// Reports a driver and its version. `cargo xtask test` prints it.
///
/// # Panics
///
/// If it cannot be reported.
pub fn tested(version: &str) {
    println!("tested: {version}");
    if let Some(path) = std::env::var_os(TESTED_VARIABLE) {
        // One write per line, so that concurrent tests do not mix their lines.
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(format!("{version}\n").as_bytes()));
        assert!(written.is_ok(), "could not say what was tested: {version}");
    }
}
