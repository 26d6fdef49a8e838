//! Triggers of a migration that this database does not know: it is a copy of another one, was
//! upgraded, or was restored from a dump, in the middle of a migration (fault C05).

use super::facts::{Table, Trigger};
use super::finding::Finding;
use super::nodes::fence;
use super::scope::Scope;
use super::triggers::trigger_statements;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, qualified};

/// A query whose rows are statements that drop the triggers of all migrations.
const DROP_ALL: &str = r"SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE tgname LIKE '~key\_migration\_%' \gexec";

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for table in scope.tables() {
        let is_known = |trigger: &Trigger| {
            let column = column(trigger);
            let mut shadows = scope.options.shadows.iter().filter(|shadow| shadow.0 == table.oid);
            // The one that makes writers wait is about no column.
            shadows.any(|shadow| Some(shadow.1) == column || trigger.name == fence::NAME)
        };
        let mut strange = table.triggers.iter().filter(|trigger| trigger.is_ours && !is_known(trigger));
        let Some(first) = strange.next() else { continue };
        let uses = scope.facts.surroundings.as_ref().and_then(|surroundings| surroundings.table(table.oid));
        if let Some(other) = uses.and_then(|uses| uses.other_migration.as_ref()) {
            found.push(Finding::error(table, of_other(table, other)));
            continue;
        }
        let is_bound = is_bound(table, first) && strange.all(|trigger| is_bound(table, trigger));
        found.push(Finding::error(table, error(table, is_bound)));
    }
}

/// The error for a table that is part of another migration. `other` is the table after which that one
/// is named.
pub fn of_other(table: &Table, other: &str) -> Error {
    let name = qualified(&table.schema, &table.name);
    let message =
        format!("table {} is part of the key migration of table {}", in_message(&name), in_message(other));
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("A table can be part of only one migration at a time.")
        .hint(
            "Finalize that migration or roll it back first, or add the key to it with key_migration_add_key().",
        )
}

/// The error for a table with triggers of an unknown migration. `is_bound` says whether the triggers
/// name the table's own OID, as in a copy and after pg_upgrade, but not after a restore.
pub fn error(table: &Table, is_bound: bool) -> Error {
    let name = qualified(&table.schema, &table.name);
    let message = format!(
        "table {} has triggers of a key migration that this database does not know",
        in_message(&name)
    );
    let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message);
    if is_bound {
        error
            .detail("This database was copied or upgraded during a migration. Its columns are still filled.")
            .hint(format!("SELECT key_migration_adopt({}) to continue that migration here.", literal(&name)))
    } else {
        error
            .detail("This database was restored from a dump that was taken during a migration.")
            .hint(after_restore())
    }
}

/// What to do in a database that was restored from a dump.
pub fn after_restore() -> String {
    format!(
        "If the database was restored from a dump during a migration, drop the triggers: {DROP_ALL}. Then drop the columns that are not needed any more, as described under \"Copies of a database\" in the reference of key migration."
    )
}

/// The error for a table that is not as the stored migration needs it.
pub fn mismatch(name: &str) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("table {} does not have the triggers of the stored key migration", in_message(name)),
    )
    .detail("The tables are not those for which the migration is stored, or it has gone on since they were copied.")
    .hint(after_restore())
}

/// Checks that the triggers of a migration are those of the tables.
///
/// # Errors
/// 55000 if one of them is missing, or bound to other columns.
pub fn check(scope: &Scope<'_>) -> Result<(), Error> {
    let mut members = scope.members.iter().filter(|member| member.shadow.is_some()).peekable();
    let refuse = |table: &Table| mismatch(&qualified(&table.schema, &table.name));
    if members.peek().is_none() {
        return Err(refuse(scope.root()));
    }
    match members.find(|member| !trigger_statements(scope, member, scope.options.cut_over).is_empty()) {
        Some(member) => Err(refuse(member.table)),
        None => Ok(()),
    }
}

/// The column of old ids that a trigger is for, whose number its name ends in.
fn column(trigger: &Trigger) -> Option<i16> {
    trigger.name.rsplit('_').next()?.parse().ok()
}

fn is_bound(table: &Table, trigger: &Trigger) -> bool {
    trigger.arguments.first().is_some_and(|oid| *oid == table.oid.to_string())
}
