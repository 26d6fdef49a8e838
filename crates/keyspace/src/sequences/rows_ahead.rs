//! The rows ahead of a sequence: those with values that it will hand out itself, or with ids of the
//! blocks that these values stand for.

use super::block::Counting;
use super::class::{Class, Residue};
use super::direction::Share;
use super::sequence::Sequence;

/// The values that a sequence will hand out.
///
/// If a value stands for a block of ids, an application makes them from the value upwards or
/// downwards. Which of the two is not known, so an id between two values can be of either block.
#[derive(Clone, Copy, Debug)]
pub struct Upcoming {
    ascending: bool,
    next: i128,
    values: Residue,
    size: u64,
}

impl Upcoming {
    /// The values of a sequence from its position on.
    pub fn of(sequence: &Sequence, class: Option<Class>) -> Self {
        let share = class.filter(|_| !sequence.is_drawn_on());
        let share = share.and_then(|class| Share::of(sequence, class, false));
        Self {
            ascending: sequence.increment > 0,
            next: sequence.next_value(),
            values: sequence.own_values(class),
            size: share.map_or(1, |share| share.size),
        }
    }

    /// Whether no id at or before this one can be of these values.
    fn has_passed(&self, row: i128) -> bool {
        let margin = i128::from(self.size) - 1;
        if self.ascending { row < self.next - margin } else { row > self.next + margin }
    }

    /// Whether the row is an id of these values if ids are counted up from them, and if they are
    /// counted down.
    fn includes(&self, row: i128) -> (bool, bool) {
        let (below, above) = (self.values.at_or_below(row), self.values.at_or_above(row));
        let is_upcoming = |value: i128| if self.ascending { value >= self.next } else { value <= self.next };
        let size = i128::from(self.size);
        (row - below < size && is_upcoming(below), above - row < size && is_upcoming(above))
    }

    /// Whether the row is an id of these values if ids are counted in this way.
    pub fn includes_counted(&self, row: i64, counting: Counting) -> bool {
        let (up, down) = self.includes(i128::from(row));
        match counting {
            Counting::Up => up,
            Counting::Down => down,
            Counting::Either => up || down,
        }
    }

    /// Whether the row may be an id of these values.
    pub fn may_include(&self, row: i64) -> bool {
        self.includes_counted(row, Counting::Either)
    }
}

/// The furthest rows ahead that were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsAhead {
    /// If ids are counted up from the values.
    up: Option<i64>,
    /// If they are counted down.
    down: Option<i64>,
}

impl RowsAhead {
    /// Takes a row in. Returns whether rows behind it can still matter.
    pub fn visit(&mut self, upcoming: &Upcoming, row: i64) -> bool {
        let (up, down) = upcoming.includes(i128::from(row));
        let further = |known: Option<i64>| {
            let known = known.unwrap_or(row);
            Some(if upcoming.ascending { known.max(row) } else { known.min(row) })
        };
        if up {
            self.up = further(self.up);
        }
        if down {
            self.down = further(self.down);
        }
        (self.up.is_none() || self.down.is_none()) && !upcoming.has_passed(i128::from(row))
    }

    /// The furthest row that the sequence will hand out, or that is one of its ids. With blocks,
    /// other nodes may be ahead, and rows between the values can be of their blocks: but not if
    /// there are such rows for both ways of counting, since all nodes count in the same way.
    pub fn certain(&self, upcoming: &Upcoming) -> Option<i64> {
        self.up.and(self.down).and(self.possible(upcoming))
    }

    /// The furthest row that may be one of its ids.
    pub fn possible(&self, upcoming: &Upcoming) -> Option<i64> {
        let rows = self.up.into_iter().chain(self.down);
        if upcoming.ascending { rows.max() } else { rows.min() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn upcoming(ascending: bool, next: i128, size: u64, nodes: u64) -> Upcoming {
        Upcoming { ascending, next, values: Residue::through(next, size * nodes), size }
    }

    fn found(upcoming: &Upcoming, rows: &[i64]) -> (Option<i64>, Option<i64>) {
        let mut found = RowsAhead::default();
        for row in rows {
            found.visit(upcoming, *row);
        }
        (found.certain(upcoming), found.possible(upcoming))
    }

    #[test]
    fn fault_b08_an_id_within_a_block_is_ahead() {
        // Node 3 of 5 will hand out the block of 51085, and an application has inserted 51111.
        let three = upcoming(true, 51_085, 86, 5);
        assert_eq!(found(&three, &[51_111]), (None, Some(51_111)), "or counted down by node 4");
        // fault_b29: if a guard says how they are counted, it is certain.
        let counted = |row, counting| three.includes_counted(row, counting);
        assert!(counted(51_111, Counting::Up) && !counted(51_111, Counting::Down));
        assert!(!counted(51_001, Counting::Up) && counted(51_001, Counting::Down));
        assert_eq!(found(&three, &[51_111, 51_001]), (Some(51_111), Some(51_111)), "in either case");
        assert_eq!(found(&three, &[51_085]), (Some(51_085), Some(51_085)));
        assert_eq!(found(&three, &[51_171, 50_999, 51_300]), (None, None));
        let down = upcoming(false, -51_085, 86, 5);
        assert_eq!(found(&down, &[-51_111, -51_001]), (Some(-51_111), Some(-51_111)));
        assert_eq!(found(&down, &[-51_171, -50_999]), (None, None));
        // Single ids.
        let single = upcoming(true, 7, 1, 2);
        assert_eq!(found(&single, &[5, 8, 9, 100]), (Some(9), Some(9)));
    }

    proptest! {
        #[test]
        fn fault_b08_blocks_of_other_nodes_ahead_are_no_finding(
            nodes in 2..=5_u64, size in 1..=60_u64, node in 0..5_u64, drawn in 0..200_u64, up: bool,
            id: prop::sample::Index, ascending: bool,
        ) {
            // All ids of the other nodes' blocks, and none that lies ahead, are of this node.
            let sign = if ascending { 1 } else { -1 };
            let (own, step) = (node % nodes, size * nodes);
            let next = i128::from(own * size + step * 20) * sign;
            let upcoming = upcoming(ascending, next, size, nodes);
            let other = |block: u64| block % nodes != own;
            let ids: Vec<i64> = (0..=20 * nodes + drawn).filter(|block| other(*block)).map(|block| {
                let value = i64::try_from(block * size).unwrap() * i64::try_from(sign).unwrap();
                let offset = i64::try_from(id.index(size as usize)).unwrap();
                if up { value + offset } else { value - offset }
            }).collect();
            prop_assert_eq!(found(&upcoming, &ids).0, None);
            // One of this node's own ids ahead may be one.
            let value = i64::try_from(next).unwrap();
            let offset = i64::try_from(id.index(size as usize)).unwrap();
            let ahead = if up { value + offset } else { value - offset };
            prop_assert!(upcoming.may_include(ahead));
            prop_assert!(found(&upcoming, &[ahead]).1.is_some());
        }
    }
}
