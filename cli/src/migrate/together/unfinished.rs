//! Nodes whose writers wait, because a command was interrupted, and how they go on.

use std::time::{Duration, Instant};

use keyspace::migration::nodes::NodeState;

use super::group::Group;
use super::step::is_refusal;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::session::Session;

/// For how long writers are tried to be let go on.
const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(50);

/// The names of the nodes whose writers wait.
pub fn closed<'g>(group: &'g Group<'_>, states: &[Option<NodeState>]) -> Vec<&'g str> {
    let closed = states.iter().flatten().filter(|state| state.progress.closed.is_some());
    closed.map(|state| group.name(state.node)).collect()
}

/// Names as `node "a"` or `nodes "a", "b"`.
pub fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("node{} {}", if names.len() == 1 { "" } else { "s" }, quoted.join(", "))
}

/// Fails if writers wait on a node.
///
/// # Errors
/// In that case.
pub fn check_open(group: &Group<'_>, states: &[Option<NodeState>]) -> Result<()> {
    let closed = closed(group, states);
    if closed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("writers wait on {}", listed(&closed)))
        .detail("A command was interrupted while these nodes were closed.")
        .hint("Call that command again: \"migrate cut-over\", \"rollback\" or \"finalize\". Or let the writers go on: \"migrate open\"."))
}

/// Whether no node has changed the form of its rows while others have not.
pub fn is_in_step(states: &[Option<NodeState>]) -> bool {
    let mut steps = states.iter().map(|state| state.as_ref().map(|s| (s.progress.round, s.progress.form)));
    let first = steps.next();
    steps.all(|step| Some(step) == first)
}

/// What a try to let writers go on has come to.
enum Try {
    /// No writer waits.
    Open,
    /// The nodes do not all know of it yet.
    Again,
    /// A node has changed, so that the others have to follow.
    TooLate,
}

/// Lets writers of all nodes go on. Each node announces it, and does it once all others know. Returns
/// whether that was possible: if a node has changed already, the others have to follow.
///
/// # Errors
/// If it does not work in a minute, for example because a node cannot be reached.
pub fn open(group: &mut Group<'_>) -> Result<bool> {
    let began = Instant::now();
    loop {
        let failure = match open_once(group) {
            Ok(Try::Open) => return Ok(true),
            Ok(Try::TooLate) => return Ok(false),
            Ok(Try::Again) => Failure::new("the other nodes do not know that writers go on"),
            Err(failure) if failure.is_interrupt => return Err(failure),
            // A statement that an interrupt has cancelled, or a server that is starting again.
            Err(failure) => failure,
        };
        if began.elapsed() > PATIENCE {
            return Err(failure);
        }
        interrupt::sleep(INTERVAL)?;
    }
}

fn open_once(group: &mut Group<'_>) -> Result<Try> {
    let states = group.exchange.pass()?;
    if closed(group, &states).is_empty() {
        return Ok(Try::Open);
    }
    if !is_in_step(&states) {
        return Ok(Try::TooLate);
    }
    for (member, state) in group.members.iter_mut().zip(&states) {
        if state.as_ref().is_none_or(|state| state.progress.closed.is_none()) {
            continue;
        }
        if member.session.is_closed() {
            member.session = Session::open(member.node)?;
        }
        let open = member.session.object("key_migration_open")?;
        match member.session.batch_execute(&format!("CALL {open}({})", member.table.argument())) {
            // The others do not know of it yet.
            Err(failure) if is_refusal(&failure) => {}
            done => done?,
        }
    }
    // Each learns of the announcements, and then that the others know of its own.
    group.exchange.pass()?;
    group.exchange.pass()?;
    Ok(Try::Again)
}
