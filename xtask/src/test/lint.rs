//! rustfmt and clippy, with every warning an error.

use std::process::{Command, Stdio};

use pg_test::PgConfig;

use super::tally::Tally;
use crate::cargo;

/// Checks format and lints, where the toolchain has the components.
pub fn run(pg: &PgConfig, tally: &mut Tally) {
    let mut format = cargo::command();
    format.args(["fmt", "--all", "--check"]);
    check("fmt", "Checking the format", format, tally);

    let mut plain = cargo::command();
    plain.args(["clippy", "--all-targets", "--package", "keyspace", "--package", "pg_test"]);
    plain.args(["--package", "xtask", "--package", "xtask_schema", "--", "--deny", "warnings"]);
    check("clippy", "Checking the crates with clippy", plain, tally);

    let mut extension = cargo::command();
    extension
        .args([
            "clippy",
            "--release",
            "--lib",
            "--package",
            "pg_keyspace",
            "--no-default-features",
            "--features",
        ])
        .arg(format!("{} pg_test", pg.feature()))
        .args(["--", "--deny", "warnings"])
        .env("PGRX_PG_CONFIG_PATH", pg.path());
    check("clippy", "Checking the extension with clippy", extension, tally);

    let mut rivals = cargo::command();
    rivals
        .args(["clippy", "--release", "--lib", "--package", "keyspace_rivals", "--features"])
        .arg(pg.feature())
        .args(["--", "--deny", "warnings"])
        .env("PGRX_PG_CONFIG_PATH", pg.path());
    check("clippy", "Checking what keys are measured against with clippy", rivals, tally);
}

fn check(component: &str, title: &str, command: Command, tally: &mut Tally) {
    let mut probe = cargo::command();
    probe.args([component, "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        return tally.skip(title, &format!("this toolchain has no {component}"));
    }
    tally.check(title, cargo::run(command, title));
}
