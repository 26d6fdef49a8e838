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

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::exit::Exit;
use crate::failure::Result;
use crate::nodes::Fleet;
use crate::output::Output;

fn main() {
    // Errors of usage end here, with the code of any other failure.
    let arguments = Arguments::parse();
    let exit = run(&arguments).unwrap_or_else(|failure| {
        eprintln!("{failure}");
        if failure.is_interrupt { Exit::Interrupted } else { Exit::Failed }
    });
    std::process::exit(exit.code());
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
