//! The unique indexes on old ids that are dropped at the cut-over, because they would refuse rows without
//! an old id.
//!
//! A rollback needs them again: until they exist, it is refused, with the statement that builds them.

use super::expression::{Operators, Replaced, rewritten};
use super::facts::{Index, IndexKey, Table};
use super::kept_index;
use super::lacking_old_ids::is_dropped;
use super::properties;
use super::replacement_index::{self, Definition, KeySql, key_sql};
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified};

/// The indexes that a cut-over drops, each with its replacement.
fn dropped<'a>(scope: &Scope<'a>, table: &'a Table) -> Vec<(&'a Index, &'a Index)> {
    let mut pairs = replacement_index::pairs(scope, table);
    pairs.retain(|(index, _)| is_dropped(scope, table, index));
    pairs
}

/// The statements of the cut-over that drop them. Those of partitions are dropped with the index of the
/// partitioned table.
pub(super) fn drop(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for table in scope.tables_and_partitions() {
        let all = dropped(scope, table).into_iter();
        let own = all.filter(|(index, _)| index.parent.is_none());
        statements.extend(own.map(|(index, _)| kept_index::drop(table, index)));
    }
    statements
}

/// The statements that give what they had to their replacements, which have their names by then.
pub(super) fn properties(scope: &Scope<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for table in scope.tables_and_partitions() {
        for (index, replacement) in dropped(scope, table) {
            statements.extend(properties::of_index(table, index, replacement, &index.name));
        }
    }
    statements
}

/// Refuses a rollback before an index on keys has its counterpart on old ids again.
///
/// # Errors
/// 55000.
pub(super) fn check_roll_back(scope: &Scope<'_>) -> Result<(), Error> {
    if !(scope.keeps_values() && scope.options.cut_over) {
        return Ok(());
    }
    for table in scope.tables_and_partitions() {
        let pairs = replacement_index::pairs(scope, table);
        let has_counterpart = |index: &Index| pairs.iter().any(|(_, new)| new.oid == index.oid);
        let is_asked = |index: &&Index| {
            index.is_unique && index.is_valid && index.constraint.is_none() && index.parent.is_none()
        };
        let new = table.indexes.iter().filter(is_asked).filter(|index| scope.is_new(table, index));
        for index in new.filter(|index| !has_counterpart(index)) {
            if let Some(statement) = on_old_ids(scope, table, index) {
                return Err(without_counterpart(table, index, &statement));
            }
        }
    }
    Ok(())
}

fn without_counterpart(table: &Table, index: &Index, statement: &str) -> Error {
    let name = qualified(&table.schema, &index.name);
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("unique index {} has no counterpart on old ids", in_message(&name)),
    )
    .detail("The cut-over has dropped it, because it would have refused rows without an old id. After a rollback, nothing would keep old ids unique in this way.")
    .hint(format!("Run {statement}, and roll back then. If you do not roll back, drop it again: it refuses rows whose key the old column cannot hold."))
}

/// The statement that builds the same index on old ids; `None` if there never was one.
fn on_old_ids(scope: &Scope<'_>, table: &Table, index: &Index) -> Option<String> {
    let back = |column: i16| {
        scope.members_of(table.oid).find(|member| member.shadow.is_some_and(|shadow| shadow.number == column))
    };
    let columns: Vec<Replaced> = scope
        .members_of(table.oid)
        .filter(|member| member.shadow.is_some())
        .map(|member| Replaced {
            old: member.shadow_name.clone(),
            new: member.old_id.name.clone(),
            key: member.key,
            may_lack_key: true,
        })
        .collect();
    let kept = Operators { from: "pg_catalog", to: "pg_catalog", keep_values: true };
    let old = |text: &str| rewritten(text, &columns, kept).map(|new| new.text);
    let number = |column: i16| back(column).map_or(column, |member| member.old_id.number);
    let mut counterpart = index.clone();
    for key in &mut counterpart.keys {
        *key = IndexKey {
            column: number(key.column),
            expression: key.expression.as_deref().map(old).map_or(Some(None), |new| new.map(Some))?,
            opclass: key.opclass.clone().filter(|_| back(key.column).is_none()),
            ..key.clone()
        };
    }
    counterpart.include.iter_mut().for_each(|column| *column = number(*column));
    counterpart.predicate = index.predicate.as_deref().map(old).map_or(Some(None), |new| new.map(Some))?;
    if !is_dropped(scope, table, &counterpart) {
        return None;
    }
    let keys: Vec<String> = counterpart
        .keys
        .iter()
        .map(|key| {
            let column = scope.column_sql(table, key.column);
            let (expression, class) = (key.expression.as_deref(), key.opclass.clone());
            key_sql(index, key, &KeySql { column, expression, is_replaced: false, class })
        })
        .collect();
    let include = counterpart.include.iter().map(|column| scope.column_sql(table, *column)).collect();
    let name = scope.options.old_name(&index.name);
    let predicate = counterpart.predicate.as_deref();
    Some(Definition { name: &name, keys, include, predicate, with_partitions: true }.sql(table, index))
}
