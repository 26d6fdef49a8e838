//! States over time: how fast the nodes use ids, and time for a gap that covers the set-up.
//!
//! A set-up leaves twice the ids that another node uses between its last state and the moment in
//! which the set-up gets that state. If the set-up began at once, that time would be nearly nothing,
//! and the gap would cover nothing of what the other node uses until its own set-up. So two states
//! of each node are taken some time apart, then the same time passes again, and then all nodes are
//! set up at once. The gap covers them if a set-up takes no longer than this time, and the check at
//! the end proves it.

use std::time::Duration;

use keyspace::sequences::{NodeState, SequenceName, SequenceState};

use crate::failure::Result;
use crate::interrupt;
use crate::session::Session;
use crate::states::{State, others, states};

/// The states of all nodes, taken up to two times.
pub struct Observed {
    rounds: Vec<Vec<State>>,
}

/// Whether a database draws ids: one of its sequences has given a value. One that only receives the
/// rows of others does not.
pub fn is_in_use(state: &NodeState) -> bool {
    state.sequences.values().any(|sequence| sequence.last_value.is_some())
}

/// The shortest time that shows a rate: what is used once in some seconds is missed in a shorter one,
/// and a burst in it is taken for the rule.
pub const SHORT: Duration = Duration::from_secs(10);

/// How long to observe nodes by default: as long as their set-ups may take, too.
pub fn default_time(states: &[State]) -> Duration {
    let most = states.iter().map(|state| state.state.sequences.len()).max().unwrap_or(0);
    SHORT + Duration::from_millis((5 * most as u64).min(120_000))
}

/// The sequences that were used, altered or created between two states of a node.
pub fn moved(before: &NodeState, after: &NodeState) -> Vec<String> {
    let is_moved = |name: &SequenceName, sequence: &SequenceState| {
        let of = |sequence: &SequenceState| (sequence.next_value, sequence.last_value);
        before.sequences.get(name).is_none_or(|earlier| of(earlier) != of(sequence))
    };
    let moved = after.sequences.iter().filter(|(name, sequence)| is_moved(name, sequence));
    moved.map(|(name, _)| name.to_string()).collect()
}

impl Observed {
    /// One state of each node.
    ///
    /// # Errors
    /// Those of the servers.
    pub fn once(sessions: &mut [Session]) -> Result<Self> {
        Ok(Self { rounds: vec![states(sessions)?] })
    }

    /// A second state of each node, and time for the gap, if one of them is being used.
    ///
    /// # Errors
    /// Those of the servers.
    pub fn again(&mut self, sessions: &mut [Session], time: Duration, say: impl Fn(&str)) -> Result<()> {
        say(&format!("observing the nodes for {} seconds", time.as_secs_f64().ceil()));
        if time < SHORT {
            say(&format!(
                "warning: in less than {} seconds, a sequence that is used seldom is not seen to be used, and no gap is left for it",
                SHORT.as_secs()
            ));
        }
        interrupt::sleep(time)?;
        let second = states(sessions)?;
        let is_used = self
            .last()
            .iter()
            .zip(&second)
            .any(|(before, after)| !moved(&before.state, &after.state).is_empty());
        self.rounds.push(second);
        if is_used {
            say("sequences are being used: the same time passes again, so that the gap covers the set-ups");
            interrupt::sleep(time)?;
        }
        Ok(())
    }

    /// The last states.
    pub fn last(&self) -> &[State] {
        self.rounds.last().map_or(&[], Vec::as_slice)
    }

    /// All documents of all other nodes, for the set-up of one.
    pub fn peers_of(&self, node: &str) -> Vec<String> {
        self.rounds.iter().flat_map(|states| others(states, node)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn state(next_value: i64, last_value: &str, maximum: i64) -> NodeState {
        let document = format!(
            r#"{{"version": 2, "node": null, "nodes": null, "system_identifier": 1, "timeline": 1, "database": "shop",
                "database_oid": 5, "started_at": "2026-01-31T12:00:00.000000Z", "time": "2026-01-31T12:00:00.000000Z",
                "sequences": {{"public": {{"a": {{"increment": 1, "next_value": {next_value}, "last_value": {last_value},
                                                 "maximum": {maximum}, "restart": null}}}}}}}}"#
        );
        NodeState::parse(&document).unwrap()
    }

    #[test]
    fn rows_that_arrive_are_no_draws() {
        assert!(!is_in_use(&state(1, "null", 50)));
        assert!(is_in_use(&state(3, "2", 50)));
        assert!(moved(&state(3, "2", 50), &state(3, "2", 90)).is_empty());
        assert_eq!(moved(&state(3, "2", 50), &state(4, "3", 50)), ["public.a"]);
        let empty = NodeState { sequences: std::collections::BTreeMap::new(), ..state(3, "2", 5) };
        assert_eq!(moved(&empty, &state(1, "null", 5)), ["public.a"], "a new sequence");
    }

    #[test]
    fn many_sequences_are_observed_for_longer() {
        let one = State { node: "one".to_owned(), document: String::new(), state: state(1, "null", 1) };
        assert_eq!(default_time(&[]), Duration::from_secs(10));
        assert_eq!(default_time(&[one]), Duration::from_millis(10_005));
    }
}
