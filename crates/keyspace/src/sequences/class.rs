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
    /// The smallest number of nodes.
    pub const MIN_NODES: i32 = 2;
    /// The largest number of nodes.
    pub const MAX_NODES: i32 = 65_535;

    /// The class of `node`, which counts from 1, out of `nodes`.
    ///
    /// # Errors
    /// 22023 if `nodes` is not between 2 and 65,535, or `node` is not between 1 and `nodes`.
    pub fn new(node: i32, nodes: i32) -> Result<Self, Error> {
        if !(Self::MIN_NODES..=Self::MAX_NODES).contains(&nodes) {
            let error = Error::new(
                SqlState::InvalidParameterValue,
                format!("nodes must be between {} and {}, not {nodes}", Self::MIN_NODES, Self::MAX_NODES),
            );
            return Err(error.hint(
                "Specify the number of classes to split the values into: at least one for each server that accepts writes.",
            ));
        }
        if !(1..=nodes).contains(&node) {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("node must be between 1 and {nodes}, not {node}"),
            )
            .hint("Nodes are numbered from 1, and each server that accepts writes needs its own number."));
        }
        Ok(Self { node, nodes })
    }

    /// Whether `node` of `nodes` is a class.
    #[inline]
    pub const fn is_one(node: i32, nodes: i32) -> bool {
        Self::MIN_NODES <= nodes && nodes <= Self::MAX_NODES && 1 <= node && node <= nodes
    }

    /// The class of a node and a number of nodes that [`Class::new`] has accepted.
    #[inline]
    pub const fn new_unchecked(node: i32, nodes: i32) -> Self {
        Self { node, nodes }
    }

    /// The node's number, from 1.
    pub const fn node(self) -> i32 {
        self.node
    }

    /// The number of classes.
    pub const fn nodes(self) -> i32 {
        self.nodes
    }

    /// Whether a value belongs to this class. Negative values use the Euclidean remainder: -1 is
    /// odd.
    #[inline]
    pub const fn contains(self, value: i64) -> bool {
        // Draws come here, and the most common numbers of nodes need no division.
        // node = nodes stands for the remainder 0.
        let (node, nodes) = (self.node as i64, self.nodes as i64);
        let is_power_of_two = nodes & (nodes - 1) == 0;
        let remainder = if is_power_of_two { value & (nodes - 1) } else { value.rem_euclid(nodes) };
        remainder == if node == nodes { 0 } else { node }
    }

    /// The node, counted from 1, to whose class a value belongs.
    pub const fn node_of(self, value: i64) -> i64 {
        match value.rem_euclid(self.nodes as i64) {
            0 => self.nodes as i64,
            remainder => remainder,
        }
    }

    /// The part of the class that its node keeps if it is split into `factor` parts: 1 of 2 becomes
    /// 1 of 4.
    ///
    /// # Errors
    /// 22023 if `factor` is less than 2, or makes more than [`Class::MAX_NODES`].
    pub fn split(self, factor: i32) -> Result<Self, Error> {
        let most = Self::MAX_NODES / self.nodes;
        let invalid = |message| Error::new(SqlState::InvalidParameterValue, message);
        if most < 2 {
            let message = format!("node {} of {} cannot be split", self.node, self.nodes);
            return Err(invalid(message).detail(format!("There can be at most {} nodes.", Self::MAX_NODES)));
        }
        if !(2..=most).contains(&factor) {
            return Err(invalid(format!("factor must be between 2 and {most}, not {factor}"))
                .hint("The factor is the number of parts: a factor of 2 turns node 1 of 2 into node 1 of 4, and frees node 3 of 4."));
        }
        Ok(Self { node: self.node, nodes: self.nodes * factor })
    }

    /// The nodes that become free when this class shrinks to `part`.
    pub fn freed_by(self, part: Self) -> impl Iterator<Item = i32> {
        (self.node..=part.nodes)
            .step_by(usize::try_from(self.nodes).unwrap_or(1))
            .filter(move |node| *node != part.node)
    }

    /// The values of the class.
    pub const fn residue(self) -> Residue {
        Residue { offset: self.node as i128, modulus: self.nodes as i128 }
    }

    /// The values of the class if each value stands for a block of `size` ids: every `nodes`-th of
    /// the values that are `size` apart and include `origin`.
    pub const fn blocks(self, size: u64, origin: i64) -> Residue {
        let size = at_least_one(size);
        let offset = (origin as i128).rem_euclid(size) + self.node as i128 * size;
        Residue { offset, modulus: size * self.nodes as i128 }
    }

    /// Whether a sequence that has given `value` and steps by `increment` ever reaches this class
    /// without wrapping around.
    #[inline]
    pub const fn is_reachable(self, value: i64, increment: i64) -> bool {
        // Nearly every sequence steps by 1, and every draw runs this.
        matches!(increment, 1 | -1)
            || self.residue().meets(Residue::through(value as i128, increment.unsigned_abs()))
    }

    /// Whether a sequence that has just given `value`, which is not of this class, reaches the
    /// class before it wraps around or after one wrap. A sequence without `CYCLE` raises its own
    /// error at its end.
    #[inline]
    pub fn is_ahead(self, value: i64, progression: &Progression) -> bool {
        let increment = progression.increment;
        if !self.is_reachable(value, increment) {
            return false;
        }
        // `nodes` steps pass through every residue that can be reached at all.
        let after_one_round = i128::from(value) + i128::from(increment) * i128::from(self.nodes);
        if !progression.cycle || progression.holds(after_one_round) {
            return true;
        }
        let restart = if increment > 0 { progression.min_value } else { progression.max_value };
        self.is_met(value, progression) || self.is_met(restart, progression)
    }

    /// Whether any value from `value` to the end of the range is of this class.
    fn is_met(self, value: i64, progression: &Progression) -> bool {
        (0..i128::from(self.nodes))
            .map(|step| i128::from(value) + step * i128::from(progression.increment))
            .take_while(|value| progression.holds(*value))
            .any(|value| self.residue().contains(value))
    }
}

/// The values congruent to `offset` modulo `modulus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Residue {
    offset: i128,
    modulus: i128,
}

impl Residue {
    /// Every value.
    pub const fn every() -> Self {
        Self { offset: 0, modulus: 1 }
    }

    /// Every `step`-th value, in both directions from `origin`. No sequence has a step of 0; in a
    /// damaged record it stands for every value.
    pub const fn through(origin: i128, step: u64) -> Self {
        Self { offset: origin, modulus: at_least_one(step) }
    }

    /// Whether it has the same values as another.
    pub const fn is_same(self, other: Self) -> bool {
        self.modulus == other.modulus && self.contains(other.offset)
    }

    /// Whether it has values in common with another.
    pub const fn meets(self, other: Self) -> bool {
        let common = gcd(self.modulus.unsigned_abs(), other.modulus.unsigned_abs());
        (self.offset - other.offset).rem_euclid(common as i128) == 0
    }

    /// Whether a value of it and one of another can be less than `size` apart, so that the blocks of
    /// `size` ids that they stand for have ids in common.
    pub const fn meets_within(self, other: Self, size: u64) -> bool {
        let common = gcd(self.modulus.unsigned_abs(), other.modulus.unsigned_abs()) as i128;
        let (distance, size) = ((self.offset - other.offset).rem_euclid(common), size as i128);
        distance < size || common - distance < size
    }

    /// The distance between its values.
    pub const fn modulus(self) -> i128 {
        self.modulus
    }

    /// Whether a value is one of them.
    pub const fn contains(self, value: i128) -> bool {
        (value - self.offset).rem_euclid(self.modulus) == 0
    }

    /// The least of them that is not below `value`.
    pub const fn at_or_above(self, value: i128) -> i128 {
        value + (self.offset - value).rem_euclid(self.modulus)
    }

    /// The greatest of them that is not above `value`.
    pub const fn at_or_below(self, value: i128) -> i128 {
        value - (value - self.offset).rem_euclid(self.modulus)
    }
}

const fn at_least_one(step: u64) -> i128 {
    if step == 0 { 1 } else { step as i128 }
}

/// How a sequence advances.
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

const fn gcd(mut a: u128, mut b: u128) -> u128 {
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
            assert!(!Class::is_one(node, nodes));
            assert!(error.hint.is_some());
        }
        assert!(Class::new(65_535, 65_535).is_ok() && Class::is_one(65_535, 65_535));
        assert!(Class::new(1, 2).is_ok() && Class::is_one(1, 2));
    }

    #[test]
    fn trap_s34_a_class_splits_into_parts_of_its_own() {
        for (node, nodes, factor) in [(1, 2, 2), (2, 2, 3), (3, 7, 4), (16, 16, 2)] {
            let whole = class(node, nodes);
            let part = whole.split(factor).expect("a part");
            let mut parts: Vec<Class> =
                whole.freed_by(part).map(|node| class(node, part.nodes())).chain([part]).collect();
            parts.dedup();
            assert_eq!(parts.len(), usize::try_from(factor).expect("small"));
            for value in -200..200 {
                let count = parts.iter().filter(|part| part.contains(value)).count();
                assert_eq!(
                    count,
                    usize::from(whole.contains(value)),
                    "{value} of {node} of {nodes} by {factor}"
                );
            }
        }
        for factor in [i32::MIN, -1, 0, 1, 32_768] {
            assert_eq!(class(1, 2).split(factor).expect_err("refused").sqlstate.code(), "22023");
        }
        assert_eq!(class(1, 40_000).split(2).expect_err("refused").sqlstate.code(), "22023");
    }

    #[test]
    fn trap_s07_negative_values_have_a_class() {
        assert!(class(1, 2).contains(-1));
        assert!(class(2, 2).contains(-2));
        assert!(class(1, 3).contains(-2));
        assert!(!class(1, 3).contains(-3));
        assert_eq!(class(1, 3).residue().at_or_above(-3), -2);
        assert_eq!(class(2, 2).residue().at_or_below(-1), -2);
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
        fn is_ahead_agrees_with_drawing(
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
            // `is_ahead` may give up a class that only a wrap brings within reach. A class that it
            // promises must be drawn.
            if class.is_ahead(value, &cycle) {
                prop_assert!(met);
            } else {
                prop_assert!(!met || !class.is_reachable(value, increment));
            }
        }

        #[test]
        fn every_value_has_exactly_one_node(value: i64, nodes in 2..=64_i32) {
            let owners = Vec::from_iter((1..=nodes).filter(|&node| class(node, nodes).contains(value)));
            prop_assert_eq!(owners.len(), 1);
            prop_assert_eq!((value.rem_euclid(nodes.into()) - i64::from(owners[0])) % i64::from(nodes), 0);
        }

        #[test]
        fn a_residue_finds_the_nearest_values(value: i64, nodes in 2..=300_i32, pick: u16) {
            let class = class(1 + i32::from(pick) % nodes, nodes);
            let residue = class.residue();
            let (above, below) = (residue.at_or_above(i128::from(value)), residue.at_or_below(i128::from(value)));
            let n = i128::from(nodes);
            for found in [above, below] {
                prop_assert_eq!(found.rem_euclid(n), i128::from(class.node()).rem_euclid(n));
            }
            prop_assert!((0..n).contains(&(above - i128::from(value))));
            prop_assert!((0..n).contains(&(i128::from(value) - below)));
        }

        #[test]
        fn trap_s33_progressions_meet_as_brute_force_says(
            a in -30..30_i128, b in -30..30_i128, step_a in 1..24_u64, step_b in 1..24_u64,
        ) {
            let (one, other) = (Residue::through(a, step_a), Residue::through(b, step_b));
            let met = (-600..600_i128).any(|value| one.contains(value) && other.contains(value));
            prop_assert_eq!(one.meets(other), met);
        }

        #[test]
        fn fault_b08_blocks_meet_as_brute_force_says(
            a in -30..30_i128, b in -30..30_i128, step_a in 1..24_u64, step_b in 1..24_u64, size in 1..9_u64,
        ) {
            let (one, other) = (Residue::through(a, step_a), Residue::through(b, step_b));
            let all = (-600..600_i128).filter(|value| one.contains(*value));
            let met = all.into_iter().any(|value| {
                let size = i128::from(size) - 1;
                (value - size..=value + size).any(|near| other.contains(near))
            });
            prop_assert_eq!(one.meets_within(other, size), met);
            prop_assert_eq!(one.meets_within(other, 1), one.meets(other));
        }

        #[test]
        fn trap_s34_only_a_multiple_splits_a_class(node in 1..=12_i32, nodes in 2..=12_i32, factor in 2..=5_i32) {
            prop_assume!(node <= nodes);
            let whole = class(node, nodes).residue();
            for part in 0..factor {
                let part = class(node + part * nodes, nodes * factor).residue();
                for other in (1..=nodes).filter(|&other| other != node) {
                    prop_assert!(!part.meets(class(other, nodes).residue()));
                }
                prop_assert!(part.meets(whole));
            }
            // With one node more, every new class meets classes of other nodes.
            let more = class(node, nodes + 1).residue();
            let met = (1..=nodes).filter(|&other| more.meets(class(other, nodes).residue())).count();
            prop_assert_eq!(met, nodes as usize);
        }

        #[test]
        fn trap_s26_blocks_of_all_nodes_cover_every_id_once(
            id in -100_000..100_000_i128, nodes in 2..=16_i32, size in 2..=60_u64, origin in -100..100_i64,
        ) {
            let owners = (1..=nodes).filter(|&node| {
                let first = class(node, nodes).blocks(size, origin).at_or_below(id);
                id < first + i128::from(size)
            });
            prop_assert_eq!(owners.count(), 1);
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
