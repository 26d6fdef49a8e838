//! A version of PostgreSQL that this machine's packages do not have, in a system of its own beside this one.
//!
//! A directory holds a small Debian with the server, made once and kept among the user's caches. Commands run in it as in
//! a container, with this checkout and its toolchain in their usual places: nothing of this machine is changed, and
//! what is mounted for a command is gone with it, however it ends.

mod enter;
mod make;

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use nix::unistd::{getgid, getuid};
use pg_test::Beside;

use crate::cargo;
use crate::prerequisites::{self, Options, succeeds};
use crate::step::Step;

/// A release of Debian, and the PostgreSQL that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The major version of PostgreSQL.
    pub major: u32,
    /// Debian's name of the release.
    codename: &'static str,
    /// Whether the release itself lacks the server, and Debian's experimental has it.
    is_experimental: bool,
}

const RELEASES: [Release; 4] = [
    Release { major: 15, codename: "bookworm", is_experimental: false },
    Release { major: 17, codename: "trixie", is_experimental: false },
    Release { major: 18, codename: "forky", is_experimental: false },
    Release { major: 19, codename: "sid", is_experimental: true },
];

impl Release {
    /// The release that has a version of PostgreSQL.
    pub fn with(major: u32) -> Option<Self> {
        RELEASES.into_iter().find(|release| release.major == major)
    }

    /// What is installed on top of the smallest Debian there is.
    fn packages(self) -> Vec<String> {
        // The headers of servers up to 17 include those of ICU, and do not bring them along.
        let tools = ["clang", "gcc", "git", "libc6-dev", "libclang-dev", "libicu-dev"].map(str::to_owned);
        let major = self.major;
        let server = if self.is_experimental {
            // Each by its version: a wish for the whole of experimental would take perl and others from there.
            let names = [
                format!("postgresql-{major}"),
                format!("postgresql-client-{major}"),
                format!("postgresql-server-dev-{major}"),
                "libpq5".to_owned(),
                "libpq-dev".to_owned(),
            ];
            names.map(|name| name + make::FROM_EXPERIMENTAL).to_vec()
        } else {
            vec![
                format!("postgresql-{major}"),
                format!("postgresql-{major}-partman"),
                format!("postgresql-{major}-pglogical"),
                format!("postgresql-{major}-plpgsql-check"),
                format!("postgresql-server-dev-{major}"),
            ]
        };
        tools.into_iter().chain(server).collect()
    }
}

/// What needs root, and is called by this program alone.
#[derive(Subcommand)]
pub enum AsRoot {
    /// Make the system of a version
    Make(make::Arguments),
    /// Run a command within it
    Enter(enter::Arguments),
}

/// Does what needs root.
///
/// # Errors
///
/// When it fails; entering returns only then.
pub fn run_as_root(task: &AsRoot) -> Result<()> {
    match task {
        AsRoot::Make(arguments) => make::run(arguments),
        AsRoot::Enter(arguments) => enter::run(arguments),
    }
}

/// Whether the packages of this machine have a version of PostgreSQL.
pub fn is_offered_here(major: u32) -> bool {
    let codename = os_release("VERSION_CODENAME");
    // A fresh container knows no packages before it has read the lists.
    let by_release = os_release("ID").as_deref() == Some("debian")
        && Release::with(major).map(|r| r.codename) == codename.as_deref();
    let output = Command::new("apt-cache").args(["policy", &format!("postgresql-{major}")]).output();
    by_release || output.is_ok_and(|output| has_candidate(&String::from_utf8_lossy(&output.stdout)))
}

fn has_candidate(policy: &str) -> bool {
    let candidate = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
    candidate.is_some_and(|version| version != "(none)")
}

fn os_release(field: &str) -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

/// Runs `cargo xtask` with these arguments in the system of a release, which is made where there is none.
///
/// Returns whether it came to a good end.
///
/// # Errors
///
/// When the system is not there and cannot be made, or cannot be entered.
pub fn run(options: &Options, release: Release, arguments: Vec<OsString>) -> Result<bool> {
    let root = ensure(options, release)?;
    println!("Using Debian {} with PostgreSQL {} ({})", release.codename, release.major, root.display());
    let inner = Inner::new(release)?;
    let mut command = as_root("enter")?;
    command.arg("--root").arg(root);
    command.args(["--user", &getuid().to_string(), "--group", &getgid().to_string()]);
    command.arg("--directory").arg(cargo::workspace_root());
    for (source, option) in [(&inner.sysroot, "--bind-read-only"), (&inner.cargo_home, "--bind")] {
        command.arg(option).arg(source);
    }
    command.arg("--bind").arg(cargo::workspace_root()).arg("--bind").arg(&inner.target);
    command.args(["--", "env", "--ignore-environment"]).args(inner.environment());
    command.args(["cargo", "run", "--package", "xtask", "--"]).args(arguments);
    let status = command.status().context("could not enter the system of its own")?;
    if let Some(signal) = status.signal() {
        bail!("ended by signal {signal}");
    }
    Ok(status.success())
}

/// The systems that are there with the extension built in them from the sources as they are.
pub fn built() -> Vec<Beside> {
    let Ok(caches) = cache_directory() else { return Vec::new() };
    let found = RELEASES.into_iter().filter_map(|release| {
        let root = system_of(&caches, release);
        let library = target_of(release).join("release/libpg_keyspace.so");
        let is_ready =
            make::is_complete(&root, &release.packages()) && modified(&library)? >= newest_source()?;
        is_ready.then_some(Beside { major: release.major, root, library })
    });
    found.collect()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

/// When what the library is made of was last changed.
fn newest_source() -> Option<SystemTime> {
    let top = cargo::workspace_root();
    let mut waiting = ["src", "crates/keyspace/src", "sql"].map(|path| top.join(path)).to_vec();
    let mut newest = modified(&top.join("Cargo.lock"))?;
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).ok()?.flatten() {
            if entry.path().is_dir() {
                waiting.push(entry.path())
            } else {
                newest = newest.max(modified(&entry.path())?)
            }
        }
    }
    Some(newest)
}

fn system_of(caches: &Path, release: Release) -> PathBuf {
    caches.join(format!("postgresql-{}", release.major))
}

/// Where cargo builds in there: another system has another libc.
fn target_of(release: Release) -> PathBuf {
    cargo::target_directory().join(format!("beside-{}", release.major))
}

/// What a command in there finds of this machine.
struct Inner {
    /// The toolchain.
    sysroot: PathBuf,
    /// What cargo has fetched, and how it is configured.
    cargo_home: PathBuf,
    /// Where it builds.
    target: PathBuf,
}

impl Inner {
    fn new(release: Release) -> Result<Self> {
        let output =
            Command::new("rustc").args(["--print", "sysroot"]).output().context("could not run rustc")?;
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if !sysroot.join("bin/cargo").is_file() || sysroot == Path::new("/usr") {
            bail!("another system needs a Rust toolchain that can be used from there, as rustup installs it");
        }
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
        let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home);
        let target = target_of(release);
        let directories =
            Self { sysroot, cargo_home: cargo_home.context("neither CARGO_HOME nor HOME is set")?, target };
        for directory in [&directories.cargo_home, &directories.target] {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("could not make {}", directory.display()))?;
        }
        Ok(directories)
    }

    /// The environment in there, for env(1): what is the user's choice and does not name places of this machine.
    fn environment(&self) -> Vec<OsString> {
        let assignment = |name: &str, value: &Path| {
            let mut text = OsString::from(format!("{name}="));
            text.push(value);
            text
        };
        let mut path = self.sysroot.join("bin").into_os_string();
        for directory in [self.cargo_home.join("bin").as_os_str(), "/usr/sbin:/usr/bin:/sbin:/bin".as_ref()] {
            path.push(":");
            path.push(directory);
        }
        let mut environment = vec![
            assignment("PATH", Path::new(&path)),
            assignment("CARGO_HOME", &self.cargo_home),
            assignment("CARGO_TARGET_DIR", &self.target),
            // Not the caller's: what programs leave there must not depend on who runs them.
            assignment("HOME", Path::new("/tmp")),
            assignment("LC_ALL", Path::new("C.UTF-8")),
        ];
        for (name, value) in std::env::vars_os() {
            if name.to_str().is_some_and(is_passed_on) {
                environment.push(assignment(&name.to_string_lossy(), Path::new(&value)));
            }
        }
        environment
    }
}

fn is_passed_on(name: &str) -> bool {
    let of_cargo =
        ["CARGO_BUILD_", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_TERM_", "CARGO_INCREMENTAL"];
    let of_tests = ["PG_KEYSPACE_", "PROPTEST_"];
    let of_programs = ["TERM", "NO_COLOR", "SSL_CERT_FILE", "SSL_CERT_DIR"];
    of_cargo.iter().chain(&of_tests).any(|prefix| name.starts_with(prefix))
        || of_programs.contains(&name)
        || name.to_ascii_lowercase().ends_with("_proxy")
}

/// The directory of the system of a release, made where it is not there or lacks packages.
fn ensure(options: &Options, release: Release) -> Result<PathBuf> {
    let caches = cache_directory()?;
    std::fs::create_dir_all(&caches).with_context(|| format!("could not make {}", caches.display()))?;
    let root = system_of(&caches, release);
    if make::is_complete(&root, &release.packages()) {
        return Ok(root);
    }
    // One at a time; whoever comes second finds it made.
    let lock = File::create(root.with_extension("lock")).context("could not write to the cache directory")?;
    lock.lock().context("could not lock the cache directory")?;
    if !make::is_complete(&root, &release.packages()) {
        println!("PostgreSQL {} is not on this machine and not among its packages.", release.major);
        check_means(options, release)?;
        let question = format!(
            "Set it up in {}? It takes some minutes, about 2 GB, and nothing else on this machine.",
            root.display()
        );
        if !prerequisites::agrees(options, &question)? {
            bail!("nothing was set up; {}", advice(release));
        }
        let step = Step::verbose(format!(
            "Setting up Debian {} with PostgreSQL {}",
            release.codename, release.major
        ));
        let mut command = as_root("make")?;
        command.arg("--root").arg(&root).args(["--release", release.codename]).args(release.packages());
        if !command.stdin(Stdio::null()).status().context("could not set it up")?.success() {
            bail!("it could not be set up; {}", advice(release));
        }
        step.done();
    }
    Ok(root)
}

fn advice(release: Release) -> String {
    let major = release.major;
    format!(
        "install postgresql-server-dev-{major} from the PostgreSQL project's own packages (https://apt.postgresql.org) \
         yourself, or name it by --pg-config PATH"
    )
}

/// Fails early, and in words, where a system of its own cannot be made.
fn check_means(options: &Options, release: Release) -> Result<()> {
    if !cfg!(target_os = "linux") || !succeeds(Command::new("apt-get").arg("--version")) {
        bail!("only on Debian and Ubuntu it can be set up beside the system's; {}", advice(release));
    }
    as_root("make").map_err(|error| anyhow!("{error:#}; {}", advice(release)))?;
    let mut mounts = Command::new(if getuid().is_root() { "unshare" } else { "sudo" });
    mounts.args(if getuid().is_root() { &["--mount", "true"][..] } else { &["unshare", "--mount", "true"] });
    if !succeeds(&mut mounts) {
        bail!(
            "root may not mount here, as in most containers, which a system of its own needs; {}",
            advice(release)
        );
    }
    let mut missing = Vec::new();
    if !succeeds(Command::new("debootstrap").arg("--version"))
        && !Path::new("/usr/sbin/debootstrap").is_file()
    {
        missing.push("debootstrap".to_owned());
    }
    if !Path::new(make::KEYRING).is_file() {
        missing.push("debian-archive-keyring".to_owned());
    }
    if missing.is_empty() {
        return Ok(());
    }
    println!("Missing on this machine: {}", missing.join(", "));
    let advice = advice(release);
    prerequisites::install_packages(options, &advice, || missing)
}

/// Where it is kept: where the user's other caches are.
fn cache_directory() -> Result<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let caches = named.or_else(usual).context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(caches.join("pg_keyspace"))
}

/// A call of this program as root.
fn as_root(task: &str) -> Result<Command> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    let mut command = if getuid().is_root() {
        Command::new(program)
    } else if succeeds(Command::new("sudo").arg("--version")) {
        let mut command = Command::new("sudo");
        command.arg(program);
        command
    } else {
        bail!("neither root nor sudo is there, which a system of its own needs");
    };
    command.args(["as-root", task]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_a_candidate_is_not_offered() {
        assert!(has_candidate("postgresql-15:\n  Installed: (none)\n  Candidate: 15.20-0+deb12u1\n"));
        assert!(!has_candidate("postgresql-15:\n  Installed: (none)\n  Candidate: (none)\n"));
        assert!(!has_candidate(""));
    }

    #[test]
    fn what_names_places_of_this_machine_stays_outside() {
        for name in ["CARGO_NET_OFFLINE", "https_proxy", "NO_PROXY", "PG_KEYSPACE_TEST_SEED", "TERM"] {
            assert!(is_passed_on(name), "{name}");
        }
        for name in
            ["PATH", "HOME", "CARGO_HOME", "CARGO_TARGET_DIR", "PG_CONFIG", "PGHOST", "TMPDIR", "RUSTFLAGS"]
        {
            assert!(!is_passed_on(name), "{name}");
        }
    }
}
