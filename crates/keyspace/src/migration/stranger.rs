//! Foreign keys whose validation would run code of other roles.

use super::facts::{ForeignKey, Table};
use super::finding::MAX_LISTED;
use super::foreign_keys::is_trusted;
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified, quoted};

/// Refuses a foreign key on keys if validating it would run code of others as the owner of the
/// table (fault A07).
pub(super) fn stranger<'a>(
    scope: &Scope<'a>,
    key: &ForeignKey,
    replacement: Option<&ForeignKey>,
) -> Option<(&'a Table, Error)> {
    // Nothing is left to validate.
    if !is_trusted(key) || replacement.is_some_and(|replacement| replacement.validated) {
        return None;
    }
    let stranger = scope.facts.strangers.iter().find(|stranger| stranger.is(key))?;
    let (child, parent) = (scope.facts.table(key.child)?, scope.facts.table(key.parent)?);
    if stranger.code.is_empty() {
        return None;
    }
    let (name, other) = (qualified(&child.schema, &child.name), qualified(&parent.schema, &parent.name));
    let role = quoted(&child.owner);
    let calls: Vec<String> = stranger
        .code
        .iter()
        .take(MAX_LISTED)
        .map(|code| format!("{} \"{}\" calls {}", code.kind, code.name, code.function))
        .collect();
    let message = format!(
        "validating foreign key \"{}\" of table {} would run functions of other roles with the privileges of {role}",
        key.name,
        in_message(&name)
    );
    let error = Error::new(SqlState::InsufficientPrivilege, message)
        .detail(format!(
            "The validation runs a query on both tables as the owner of the referencing table, and the planner evaluates expressions of table {}: {}.", in_message(&other), calls.join(", ")))
        .hint(format!(
            "Drop these objects until the foreign key is validated, give the functions to a role with the privileges of {role}, or give both tables the same owner."
        ));
    Some((child, error))
}
