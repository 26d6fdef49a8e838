//! The events of a world.

use std::fmt;

use keyspace::migration::nodes::NodeStep;

/// An event. Nodes and rows count from 0 here, and from 1 in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client writes: the next write of the scenario.
    Write {
        node: usize,
    },
    /// The next change is applied, or is found to lose a conflict.
    Deliver {
        from: usize,
        to: usize,
    },
    /// The state of a node is passed to another one.
    Tell {
        from: usize,
        to: usize,
    },
    /// The backfill fills one row.
    FillRow {
        node: usize,
        slot: usize,
    },
    /// A step of a node.
    Step {
        node: usize,
        step: NodeStep,
    },
    /// A comparison reads the keys of a node.
    Read {
        node: usize,
    },
    /// Rows take the keys that the comparison has read on the first node that has them.
    Correct,
    /// A node is killed, and comes back. (One that is down for a while just does nothing.)
    Kill {
        node: usize,
    },
    /// Time passes.
    Tick,
    /// Somebody puts a state of the first node aside, and uses it later.
    PutAside,
    TellAside,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Write { node } => write!(f, "write on node {}", node + 1),
            Self::Deliver { from, to } => write!(f, "deliver from {} to {}", from + 1, to + 1),
            Self::Tell { from, to } => write!(f, "tell the state of {} to {}", from + 1, to + 1),
            Self::FillRow { node, slot } => write!(f, "fill row {} on node {}", slot + 1, node + 1),
            Self::Step { node, step } => write!(f, "node {}: {}", node + 1, step.name()),
            Self::Read { node } => write!(f, "read the keys of node {}", node + 1),
            Self::Correct => f.write_str("correct keys"),
            Self::Kill { node } => write!(f, "kill node {}", node + 1),
            Self::Tick => f.write_str("time passes"),
            Self::PutAside => f.write_str("put the state of node 1 aside"),
            Self::TellAside => f.write_str("tell that state to node 2"),
        }
    }
}
