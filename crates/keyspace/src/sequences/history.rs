//! The values that a sequence handed out before it was set up.

use serde::{Deserialize, Serialize};

use super::class::Residue;

/// Values that a sequence handed out earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PastValues {
    /// The distance between the values.
    pub step: u64,
    /// One of the values.
    pub offset: i64,
    /// The value that the sequence had reached.
    pub until: i64,
}

impl PastValues {
    /// Adds the values handed out so far to the earlier ones, unless the sequence continues with
    /// the same values.
    pub fn extend(mut history: Vec<Self>, so_far: Option<Self>, next_values: Residue) -> Vec<Self> {
        if let Some(past) = so_far.filter(|past| !past.values().is_same(next_values)) {
            history.retain(|earlier| !earlier.values().is_same(past.values()));
            history.push(past);
        }
        history
    }

    /// Reads a list of past values. A list that cannot be read is empty.
    pub fn parse(document: &str) -> Vec<Self> {
        serde_json::from_str(document).unwrap_or_default()
    }

    /// Writes a list of past values.
    pub fn to_json(history: &[Self]) -> String {
        // There are only numbers, so this cannot fail.
        serde_json::to_string(history).unwrap_or_default()
    }

    /// The values.
    pub const fn values(&self) -> Residue {
        Residue::through(self.offset as i128, self.step)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::class::Class;
    use super::*;

    #[test]
    fn the_same_values_again_are_one_entry() {
        let every = |until| Some(PastValues { step: 1, offset: until, until });
        let odd = Class::new(1, 2).expect("a class").residue();
        let history = PastValues::extend(vec![], every(7), odd);
        assert_eq!(PastValues::extend(history.clone(), None, odd), history);
        assert_eq!(
            PastValues::extend(history.clone(), Some(PastValues { step: 2, offset: 9, until: 9 }), odd),
            history
        );
        assert_eq!(PastValues::extend(history, every(12), odd), [every(12).expect("there")]);
    }
}
