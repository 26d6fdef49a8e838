//! Set-up and orchestration: `cargo xtask --help`.

mod chaos;
mod demo;
mod install;
mod notices;
mod schema;
mod test;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use xtask::prerequisites::{self, Purpose, Wanted};
use xtask::versions::{self, Place};
use xtask::{cargo, container};

use test::Tally;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Set-up, demo and tests of pg_keyspace")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show on two throw-away servers what goes wrong with two writers, and that it does not any more
    Demo {
        #[command(flatten)]
        prerequisites: prerequisites::Options,
        /// Leave the servers running, and print how to connect
        #[arg(long)]
        keep: bool,
    },
    /// Run everything that is tested
    Test {
        #[command(flatten)]
        prerequisites: prerequisites::Options,
        /// Only these kinds of tests
        #[arg(long, value_delimiter = ',')]
        only: Vec<test::Kind>,
        /// Only tests whose name contains this
        filter: Option<String>,
        /// Where to write the counts, for a call of this program by itself
        #[arg(long, hide = true)]
        tally: Option<PathBuf>,
    },
    /// Writers on several nodes while faults strike by chance; nothing may be lost, twice or in conflict
    Chaos {
        #[command(flatten)]
        prerequisites: prerequisites::Options,
        #[command(flatten)]
        wanted: chaos::Wanted,
    },
    /// Measure what things cost, and write docs/benchmarks: `cargo xtask bench --help`
    #[command(disable_help_flag = true)]
    Bench {
        /// What the benchmarks' own program takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Build the extension and install it into PostgreSQL's own directories
    Install {
        #[command(flatten)]
        prerequisites: prerequisites::Options,
    },
    /// Write the install script sql/pg_keyspace--VERSION.sql from the code
    Schema {
        #[command(flatten)]
        prerequisites: prerequisites::Options,
        /// Do not write; fail when the script that is checked in differs
        #[arg(long)]
        check: bool,
    },
    /// Write THIRD-PARTY.md: the licences of what is linked into the library
    Notices {
        /// Do not write; fail when the list that is checked in differs
        #[arg(long)]
        check: bool,
    },
}

impl Command {
    /// How to come by PostgreSQL, where it is needed.
    fn prerequisites(&self) -> Option<&prerequisites::Options> {
        match self {
            Self::Demo { prerequisites, .. }
            | Self::Test { prerequisites, .. }
            | Self::Chaos { prerequisites, .. }
            | Self::Install { prerequisites }
            | Self::Schema { prerequisites, .. } => Some(prerequisites),
            Self::Bench { .. } | Self::Notices { .. } => None,
        }
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command for the version that it is for, or for each. Returns whether it came to a good end.
fn run(command: &Command) -> Result<bool> {
    let options = command.prerequisites();
    match (command, options) {
        (Command::Notices { check }, _) => notices::run(*check).map(|()| true),
        (Command::Bench { arguments }, _) => bench(arguments),
        (Command::Test { prerequisites, only, filter, .. }, _) if prerequisites.pg == Some(Wanted::All) => {
            test::run_versions(prerequisites, only, filter.as_deref())
        }
        (Command::Demo { prerequisites, keep }, _) if prerequisites.pg == Some(Wanted::All) => {
            if *keep {
                bail!("--keep leaves the servers of one version running; name it");
            }
            let mut is_good = true;
            for major in versions::all(prerequisites).0 {
                println!("\n==> PostgreSQL {major}");
                let command = Command::Demo { prerequisites: prerequisites.of_version(major), keep: false };
                is_good &=
                    run_version(&command, &prerequisites.of_version(major), versions::arguments_for(major))?;
            }
            Ok(is_good)
        }
        (command, Some(options)) => run_version(command, options, std::env::args_os().skip(1).collect()),
        (_, None) => Ok(false),
    }
}

/// Runs the command for one version, where that is; `arguments` say the same on a command line.
fn run_version(
    command: &Command,
    options: &prerequisites::Options,
    arguments: Vec<OsString>,
) -> Result<bool> {
    match (versions::place(options)?, command) {
        (Place::Here, _) => run_here(command),
        (Place::Container(release), Command::Install { .. }) => {
            bail!("PostgreSQL {} is not on this machine; there is nothing to install into", release.major)
        }
        (Place::Container(release), Command::Demo { keep: true, .. }) => {
            bail!("PostgreSQL {} is not on this machine; its servers cannot outlive the demo", release.major)
        }
        (Place::Container(release), _) => container::run(options, release, arguments),
    }
}

fn run_here(command: &Command) -> Result<bool> {
    match command {
        Command::Demo { prerequisites, keep } => {
            demo::run(&prerequisites::ensure(prerequisites, Purpose::Replication)?, *keep)
        }
        Command::Test { prerequisites, only, filter, tally } => {
            let pg = prerequisites::ensure(prerequisites, Purpose::Tests)?;
            let found: Tally = test::run(&pg, only, filter.as_deref());
            if let Some(path) = tally {
                std::fs::write(path, found.to_string()).context("could not write the counts")?;
            }
            println!("{found}");
            Ok(found.is_good())
        }
        Command::Chaos { prerequisites, wanted } => {
            chaos::run(&prerequisites::ensure(prerequisites, Purpose::Replication)?, wanted)
        }
        Command::Install { prerequisites } => {
            install::run(&prerequisites::ensure(prerequisites, Purpose::Build)?)?;
            Ok(true)
        }
        Command::Schema { prerequisites, check } => {
            schema::run(&prerequisites::ensure(prerequisites, Purpose::Build)?, *check)?;
            Ok(true)
        }
        Command::Bench { .. } | Command::Notices { .. } => Ok(false),
    }
}

/// Runs the benchmarks, which are a package of their own: it is compiled only for whoever measures.
fn bench(arguments: &[OsString]) -> Result<bool> {
    let mut command = cargo::command();
    command.args(["run", "--quiet", "--package", "bench", "--"]).args(arguments);
    Ok(command.status().context("could not run cargo")?.success())
}
