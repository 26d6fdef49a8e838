//! The backfill: the statement of a batch, and which rows it takes.
//!
//! A row that is updated on a full page moves to another page, and gets a new entry in every index; where its page has
//! room it stays there, and no index is written. So a batch takes a part of the rows of each of many pages rather
//! than all rows of a few: what the next batch takes finds the room that the rows of this one have left.

use std::collections::VecDeque;

use super::facts::Table;
use super::scope::{Key, Member, Scope};
use crate::sql::{literal, qualified, quoted};

/// One more than the greatest number of a page.
const PAGES: i64 = 1 << 32;

/// Which part of the rows of a page a batch takes. Rows that move get new entries in every index, beside the old ones,
/// which can go only once the batch is seen by all; a B-tree is built with a tenth of each page free, so that a twelfth
/// finds room there, while an eighth splits pages. Smaller parts would move hardly fewer rows, with more looks at each
/// page.
pub const PARTS: i64 = 12;
/// How many ranges of pages are in hand at most.
const MOST_WINDOWS: usize = 8;
/// A line pointer, which an updated row takes besides.
const POINTER: usize = 4;
/// What the sizes of rows are multiples of.
const ALIGNMENT: usize = 8;

/// A page, as a batch sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its free bytes.
    pub free: usize,
    /// How many rows are on it.
    pub rows: usize,
}

impl Room {
    /// How many of a page's rows a batch takes: a twelfth, or one where it has fewer.
    fn part(self) -> usize {
        (self.rows / usize::try_from(PARTS).unwrap_or(1)).max(1)
    }

    /// How many it takes at most.
    pub fn most(self) -> usize {
        self.part().saturating_mul(2)
    }

    /// How many it takes, given the sizes of those that lack a key, in their order, and what a row grows by: as many as
    /// there is room for, up to a sixth of the page; a twelfth where there is none. Sizes beyond [`Self::most`] need
    /// not be there.
    pub fn take(self, sizes: &[usize], growth: usize) -> usize {
        let mut free = self.free;
        let fits = |size: &&usize| {
            let needed = size.saturating_add(growth).next_multiple_of(ALIGNMENT).saturating_add(POINTER);
            let fits = needed <= free;
            free = free.saturating_sub(needed);
            fits
        };
        let fitting = sizes.iter().take(self.most()).take_while(fits).count();
        fitting.max(self.part()).min(sizes.len())
    }
}

/// Half-open ranges of pages: `from` is in it, `to` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first page.
    pub from: i64,
    /// The page after the last.
    pub to: i64,
}

/// The next batch of a pass that stands at a page; `None` where it is at the end of the table.
pub(super) fn next(position: i64, pages: i64, batch: i64) -> Option<Range> {
    let from = position.max(0);
    let to = from.saturating_add(batch.max(1)).min(pages).min(PAGES);
    (from < to).then_some(Range { from, to })
}

/// The ranges of pages that batches go over in turn.
///
/// What a batch takes leaves room once nobody can see it where it was. Until then the next batch goes over other pages,
/// as far as there are some; after that it is better to move rows than to wait for whoever reads for hours.
pub struct Windows<T> {
    open: VecDeque<Window<T>>,
}

/// A range of pages in hand.
struct Window<T> {
    range: Range,
    state: State<T>,
}

/// How far a range has come.
enum State<T> {
    New,
    /// The last batch was in this transaction.
    Left(T),
    Done,
}

impl<T> Default for Windows<T> {
    fn default() -> Self {
        Self { open: VecDeque::new() }
    }
}

impl<T> Windows<T> {
    /// The range that the next batch goes over, where all pages before a position are done; `None` at the end of the
    /// table. New ranges are of `size` pages, and `limit` is how many pages may be in hand; `is_past` says whether
    /// nobody can see any more what was there before a transaction.
    pub fn next(
        &mut self,
        position: i64,
        pages: i64,
        size: i64,
        limit: i64,
        is_past: impl Fn(&T) -> bool,
    ) -> Option<Range> {
        if self.open.front().is_some_and(|window| window.range.from != position) {
            self.forget();
        }
        let is_ready = |window: &&Window<T>| match &window.state {
            State::New => true,
            State::Left(by) => is_past(by),
            State::Done => false,
        };
        if let Some(window) = self.open.iter().find(is_ready) {
            return Some(window.range);
        }
        let end = self.open.back().map_or(position, |window| window.range.to);
        let size = size.min(limit.saturating_sub(end - position));
        let new = if size > 0 && self.open.len() < MOST_WINDOWS { next(end, pages, size) } else { None };
        if let Some(range) = new {
            self.open.push_back(Window { range, state: State::New });
            return Some(range);
        }
        self.open.iter().find(|window| !matches!(window.state, State::Done)).map(|window| window.range)
    }

    /// A batch has taken a part of the rows of a range, in this transaction.
    pub fn part(&mut self, range: Range, by: T) {
        if let Some(window) = self.open.iter_mut().find(|window| window.range == range) {
            window.state = State::Left(by);
        }
    }

    /// A range is done. Returns the page before which all are.
    pub fn done(&mut self, range: Range) -> i64 {
        let mut position = self.open.front().map_or(range.to, |window| window.range.from);
        if let Some(window) = self.open.iter_mut().find(|window| window.range == range) {
            window.state = State::Done;
        }
        while let Some(window) = self.open.pop_front_if(|window| matches!(window.state, State::Done)) {
            position = window.range.to;
        }
        position
    }

    /// Begins anew, as where a batch has failed.
    pub fn forget(&mut self) {
        self.open.clear();
    }
}

impl Range {
    /// The condition on the rows of these pages, a range scan of PostgreSQL's.
    pub fn condition(self) -> String {
        let from = format!("t.ctid OPERATOR(pg_catalog.>=) '({},0)'::pg_catalog.tid", self.from);
        if self.to >= PAGES {
            return from;
        }
        format!("{from} AND t.ctid OPERATOR(pg_catalog.<) '({},0)'::pg_catalog.tid", self.to)
    }
}

/// The expression that derives a key from the row that it is the key of, which has this alias. Every argument is of the
/// type that the function is declared with, so that no other function of its name can be meant.
pub(super) fn derived(scope: &Scope<'_>, key: &Key<'_>, alias: &str) -> String {
    format!(
        "{}.{}({alias}.{}::pg_catalog.timestamptz, {alias}.{}::pg_catalog.int8, {}::pg_catalog.text)",
        scope.facts.extension_schema,
        scope.options.target.derivation(),
        quoted(&key.timestamp.name),
        quoted(&key.column.number.name),
        literal(&key.options.salt),
    )
}

/// The expression for the key that a row has in a column of keys.
///
/// A scalar subquery, which goes through the root's index for each row; a join reads the whole root for each batch
/// (trap M8). The root's stored key goes before what can be derived (trap M22). Keys of the columns in `given` come with
/// the statement: see [`numbers`].
fn value(scope: &Scope<'_>, member: &Member<'_>, given: &[i16]) -> String {
    let key = scope.key_of(member);
    if member.is_key {
        return derived(scope, key, "t");
    }
    if let Some(at) = given.iter().position(|number| *number == member.number.number) {
        return format!(
            "(${}::pg_catalog.jsonb OPERATOR(pg_catalog.->>) t.{}::pg_catalog.int8::pg_catalog.text)::pg_catalog.uuid::{}",
            at + 1,
            quoted(&member.number.name),
            scope.options.target.type_name(&scope.facts.extension_schema)
        );
    }
    format!(
        "(SELECT COALESCE(p.{}, {}) FROM ONLY {} AS p WHERE p.{} OPERATOR(pg_catalog.=) t.{})",
        quoted(&key.column.shadow_name),
        derived(scope, key, "p"),
        key.column.table_sql(),
        quoted(&key.column.number.name),
        quoted(&member.number.name)
    )
}

/// The condition for a row that lacks a key.
fn lacks(member: &Member<'_>) -> String {
    let shadow = quoted(&member.shadow_name);
    if member.is_key || member.number.not_null {
        return format!("t.{shadow} IS NULL");
    }
    format!("(t.{shadow} IS NULL AND t.{} IS NOT NULL)", quoted(&member.number.name))
}

/// The condition for a row that lacks any key.
pub fn lacks_any(scope: &Scope<'_>, table: &Table) -> String {
    let parts: Vec<String> = scope.members_of(table.oid).map(lacks).collect();
    if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(" OR ")) }
}

/// The statement that gives keys to the rows of a table that lack one; `condition` says which rows, where the table
/// has the alias `t`, and `given` the columns of numbers whose keys are the statement's parameters.
pub fn statement(scope: &Scope<'_>, table: &Table, condition: &str, given: &[i16]) -> String {
    let members: Vec<&Member<'_>> = scope.members_of(table.oid).collect();
    let sets: Vec<String> = members
        .iter()
        .map(|member| {
            let shadow = quoted(&member.shadow_name);
            let value = value(scope, member, given);
            // A key once set is never derived again.
            if members.len() == 1 {
                format!("{shadow} = {value}")
            } else {
                format!("{shadow} = COALESCE(t.{shadow}, {value})")
            }
        })
        .collect();
    format!(
        "UPDATE ONLY {} AS t SET {} WHERE {condition} AND {}",
        qualified(&table.schema, &table.name),
        sets.join(", "),
        lacks_any(scope, table)
    )
}

/// The numbers that rows without a key refer to, for whoever looks up their keys himself and gives them to
/// [`statement`], as a JSON object for each column. A query over two tables is planned as the owner of one of them, and
/// the planner evaluates code of the other's.
pub fn numbers(member: &Member<'_>, condition: &str) -> String {
    let number = quoted(&member.number.name);
    format!(
        "SELECT DISTINCT t.{number}::pg_catalog.int8 FROM ONLY {} AS t WHERE {condition} AND {} AND t.{number} IS NOT NULL",
        member.table_sql(),
        lacks(member)
    )
}

/// The same as [`statement`] for those of the rows that nobody else has locked.
pub fn unlocked_statement(scope: &Scope<'_>, table: &Table, range: Range, given: &[i16]) -> String {
    let rows = format!(
        "t.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT t.ctid FROM ONLY {} AS t WHERE {} AND {} \
         FOR NO KEY UPDATE SKIP LOCKED))",
        qualified(&table.schema, &table.name),
        range.condition(),
        lacks_any(scope, table)
    );
    statement(scope, table, &rows, given)
}

#[cfg(test)]
mod tests {
    use super::{Range, Room, Windows};

    #[test]
    fn a_batch_takes_what_stays_on_its_page() {
        let sizes = [76; 100];
        // A full page gives up a twelfth, whose room the next batch uses.
        assert_eq!(Room { free: 0, rows: 100 }.take(&sizes, 16), 8);
        assert_eq!(Room { free: 6 * 76, rows: 100 }.take(&sizes, 16), 8);
        assert_eq!(Room { free: 15 * 100, rows: 100 }.take(&sizes, 16), 15);
        // A page with much room is not done in one batch, whose size would be another one.
        assert_eq!(Room { free: 8_000, rows: 100 }.take(&sizes, 16), 16);
        // What is left is taken, and no more.
        assert_eq!(Room { free: 0, rows: 100 }.take(&sizes[..7], 16), 7);
        assert_eq!(Room { free: 0, rows: 3 }.take(&sizes[..3], 16), 1);
        // No more than a page of an index has room for, where it can be helped.
        assert_eq!(Room { free: 0, rows: 17 }.take(&sizes[..17], 16), 1);
        assert_eq!(Room { free: 0, rows: 0 }.take(&[], 16), 0);
    }

    const fn range(from: i64, to: i64) -> Range {
        Range { from, to }
    }

    #[test]
    fn a_range_is_gone_on_with_until_it_is_done() {
        let mut windows = Windows::default();
        let next = |position: i64, windows: &mut Windows<u32>| windows.next(position, 25, 10, 100, |_| true);
        assert_eq!(next(0, &mut windows), Some(range(0, 10)));
        windows.part(range(0, 10), 7);
        assert_eq!(next(0, &mut windows), Some(range(0, 10)));
        assert_eq!(windows.done(range(0, 10)), 10);
        assert_eq!(next(10, &mut windows), Some(range(10, 20)));
        // Whoever stands elsewhere begins there.
        assert_eq!(next(3, &mut windows), Some(range(3, 13)));
        assert_eq!(windows.done(range(3, 13)), 13);
        assert_eq!(next(25, &mut windows), None);
    }

    #[test]
    fn other_pages_come_first_while_somebody_sees_what_was_there() {
        let mut windows = Windows::default();
        let next = |past: u32, windows: &mut Windows<u32>| windows.next(0, 35, 10, 30, |by| *by <= past);
        for (transaction, range) in [(1, range(0, 10)), (2, range(10, 20)), (3, range(20, 30))] {
            assert_eq!(next(0, &mut windows), Some(range));
            windows.part(range, transaction);
        }
        // As many pages as may be are in hand: rows move.
        assert_eq!(next(0, &mut windows), Some(range(0, 10)));
        windows.part(range(0, 10), 4);
        // Those whose room is free come before those that came first.
        assert_eq!(next(2, &mut windows), Some(range(10, 20)));
        assert_eq!(windows.done(range(10, 20)), 0);
        assert_eq!(next(3, &mut windows), Some(range(20, 30)));
        windows.part(range(20, 30), 5);
        assert_eq!(next(4, &mut windows), Some(range(0, 10)));
        // What was done before it counts now.
        assert_eq!(windows.done(range(0, 10)), 20);
    }

    #[test]
    fn no_more_ranges_than_can_be_kept_are_in_hand() {
        let mut windows = Windows::default();
        for at in 0..8 {
            assert_eq!(windows.next(0, 100, 1, 100, |_| false), Some(range(at, at + 1)));
            windows.part(range(at, at + 1), ());
        }
        assert_eq!(windows.next(0, 100, 1, 100, |_| false), Some(range(0, 1)));
    }
}
