//! A scenario: the world before a protocol, the steps of each node, and the property to check.

use super::glue;
use super::world::{Handed, Identity, Node, Sequence, Session, World, only};

/// The property to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// No value may be handed out twice.
    Duplicates,
    /// If no check has found anything, no value was handed out twice, and none will be.
    Proof,
}

/// How every node draws from its sequences.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Whether the default is `partitioned_nextval(sequence)`, not `nextval(sequence)`.
    pub partitioned: bool,
    /// `CACHE`.
    pub cache: u8,
}

/// The parts of a set-up that one transaction carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Everything at once: `setup_interleaved_sequences`, `split_interleaved_sequences`.
    Whole,
    /// The identity, then each sequence: `setup_interleaved_sequences_in_batches`.
    Batches,
    /// Only the identity: not a form of a set-up, but half of one.
    IdentityAlone,
    /// Only the sequences.
    SequencesAlone,
    /// Each sequence, then the identity: the wrong order.
    IdentityLast,
}

/// A set-up.
#[derive(Clone, Copy, Debug)]
pub struct SetUp {
    pub identity: Identity,
    pub from: Option<Identity>,
    pub gap: i64,
    /// Whether the states of the others are passed as peers.
    pub peers: bool,
    pub form: Form,
}

/// A step of a protocol.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// `interleaved_node_state()`, given to all others.
    GiveState,
    SetUp(SetUp),
    /// `check_interleaved_sequences(peers)`.
    Check,
    /// Clients write from now on.
    Open,
    /// The server is stopped for good.
    Stop,
    /// `reset_interleaved_sequences()`, while no client writes.
    Reset,
    /// `ALTER SEQUENCE ... RESTART` of each sequence, by a user.
    Restart,
    /// Clients write no more, and the node gives its last state: `state || '{"left": true}'`.
    Leave,
    /// The initial copy of the rows of another node.
    CopyRows {
        from: usize,
    },
    /// A dump of this node is taken.
    Dump,
    /// The dump is restored here, on another server.
    Restore,
    /// The standby of another node is promoted as this node. The server and its identity are the
    /// same.
    Promote {
        of: usize,
    },
    /// `confirm_interleaved_node()`: continues as the node of which the copy was made.
    Confirm,
}

/// A step, and the steps that it waits for.
#[derive(Clone, Debug)]
pub struct Step {
    pub what: What,
    /// The steps of other nodes that come before it.
    pub after: Vec<(usize, usize)>,
    pub left_out: bool,
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub sequences: Vec<Definition>,
    pub world: World,
    pub steps: Vec<Vec<Step>>,
    pub judge: Judge,
    /// Whether two nodes may hand out the same values before they are set up.
    pub collides_before: bool,
    /// Whether values are drawn only by defaults, so that a row exists when the lock of its draw is
    /// released.
    pub inserts_at_once: bool,
    /// Whether clients keep transactions open, and with them locks.
    pub transactions: bool,
    /// By how many values a sequence may be ahead after a crash.
    pub ahead: &'static [u8],
    /// How many of the last rows of a table are read. With fewer rows, a check can find less.
    pub look_back: usize,
    /// Whether a state that does not cover all rows reports which ones were not read. While no rows
    /// are lost, this only adds alarms: a world that is proved without it is safe with it.
    pub reports_unread: bool,
    /// Whether the values of columns cannot be compared with those of their sequences.
    pub unreadable: bool,
    /// Whether a state names the columns that are not read.
    pub reports_unreadable: bool,
    /// Whether all sequences feed one column. The clients of each node draw from only one of them,
    /// the one with the number of the node: two sequences that a node draws from give equal values
    /// whatever other nodes do.
    pub one_column: bool,
    /// Whether a set-up restarts a sequence above the others that feed its column.
    pub siblings_count: bool,
    /// Whether the last state of a node says how far its sequences have come.
    pub last_state_has_positions: bool,
    /// Whether a check compares the position of a sequence that was moved back with what other nodes
    /// had handed out before their set-ups.
    pub moves_back_count: bool,
    /// The node that has a standby.
    pub standby: Option<usize>,
    /// A guarantee of the operator, if a step depends on more than the order: whether a node may
    /// continue.
    pub promise: Option<fn(&World, usize, &SetUp) -> bool>,
    /// Searched without any reduction, for comparison.
    pub plain: bool,
    /// Whether a search returns every possible outcome.
    pub keeps_outcomes: bool,
    /// The fault of trap S42: a session continues with the identity that it read first.
    pub sessions_keep_identity: bool,
    /// The effect of `setval`: values that sessions have cached survive.
    pub caches_survive: bool,
    /// The fault of a set-up that takes its own class for the previous one.
    pub history_by_new_class: bool,
    /// Whether a node that takes over a copy's sequences knows that values may be lost.
    pub loss_is_known: bool,
}

impl Scenario {
    /// Nodes without rows and without steps.
    pub fn new(nodes: usize, sequences: &[Definition], sign: i64) -> Self {
        let node = |at: usize| Node {
            server: at as u8,
            timeline: 1,
            alive: true,
            open: true,
            identity: None,
            sequences: vec![Sequence::fresh(sign); sequences.len()],
            sessions: vec![Session { cached: vec![None; sequences.len()], ..Session::default() }],
            step: 0,
            part: 0,
            draws: 0,
        };
        let world = World {
            nodes: (0..nodes).map(node).collect(),
            handed: vec![Handed::default(); sequences.len()],
            given: vec![None; nodes],
            copy: None,
            crashes: 0,
            setvals: 0,
            preparing: None,
            duplicate: false,
            reported: false,
        };
        Self {
            sequences: sequences.to_vec(),
            world,
            steps: vec![vec![]; nodes],
            judge: Judge::Duplicates,
            collides_before: false,
            inserts_at_once: false,
            transactions: false,
            ahead: &[0, 1],
            look_back: 1,
            reports_unread: false,
            unreadable: false,
            reports_unreadable: true,
            one_column: false,
            siblings_count: true,
            last_state_has_positions: true,
            moves_back_count: true,
            plain: false,
            keeps_outcomes: false,
            standby: None,
            promise: None,
            sessions_keep_identity: false,
            caches_survive: false,
            history_by_new_class: false,
            loss_is_known: true,
        }
    }

    /// The direction of the sequences.
    pub fn sign(&self) -> i64 {
        self.world.nodes[0].sequences[0].increment.signum()
    }

    /// The column that a sequence feeds.
    pub fn column(&self, sequence: usize) -> usize {
        if self.one_column { 0 } else { sequence }
    }

    /// The sequences that feed the column of one.
    pub fn of_column(&self, sequence: usize) -> std::ops::Range<usize> {
        if self.one_column { 0..self.sequences.len() } else { sequence..sequence + 1 }
    }

    /// The sequences from which the clients of a node draw.
    pub fn drawn_by(&self, node: usize) -> std::ops::Range<usize> {
        if self.one_column { node..node + 1 } else { 0..self.sequences.len() }
    }

    /// Adds a step to a node's protocol.
    pub fn then(mut self, node: usize, what: What, after: &[(usize, usize)]) -> Self {
        self.steps[node].push(Step { what, after: after.to_vec(), left_out: false });
        self
    }

    /// How many values the clients of each node draw.
    pub fn draws(mut self, draws: &[u8]) -> Self {
        self.world.nodes.iter_mut().zip(draws).for_each(|(node, draws)| node.draws = *draws);
        self
    }

    /// The clients of a node do not write yet.
    pub fn closed(mut self, node: usize) -> Self {
        self.world.nodes[node].open = false;
        self
    }

    pub fn crashes(mut self, crashes: u8) -> Self {
        self.world.crashes = crashes;
        self
    }

    /// A node with several sessions.
    pub fn sessions(mut self, node: usize, sessions: usize) -> Self {
        let session = self.world.nodes[node].sessions[0].clone();
        self.world.nodes[node].sessions = vec![session; sessions];
        self
    }

    pub fn judge(mut self, judge: Judge) -> Self {
        self.judge = judge;
        self
    }

    /// Any other change.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// A node's sequence has reached a value. The last row has not arrived at the others yet, and
    /// some rows are not even committed.
    pub fn filled(mut self, node: usize, sequence: usize, until: i64, in_flight: &[i64]) -> Self {
        let sign = self.sign();
        let drawn = (1..=until.abs()).fold(0, |all, value| all | only(value));
        let in_flight = in_flight.iter().fold(0, |all, value| all | only(*value));
        let (rows, last) = (drawn & !in_flight, only(until) & !in_flight);
        self.world.handed[sequence].before |= drawn;
        for other in &mut self.world.nodes {
            other.sequences[sequence].rows |= rows & !last;
        }
        let sequence = &mut self.world.nodes[node].sequences[sequence];
        (sequence.last_value, sequence.is_called) = (sign * until.abs(), true);
        sequence.in_flight |= in_flight;
        sequence.rows |= rows;
        sequence.local |= last;
        self
    }

    /// A node has these rows, too.
    pub fn rows(mut self, node: usize, sequence: usize, rows: &[i64]) -> Self {
        for row in rows {
            self.world.handed[sequence].before |= only(*row);
            self.world.nodes[node].sequences[sequence].rows |= only(*row);
        }
        self
    }

    /// A node gives its state before the protocol begins.
    pub fn has_told(mut self, node: usize) -> Self {
        self.world.given[node] = Some(glue::give_state(&self, &self.world, node));
        self
    }

    /// A node was set up before the protocol begins, with the states of the others.
    pub fn was_set_up(mut self, node: usize, identity: Identity, gap: i64) -> Self {
        let set_up = SetUp { identity, from: None, gap, peers: true, form: Form::Whole };
        let mut world = self.world.clone();
        for sequence in 0..self.sequences.len() {
            glue::set_up(&self, &mut world, node, sequence, &set_up, None);
        }
        world.nodes[node].identity = Some(identity);
        self.world = world;
        self
    }

    /// The protocols begin, and earlier states are forgotten.
    pub fn begins(mut self) -> Self {
        self.world.given.iter_mut().for_each(|given| *given = None);
        self
    }

    /// Leaves out a step.
    pub fn without(mut self, node: usize, step: usize) -> Self {
        self.steps[node][step].left_out = true;
        self
    }

    /// A step does not wait for the others.
    pub fn at_once(mut self, node: usize, step: usize) -> Self {
        self.steps[node][step].after.clear();
        self
    }

    /// Changes a set-up.
    pub fn set_up(mut self, node: usize, step: usize, change: impl FnOnce(&mut SetUp)) -> Self {
        match &mut self.steps[node][step].what {
            What::SetUp(set_up) => change(set_up),
            other => panic!("no set-up: {other:?}"),
        }
        self
    }
}
