//! The furthest values of the columns that sequences feed.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::RangeInclusive;

use keyspace::sequences::{FedColumn, RowsAhead, Upcoming};

use crate::sequences::read::catalog::Column;
use crate::sequences::read::values::{Order, Values, wait_for};

/// The values to look for: those in the direction of a sequence, and among these the values that it
/// will hand out itself. Values beyond its range can never collide with it, and do not count.
#[derive(Clone)]
pub(crate) struct Ahead {
    /// Whether the sequence ascends.
    pub(crate) ascending: bool,
    /// The next value of the sequence.
    pub(crate) next: i128,
    /// The values that it hands out from then on.
    pub(crate) upcoming: Upcoming,
    /// The values that count: [`Sequence::range`].
    ///
    /// [`Sequence::range`]: keyspace::sequences::Sequence::range
    pub(crate) range: RangeInclusive<i64>,
}

impl Ahead {
    /// The part of its range that it has not passed.
    fn range_ahead(&self) -> RangeInclusive<i64> {
        let next = i64::try_from(self.next).unwrap_or(if self.next > 0 { i64::MAX } else { i64::MIN });
        if self.ascending {
            next.max(*self.range.start())..=*self.range.end()
        } else {
            *self.range.start()..=next.min(*self.range.end())
        }
    }
}

/// The result of reading a column.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Furthest {
    /// The furthest value; `None` where there is none.
    pub(crate) value: Option<i64>,
    /// The furthest value that the sequence will hand out itself, or that is an id of its blocks.
    pub(crate) ahead: Option<i64>,
    /// The furthest value that may be one.
    pub(crate) maybe_ahead: Option<i64>,
    /// The furthest value, if the sequence does not follow it.
    pub(crate) not_followed: Option<i64>,
}

impl Furthest {
    /// The same of a column of which nothing counts that lies beyond what the sequence has handed out, whose last value
    /// is `handed_out`.
    pub(crate) fn up_to(self, handed_out: Option<i64>, ascending: bool) -> Self {
        let is_beyond = |value: &i64| match handed_out {
            Some(last) => {
                if ascending {
                    *value > last
                } else {
                    *value < last
                }
            }
            None => true,
        };
        match self.value.filter(is_beyond) {
            None => self,
            beyond => Self { value: handed_out, ahead: None, maybe_ahead: None, not_followed: beyond },
        }
    }
}

impl Column {
    /// The facts of the column, with what was found in it.
    pub(crate) fn facts(&self, found: Furthest) -> FedColumn {
        FedColumn {
            name: self.name.clone(),
            number_type: self.number_type,
            limits: self.limits,
            draw: self.draw,
            set_by: self.set_by.clone(),
            extreme: found.value,
            ahead: found.ahead,
            maybe_ahead: found.maybe_ahead,
            not_followed: found.not_followed,
        }
    }
}

/// Which columns are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    /// Columns with an index that gives the furthest value. They are fast, and read while the
    /// sequence is locked.
    Indexed,
    /// The others. They need a scan, and are read before the sequence is locked (trap S06).
    Unindexed,
}

/// Reads a column to its end in the direction of a sequence: through an index where there is one, by a scan
/// otherwise. `None` where it was not read.
pub(crate) fn read(column: &Column, ahead: &Ahead, which: Which) -> Option<Furthest> {
    if which == Which::Unindexed
        && let Some(index) = column.index.get()
    {
        // A lock that somebody else holds is noticed before the sequence is locked, too.
        wait_for(column.relation_oid);
        wait_for(index);
        return None;
    }
    Values::of(column, |values| {
        if which != Which::All && values.are_indexed() != (which == Which::Indexed) {
            return None;
        }
        let (mut found, order) = (Furthest::default(), Cell::new(Order::Any));
        let mut rows = RowsAhead::default();
        let furthest = |one: Option<i64>, other: i64| {
            let one = one.unwrap_or(other);
            Some(if ahead.ascending { one.max(other) } else { one.min(other) })
        };
        values.each(
            ahead.ascending,
            &ahead.range,
            |of_table| order.set(of_table),
            |value| {
                found.value = furthest(found.value, value);
                // In an index, all further rows are nearer.
                rows.visit(&ahead.upcoming, value) || order.get() == Order::Any
            },
        );
        (found.ahead, found.maybe_ahead) = (rows.certain(&ahead.upcoming), rows.possible(&ahead.upcoming));
        Some(found)
    })
    .flatten()
}

/// How many rows are read behind the last restart at least.
const LEAST_BEHIND: u64 = 10_000;

/// The nearest value that the sequence will hand out itself.
pub(crate) fn nearest(column: &Column, ahead: &Ahead) -> Option<i64> {
    Values::of(column, |values| {
        let (range, order) = (ahead.range_ahead(), Cell::new(Order::Any));
        let mut found: Option<i64> = None;
        values.each(
            !ahead.ascending,
            &range,
            |of_table| order.set(of_table),
            |value| {
                let is_own = ahead.upcoming.may_include(value);
                if is_own {
                    let known = found.unwrap_or(value);
                    found = Some(if ahead.ascending { known.min(value) } else { known.max(value) });
                }
                // In an index, all further rows are further away.
                order.get() == Order::Any || !is_own
            },
        );
        found
    })
    .flatten()
}

/// The furthest value of each residue class in the columns of a sequence.
#[derive(Debug, Default)]
pub(crate) struct ByResidue {
    /// By the remainder.
    furthest: HashMap<i64, i64>,
    /// The unread rows of an index are at or before this value.
    pub(crate) unread: Option<i64>,
}

impl ByResidue {
    /// The values that were found, the furthest first.
    pub(crate) fn values(&self, ascending: bool) -> Vec<i64> {
        let mut values: Vec<i64> = self.furthest.values().copied().collect();
        values.sort_unstable_by_key(|value| if ascending { !*value } else { *value });
        values
    }

    /// Adds the values of a column up to `end`. Reads the last `rows` of an index, or all of them;
    /// scans a table without an index. Unless all are to be read, it goes on behind the value at
    /// which the sequence was last restarted only for as many rows as it has found beyond, and a few
    /// more: a set-up restarted it above everything that was known then.
    pub(crate) fn read(
        &mut self,
        column: &Column,
        (ascending, end): (bool, i64),
        modulus: i64,
        rows: Option<u64>,
        restart: Option<i64>,
    ) {
        let range = if ascending { i64::MIN..=end } else { end..=i64::MAX };
        let is_past = |a: i64, b: i64| if ascending { a > b } else { a < b };
        let all = u64::try_from(modulus).unwrap_or(u64::MAX);
        let (order, seen, beyond) = (Cell::new(Order::Any), Cell::new(0_u64), Cell::new(0_u64));
        let is_enough = |rows: u64| {
            let is_behind = restart.is_some() && seen.get() - beyond.get() >= beyond.get().max(LEAST_BEHIND);
            seen.get() >= rows || is_behind
        };
        // The nearest of the furthest values, if every class has one. For speed, it is not computed
        // for every row.
        let mut nearest = None;
        Values::of(column, |values| {
            values.each(
                ascending,
                &range,
                |of_table| {
                    order.set(of_table);
                    seen.set(0);
                    beyond.set(0);
                },
                |value| {
                    if order.get() == Order::FurthestFirst {
                        if seen.get() % all == 0 {
                            nearest = self.nearest(ascending, all);
                        }
                        // No further row of this table goes beyond the known values.
                        if nearest.is_some_and(|nearest| !is_past(value, nearest)) {
                            return false;
                        }
                        if rows.is_some_and(is_enough) {
                            let known = self.unread.filter(|known| is_past(*known, value));
                            self.unread = known.or(Some(value));
                            return false;
                        }
                        seen.set(seen.get() + 1);
                        if restart.is_none_or(|restart| !is_past(restart, value)) {
                            beyond.set(beyond.get() + 1);
                        }
                    }
                    match self.furthest.entry(value.rem_euclid(modulus)) {
                        Entry::Vacant(new) => {
                            new.insert(value);
                            nearest = self.nearest(ascending, all);
                        }
                        Entry::Occupied(mut known) if is_past(value, *known.get()) => {
                            known.insert(value);
                        }
                        Entry::Occupied(_) => {}
                    }
                    true
                },
            );
        });
    }

    /// The nearest of the furthest values, if every class has one.
    fn nearest(&self, ascending: bool, all: u64) -> Option<i64> {
        if (self.furthest.len() as u64) < all {
            return None;
        }
        let values = self.furthest.values().copied();
        if ascending { values.min() } else { values.max() }
    }
}
