//! The backfill: the statement of a batch, and which pages it takes.

use super::facts::Table;
use super::names::{literal, qualified, quoted};
use super::scope::{Member, Scope};

/// One more than the greatest number of a page.
const PAGES: i64 = 1 << 32;

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

/// The expression that derives the key of a row of the root, which has this alias.
fn derived(scope: &Scope<'_>, alias: &str) -> String {
    format!(
        "{}.{}({alias}.{}, {alias}.{}, {})",
        scope.facts.extension_schema,
        scope.options.target.derivation(),
        quoted(&scope.timestamp.name),
        quoted(&scope.key().number.name),
        literal(&scope.options.salt),
    )
}

/// The expression for the key that a row has in a column of keys.
///
/// A scalar subquery, which goes through the root's index for each row; a join reads the whole root for each batch
/// (trap M8). The root's stored key goes before what can be derived (trap M22).
fn value(scope: &Scope<'_>, member: &Member<'_>) -> String {
    if member.is_key {
        return derived(scope, "t");
    }
    let key = scope.key();
    format!(
        "(SELECT COALESCE(p.{}, {}) FROM {} AS p WHERE p.{} OPERATOR(pg_catalog.=) t.{})",
        quoted(&key.shadow_name),
        derived(scope, "p"),
        key.table_sql(),
        quoted(&key.number.name),
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
