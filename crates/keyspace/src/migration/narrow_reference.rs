//! References of a narrower type than the key.
//!
//! Until the migration is finalized, a reference of a new row gets the old id of its row, too. If the
//! column cannot hold it, it is NULL, and a rollback would return to a reference that is lost.

use super::finding::Finding;
use super::member::Member;
use super::old_id::{IdKind, greatest};
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, quoted};

/// A column is announced if ids have come to the last of so many parts of its values.
const PARTS: i64 = 10;

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    if scope.keeps_values() || scope.options.cut_over {
        return;
    }
    for member in scope.members.iter().filter(|member| !member.is_key) {
        let key = &scope.key_of(member).column;
        match member.old_id.id_kind() {
            Some(IdKind::Text) if member.holds_numbers => {
                // A text that is not limited holds any number.
                let digits = member.old_id.length.and_then(|length| u32::try_from(length).ok());
                if let Some(end) = digits.and_then(|digits| 10_i64.checked_pow(digits)) {
                    integer(scope, member, key, end - 1, found);
                }
            }
            Some(IdKind::Text) => text(member, key, found),
            Some(IdKind::Integer) => integer(scope, member, key, greatest(member.old_id), found),
            Some(IdKind::Uuid) | None => (),
        }
    }
}

/// Refused, since PostgreSQL lengthens a text without reading the table.
fn text(member: &Member<'_>, key: &Member<'_>, found: &mut Vec<Finding>) {
    let is_longer = |length: i32| key.old_id.length.is_none_or(|of_key| length < of_key);
    if key.old_id.id_kind() != Some(IdKind::Text) || !member.old_id.length.is_some_and(is_longer) {
        return;
    }
    let (table, column) = (member.table_sql(), &member.old_id.name);
    let wanted = key
        .old_id
        .length
        .map_or_else(|| key.old_id.type_name.clone(), |length| format!("{}({length})", key.old_id.type_name));
    let error = Error::new(
        SqlState::DatatypeMismatch,
        format!("column \"{column}\" of table {} is of type {}", in_message(&table), member.old_id.declared_type),
    )
    .detail(format!("The key that it refers to is of type {}. After the cut-over, the column could not hold the old id of every new row.", key.old_id.declared_type))
    .hint(format!(
        "Lengthen it, which does not rewrite the table: ALTER TABLE {table} ALTER COLUMN {} TYPE {wanted}.",
        quoted(column)
    ));
    found.push(Finding::error(member.table, error));
}

/// Announced if new ids will soon be beyond it: to alter it would rewrite the table.
fn integer(
    scope: &Scope<'_>,
    member: &Member<'_>,
    key: &Member<'_>,
    last_held: i64,
    found: &mut Vec<Finding>,
) {
    let ids = scope.facts.key_ranges.iter().find(|ids| ids.0 == key.table.oid);
    let Some((_, _, last)) = ids.filter(|ids| ids.2 > last_held - last_held / PARTS) else { return };
    if last_held >= greatest(key.old_id) {
        return;
    }
    let message = format!(
        "column \"{}\" of table {} is of type {}, and ids of table {} have come to {last}",
        member.old_id.name,
        in_message(&member.table_sql()),
        member.old_id.declared_type,
        in_message(&key.table_sql())
    );
    found.push(Finding::warning(
        member.table,
        message,
        "After the cut-over, it is NULL in rows that refer to an old id that it cannot hold, and stays so after a rollback. Give it the type of the key first, or do not roll back once there are such rows.",
    ));
}
