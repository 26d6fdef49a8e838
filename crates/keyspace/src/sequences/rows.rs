//! The rows of a node, as far as other nodes need them: the furthest of each class.

use serde::{Deserialize, Serialize};

use super::class::{Class, Residue};

/// The furthest row of each class in the columns of a sequence, and what is unknown about the rows
/// behind them.
///
/// The number of classes is a multiple of the number of nodes, so that a node whose class is a part
/// of another's finds its own, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// How many classes are distinguished; 0 if nothing is known about classes.
    pub modulus: u32,
    /// The furthest row of each class that has rows.
    #[serde(default)]
    pub furthest: Vec<i64>,
    /// If not all rows were read, those at or before this one were not. They may include rows of
    /// classes that have none in `furthest`.
    #[serde(default)]
    pub unread: Option<i64>,
}

/// How far the rows of a node have come within certain values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The furthest known row.
    pub known: Option<i64>,
    /// The furthest possible row beyond that.
    pub possible: Option<i64>,
}

impl Rows {
    /// How many classes a node distinguishes: a multiple of its nodes, which includes the parts
    /// that their classes may be split into while there are few nodes.
    pub const fn modulus(class: Option<Class>) -> u32 {
        let nodes = match class {
            Some(class) => class.nodes().unsigned_abs(),
            None => 2,
        };
        match nodes {
            ..=8 => nodes * 12,
            9..=16 => nodes * 6,
            17..=32_767 => nodes * 2,
            _ => nodes,
        }
    }

    /// The rows of a version 1 state, which has only the furthest rows of the other nodes' classes
    /// among the last rows.
    pub(super) fn of_last(class: Option<Class>, others: Vec<i64>, maximum: Option<i64>) -> Self {
        let modulus = class.map_or(0, |class| class.nodes().unsigned_abs());
        let furthest = others.into_iter().chain(maximum).collect();
        Self { modulus, furthest, unread: maximum }
    }

    /// How far the rows have come within `values`, in the direction of a sequence. `maximum` is the
    /// furthest row of all.
    ///
    /// If each value stands for a block of ids, only the rows in this state are searched: the
    /// application decides which ids of a block it uses.
    pub fn reached(&self, values: Residue, maximum: Option<i64>, ascending: bool, blocks: bool) -> Reached {
        let furthest = |values: &mut dyn Iterator<Item = i64>| {
            if ascending { values.max() } else { values.min() }
        };
        let reported = self.furthest.iter().copied().chain(maximum);
        let known = furthest(&mut reported.clone().filter(|row| values.contains(i128::from(*row))));
        if blocks {
            return Reached { known, possible: None };
        }
        let mut bounds: Vec<i64> = Vec::new();
        let modulus = i128::from(self.modulus);
        if modulus == 0 {
            bounds.extend(maximum);
        } else {
            // The number of classes that meet `values`, and the known rows of these classes.
            let common = gcd(modulus, values.modulus());
            let classes = usize::try_from(modulus / common).unwrap_or(usize::MAX);
            let meets = |row: &i64| Residue::through(i128::from(*row), u64::from(self.modulus)).meets(values);
            let mut of_classes: Vec<i64> = self.furthest.iter().copied().filter(meets).collect();
            // If a class also has other values, the rows in question can be anywhere behind its
            // furthest.
            bounds.extend(of_classes.iter().filter(|row| !values.contains(i128::from(**row))));
            of_classes.iter_mut().for_each(|row| *row = row.rem_euclid(i64::from(self.modulus)));
            of_classes.sort_unstable();
            of_classes.dedup();
            if of_classes.len() < classes {
                bounds.extend(self.unread);
            }
        }
        let is_past = |bound: &i64| match known {
            Some(known) if ascending => *bound > known,
            Some(known) => *bound < known,
            None => true,
        };
        Reached { known, possible: furthest(&mut bounds.into_iter().filter(is_past)) }
    }
}

const fn gcd(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn class(node: i32, nodes: i32) -> Class {
        Class::new(node, nodes).expect("a class")
    }

    /// The state of a node that has these rows and has read the last `looked_at` of them.
    fn reported(rows: &[i64], modulus: u32, looked_at: usize) -> Rows {
        let mut reported = Rows { modulus, ..Rows::default() };
        for (at, row) in rows.iter().rev().enumerate() {
            if at == looked_at {
                reported.unread = Some(*row);
                break;
            }
            let is_new = |known: &i64| (known - row) % i64::from(modulus) != 0;
            if reported.furthest.iter().all(is_new) {
                reported.furthest.push(*row);
            }
        }
        reported
    }

    #[test]
    fn fault_b12_rows_behind_many_of_another_class_are_reported() {
        // Node 2 of 2 has 200 rows of its own beyond the last row of node 1.
        let rows: Vec<i64> = (1..=101).chain((102..=500).step_by(2)).collect();
        let odd = class(1, 2).residue();
        let all = reported(&rows, Rows::modulus(Some(class(2, 2))), usize::MAX);
        assert_eq!(
            all.reached(odd, Some(500), true, false),
            Reached { known: Some(101), possible: None },
            "{all:?}"
        );
        let last = reported(&rows, 24, 64);
        assert_eq!(last.reached(odd, Some(500), true, false), Reached { known: None, possible: Some(372) });
        let former = Rows::of_last(Some(class(2, 2)), vec![], Some(500));
        assert_eq!(former.reached(odd, Some(500), true, false), Reached { known: None, possible: Some(500) });
        // A part of the class of node 1, and blocks of ids.
        assert_eq!(all.reached(class(3, 4).residue(), Some(500), true, false).known, Some(99));
        assert_eq!(last.reached(Residue::through(1, 100), Some(500), true, true), Reached::default());
        assert_eq!(Rows::default().reached(odd, Some(-3), false, false).known, Some(-3));
    }

    proptest! {
        #[test]
        fn fault_b12_nothing_lies_beyond_what_may_be_there(
            mut rows in prop::collection::vec(-300..300_i64, 0..60), looked_at in 0..80_usize,
            nodes in 2..=40_i32, own in 2..=12_i32, pick: u16, ascending: bool,
        ) {
            rows.sort_unstable();
            if !ascending {
                rows.reverse();
            }
            let maximum = rows.last().copied();
            let reported = reported(&rows, Rows::modulus(Some(class(1, nodes))), looked_at);
            let values = class(1 + i32::from(pick) % own, own).residue();
            let reached = reported.reached(values, maximum, ascending, false);
            let furthest = rows.iter().rfind(|row| values.contains(i128::from(**row))).copied();
            let direction = if ascending { 1 } else { -1 };
            let bound = reached.known.into_iter().chain(reached.possible).map(|row| row * direction).max();
            prop_assert!(bound >= furthest.map(|row| row * direction), "{reached:?} {furthest:?}");
            if reached.possible.is_none() {
                prop_assert_eq!(reached.known, furthest);
            }
            if looked_at >= rows.len() && nodes % own == 0 {
                prop_assert_eq!(reached.possible, None, "all was looked at");
            }
        }
    }
}
