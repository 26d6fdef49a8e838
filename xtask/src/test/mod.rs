//! `cargo xtask test` and `cargo xtask lint`.

mod cargo_tests;
mod driver_packages;
mod in_server;
mod lint;
mod packages;
mod sql_files;
mod tally;
mod tool_packages;
mod unpacked;

use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use pg_test::{Extension, InstallTree, PgConfig, Run};

use xtask::cargo::{self, Build};
use xtask::container;
use xtask::prerequisites::{self, Options, Purpose};
use xtask::versions::{self, Place};

use crate::{notices, schema};
pub use packages::run as packages;
use sql_files::Circumstances;
pub use tally::Tally;

/// The kinds of tests, in the order in which they run: quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Tests of the crates, without a server
    Unit,
    /// rustfmt, clippy, typos, licences and advisories
    Lint,
    /// The committed install script is the one that the code generates
    Schema,
    /// SQL files, by PostgreSQL's pg_regress
    Regress,
    /// Several sessions at once, by PostgreSQL's isolationtester
    Isolation,
    /// Several servers, with replication between them
    Cluster,
    /// Drivers and ORMs, which are installed; without --only, three of them
    Drivers,
    /// Tools of others at work while a key moves: pgbouncer, wal2json, pgaudit; only on request
    Tools,
    /// Tests in Rust that run within a server
    InServer,
    /// Packages, installed into fresh systems; only on request, and alone
    Packages,
}

/// Checks format, lints and generated files. With `fix`, it formats and writes them first.
pub fn lint(pg: &PgConfig, fix: bool) -> Result<Tally> {
    if fix {
        let mut format = cargo::command();
        format.args(["fmt", "--all"]);
        cargo::run(format, "Formatting")?;
        notices::run(false)?;
        schema::run(pg, false)?;
    }
    Ok(run(pg, &[Kind::Lint, Kind::Schema], None))
}

/// Installs what tests of these kinds can use, if it is allowed to.
pub fn prepare(options: &Options, pg: &PgConfig, only: &[Kind]) {
    if only.contains(&Kind::Drivers) {
        driver_packages::install(options);
    }
    if only.contains(&Kind::Tools) {
        tool_packages::install(options, pg);
    }
}

/// Runs the tests of the given kinds, or all, and counts them.
pub fn run(pg: &PgConfig, only: &[Kind], filter: Option<&str>) -> Tally {
    let wanted = |kind: Kind| only.is_empty() || only.contains(&kind);
    let mut tally = Tally::default();
    if wanted(Kind::Unit) {
        cargo_tests::unit(filter, &mut tally);
    }
    if wanted(Kind::Lint) {
        lint::run(pg, &mut tally);
    }
    let with_servers = [Kind::Schema, Kind::Regress, Kind::Isolation, Kind::Cluster, Kind::Drivers];
    let wants_tools = only.contains(&Kind::Tools);
    if wants_tools || with_servers.into_iter().any(wanted) {
        match cargo::build_extension(pg, Build::Release) {
            Ok(library) => {
                with_library(pg, &library, &wanted, filter, &mut tally);
                if wanted(Kind::Drivers) {
                    cargo_tests::drivers(pg, &library, only.contains(&Kind::Drivers), filter, &mut tally);
                }
                if wants_tools {
                    cargo_tests::tools(pg, &library, filter, &mut tally);
                }
            }
            Err(error) => tally.broken("the extension", &error),
        }
    }
    // Last, because it builds the library again with the tests in it.
    if wanted(Kind::InServer) {
        tally.attempt("in-server tests", |tally| in_server::run(pg, filter, tally));
    }
    tally
}

/// Runs the tests on every tested version, and prints the counts of each and of all. Returns
/// whether all passed and at least one ran on each.
pub fn run_versions(options: &Options, only: &[Kind], filter: Option<&str>) -> Result<bool> {
    let (mut all, mut is_good) = (Tally::default(), true);
    let mut lines = String::new();
    // Containers come first: the versions of this machine are upgraded to those in containers.
    let (mut versions, left_out) = versions::all(options);
    versions.sort_by_key(|major| matches!(versions::place(&options.of_version(*major)), Ok(Place::Here)));
    for major in versions {
        println!("\n==> PostgreSQL {major}");
        let found = run_version(&options.of_version(major), major, only, filter).unwrap_or_else(|error| {
            let mut tally = Tally::default();
            tally.broken(&format!("PostgreSQL {major}"), &error);
            tally
        });
        lines.push_str(&format!("PostgreSQL {major}: {found}\n"));
        is_good &= found.is_good();
        all.add(found);
    }
    for (major, reason) in left_out {
        lines.push_str(&format!("PostgreSQL {major}: not tested: {reason}\n"));
    }
    println!("\n{lines}{all}");
    Ok(is_good)
}

fn run_version(options: &Options, major: u32, only: &[Kind], filter: Option<&str>) -> Result<Tally> {
    match versions::place(options)? {
        Place::Here => {
            let pg = prerequisites::ensure(options, Purpose::Tests)?;
            prepare(options, &pg, only);
            let found = run(&pg, only, filter);
            println!("{found}");
            Ok(found)
        }
        Place::Container(release) => {
            // In the target directory, which the container can access, too.
            let path = release.target().join("tally");
            if path.exists() {
                std::fs::remove_file(&path).context("could not remove the counts of the last run")?;
            }
            let mut arguments = versions::arguments_for(major);
            arguments.extend(["--tally".into(), path.clone().into_os_string()]);
            container::run(options, release, arguments)?;
            let counts = std::fs::read_to_string(&path).context("the tests could not be run")?;
            counts.parse()
        }
    }
}

fn with_library(
    pg: &PgConfig,
    library: &Path,
    wanted: &impl Fn(Kind) -> bool,
    filter: Option<&str>,
    tally: &mut Tally,
) {
    if wanted(Kind::Schema) {
        tally.check("the install script is the one that the code generates", schema::check_against(library));
    }
    if wanted(Kind::Regress) || wanted(Kind::Isolation) {
        tally.attempt("SQL tests", |tally| {
            let tree = InstallTree::new(&Run::new(false)?, pg)?;
            tree.install(&Extension::of_checkout(library.to_owned())?)?;
            if wanted(Kind::Regress) {
                sql_files::run(&tree, sql_files::REGRESS, &Circumstances::usual(), filter, tally)?;
                sql_files::run_again(&tree, filter, tally)?;
            }
            if wanted(Kind::Isolation) {
                sql_files::run(&tree, sql_files::ISOLATION, &Circumstances::usual(), filter, tally)?;
            }
            Ok(())
        });
    }
    if wanted(Kind::Cluster) {
        cargo_tests::cluster(pg, library, filter, tally);
    }
}
