//! A version of PostgreSQL that this machine has no packages of, in a container: a small Debian.
//!
//! Its root is created once, in the user's cache directory. bwrap runs commands in it, with the
//! checkout and the toolchain in their usual places. The mounts end with the command.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{getgid, getuid};
use pg_test::Container;
use xshell::{Shell, cmd};

use crate::cargo;
use crate::prerequisites::{self, Options, is_there};
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

/// The releases that do not change any more.
const RELEASED: [&str; 2] = ["bookworm", "trixie"];

/// The script that creates the root.
const SETUP: &str = include_str!("container_setup.sh");

/// The keys of Debian's releases.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The default mirror, if this machine's apt has none of Debian.
const MIRROR: &str = "http://deb.debian.org/debian";

/// The list of installed packages, which the set-up writes at its end.
const COMPLETED: &str = "etc/pg_keyspace-packages";

/// The number of lines of a log that are shown after a failure.
const SHOWN_LINES: usize = 30;

impl Release {
    /// The release that has a version of PostgreSQL.
    pub fn with(major: u32) -> Option<Self> {
        RELEASES.into_iter().find(|release| release.major == major)
    }

    /// The packages that are added to the smallest Debian.
    fn packages(self) -> Vec<String> {
        // The headers of servers up to 17 include those of ICU without depending on them.
        let tools = ["clang", "gcc", "git", "libc6-dev", "libclang-dev", "libicu-dev"];
        let server: &[&str] = if self.is_experimental {
            &[
                "postgresql-NN/experimental",
                "postgresql-client-NN/experimental",
                "postgresql-server-dev-NN/experimental",
                "libpq5/experimental",
                "libpq-dev/experimental",
            ]
        } else {
            &[
                "postgresql-NN",
                "postgresql-NN-partman",
                "postgresql-NN-pglogical",
                "postgresql-NN-plpgsql-check",
                "postgresql-server-dev-NN",
            ]
        };
        tools.iter().chain(server).map(|name| name.replace("NN", &self.major.to_string())).collect()
    }

    /// The directory that is the container's root.
    pub(crate) fn root(self) -> Result<PathBuf> {
        Ok(caches()?.join(format!("postgresql-{}", self.major)))
    }

    /// The directory of the smallest system of this release.
    fn plain_root(self) -> Result<PathBuf> {
        Ok(caches()?.join(format!("debian-{}", self.codename)))
    }

    /// Debian's name of the release.
    pub fn codename(self) -> &'static str {
        self.codename
    }

    /// Whether Debian has released it. The later ones change every day.
    pub fn is_released(self) -> bool {
        RELEASED.contains(&self.codename)
    }

    /// The target directory in the container, whose libc is another one.
    pub fn target(self) -> PathBuf {
        cargo::target_directory().join(format!("container-{}", self.major))
    }

    /// The system with this version of PostgreSQL.
    fn system(self) -> Result<System> {
        let what = format!("Debian {} with PostgreSQL {}", self.codename, self.major);
        Ok(System { root: self.root()?, packages: self.packages(), what, size: "about 2 GB" })
    }

    fn advice(self) -> String {
        let major = self.major;
        format!(
            "install postgresql-server-dev-{major} from the PostgreSQL project's own packages \
             (https://apt.postgresql.org) yourself, or name it by --pg-config PATH"
        )
    }
}

/// The directory of all containers.
fn caches() -> Result<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    Ok(named.or_else(usual).context("neither XDG_CACHE_HOME nor HOME is set")?.join("pg_keyspace"))
}

/// Whether this machine has packages of a version of PostgreSQL.
pub fn is_offered_here(major: u32) -> bool {
    let codename = os_release("VERSION_CODENAME");
    // A fresh machine knows no packages before it has read the lists.
    let by_release = os_release("ID").as_deref() == Some("debian")
        && Release::with(major).map(|r| r.codename) == codename.as_deref();
    by_release
        || read("apt-cache", &["policy", &format!("postgresql-{major}")]).is_ok_and(|it| has_candidate(&it))
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

/// The containers that have the extension built from the current sources.
pub fn built() -> Vec<Container> {
    let found = RELEASES.into_iter().filter_map(|release| {
        let library = release.target().join("release/libpg_keyspace.so");
        let is_ready = release.system().ok()?.is_complete() && modified(&library)? >= newest_source()?;
        let container = Container { major: release.major, root: release.root().ok()?, library };
        is_ready.then_some(container)
    });
    found.collect()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

/// The time of the last change of the library's sources.
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

/// Runs `cargo xtask` with these arguments in the container of a release, and creates it if needed.
///
/// Returns whether it succeeded.
///
/// # Errors
///
/// If the container cannot be created or entered.
pub fn run(options: &Options, release: Release, arguments: Vec<OsString>) -> Result<bool> {
    let root = ensure_made(options, release)?;
    println!("Using Debian {} with PostgreSQL {} ({})", release.codename, release.major, root.display());
    let sysroot = sysroot()?;
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home);
    let cargo_home = cargo_home.context("neither CARGO_HOME nor HOME is set")?;
    let (checkout, target) = (cargo::workspace_root(), release.target());
    for directory in [&cargo_home, &target] {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("could not make {}", directory.display()))?;
    }
    let mut command = as_root("bwrap")?;
    command.arg("--bind").arg(&root).arg("/").args(["--dev-bind", "/dev", "/dev", "--die-with-parent"]);
    for directory in [Path::new("/proc"), Path::new("/sys"), &cargo_home, checkout, &target] {
        command.arg("--bind").arg(directory).arg(directory);
    }
    command.arg("--ro-bind").arg(&sysroot).arg(&sysroot).arg("--chdir").arg(checkout);
    // Name resolution and certificates.
    let mut files = vec!["/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs"];
    let (user, group) = (getuid().to_string(), getgid().to_string());
    if !getuid().is_root() {
        // PostgreSQL's programs look up the name of their user.
        files.push("/etc/passwd");
    }
    for file in files {
        command.args(["--ro-bind-try", file, file]);
    }
    command.arg("--clearenv");
    for (name, value) in environment(&sysroot, &cargo_home, &target) {
        command.arg("--setenv").arg(name).arg(value);
    }
    if !getuid().is_root() {
        command.args(["setpriv", "--reuid", &user, "--regid", &group]);
        command.args(["--clear-groups", "--pdeathsig", "TERM"]);
    }
    command.args(["cargo", "run", "--package", "xtask", "--"]).args(arguments);
    let status = command.status().context("could not enter the container")?;
    if let Some(signal) = status.signal() {
        bail!("ended by signal {signal}");
    }
    Ok(status.success())
}

/// The directory of the toolchain.
fn sysroot() -> Result<PathBuf> {
    let output =
        Command::new("rustc").args(["--print", "sysroot"]).output().context("could not run rustc")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !sysroot.join("bin/cargo").is_file() || sysroot == Path::new("/usr") {
        bail!("a container needs a Rust toolchain that was installed by rustup");
    }
    Ok(sysroot)
}

/// The environment in the container: variables of the user that do not name paths of this machine.
fn environment(sysroot: &Path, cargo_home: &Path, target: &Path) -> Vec<(OsString, OsString)> {
    let mut path = sysroot.join("bin").into_os_string();
    for directory in [cargo_home.join("bin").as_os_str(), "/usr/sbin:/usr/bin:/sbin:/bin".as_ref()] {
        path.push(":");
        path.push(directory);
    }
    let of_tools: [(OsString, OsString); 5] = [
        ("PATH".into(), path),
        ("CARGO_HOME".into(), cargo_home.into()),
        ("CARGO_TARGET_DIR".into(), target.into()),
        // Not the caller's home, because files that programs leave there would depend on the user.
        ("HOME".into(), "/tmp".into()),
        ("LC_ALL".into(), "C.UTF-8".into()),
    ];
    let of_user = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_passed_on));
    of_tools.into_iter().chain(of_user).collect()
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

/// Creates the container of a release if it does not exist or lacks packages, and returns its root.
///
/// # Errors
///
/// If it cannot be created.
pub fn ensure_made(options: &Options, release: Release) -> Result<PathBuf> {
    let wanted = release.system()?;
    wanted.ensure_made(options, release)?;
    Ok(wanted.root)
}

/// Creates the smallest system of a release if it does not exist, and returns its root.
///
/// # Errors
///
/// If it cannot be created.
pub fn ensure_plain(options: &Options, release: Release) -> Result<PathBuf> {
    let what = format!("Debian {}", release.codename);
    let wanted = System { root: release.plain_root()?, packages: Vec::new(), what, size: "about 300 MB" };
    wanted.ensure_made(options, release)?;
    Ok(wanted.root)
}

/// A system that is wanted in the cache directory.
struct System {
    root: PathBuf,
    packages: Vec<String>,
    what: String,
    size: &'static str,
}

impl System {
    /// Whether the root exists, with all packages.
    fn is_complete(&self) -> bool {
        let found = std::fs::read_to_string(self.root.join(COMPLETED));
        found.is_ok_and(|found| found == self.packages.join("\n"))
    }

    fn ensure_made(&self, options: &Options, release: Release) -> Result<()> {
        let caches = self.root.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(caches).with_context(|| format!("could not make {}", caches.display()))?;
        // One process at a time; the second one finds it complete.
        let lock = File::create(self.root.with_extension("lock"))
            .context("could not write to the cache directory")?;
        lock.lock().context("could not lock the cache directory")?;
        let is_complete = self.is_complete();
        check_means(options, release, is_complete)?;
        if is_complete {
            return Ok(());
        }
        println!("{} is not set up on this machine.", self.what);
        let question = format!(
            "Set it up in {}? It takes some minutes and {}, and changes nothing else.",
            self.root.display(),
            self.size
        );
        if !prerequisites::agrees(options, &question)? {
            bail!("nothing was set up; {}", release.advice());
        }
        self.set_up(release, &this_machines_mirror().unwrap_or_else(|| MIRROR.to_owned()))
    }

    /// Runs the set-up script with its output in a log, whose end is shown if it fails.
    fn set_up(&self, release: Release, mirror: &str) -> Result<()> {
        let step = Step::quiet(format!("Setting up {}", self.what));
        let path = self.root.with_extension("log");
        let log = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
        let errors = log.try_clone().context("could not write the log")?;
        let mut command = as_root("sh")?;
        command.args(["-c", SETUP, "container_setup.sh"]).arg(&self.root);
        command.args([release.codename, mirror, KEYRING]).args(&self.packages);
        command.stdin(Stdio::piped()).stdout(log).stderr(errors);
        let settings = acquiring(&read("apt-config", &["dump"])?);
        let mut child = command.spawn().context("could not run the set-up")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(settings.as_bytes()).context("could not pass apt's settings on")?;
        }
        if !child.wait().context("could not wait for the set-up")?.success() {
            step.done_with("FAILED");
            let text = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
            bail!("{shown}\n(all of it is in {}); {}", path.display(), release.advice());
        }
        step.done();
        Ok(())
    }
}

/// The mirror of Debian that this machine's apt uses.
fn this_machines_mirror() -> Option<String> {
    let codename =
        os_release("VERSION_CODENAME").filter(|_| os_release("ID").as_deref() == Some("debian"))?;
    let format = "$(RELEASE) $(REPO_URI)";
    let targets = read("apt-get", &["indextargets", "--format", format, "Created-By: Packages"]).ok()?;
    mirror_in(&targets, &codename)
}

fn mirror_in(targets: &str, codename: &str) -> Option<String> {
    let names = [codename, "stable", "oldstable", "testing", "unstable", "sid"];
    let targets = targets.lines().filter_map(|line| line.split_once(' '));
    let found = targets.filter(|(release, uri)| names.contains(release) && uri.starts_with("http"));
    found.map(|(_, uri)| uri.to_owned()).next()
}

/// The settings about reaching archives, which hold in there, too, in the form in which they were dumped.
fn acquiring(settings: &str) -> String {
    let wanted =
        ["Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv"];
    let lines = settings.lines().filter(|line| wanted.iter().any(|prefix| line.starts_with(prefix)));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Checks that a container can be created and run, and installs the programs for it.
fn check_means(options: &Options, release: Release, is_made: bool) -> Result<()> {
    let advice = release.advice();
    ensure!(
        cfg!(target_os = "linux") && is_there("apt-get"),
        "a container can be set up on Debian and Ubuntu only; {advice}"
    );
    let mut missing = Vec::new();
    if !is_there("bwrap") {
        missing.push("bubblewrap".to_owned());
    }
    if !is_made && !is_there("debootstrap") && !Path::new("/usr/sbin/debootstrap").is_file() {
        missing.push("debootstrap".to_owned());
    }
    if !is_made && !Path::new(KEYRING).is_file() {
        missing.push("debian-archive-keyring".to_owned());
    }
    if !missing.is_empty() {
        println!("Missing on this machine: {}", missing.join(", "));
        prerequisites::install_packages(options, &advice, || missing)?;
    }
    let output = as_root("bwrap")?.args(["--dev-bind", "/", "/", "true"]).output();
    let output = output.context("could not run bwrap")?;
    ensure!(
        output.status.success(),
        "root may not mount here, as in many containers, which another one needs ({}); {advice}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// The output of a program.
fn read(program: &str, arguments: &[&str]) -> Result<String> {
    let sh = Shell::new().context("there is no working directory")?;
    Ok(cmd!(sh, "{program} {arguments...}").ignore_stderr().read()?)
}

/// A call of a program as root.
pub(crate) fn as_root(program: &str) -> Result<Command> {
    if getuid().is_root() {
        return Ok(Command::new(program));
    }
    ensure!(is_there("sudo"), "a container needs root or sudo");
    let mut command = Command::new("sudo");
    command.arg(program);
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

    #[test]
    fn the_mirror_is_that_of_the_release_itself() {
        let targets = "bookworm-security http://a.example/debian-security/\n\
                       nodistro https://b.example/node/\n\
                       bookworm-updates http://c.example/debian/\n\
                       bookworm http://d.example/debian/\n";
        assert_eq!(mirror_in(targets, "bookworm").as_deref(), Some("http://d.example/debian/"));
        assert_eq!(mirror_in(targets, "trixie"), None);
        assert_eq!(mirror_in("stable file:/media/cdrom/\n", "trixie"), None, "not to be seen from in there");
    }

    #[test]
    fn only_how_archives_are_reached_is_taken_over() {
        let settings = "APT::Get::Show-Versions \"1\";\nAcquire::http::Proxy \"http://p:1/\";\nAcquire::Check-Date \"false\";\n\
                        Acquire::GzipIndexes \"true\";\nDpkg::Post-Invoke:: \"x\";\n";
        assert_eq!(
            acquiring(settings),
            "Acquire::http::Proxy \"http://p:1/\";\nAcquire::Check-Date \"false\";\n"
        );
    }

    #[test]
    fn packages_are_those_of_the_version() {
        let packages = |major| Release::with(major).map(Release::packages).unwrap_or_default();
        assert!(packages(17).contains(&"postgresql-17-pglogical".to_owned()));
        assert!(packages(19).contains(&"postgresql-server-dev-19/experimental".to_owned()));
        assert!(packages(16).is_empty(), "no release of Debian has it");
    }
}
