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
    /// the same values. A sequence that was moved back has still handed out the earlier ones.
    pub fn extend(
        mut history: Vec<Self>,
        so_far: Option<Self>,
        next_values: Residue,
        ascending: bool,
    ) -> Vec<Self> {
        if let Some(mut past) = so_far.filter(|past| !past.values().is_same(next_values)) {
            let values = past.values();
            for same in history.extract_if(.., |earlier| earlier.values().is_same(values)) {
                past.until = if ascending { past.until.max(same.until) } else { past.until.min(same.until) };
            }
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
        let extend = |history: &[PastValues], so_far: Option<PastValues>, ascending: bool| {
            PastValues::extend(history.to_vec(), so_far, odd, ascending)
        };
        let history = extend(&[], every(7), true);
        assert_eq!(extend(&history, None, true), history);
        assert_eq!(extend(&history, Some(PastValues { step: 2, offset: 9, until: 9 }), true), history);
        assert_eq!(extend(&history, every(12), true), [every(12).expect("there")]);
        let untils = |history: Vec<PastValues>| history.iter().map(|past| past.until).collect::<Vec<_>>();
        assert_eq!(untils(extend(&history, every(3), true)), [7], "it was moved back");
        assert_eq!(untils(extend(&history, every(3), false)), [3]);
        assert_eq!(untils(extend(&history, every(12), false)), [7]);
    }
}
