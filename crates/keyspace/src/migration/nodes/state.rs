//! The state of a node in a migration, for the other nodes: the document of
//! `key_migration_node_state()`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::position::Position;
use super::progress::Progress;
use super::rules::Peer;
use crate::error::{Error, SqlState};

/// The version of the document.
pub const VERSION: u32 = 1;
/// The maximum length of a document.
pub const LONGEST: usize = 1024 * 1024;

/// A node and its migration, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeState {
    /// The version of the document.
    pub version: u32,
    /// The number of the node.
    pub node: i32,
    /// All nodes of the migration, ascending.
    pub nodes: Vec<i32>,
    /// The server, as in `pg_control_system()`.
    pub system_identifier: i64,
    /// The timeline of the server, which goes up with each promotion.
    pub timeline: i32,
    /// The database, as in `pg_database.oid`.
    pub database_oid: u32,
    /// A digest of everything that must be the same on all nodes, or rows would have other keys.
    pub agreement: String,
    /// The position in the WAL at which the document was made.
    pub position: Position,
    /// The time of the clock then, in microseconds since 1970.
    pub clock: i64,
    /// What the node has done.
    pub progress: Progress,
    /// The logical replication slots of the database, with the positions up to which their readers
    /// have confirmed that everything is flushed.
    pub slots: BTreeMap<String, Position>,
    /// The slots on other servers from which its subscriptions receive.
    pub receives_from: Vec<String>,
    /// The positions of the last states of other nodes that it has taken in.
    pub seen: BTreeMap<i32, Position>,
}

impl NodeState {
    /// Reads a document.
    ///
    /// # Errors
    /// 22023 if it is not one, or is of another version.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        /// Only the version.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let malformed = |detail: String| {
            Error::new(SqlState::InvalidParameterValue, "a peer's state is malformed")
                .detail(detail)
                .hint("Pass the result of key_migration_node_state() of the other node.")
        };
        if json.len() > LONGEST {
            return Err(malformed(format!("It is longer than {LONGEST} bytes.")));
        }
        let read = |error: serde_json::Error| malformed(format!("The parser says: {error}."));
        let Versioned { version } = serde_json::from_str(json).map_err(read)?;
        if version != VERSION {
            let message = format!("unsupported version {version} of a peer's state");
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .hint("Update the extension on both nodes to the same version."));
        }
        serde_json::from_str(json).map_err(read)
    }

    /// The document.
    pub fn to_json(&self) -> String {
        // There are only numbers, strings and maps with string keys, so this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Refuses the state of a peer that this node must not use.
    ///
    /// # Errors
    /// 22023 if it is this node's own, if it is of a node of another migration, or if keys would not
    /// be the same there; 55000 if a newer one is known, or if the server is another one than before.
    pub fn check_peer(&self, peer: &Self, known: Option<&Self>) -> Result<(), Error> {
        let invalid = |message: String| Error::new(SqlState::InvalidParameterValue, message);
        let node = peer.node;
        // A node that began as a base backup of another one has the same system identifier.
        if node == self.node {
            return Err(invalid(format!("the state of node {node} is this node's own"))
                .hint("Pass the states of the other nodes only."));
        }
        if peer.nodes != self.nodes {
            let list = |nodes: &[i32]| nodes.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
            return Err(invalid(format!("node {node} migrates the key on other nodes than this one"))
                .detail(format!("Here: {}. There: {}.", list(&self.nodes), list(&peer.nodes)))
                .hint("Create the migration with the same nodes everywhere."));
        }
        if !self.nodes.contains(&node) {
            return Err(invalid(format!("node {node} is not one of the nodes of the migration")));
        }
        if peer.agreement != self.agreement {
            return Err(invalid(format!("node {node} would give rows other keys than this node"))
                .detail("The columns, the source of the time or the type of the keys differ.")
                .hint("Create the migration with the same arguments everywhere."));
        }
        let Some(known) = known else { return Ok(()) };
        let changed = |message: String| Error::new(SqlState::ObjectNotInPrerequisiteState, message);
        if !known.is_of_same_database(peer) {
            return Err(changed(format!("node {node} is another database than before"))
                .hint("Roll the migration back on all nodes, and create it again."));
        }
        if (peer.timeline, peer.position) < (known.timeline, known.position) {
            return Err(changed(format!("a newer state of node {node} is already known"))
                .detail(format!("It is of position {}, this one of {}.", known.position, peer.position))
                .hint(format!("Call key_migration_node_state() on node {node} again.")));
        }
        if peer.timeline != known.timeline {
            return Err(changed(format!("node {node} has been promoted since"))
                .detail("It may have lost changes that other nodes have confirmed.")
                .hint("Roll the migration back on all nodes, and create it again."));
        }
        Ok(())
    }

    /// Refuses to remove a node, of which this state may be known, from the migration on this one.
    ///
    /// # Errors
    /// 22023 if it is this node, or none of the migration; 55000 if they still replicate to each other.
    pub fn check_removal(&self, node: i32, known: Option<&Self>) -> Result<(), Error> {
        let invalid = |message: String| Error::new(SqlState::InvalidParameterValue, message);
        if node == self.node {
            return Err(invalid(format!("node {node} is this node itself"))
                .hint("Call the function on each of the other nodes."));
        }
        if !self.nodes.contains(&node) {
            return Err(invalid(format!("node {node} is not one of the nodes of the migration")));
        }
        let Some(known) = known else { return Ok(()) };
        let hint =
            "If it is lost, drop its replication slots and the subscriptions to it on this node first.";
        let connected = |detail: String| {
            let message = format!("node {node} and this node still replicate to each other");
            Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(detail).hint(hint))
        };
        if let Some(slot) = known.receives_from.iter().find(|slot| self.slots.contains_key(*slot)) {
            return connected(format!("It receives from replication slot \"{slot}\" of this node."));
        }
        if let Some(slot) = self.receives_from.iter().find(|slot| known.slots.contains_key(*slot)) {
            return connected(format!("This node has a subscription to its replication slot \"{slot}\"."));
        }
        Ok(())
    }

    /// What this state tells a node, given by its own state.
    pub fn as_peer_of(&self, own: &Self) -> Peer {
        Peer {
            node: self.node,
            progress: self.progress,
            arrived: self.confirmed_by(own),
            seen: self.seen.get(&own.node).copied(),
        }
    }

    /// Up to where another node has confirmed that everything of this one has arrived, by the slots from
    /// which it receives; `None` if it has no subscription to this node.
    pub fn confirmed_by(&self, peer: &Self) -> Option<Position> {
        peer.receives_from.iter().filter_map(|slot| self.slots.get(slot)).min().copied()
    }

    /// Whether it is of the same database of the same server as another, or of a copy.
    fn is_of_same_database(&self, other: &Self) -> bool {
        (self.system_identifier, self.database_oid) == (other.system_identifier, other.database_oid)
    }
}
