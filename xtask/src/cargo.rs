//! Calls of cargo from within cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pg_test::PgConfig;

use crate::step::{Step, on_terminal};

/// The version of the extension, which is the workspace's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How often progress is printed if there is no terminal.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// How often to check whether cargo has ended.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Which library to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The library that is installed.
    Release,
    /// The library with the in-server tests.
    WithTests,
}

/// The top of the checkout.
pub fn workspace_root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Cargo's target directory.
pub fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|path| !path.is_empty()) {
        Some(path) => workspace_root().join(path),
        None => workspace_root().join("target"),
    }
}

/// The directory of what tests print and produce.
pub fn results_directory() -> PathBuf {
    target_directory().join("test-results")
}

/// A call of cargo at the top of the checkout.
///
/// Removes the variables that the outer cargo sets for `xtask`. Build scripts, for example pgrx's,
/// watch them, and would compile everything again if cargo is called directly and from here in turn.
pub fn command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_set_by_outer_cargo) {
            command.env_remove(name);
        }
    }
    command
}

fn is_set_by_outer_cargo(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
        || ["CARGO", "CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"].contains(&name)
}

/// A call of cargo for crates that use pgrx. pgrx requires a later compiler than this project, but
/// can be compiled by ours, so the required version is ignored.
pub fn command_for_extension(subcommand: &str) -> Command {
    let mut command = command();
    command.args([subcommand, "--ignore-rust-version"]);
    command
}

/// Builds the extension for `pg` by cargo alone and returns the path of the library.
///
/// # Errors
///
/// If it does not compile. Cargo's messages have been printed.
pub fn build_extension(pg: &PgConfig, build: Build) -> Result<PathBuf> {
    let (features, tests) = match build {
        Build::Release => (pg.feature(), ""),
        Build::WithTests => (format!("{} pg_test", pg.feature()), " with its in-server tests"),
    };
    let title = format!("Building the extension{tests} for PostgreSQL {}", pg.major());
    build_library(pg, "pg_keyspace", &features, &title)
}

/// Builds the library of a package for `pg` with these features, and returns its path.
///
/// # Errors
///
/// If it does not compile. Cargo's messages have been printed.
pub fn build_library(pg: &PgConfig, package: &str, features: &str, title: &str) -> Result<PathBuf> {
    let mut command = command_for_extension("build");
    command
        .args(["--release", "--lib", "--package", package, "--no-default-features", "--features"])
        .arg(features)
        .env("PGRX_PG_CONFIG_PATH", pg.path());
    run(command, title)?;
    let name = format!("{}{package}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    Ok(target_directory().join("release").join(name))
}

/// How to compile the client program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// In the shortest time.
    Debug,
    /// As it is distributed.
    Release,
}

/// Builds the client program and returns its path.
///
/// # Errors
///
/// If it does not compile. Cargo's messages have been printed.
pub fn build_client(profile: Profile) -> Result<PathBuf> {
    let mut command = command_for_extension("build");
    command.args(["--package", "cli"]);
    let directory = match profile {
        Profile::Debug => "debug",
        Profile::Release => {
            command.arg("--release");
            "release"
        }
    };
    run(command, "Building the client program")?;
    Ok(target_directory().join(directory).join(format!("pg_keyspace{}", std::env::consts::EXE_SUFFIX)))
}

/// Runs cargo, with its own progress on a terminal. Otherwise it prints progress from time to time,
/// and cargo's output if it fails.
///
/// # Errors
///
/// If cargo cannot be run or fails.
pub fn run(mut command: Command, title: &str) -> Result<()> {
    let step = Step::verbose(title);
    command.stdin(Stdio::null());
    let succeeded = if on_terminal() {
        command.status().context("could not run cargo")?.success()
    } else {
        run_with_reports(&mut command, &step)?
    };
    if !succeeded {
        bail!("failed: {title}");
    }
    step.done();
    Ok(())
}

fn run_with_reports(command: &mut Command, step: &Step) -> Result<bool> {
    let log = tempfile::NamedTempFile::new().context("could not make a file for cargo's output")?;
    let [stdout, stderr] = [log.reopen()?, log.as_file().try_clone()?];
    let output = || std::fs::read_to_string(log.path()).unwrap_or_default();
    let mut child = command.stdout(stdout).stderr(stderr).spawn().context("could not run cargo")?;
    let mut reported = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("could not wait for cargo")? {
            break status;
        }
        std::thread::sleep(POLL_EVERY);
        if reported.elapsed() >= REPORT_EVERY {
            let compiles = |line: &&str| {
                ["Compiling ", "Checking "].iter().any(|verb| line.trim_start().starts_with(verb))
            };
            let compiled = output().lines().filter(compiles).count();
            println!("    {} s, {compiled} packages so far", step.seconds());
            reported = Instant::now();
        }
    };
    if !status.success() {
        eprint!("{}", output());
    }
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_outer_cargo_are_distinguished_from_those_of_the_user() {
        for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_VERSION", "CARGO", "OUT_DIR"] {
            assert!(is_set_by_outer_cargo(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "PATH", "CARGO_BUILD_JOBS"] {
            assert!(!is_set_by_outer_cargo(name), "{name}");
        }
    }
}
