//! `pg_keyspace migrate`: the key of a table, from the plan to the end, on one node or on all together.

mod arguments;
mod blockers;
mod call;
mod outcome;
mod plan;
mod procedures;
mod rehearsal;
mod run;
mod table;
mod together;
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
    let Some(node) = node(fleet, arguments.on.as_deref())? else {
        return together::run(fleet, output, &arguments.action);
    };
    only_together(&arguments.action)?;
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
        // Refused above.
        Action::Open(_) => Ok(Exit::Fine),
    }
}

/// The node that is named, or the only one; none if it is about all of several.
fn node<'a>(fleet: &'a Fleet, name: Option<&str>) -> Result<Option<&'a Node>> {
    match (name, fleet.nodes.as_slice()) {
        (Some(name), _) => fleet.node(name).map(Some),
        (None, [node]) => Ok(Some(node)),
        (None, _) => Ok(None),
    }
}

/// Refuses what has no effect on one node.
fn only_together(action: &Action) -> Result<()> {
    let max_wait = match action {
        Action::CutOver(arguments) => arguments.max_wait,
        Action::Rollback(arguments) => arguments.max_wait,
        Action::Finalize(arguments) => arguments.max_wait,
        Action::Open(_) => {
            return Err(Failure::new("\"open\" is for several nodes")
                .detail("Writers of one node alone never wait between two calls."));
        }
        Action::Plan(_) | Action::Run(_) => None,
    };
    match max_wait {
        Some(_) => {
            Err(Failure::new("--max-wait is for several nodes").hint("Name all nodes, and leave --on out."))
        }
        None => Ok(()),
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
    fn the_node_is_the_only_one_or_named_or_all_are_meant() {
        let fleet = |nodes: &[&str]| {
            Fleet::of(None, &nodes.iter().map(|node| format!("{node}=host=x")).collect::<Vec<_>>()).unwrap()
        };
        let named = |node: Result<Option<&Node>>| node.unwrap().map(|node| node.name.clone());
        assert_eq!(named(node(&fleet(&["one"]), None)).as_deref(), Some("one"));
        let two = fleet(&["one", "two"]);
        assert_eq!(named(node(&two, Some("two"))).as_deref(), Some("two"));
        assert_eq!(named(node(&two, None)), None);
        assert!(node(&two, Some("three")).is_err());
    }

    #[test]
    fn a_statement_is_shown_on_one_line() {
        assert_eq!(first_words("VACUUM a\nb"), "VACUUM a");
        assert_eq!(first_words(&"é".repeat(300)).chars().count(), 200);
    }
}
