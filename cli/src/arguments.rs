//! The arguments of the program.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::change::SetupOptions;
use crate::lint::LintArguments;
use crate::migrate::MigrateArguments;

/// Sets up and checks all nodes of a multi-writer PostgreSQL with the extension `pg_keyspace`.
///
/// Nodes are named with --node, or in a file with --fleet. Connections are made as by psql: the
/// environment (PGHOST, PGUSER, ...), service files and password files count.
#[derive(Debug, Parser)]
#[command(
    name = "pg_keyspace",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 everything is in order, 1 findings of severity error, 2 wrong usage or a failure, 130 interrupted."
)]
pub struct Arguments {
    #[command(flatten)]
    pub nodes: NodeArguments,

    /// Print one JSON document instead of tables
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}

/// How nodes are named.
#[derive(Args, Debug)]
pub struct NodeArguments {
    /// A node: its name here, and how to connect to it; may be repeated
    #[arg(long = "node", global = true, value_name = "NAME=CONNINFO")]
    pub nodes: Vec<String>,

    /// A file that describes the nodes (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "PG_KEYSPACE_FLEET")]
    pub fleet: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show all nodes: class, sequences in order, the fullest sequence, findings, lag, versions
    ///
    /// Reads no table and waits for no lock. Works on a standby.
    Status(StatusArguments),

    /// Check every node, and all of them against each other
    ///
    /// Takes the state of every node and passes it to the check of all others. If there is no
    /// finding of severity error, no two nodes will generate the same value from then on.
    Check(CheckArguments),

    /// Set all nodes up, each in a class of its own, also while they are in use
    ///
    /// Fresh nodes are numbered in the order in which they are named. Nodes that are set up keep
    /// their classes, and their new or moved sequences are repaired. States are exchanged, nodes in
    /// use are observed so that the gap covers what they use until their set-ups, and a check of
    /// all nodes is the proof.
    Setup(SetupArguments),

    /// Add a node: in a free class, or in half of the class of another node
    AddNode(AddNodeArguments),

    /// Split the class of a node, which makes a class free for a new node
    Split(SplitArguments),

    /// Take the last state of a node that leaves, after its writers have stopped
    ///
    /// Nothing is changed on any server. Stop the writers of the node first. The command waits until
    /// its rows have arrived at all subscribers, and stores its last state in a file, with which its
    /// class can be given to another node.
    Leave(LeaveArguments),

    /// Continue as a node on a standby that was promoted, above the ids that may have been lost
    FailOver(FailOverArguments),

    /// Find problems to fix before the first sync: keys, sequences, triggers, settings, schemas
    ///
    /// Reads the catalogs alone, as any role, and also on nodes without the extension. Each finding
    /// comes with the reason and with what to do.
    Lint(LintArguments),

    /// Migrate the key of a table to UUID version 7, ULID or bigint, on one node or on all together
    Migrate(MigrateArguments),

    /// Print the completions for a shell
    #[command(after_help = "Example: pg_keyspace completions bash > /etc/bash_completion.d/pg_keyspace")]
    Completions {
        /// The shell
        shell: Shell,
    },

    /// Write the man pages into a directory
    Man {
        /// The directory, which must exist
        directory: PathBuf,
    },
}

/// Repeated output.
#[derive(Args, Clone, Copy, Debug)]
pub struct Watch {
    /// Repeat every so many seconds until interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub watch: Option<u64>,
}

/// Arguments of `status`.
#[derive(Args, Debug)]
pub struct StatusArguments {
    #[command(flatten)]
    pub watch: Watch,
}

/// Arguments of `check`.
#[derive(Args, Debug)]
pub struct CheckArguments {
    /// Also show findings of severity info
    #[arg(long)]
    pub all: bool,

    #[command(flatten)]
    pub watch: Watch,
}

/// Arguments of all commands that change nodes.
#[derive(Args, Debug)]
pub struct ChangeArguments {
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,

    /// The log of steps [default: beside the file of the fleet, or in ~/.local/state/pg_keyspace]
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub log: Option<PathBuf>,

    /// Give up an interrupted run that is in the log, instead of going on with it
    #[arg(long, conflicts_with = "dry_run")]
    pub abandon: bool,

    /// The last state of a node that has left, as written by "leave"; may be repeated
    #[arg(long, value_name = "FILE")]
    pub left: Vec<PathBuf>,
}

/// Arguments of `setup`.
#[derive(Args, Debug)]
pub struct SetupArguments {
    /// The number of classes; with more classes than nodes, nodes can be added later [default: that
    /// of the nodes that are set up, or the number of nodes]
    #[arg(long, value_name = "NUMBER")]
    pub classes: Option<i32>,

    /// The class of a node, from 1; may be repeated
    #[arg(long = "class", value_name = "NAME=NUMBER")]
    pub class: Vec<String>,

    /// Seconds for which nodes in use are observed [default: 10, and 1 more for each 200 sequences]
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["dry_run", "gap"],
          value_parser = clap::value_parser!(u64).range(2..=3600))]
    pub observe: Option<u64>,

    #[command(flatten)]
    pub options: SetupOptions,

    #[command(flatten)]
    pub change: ChangeArguments,
}

/// Arguments of `add-node`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("where").required(true))]
pub struct AddNodeArguments {
    /// The new node; all other nodes are named, too
    pub node: String,

    /// Its class, if one is free
    #[arg(long, group = "where", value_name = "NUMBER")]
    pub class: Option<i32>,

    /// The node that gives up a half of its class for it
    #[arg(long, group = "where", value_name = "NAME")]
    pub split: Option<String>,

    #[command(flatten)]
    pub options: SetupOptions,

    #[command(flatten)]
    pub change: ChangeArguments,
}

/// Arguments of `split`.
#[derive(Args, Debug)]
pub struct SplitArguments {
    /// The node
    pub node: String,

    /// The number of parts
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    pub factor: i32,

    #[command(flatten)]
    pub change: ChangeArguments,
}

/// Arguments of `leave`.
#[derive(Args, Debug)]
pub struct LeaveArguments {
    /// The node
    pub node: String,

    /// Only show what would be waited for
    #[arg(long)]
    pub dry_run: bool,

    /// The file for its last state [default: NODE.left.json beside the file of the fleet, or in
    /// ~/.local/state/pg_keyspace]
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// Sessions that are still connected do not write any more
    #[arg(long)]
    pub writers_stopped: bool,

    /// Its rows have arrived on all other nodes; needed if its replication has no slots to tell
    #[arg(long)]
    pub rows_arrived: bool,

    /// Seconds to wait until its rows have arrived
    #[arg(long, value_name = "SECONDS", default_value_t = 300, conflicts_with = "dry_run")]
    pub timeout: u64,
}

/// Arguments of `fail-over`.
#[derive(Args, Debug)]
pub struct FailOverArguments {
    /// The node, whose connection string leads to the promoted server
    pub node: String,

    #[command(flatten)]
    pub options: SetupOptions,

    #[command(flatten)]
    pub change: ChangeArguments,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    /// All arguments of each command. If you add one, make sure that it has an effect in every
    /// combination, or is refused.
    #[test]
    fn every_argument_is_known_here() {
        const SET_UP: &str = "blocks exclude feeds gap schema trust-position";
        const KEY: &str = "fire-triggers include move-primary-key new-suffix old-suffix reference salt target \
                           time-zone timestamp-column timestamp-expression timestamp-reference without-timestamp";
        let known = [
            ("status", "watch".to_owned()),
            ("check", "all watch".to_owned()),
            ("setup", format!("abandon class classes dry-run left log observe {SET_UP}")),
            ("add-node", format!("abandon class dry-run left log split {SET_UP}")),
            ("split", "abandon dry-run factor left log".to_owned()),
            ("leave", "dry-run rows-arrived state timeout writers-stopped".to_owned()),
            ("fail-over", format!("abandon dry-run left log {SET_UP}")),
            ("lint", "all classes ignore observe".to_owned()),
            ("migrate", "on".to_owned()),
            ("completions", String::new()),
            ("man", String::new()),
        ];
        let actions = [
            ("plan", KEY.to_owned()),
            ("run", format!("dry-run maintenance-work-mem set {KEY}")),
            ("cut-over", "dry-run ignore lock-timeout max-wait rehearse tries way".to_owned()),
            ("rollback", "confirm dry-run max-wait".to_owned()),
            ("finalize", "confirm dry-run keep-old-ids max-wait".to_owned()),
            ("open", String::new()),
        ];
        let own = |command: &clap::Command| -> BTreeSet<String> {
            let options = command.get_arguments().filter_map(|argument| argument.get_long());
            let everywhere = ["node", "fleet", "json", "help", "version"];
            options.filter(|name| !everywhere.contains(name)).map(str::to_owned).collect()
        };
        let compare = |commands: &clap::Command, known: &[(&str, String)]| {
            let names: Vec<&str> = commands.get_subcommands().map(clap::Command::get_name).collect();
            assert_eq!(names, known.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            for (command, (name, arguments)) in commands.get_subcommands().zip(known) {
                let arguments: BTreeSet<String> = arguments.split_whitespace().map(str::to_owned).collect();
                assert_eq!(own(command), arguments, "{name}");
            }
        };
        let all = Arguments::command();
        compare(&all, &known);
        compare(all.find_subcommand("migrate").unwrap(), &actions);
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        let parsed =
            |line: &str| Arguments::try_parse_from(std::iter::once("pg_keyspace").chain(line.split(' ')));
        for line in [
            "setup --dry-run --log x",
            "setup --dry-run --abandon",
            "setup --dry-run --observe 10",
            "setup --gap 100 --observe 10",
            "add-node a --split b --class 3",
            "add-node a --class 3 --observe 10",
            "split a --observe 10",
            "split a --dry-run --log x",
            "fail-over a --gap 0 --observe 10",
            "fail-over a --gap 0 --dry-run --abandon",
            "leave a --left x",
            "leave a --log x",
            "leave a --abandon",
            "leave a --dry-run --timeout 5",
            "lint --observe 1",
            "migrate cut-over t --tries 5",
            "migrate cut-over t --lock-timeout 5",
            "migrate cut-over t --rehearse --dry-run",
            "migrate cut-over t --rehearse --way view",
            "migrate cut-over t --rehearse --ignore statistics",
            "migrate cut-over t --rehearse --max-wait 5",
            "migrate rollback t --dry-run --max-wait 5",
            "migrate finalize t --dry-run --confirm t",
            "migrate run t --dry-run --maintenance-work-mem 1GB",
        ] {
            let error = parsed(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        for line in [
            "setup --dry-run --gap 100 --left x",
            "setup --observe 10 --log x --abandon",
            "leave a --dry-run --state x",
            "migrate cut-over t --rehearse --tries 5 --lock-timeout 5",
            "migrate cut-over t --dry-run --way view --ignore default",
        ] {
            assert!(parsed(line).is_ok(), "{line}");
        }
    }
}
