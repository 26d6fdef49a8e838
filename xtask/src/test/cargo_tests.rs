//! Tests that cargo runs: of the crates, and on clusters.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use pg_test::{LIBRARY_VARIABLE, PG_CONFIG_VARIABLE, PgConfig};

use super::tally::Tally;
use crate::cargo;
use crate::step::Step;

/// Tests of the crates that need no server.
pub fn unit(filter: Option<&str>, tally: &mut Tally) {
    let runs: [(&str, &[&str]); 2] = [
        ("Testing the pure crate", &["--package", "keyspace"]),
        (
            "Testing harness and xtask",
            &["--package", "pg_test", "--package", "xtask", "--package", "xtask_schema", "--lib", "--bins"],
        ),
    ];
    for (title, arguments) in runs {
        let mut command = cargo::command();
        command.arg("test").args(arguments);
        run(command, title, filter, tally);
    }
}

/// Tests on clusters, which find PostgreSQL and the library by the environment.
pub fn cluster(pg: &PgConfig, library: &Path, filter: Option<&str>, tally: &mut Tally) {
    let mut command = cargo::command();
    command
        .args(["test", "--package", "pg_test", "--test", "*"])
        .env(PG_CONFIG_VARIABLE, pg.path())
        .env(LIBRARY_VARIABLE, library);
    run(command, "Testing on clusters", filter, tally);
}

fn run(mut command: Command, title: &str, filter: Option<&str>, tally: &mut Tally) {
    if let Some(filter) = filter {
        command.arg(filter);
    }
    let step = Step::quiet(title);
    match capture(&mut command) {
        Ok((true, output)) => {
            let found = Tally::of_libtest(&output);
            tally.add(found);
            step.done_with(&found.to_string());
        }
        Ok((false, output)) => {
            let found = Tally::of_libtest(&output);
            step.done_with("FAILED");
            println!("{output}");
            // A test that does not compile, or a process that is killed, reports no failure of its own.
            tally.add(Tally { failed: found.failed.max(1), ..found });
        }
        Err(error) => {
            step.done_with("FAILED");
            tally.broken(title, &error);
        }
    }
}

fn capture(command: &mut Command) -> Result<(bool, String)> {
    let output = command.stdin(Stdio::null()).output().context("could not run cargo")?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        text.push_str(&String::from_utf8_lossy(&output.stderr));
    } else if text.trim().is_empty() {
        bail!("cargo test ran nothing");
    }
    Ok((output.status.success(), text))
}
