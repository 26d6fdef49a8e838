//! A small world: nodes with their sequences, rows and sessions, and all values handed out.

use keyspace::sequences::{Class, Rows};

/// A set of values, by their distance from 0. A world has ascending or descending sequences, never
/// both.
pub type Values = u128;

/// The set of one value.
pub fn only(value: i64) -> Values {
    let at = u32::try_from(value.unsigned_abs()).unwrap();
    1_u128.checked_shl(at).expect("a world of less than 128 values")
}

/// The values of a set, nearest to 0 first.
pub fn each(mut values: Values, sign: i64) -> impl DoubleEndedIterator<Item = i64> {
    let mut found = Vec::with_capacity(values.count_ones() as usize);
    while values != 0 {
        found.push(sign * i64::from(values.trailing_zeros()));
        values &= values - 1;
    }
    found.into_iter()
}

/// The number of a node, and the number of nodes.
pub type Identity = (i32, i32);

/// The class of a node.
pub fn class((node, nodes): Identity) -> Class {
    Class::new(node, nodes).unwrap()
}

/// Everything that determines its future.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub nodes: Vec<Node>,
    /// The values of each sequence that any node has handed out.
    pub handed: Vec<Handed>,
    /// The last state that each node gave to the others.
    pub given: Vec<Option<GivenState>>,
    /// A copy of a node's data: what its standby has received, or a dump.
    pub copy: Option<Copy>,
    /// How many servers may still crash.
    pub crashes: u8,
    /// How often a sequence may still be set to the end of its table.
    pub setvals: u8,
    /// A node whose rows are about to be read, and the last row inserted into its tables for that.
    pub preparing: Option<(usize, usize, i64)>,
    /// Whether a value has been handed out twice already.
    pub duplicate: bool,
    /// Whether a check has found anything.
    pub reported: bool,
}

/// Values that were handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Handed {
    /// By nodes that were not set up.
    pub before: Values,
    /// By nodes that were.
    pub after: Values,
}

/// One database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The server: two nodes of one server are a copy and its origin.
    pub server: u8,
    /// How often it was promoted.
    pub timeline: u8,
    /// Whether the server runs.
    pub alive: bool,
    /// Whether clients write.
    pub open: bool,
    /// The stored node.
    pub identity: Option<Identity>,
    pub sequences: Vec<Sequence>,
    pub sessions: Vec<Session>,
    /// The next step of its protocol.
    pub step: u8,
    /// The next transaction within that step.
    pub part: u8,
    /// How many values clients will still draw.
    pub draws: u8,
}

/// A sequence, its record, and the table that it feeds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sequence {
    pub start: i64,
    pub increment: i64,
    pub last_value: i64,
    pub is_called: bool,
    /// The increment and START before the first set-up.
    pub former: Option<(i64, i64)>,
    /// What it handed out before its last set-up: step, offset, until.
    pub history: Vec<(u64, i64, i64)>,
    pub restart: Option<i64>,
    pub promoted: bool,
    pub gap_left: i64,
    /// Values drawn here that are not in the table yet.
    pub in_flight: Values,
    /// The table.
    pub rows: Values,
    /// The rows that were inserted here, and are replicated to the others.
    pub local: Values,
}

/// A session of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Session {
    /// The node that it knows.
    pub identity: Option<Identity>,
    /// The sequences that its open transaction has drawn from, and holds locks on.
    pub holds: u8,
    /// Values that it has fetched and not handed out yet, for each sequence: the next one, the
    /// increment, how many.
    pub cached: Vec<Option<(i64, i64, u8)>>,
}

/// The data of a node that is copied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Copy {
    pub identity: Option<Identity>,
    pub sequences: Vec<Sequence>,
}

impl Copy {
    /// The committed data of a node.
    pub fn of(node: &Node) -> Self {
        let mut sequences = node.sequences.clone();
        sequences.iter_mut().for_each(|sequence| sequence.in_flight = 0);
        Self { identity: node.identity, sequences }
    }
}

/// The state of a node, as it was given to the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GivenState {
    pub server: u8,
    pub timeline: u8,
    pub identity: Option<Identity>,
    /// Whether the node has left, and this is its last state.
    pub left: bool,
    pub sequences: Vec<GivenSequence>,
}

/// The state of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GivenSequence {
    pub increment: i64,
    pub next_value: i64,
    pub last_value: Option<i64>,
    pub maximum: Option<i64>,
    pub rows: Rows,
    pub drawn_on: bool,
    pub block: Option<u64>,
    pub restart: Option<i64>,
    pub history: Vec<(u64, i64, i64)>,
    /// Whether its column is one that is not read.
    pub unread: bool,
}

impl Sequence {
    /// A sequence as `CREATE SEQUENCE` makes it.
    pub fn fresh(sign: i64) -> Self {
        Self {
            start: sign,
            increment: sign,
            last_value: sign,
            is_called: false,
            former: None,
            history: vec![],
            restart: None,
            promoted: false,
            gap_left: 0,
            in_flight: 0,
            rows: 0,
            local: 0,
        }
    }

    /// `nextval` as in PostgreSQL: fetches `cache` values, and hands out the first.
    pub fn nextval(&mut self, cached: &mut Option<(i64, i64, u8)>, cache: u8) -> i64 {
        let (next, increment, left) = cached.take().unwrap_or_else(|| {
            let first = if self.is_called { self.last_value + self.increment } else { self.last_value };
            self.last_value = first + self.increment * (i64::from(cache) - 1);
            self.is_called = true;
            (first, self.increment, cache)
        });
        *cached = (left > 1).then_some((next + increment, increment, left - 1));
        next
    }
}
