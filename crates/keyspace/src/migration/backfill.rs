//! The backfill: the statement of a batch, and the rows that it takes.
//!
//! A row that is updated on a full page moves to another page and gets a new entry in every index.
//! If its page has room, it stays there, and no index is written. A batch therefore takes a part of
//! the rows of many pages, not all rows of a few: the next batch uses the room that the rows of
//! this one leave.

use std::collections::VecDeque;

use super::facts::Table;
use super::member::Member;
use super::old_id;
use super::scope::{Key, Scope};
use crate::sql::{literal, qualified, quoted};

/// One more than the largest page number.
const PAGES: i64 = 1 << 32;

/// The part of a page's rows that a batch takes. Rows that move get new entries in every index, in
/// addition to the old ones, which can be removed only once every snapshot sees the batch. A B-tree
/// is built with a tenth of each page free: a twelfth fits there, but an eighth splits pages.
/// With smaller parts hardly fewer rows would move, and each page would be read more often.
pub const PARTS: i64 = 12;
/// The maximum number of open ranges of pages.
const MAX_WINDOWS: usize = 8;
/// A line pointer, which an updated row needs in addition.
const POINTER: usize = 4;
/// The sizes of rows are multiples of this.
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
    /// How many of a page's rows a batch takes: a twelfth, but at least one.
    fn part(self) -> usize {
        (self.rows / usize::try_from(PARTS).unwrap_or(1)).max(1)
    }

    /// The maximum number of rows that it takes.
    pub fn most(self) -> usize {
        self.part().saturating_mul(2)
    }

    /// How many rows it takes, given the sizes of the rows that lack a key, in their order, and the
    /// growth of a row: as many as fit, up to a sixth of the page, but at least a twelfth. Sizes
    /// beyond [`Self::most`] may be omitted.
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

/// A half-open range of pages: `from` is included, `to` is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first page.
    pub from: i64,
    /// The page after the last.
    pub to: i64,
}

/// The next batch of a pass, from a page on; `None` at the end of the table.
pub(super) fn next(position: i64, pages: i64, batch: i64) -> Option<Range> {
    let from = position.max(0);
    let to = from.saturating_add(batch.max(1)).min(pages).min(PAGES);
    (from < to).then_some(Range { from, to })
}

/// The ranges of pages that batches process in turn.
///
/// Rows that a batch updates leave room once no snapshot can see their old versions. Until then the
/// next batch processes other pages, if there are any. Once there are none, the caller decides
/// whether to wait: a moment for a query is worth it, but it is better to move rows than to wait for
/// a transaction that reads for hours.
pub struct Windows<T> {
    open: VecDeque<Window<T>>,
}

/// An open range of pages.
struct Window<T> {
    range: Range,
    state: State<T>,
}

/// The progress of a range.
enum State<T> {
    New,
    /// The last batch ran in this transaction.
    Left(T),
    Done,
}

/// The range for a batch, and where its rows will go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// No batch has worked on it yet.
    New(Range),
    /// The rows that batches have updated have left room.
    WithRoom(Range),
    /// Some snapshot can still see the old versions on these pages, so rows will move to others.
    WithoutRoom(Range),
}

impl Choice {
    /// The range.
    pub const fn range(self) -> Range {
        match self {
            Self::New(range) | Self::WithRoom(range) | Self::WithoutRoom(range) => range,
        }
    }
}

impl<T> Default for Windows<T> {
    fn default() -> Self {
        Self { open: VecDeque::new() }
    }
}

impl<T> Windows<T> {
    /// The range for the next batch, if all pages before a position are done; `None` at the end of
    /// the table. New ranges have `size` pages, and at most `limit` pages are open. `is_past` says
    /// whether no snapshot can see the row versions from before a transaction any more.
    pub fn next(
        &mut self,
        position: i64,
        pages: i64,
        size: i64,
        limit: i64,
        is_past: impl Fn(&T) -> bool,
    ) -> Option<Choice> {
        if self.open.front().is_some_and(|window| window.range.from != position) {
            self.forget();
        }
        let ready = |window: &Window<T>| match &window.state {
            State::New => Some(Choice::New(window.range)),
            State::Left(by) => is_past(by).then_some(Choice::WithRoom(window.range)),
            State::Done => None,
        };
        if let Some(next) = self.open.iter().find_map(ready) {
            return Some(next);
        }
        let end = self.open.back().map_or(position, |window| window.range.to);
        let size = size.min(limit.saturating_sub(end - position));
        let new = if size > 0 && self.open.len() < MAX_WINDOWS { next(end, pages, size) } else { None };
        if let Some(range) = new {
            self.open.push_back(Window { range, state: State::New });
            return Some(Choice::New(range));
        }
        let left = self.open.iter().find(|window| !matches!(window.state, State::Done));
        left.map(|window| Choice::WithoutRoom(window.range))
    }

    /// Records that a batch in this transaction has taken a part of the rows of a range.
    pub fn part(&mut self, range: Range, by: T) {
        if let Some(window) = self.open.iter_mut().find(|window| window.range == range) {
            window.state = State::Left(by);
        }
    }

    /// Records that a range is done. Returns the page before which all pages are done.
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

    /// Starts again, as after a batch that failed.
    pub fn forget(&mut self) {
        self.open.clear();
    }
}

impl Range {
    /// The condition for the rows of these pages, which PostgreSQL runs as a TID range scan.
    pub fn condition(self) -> String {
        let from = format!("t.ctid OPERATOR(pg_catalog.>=) '({},0)'::pg_catalog.tid", self.from);
        if self.to >= PAGES {
            return from;
        }
        format!("{from} AND t.ctid OPERATOR(pg_catalog.<) '({},0)'::pg_catalog.tid", self.to)
    }
}

/// The expression that derives a key from its own row, which has this alias. Every argument has the
/// declared type of the function, so that no other function of the same name can match.
pub(super) fn derived(scope: &Scope<'_>, key: &Key<'_>, alias: &str) -> String {
    let old_id = old_id::value(&key.column, alias);
    let Some(function) = scope.options.target.derivation() else { return old_id };
    format!(
        "{}.{function}({}, {old_id}, {}::pg_catalog.text)",
        scope.facts.extension_schema,
        key.time.sql(scope.facts, key.column.table, alias),
        literal(&key.options.salt),
    )
}

/// The expression for the key of a row in a column of keys.
///
/// A scalar subquery uses the root's index for each row; a join would read the whole root for each
/// batch (trap M8). The root's stored key takes precedence over a derived one (trap M22). The keys
/// of the columns in `given` are parameters of the statement: see [`old_ids`].
fn value(scope: &Scope<'_>, member: &Member<'_>, given: &[i16]) -> String {
    if scope.keeps_values() {
        return old_id::value(member, "t");
    }
    let key = scope.key_of(member);
    // The trigger on UPDATE gives the row a key that a query must not compute. The other statements
    // are only shown.
    if scope.options.fire_triggers && key.time.needs_library() && !given.contains(&member.old_id.number) {
        return format!("t.{}", quoted(&member.shadow_name));
    }
    if member.is_key {
        return derived(scope, key, "t");
    }
    if let Some(at) = given.iter().position(|column| *column == member.old_id.number) {
        return format!(
            "(${}::pg_catalog.jsonb OPERATOR(pg_catalog.->>) {})::pg_catalog.uuid::{}",
            at + 1,
            old_id::in_json(member, "t"),
            scope.options.target.type_name(&scope.facts.extension_schema)
        );
    }
    format!(
        "(SELECT COALESCE(p.{}, {}) FROM {} AS p WHERE {})",
        quoted(&key.column.shadow_name),
        derived(scope, key, "p"),
        key.column.rows_sql(),
        old_id::is_referenced(&key.column, member)
    )
}

/// The condition for a row that lacks a key.
fn lacks(member: &Member<'_>) -> String {
    let shadow = quoted(&member.shadow_name);
    if member.is_key || (member.old_id.not_null && member.refers.is_none()) {
        return format!("t.{shadow} IS NULL");
    }
    let refers = member.and_refers("t");
    format!("(t.{shadow} IS NULL AND t.{} IS NOT NULL{refers})", quoted(&member.old_id.name))
}

/// The condition for a row that lacks any key.
pub fn lacks_any(scope: &Scope<'_>, table: &Table) -> String {
    let parts: Vec<String> = scope.members_of(table.oid).map(lacks).collect();
    if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(" OR ")) }
}

/// The statement that gives keys to the rows of a table that lack one. `condition` selects the
/// rows, with the alias `t` for the table. `given` has the columns of old ids whose keys are
/// parameters of the statement.
pub fn statement(scope: &Scope<'_>, table: &Table, condition: &str, given: &[i16]) -> String {
    let members: Vec<&Member<'_>> = scope.members_of(table.oid).collect();
    let sets: Vec<String> = members
        .iter()
        .map(|member| {
            let shadow = quoted(&member.shadow_name);
            let value = value(scope, member, given);
            // The row may have been selected for another column.
            let value = match member.refers_sql("t").filter(|_| members.len() > 1) {
                Some(refers) => format!("CASE WHEN {refers} THEN {value} END"),
                None => value,
            };
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

/// The old ids that rows without a key refer to. The caller looks up their keys and passes them to
/// [`statement`], as a JSON object for each column. A query over two tables is planned as the owner
/// of one of them, and the planner evaluates code of the other's owner.
pub fn old_ids(member: &Member<'_>, condition: &str) -> String {
    let old_id = quoted(&member.old_id.name);
    format!(
        "SELECT DISTINCT {} FROM ONLY {} AS t WHERE {condition} AND {} AND t.{old_id} IS NOT NULL",
        old_id::result(member, "t"),
        member.table_sql(),
        lacks(member)
    )
}

/// The rows that lack any key: page, line pointer, and the first old id of each.
pub fn lacking(scope: &Scope<'_>, table: &Table, condition: &str) -> String {
    let old_id = scope.members_of(table.oid).next().map(|member| old_id::result(member, "t"));
    let part = |at: i32| {
        format!(
            "pg_catalog.split_part(pg_catalog.btrim(t.ctid::pg_catalog.text, '()'), ',', {at})::pg_catalog.int8"
        )
    };
    format!(
        "SELECT {}, {}, {} FROM ONLY {} AS t WHERE {condition} AND {}",
        part(1),
        part(2),
        old_id.unwrap_or_default(),
        qualified(&table.schema, &table.name),
        lacks_any(scope, table)
    )
}

/// The same as [`statement`], for those of the rows that no other transaction has locked.
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
    use super::{Choice, Range, Room, Windows};

    #[test]
    fn a_batch_takes_the_rows_that_fit_on_their_page() {
        let sizes = [76; 100];
        // A full page gives up a twelfth of its rows, whose room the next batch uses.
        assert_eq!(Room { free: 0, rows: 100 }.take(&sizes, 16), 8);
        assert_eq!(Room { free: 6 * 76, rows: 100 }.take(&sizes, 16), 8);
        assert_eq!(Room { free: 15 * 100, rows: 100 }.take(&sizes, 16), 15);
        // Not even a page with much room is done in one batch: batches would differ in size.
        assert_eq!(Room { free: 8_000, rows: 100 }.take(&sizes, 16), 16);
        // The remaining rows are taken, and no more.
        assert_eq!(Room { free: 0, rows: 100 }.take(&sizes[..7], 16), 7);
        assert_eq!(Room { free: 0, rows: 3 }.take(&sizes[..3], 16), 1);
        // No more than fits on an index page, if possible.
        assert_eq!(Room { free: 0, rows: 17 }.take(&sizes[..17], 16), 1);
        assert_eq!(Room { free: 0, rows: 0 }.take(&[], 16), 0);
    }

    const fn range(from: i64, to: i64) -> Range {
        Range { from, to }
    }

    #[test]
    fn a_range_is_continued_until_it_is_done() {
        let mut windows = Windows::default();
        let next = |position: i64, windows: &mut Windows<u32>| windows.next(position, 25, 10, 100, |_| true);
        assert_eq!(next(0, &mut windows), Some(Choice::New(range(0, 10))));
        windows.part(range(0, 10), 7);
        assert_eq!(next(0, &mut windows), Some(Choice::WithRoom(range(0, 10))));
        assert_eq!(windows.done(range(0, 10)), 10);
        assert_eq!(next(10, &mut windows), Some(Choice::New(range(10, 20))));
        // A pass at another position starts there.
        assert_eq!(next(3, &mut windows), Some(Choice::New(range(3, 13))));
        assert_eq!(windows.done(range(3, 13)), 13);
        assert_eq!(next(25, &mut windows), None);
    }

    #[test]
    fn other_pages_come_first_while_old_versions_are_visible() {
        let mut windows = Windows::default();
        let next = |past: u32, windows: &mut Windows<u32>| windows.next(0, 35, 10, 30, |by| *by <= past);
        for (transaction, range) in [(1, range(0, 10)), (2, range(10, 20)), (3, range(20, 30))] {
            assert_eq!(next(0, &mut windows), Some(Choice::New(range)));
            windows.part(range, transaction);
        }
        // As many pages as allowed are open, so rows move.
        assert_eq!(next(0, &mut windows), Some(Choice::WithoutRoom(range(0, 10))));
        windows.part(range(0, 10), 4);
        // Ranges whose room is free come before older ranges.
        assert_eq!(next(2, &mut windows), Some(Choice::WithRoom(range(10, 20))));
        assert_eq!(windows.done(range(10, 20)), 0);
        assert_eq!(next(3, &mut windows), Some(Choice::WithRoom(range(20, 30))));
        windows.part(range(20, 30), 5);
        assert_eq!(next(4, &mut windows), Some(Choice::WithRoom(range(0, 10))));
        // The range that was done earlier counts now.
        assert_eq!(windows.done(range(0, 10)), 20);
    }

    #[test]
    fn the_number_of_open_ranges_is_limited() {
        let mut windows = Windows::default();
        for at in 0..8 {
            assert_eq!(windows.next(0, 100, 1, 100, |()| false), Some(Choice::New(range(at, at + 1))));
            windows.part(range(at, at + 1), ());
        }
        assert_eq!(windows.next(0, 100, 1, 100, |()| false), Some(Choice::WithoutRoom(range(0, 1))));
    }
}
