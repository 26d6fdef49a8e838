//! rustfmt, clippy with every warning an error, typos, and licences and advisories of dependencies.

use std::process::{Command, Stdio};

use pg_test::PgConfig;

use super::tally::Tally;
use xtask::cargo;
use xtask::prerequisites::{is_there, succeeds};

use crate::notices;

/// Runs the checks whose programs are installed.
pub fn run(pg: &PgConfig, tally: &mut Tally) {
    let mut format = cargo::command();
    format.args(["fmt", "--all", "--check"]);
    check("fmt", "Checking the format", format, tally);

    let crates = ["--all-targets", "--package", "keyspace", "--package", "pg_test", "--package", "bench"];
    let others = ["--package", "xtask", "--package", "xtask_schema", "--package", "cli"];
    let crates = [&crates[..], &others].concat();
    let (library, feature) = (["--release", "--lib", "--no-default-features", "--package"], pg.feature());
    let extension = format!("{feature} pg_test");
    let extension = [&library[..], &["pg_keyspace", "--features", &extension]].concat();
    let baseline = [&library[..], &["keyspace_baseline", "--features", &feature]].concat();
    for (what, selection) in
        [("the crates", crates), ("the extension", extension), ("the baseline of keys", baseline)]
    {
        let mut clippy = cargo::command_for_extension("clippy");
        clippy.args(selection).args(["--", "--deny", "warnings"]).env("PGRX_PG_CONFIG_PATH", pg.path());
        check("clippy", &format!("Checking {what} with clippy"), clippy, tally);
    }
    dependencies(tally);
    let title = "Checking the spelling with typos";
    if !is_there("typos") {
        return tally.skip(title, "typos is not installed (cargo install typos-cli); CI runs it");
    }
    let mut typos = Command::new("typos");
    typos.current_dir(cargo::workspace_root());
    tally.check(title, cargo::run(typos, title));
}

/// Licences and advisories of the packages that are linked.
fn dependencies(tally: &mut Tally) {
    tally.check("THIRD-PARTY.md lists the linked packages", notices::run(true));
    let title = "Checking licences with cargo-deny";
    if !has_component("deny") {
        return tally.skip(title, "cargo-deny is not installed (cargo install cargo-deny); CI runs it");
    }
    let mut deny = cargo::command();
    deny.args(["deny", "--locked", "check", "licenses", "bans", "sources"]);
    tally.check(title, cargo::run(deny, title));
    // Without network access, cargo-deny uses the database of its last run, if there is one.
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

fn has_component(component: &str) -> bool {
    succeeds(cargo::command().args([component, "--version"]))
}

fn check(component: &str, title: &str, command: Command, tally: &mut Tally) {
    if !has_component(component) {
        return tally.skip(title, &format!("this toolchain has no {component}"));
    }
    tally.check(title, cargo::run(command, title));
}
