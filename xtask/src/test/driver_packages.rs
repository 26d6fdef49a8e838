//! Debian's packages for the tests of drivers. Each test is skipped without its own.

use std::path::Path;
use std::process::Command;

use xtask::cargo::target_directory;
use xtask::prerequisites::{Options, apt_has, install_packages, succeeds};

use super::unpacked::{Program, unpack};

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

/// Programs for the tests, each with its package.
const UNPACKED: [Program; 2] = [
    Program { path: "usr/bin/promtool", packages: &["prometheus"] },
    Program { path: "usr/bin/prometheus-postgres-exporter", packages: &["prometheus-postgres-exporter"] },
];

/// Installs those that are missing and that apt has, if the options allow it.
pub fn install(options: &Options) {
    install_wanted(options);
    unpack(options, &target_directory().join("drivers/debian"), &UNPACKED);
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
