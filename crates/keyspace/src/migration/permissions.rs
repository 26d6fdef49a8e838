//! Rights that the migration will need of the role that calls for its plan (fault C18). Ownership of
//! the tables is checked with the tables themselves.

use super::finding::Finding;
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::quoted;

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    let Some(surroundings) = &scope.facts.surroundings else { return };
    let role = quoted(&surroundings.role);
    if !surroundings.owns_database {
        let owner = quoted(&surroundings.database_owner);
        let error = Error::new(
            SqlState::InsufficientPrivilege,
            "permission denied to migrate keys in this database",
        )
        .detail(format!("Role {role} does not own the database."))
        .hint(format!(
            "Run the migration as a superuser, or as a role that has the rights of {owner}, the owner of the database, and those of the owners of the tables."
        ));
        found.push(Finding::error(scope.root(), error));
    }
    let mut schemas: Vec<&str> = Vec::new();
    for table in scope.tables_and_partitions() {
        let may_create = surroundings.table(table.oid).is_none_or(|found| found.may_create);
        if may_create || schemas.contains(&table.schema.as_str()) {
            continue;
        }
        schemas.push(&table.schema);
        let schema = quoted(&table.schema);
        let error = Error::new(
            SqlState::InsufficientPrivilege,
            format!("permission denied to create objects in schema \"{}\"", table.schema),
        )
        .detail(
            "PostgreSQL requires CREATE on the schema of a table to build an index on it, and to rename one.",
        )
        .hint(format!("GRANT CREATE ON SCHEMA {schema} TO {role}."));
        found.push(Finding::error(table, error));
    }
}
