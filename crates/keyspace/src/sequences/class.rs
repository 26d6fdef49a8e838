//! The arithmetic of classes: the values congruent to `node` modulo `nodes`.

use crate::error::{Error, SqlState};

/// The class of one node: every value congruent to `node` modulo `nodes`. Node 1 of 2 has the odd
/// values, node 2 of 2 the even ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    node: i32,
    nodes: i32,
}

impl Class {
    /// The least number of nodes that makes a class.
    pub const MIN_NODES: i32 = 2;
    /// The greatest number of nodes.
    pub const MAX_NODES: i32 = 65_535;

    /// The class of `node`, which counts from 1, out of `nodes`.
    ///
    /// # Errors
    /// 22023 where `nodes` is not within 2 to 65,535, or `node` not within 1 to `nodes`.
    pub fn new(node: i32, nodes: i32) -> Result<Self, Error> {
        if !(Self::MIN_NODES..=Self::MAX_NODES).contains(&nodes) {
            let error = Error::new(
                SqlState::InvalidParameterValue,
                format!("nodes must be between {} and {}, not {nodes}", Self::MIN_NODES, Self::MAX_NODES),
            );
            return Err(error.hint(
                "Give the number of classes that the values are split into: at least one for each server that writes.",
            ));
        }
        if !(1..=nodes).contains(&node) {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("node must be between 1 and {nodes}, not {node}"),
            )
            .hint("Nodes are numbered from 1, and every server that writes has a number of its own."));
        }
        Ok(Self { node, nodes })
    }

    /// The node's number, from 1.
    pub const fn node(self) -> i32 {
        self.node
    }

    /// The number of classes.
    pub const fn nodes(self) -> i32 {
        self.nodes
    }

    /// Whether a value belongs to this class. Negative values do by the Euclidean remainder: -1 is odd.
    #[inline]
    pub const fn contains(self, value: i64) -> bool {
        // node is at most nodes, and node = nodes stands for the remainder 0.
        value.rem_euclid(self.nodes as i64) == (self.node % self.nodes) as i64
    }

    /// The node, from 1, to whose class a value belongs.
    pub const fn node_of(self, value: i64) -> i64 {
        match value.rem_euclid(self.nodes as i64) {
            0 => self.nodes as i64,
            remainder => remainder,
        }
    }

    /// The least value of the class that is not below `value`.
    pub const fn at_or_above(self, value: i128) -> i128 {
        value + (self.node as i128 - value).rem_euclid(self.nodes as i128)
    }

    /// The greatest value of the class that is not above `value`.
    pub const fn at_or_below(self, value: i128) -> i128 {
        value - (value - self.node as i128).rem_euclid(self.nodes as i128)
    }

    /// Whether a sequence that has given `value` and steps by `increment` ever comes to this class,
    /// as long as it does not wrap around.
    #[inline]
    pub const fn is_reachable(self, value: i64, increment: i64) -> bool {
        let step = gcd(increment.unsigned_abs(), self.nodes as u64);
        (value as i128 - self.node as i128).rem_euclid(step as i128) == 0
    }

    /// Whether a sequence that has just given `value`, which is not of this class, comes to the class
    /// before it wraps around, or after it has done so once. A sequence that does not cycle is left to
    /// raise its own error at its end.
    pub fn is_ahead(self, value: i64, progression: &Progression) -> bool {
        let increment = progression.increment;
        if !self.is_reachable(value, increment) {
            return false;
        }
        // As many steps as there are nodes pass through every residue that can be reached at all.
        let a_round = i128::from(value) + i128::from(increment) * i128::from(self.nodes);
        if !progression.cycle || progression.holds(a_round) {
            return true;
        }
        let restart = if increment > 0 { progression.min_value } else { progression.max_value };
        self.is_met(value, progression) || self.is_met(restart, progression)
    }

    /// Whether one of the values from `value` to the end of the range is of this class.
    fn is_met(self, value: i64, progression: &Progression) -> bool {
        (0..i128::from(self.nodes))
            .map(|step| i128::from(value) + step * i128::from(progression.increment))
            .take_while(|value| progression.holds(*value))
            .any(|value| self.at_or_above(value) == value)
    }
}

/// How a sequence goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progression {
    /// `INCREMENT BY`, never 0.
    pub increment: i64,
    /// `MINVALUE`.
    pub min_value: i64,
    /// `MAXVALUE`.
    pub max_value: i64,
    /// Whether it wraps around at its end.
    pub cycle: bool,
}

impl Progression {
    fn holds(&self, value: i128) -> bool {
        (i128::from(self.min_value)..=i128::from(self.max_value)).contains(&value)
    }
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
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

    #[test]
    fn trap_s35_a_node_outside_its_range_is_refused() {
        for (node, nodes) in [(0, 2), (3, 2), (-1, 2), (i32::MIN, 2), (1, 1), (1, 0), (1, -2), (1, 65_536)] {
            let error = Class::new(node, nodes).expect_err("refused");
            assert_eq!(error.sqlstate.code(), "22023", "{node} of {nodes}");
            assert!(error.hint.is_some());
        }
        assert!(Class::new(65_535, 65_535).is_ok());
    }

    #[test]
    fn trap_s07_negative_values_have_a_class() {
        assert!(class(1, 2).contains(-1));
        assert!(class(2, 2).contains(-2));
        assert!(class(1, 3).contains(-2));
        assert!(!class(1, 3).contains(-3));
        assert_eq!(class(1, 3).at_or_above(-3), -2);
        assert_eq!(class(2, 2).at_or_below(-1), -2);
    }

    #[test]
    fn trap_s41_a_class_out_of_reach_is_known_by_arithmetic() {
        assert!(!class(2, 2).is_reachable(1, 2), "an odd sequence with an even step never becomes even");
        assert!(class(2, 2).is_reachable(1, 1));
        assert!(class(2, 4).is_reachable(8, 6), "8, 14");
        assert!(!class(1, 4).is_reachable(8, 6));
    }

    #[test]
    fn trap_s41_a_cycle_too_short_for_the_class_is_known_by_arithmetic() {
        let short = Progression { increment: 1, min_value: 1, max_value: 3, cycle: true };
        assert!(!class(4, 5).is_ahead(1, &short), "1, 2, 3, 1, 2, 3 ...");
        assert!(class(3, 5).is_ahead(1, &short));
        assert!(class(1, 5).is_ahead(3, &short), "after the wrap");
        assert!(
            class(4, 5).is_ahead(1, &Progression { cycle: false, ..short }),
            "it ends in PostgreSQL's own error"
        );
    }

    proptest! {
        #[test]
        fn what_lies_ahead_of_a_cycle_agrees_with_drawing(
            low in -30..30_i64, size in 0..60_i64, offset in 0..60_i64, increment in -7..7_i64,
            nodes in 2..=12_i32, pick: u16,
        ) {
            prop_assume!(increment != 0 && offset <= size);
            let (class, value) = (class(1 + i32::from(pick) % nodes, nodes), low + offset);
            prop_assume!(!class.contains(value));
            let cycle = Progression { increment, min_value: low, max_value: low + size, cycle: true };
            let mut drawn = value;
            let mut next = || {
                drawn += increment;
                if !cycle.holds(i128::from(drawn)) {
                    drawn = if increment > 0 { cycle.min_value } else { cycle.max_value };
                }
                drawn
            };
            let met = (0..200).any(|_| class.contains(next()));
            // A class that only the wrap brings within reach is given up at once; what is promised must come.
            if class.is_ahead(value, &cycle) {
                prop_assert!(met);
            } else {
                prop_assert!(!met || !class.is_reachable(value, increment));
            }
        }

        #[test]
        fn every_value_has_exactly_one_node(value: i64, nodes in 2..=64_i32) {
            let owners = (1..=nodes).filter(|&node| class(node, nodes).contains(value)).count();
            prop_assert_eq!(owners, 1);
        }

        #[test]
        fn neighbours_are_in_class_and_nearest(value: i64, nodes in 2..=300_i32, pick: u16) {
            let class = class(1 + i32::from(pick) % nodes, nodes);
            let (above, below) = (class.at_or_above(i128::from(value)), class.at_or_below(i128::from(value)));
            let n = i128::from(nodes);
            for found in [above, below] {
                prop_assert_eq!(found.rem_euclid(n), i128::from(class.node()).rem_euclid(n));
            }
            prop_assert!((0..n).contains(&(above - i128::from(value))));
            prop_assert!((0..n).contains(&(i128::from(value) - below)));
        }

        #[test]
        fn reachability_agrees_with_brute_force(
            value in -1_000..1_000_i64, increment in -40..40_i64, nodes in 2..=24_i32, pick: u16,
        ) {
            prop_assume!(increment != 0);
            let class = class(1 + i32::from(pick) % nodes, nodes);
            // The residues repeat after `nodes` steps at the latest.
            let drawn = (0..i64::from(nodes)).any(|step| class.contains(value + step * increment));
            prop_assert_eq!(class.is_reachable(value, increment), drawn);
        }
    }
}
