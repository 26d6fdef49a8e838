//! The comparisons before a cut-over, as queries.

use super::backfill::derived;
use super::member::Member;
use super::old_id::{self, least};
use super::required;
use super::scope::Scope;
use crate::sql::quoted;

/// What a query counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All rows.
    Rows,
    /// Rows of the migrated table without a key.
    RowsWithoutKey,
    /// Keys that more than one row has.
    EqualKeys,
    /// Rows with another key than their time and old id give now.
    RowsChangedSince,
    /// Rows that refer to a row that does not exist.
    Orphans,
    /// Rows with another key than the row that they refer to.
    OtherThanReferenced,
    /// Rows with another key than their old id.
    OtherThanOldId,
    /// Rows with a key and no old id.
    KeysWithoutOldId,
    /// Rows with an old id and no key.
    OldIdsWithoutKey,
    /// All keys, with a digest that does not depend on their order.
    Digest,
}

impl Kind {
    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::RowsWithoutKey => "rows without key",
            Self::EqualKeys => "equal keys",
            Self::RowsChangedSince => "rows changed since",
            Self::Orphans => "orphans",
            Self::OtherThanReferenced => "other than referenced",
            Self::OtherThanOldId => "other than old id",
            Self::KeysWithoutOldId => "keys without old id",
            Self::OldIdsWithoutKey => "old ids without key",
            Self::Digest => "digest",
        }
    }

    /// What it counts, for a message that goes on with "in column ... of table ...".
    pub const fn description(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::RowsWithoutKey => "rows without a key",
            Self::EqualKeys => "duplicate keys",
            Self::RowsChangedSince => "rows changed since they got their key",
            Self::Orphans => "references to missing rows",
            Self::OtherThanReferenced => "keys that do not match the referenced row",
            Self::OtherThanOldId => "keys that differ from the old id",
            Self::KeysWithoutOldId => "keys without an old id",
            Self::OldIdsWithoutKey => "old ids without a key",
            Self::Digest => "keys",
        }
    }

    /// Whether a migration cannot end with such rows, because afterwards nothing shows which row
    /// was meant.
    pub const fn prevents_finalize(self) -> bool {
        matches!(
            self,
            Self::RowsWithoutKey | Self::EqualKeys | Self::OtherThanReferenced | Self::OtherThanOldId
        )
    }

    /// Whether rows of it may be rows without a key, to which the backfill can return.
    pub const fn may_lack_keys(self) -> bool {
        matches!(self, Self::RowsWithoutKey | Self::OtherThanReferenced | Self::OtherThanOldId)
    }

    /// Whether rows of it are worth a notice if they are allowed.
    pub const fn is_notable(self) -> bool {
        matches!(self, Self::Orphans | Self::RowsChangedSince)
    }
}

/// Counts the rows of a kind, and gives an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it counts.
    pub kind: Kind,
    /// The table.
    pub table: u32,
    /// The column.
    pub column: String,
    /// The number of its column of old ids.
    pub old_id: i16,
    /// Whether a row without a key must have an old id.
    pub needs_old_id: bool,
    /// Whether no such row may exist.
    pub must_be_none: bool,
    /// `SELECT count, example`. `None` for [`Kind::Orphans`] and [`Kind::OtherThanReferenced`], which
    /// [`super::verify_references`] finds together.
    pub query: Option<String>,
}

/// The queries for all columns.
pub fn checks(scope: &Scope<'_>) -> Vec<Check> {
    scope
        .members_with_rows()
        .flat_map(|member| if member.is_key { key(scope, member) } else { reference(scope, member) })
        .collect()
}

/// The queries for old ids that would be lost with their column, because the row has no key for
/// them.
pub fn losses(scope: &Scope<'_>) -> Vec<Check> {
    let references = scope.members_with_rows().filter(|member| !member.is_key && !member.stays());
    references
        .map(|member| {
            let (old_id, shadow) = (quoted(&member.old_id.name), quoted(&member.shadow_name));
            let query = format!(
                "SELECT pg_catalog.count(*), {} FROM ONLY {} AS t WHERE t.{old_id} IS NOT NULL AND t.{shadow} IS NULL{}",
                least(member, "t"),
                member.table_sql(),
                member.and_refers("t")
            );
            let needs_old_id = required::needs_old_id(scope, member);
            Check { needs_old_id, ..check(member, Kind::OldIdsWithoutKey, true, query) }
        })
        .collect()
}

pub(super) fn check(
    member: &Member<'_>,
    kind: Kind,
    must_be_none: bool,
    query: impl Into<Option<String>>,
) -> Check {
    Check {
        kind,
        table: member.table.oid,
        column: member.shadow_name.clone(),
        old_id: member.old_id.number,
        needs_old_id: false,
        must_be_none,
        query: query.into(),
    }
}

fn rows(member: &Member<'_>) -> Check {
    let query = format!("SELECT pg_catalog.count(*), NULL::text FROM ONLY {} AS t", member.table_sql());
    check(member, Kind::Rows, false, query)
}

/// Keys must exist, be unique, and be in the order of time and old id. Before a cut-over every key
/// has been derived, and derived keys are in that order by construction. If a key is not the one
/// that the row gives now, its time or old id has changed since, which is not an error.
fn key(scope: &Scope<'_>, member: &Member<'_>) -> Vec<Check> {
    let (table, example) = (member.table_sql(), least(member, "t"));
    let shadow = quoted(&member.shadow_name);
    // Like the ids of a partitioned table, its keys are unique together with the other columns.
    let companions = member.companions.iter().filter_map(|companion| member.table.column(companion.own));
    let companions: String = companions.map(|column| format!(", t.{}", quoted(&column.name))).collect();
    let mut checks = vec![
        rows(member),
        check(
            member,
            Kind::RowsWithoutKey,
            true,
            format!("SELECT pg_catalog.count(*), {example} FROM ONLY {table} AS t WHERE t.{shadow} IS NULL"),
        ),
        check(
            member,
            Kind::EqualKeys,
            true,
            format!(
                "SELECT pg_catalog.count(*), pg_catalog.min(d.k) FROM (SELECT t.{shadow}::text AS k FROM ONLY {table} AS t \
                 WHERE t.{shadow} IS NOT NULL GROUP BY t.{shadow}{companions} HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1) AS d"
            ),
        ),
    ];
    if scope.keeps_values() {
        checks.extend(same_values(member));
    } else {
        let derived = derived(scope, scope.key_of(member), "t");
        checks.push(check(
            member,
            Kind::RowsChangedSince,
            false,
            format!(
                "SELECT pg_catalog.count(*), {example} FROM ONLY {table} AS t \
                 WHERE t.{shadow}::pg_catalog.uuid OPERATOR(pg_catalog.<>) ({derived})::pg_catalog.uuid"
            ),
        ));
    }
    checks.push(digest(member));
    checks
}

/// Keys that keep their values are equal to the old ids, which are NULL if they cannot hold the key.
fn same_values(member: &Member<'_>) -> [Check; 2] {
    let (table, old_id) = (member.table_sql(), quoted(&member.old_id.name));
    let (shadow, same) = (quoted(&member.shadow_name), old_id::value(member, "t"));
    let (smallest, greatest) = old_id::range(&member.old_id.type_name);
    [
        check(
            member,
            Kind::OtherThanOldId,
            true,
            format!(
                "SELECT pg_catalog.count(*), pg_catalog.min(t.{old_id})::text FROM ONLY {table} AS t \
                 WHERE t.{old_id} IS NOT NULL AND t.{shadow} IS DISTINCT FROM {same}"
            ),
        ),
        check(
            member,
            Kind::KeysWithoutOldId,
            true,
            format!(
                "SELECT pg_catalog.count(*), pg_catalog.min(t.{shadow})::text FROM ONLY {table} AS t \
                 WHERE t.{old_id} IS NULL AND t.{shadow} OPERATOR(pg_catalog.>=) '{smallest}'::pg_catalog.int8 \
                 AND t.{shadow} OPERATOR(pg_catalog.<=) '{greatest}'::pg_catalog.int8"
            ),
        ),
    ]
}

fn reference(scope: &Scope<'_>, member: &Member<'_>) -> Vec<Check> {
    if scope.keeps_values() {
        return std::iter::once(rows(member)).chain(same_values(member)).chain([digest(member)]).collect();
    }
    let (table, old_id) = (member.table_sql(), quoted(&member.old_id.name));
    let shadow = quoted(&member.shadow_name);
    let refers_not =
        member.refers_sql("t").map_or_else(String::new, |one| format!(" OR ({one}) IS NOT TRUE"));
    vec![
        rows(member),
        // A row that refers to no existing row has no key to take. If a foreign key forbids such
        // rows, there are none.
        check(member, Kind::Orphans, member.declared, None),
        check(member, Kind::OtherThanReferenced, true, None),
        check(
            member,
            Kind::KeysWithoutOldId,
            true,
            format!(
                "SELECT pg_catalog.count(*), pg_catalog.min(t.{shadow}::text) FROM ONLY {table} AS t \
                 WHERE (t.{old_id} IS NULL{refers_not}) AND t.{shadow} IS NOT NULL"
            ),
        ),
        digest(member),
    ]
}

/// Equal on all nodes that have the same pairs of old id and key, in any order.
fn digest(member: &Member<'_>) -> Check {
    let (table, old_id) = (member.table_sql(), quoted(&member.old_id.name));
    let shadow = quoted(&member.shadow_name);
    check(
        member,
        Kind::Digest,
        false,
        format!(
            "SELECT pg_catalog.count(t.{shadow}), pg_catalog.to_hex((COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(\
             pg_catalog.concat(t.{old_id}, ' ', t.{shadow}), 0)), 0) OPERATOR(pg_catalog.%) 9223372036854775807)::bigint) \
             FROM ONLY {table} AS t"
        ),
    )
}
