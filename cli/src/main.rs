//! `pg_keyspace`, the client program: what the runbook does with psql on one node after the other,
//! for all nodes at once. It calls the SQL functions of the extension and has no protocol of its own.

mod add_node;
mod arguments;
mod change;
mod check;
mod classes;
mod exit;
mod fail_over;
mod failure;
mod interrupt;
mod journal;
mod leave;
mod left;
mod lint;
mod lock;
mod manual;
mod migrate;
mod nodes;
mod observe;
mod output;
mod pairs;
mod printable;
mod progress;
mod report;
mod runs;
mod session;
mod sessions;
mod setup;
mod split;
mod states;
mod status;
mod strangers;
mod table;
mod watch;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use crate::arguments::{Arguments, Command};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::nodes::Fleet;
use crate::output::Output;

fn main() {
    // Errors of usage end here, with the code of any other failure.
    let matches = Arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Err(failure) = without_nodes(&arguments.command, &matches) {
        eprintln!("{failure}");
        std::process::exit(Exit::Failed.code());
    }
    let exit = run(&arguments).unwrap_or_else(|failure| {
        eprintln!("{failure}");
        if failure.is_interrupt { Exit::Interrupted } else { Exit::Failed }
    });
    std::process::exit(exit.code());
}

/// Fails if a command that has nothing to do with nodes is given some.
fn without_nodes(command: &Command, matches: &ArgMatches) -> Result<()> {
    let name = match command {
        Command::Completions { .. } => "completions",
        Command::Man { .. } => "man",
        _ => return Ok(()),
    };
    // The environment can name a file for all commands.
    let is_given = |argument: &str| matches.value_source(argument) == Some(ValueSource::CommandLine);
    match ["nodes", "fleet", "json"].into_iter().find(|argument| is_given(argument)) {
        Some(argument) => {
            let argument = if argument == "nodes" { "node" } else { argument };
            Err(Failure::new(format!("--{argument} cannot be used with \"{name}\"")))
        }
        None => Ok(()),
    }
}

fn run(arguments: &Arguments) -> Result<Exit> {
    let output = Output { json: arguments.json };
    let fleet = || Fleet::of(arguments.nodes.fleet.as_deref(), &arguments.nodes.nodes);
    match &arguments.command {
        Command::Completions { shell } => return manual::completions(*shell),
        Command::Man { directory } => return manual::man(directory),
        _ => {}
    }
    interrupt::listen()?;
    match &arguments.command {
        Command::Status(arguments) => status::run(&fleet()?, output, arguments),
        Command::Check(arguments) => check::run(&fleet()?, output, arguments),
        Command::Setup(arguments) => setup::run(&fleet()?, output, arguments),
        Command::AddNode(arguments) => add_node::run(&fleet()?, output, arguments),
        Command::Split(arguments) => split::run(&fleet()?, output, arguments),
        Command::Leave(arguments) => leave::run(&fleet()?, output, arguments),
        Command::FailOver(arguments) => fail_over::run(&fleet()?, output, arguments),
        Command::Lint(arguments) => lint::run(&fleet()?, output, arguments),
        Command::Migrate(arguments) => migrate::run(&fleet()?, output, arguments),
        Command::Completions { .. } | Command::Man { .. } => Ok(Exit::Fine),
    }
}
