//! Kinds, times and places of faults: a schedule that depends on the seed alone.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha12Rng;

use crate::Copy;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Pauses all processes of a server, and resumes them after a while.
    Pause,
    /// Cuts a link, and restores it after a while.
    Cut,
    /// Stalls a link for a while: nothing passes, and neither side is notified.
    Stall,
    /// Cuts all links of a node for a while.
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

impl FaultKind {
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

    /// Whether another server replaces the node, which needs all links.
    pub(super) fn replaces(self) -> bool {
        matches!(self, Self::FailOver | Self::Restore | Self::Clone)
    }

    /// How the replacement of a node is created.
    pub(super) fn copy(self) -> Copy {
        if self == Self::Clone { Copy::Clone } else { Copy::Dump }
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("unknown kind of fault; known kinds: {}", known()))
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "node paused",
            Self::Cut => "link cut",
            Self::Stall => "link stalled",
            Self::Isolate => "node isolated from all others",
            Self::KillWriter => "kill -9 of a session that writes",
            Self::KillProcess => "kill -9 of another process of a server",
            Self::KillPostmaster => "kill -9 of the postmaster",
            Self::KillAll => "kill -9 of all processes of a server",
            Self::Immediate => "immediate stop",
            Self::Fast => "fast stop",
            Self::FailOver => "node lost, its standby promoted",
            Self::Restore => "node replaced by a dump of another node",
            Self::Clone => "node replaced by a clone of another node",
        })
    }
}

/// One fault and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The pause after the previous fault has been repaired.
    pub after: Duration,
    /// The kind of fault.
    pub kind: FaultKind,
    /// The node, counted from 0.
    pub node: usize,
    /// Another node: the other end of the link, or the origin of the copy.
    pub other: usize,
    /// The duration, if it has one.
    pub duration: Duration,
    /// A random number that selects a process.
    pub which: u32,
    /// Whether the opposite link is cut meanwhile.
    pub other_link_is_cut: bool,
}

/// The endless sequence of faults of a run: every kind once in each round, in random order.
pub struct Schedule {
    rng: ChaCha12Rng,
    kinds: Vec<FaultKind>,
    left: Vec<FaultKind>,
    nodes: usize,
    /// The average pause between two faults.
    quiet: Duration,
}

impl Schedule {
    /// A schedule for this number of nodes and these kinds.
    pub fn new(rng: ChaCha12Rng, kinds: &[FaultKind], nodes: usize, quiet: Duration) -> Self {
        Self { rng, kinds: kinds.to_vec(), left: Vec::new(), nodes, quiet }
    }
}

impl Iterator for Schedule {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        if self.left.is_empty() {
            self.left.clone_from(&self.kinds);
        }
        if self.left.is_empty() {
            return None;
        }
        let rng = &mut self.rng;
        let kind = self.left.swap_remove(rng.random_range(0..self.left.len()));
        let node = rng.random_range(0..self.nodes);
        let other = (node + rng.random_range(1..self.nodes)) % self.nodes;
        Some(Fault {
            after: self.quiet.mul_f64(rng.random_range(0.5..1.5)),
            kind,
            node,
            other,
            duration: Duration::from_millis(rng.random_range(200..4_000)),
            which: rng.random(),
            other_link_is_cut: rng.random_ratio(1, 4) && !kind.replaces(),
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn schedule(seed: u64) -> Vec<Fault> {
        let rng = ChaCha12Rng::seed_from_u64(seed);
        Schedule::new(rng, &FaultKind::ALL, 3, Duration::from_secs(1)).take(40).collect()
    }

    #[test]
    fn names_are_parsed() {
        for kind in FaultKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("flood".parse::<FaultKind>().is_err_and(|error| error.contains("fail-over")));
    }

    #[test]
    fn a_seed_determines_the_schedule_and_every_kind_occurs() {
        assert_eq!(schedule(1), schedule(1));
        assert_ne!(schedule(1), schedule(2));
        for round in schedule(3).chunks_exact(FaultKind::ALL.len()) {
            let mut kinds: Vec<FaultKind> = round.iter().map(|fault| fault.kind).collect();
            kinds.sort_unstable();
            assert_eq!(kinds, FaultKind::ALL);
            assert!(round.iter().all(|fault| fault.node != fault.other && fault.other < 3));
        }
    }
}
