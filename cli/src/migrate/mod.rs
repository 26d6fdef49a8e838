//! `pg_keyspace migrate`: the key of a table, from the plan to the end, on one node.

mod arguments;
mod blockers;
mod call;
mod outcome;
mod plan;
mod procedures;
mod rehearsal;
mod run;
mod table;
mod watch;

pub use self::arguments::MigrateArguments;

use self::arguments::Action;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::nodes::{Fleet, Node};
use crate::output::Output;
use crate::session::Session;
use crate::sessions;

/// Does something with the migration of a table.
///
/// # Errors
/// If the node is not known, or something fails there.
pub fn run(fleet: &Fleet, output: Output, arguments: &MigrateArguments) -> Result<Exit> {
    let node = node(fleet, arguments.on.as_deref())?;
    let mut session = Session::open(node)?;
    session.facts.extension()?;
    if !matches!(arguments.action, Action::Plan(_)) {
        sessions::can_be_changed(&[&session.facts])?;
    }
    let session = &mut session;
    match &arguments.action {
        Action::Plan(arguments) => plan::run(session, output, arguments),
        Action::Run(arguments) => run::run(session, node, output, arguments),
        Action::CutOver(arguments) => procedures::cut_over(session, node, output, arguments),
        Action::Rollback(arguments) => procedures::rollback(session, node, output, arguments),
        Action::Finalize(arguments) => procedures::finalize(session, node, output, arguments),
    }
}

/// The node that is named, or the only one.
fn node<'a>(fleet: &'a Fleet, name: Option<&str>) -> Result<&'a Node> {
    match (name, fleet.nodes.as_slice()) {
        (Some(name), _) => fleet.node(name),
        (None, [node]) => Ok(node),
        (None, nodes) => {
            let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            Err(Failure::new("the node is not specified")
                .detail(format!("A migration runs on one node. The nodes are: {}.", names.join(", ")))
                .hint("Name it: --on NAME."))
        }
    }
}

/// A statement on one line of a terminal.
fn first_words(statement: &str) -> &str {
    const WIDTH: usize = 200;
    let line = statement.lines().next().unwrap_or_default();
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => line.get(..end).unwrap_or(line),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_node_is_the_only_one_or_is_named() {
        let fleet = |nodes: &[&str]| {
            Fleet::of(None, &nodes.iter().map(|node| format!("{node}=host=x")).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(node(&fleet(&["one"]), None).unwrap().name, "one");
        let two = fleet(&["one", "two"]);
        assert_eq!(node(&two, Some("two")).unwrap().name, "two");
        assert_eq!(node(&two, None).err().unwrap().message, "the node is not specified");
        assert!(node(&two, Some("three")).is_err());
    }

    #[test]
    fn a_statement_is_shown_on_one_line() {
        assert_eq!(first_words("VACUUM a\nb"), "VACUUM a");
        assert_eq!(first_words(&"é".repeat(300)).chars().count(), 200);
    }
}
