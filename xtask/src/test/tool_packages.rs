//! Debian's packages for the tests of tools of others. Each test is skipped without its own.

use pg_test::PgConfig;
use xtask::cargo::target_directory;
use xtask::prerequisites::{Options, apt_has, install_packages};

use super::unpacked::{Program, unpack};

/// Programs for the tests.
const UNPACKED: [Program; 1] = [Program {
    path: "usr/sbin/pgbouncer",
    packages: &["pgbouncer", "libevent-2.1-7", "libevent-2.1-7t64", "libc-ares2", "libcares2"],
}];

/// Libraries that a server loads; the packages have the same names.
const LOADED: [&str; 2] = ["wal2json", "pgaudit"];

/// Installs those that are missing and that apt has for this version, if the options allow it.
pub fn install(options: &Options, pg: &PgConfig) {
    let package = |name: &str| format!("postgresql-{}-{name}", pg.major());
    let is_missing = |name: &&str| !pg.pkglibdir().join(format!("{name}.so")).exists();
    let missing: Vec<String> =
        LOADED.iter().filter(|name| is_missing(name)).map(|name| package(name)).collect();
    if !missing.is_empty() && pg.is_packaged() {
        // What apt has is known after it has read its lists.
        let offered = || missing.iter().filter(|name| apt_has(name)).cloned().collect();
        if let Err(error) = install_packages(options, "the tests of these tools are skipped", offered) {
            println!("Not installed ({}): {error:#}", missing.join(", "));
        }
    }
    unpack(options, &target_directory().join("tools/debian"), &UNPACKED);
}
