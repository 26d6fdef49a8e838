//! Finds and installs the programs and headers that are needed.

use std::io::{IsTerminal, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use pg_test::PgConfig;
use xshell::{Shell, cmd};

use crate::step::{Step, on_terminal};

/// The versions that the extension is for.
pub const SUPPORTED: RangeInclusive<u32> = 15..=19;

/// The first version whose native replication can filter by origin.
const FIRST_WITH_ORIGIN: u32 = 16;

/// The value of `--pg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One major version.
    One(u32),
    /// All tested versions.
    All,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            Ok(major) if SUPPORTED.contains(&major) => Ok(Self::One(major)),
            Err(_) if text == "all" => Ok(Self::All),
            _ => Err("a version from 15 to 19, or \"all\"".to_owned()),
        }
    }
}

/// Which PostgreSQL to use, and what may be installed; the same for every command.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Version of PostgreSQL to use: 15 to 19, or "all" that are tested (15, 17, 18, 19); one that is not on the machine is
    /// set up in a container, once
    #[arg(long, global = true, value_name = "VERSION")]
    pub pg: Option<Wanted>,
    /// PostgreSQL to use: the path of its pg_config
    #[arg(long, global = true, value_name = "PATH", env = "PG_CONFIG")]
    pg_config: Option<PathBuf>,
    /// Never install anything; say what is missing and stop
    #[arg(long, global = true)]
    no_install: bool,
    /// Install what is missing without asking
    #[arg(long, short, global = true)]
    yes: bool,
}

/// The purpose for which something is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Building the extension.
    Build,
    /// Building, and servers that replicate to each other.
    Replication,
    /// The same, and what tests look with.
    Tests,
}

/// Something that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    PostgreSql,
    Headers,
    Icu,
    Clang,
    Pglogical,
    PlpgsqlCheck,
    Bucardo,
}

impl Options {
    /// The same for one version.
    pub fn of_version(&self, major: u32) -> Self {
        Self { pg: Some(Wanted::One(major)), ..self.clone() }
    }

    /// Whether `--pg-config` selects PostgreSQL.
    pub fn names_path(&self) -> bool {
        self.pg_config.is_some()
    }

    fn major(&self) -> Option<u32> {
        match self.pg {
            Some(Wanted::One(major)) => Some(major),
            _ => None,
        }
    }

    /// The extensions of others that have to be there for a version. Without plpgsql_check and Bucardo the tests say so and go
    /// on; they are wanted where they can be had.
    fn extensions(&self, purpose: Purpose, major: u32, is_packaged: bool) -> Vec<Missing> {
        let replicates = purpose != Purpose::Build && major < FIRST_WITH_ORIGIN;
        let looks = purpose == Purpose::Tests && is_packaged && !self.no_install;
        let needed =
            [(replicates, Missing::Pglogical), (looks, Missing::PlpgsqlCheck), (looks, Missing::Bucardo)];
        needed.into_iter().filter_map(|(is_needed, thing)| is_needed.then_some(thing)).collect()
    }
}

impl Missing {
    fn description(self) -> &'static str {
        match self {
            Self::PostgreSql => "PostgreSQL 15 to 19 (the server)",
            Self::Headers => "the headers of PostgreSQL's server, and pg_regress",
            Self::Icu => "the headers of ICU, which those of PostgreSQL include",
            Self::Clang => "clang and libclang (for the bindings to PostgreSQL)",
            Self::Pglogical => "pglogical (replication both ways before PostgreSQL 16)",
            Self::PlpgsqlCheck => "plpgsql_check (checks functions in PL/pgSQL)",
            Self::Bucardo => "Bucardo and PL/Perl (replication by ordinary sessions)",
        }
    }

    /// Whether the tests go on without it.
    fn is_optional(self) -> bool {
        matches!(self, Self::PlpgsqlCheck | Self::Bucardo)
    }

    /// The control file of an extension.
    fn control(self) -> Option<&'static str> {
        match self {
            Self::PostgreSql | Self::Headers | Self::Icu | Self::Clang => None,
            Self::Pglogical => Some("pglogical.control"),
            Self::PlpgsqlCheck => Some("plpgsql_check.control"),
            Self::Bucardo => Some("plperlu.control"),
        }
    }

    /// Debian's packages, those of the default version where none is known.
    fn packages(self, major: Option<u32>) -> Vec<String> {
        let names: &[&str] = match (self, major) {
            (Self::PostgreSql, None) => &["postgresql"],
            (Self::PostgreSql, Some(_)) => &["postgresql-NN"],
            (Self::Headers, None) => &["postgresql-server-dev-all"],
            (Self::Headers, Some(_)) => &["postgresql-server-dev-NN"],
            (Self::Icu, _) => &["libicu-dev"],
            (Self::Clang, _) => &["clang", "libclang-dev"],
            (Self::Pglogical, _) => &["postgresql-NN-pglogical"],
            (Self::PlpgsqlCheck, _) => &["postgresql-NN-plpgsql-check"],
            (Self::Bucardo, _) => &["bucardo", "postgresql-plperl-NN"],
        };
        let major = major.map_or("NN".to_owned(), |major| major.to_string());
        names.iter().map(|name| name.replace("NN", &major)).collect()
    }
}

/// Finds PostgreSQL and the prerequisites of a purpose, and installs missing ones.
///
/// # Errors
///
/// When something is missing and cannot or must not be installed; the message says what to install.
pub fn ensure(options: &Options, purpose: Purpose) -> Result<PgConfig> {
    let mut tried: Vec<Missing> = Vec::new();
    loop {
        let (pg, missing) = survey(options, purpose)?;
        match pg {
            Some(pg) if missing.is_empty() => {
                println!("Using {} ({})", pg.version(), pg.path().display());
                return Ok(pg);
            }
            // The other prerequisites of a version are known only after it has been installed.
            _ if !tried.is_empty() && missing.iter().all(|thing| tried.contains(thing)) => {
                let missing: Vec<&str> = missing.iter().map(|thing| thing.description()).collect();
                bail!("still missing after the installation: {}", missing.join("; "));
            }
            pg => {
                println!("Missing on this machine:");
                for thing in &missing {
                    println!("  - {}", thing.description());
                }
                if let Some(pg) = pg.as_ref().filter(|pg| !pg.is_packaged())
                    && missing.iter().any(|thing| ![Missing::Clang, Missing::Icu].contains(thing))
                {
                    bail!(
                        "{} does not come from a package; add the missing parts to it",
                        pg.path().display()
                    );
                }
                install(options, &missing, pg.map(|pg| pg.major()))?;
                tried.extend(missing);
            }
        }
    }
}

fn survey(options: &Options, purpose: Purpose) -> Result<(Option<PgConfig>, Vec<Missing>)> {
    let mut missing = Vec::new();
    let named = options.pg_config.as_ref().map(PgConfig::from_path).transpose()?;
    let pg = match (named, options.major()) {
        (Some(pg), Some(major)) if pg.major() != major => {
            bail!("{} is {}, not {major}", pg.path().display(), pg.version())
        }
        (Some(pg), _) => Some(pg),
        (None, Some(major)) => PgConfig::of_package(major),
        (None, None) => PgConfig::discover()?,
    };
    match &pg {
        Some(pg) => {
            if !SUPPORTED.contains(&pg.major()) {
                bail!("{} is not supported; PostgreSQL 15 to 19 is", pg.version());
            }
            if !pg.has_server() {
                missing.push(Missing::PostgreSql);
            }
            if !pg.has_headers() || !pg.pgxs_program("src/test/regress/pg_regress").is_file() {
                missing.push(Missing::Headers);
            }
            if pg.lacks_headers_of_icu() {
                missing.push(Missing::Icu);
            }
            let has =
                |thing: Missing| thing.control().is_some_and(|file| pg.extension_dir().join(file).is_file());
            let needed = options.extensions(purpose, pg.major(), pg.is_packaged());
            let offered = |thing: Missing| !thing.is_optional() || is_offered(thing, pg.major());
            missing.extend(needed.into_iter().filter(|thing| !has(*thing) && offered(*thing)));
        }
        None => {
            let is_installed = options.major().map_or(installed_major().is_some(), has_server);
            if !is_installed {
                missing.push(Missing::PostgreSql);
            }
            missing.push(Missing::Headers);
            // The version may be unknown until packages are listed; the next survey finds the rest.
            if let Some(major) = options.major().or_else(likely_major) {
                missing.extend(options.extensions(purpose, major, true));
            }
        }
    }
    if !has_libclang() {
        missing.push(Missing::Clang);
    }
    Ok((pg, missing))
}

/// Whether Debian's server of this version is installed, with or without headers.
pub fn has_server(major: u32) -> bool {
    Path::new("/usr/lib/postgresql").join(major.to_string()).join("bin/postgres").is_file()
}

/// Whether apt has something for a version. Extensions are packaged later than a new version of
/// PostgreSQL. Before the lists of packages have been read, apt knows neither package.
fn is_offered(thing: Missing, major: u32) -> bool {
    thing.packages(Some(major)).iter().all(|name| apt_has(name))
        || !Missing::PostgreSql.packages(Some(major)).iter().any(|name| apt_has(name))
}

/// Whether apt has a package.
pub fn apt_has(name: &str) -> bool {
    let shown = Command::new("apt-cache").args(["show", "--quiet", name]).output();
    // For a package that others only refer to, it succeeds and prints nothing.
    shown.is_ok_and(|shown| shown.status.success() && !shown.stdout.is_empty())
}

/// The newest of Debian's servers that is installed, with or without headers.
fn installed_major() -> Option<u32> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let servers = entries.flatten().filter(|entry| entry.path().join("bin/postgres").is_file());
    servers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max()
}

/// The default version: an installed one, or the one of the distribution.
fn likely_major() -> Option<u32> {
    installed_major().or_else(default_major)
}

/// bindgen loads libclang, and needs the headers of clang.
fn has_libclang() -> bool {
    let places = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib"].map(PathBuf::from);
    let named = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from);
    let mut directories: Vec<PathBuf> = named.into_iter().chain(places).collect();
    for parent in ["/usr/lib", "/opt/homebrew/opt", "/usr/local/opt"] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("llvm") {
                directories.push(entry.path().join("lib"));
            } else if name.ends_with("-linux-gnu") {
                directories.push(entry.path());
            }
        }
    }
    let library = directories.iter().any(|directory| holds_libclang(directory)) || cfg!(target_os = "macos");
    library && is_there("clang")
}

fn holds_libclang(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        (name.starts_with("libclang.so") || name.starts_with("libclang-")) && name.contains(".so")
    })
}

/// Whether a program is installed.
pub fn is_there(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version"))
}

/// Whether a program succeeds; its output is not shown.
pub fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Installs missing packages for the version that was found or requested.
fn install(options: &Options, missing: &[Missing], found: Option<u32>) -> Result<()> {
    let wanted_major = found.or(options.major());
    let known = wanted_major.or_else(likely_major);
    let advice = format!(
        "install it yourself (on Debian and Ubuntu: {}), or name another PostgreSQL by --pg-config PATH",
        packages(missing, known).join(" ")
    );
    if missing.contains(&Missing::PostgreSql) {
        println!("(The package also creates a cluster of its own, which is not used here.)");
    }
    install_packages(options, &advice, || {
        // A fresh container knows no packages before it has read the lists.
        packages(missing, wanted_major.or_else(likely_major))
    })
}

/// Installs packages if the options allow it. `wanted` is called after apt has read its lists.
///
/// # Errors
///
/// When they cannot or must not be installed; the error ends with `advice`.
pub fn install_packages(options: &Options, advice: &str, wanted: impl FnOnce() -> Vec<String>) -> Result<()> {
    if options.no_install {
        bail!("--no-install was given; {advice}");
    }
    if !is_there("apt-get") {
        bail!("only Debian's and Ubuntu's packages can be installed from here; {advice}");
    }
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root && !is_there("sudo") {
        bail!("installing packages needs root or sudo; {advice}");
    }
    if !agrees(options, "Install it now with apt-get?")? {
        bail!("nothing was installed; {advice}");
    }
    let step = Step::verbose("Reading the lists of packages");
    apt(is_root, &["update", "--quiet"]).map_err(|error| anyhow!("{error:#}\n{advice}"))?;
    step.done();
    let wanted = wanted();
    let step = Step::verbose(format!("Installing {}", wanted.join(" ")));
    let mut arguments = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    arguments.extend(wanted.iter().map(String::as_str));
    apt(is_root, &arguments).map_err(|error| anyhow!("{error:#}\n{advice}"))?;
    step.done();
    Ok(())
}

/// The packages of missing prerequisites.
fn packages(missing: &[Missing], major: Option<u32>) -> Vec<String> {
    missing.iter().flat_map(|thing| thing.packages(major)).collect()
}

/// The version on which the distribution's package `postgresql` depends.
fn default_major() -> Option<u32> {
    let sh = Shell::new().ok()?;
    major_in_depends(&cmd!(sh, "apt-cache depends postgresql").ignore_stderr().read().ok()?)
}

fn major_in_depends(text: &str) -> Option<u32> {
    text.lines().find_map(|line| line.trim().strip_prefix("Depends: postgresql-")?.parse().ok())
}

/// Asks on a terminal. Otherwise, or with `--yes`, the answer is yes; with `--no-install`, no.
///
/// # Errors
///
/// When the answer cannot be read.
pub fn agrees(options: &Options, question: &str) -> Result<bool> {
    if options.no_install || options.yes || !std::io::stdin().is_terminal() {
        return Ok(!options.no_install);
    }
    print!("{question} [Y/n] ");
    std::io::stdout().flush().context("could not ask")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("could not read the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"))
}

/// Runs apt-get, with its own progress on a terminal; otherwise its output is shown if it fails.
fn apt(is_root: bool, arguments: &[&str]) -> Result<()> {
    let sh = Shell::new().context("there is no working directory")?;
    // Both take variables before the command.
    let program = if is_root { "env" } else { "sudo" };
    // The machine's own updates may hold the lock for a while.
    let lock = "DPkg::Lock::Timeout=300";
    let command =
        cmd!(sh, "{program} DEBIAN_FRONTEND=noninteractive apt-get -o {lock} {arguments...}").quiet();
    if on_terminal() {
        return Ok(command.run()?);
    }
    let output = command.ignore_status().output()?;
    if !output.status.success() {
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("apt-get {} failed:\n{}\n{}", arguments.join(" "), stdout.trim(), stderr.trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn versions_are_15_to_19_or_all() {
        assert_eq!("18".parse(), Ok(Wanted::One(18)));
        assert_eq!("all".parse(), Ok(Wanted::All));
        for text in ["14", "20", "", "15.4", "All"] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_version_is_read_from_apt() {
        let text = "postgresql\n  Depends: postgresql-15\n  Suggests: postgresql-doc\n";
        assert_eq!(major_in_depends(text), Some(15));
        assert_eq!(major_in_depends("postgresql\n  Suggests: postgresql-doc\n"), None);
    }

    #[test]
    fn packages_are_those_of_the_version() {
        let missing = [Missing::PostgreSql, Missing::Headers, Missing::Clang, Missing::PlpgsqlCheck];
        assert_eq!(
            packages(&missing, Some(17)),
            [
                "postgresql-17",
                "postgresql-server-dev-17",
                "clang",
                "libclang-dev",
                "postgresql-17-plpgsql-check"
            ]
        );
        assert_eq!(
            packages(&missing[..2], None),
            ["postgresql", "postgresql-server-dev-all"],
            "no version is known"
        );
    }

    #[test]
    fn prerequisites_of_a_version_are_known_before_it_is_installed() {
        let options = |no_install| Options { pg: None, pg_config: None, no_install, yes: false };
        let needed = |purpose, major| options(false).extensions(purpose, major, true);
        assert!(needed(Purpose::Build, 15).is_empty());
        assert_eq!(needed(Purpose::Replication, 15), [Missing::Pglogical]);
        assert!(needed(Purpose::Replication, 16).is_empty());
        assert_eq!(needed(Purpose::Tests, 15), [Missing::Pglogical, Missing::PlpgsqlCheck, Missing::Bucardo]);
        assert_eq!(needed(Purpose::Tests, 17), [Missing::PlpgsqlCheck, Missing::Bucardo]);
        // Tests can do without plpgsql_check and Bucardo, but not without pglogical.
        assert_eq!(options(true).extensions(Purpose::Tests, 15, true), [Missing::Pglogical]);
        assert_eq!(options(false).extensions(Purpose::Tests, 15, false), [Missing::Pglogical]);
    }
}
