//! Values that one node had generated before its set-up, and that another one generates after its
//! own.

use super::node_state::{NodeState, SequenceState};
use crate::error::capitalized;

const RESTART_TOO_LOW: &str = "restart too low";
const MOVED_BACK: &str = "moved back";

/// Values that one node had generated before its set-up, and that the sequence of another one
/// generates after its own.
pub(super) struct GeneratedElsewhere {
    /// A few words, the same as in the documentation.
    pub(super) name: &'static str,
    /// The finding, as a sentence.
    pub(super) detail: String,
    /// Whether the sequence has not passed them yet.
    pub(super) lies_ahead: bool,
    /// Whether they lie beyond a trusted position.
    pub(super) is_trusted: bool,
    /// Whether a set-up has altered the sequence.
    pub(super) is_set_up: bool,
}

/// Whether `other` handed out values before its set-up that `its` hands out after its own (trap
/// S43), since it was moved back (fault B27), or without a set-up (fault B30).
pub(super) fn generated_elsewhere(
    a: &NodeState,
    its: &SequenceState,
    b: &NodeState,
    other: &SequenceState,
) -> Option<GeneratedElsewhere> {
    let (values, size) = (its.own_values(a.class()), its.size().max(other.size()));
    let from = |first: i64| {
        let of_range = |until: i64| its.end().map_or(Some(until), |end| other.up_to(until, end));
        let reached = |until: i64| of_range(until).filter(|until| its.reaches(*until, first));
        let mut earlier = other.before_setup.iter().filter(|phase| phase.values().meets_within(values, size));
        let earlier = earlier.find_map(|phase| reached(phase.until));
        // All that a node has drawn which has left lies in the past.
        let last = other.last_drawn().filter(|_| b.left).and_then(reached);
        let last = last.filter(|_| other.own_values(b.class()).meets_within(values, size));
        match (earlier, last) {
            (None, None) => None,
            (Some(until), None) => Some((until, "when it was set up")),
            (earlier, Some(last)) => {
                Some((earlier.filter(|until| its.reaches(*until, last)).unwrap_or(last), "before it left"))
            }
        }
    };
    let (who, which, next) = (capitalized(&b.name()), a.name(), its.next_value);
    if let Some((restart, (until, when))) = its.restart.and_then(|restart| Some((restart, from(restart)?))) {
        return Some(GeneratedElsewhere {
            name: RESTART_TOO_LOW,
            detail: format!("{who} had reached {until} {when}, and {which} had restarted at {restart}."),
            lies_ahead: its.reaches(until, next),
            is_trusted: false,
            is_set_up: true,
        });
    }
    // A sequence that cycles comes back by itself.
    let generates = a.taken_class().is_some() && !its.cycles;
    let (until, when) = from(next).filter(|_| generates)?;
    let is_trusted = its.trusted.is_some_and(|first| !its.is_past(first, until));
    let (name, detail) = match its.restart {
        // Its set-up had restarted it above what others had.
        Some(restart) => (
            MOVED_BACK,
            format!(
                "{who} had reached {until} {when}, and {which} had restarted at {restart}, but its next value is {next} now."
            ),
        ),
        // No set-up has altered it: partitioned_nextval() draws from it as it is.
        None => (
            RESTART_TOO_LOW,
            format!(
                "{who} had reached {until} {when}, and the next value on {which} is {next}. There is no record of a set-up."
            ),
        ),
    };
    Some(GeneratedElsewhere { name, detail, lies_ahead: true, is_trusted, is_set_up: its.restart.is_some() })
}
