//! What a node has done so far.

use serde::{Deserialize, Serialize};

use super::form::Form;
use super::position::Position;
use super::step::NodeStep;

/// The progress of a node. Positions are those of its own WAL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// The form of the rows that it sends.
    pub form: Form,
    /// How often it has changed this form.
    pub round: u32,
    /// Since where it sends rows of this form only: where it closed the former one, or changed to this
    /// one without that.
    pub entered: Position,
    /// Whether everything that it had sent before had arrived at all nodes by then. What is known from
    /// its slots can be less, because a crash sets them back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_arrived: bool,
    /// When it was prepared, by its own clock, in microseconds since 1970. Rows that have been
    /// changed since, here or by what was sent, have a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared_at: Option<i64>,
    /// A position after which everything that it sends is later than any change of a row that was
    /// without a key on any node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Position>,
    /// Where all of its rows had keys and, if keys were corrected, the last of these was written. A row
    /// keeps its key, even if a change of it arrives with another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filled: Option<Position>,
    /// Whether its rows have been compared with those of all other nodes, and no key differed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compared: bool,
    /// Whether what takes long before the end has been checked since the cut-over, so that writers need
    /// not wait for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checked: bool,
    /// Since where its writers wait: it sends no later row in this form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Position>,
    /// Where it announced that they will go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawing: Option<Position>,
}

impl Progress {
    /// The progress after a step that is allowed, and was done at this position and time.
    #[must_use]
    pub fn after(mut self, step: NodeStep, position: Position, clock: i64) -> Self {
        match step {
            NodeStep::Change(form) => {
                if self.form == Form::Unprepared {
                    self.prepared_at = Some(clock);
                }
                let entered = self.last_of_form().unwrap_or(position);
                (self.form, self.round, self.entered) = (form, self.round + 1, entered);
                (self.closed, self.withdrawing) = (None, None);
                (self.all_arrived, self.checked) = (false, false);
                if form == Form::Unprepared {
                    (self.prepared_at, self.mark, self.filled, self.compared) = (None, None, None, false);
                }
            }
            NodeStep::Mark => self.mark = Some(position),
            NodeStep::Fill => (self.filled, self.compared) = (Some(position), false),
            NodeStep::Compare => self.compared = true,
            NodeStep::Close => self.closed = Some(position),
            NodeStep::Withdraw => self.withdrawing = Some(position),
            NodeStep::Open => (self.closed, self.withdrawing) = (None, None),
        }
        self
    }

    /// The same after a step for which [`check_confirmed`](super::check_confirmed) was asked, too.
    #[must_use]
    pub fn after_confirmed(self, step: NodeStep, position: Position, clock: i64) -> Self {
        let mut after = self.after(step, position, clock);
        if matches!(step, NodeStep::Change(_)) {
            after.all_arrived = step.leaves(self.form);
        }
        after
    }

    /// As it is stored.
    pub fn to_json(&self) -> String {
        // There are only numbers, strings and truth values, so this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what is stored; `None` if another version of the library has stored it.
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Since where it sends nothing more in its present form, if it keeps to that.
    pub fn last_of_form(&self) -> Option<Position> {
        self.closed.filter(|_| self.withdrawing.is_none())
    }
}
