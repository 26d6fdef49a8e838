//! Set-up and orchestration: `cargo xtask --help`.

mod cargo;
mod schema;
mod step;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use pg_test::PgConfig;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Set-up, demo and tests of pg_keyspace")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the install script sql/pg_keyspace--VERSION.sql from the code
    Schema {
        /// Do not write; fail when the script that is checked in differs
        #[arg(long)]
        check: bool,
        /// PostgreSQL to build for: the path of its pg_config
        #[arg(long, value_name = "PATH")]
        pg_config: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Schema { check, pg_config } => {
            let pg = match pg_config {
                Some(path) => PgConfig::from_path(path)?,
                None => PgConfig::discover()?.context("no PostgreSQL with server headers found")?,
            };
            schema::run(&pg, check)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
