//! rustfmt and clippy, with every warning an error; licences and advisories of what we depend on.

use std::process::{Command, Stdio};

use pg_test::PgConfig;

use super::tally::Tally;
use xtask::cargo;

use crate::notices;

/// Checks format and lints, where the toolchain has the components.
pub fn run(pg: &PgConfig, tally: &mut Tally) {
    let mut format = cargo::command();
    format.args(["fmt", "--all", "--check"]);
    check("fmt", "Checking the format", format, tally);

    let crates = ["--all-targets", "--package", "keyspace", "--package", "pg_test", "--package", "bench"];
    let crates = [&crates[..], &["--package", "xtask", "--package", "xtask_schema"]].concat();
    let (library, feature) = (["--release", "--lib", "--no-default-features", "--package"], pg.feature());
    let extension = format!("{feature} pg_test");
    let extension = [&library[..], &["pg_keyspace", "--features", &extension]].concat();
    let baseline = [&library[..], &["keyspace_baseline", "--features", &feature]].concat();
    for (what, selection) in
        [("the crates", crates), ("the extension", extension), ("what keys are measured against", baseline)]
    {
        let mut clippy = cargo::command_for_extension("clippy");
        clippy.args(selection).args(["--", "--deny", "warnings"]).env("PGRX_PG_CONFIG_PATH", pg.path());
        check("clippy", &format!("Checking {what} with clippy"), clippy, tally);
    }
    dependencies(tally);
}

/// The licences of what is linked, and what is known against it.
fn dependencies(tally: &mut Tally) {
    tally.check("THIRD-PARTY.md names what is linked", notices::run(true));
    let title = "Checking licences with cargo-deny";
    if !is_there("deny") {
        return tally.skip(title, "cargo-deny is not installed (cargo install cargo-deny); CI runs it");
    }
    let mut deny = cargo::command();
    deny.args(["deny", "--locked", "check", "licenses", "bans", "sources"]);
    tally.check(title, cargo::run(deny, title));
    // Without the network, the database of advisories of the last time serves; without any there is nothing to say.
    let title = "Checking advisories with cargo-deny";
    let mut advisories = cargo::command();
    advisories.args(["deny", "--locked", "check", "advisories"]);
    match advisories.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => tally.check(title, Ok(())),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if said.contains("failed to fetch advisory database") {
                tally.skip(title, "the database of advisories cannot be fetched; CI runs it");
            } else {
                tally.check(title, Err(anyhow::anyhow!(said)));
            }
        }
        Err(error) => tally.broken(title, &error.into()),
    }
}

fn is_there(component: &str) -> bool {
    let mut probe = cargo::command();
    probe.args([component, "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

fn check(component: &str, title: &str, command: Command, tally: &mut Tally) {
    if !is_there(component) {
        return tally.skip(title, &format!("this toolchain has no {component}"));
    }
    tally.check(title, cargo::run(command, title));
}
