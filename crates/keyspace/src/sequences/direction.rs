//! The direction of a sequence, and its position in its range.

use super::class::{Class, Residue};
use super::sequence::{FedColumn, Former, Sequence};
use super::target::Target;

/// The direction of a sequence. All comparisons use it, so that the same code plans ascending and
/// descending sequences.
#[derive(Clone, Copy)]
pub(super) struct Course {
    /// 1 if it ascends, -1 if it descends.
    pub(super) sign: i128,
}

impl Course {
    pub(super) fn of(sequence: &Sequence) -> Self {
        Self { sign: i128::from(sequence.increment.signum()) }
    }

    /// Whether `a` lies beyond `b` in this direction.
    pub(super) fn is_past(self, a: i128, b: i128) -> bool {
        (a - b) * self.sign > 0
    }

    pub(super) fn furthest(self, a: i128, b: i128) -> i128 {
        if self.is_past(a, b) { a } else { b }
    }

    /// The first of the values at or past `value`.
    pub(super) fn align(self, values: Residue, value: i128) -> i128 {
        if self.sign > 0 { values.at_or_above(value) } else { values.at_or_below(value) }
    }

    /// START in a share: the first of the values at or past `least` or, where the range ends before
    /// that, the last one of the range.
    pub(super) fn aligned_start(self, sequence: &Sequence, share: Share, least: i128) -> i128 {
        let start = self.align(share.values, least);
        let last = self.end(sequence) - (i128::from(share.size) - 1) * self.sign;
        if !self.is_past(start, last) {
            return start;
        }
        if self.sign > 0 { share.values.at_or_below(last) } else { share.values.at_or_above(last) }
    }

    pub(super) fn in_use(self, sequence: &Sequence) -> Option<i128> {
        let drawn = sequence.is_called.then_some(i128::from(sequence.last_value));
        let stored = sequence.columns.iter().filter_map(|column| column.extreme.map(i128::from));
        let elsewhere = sequence.elsewhere.iter().filter_map(|elsewhere| elsewhere.furthest.map(i128::from));
        stored.chain(drawn).chain(elsewhere).reduce(|a, b| self.furthest(a, b))
    }

    /// The end of the sequence itself.
    pub(super) fn end(self, sequence: &Sequence) -> i128 {
        i128::from(if self.sign > 0 { sequence.max_value } else { sequence.min_value })
    }

    /// The end of the sequence, or of a column that it feeds if that comes first.
    pub(super) fn column_end(self, sequence: &Sequence) -> i128 {
        let accepted = sequence.columns.iter().filter_map(FedColumn::accepted);
        let ends = accepted.map(|limits| i128::from(if self.sign > 0 { limits.high } else { limits.low }));
        ends.fold(self.end(sequence), |a, b| self.nearer(a, b))
    }

    /// The last value that it can hand out: at the end of the sequence or of a column, or before
    /// the rows ahead that do not count.
    pub(super) fn limit(self, sequence: &Sequence) -> i128 {
        let end = self.column_end(sequence);
        sequence.rows_from().map_or(end, |row| self.nearer(end, i128::from(row) - self.sign))
    }

    fn nearer(self, a: i128, b: i128) -> i128 {
        if self.is_past(a, b) { b } else { a }
    }

    /// The edge at which the range begins and to which it wraps around: keyword and value.
    pub(super) fn wrap_edge(self, sequence: &Sequence) -> (&'static str, i128) {
        if self.sign > 0 {
            ("MINVALUE", i128::from(sequence.min_value))
        } else {
            ("MAXVALUE", i128::from(sequence.max_value))
        }
    }

    /// The furthest value that must not be handed out again. It covers the values in use and, if
    /// the sequence has not been called yet, those before its position and before START.
    pub(super) fn floor(self, sequence: &Sequence, in_use: Option<i128>) -> i128 {
        let mut floor = self.wrap_edge(sequence).1 - self.sign;
        if !sequence.is_called {
            floor = self.furthest(floor, i128::from(sequence.last_value) - self.sign);
        }
        if !sequence.is_called && sequence.rows_from().is_none() {
            floor = self.furthest(floor, i128::from(sequence.start) - self.sign);
        }
        if let Some(in_use) = in_use {
            floor = self.furthest(floor, in_use);
        }
        floor
    }

    /// The first value that a sequence has not handed out in this round of its cycle.
    pub(super) fn after_position(self, sequence: &Sequence) -> i128 {
        i128::from(sequence.last_value) + if sequence.is_called { self.sign } else { 0 }
    }

    /// How many values are left from `next` on, in steps of `step`, when each needs `size` ids.
    pub(super) fn values_left(self, next: i128, limit: i128, step: i128, size: i128) -> i128 {
        let last = limit - (size - 1) * self.sign;
        if self.is_past(next, last) { 0 } else { (last - next) * self.sign / step.abs().max(1) + 1 }
    }

    /// How much of the range is before `next`, in hundredths of a percent.
    pub(super) fn used_basis_points(self, sequence: &Sequence, next: i128, limit: i128) -> i64 {
        let origin = self.wrap_edge(sequence).1;
        let (passed, range) = ((next - origin) * self.sign, (limit - origin) * self.sign + 1);
        let used = if range > 0 { (passed * 10_000 / range).clamp(0, 10_000) } else { 10_000 };
        i64::try_from(used).unwrap_or(10_000)
    }
}

/// The values of its node's class that a sequence may hand out, derived from its current or former
/// increment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The values.
    pub values: Residue,
    /// How many ids each value stands for: more than 1 if an application takes blocks.
    pub size: u64,
}

impl Share {
    /// The share of a node in a sequence; `None` if the sequence has a custom increment, which
    /// is kept.
    ///
    /// With `blocks`, a step other than 1 counts as the size of a block.
    pub fn of(sequence: &Sequence, class: Class, blocks: bool) -> Option<Self> {
        Self::moved(sequence, None, class, blocks)
    }

    /// The share of a node that had another class before.
    pub fn moved(sequence: &Sequence, from: Option<Class>, class: Class, blocks: bool) -> Option<Self> {
        let size =
            from.and_then(|from| size(sequence, from, false)).or_else(|| size(sequence, class, blocks))?;
        let values = if size == 1 { class.residue() } else { class.blocks(size, sequence.start) };
        Some(Self { values, size })
    }

    /// How many ids each value of a sequence stands for, if that is certain: a set-up is recorded,
    /// or the increment cannot be confused with the number of nodes.
    pub fn certain_size(sequence: &Sequence, class: Class) -> Option<u64> {
        let is_certain = is_recorded(sequence) || !steps_by_nodes(sequence, class);
        Self::of(sequence, class, false).filter(|_| is_certain).map(|share| share.size)
    }

    /// Whether the increment is ambiguous: it can be the size of a block, but it is also the number
    /// of nodes of a set-up, of this database or of one that it was copied from, or a multiple of the
    /// block on a peer, and no record says which.
    pub(super) fn is_ambiguous(sequence: &Sequence, target: &Target) -> bool {
        let step = sequence.increment.unsigned_abs();
        let mut classes = [Some(target.class), target.from, target.origin].into_iter().flatten();
        let mut peers = sequence.elsewhere.iter();
        !is_recorded(sequence)
            && peers
                .clone()
                .all(|peer| peer.set_up.as_ref().is_none_or(|there| there.size_at(step).is_none()))
            && (classes.any(|class| steps_by_nodes(sequence, class))
                || peers.any(|peer| {
                    peer.by_nodes.is_some_and(|step_there| step_there.unsigned_abs() == step)
                        || peer.set_up.as_ref().is_some_and(|there| there.may_have_given(step))
                }))
    }

    /// The first other node on which each value of a sequence stands for another number of ids than
    /// its increment here, and that number.
    pub(super) fn other_size(sequence: &Sequence) -> Option<(&str, u64)> {
        let step = sequence.increment.unsigned_abs();
        sequence.elsewhere.iter().find_map(|elsewhere| {
            let there = elsewhere.set_up.as_ref().filter(|there| there.may_have_given(step))?;
            Some((elsewhere.peer.as_str(), there.size))
        })
    }

    /// The node, counted from 1, to whose share of the sequence a value belongs.
    pub fn node_of(self, class: Class, value: i64) -> i64 {
        class.node_of(i64::try_from(self.size).map_or(0, |size| value.div_euclid(size)))
    }

    /// The increment of a sequence that hands out these values, without its sign.
    pub fn step(self) -> i128 {
        self.values.modulus()
    }
}

impl Former {
    /// The definition before a set-up to `target`, to be recorded. If no earlier one is recorded, it
    /// is the current definition as the set-up takes it: a sequence that steps by the number of
    /// nodes has been set up, here or on the server that it was copied from.
    ///
    /// The increment is the size of a block that the set-up goes by, so that the next one goes by
    /// the same.
    pub fn of(sequence: &Sequence, target: &Target) -> Self {
        let share = Share::moved(sequence, target.from, target.class, target.blocks);
        let size = share.and_then(|share| i64::try_from(share.size).ok());
        let increment = size.map_or(sequence.increment, |size| sequence.increment.signum() * size);
        let now = Self {
            increment,
            start: sequence.start,
            min_value: sequence.min_value,
            max_value: sequence.max_value,
        };
        Self { increment, ..sequence.former.unwrap_or(now) }
    }
}

/// Whether a record tells how many ids each value of a sequence stands for. A sequence that was
/// created with the number of nodes as its increment has a record that does not.
fn is_recorded(sequence: &Sequence) -> bool {
    sequence.former.is_some_and(|former| former.increment.unsigned_abs() != sequence.increment.unsigned_abs())
}

/// Whether a sequence steps by the number of nodes, as a set-up leaves it.
pub(super) fn steps_by_nodes(sequence: &Sequence, class: Class) -> bool {
    sequence.increment.unsigned_abs() == u64::from(class.nodes().unsigned_abs())
}

/// How many ids each value of a sequence stands for, if nodes can share its increment.
fn size(sequence: &Sequence, class: Class, blocks: bool) -> Option<u64> {
    let step = sequence.increment.unsigned_abs();
    // The increment before a set-up, here or on the server that the sequence was copied from,
    // whatever the number of nodes was then.
    let recorded = sequence.former.map(|former| former.increment.unsigned_abs());
    let recorded = recorded.filter(|size| *size < step && step.is_multiple_of(*size));
    let mut elsewhere = sequence.elsewhere.iter().filter_map(|elsewhere| elsewhere.set_up.as_ref());
    let copied = || elsewhere.find_map(|there| there.size_at(step));
    let by_nodes = || {
        let mut peers = sequence.elsewhere.iter().filter_map(|elsewhere| elsewhere.by_nodes);
        steps_by_nodes(sequence, class) || !blocks && peers.any(|increment| increment.unsigned_abs() == step)
    };
    match recorded.or_else(copied) {
        Some(size) => Some(size),
        None if step == 1 || by_nodes() => Some(1),
        None if blocks => Some(step),
        None => None,
    }
}
