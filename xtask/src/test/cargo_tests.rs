//! Tests that cargo runs: unit tests, and tests on clusters.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use pg_test::{
    CLIENT_VARIABLE, CONTAINERS_VARIABLE, Container, LIBRARY_VARIABLE, PG_CONFIG_VARIABLE, PgConfig,
    SKIPPED_VARIABLE,
};

use super::tally::Tally;
use xtask::step::Step;
use xtask::{cargo, container};

/// Tests of the crates that need no server.
pub fn unit(filter: Option<&str>, tally: &mut Tally) {
    run("the pure crate", &["--package", "keyspace"], &[], filter, tally);
    let packages = ["pg_test", "xtask", "xtask_schema", "bench", "cli"];
    let harness: Vec<&str> = packages.iter().flat_map(|name| ["--package", name]).collect();
    run(
        "harness, xtask, bench and the client program",
        &[&harness[..], &["--lib", "--bins"]].concat(),
        &[],
        filter,
        tally,
    );
}

/// Tests on clusters. Environment variables name PostgreSQL, the library and the client program.
pub fn cluster(pg: &PgConfig, library: &Path, filter: Option<&str>, tally: &mut Tally) {
    let client = match cargo::build_client() {
        Ok(client) => client,
        Err(error) => return tally.broken("the client program", &error),
    };
    let skipped = cargo::target_directory().join("test-skipped");
    // The list of the last run.
    let _ = std::fs::remove_file(&skipped);
    let containers: Vec<String> = container::built().iter().map(Container::line).collect();
    let containers = containers.join("\n");
    let environment = [
        (PG_CONFIG_VARIABLE, pg.path()),
        (LIBRARY_VARIABLE, library),
        (CLIENT_VARIABLE, &client),
        (SKIPPED_VARIABLE, &skipped),
        (CONTAINERS_VARIABLE, Path::new(&containers)),
    ];
    run("clusters", &["--package", "pg_test", "--test", "*"], &environment, filter, tally);
    for line in std::fs::read_to_string(&skipped).unwrap_or_default().lines() {
        // Cargo has counted it as passed.
        tally.passed = tally.passed.saturating_sub(1);
        let (test, reason) = line.split_once(": ").unwrap_or((line, "no reason was given"));
        tally.skip(test, reason);
    }
}

/// Builds the tests with progress, and then runs them.
fn run(
    subject: &str,
    selection: &[&str],
    environment: &[(&str, &Path)],
    filter: Option<&str>,
    tally: &mut Tally,
) {
    let mut build = cargo::command_for_extension("test");
    build.arg("--no-run").args(selection);
    if let Err(error) = cargo::run(build, &format!("Building the tests of {subject}")) {
        return tally.broken(subject, &error);
    }
    let mut command = cargo::command_for_extension("test");
    // Tests after a failure are run and counted, too.
    command.arg("--no-fail-fast").args(selection).args(filter).args(["--", "--show-output"]);
    command.envs(environment.iter().copied());
    let step = Step::quiet(format!("Testing {subject}"));
    match capture(&mut command) {
        Ok((true, output)) => {
            keep(subject, &output);
            let found = Tally::of_libtest(&output);
            tally.add(found);
            step.done_with(&found.to_string());
        }
        Ok((false, output)) => {
            let found = Tally::of_libtest(&output);
            step.done_with("FAILED");
            println!("{output}");
            // A process that was killed reports no failure itself.
            tally.add(Tally { failed: found.failed.max(1), ..found });
        }
        Err(error) => {
            step.done_with("FAILED");
            tally.broken(subject, &error);
        }
    }
}

/// Keeps what tests printed, for example figures. That it cannot be kept is no failure of a test.
fn keep(subject: &str, output: &str) {
    let results = cargo::results_directory();
    let path = results.join(format!("{}.log", subject.replace(", ", "-").replace(' ', "-")));
    let written = std::fs::create_dir_all(&results).and_then(|()| std::fs::write(&path, output));
    if let Err(error) = written {
        eprintln!("could not write {}: {error}", path.display());
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
