//! Set-up and orchestration: `cargo xtask --help`.

mod bench;
mod cargo;
mod demo;
mod install;
mod prerequisites;
mod schema;
mod step;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use prerequisites::Purpose;

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
    },
    /// Measure what things cost, and write docs/benchmarks
    Bench {
        #[command(subcommand)]
        benchmark: bench::Benchmark,
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
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the command came to a good end.
fn run(command: Command) -> Result<bool> {
    match command {
        Command::Demo { prerequisites, keep } => {
            demo::run(&prerequisites::ensure(&prerequisites, Purpose::Replication)?, keep)
        }
        Command::Test { prerequisites, only, filter } => {
            let pg = prerequisites::ensure(&prerequisites, Purpose::Replication)?;
            test::run(&pg, &only, filter.as_deref())
        }
        Command::Bench { benchmark } => {
            bench::run(&benchmark)?;
            Ok(true)
        }
        Command::Install { prerequisites } => {
            install::run(&prerequisites::ensure(&prerequisites, Purpose::Build)?)?;
            Ok(true)
        }
        Command::Schema { prerequisites, check } => {
            schema::run(&prerequisites::ensure(&prerequisites, Purpose::Build)?, check)?;
            Ok(true)
        }
    }
}
