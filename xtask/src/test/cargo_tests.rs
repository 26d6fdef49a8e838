//! Tests that cargo runs: unit tests, and tests on clusters.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use pg_test::{
    CLIENT_VARIABLE, CONTAINERS_VARIABLE, Container, LIBRARY_VARIABLE, PG_CONFIG_VARIABLE, PgConfig,
    SKIPPED_VARIABLE, TESTED_VARIABLE,
};

use super::tally::Tally;
use xtask::step::Step;
use xtask::{cargo, container};

/// Tests of the crates that need no server.
pub fn unit(filter: Option<&str>, tally: &mut Tally) {
    let filter: Vec<&str> = filter.into_iter().collect();
    run("the pure crate", &["--package", "keyspace"], &[], &filter, tally);
    let packages = ["pg_test", "xtask", "xtask_schema", "bench", "cli"];
    let harness: Vec<&str> = packages.iter().flat_map(|name| ["--package", name]).collect();
    let selection = [&harness[..], &["--lib", "--bins"]].concat();
    run("harness, xtask, bench and the client program", &selection, &[], &filter, tally);
}

/// The target with the tests of drivers, which are a kind of their own.
const DRIVERS: &str = "drivers";

/// The target with the tests of tools of others, which run only on request.
const TOOLS: &str = "tools";

/// The tests of drivers that run with all others: those that install little.
const USUAL_DRIVERS: [&str; 3] = ["python::psycopg", "node::node_postgres", "rust::tokio_postgres"];

/// Tests on clusters.
pub fn cluster(pg: &PgConfig, library: &Path, filter: Option<&str>, tally: &mut Tally) {
    let targets = match targets() {
        Ok(targets) => targets,
        Err(error) => return tally.broken("clusters", &error),
    };
    let client = match cargo::build_client(cargo::Profile::Debug) {
        Ok(client) => client,
        Err(error) => return tally.broken("the client program", &error),
    };
    let targets = targets
        .iter()
        .filter(|name| ![DRIVERS, TOOLS].contains(&name.as_str()))
        .flat_map(|name| ["--test", name]);
    let selection: Vec<&str> = ["--package", "pg_test"].into_iter().chain(targets).collect();
    let filter: Vec<&str> = filter.into_iter().collect();
    on_servers("clusters", pg, library, Some(&client), &selection, &filter, tally);
}

/// Tests of drivers; only the usual ones, if no kind was asked for.
pub fn drivers(pg: &PgConfig, library: &Path, is_asked_for: bool, filter: Option<&str>, tally: &mut Tally) {
    let selection = ["--package", "pg_test", "--test", DRIVERS];
    let mut names: Vec<&str> = filter.into_iter().collect();
    if !is_asked_for {
        // The test harness takes several names.
        names =
            USUAL_DRIVERS.into_iter().filter(|name| filter.is_none_or(|part| name.contains(part))).collect();
        if names.is_empty() {
            return;
        }
        names.insert(0, "--exact");
    }
    on_servers("drivers", pg, library, None, &selection, &names, tally);
    print_tested();
}

/// Tests of tools of others.
pub fn tools(pg: &PgConfig, library: &Path, filter: Option<&str>, tally: &mut Tally) {
    let selection = ["--package", "pg_test", "--test", TOOLS];
    let names: Vec<&str> = filter.into_iter().collect();
    on_servers("tools", pg, library, None, &selection, &names, tally);
    print_tested();
}

/// Prints which versions the tests have found.
fn print_tested() {
    for version in std::fs::read_to_string(tested_file()).unwrap_or_default().lines() {
        println!("    tested: {version}");
    }
}

/// The names of the targets below `pg_test/tests`.
fn targets() -> Result<Vec<String>> {
    let directory = cargo::workspace_root().join("pg_test/tests");
    let entries = std::fs::read_dir(&directory).context("could not read the directory of tests")?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("main.rs").exists() || path.extension().is_some_and(|suffix| suffix == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Where tests record which versions they have found.
fn tested_file() -> PathBuf {
    cargo::target_directory().join("test-versions")
}

/// Tests that start servers. Environment variables name PostgreSQL, the library and, if there is one,
/// the client program.
fn on_servers(
    subject: &str,
    pg: &PgConfig,
    library: &Path,
    client: Option<&Path>,
    selection: &[&str],
    names: &[&str],
    tally: &mut Tally,
) {
    let (skipped, tested) = (cargo::target_directory().join("test-skipped"), tested_file());
    // The lists of the last run.
    let _ = std::fs::remove_file(&skipped);
    let _ = std::fs::remove_file(&tested);
    let containers: Vec<String> = container::built().iter().map(Container::line).collect();
    let containers = containers.join("\n");
    let mut environment = vec![
        (PG_CONFIG_VARIABLE, pg.path()),
        (LIBRARY_VARIABLE, library),
        (SKIPPED_VARIABLE, &skipped),
        (TESTED_VARIABLE, &tested),
        (CONTAINERS_VARIABLE, Path::new(&containers)),
    ];
    environment.extend(client.map(|client| (CLIENT_VARIABLE, client)));
    run(subject, selection, &environment, names, tally);
    for line in std::fs::read_to_string(&skipped).unwrap_or_default().lines() {
        // Cargo has counted it as passed.
        tally.passed = tally.passed.saturating_sub(1);
        let (test, reason) = line.split_once(": ").unwrap_or((line, "no reason was given"));
        tally.skip(test, reason);
    }
}

/// Builds the tests with progress, and then runs them.
fn run(subject: &str, selection: &[&str], environment: &[(&str, &Path)], names: &[&str], tally: &mut Tally) {
    let mut build = cargo::command_for_extension("test");
    build.arg("--no-run").args(selection);
    if let Err(error) = cargo::run(build, &format!("Building the tests of {subject}")) {
        return tally.broken(subject, &error);
    }
    let mut command = cargo::command_for_extension("test");
    // Tests after a failure are run and counted, too.
    command.arg("--no-fail-fast").args(selection).args(["--", "--show-output"]).args(names);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_target_is_found_and_drivers_and_tools_are_among_them() {
        let targets = targets().unwrap();
        for name in [DRIVERS, TOOLS, "clean_up", "keys", "migration"] {
            assert!(targets.iter().any(|target| target == name), "{name} is not in {targets:?}");
        }
    }

    #[test]
    fn the_usual_drivers_are_tests() {
        for name in USUAL_DRIVERS {
            let (file, test) = name.split_once("::").unwrap();
            let path = cargo::workspace_root().join(format!("pg_test/tests/{DRIVERS}/{file}.rs"));
            let source = std::fs::read_to_string(path).unwrap();
            assert!(source.contains(&format!("#[test]\nfn {test}() {{")), "{name} is not a test");
        }
    }
}
