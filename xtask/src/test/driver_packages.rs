//! Debian's packages for the tests of drivers. Each test is skipped without its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};
use xtask::cargo::target_directory;
use xtask::prerequisites::{Options, agrees, apt_has, install_packages, succeeds};
use xtask::step::Step;

/// What shows that packages are there: a command that succeeds, or a file.
enum Sign {
    Succeeds(&'static [&'static str]),
    Exists(&'static str),
}

/// What the tests can use, and its packages.
const WANTED: [(Sign, &[&str]); 7] = [
    (Sign::Succeeds(&["python3", "-c", "import ensurepip"]), &["python3", "python3-venv"]),
    (Sign::Succeeds(&["npm", "--version"]), &["npm"]),
    (Sign::Succeeds(&["javac", "-version"]), &["default-jdk-headless"]),
    (Sign::Exists("/usr/share/java/postgresql.jar"), &["libpostgresql-jdbc-java"]),
    (
        Sign::Exists("/usr/share/gocode/src/github.com/jackc/pgx/v5"),
        &["golang-go", "golang-github-jackc-pgx-v5-dev"],
    ),
    (
        Sign::Succeeds(&["php", "-r", "exit(extension_loaded('pdo_pgsql') ? 0 : 1);"]),
        &["php-cli", "php-pgsql"],
    ),
    (
        Sign::Succeeds(&["ruby", "-e", "require 'active_record'; require 'pg'"]),
        &["ruby-activerecord", "ruby-pg"],
    ),
];

impl Sign {
    fn is_there(&self) -> bool {
        match self {
            Self::Exists(path) => Path::new(path).exists(),
            Self::Succeeds([program, arguments @ ..]) => succeeds(Command::new(program).args(arguments)),
            Self::Succeeds([]) => true,
        }
    }
}

/// Programs for the tests, each with its package. These are only unpacked, because installing them
/// would start a service of the machine.
const UNPACKED: [(&str, &str); 2] =
    [("promtool", "prometheus"), ("prometheus-postgres-exporter", "prometheus-postgres-exporter")];

/// Unpacks programs below `target/drivers/debian`, where the tests look for them.
fn unpack(options: &Options) {
    let directory = target_directory().join("drivers/debian");
    for (program, package) in UNPACKED {
        let is_unpacked = directory.join("usr/bin").join(program).exists();
        if is_unpacked || succeeds(Command::new(program).arg("--version")) || !apt_has(package) {
            continue;
        }
        match agrees(options, &format!("Unpack {package} below {}?", directory.display())) {
            Ok(true) => {}
            Ok(false) => {
                println!("Not unpacked ({package}): the tests that use {program} are skipped");
                continue;
            }
            Err(error) => return println!("Not unpacked ({package}): {error:#}"),
        }
        let step = Step::verbose(format!("Unpacking {package}"));
        match unpack_package(package, &directory) {
            Ok(()) => step.done(),
            Err(error) => println!("Not unpacked ({package}): {error:#}"),
        }
    }
}

fn unpack_package(package: &str, directory: &Path) -> Result<()> {
    let downloads = directory.join("downloads");
    std::fs::create_dir_all(&downloads).context("could not create a directory")?;
    let sh = Shell::new().context("there is no working directory")?;
    sh.change_dir(&downloads);
    cmd!(sh, "apt-get download --quiet --quiet {package}").quiet().ignore_stderr().run()?;
    for file in sh.read_dir(&downloads)? {
        cmd!(sh, "dpkg-deb --extract {file} {directory}").quiet().run()?;
    }
    sh.remove_path(&downloads)?;
    Ok(())
}

/// Installs those that are missing and that apt has, if the options allow it.
pub fn install(options: &Options) {
    install_wanted(options);
    unpack(options);
}

fn install_wanted(options: &Options) {
    let missing = WANTED.iter().filter(|(sign, _)| !sign.is_there()).flat_map(|(_, packages)| *packages);
    let missing: Vec<&str> = missing.copied().collect();
    if missing.is_empty() {
        return;
    }
    // What apt has is known after it has read its lists.
    let offered = || missing.iter().filter(|package| apt_has(package)).map(ToString::to_string).collect();
    if let Err(error) = install_packages(options, "the tests of these drivers are skipped", offered) {
        println!("Not installed ({}): {error:#}", missing.join(", "));
    }
}
