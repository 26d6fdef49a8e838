//! How rows that have another key than on the first node are found.

use super::super::facts::Table;
use super::super::member::Member;
use super::super::scope::Scope;
use crate::sql::{literal, qualified, quoted};

/// The rows of one table that must take a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows {
    /// The table that has them.
    pub table: u32,
    /// Its column of keys.
    pub key: i16,
    /// A query for one of them: its place, and the commit time of its last change in microseconds
    /// since 1970, which is NULL if PostgreSQL does not know it any more.
    pub query: String,
}

/// The rows that have the old id and not the key: the row of a table itself, then those that refer to
/// it. The old id and the key are texts, as the digests have them.
pub fn rows(scope: &Scope<'_>, table: &Table, old_id: &str, key: &str) -> Vec<Rows> {
    let of_key = scope.members_with_rows().filter(|member| member.key == table.oid);
    let mut members: Vec<&Member<'_>> = of_key.collect();
    // References follow.
    members.sort_by_key(|member| !member.is_key);
    members.into_iter().map(|member| of_member(member, old_id, key)).collect()
}

fn of_member(member: &Member<'_>, old_id: &str, key: &str) -> Rows {
    let refers = member.refers_sql("r").map_or_else(String::new, |refers| format!(" AND {refers}"));
    let query = format!(
        "SELECT r.ctid, (EXTRACT(epoch FROM c.at) * 1000000)::pg_catalog.int8 \
         FROM ONLY {} AS r CROSS JOIN LATERAL (SELECT pg_catalog.pg_xact_commit_timestamp(r.xmin)) AS c (at) \
         WHERE r.{} = {}::{} AND r.{}::pg_catalog.text IS DISTINCT FROM {}::pg_catalog.text{refers} LIMIT 1",
        qualified(&member.table.schema, &member.table.name),
        quoted(&member.old_id.name),
        literal(old_id),
        member.old_id.type_name,
        quoted(&member.shadow_name),
        literal(key),
    );
    Rows { table: member.table.oid, key: member.shadow_number, query }
}
