//! Set-up and orchestration: `cargo xtask --help`.

mod chaos;
mod demo;
mod docs;
mod install;
mod notices;
mod package;
mod release;
mod schema;
mod test;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};

use xtask::prerequisites::{self, Options, Purpose, Wanted};
use xtask::versions::{self, Place};
use xtask::{cargo, container};

use test::Tally;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Set-up, demo and tests of pg_keyspace")]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show on two temporary servers how two writers lose rows, and how the extension prevents it
    Demo {
        /// Leave the servers running, and print how to connect
        #[arg(long)]
        keep: bool,
    },
    /// Run all tests
    Test {
        /// Only these kinds of tests
        #[arg(long, value_delimiter = ',')]
        only: Vec<test::Kind>,
        /// Only tests whose names contain this
        filter: Option<String>,
        /// The file for the counts, if this program calls itself in a container
        #[arg(long, hide = true)]
        tally: Option<PathBuf>,
    },
    /// Run writers on several nodes under random faults; no row may be lost, duplicated or in conflict
    Chaos(chaos::Wanted),
    /// Run benchmarks and write docs/benchmarks: `cargo xtask bench --help`
    #[command(disable_help_flag = true)]
    Bench {
        /// The arguments of the benchmarks' own program
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Check the links of the documentation, and write it as a site to target/site
    Docs,
    /// Build the extension and install it into PostgreSQL's own directories
    Install,
    /// Build packages: Debian, RPM, archives, an image for an image volume, and the sources for PGXN
    Package(package::Wanted),
    /// Make a release: date the changelog, freeze the scripts, commit, tag, and begin the next version
    Release(release::Wanted),
    /// Check the format, run clippy and typos, and compare generated files with the code
    Lint {
        /// Format the code and write generated files first
        #[arg(long)]
        fix: bool,
    },
    /// Write the install script sql/pg_keyspace--VERSION.sql from the code
    Schema {
        /// Do not write; fail if the committed script differs
        #[arg(long)]
        check: bool,
    },
    /// Write THIRD-PARTY.md: the licences of all packages that are linked into the library
    Notices {
        /// Do not write; fail if the committed list differs
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    xtask::exit_code(run(&cli.command, &cli.options))
}

/// Runs the command for one version of PostgreSQL, or for all. Returns whether it succeeded.
fn run(command: &Command, options: &Options) -> Result<bool> {
    match command {
        Command::Notices { check } => notices::run(*check).map(|()| true),
        Command::Bench { arguments } => bench(arguments),
        Command::Docs => docs::run().map(|()| true),
        // Only the library is built in a container; the tools of packages are here.
        Command::Package(wanted) if !wanted.only_library => package::run(options, wanted).map(|()| true),
        Command::Test { only, filter, .. } if only.contains(&test::Kind::Packages) => {
            ensure!(only.len() == 1, "the tests of packages run alone: --only packages");
            let found = test::packages(options, filter.as_deref());
            println!("{found}");
            Ok(found.is_good())
        }
        Command::Test { only, filter, .. } if options.pg == Some(Wanted::All) => {
            test::run_versions(options, only, filter.as_deref())
        }
        Command::Demo { keep } if options.pg == Some(Wanted::All) => {
            ensure!(!keep, "--keep leaves the servers of one version running; name it");
            let mut is_good = true;
            for major in versions::all(options).0 {
                println!("\n==> PostgreSQL {major}");
                is_good &= run_version(command, &options.of_version(major), versions::arguments_for(major))?;
            }
            Ok(is_good)
        }
        _ => run_version(command, options, std::env::args_os().skip(1).collect()),
    }
}

/// Runs the command on this machine or in a container. `arguments` is its command line.
fn run_version(command: &Command, options: &Options, arguments: Vec<OsString>) -> Result<bool> {
    match (versions::place(options)?, command) {
        (Place::Here, _) => run_here(command, options),
        (Place::Container(release), Command::Install) => {
            bail!("PostgreSQL {} is not on this machine; there is nothing to install into", release.major)
        }
        (Place::Container(release), Command::Demo { keep: true }) => {
            bail!("PostgreSQL {} is not on this machine; its servers cannot outlive the demo", release.major)
        }
        (Place::Container(release), Command::Release(_)) => {
            bail!(
                "PostgreSQL {} is not on this machine; a release is made without a container",
                release.major
            )
        }
        (Place::Container(release), _) => container::run(options, release, arguments),
    }
}

fn run_here(command: &Command, options: &Options) -> Result<bool> {
    let with = |purpose| prerequisites::ensure(options, purpose);
    match command {
        Command::Demo { keep } => demo::run(&with(Purpose::Replication)?, *keep),
        Command::Test { only, filter, tally } => {
            let pg = with(Purpose::Tests)?;
            test::prepare(options, &pg, only);
            let found: Tally = test::run(&pg, only, filter.as_deref());
            if let Some(path) = tally {
                std::fs::write(path, found.to_string()).context("could not write the counts")?;
            }
            println!("{found}");
            Ok(found.is_good())
        }
        Command::Lint { fix } => {
            let found = test::lint(&with(Purpose::Build)?, *fix)?;
            println!("{found}");
            Ok(found.is_good())
        }
        Command::Chaos(wanted) => chaos::run(&with(Purpose::Replication)?, wanted),
        Command::Install => install::run(&with(Purpose::Build)?).map(|()| true),
        Command::Package(wanted) => package::only_library(&with(Purpose::Build)?, wanted).map(|()| true),
        Command::Release(wanted) => release::run(&with(Purpose::Build)?, wanted).map(|()| true),
        Command::Schema { check } => schema::run(&with(Purpose::Build)?, *check).map(|()| true),
        Command::Bench { .. } | Command::Docs | Command::Notices { .. } => Ok(false),
    }
}

/// Runs the benchmarks, a package of its own that is compiled only if it is needed.
fn bench(arguments: &[OsString]) -> Result<bool> {
    let mut build = cargo::command();
    build.args(["build", "--package", "bench"]);
    cargo::run(build, "Building the benchmarks")?;
    let mut command = cargo::command();
    // Options may come before the command, too.
    let before = std::env::args_os().skip(1).take_while(|argument| argument != "bench");
    command.args(["run", "--quiet", "--package", "bench", "--"]).args(before).args(arguments);
    Ok(command.status().context("could not run cargo")?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_options_come_anywhere() {
        <Cli as clap::CommandFactory>::command().debug_assert();
        for line in ["xtask --pg 17 test --only unit name", "xtask test --only unit --pg 17 name"] {
            let cli = Cli::try_parse_from(line.split(' '));
            assert!(cli.is_ok_and(|cli| cli.options.pg == Some(Wanted::One(17))), "{line}");
        }
        let bench = Cli::try_parse_from(["xtask", "bench", "keys", "--pg", "18", "--quick"]);
        let expected = ["keys", "--pg", "18", "--quick"];
        assert!(
            bench.is_ok_and(
                |cli| matches!(cli.command, Command::Bench { arguments } if arguments == expected)
            )
        );
    }
}
