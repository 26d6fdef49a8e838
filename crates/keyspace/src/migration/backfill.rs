//! The backfill: the statement of a batch, and which rows it takes.
//!
//! A row that is updated on a full page moves to another page, and gets a new entry in every index; where its page has
//! room it stays there, and no index is written. So a batch takes an eighth of the rows of each of many pages rather
//! than all rows of a few: what the next batch takes finds the room that the rows of this one have left.

use super::facts::Table;
use super::names::{literal, qualified, quoted};
use super::scope::{Key, Member, Scope};

/// One more than the greatest number of a page.
const PAGES: i64 = 1 << 32;

/// How many batches go over the same pages. More of them move fewer rows, but each looks at all of the pages.
pub const ROUNDS: i64 = 8;
/// A line pointer, which an updated row takes besides.
const POINTER: usize = 4;
/// What the sizes of rows are multiples of.
const ALIGNMENT: usize = 8;

/// A page, as a batch sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its free bytes.
    pub free: usize,
    /// How many rows there are or were on it.
    pub rows: usize,
}

impl Room {
    /// How many of a page's rows a batch takes, given the sizes of those that lack a key, in their order, and what a
    /// row grows by: as many as there is room for, up to a quarter of the page; an eighth where there is none.
    pub fn take(self, sizes: &[usize], growth: usize) -> usize {
        let rounds = usize::try_from(ROUNDS).unwrap_or(1);
        let least = self.rows.div_ceil(rounds);
        let most = least.saturating_mul(2);
        let mut free = self.free;
        let fits = |size: &&usize| {
            let needed = size.saturating_add(growth).next_multiple_of(ALIGNMENT).saturating_add(POINTER);
            let fits = needed <= free;
            free = free.saturating_sub(needed);
            fits
        };
        let fitting = sizes.iter().take(most).take_while(fits).count();
        fitting.max(least).min(sizes.len())
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
pub fn next(position: i64, pages: i64, batch: i64) -> Option<Range> {
    let from = position.max(0);
    let to = from.saturating_add(batch.max(1)).min(pages).min(PAGES);
    (from < to).then_some(Range { from, to })
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

/// The expression that derives a key from the row that it is the key of, which has this alias.
pub(super) fn derived(scope: &Scope<'_>, key: &Key<'_>, alias: &str) -> String {
    format!(
        "{}.{}({alias}.{}, {alias}.{}, {})",
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
/// (trap M8). The root's stored key goes before what can be derived (trap M22).
fn value(scope: &Scope<'_>, member: &Member<'_>) -> String {
    let key = scope.key_of(member);
    if member.is_key {
        return derived(scope, key, "t");
    }
    format!(
        "(SELECT COALESCE(p.{}, {}) FROM {} AS p WHERE p.{} OPERATOR(pg_catalog.=) t.{})",
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
/// has the alias `t`.
pub fn statement(scope: &Scope<'_>, table: &Table, condition: &str) -> String {
    let members: Vec<&Member<'_>> = scope.members_of(table.oid).collect();
    let sets: Vec<String> = members
        .iter()
        .map(|member| {
            let shadow = quoted(&member.shadow_name);
            let value = value(scope, member);
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

/// The same for those of the rows that nobody else has locked.
pub fn unlocked_statement(scope: &Scope<'_>, table: &Table, range: Range) -> String {
    let rows = format!(
        "t.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT t.ctid FROM ONLY {} AS t WHERE {} AND {} \
         FOR NO KEY UPDATE SKIP LOCKED))",
        qualified(&table.schema, &table.name),
        range.condition(),
        lacks_any(scope, table)
    );
    statement(scope, table, &rows)
}

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn a_batch_takes_what_stays_on_its_page() {
        let sizes = [76; 100];
        // A full page gives up an eighth, whose room the next batch uses.
        assert_eq!(Room { free: 0, rows: 100 }.take(&sizes, 16), 13);
        assert_eq!(Room { free: 10 * 76, rows: 100 }.take(&sizes, 16), 13);
        assert_eq!(Room { free: 15 * 100, rows: 100 }.take(&sizes, 16), 15);
        // A page with much room is not done in one batch, whose size would be another one.
        assert_eq!(Room { free: 8_000, rows: 100 }.take(&sizes, 16), 26);
        // What is left is taken, and no more.
        assert_eq!(Room { free: 0, rows: 100 }.take(&sizes[..7], 16), 7);
        assert_eq!(Room { free: 0, rows: 3 }.take(&sizes[..3], 16), 1);
        assert_eq!(Room { free: 0, rows: 0 }.take(&[], 16), 0);
    }
}
