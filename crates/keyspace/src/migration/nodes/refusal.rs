//! Why a node must not take a step.

use super::form::Form;
use super::position::Position;
use super::step::NodeStep;
use crate::error::{Error, SqlState};

/// A reason not to take a step now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Rows cannot change from one form to another.
    NotNext {
        /// The form of the rows.
        from: Form,
    },
    /// No state of a node is known.
    Unknown {
        /// The node.
        node: i32,
    },
    /// A node is not prepared.
    NotPrepared {
        /// The node.
        node: i32,
    },
    /// A node has not noted its position.
    NotMarked {
        /// The node.
        node: i32,
    },
    /// Rows of a node have no key yet.
    NotFilled {
        /// The node.
        node: i32,
    },
    /// The rows of a node have not been compared.
    NotCompared {
        /// The node.
        node: i32,
    },
    /// A node has not gone as far as this one, or has gone elsewhere.
    OutOfStep {
        /// The node.
        node: i32,
        /// The form of its rows.
        form: Form,
    },
    /// The writers of a node go on.
    StillWrites {
        /// The node.
        node: i32,
    },
    /// This node has not received and flushed everything that it must have from a node.
    NotArrived {
        /// The node.
        node: i32,
        /// The position in the WAL of that node that is required.
        required: Position,
        /// The position that it has confirmed; `None` if it has no subscription to that node.
        confirmed: Option<Position>,
    },
    /// A node has not received and flushed everything that this node has sent before its writers waited.
    NotConfirmed {
        /// The node.
        node: i32,
        /// The position in the WAL of this node that is required.
        required: Position,
        /// The position that it has confirmed; `None` if it has no subscription to this node.
        confirmed: Option<Position>,
    },
    /// The writers of this node go on.
    NotClosedYet,
    /// A node does not know the present state of this one.
    NotSeen {
        /// The node.
        node: i32,
    },
    /// The clock of this node is behind that of another one.
    ClockBehind {
        /// The node.
        node: i32,
        /// By how many microseconds.
        by: i64,
    },
    /// The writers of this node wait already.
    AlreadyCloses,
    /// The writers of this node do not wait.
    NotClosed,
    /// This node has not announced that its writers go on.
    NotWithdrawing,
}

impl Refusal {
    /// Whether it goes away by itself, so that waiting helps.
    pub const fn is_brief(self) -> bool {
        matches!(self, Self::ClockBehind { .. })
    }

    /// The error for a step of a node.
    pub fn error(self, node: i32, step: NodeStep) -> Error {
        let message = format!("node {node} cannot {} now", step.name());
        let detail = match self {
            Self::NotNext { from } => format!("Its tables are {}.", from.name()),
            Self::Unknown { node } => format!("The state of node {node} is not known."),
            Self::NotPrepared { node } => format!("Node {node} is not prepared."),
            Self::NotMarked { node } => {
                format!("Node {node} has not taken in the states of all nodes since they are prepared.")
            }
            Self::NotFilled { node } => format!("Rows of node {node} have no key yet."),
            Self::NotCompared { node } => format!("The rows of node {node} have not been compared."),
            Self::OutOfStep { node, form } => {
                format!("Node {node} is {}, which does not fit.", form.name())
            }
            Self::StillWrites { node } => format!("Writers on node {node} go on."),
            Self::NotArrived { node, required, confirmed: Some(confirmed) } => format!(
                "Changes of node {node} up to {required} must have arrived. They have arrived up to {confirmed}."
            ),
            Self::NotArrived { node, confirmed: None, .. } => {
                format!("No subscription receives the changes of node {node}.")
            }
            Self::NotConfirmed { node, required, confirmed: Some(confirmed) } => format!(
                "Changes of this node up to {required} must have arrived at node {node}. They have arrived up to {confirmed}."
            ),
            Self::NotConfirmed { node, confirmed: None, .. } => {
                format!("No subscription of node {node} receives the changes of this node.")
            }
            Self::NotClosedYet => "Its writers go on.".to_owned(),
            Self::NotSeen { node } => format!("Node {node} does not know the present state of this node."),
            Self::ClockBehind { node, by } => {
                format!("Its clock is {} ms behind that of node {node}.", by / 1000 + 1)
            }
            Self::AlreadyCloses => "Its writers wait already.".to_owned(),
            Self::NotClosed => "Its writers do not wait.".to_owned(),
            Self::NotWithdrawing => "It has not announced that its writers go on.".to_owned(),
        };
        Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(detail).hint(self.hint(step))
    }

    fn hint(self, step: NodeStep) -> String {
        let pass = |node: i32| {
            format!("pass key_migration_node_state() of node {node} to key_migration_add_peers() here")
        };
        match self {
            Self::Unknown { node } => capital(&format!("{}.", pass(node))),
            Self::NotPrepared { node } => format!("Prepare node {node}, then {}.", pass(node)),
            Self::NotMarked { node } | Self::NotSeen { node } => format!(
                "Pass the states of all nodes to key_migration_add_peers() on node {node}, then {}.",
                pass(node)
            ),
            Self::NotFilled { node } => format!("Run the backfill on node {node}, then {}.", pass(node)),
            Self::NotCompared { node } => format!("Compare the rows on node {node}, then {}.", pass(node)),
            Self::OutOfStep { node, .. } if step == NodeStep::Open => {
                format!(
                    "Node {node} relied on the writers of this node. Take the step of node {node} here, too."
                )
            }
            Self::OutOfStep { node, .. } => {
                format!("Take the same step on node {node} or, if this was done, {}.", pass(node))
            }
            Self::StillWrites { node } => {
                format!("Make the writers on node {node} wait, then {}.", pass(node))
            }
            Self::NotArrived { node, confirmed: Some(_), .. } => {
                format!("Wait until node {node} is no longer ahead, then {}.", pass(node))
            }
            Self::NotArrived { node, confirmed: None, .. } => {
                format!("Check the subscriptions to node {node}, then {}.", pass(node))
            }
            Self::NotConfirmed { .. } => "Try again once they have arrived.".to_owned(),
            Self::NotClosedYet => "CALL key_migration_close() first.".to_owned(),
            Self::ClockBehind { .. } => "Try again in a moment.".to_owned(),
            Self::NotNext { .. } | Self::AlreadyCloses | Self::NotClosed | Self::NotWithdrawing => {
                "The function key_migration_node_state() shows the state of this node.".to_owned()
            }
        }
    }
}

/// A text with a capital first letter, which is ASCII.
fn capital(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
