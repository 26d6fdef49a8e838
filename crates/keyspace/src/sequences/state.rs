//! What a node tells the others of itself: the document of `interleaved_node_state()`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::class::{Class, Residue};
use super::sequence::Sequence;
use crate::error::{Error, SqlState};
use crate::sentence::sentence;

/// The version of the document that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// A node and its sequences, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeState {
    /// The version of the document.
    pub version: u32,
    /// The number of the node; absent where the database has none.
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
    /// When the server was started: two copies of one server differ in it.
    pub started_at: String,
    /// When the document was made.
    pub time: String,
    /// Publications of ALL SEQUENCES, which offer its positions to other servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequence_publications: Vec<String>,
    /// Subscriptions that write other servers' positions over its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequence_subscriptions: Vec<String>,
    /// The sequences, by their full names.
    pub sequences: BTreeMap<String, SequenceState>,
}

/// What a node tells of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceState {
    /// `INCREMENT BY`.
    pub increment: i64,
    /// The value that it hands out next, at its end the last that it could.
    pub next_value: i64,
    /// The value that it has handed out last; absent where it was never called.
    pub last_value: Option<i64>,
    /// The furthest value in the columns that it feeds: the greatest, or the least where it descends.
    pub maximum: Option<i64>,
    /// Of the last rows of these columns the furthest of each class but the node's own.
    #[serde(default)]
    pub others: Vec<i64>,
    /// Whether every column draws from it by `partitioned_nextval(sequence)`.
    #[serde(default)]
    pub drawn_on: bool,
    /// Where its last set-up restarted it; absent where that is not known.
    pub restart: Option<i64>,
    /// How many ids each value stands for; absent where it steps as no set-up has made it.
    #[serde(default)]
    pub block: Option<u64>,
    /// The columns that it feeds, by their full names.
    #[serde(default)]
    pub columns: Vec<String>,
    /// What it handed out before that, and up to which value: its value at its set-up.
    #[serde(default)]
    pub before_setup: Vec<Phase>,
}

/// Values that a sequence handed out in earlier days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// How far the values lay apart.
    pub step: u64,
    /// One of the values.
    pub offset: i64,
    /// The last of them.
    pub until: i64,
}

impl Phase {
    /// What a sequence has handed out so far, where it has handed out anything.
    pub fn so_far(sequence: &Sequence, class: Option<Class>) -> Option<Self> {
        let values = sequence.own_values(class);
        let step = u64::try_from(values.modulus()).unwrap_or(1);
        let until = sequence.last_value;
        // What `partitioned_nextval` passes over is of other classes, and a crash leaves a sequence at any value: the
        // last one need not be one of those that were handed out.
        let nearest = [values.at_or_below(i128::from(until)), values.at_or_above(i128::from(until))];
        let offset = nearest.into_iter().find_map(|value| i64::try_from(value).ok()).unwrap_or(until);
        sequence.is_called.then_some(Self { step, offset, until })
    }

    /// Adds what a sequence has handed out so far to what it handed out before, unless it goes on with the same values.
    pub fn extend(mut phases: Vec<Self>, so_far: Option<Self>, goes_on_with: Residue) -> Vec<Self> {
        if let Some(phase) = so_far.filter(|phase| !phase.values().is_same(goes_on_with)) {
            phases.retain(|earlier| !earlier.values().is_same(phase.values()));
            phases.push(phase);
        }
        phases
    }

    /// Reads a list of them; one that cannot be read is empty.
    pub fn parse(document: &str) -> Vec<Self> {
        serde_json::from_str(document).unwrap_or_default()
    }

    /// Writes a list of them.
    pub fn to_json(phases: &[Self]) -> String {
        // Numbers only: there is nothing that could fail.
        serde_json::to_string(phases).unwrap_or_default()
    }

    /// The values.
    pub const fn values(&self) -> Residue {
        Residue::through(self.offset as i128, self.step)
    }
}

impl NodeState {
    /// Reads a document.
    ///
    /// # Errors
    /// 22023 where it is none, where it is of another version, or where its values contradict each other.
    pub fn parse(document: &str) -> Result<Self, Error> {
        let malformed = |reason: String| {
            let message = "a peer's state is not what interleaved_node_state() returns";
            Error::new(SqlState::InvalidParameterValue, message)
                .detail(reason)
                .hint("Pass the result of interleaved_node_state() of the other node as it is.")
        };
        let value: serde_json::Value =
            serde_json::from_str(document).map_err(|error| malformed(said(&error)))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(other) => {
                let message = format!("a peer's state is of version {other}");
                return Err(Error::new(SqlState::InvalidParameterValue, message)
                    .detail(format!("Only version {VERSION} can be read."))
                    .hint("Update the extension on both nodes to the same version."));
            }
            None if value.is_object() => return Err(malformed("It has no version.".to_owned())),
            None => return Err(malformed("It is not an object.".to_owned())),
        }
        let state: Self = serde_json::from_value(value).map_err(|error| malformed(said(&error)))?;
        state.check().map_err(malformed)?;
        Ok(state)
    }

    fn check(&self) -> Result<(), String> {
        if let (Some(node), Some(nodes)) = (self.node, self.nodes) {
            Class::new(node, nodes).map_err(|error| format!("There, {}.", error.message))?;
        } else if self.node.is_some() || self.nodes.is_some() {
            return Err("Only one of \"node\" and \"nodes\" is there.".to_owned());
        }
        for (name, sequence) in &self.sequences {
            if sequence.increment == 0
                || sequence.block == Some(0)
                || sequence.before_setup.iter().any(|phase| phase.step == 0)
            {
                return Err(format!("Sequence {name} has an increment of 0."));
            }
        }
        Ok(())
    }

    /// The document.
    pub fn to_json(&self) -> String {
        // Numbers, strings and maps with string keys: there is nothing that could fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The class of the node, where it has one.
    pub fn class(&self) -> Option<Class> {
        Some(Class::new_unchecked(self.node?, self.nodes?))
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

impl SequenceState {
    /// The values that it hands out from now on.
    pub fn own_values(&self, class: Option<Class>) -> Residue {
        match class {
            Some(class) if self.drawn_on => class.residue(),
            _ => Residue::through(i128::from(self.next_value), self.increment.unsigned_abs()),
        }
    }

    /// Everything that the node has, and what its own set-up stayed clear of: what lies before its restart may be in use
    /// by nodes whose states are not at hand.
    pub(super) fn everything(&self) -> impl Iterator<Item = i64> {
        let phases = self.before_setup.iter().map(|phase| phase.until);
        let before_restart = self.restart.and_then(|restart| restart.checked_sub(self.increment.signum()));
        phases.chain(self.last_value).chain(self.maximum).chain(before_restart)
    }

    /// How far it has come with values of a residue, by drawing or by rows.
    pub(super) fn within(&self, class: Option<Class>, values: Residue) -> impl Iterator<Item = i64> {
        let earlier = self.before_setup.iter().filter(move |phase| phase.values().meets(values));
        let drawn = self.last_value.filter(|_| self.own_values(class).meets(values));
        let rows = self.others.iter().copied().chain(self.maximum);
        let rows = rows.filter(move |row| values.contains(i128::from(*row)));
        earlier.map(|phase| phase.until).chain(drawn).chain(rows)
    }

    /// The furthest of values in the sequence's direction.
    pub(super) fn furthest(&self, values: impl Iterator<Item = i64>) -> Option<i64> {
        if self.increment > 0 { values.max() } else { values.min() }
    }

    /// Whether `a` lies at or beyond `b` in the sequence's direction.
    pub(super) fn reaches(&self, a: i64, b: i64) -> bool {
        if self.increment > 0 { a >= b } else { a <= b }
    }
}

/// What a parser says, as a sentence.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // Where it is in the text that jsonb was written as tells nobody anything.
    sentence(text.split(" at line ").next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const DOCUMENT: &str = r#"{"version": 1, "node": 1, "nodes": 2, "system_identifier": -7, "timeline": 1,
        "database": "shop", "database_oid": 5, "started_at": "then", "time": "now", "sequences": {"public.s":
        {"increment": 2, "next_value": 13, "last_value": 11, "maximum": 20, "others": [20], "restart": 9,
         "before_setup": [{"step": 1, "offset": 8, "until": 8}]}}}"#;

    fn sequence() -> SequenceState {
        NodeState::parse(DOCUMENT).expect("a state").sequences.remove("public.s").expect("there")
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = NodeState::parse(DOCUMENT).expect("a state");
        assert_eq!(NodeState::parse(&state.to_json()), Ok(state));
    }

    #[test]
    fn what_is_no_state_is_refused() {
        let broken = |from: &str, to: &str| {
            let error = NodeState::parse(&DOCUMENT.replace(from, to)).expect_err(to);
            assert_eq!(error.sqlstate.code(), "22023");
            assert!(error.hint.is_some());
            error
        };
        for document in ["null", "{}", "[]", "17", r#""state""#, "{"] {
            assert_eq!(NodeState::parse(document).expect_err(document).sqlstate.code(), "22023");
        }
        assert_eq!(broken("\"version\": 1", "\"version\": 2").message, "a peer's state is of version 2");
        broken("\"node\": 1", "\"node\": 3");
        broken("\"node\": 1,", "");
        broken("\"increment\": 2", "\"increment\": 0");
        broken("\"increment\": 2", "\"increment\": \"2\"");
        broken("\"increment\": 2", "\"increment\": 2, \"colour\": 1");
        broken("\"next_value\": 13", "\"next_value\": 99999999999999999999");
        broken("\"step\": 1", "\"step\": 0");
    }

    #[test]
    fn trap_s41_what_was_passed_over_does_not_stand_for_what_was_handed_out() {
        use super::super::sequence::{Draw, FedColumn, NumberType};
        let column = FedColumn {
            name: "public.t.id".to_owned(),
            number_type: Some(NumberType::Bigint),
            draw: Draw::OfThisNode,
            extreme: None,
            ahead: None,
        };
        // Of node 1 of 2, and after a crash at 4: it handed out 1 and 3.
        let sequence = Sequence {
            name: "public.s".to_owned(),
            number_type: NumberType::Bigint,
            start: 1,
            increment: 1,
            min_value: 1,
            max_value: i64::MAX,
            cycle: false,
            unlogged: false,
            replicated: None,
            last_value: 4,
            is_called: true,
            former: None,
            phases: vec![],
            promoted: false,
            gap_left: 0,
            elsewhere: vec![],
            columns: vec![column],
        };
        let odd = Class::new(1, 2).expect("a class");
        for last_value in [4, -4, i64::MAX, i64::MIN, i64::MIN + 1] {
            let sequence = Sequence { last_value, ..sequence.clone() };
            let phase = Phase::so_far(&sequence, Some(odd)).expect("called");
            assert!(phase.values().is_same(odd.residue()), "{phase:?}");
            assert_eq!(phase.until, last_value);
        }
    }

    #[test]
    fn what_a_sequence_hands_out_again_is_one_phase() {
        let every = |until| Some(Phase { step: 1, offset: until, until });
        let odd = Class::new(1, 2).expect("a class").residue();
        let phases = Phase::extend(vec![], every(7), odd);
        assert_eq!(Phase::extend(phases.clone(), None, odd), phases);
        assert_eq!(Phase::extend(phases.clone(), Some(Phase { step: 2, offset: 9, until: 9 }), odd), phases);
        assert_eq!(Phase::extend(phases, every(12), odd), [every(12).expect("there")]);
    }

    #[test]
    fn a_peer_without_a_class_has_everything() {
        let alone = SequenceState {
            increment: 1,
            next_value: 12,
            before_setup: vec![],
            others: vec![],
            ..sequence()
        };
        let even = Class::new(2, 2).expect("a class").residue();
        assert_eq!(alone.furthest(alone.within(None, even)), Some(20));
        let drawn_on = SequenceState { drawn_on: true, maximum: Some(11), ..alone };
        assert_eq!(drawn_on.furthest(drawn_on.within(Class::new(1, 2).ok(), even)), None);
    }
}
