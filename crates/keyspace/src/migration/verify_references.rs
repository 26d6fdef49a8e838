//! The comparison of rows with those that they refer to, as queries.

use super::member::Member;
use super::numeric;
use super::old_id::{IdKind, is_referenced, least};
use super::scope::Scope;
use crate::sql::quoted;

/// `SELECT least, greatest`: the old ids of the rows of a table. A comparison that knows them reads this
/// range of the referenced rows only, which are few for a partition by time. `None` if there is no order
/// that an index of both columns has.
pub fn range(scope: &Scope<'_>, member: &Member<'_>) -> Option<String> {
    let is_integer = |of: &Member<'_>| {
        of.id_kind() == Some(IdKind::Integer) && !of.holds_numbers && !numeric::is_numeric(of.old_id)
    };
    let has_order = is_integer(member) && is_integer(&scope.key_of(member).column);
    has_order.then(|| {
        let old_id = quoted(&member.old_id.name);
        format!(
            "SELECT pg_catalog.min(t.{old_id})::pg_catalog.int8, pg_catalog.max(t.{old_id})::pg_catalog.int8 FROM ONLY {} AS t",
            member.table_sql()
        )
    })
}

/// `SELECT is_orphan, count, example`, a row for each that there are: rows that refer to no existing row,
/// and rows with another key than the row that they refer to. With a range, of rows whose old ids are in
/// it.
pub fn compared(scope: &Scope<'_>, member: &Member<'_>, range: Option<(i64, i64)>) -> String {
    let key = &scope.key_of(member).column;
    let (old_id, shadow) = (quoted(&member.old_id.name), quoted(&member.shadow_name));
    let (root_old_id, root_key) = (quoted(&key.old_id.name), quoted(&key.shadow_name));
    let in_range = |column: String| {
        range.map_or_else(String::new, |(from, to)| {
            format!(
                " AND {column} OPERATOR(pg_catalog.>=) '{from}'::pg_catalog.int8 \
                 AND {column} OPERATOR(pg_catalog.<=) '{to}'::pg_catalog.int8"
            )
        })
    };
    format!(
        "SELECT p.{root_old_id} IS NULL, pg_catalog.count(*), {} \
         FROM ONLY {} AS t LEFT JOIN {} AS p ON {}{} WHERE t.{old_id} IS NOT NULL{} \
         AND (p.{root_old_id} IS NULL \
         OR t.{shadow}::pg_catalog.uuid IS DISTINCT FROM p.{root_key}::pg_catalog.uuid){} GROUP BY 1",
        least(member, "t"),
        member.table_sql(),
        key.rows_sql(),
        is_referenced(key, member),
        in_range(format!("p.{root_old_id}")),
        in_range(format!("t.{old_id}")),
        member.and_refers("t")
    )
}
