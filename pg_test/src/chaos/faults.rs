//! Kind, time and place of faults: a schedule that depends on the seed alone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha12Rng;

use crate::Copy;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Pauses all processes of a server, and resumes them after a while.
    Pause,
    /// Cuts a line, and restores it after a while.
    Cut,
    /// Stalls a line for a while: nothing passes, and neither side is told.
    Stall,
    /// Cuts all lines of a node for a while.
    Isolate,
    /// `kill -9` of a session that writes.
    KillWriter,
    /// `kill -9` of any other process except the postmaster: walsender, apply worker, checkpointer,
    /// ...
    KillProcess,
    /// `kill -9` of the postmaster.
    KillPostmaster,
    /// `kill -9` of all processes at once.
    KillAll,
    /// Stopped in immediate mode.
    Immediate,
    /// Stopped in fast mode.
    Fast,
    /// Cuts off a node from the others, kills it, and promotes its synchronous standby in its
    /// place.
    FailOver,
    /// Replaces a node by a server that was restored from a dump of another node.
    Restore,
    /// Replaces a node by a server that was cloned from another node.
    Clone,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Pause,
        Self::Cut,
        Self::Stall,
        Self::Isolate,
        Self::KillWriter,
        Self::KillProcess,
        Self::KillPostmaster,
        Self::KillAll,
        Self::Immediate,
        Self::Fast,
        Self::FailOver,
        Self::Restore,
        Self::Clone,
    ];

    /// The faults after which every server still has its data directory.
    pub const QUICK: [Self; 10] = [
        Self::Pause,
        Self::Cut,
        Self::Stall,
        Self::Isolate,
        Self::KillWriter,
        Self::KillProcess,
        Self::KillPostmaster,
        Self::KillAll,
        Self::Immediate,
        Self::Fast,
    ];

    /// Its name on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Cut => "cut",
            Self::Stall => "stall",
            Self::Isolate => "isolate",
            Self::KillWriter => "kill-writer",
            Self::KillProcess => "kill-process",
            Self::KillPostmaster => "kill-postmaster",
            Self::KillAll => "kill-all",
            Self::Immediate => "immediate",
            Self::Fast => "fast",
            Self::FailOver => "fail-over",
            Self::Restore => "restore",
            Self::Clone => "clone",
        }
    }

    /// Whether another server replaces the node, which needs all lines.
    pub(super) fn replaces(self) -> bool {
        matches!(self, Self::FailOver | Self::Restore | Self::Clone)
    }

    /// How the replacement of a node is created.
    pub(super) fn copy(self) -> Copy {
        if self == Self::Clone { Copy::Clone } else { Copy::Dump }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("no such fault; there are {}", known()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "node paused",
            Self::Cut => "line cut",
            Self::Stall => "line stalled",
            Self::Isolate => "node cut off from all others",
            Self::KillWriter => "kill -9 of a session that writes",
            Self::KillProcess => "kill -9 of another process of a server",
            Self::KillPostmaster => "kill -9 of the postmaster",
            Self::KillAll => "kill -9 of all processes of a server",
            Self::Immediate => "immediate stop",
            Self::Fast => "fast stop",
            Self::FailOver => "node lost, its standby promoted",
            Self::Restore => "node replaced by a dump of another one",
            Self::Clone => "node replaced by a clone of another one",
        })
    }
}

/// One fault and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// The pause after the previous fault has been fixed.
    pub after: Duration,
    /// The kind of fault.
    pub kind: Kind,
    /// The node, counted from 0.
    pub node: usize,
    /// Another node: the other end of the line, or the origin of the copy.
    pub other: usize,
    /// The duration, if it has one.
    pub lasts: Duration,
    /// Which process, if there are several.
    pub which: u32,
    /// Whether another line of the cluster is down meanwhile.
    pub with_a_line_cut: bool,
}

/// The endless sequence of faults of a run: every kind once in each round, in random order.
pub struct Schedule {
    chance: ChaCha12Rng,
    kinds: Vec<Kind>,
    left: Vec<Kind>,
    nodes: usize,
    /// The average pause between two faults.
    quiet: Duration,
}

impl Schedule {
    /// A schedule for this number of nodes and these kinds.
    pub fn new(chance: ChaCha12Rng, kinds: &[Kind], nodes: usize, quiet: Duration) -> Self {
        Self { chance, kinds: kinds.to_vec(), left: Vec::new(), nodes, quiet }
    }
}

impl Iterator for Schedule {
    type Item = Strike;

    fn next(&mut self) -> Option<Strike> {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
        }
        if self.left.is_empty() {
            return None;
        }
        let chance = &mut self.chance;
        let kind = self.left.swap_remove(chance.random_range(0..self.left.len()));
        let node = chance.random_range(0..self.nodes);
        let other = (node + chance.random_range(1..self.nodes)) % self.nodes;
        Some(Strike {
            after: self.quiet.mul_f64(chance.random_range(0.5..1.5)),
            kind,
            node,
            other,
            lasts: Duration::from_millis(chance.random_range(200..4_000)),
            which: chance.random(),
            with_a_line_cut: chance.random_ratio(1, 4) && !kind.replaces(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn schedule(seed: u64) -> Vec<Strike> {
        let chance = ChaCha12Rng::seed_from_u64(seed);
        Schedule::new(chance, &Kind::ALL, 3, Duration::from_secs(1)).take(40).collect()
    }

    #[test]
    fn kinds_are_known_by_their_names() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("flood".parse::<Kind>().is_err_and(|error| error.contains("fail-over")));
    }

    #[test]
    fn a_seed_gives_its_schedule_and_every_kind_comes() {
        assert_eq!(schedule(1), schedule(1));
        assert_ne!(schedule(1), schedule(2));
        for round in schedule(3).chunks_exact(Kind::ALL.len()) {
            let mut kinds: Vec<Kind> = round.iter().map(|strike| strike.kind).collect();
            kinds.sort_unstable();
            assert_eq!(kinds, Kind::ALL);
            assert!(round.iter().all(|strike| strike.node != strike.other && strike.other < 3));
        }
    }
}
