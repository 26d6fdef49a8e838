//! Calls of cargo from within cargo.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{LazyLock, Once};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pg_test::PgConfig;

use crate::step::{Step, on_terminal};

/// The version of the extension, which is the workspace's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Without a terminal a sign of life is printed this often.
const REPORT_EVERY: Duration = Duration::from_secs(15);

/// Which library to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The library that is installed.
    Release,
    /// The same with the in-server tests compiled in.
    WithTests,
}

/// The top of the checkout.
pub fn workspace_root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo puts what it builds.
pub fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|path| !path.is_empty()) {
        Some(path) => workspace_root().join(path),
        None => workspace_root().join("target"),
    }
}

/// A call of cargo at the top of the checkout.
///
/// What the outer cargo sets for `xtask` alone is taken out of the environment: build scripts, pgrx's among them, watch
/// such variables, and would compile everything again whenever cargo is called once directly and once from here.
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

/// A call of cargo that compiles or looks at what is made with pgrx.
///
/// pgrx asks for a later compiler than this project does and compiles with ours: cargo is told to try. On such a compiler
/// that is said, once.
pub fn command_for_extension(subcommand: &str) -> Command {
    let mut command = command();
    command.arg(subcommand);
    if let Some(compiler) = *OLDER_COMPILER {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            println!("(pgrx asks for Rust {EXTENSION_RUST}; this is {compiler}, which compiles it, too.)");
        });
        command.arg("--ignore-rust-version");
    }
    command
}

/// The version of the compiler, where that is older than the extension's manifest asks for.
static OLDER_COMPILER: LazyLock<Option<Version>> = LazyLock::new(|| {
    let output = Command::new("rustc").arg("--version").current_dir(workspace_root()).output().ok()?;
    let found = Version::in_text(&String::from_utf8_lossy(&output.stdout))?;
    (found < EXTENSION_RUST).then_some(found)
});

/// What the extension's manifest asks for, which is what pgrx does; a test compares.
const EXTENSION_RUST: Version = Version { major: 1, minor: 96 };

/// A version of Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// That of `rustc 1.95.0 (59807616e 2026-04-14)` or `1.95`.
    fn in_text(text: &str) -> Option<Self> {
        let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
        let mut parts = number.split('.');
        Some(Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Builds the extension for `pg` by cargo alone and returns the path of the library.
///
/// # Errors
///
/// When it does not build; cargo's messages have been shown then.
pub fn build_extension(pg: &PgConfig, build: Build) -> Result<PathBuf> {
    let (features, title) = match build {
        Build::Release => (pg.feature(), format!("Building the extension for PostgreSQL {}", pg.major())),
        Build::WithTests => (
            format!("{} pg_test", pg.feature()),
            format!("Building the extension with its in-server tests for PostgreSQL {}", pg.major()),
        ),
    };
    build_library(pg, "pg_keyspace", &features, &title)
}

/// Builds the library of a package of the workspace for `pg`, with these features, and returns its path.
///
/// # Errors
///
/// When it does not build; cargo's messages have been shown then.
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

/// Runs a call of cargo whose result matters, not its output.
///
/// On a terminal cargo shows its own progress. Without one a line from time to time tells how far it is, and
/// its output is shown when it fails.
///
/// # Errors
///
/// When cargo cannot be run or fails.
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
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("could not run cargo")?;
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    forward_lines(stdout, sender.clone());
    forward_lines(child.stderr.take().context("cargo has no standard error")?, sender);
    let (mut output, mut compiled, mut reported) = (String::new(), 0_u32, Instant::now());
    loop {
        match lines.recv_timeout(REPORT_EVERY.saturating_sub(reported.elapsed())) {
            Ok(line) => {
                let verb = line.trim_start();
                compiled += u32::from(verb.starts_with("Compiling ") || verb.starts_with("Checking "));
                output.push_str(&line);
                output.push('\n');
            }
            Err(RecvTimeoutError::Timeout) => {
                println!("    {} s, {compiled} packages so far", step.seconds());
                reported = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().context("could not wait for cargo")?;
    if !status.success() {
        eprint!("{output}");
    }
    Ok(status.success())
}

/// Sends each line that comes until the other side closes.
fn forward_lines(source: impl Read + Send + 'static, sender: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_asks_for_what_its_manifest_says() {
        let manifest = std::fs::read_to_string(workspace_root().join("Cargo.toml")).unwrap_or_default();
        assert!(manifest.contains(&format!("rust-version = \"{EXTENSION_RUST}\"")));
        assert_eq!(
            Version::in_text("rustc 1.95.0 (59807616e 2026-04-14)"),
            Some(Version { major: 1, minor: 95 })
        );
        assert!(Version { major: 1, minor: 100 } > EXTENSION_RUST);
        assert_eq!(Version::in_text("rustc"), None);
    }

    #[test]
    fn variables_that_only_the_outer_cargo_sets_are_told_from_the_users() {
        for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_VERSION", "CARGO", "OUT_DIR"] {
            assert!(is_set_by_outer_cargo(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "PATH", "CARGO_BUILD_JOBS"] {
            assert!(!is_set_by_outer_cargo(name), "{name}");
        }
    }
}
