//! Findings on old ids of type `numeric`.

use super::facts::{Facts, Table};
use super::finding::Finding;
use super::member::Member;
use super::numeric::{is_numeric, is_sure, message};
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// The findings on keys of this type.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    if scope.options.cut_over {
        return;
    }
    for member in scope.keys.iter().map(|key| &key.column).filter(|member| is_numeric(member.old_id)) {
        if let Some(id) = unfit(scope.facts, member.table) {
            found.push(has_unfit(member, id));
        } else if !is_sure(member.old_id) {
            found.push(refuses(member));
        }
    }
    for member in scope.members.iter().filter(|member| is_numeric(member.old_id) && scope.keeps_values()) {
        found.push(cannot_become_bigint(member));
    }
}

fn unfit<'a>(facts: &'a Facts, table: &Table) -> Option<&'a str> {
    facts.unfit_ids.iter().find(|unfit| unfit.0 == table.oid).map(|unfit| unfit.1.as_str())
}

fn has_unfit(member: &Member<'_>, id: &str) -> Finding {
    let (name, column) = (qualified(&member.table.schema, &member.table.name), &member.old_id.name);
    let error = Error::new(
        SqlState::NumericValueOutOfRange,
        message(Some(id), column, &in_message(&name)),
    )
    .detail("Keys are derived from ids as bigint.")
    .hint(format!(
        "Give such rows other ids. To find them: SELECT * FROM {name} WHERE {id} <> trunc({id}) OR {id} NOT BETWEEN {} AND {}.",
        i64::MIN,
        i64::MAX,
        id = quoted(column)
    ));
    Finding::error(member.table, error)
}

/// During the migration, rows fail that can be inserted without it.
fn refuses(member: &Member<'_>) -> Finding {
    let message = format!(
        "column \"{}\" of table {} is of type {}",
        member.old_id.name,
        in_message(&member.table_sql()),
        member.old_id.declared_type
    );
    Finding::warning(
        member.table,
        message,
        "From the phase \"prepared\" on, a row whose id has a fraction or is beyond the range of bigint is refused.",
    )
}

fn cannot_become_bigint(member: &Member<'_>) -> Finding {
    let table = member.table_sql();
    let column = &member.old_id.name;
    let message = format!(
        "column \"{column}\" of table {} is of type {}",
        in_message(&table),
        member.old_id.declared_type
    );
    let error = Error::new(SqlState::DatatypeMismatch, message)
        .detail(
            "With target \"bigint\", only references of type smallint, integer, or bigint can be migrated.",
        )
        .hint(format!(
            "Change its type first: ALTER TABLE {table} ALTER COLUMN {} TYPE bigint.",
            quoted(column)
        ));
    Finding::error(member.table, error)
}
