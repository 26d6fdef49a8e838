//! The facts about a sequence, given as data.

use std::ops::RangeInclusive;

use super::class::{Class, Progression, Residue};
use super::history::PastValues;
use super::limits::Limits;
use super::number_type::NumberType;
use super::range::up_to;
use crate::sql::quoted;

/// How a column's default draws from a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// `nextval`, or an identity column.
    Nextval,
    /// `partitioned_nextval(sequence)`: the column gets values of this node whatever the sequence
    /// gives.
    OfThisNode,
    /// `partitioned_nextval(sequence, node, nodes)`, with an explicit node.
    OfNode {
        /// The node.
        node: i32,
        /// The number of nodes.
        nodes: i32,
    },
    /// Other ways: a default that computes with the value, a function, a trigger, the application.
    Other,
    /// Only a default connects the two, and the table's owner lacks privilege from the sequence. Every
    /// role that may create a table can write such a default, so the contents of the column say
    /// nothing about the sequence.
    NotAllowed,
}

/// A column that takes its values from a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedColumn {
    /// The column's full name, quoted if needed, for messages.
    pub name: String,
    /// The column's type, if the column holds the sequence's values unchanged and can be read.
    /// Otherwise (text, a default that computes with the value, a foreign table) only the
    /// sequence's own position is known.
    pub number_type: Option<NumberType>,
    /// The values that it accepts, if its precision or constraints exclude some of its type.
    pub limits: Option<Limits>,
    /// How its default draws.
    pub draw: Draw,
    /// The trigger of its table that sets it, if one does.
    pub set_by: Option<String>,
    /// The value in the column that lies furthest in the sequence's direction: the maximum of an
    /// ascending sequence, the minimum of a descending one; `None` in an empty table.
    pub extreme: Option<i64>,
    /// The furthest value in the column that is one of [`Sequence::own_values`], or an id of its
    /// blocks, and lies ahead: at or past the sequence's next value.
    pub ahead: Option<i64>,
    /// The furthest value that may be an id of a block ahead, depending on how the application
    /// counts the ids of a block. The same as `ahead` where each value is an id.
    pub maybe_ahead: Option<i64>,
    /// The furthest value in the column, if it lies beyond what the sequence has handed out and the
    /// owner of the table may only draw from the sequence, not set it. The sequence does not follow
    /// such a value, and neither of the two fields above includes it.
    pub not_followed: Option<i64>,
}

impl FedColumn {
    /// The values that it accepts; `None` if it cannot be read.
    pub fn accepted(&self) -> Option<Limits> {
        let of_type = Limits::of(self.number_type?);
        Some(self.limits.map_or(of_type, |limits| limits.within(of_type)))
    }
}

/// What replicates positions of sequences between servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A replication set of an extension, which sends positions to other servers and takes theirs.
    ReplicationSet {
        /// The extension.
        extension: &'static str,
    },
    /// A subscription, from PostgreSQL 19 on.
    Subscription {
        /// Its name.
        name: String,
        /// The names of its publications.
        publications: Vec<String>,
    },
}

impl Carrier {
    /// Its effect, as a sentence.
    pub fn detail(&self) -> String {
        match self {
            Self::ReplicationSet { extension } => {
                format!(
                    "A replication set of {extension} overwrites its position with that of another server."
                )
            }
            Self::Subscription { name, publications } => {
                let names: Vec<String> = publications.iter().map(|name| format!("\"{name}\"")).collect();
                let publications = if names.len() == 1 { "publication" } else { "publications" };
                format!(
                    "Subscription \"{name}\" ({publications} {}) overwrites its position with that of another server.",
                    names.join(", ")
                )
            }
        }
    }

    /// How to stop it, as sentences.
    pub fn hint(&self) -> String {
        match self {
            Self::ReplicationSet { .. } => "Remove the sequence from the replication set.".to_owned(),
            Self::Subscription { name, publications } => {
                let subscription = quoted(name);
                let remove = match publications.as_slice() {
                    [_] => format!("DROP SUBSCRIPTION {subscription}"),
                    _ => format!("ALTER SUBSCRIPTION {subscription} DROP PUBLICATION"),
                };
                format!(
                    "If the publication of ALL SEQUENCES also publishes tables, run ALTER PUBLICATION ... SET ALL TABLES (with its \
                     EXCEPT list) on the publisher, then ALTER SUBSCRIPTION {subscription} REFRESH PUBLICATION on this server. \
                     Otherwise run {remove}."
                )
            }
        }
    }
}

/// A sequence, as the catalog and its own page describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The full name, quoted if needed, as it goes into a statement.
    pub name: String,
    /// The type that `AS` gave it.
    pub number_type: NumberType,
    /// `START WITH`, the value that `RESTART` returns to.
    pub start: i64,
    /// `INCREMENT BY`, never 0.
    pub increment: i64,
    /// `MINVALUE`.
    pub min_value: i64,
    /// `MAXVALUE`.
    pub max_value: i64,
    /// Whether it wraps around at its end.
    pub cycle: bool,
    /// Whether it falls back after a crash (`UNLOGGED`, PostgreSQL 15 and later).
    pub unlogged: bool,
    /// What replicates its position, if anything does.
    pub replicated: Option<Carrier>,
    /// `last_value` of the sequence's page.
    pub last_value: i64,
    /// `is_called` of the sequence's page: whether `last_value` has been handed out.
    pub is_called: bool,
    /// Its definition before it was set up, if known and if the set-up's increment is unchanged.
    pub former: Option<Former>,
    /// What it handed out before its current set-up, oldest first.
    pub history: Vec<PastValues>,
    /// Whether the server has been promoted since the sequence was set up. If so, values handed out
    /// before may be lost here and present elsewhere.
    pub promoted: bool,
    /// The gap that its last set-up left above the values in use, if it still counts: 0 after a
    /// promotion.
    pub gap_left: i64,
    /// If its position is trusted: rows at or beyond this value, which lies ahead, do not count,
    /// since it has not generated them. They are its limit.
    pub trusted: Option<i64>,
    /// The values that other nodes have.
    pub elsewhere: Vec<Elsewhere>,
    /// Every column that it feeds.
    pub columns: Vec<FedColumn>,
    /// What else draws from it, such as `function public.make_id(text)`, if it is not known which
    /// columns get these values.
    pub used_by: Vec<String>,
}

impl Sequence {
    /// What it may have handed out so far, if anything. If it was not called since it was restarted,
    /// by a set-up, a reset or a restore, that is everything before its position.
    pub fn handed_out(&self, class: Option<Class>) -> Option<PastValues> {
        let values = self.own_values(class);
        let step = u64::try_from(values.modulus()).unwrap_or(1);
        let is_fresh = self.former.is_none() && self.history.is_empty() && self.last_value == self.start;
        let before = || self.last_value.checked_sub(self.increment.signum()).filter(|_| !is_fresh);
        let until = if self.is_called { self.last_value } else { before()? };
        // The last value may not have been handed out: `partitioned_nextval` passes over values of
        // other classes, and a crash leaves a sequence at any value.
        let nearest = [values.at_or_below(i128::from(until)), values.at_or_above(i128::from(until))];
        let offset = nearest.into_iter().find_map(|value| i64::try_from(value).ok()).unwrap_or(until);
        Some(PastValues { step, offset, until })
    }

    /// The value that it hands out next, if it does not wrap around.
    pub fn next_value(&self) -> i128 {
        let last = i128::from(self.last_value);
        if self.is_called { last + i128::from(self.increment) } else { last }
    }

    /// The nearest of the rows ahead that do not count; `None` once it has passed it, or if it
    /// cycles.
    pub fn rows_from(&self) -> Option<i64> {
        let is_ahead = |row: &i64| {
            let passed = if self.increment > 0 { self.last_value > *row } else { self.last_value < *row };
            !(passed || self.is_called && self.last_value == *row)
        };
        self.trusted.filter(|row| !self.cycle && is_ahead(row))
    }

    /// The values that count: from MINVALUE to MAXVALUE, or to the rows ahead that do not count.
    pub fn range(&self) -> RangeInclusive<i64> {
        match self.rows_from() {
            Some(row) if self.increment > 0 => self.min_value..=self.max_value.min(row.saturating_sub(1)),
            Some(row) => self.min_value.max(row.saturating_add(1))..=self.max_value,
            None => self.min_value..=self.max_value,
        }
    }

    /// Its START and its bounds.
    pub const fn bounds(&self) -> Bounds {
        Bounds { start: self.start, min_value: self.min_value, max_value: self.max_value }
    }

    /// The columns that count as fed.
    pub fn fed_columns(&self) -> impl Iterator<Item = &FedColumn> {
        self.columns.iter().filter(|column| column.draw != Draw::NotAllowed)
    }

    /// Whether every column draws from it by `partitioned_nextval(sequence)`, so that only values
    /// of the node are used, whatever its increment.
    pub fn is_drawn_on(&self) -> bool {
        let mut draws = self.fed_columns().map(|column| column.draw).peekable();
        draws.peek().is_some() && draws.all(|draw| draw == Draw::OfThisNode)
    }

    /// The values that are used with its current definition, ahead of its position and behind it.
    pub fn own_values(&self, class: Option<Class>) -> Residue {
        match class {
            Some(class) if self.is_drawn_on() => class.residue(),
            _ => Residue::through(self.next_value(), self.increment.unsigned_abs()),
        }
    }
}

/// A sequence's definition before it was set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// `INCREMENT BY`.
    pub increment: i64,
    /// `START WITH`.
    pub start: i64,
    /// `MINVALUE`.
    pub min_value: i64,
    /// `MAXVALUE`.
    pub max_value: i64,
}

impl Former {
    /// The same, but with the START and the bounds that it has now, where these are no longer what
    /// the set-up has `written`: users have altered them since.
    #[must_use]
    pub fn unless_altered(self, written: Bounds, now: Bounds) -> Self {
        let restored = |former, written, now| if now == written { former } else { now };
        let min_value = restored(self.min_value, written.min_value, now.min_value);
        let max_value = restored(self.max_value, written.max_value, now.max_value);
        let start = restored(self.start, written.start, now.start);
        // Users may have excluded a former START, which could not be set then.
        let start = if (min_value..=max_value).contains(&start) { start } else { now.start };
        Self { increment: self.increment, start, min_value, max_value }
    }

    /// The edge at which the range began and to which it wrapped around.
    pub const fn edge(&self) -> i64 {
        if self.increment > 0 { self.min_value } else { self.max_value }
    }
}

/// The START of a sequence, and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// `START WITH`.
    pub start: i64,
    /// `MINVALUE`.
    pub min_value: i64,
    /// `MAXVALUE`.
    pub max_value: i64,
}

/// The values of a sequence that another node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The other node, for messages.
    pub peer: String,
    /// Whether its state includes this sequence, or one that feeds the same columns.
    pub is_known: bool,
    /// The furthest value that it has or that its set-up stayed clear of.
    pub furthest: Option<i64>,
    /// The furthest value that it has and that this node could hand out, too: a value handed out
    /// before its class was separate from this node's, or one of this node's class in its tables.
    pub of_ours: Option<i64>,
    /// What a set-up has made of the sequence there, if that is certain.
    pub set_up: Option<SetUpThere>,
    /// The increment there, if it is the number of nodes there, but no record says that a set-up
    /// gave it, so that it can also be the size of a block.
    pub by_nodes: Option<i64>,
    /// What it may hand out until its own set-up, if this node could hand out the same values.
    pub still: Option<StillDraws>,
}

/// The set-ups of a sequence on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetUpThere {
    /// How many ids each of its values stands for.
    pub size: u64,
    /// The steps that they gave it, now and before. A copy may still have one of them.
    pub steps: Vec<u64>,
}

impl SetUpThere {
    /// The set-ups of a sequence whose values stand for `size` ids, with the steps that it has had.
    /// A step that is no multiple of the size is from before the first one.
    pub fn new(size: u64, steps: impl IntoIterator<Item = u64>) -> Self {
        let is_of_nodes = |step: &u64| *step > size && step.is_multiple_of(size);
        Self { size, steps: steps.into_iter().filter(is_of_nodes).collect() }
    }

    /// How many ids each value of a copy stands for that has this step.
    pub fn size_at(&self, step: u64) -> Option<u64> {
        self.steps.contains(&step).then_some(self.size)
    }

    /// Whether a sequence with this step may be a copy, and nothing tells.
    pub fn may_have_given(&self, step: u64) -> bool {
        step != self.size && step.is_multiple_of(self.size) && self.size_at(step).is_none()
    }
}

/// Another node that hands out values which this node could hand out, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillDraws {
    /// The furthest value that it had handed out when its state was taken.
    pub position: i64,
    /// How many ids it has used since, at the rate that its states show; `None` if that is not known.
    pub used: Option<i64>,
}

impl Elsewhere {
    /// A node whose state does not include the sequence.
    pub const fn unknown(peer: String) -> Self {
        Self {
            peer,
            is_known: false,
            furthest: None,
            of_ours: None,
            set_up: None,
            by_nodes: None,
            still: None,
        }
    }

    /// The node that this database was copied from, as far as the copy has its record of the
    /// sequence: the definition before the set-ups that gave it its increment.
    pub fn origin(increment: i64, former_increment: i64) -> Self {
        let set_up = SetUpThere::new(former_increment.unsigned_abs().max(1), [increment.unsigned_abs()]);
        Self {
            peer: "the node that this database was copied from".to_owned(),
            is_known: true,
            set_up: Some(set_up),
            ..Self::unknown(String::new())
        }
    }

    /// Another sequence of this node that feeds one of the same columns, and the value that it has
    /// reached, if it can have values of `sequence`.
    pub fn sibling(sequence: &Sequence, name: String, other: &Progression, reached: i64) -> Option<Self> {
        let ascending = other.increment > 0;
        let (beginning, end) = if ascending {
            (other.min_value, sequence.max_value)
        } else {
            (other.max_value, sequence.min_value)
        };
        let furthest = Some(up_to(ascending, reached, Some(beginning), end)?);
        Some(Self {
            peer: name,
            is_known: true,
            furthest,
            of_ours: None,
            set_up: None,
            by_nodes: None,
            still: None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn fault_b14_what_users_have_altered_since_is_kept() {
        let former = Former { increment: 1, start: 1, min_value: 1, max_value: 2_147_483_647 };
        let written = Bounds { start: 2, min_value: 2, max_value: 2_147_483_647 };
        let reset = |now| former.unless_altered(written, now);
        assert_eq!(reset(written), former);
        let wide = reset(Bounds { max_value: i64::MAX, ..written });
        assert_eq!((wide.start, wide.min_value, wide.max_value), (1, 1, i64::MAX));
        assert_eq!(reset(Bounds { start: 1_000, ..written }).start, 1_000);
        let higher = reset(Bounds { min_value: 4, start: 4, ..written });
        assert_eq!((higher.start, higher.min_value), (4, 4));
        let higher = reset(Bounds { min_value: 0, max_value: 10, start: 2 });
        assert_eq!((higher.start, higher.min_value, higher.max_value), (1, 0, 10));
        let without_former_start = Former { start: 5, ..former }
            .unless_altered(written, Bounds { start: 2, min_value: 2, max_value: 4 });
        assert_eq!((without_former_start.start, without_former_start.max_value), (2, 4));
    }

    /// A sequence that was called, and is at 4.
    fn at_four() -> Sequence {
        Sequence {
            name: "public.s".to_owned(),
            number_type: NumberType::Bigint,
            start: 1,
            increment: 1,
            min_value: 1,
            max_value: i64::MAX,
            cycle: false,
            unlogged: false,
            replicated: None,
            last_value: 4,
            is_called: true,
            former: None,
            history: vec![],
            promoted: false,
            gap_left: 0,
            trusted: None,
            elsewhere: vec![],
            columns: vec![],
            used_by: vec![],
        }
    }

    #[test]
    fn fault_b27_what_was_before_a_restart_may_have_been_handed_out() {
        let past = |sequence: &Sequence| sequence.handed_out(None).map(|past| (past.step, past.until));
        // A reset leaves no record.
        let reset = Sequence { last_value: 100, is_called: false, ..at_four() };
        assert_eq!(past(&reset), Some((1, 99)));
        assert_eq!(past(&Sequence { start: 100, ..reset.clone() }), None, "never called");
        // A set-up does, and its step is to be known, for copies.
        let former = Some(Former { increment: 1, start: 1, min_value: 1, max_value: i64::MAX });
        let set_up = Sequence { increment: 2, last_value: 1, former, ..reset };
        assert_eq!(past(&set_up), Some((2, 0)));
    }

    #[test]
    fn trap_s41_what_was_passed_over_does_not_stand_for_what_was_handed_out() {
        let column = FedColumn {
            name: "public.t.id".to_owned(),
            number_type: Some(NumberType::Bigint),
            limits: None,
            draw: Draw::OfThisNode,
            set_by: None,
            extreme: None,
            ahead: None,
            maybe_ahead: None,
            not_followed: None,
        };
        // Node 1 of 2, after a crash at 4: it handed out 1 and 3.
        let sequence = Sequence { columns: vec![column], ..at_four() };
        let odd = Class::new(1, 2).expect("a class");
        for last_value in [4, -4, i64::MAX, i64::MIN, i64::MIN + 1] {
            let sequence = Sequence { last_value, ..sequence.clone() };
            let past = sequence.handed_out(Some(odd)).expect("called");
            assert!(past.values().is_same(odd.residue()), "{past:?}");
            assert_eq!(past.until, last_value);
        }
    }
}
