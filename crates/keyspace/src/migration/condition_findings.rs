//! What prevents a condition for the rows of a column, and what it means.

use super::condition::{Condition, Refers, is_type, types};
use super::cutover::is_inherited;
use super::facts::{Check, Dependent, ForeignKey, Index};
use super::finding::{Finding, list, list_of_objects};
use super::member::Member;
use super::required;
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified};

/// The findings on all conditions.
pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for member in &scope.members {
        let Some(refers) = member.refers else { continue };
        let before = found.len();
        if refers.condition.stays() {
            type_column(scope, member, refers, found);
        }
        of_column(scope, member, found);
        if found.len() == before && !scope.options.cut_over {
            meaning(scope, member, refers.condition, found);
        }
    }
}

fn type_column(scope: &Scope<'_>, member: &Member<'_>, refers: Refers<'_>, found: &mut Vec<Finding>) {
    let name = member.table_sql();
    let mut refuse = |error: Error| found.push(Finding::error(member.table, error));
    let Some(column) = refers.type_column else {
        let message = format!(
            "the type column of column \"{}\" of table {} no longer exists",
            member.old_id.name,
            in_message(&name)
        );
        refuse(
            Error::new(SqlState::UndefinedColumn, message)
                .detail("Nothing tells which rows refer to the key any more.")
                .hint("CALL key_migration_rollback() to end the migration."),
        );
        return;
    };
    let of = format!("type column \"{}\" of table {}", column.name, in_message(&name));
    if !is_type(&column.type_name) {
        refuse(
            Error::new(SqlState::DatatypeMismatch, format!("{of} is of type {}", column.declared_type))
                .detail(format!("A type column must be of type {}.", types())),
        );
    }
    if !column.generated.is_empty() {
        refuse(
            Error::new(SqlState::FeatureNotSupported, format!("{of} is a generated column"))
                .detail("The triggers that fill keys fire before generated columns are computed."),
        );
    }
    let is_member = |other: &Member<'_>| {
        other.old_id.number == column.number || other.shadow.is_some_and(|one| one.number == column.number)
    };
    if scope.members_of(member.table.oid).any(is_member) {
        refuse(
            Error::new(SqlState::FeatureNotSupported, format!("{of} is itself part of the migration"))
                .detail("Its values would become keys, and the type values would name no rows any more.")
                .hint("Migrate its key in a migration of its own, before or after this one."),
        );
    }
}

/// What the column itself must not be.
fn of_column(scope: &Scope<'_>, member: &Member<'_>, found: &mut Vec<Finding>) {
    let of = format!("column \"{}\" of table {}", member.old_id.name, in_message(&member.table_sql()));
    let number = member.old_id.number;
    let mut keys = scope.facts.foreign_keys.iter();
    if let Some(key) = keys.find(|key| key.child == member.table.oid && key.child_columns.contains(&number)) {
        let error = Error::new(SqlState::FeatureNotSupported, format!("{of} has foreign key \"{}\"", key.name))
            .detail("The foreign key says that every row refers to a row of the table, so there is no condition for it.")
            .hint("Leave out type_column, type_values and null_values, or drop the foreign key.");
        found.push(Finding::error(member.table, error));
    }
    let mut keys = scope.facts.foreign_keys.iter();
    let is_parent =
        |key: &&ForeignKey| key.parent == member.table.oid && key.parent_columns.contains(&number);
    if let Some(key) = keys.find(is_parent) {
        let child = scope.facts.table(key.child).map(|table| qualified(&table.schema, &table.name));
        let child = child.unwrap_or_default();
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!("foreign key \"{}\" of table {} refers to {of}", key.name, in_message(&child)),
        )
        .detail(
            "Its rows refer to the same rows of the key, but have no condition that tells which of them do.",
        )
        .hint("Drop the foreign key first, and add its columns with key_migration_add_reference(), too.");
        found.push(Finding::error(member.table, error));
    }
    if !required::can_be_null(member) {
        let error = Error::new(
            SqlState::FeatureNotSupported,
            format!("{of} is part of the primary key or the replica identity, or an identity column"),
        )
        .detail("Not every row has a key, and at the end not every row an old id, so neither of the two columns can be there.")
        .hint("Give the table another primary key or replica identity first.");
        found.push(Finding::error(member.table, error));
    }
}

/// Whether a unique index accepts more rows once a column is NULL in those that mean none, or that have
/// their key in another column.
fn is_loosened(member: &Member<'_>, index: &Index) -> bool {
    let number = member.old_id.number;
    let is_used = index.has_column(number) || index.used_columns.contains(&number);
    index.is_unique && is_used && !index.is_primary
}

/// What the columns mean from the cut-over on.
fn meaning(scope: &Scope<'_>, member: &Member<'_>, condition: &Condition, found: &mut Vec<Finding>) {
    let (column, new) = (&member.old_id.name, &member.shadow_name);
    let of = format!("column \"{column}\" of table {}", in_message(&member.table_sql()));
    let key = &scope.key_of(member).column;
    let none = list(&condition.null_values);
    let loosened: Vec<String> = member
        .table
        .indexes
        .iter()
        .filter(|index| is_loosened(member, index))
        .map(|index| index.name.clone())
        .collect();
    if !loosened.is_empty() {
        found.push(Finding::warning(
            member.table,
            format!("unique index {} is about {of}, which not all rows will have a value in", list(&loosened)),
            "Rows without a key are all different for it. If they must not be, create a unique index for them, with a condition such as WHERE ... IS NULL, before the migration is finalized.",
        ));
    }
    if !condition.stays() {
        if member.old_id.not_null {
            found.push(Finding::warning(
                member.table,
                format!("{of} is NOT NULL, and the new column will not be"),
                format!("Rows with {none} have NULL there, also after the migration is finalized."),
            ));
        }
        return;
    }
    let mut hint = format!(
        "Rows that refer to table {} have their key in \"{new}\", which keeps this name, and is NULL in all others. From the cut-over on, the application reads and writes it for these rows. When the migration is finalized, \"{column}\" stays for the others, and nothing fills it any more for these.",
        in_message(&key.table_sql())
    );
    if member.old_id.not_null {
        hint.push_str(&format!(" \"{column}\" loses its NOT NULL; a check requires one of the two."));
    }
    found.push(Finding::warning(member.table, format!("{of} stays, next to a new one"), hint));
    let uses: Vec<String> = member
        .table
        .dependents
        .iter()
        .filter(|used| used.column == member.old_id.number)
        .filter(|used| !["check constraint", "extended statistics", "default"].contains(&used.kind.as_str()))
        .filter(|used| !is_inherited(member.table, used))
        .map(Dependent::described)
        .collect();
    if !uses.is_empty() {
        found.push(Finding::warning(
            member.table,
            format!("{of}, which stays, is used by {}", list_of_objects(&uses)),
            format!("Once the migration is finalized, new rows that refer to table {} have NULL in \"{column}\". Let it use \"{new}\" for these rows, too.", in_message(&key.table_sql())),
        ));
    }
    let is_about = |check: &&Check| {
        check.columns.contains(&member.old_id.number) && !required::is_ours(scope, member.table, check)
    };
    let checks: Vec<String> =
        member.table.checks.iter().filter(is_about).map(|check| check.name.clone()).collect();
    if !checks.is_empty() {
        found.push(Finding::warning(
            member.table,
            format!("check constraint {} uses {of}, which stays", list(&checks)),
            format!("Once the migration is finalized, new rows that refer to table {} have NULL in \"{column}\". If the constraint does not accept that, replace it before.", in_message(&key.table_sql())),
        ));
    }
}
