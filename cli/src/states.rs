//! The states of nodes, which carry what one node has to know of the others.

use keyspace::sequences::NodeState;

use crate::failure::{Failure, Result};
use crate::session::{Session, at_once};
use crate::sessions::all;

/// The state of a node, as text for other nodes and as read.
#[derive(Clone, Debug)]
pub struct State {
    /// The name of the node.
    pub node: String,
    /// The document.
    pub document: String,
    /// The same, read.
    pub state: NodeState,
}

/// The states of all nodes, taken at once.
///
/// # Errors
/// Those of the servers.
pub fn states(sessions: &mut [Session]) -> Result<Vec<State>> {
    all(at_once(sessions.iter_mut().collect(), |session: &mut Session| {
        let document = session.state()?;
        let state =
            NodeState::parse(&document).map_err(|error| Failure::from(error).of_node(session.name()))?;
        Ok(State { node: session.name().to_owned(), document, state })
    }))
}

/// The documents of the states of all nodes but one.
pub fn others(states: &[State], node: &str) -> Vec<String> {
    states.iter().filter(|state| state.node != node).map(|state| state.document.clone()).collect()
}
