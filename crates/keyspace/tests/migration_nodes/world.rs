//! A small world: nodes with a few rows, and the changes that are on their way between them.

use keyspace::migration::nodes::{Form, Peer, Position, Progress};

/// The most nodes of a world.
pub const NODES: usize = 3;
/// The rows of a world.
pub const ROWS: usize = 3;

/// When a row was changed, as conflicts are resolved by it: the later change wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The commit time, by the clock of the node.
    pub clock: i64,
    pub node: u8,
}

/// A version of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// The write that a client made last.
    pub write: u8,
    /// The time from which a key is derived.
    pub created: u8,
    pub key: Option<u8>,
    /// 0 if it has none.
    pub old_id: u8,
    pub stamp: Stamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Insert,
    Update,
    Delete,
}

/// A change on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    pub operation: Operation,
    pub slot: usize,
    /// The new version, or the one that was deleted.
    pub row: Row,
    /// Whether a client made it.
    pub of_client: bool,
    pub form: Form,
    pub round: u32,
    /// Where it is in the WAL of its node.
    pub position: u64,
}

/// What a node knows of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Known {
    pub node: i32,
    pub progress: Progress,
    pub arrived: Option<Position>,
    pub seen: Option<Position>,
}

impl Known {
    pub fn peer(self) -> Peer {
        let Self { node, progress, arrived, seen } = self;
        Peer { node, progress, arrived, seen }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub progress: Progress,
    /// Its WAL: each write and each step takes one position.
    pub position: u64,
    pub rows: [Option<Row>; ROWS],
    /// The rows as they would be without a migration, if everything else happens in the same order.
    pub control: [Option<(u8, Stamp)>; ROWS],
    /// How many of its writes are done.
    pub written: usize,
    /// What has been sent to each node and has not arrived.
    pub sent: [Vec<Change>; NODES],
    /// The last states of the others that it has taken in.
    pub known: [Option<Known>; NODES],
    /// The positions of these.
    pub seen: [Position; NODES],
    /// The keys of its rows, as a comparison that is under way has read them.
    pub read: Option<[Option<u8>; ROWS]>,
}

/// Everything that determines its future.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub nodes: Vec<Node>,
    /// A clock that nobody reads; those of the nodes differ from it.
    pub time: i64,
    /// How many nodes may still be killed.
    pub kills: u8,
    /// How often writers may still go on without a change of form.
    pub withdrawals: u8,
    /// A state of the first node that somebody has put aside.
    pub aside: Option<Known>,
}

impl World {
    /// Where everything that a node has sent to another one has arrived.
    pub fn arrived(&self, from: usize, to: usize) -> Position {
        let next = self.nodes[from].sent[to].first();
        Position(next.map_or(self.nodes[from].position, |next| next.position - 1))
    }

    /// The other nodes.
    pub fn others(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.nodes.len()).filter(move |other| *other != node)
    }

    /// What a node tells another one now. Positions that no rule compares with are left out.
    pub fn told(&self, from: usize, to: usize) -> Known {
        let progress = self.nodes[from].progress;
        let compared = [progress.mark, progress.filled, progress.last_of_form(), Some(progress.entered)];
        let arrived = self.arrived(from, to);
        Known {
            node: from as i32 + 1,
            progress,
            arrived: compared.into_iter().flatten().filter(|position| *position <= arrived).max(),
            seen: Some(self.nodes[from].seen[to]),
        }
    }
}
