//! The state of a node, for the other nodes: the document of `interleaved_node_state()`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::class::{Class, Residue};
use super::history::PastValues;
use super::name::{ColumnName, SequenceName};
use super::pace::moment;
use super::range::up_to;
use super::rows::{Reached, Rows};
use crate::error::{Error, SqlState, sentence};

/// The version of the document that is written.
pub const VERSION: u32 = 2;
/// The previous version: its names are quoted, and it covers only the last rows.
const FORMER_VERSION: u32 = 1;
/// The maximum length of a document; the state of 100,000 sequences is shorter.
pub const LONGEST: usize = 64 * 1024 * 1024;

/// A node and its sequences, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// The number of the node; absent if the database has none.
    pub node: Option<i32>,
    /// The number of classes.
    pub nodes: Option<i32>,
    /// The server, as in `pg_control_system()`.
    pub system_identifier: i64,
    /// The timeline of the server, which goes up with each promotion.
    pub timeline: i32,
    /// The name of the database.
    pub database: String,
    /// The database, as in `pg_database.oid`.
    pub database_oid: u32,
    /// When the server was started; this differs between two copies of one server.
    pub started_at: String,
    /// When the document was created.
    pub time: String,
    /// Publications FOR ALL SEQUENCES, which offer its positions to other servers.
    pub sequence_publications: Vec<String>,
    /// Subscriptions that write other servers' positions over its own.
    pub sequence_subscriptions: Vec<String>,
    /// Whether the node has left for good and draws nothing any more. Its class is free then, and
    /// its values still count. Whoever passes its last state adds this.
    pub left: bool,
    /// The sequences.
    pub sequences: BTreeMap<SequenceName, SequenceState>,
}

/// The document, with its sequences in the form of a version.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<Sequences> {
    version: u32,
    node: Option<i32>,
    nodes: Option<i32>,
    system_identifier: i64,
    timeline: i32,
    database: String,
    database_oid: u32,
    started_at: String,
    time: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sequence_publications: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sequence_subscriptions: Vec<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    left: bool,
    sequences: Sequences,
}

/// By schema and name.
type BySchema<State> = BTreeMap<String, BTreeMap<String, State>>;

/// Only the version.
#[derive(Deserialize)]
struct Versioned {
    version: Option<u32>,
}

/// The state of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceState {
    /// `INCREMENT BY`.
    pub increment: i64,
    /// The value that it hands out next or, at its end, the last possible one.
    pub next_value: i64,
    /// The value that it handed out last; absent if it was never called.
    pub last_value: Option<i64>,
    /// `MINVALUE`; absent in version 1.
    #[serde(default)]
    pub min_value: Option<i64>,
    /// `MAXVALUE`; absent in version 1.
    #[serde(default)]
    pub max_value: Option<i64>,
    /// Whether its columns accept values beyond its range, of which the state tells nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rows_beyond: bool,
    /// If its position is trusted there: the first of the rows ahead that do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted: Option<i64>,
    /// Whether it wraps around at its end, and hands out its values again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cycles: bool,
    /// The furthest value in the columns that it feeds: the greatest, or the least if it descends.
    pub maximum: Option<i64>,
    /// The furthest values of each class in these columns.
    #[serde(default)]
    pub rows: Rows,
    /// Whether every column draws from it by `partitioned_nextval(sequence)`.
    #[serde(default)]
    pub drawn_on: bool,
    /// The value at which its last set-up restarted it; absent if unknown.
    pub restart: Option<i64>,
    /// How many ids each value stands for; absent if its increment is not that of a set-up, or
    /// may not be.
    #[serde(default)]
    pub block: Option<u64>,
    /// The columns that it feeds.
    #[serde(default)]
    pub columns: Vec<ColumnName>,
    /// The columns of these whose values are not compared with the sequence's, so that the state
    /// does not cover their rows.
    #[serde(default)]
    pub unread_columns: Vec<ColumnName>,
    /// The values that it handed out before that set-up, up to its value at the set-up.
    #[serde(default)]
    pub before_setup: Vec<PastValues>,
}

/// The state of a sequence in version 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormerSequenceState {
    increment: i64,
    next_value: i64,
    last_value: Option<i64>,
    maximum: Option<i64>,
    /// The furthest value of each class except the node's own, in the last rows of these columns.
    #[serde(default)]
    others: Vec<i64>,
    #[serde(default)]
    drawn_on: bool,
    restart: Option<i64>,
    #[serde(default)]
    block: Option<u64>,
    /// Quoted as on that node.
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    before_setup: Vec<PastValues>,
}

impl NodeState {
    /// Reads a document.
    ///
    /// # Errors
    /// 22023 if it is not a state, is of another version, or has values that contradict each other.
    pub fn parse(document: &str) -> Result<Self, Error> {
        let malformed = |reason: String| {
            let message = "invalid state of a peer";
            Error::new(SqlState::InvalidParameterValue, message)
                .detail(reason)
                .hint("Pass the unmodified result of interleaved_node_state() on the other node.")
        };
        if document.len() > LONGEST {
            return Err(malformed(format!("It has more than {LONGEST} bytes.")));
        }
        if !document.trim_start().starts_with('{') {
            return Err(malformed("It is not a JSON object.".to_owned()));
        }
        // Reading the document twice takes less memory than a tree of all values. The first pass
        // keeps only the version.
        let Versioned { version } =
            serde_json::from_str(document).map_err(|error| malformed(parse_error(&error)))?;
        let state = match version {
            Some(VERSION) => {
                let document: Document<BySchema<SequenceState>> =
                    serde_json::from_str(document).map_err(|error| malformed(parse_error(&error)))?;
                Self::of(document, |sequences| {
                    let of_schema = |(schema, sequences): (String, BTreeMap<String, SequenceState>)| {
                        sequences
                            .into_iter()
                            .map(move |(name, state)| (SequenceName::new([schema.clone(), name]), state))
                    };
                    Ok(sequences.into_iter().flat_map(of_schema).collect())
                })
            }
            Some(FORMER_VERSION) => {
                let document: Document<BTreeMap<String, FormerSequenceState>> =
                    serde_json::from_str(document).map_err(|error| malformed(parse_error(&error)))?;
                let class = document.node.zip(document.nodes);
                let class = class.and_then(|(node, nodes)| Class::new(node, nodes).ok());
                Self::of(document, |sequences| {
                    sequences.into_iter().map(|(name, state)| state.read(&name, class)).collect()
                })
            }
            Some(other) => {
                let message = format!("unsupported version {other} of a peer's state");
                return Err(Error::new(SqlState::InvalidParameterValue, message)
                    .detail(format!("Versions {FORMER_VERSION} and {VERSION} are supported."))
                    .hint("Update the extension on both nodes to the same version."));
            }
            None => return Err(malformed("It has no version.".to_owned())),
        };
        let state = state.map_err(malformed)?;
        state.check().map_err(malformed)?;
        Ok(state)
    }

    fn of<Sequences>(
        document: Document<Sequences>,
        read: impl FnOnce(Sequences) -> Result<BTreeMap<SequenceName, SequenceState>, String>,
    ) -> Result<Self, String> {
        Ok(Self {
            node: document.node,
            nodes: document.nodes,
            system_identifier: document.system_identifier,
            timeline: document.timeline,
            database: document.database,
            database_oid: document.database_oid,
            started_at: document.started_at,
            time: document.time,
            sequence_publications: document.sequence_publications,
            sequence_subscriptions: document.sequence_subscriptions,
            left: document.left,
            sequences: read(document.sequences)?,
        })
    }

    fn check(&self) -> Result<(), String> {
        if let (Some(node), Some(nodes)) = (self.node, self.nodes) {
            Class::new(node, nodes).map_err(|error| sentence(&error.message))?;
        } else if self.node.is_some() || self.nodes.is_some() {
            return Err("Only one of \"node\" and \"nodes\" is present.".to_owned());
        }
        for (name, sequence) in &self.sequences {
            if sequence.increment == 0
                || sequence.block == Some(0)
                || sequence.before_setup.iter().any(|past| past.step == 0)
            {
                return Err(format!("Sequence {name} has an increment of 0."));
            }
        }
        Ok(())
    }

    /// The document.
    pub fn to_json(&self) -> String {
        let mut sequences: BTreeMap<&str, BTreeMap<&str, &SequenceState>> = BTreeMap::new();
        for (name, state) in &self.sequences {
            let [schema, name] = name.parts();
            sequences.entry(schema).or_default().insert(name, state);
        }
        let document = Document {
            version: VERSION,
            node: self.node,
            nodes: self.nodes,
            system_identifier: self.system_identifier,
            timeline: self.timeline,
            database: self.database.clone(),
            database_oid: self.database_oid,
            started_at: self.started_at.clone(),
            time: self.time.clone(),
            sequence_publications: self.sequence_publications.clone(),
            sequence_subscriptions: self.sequence_subscriptions.clone(),
            left: self.left,
            sequences,
        };
        // There are only numbers, strings and maps with string keys, so this cannot fail.
        serde_json::to_string(&document).unwrap_or_default()
    }

    /// The class of the node, if it has one.
    pub fn class(&self) -> Option<Class> {
        Some(Class::new_unchecked(self.node?, self.nodes?))
    }

    /// The class whose values the node hands out from now on, if it has one and has not left.
    pub fn taken_class(&self) -> Option<Class> {
        self.class().filter(|_| !self.left)
    }

    /// When the document was created, by the clock of the node, in microseconds since 1970.
    pub fn taken_at(&self) -> Option<i64> {
        moment(&self.time)
    }

    /// Whether it is an older state of the same server, which has not been restarted since. The
    /// other state contains everything that it contains.
    pub fn is_superseded_by(&self, other: &Self) -> bool {
        self.is_of_same_database(other)
            && (self.timeline, &self.started_at) == (other.timeline, &other.started_at)
            && self.taken_at().zip(other.taken_at()).is_some_and(|(this, other)| this < other)
    }

    /// Whether the node has given up a part of its class since: the other state is a later one of
    /// the same server.
    pub fn was_split_into(&self, other: &Self) -> bool {
        let is_part = self.class().zip(other.class()).is_some_and(|(whole, part)| {
            part.nodes() % whole.nodes() == 0 && whole.contains(i64::from(part.node()))
        });
        is_part
            && self.is_of_same_database(other)
            && self.timeline == other.timeline
            && self.taken_at().zip(other.taken_at()).is_some_and(|(this, other)| this < other)
    }

    /// The node, for messages.
    pub fn name(&self) -> String {
        match self.class() {
            Some(class) => format!("node {} of {}", class.node(), class.nodes()),
            None => format!("database \"{}\"", self.database),
        }
    }

    /// Whether it is of the same database of the same server as another, or of a copy.
    pub fn is_of_same_database(&self, other: &Self) -> bool {
        (self.system_identifier, self.database_oid) == (other.system_identifier, other.database_oid)
    }
}

impl FormerSequenceState {
    fn read(self, name: &str, class: Option<Class>) -> Result<(SequenceName, SequenceState), String> {
        let columns = self.columns.iter().map(|column| {
            ColumnName::of_quoted(column).ok_or_else(|| format!("\"{column}\" is not a valid column name."))
        });
        let state = SequenceState {
            increment: self.increment,
            next_value: self.next_value,
            last_value: self.last_value,
            min_value: None,
            max_value: None,
            rows_beyond: false,
            trusted: None,
            cycles: false,
            maximum: self.maximum,
            rows: Rows::of_last(class, self.others, self.maximum),
            drawn_on: self.drawn_on,
            restart: self.restart,
            block: self.block,
            columns: columns.collect::<Result<_, _>>()?,
            unread_columns: Vec::new(),
            before_setup: self.before_setup,
        };
        let name = SequenceName::of_quoted(name)
            .ok_or_else(|| format!("\"{name}\" is not a valid sequence name."))?;
        Ok((name, state))
    }
}

impl SequenceState {
    /// The values that it hands out from now on.
    pub fn own_values(&self, class: Option<Class>) -> Residue {
        match class {
            Some(class) if self.drawn_on => class.residue(),
            _ => Residue::through(i128::from(self.next_value), self.increment.unsigned_abs()),
        }
    }

    /// Everything that the node has, and everything that its own set-up stayed clear of: nodes
    /// whose states are not available may use the values before its restart.
    pub(super) fn everything(&self) -> impl Iterator<Item = i64> {
        self.drawn().chain(self.maximum)
    }

    /// The same without rows.
    pub(super) fn drawn(&self) -> impl Iterator<Item = i64> {
        let pasts = self.before_setup.iter().map(|past| past.until);
        let before_restart = self.restart.and_then(|restart| restart.checked_sub(self.increment.signum()));
        pasts.chain(self.last_drawn()).chain(before_restart)
    }

    /// The furthest value that it may have handed out. If it is not set up and has not been called,
    /// that is the value before its next one: a reset leaves a sequence like this, and no record of
    /// what it handed out before. A sequence that begins at 1 has handed out nothing.
    pub(super) fn last_drawn(&self) -> Option<i64> {
        let sign = self.increment.signum();
        let is_fresh = self.block.is_some() || self.restart.is_some() || self.next_value == sign;
        self.last_value.or_else(|| self.next_value.checked_sub(sign).filter(|_| !is_fresh))
    }

    /// How far it has come within a residue, by drawing or by rows.
    pub(super) fn within(&self, class: Option<Class>, values: Residue) -> impl Iterator<Item = i64> {
        let rows = self.rows(values);
        // A row between the values can be an id of any block, of which the state says nothing.
        let in_blocks = self.maximum.filter(|_| self.gives_blocks());
        self.drawn_within(class, values).chain(rows.known).chain(rows.possible).chain(in_blocks)
    }

    /// How far it has come within a residue by drawing.
    pub(super) fn drawn_within(&self, class: Option<Class>, values: Residue) -> impl Iterator<Item = i64> {
        let earlier =
            self.before_setup.iter().filter(move |past| past.values().meets_within(values, self.size()));
        let is_drawn = self.own_values(class).meets_within(values, self.size());
        let drawn = self.last_drawn().filter(|_| is_drawn);
        earlier.map(|past| past.until).chain(drawn)
    }

    /// The last value of its range, if known.
    pub(super) fn end(&self) -> Option<i64> {
        if self.increment > 0 { self.max_value } else { self.min_value }
    }

    /// The first value of its range, if known.
    pub(super) fn beginning(&self) -> Option<i64> {
        if self.increment > 0 { self.min_value } else { self.max_value }
    }

    /// Whether its range and another one have values in common, as far as they are known.
    pub(super) fn shares_range(&self, min_value: Option<i64>, max_value: Option<i64>) -> bool {
        let is_before = |a: Option<i64>, b: Option<i64>| a.zip(b).is_some_and(|(a, b)| a < b);
        !is_before(self.max_value, min_value) && !is_before(max_value, self.min_value)
    }

    /// A value of this sequence, as far as it matters to one whose range ends at `end`.
    pub(super) fn up_to(&self, value: i64, end: i64) -> Option<i64> {
        up_to(self.increment > 0, value, self.beginning(), end)
    }

    /// How far its rows have come within a residue.
    pub(super) fn rows(&self, values: Residue) -> Reached {
        self.rows.reached(values, self.maximum, self.increment > 0, self.gives_blocks())
    }

    /// Whether each of its values stands for several ids.
    pub(super) fn gives_blocks(&self) -> bool {
        self.size() > 1
    }

    /// How many ids each of its values stands for, as far as is known.
    pub(super) fn size(&self) -> u64 {
        self.block.unwrap_or(1)
    }

    /// The furthest of values in the sequence's direction.
    pub(super) fn furthest(&self, values: impl Iterator<Item = i64>) -> Option<i64> {
        if self.increment > 0 { values.max() } else { values.min() }
    }

    /// Whether `a` lies beyond `b` in the sequence's direction.
    pub(super) fn is_past(&self, a: i64, b: i64) -> bool {
        if self.increment > 0 { a > b } else { a < b }
    }

    /// Whether `a` lies at or beyond `b` in the sequence's direction.
    pub(super) fn reaches(&self, a: i64, b: i64) -> bool {
        if self.increment > 0 { a >= b } else { a <= b }
    }
}

/// For values that are left out if they are false.
#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A parser's message, as a sentence.
fn parse_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // A position in the text form of a jsonb value is of no use to the user.
    sentence(text.split(" at line ").next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const DOCUMENT: &str = r#"{"version": 2, "node": 1, "nodes": 2, "system_identifier": -7, "timeline": 1,
        "database": "shop", "database_oid": 5, "started_at": "then", "time": "now", "sequences": {"public": {"s":
        {"increment": 2, "next_value": 13, "last_value": 11, "maximum": 20, "restart": 9, "trusted": 99,
         "min_value": 1, "max_value": 100, "rows_beyond": true,
         "rows": {"modulus": 24, "furthest": [20, 11], "unread": null}, "columns": [["public", "t", "i.d"]],
         "before_setup": [{"step": 1, "offset": 8, "until": 8}]}}}}"#;

    const FORMER_DOCUMENT: &str = r#"{"version": 1, "node": 1, "nodes": 2, "system_identifier": -7, "timeline": 1,
        "database": "shop", "database_oid": 5, "started_at": "then", "time": "now", "sequences": {"\"public\".s":
        {"increment": 2, "next_value": 13, "last_value": 11, "maximum": 20, "others": [20], "restart": 9,
         "columns": ["public.t.\"i.d\""], "before_setup": [{"step": 1, "offset": 8, "until": 8}]}}}"#;

    fn sequence() -> SequenceState {
        let name = SequenceName::of_quoted("public.s").expect("a name");
        NodeState::parse(DOCUMENT).expect("a state").sequences.remove(&name).expect("there")
    }

    #[test]
    fn fault_b24_a_state_of_the_version_before_is_read() {
        let (former, state) =
            (NodeState::parse(FORMER_DOCUMENT).expect("a state"), NodeState::parse(DOCUMENT));
        let mut state = state.expect("a state");
        let sequence = state.sequences.values_mut().next().expect("there");
        sequence.rows = Rows { modulus: 2, furthest: vec![20, 20], unread: Some(20) };
        (sequence.min_value, sequence.max_value) = (None, None);
        (sequence.trusted, sequence.rows_beyond) = (None, false);
        assert_eq!(former, state);
        let error = FORMER_DOCUMENT.replace("public.t.", "");
        assert_eq!(NodeState::parse(&error).expect_err("refused").sqlstate.code(), "22023");
    }

    #[test]
    fn fault_a19_a_state_that_is_too_long_is_refused() {
        let long = format!("{}{}", DOCUMENT, " ".repeat(LONGEST));
        let error = NodeState::parse(&long).expect_err("refused");
        assert_eq!(error.sqlstate.code(), "22023");
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = NodeState::parse(DOCUMENT).expect("a state");
        assert_eq!(NodeState::parse(&state.to_json()), Ok(state));
    }

    #[test]
    fn an_invalid_state_is_refused() {
        let broken = |from: &str, to: &str| {
            let error = NodeState::parse(&DOCUMENT.replace(from, to)).expect_err(to);
            assert_eq!(error.sqlstate.code(), "22023");
            assert!(error.hint.is_some());
            error
        };
        for document in ["null", "{}", "[]", "17", r#""state""#, "{"] {
            assert_eq!(NodeState::parse(document).expect_err(document).sqlstate.code(), "22023");
        }
        assert_eq!(
            broken("\"version\": 2", "\"version\": 3").message,
            "unsupported version 3 of a peer's state"
        );
        broken("\"node\": 1", "\"node\": 3");
        broken("\"node\": 1,", "");
        broken("\"increment\": 2", "\"increment\": 0");
        broken("\"increment\": 2", "\"increment\": \"2\"");
        broken("\"increment\": 2", "\"increment\": 2, \"colour\": 1");
        broken("\"next_value\": 13", "\"next_value\": 99999999999999999999");
        broken("\"step\": 1", "\"step\": 0");
    }

    #[test]
    fn a_peer_without_a_class_has_everything() {
        let alone = SequenceState {
            increment: 1,
            next_value: 12,
            before_setup: vec![],
            rows: Rows { modulus: 24, furthest: vec![20, 11], unread: None },
            ..sequence()
        };
        let even = Class::new(2, 2).expect("a class").residue();
        assert_eq!(alone.furthest(alone.within(None, even)), Some(20));
        let rows = Rows { modulus: 24, furthest: vec![11], unread: None };
        let drawn_on = SequenceState { drawn_on: true, maximum: Some(11), rows, ..alone };
        assert_eq!(drawn_on.furthest(drawn_on.within(Class::new(1, 2).ok(), even)), None);
    }

    #[test]
    fn fault_b17_what_a_node_had_before_its_reset_counts() {
        // It was node 1 of 2, had reached 99, and has no rows with these values.
        let reset = SequenceState {
            increment: 1,
            next_value: 100,
            last_value: None,
            restart: None,
            block: None,
            maximum: Some(11),
            rows: Rows { modulus: 24, furthest: vec![11], unread: None },
            before_setup: vec![],
            ..sequence()
        };
        let odd = Class::new(1, 2).expect("a class").residue();
        assert_eq!(reset.furthest(reset.everything()), Some(99));
        assert_eq!(reset.furthest(reset.within(None, odd)), Some(99));
        let fresh = SequenceState { next_value: 1, maximum: None, rows: Rows::default(), ..reset };
        assert_eq!(fresh.furthest(fresh.everything()), None);
    }

    #[test]
    fn fault_b17_a_node_that_has_left_keeps_no_class() {
        let left = NodeState::parse(&DOCUMENT.replacen('{', r#"{"left": true, "#, 1)).expect("a state");
        assert_eq!((left.class(), left.taken_class()), (Class::new(1, 2).ok(), None));
        assert_eq!(NodeState::parse(&left.to_json()), Ok(left));
        assert!(!NodeState::parse(DOCUMENT).expect("a state").to_json().contains("left"));
    }

    #[test]
    fn fault_b18_the_freshest_state_of_a_server_counts() {
        let at = |second: u32, started_at: &str, nodes: i32| {
            let mut state = NodeState::parse(DOCUMENT).expect("a state");
            state.time = format!("2026-01-01T00:00:{second:02}.000000Z");
            (state.started_at, state.nodes) = (started_at.to_owned(), Some(nodes));
            state
        };
        let (before, after) = (at(1, "then", 2), at(2, "then", 4));
        assert!(before.is_superseded_by(&after) && !after.is_superseded_by(&before));
        assert!(before.was_split_into(&after) && !after.was_split_into(&before));
        // Restarted in between, or another server of the same identity.
        let other = at(2, "later", 4);
        assert!(!before.is_superseded_by(&other) && before.was_split_into(&other));
        assert!(!at(1, "then", 3).was_split_into(&other));
        assert!(!NodeState { timeline: 7, ..other }.is_superseded_by(&after));
    }
}
