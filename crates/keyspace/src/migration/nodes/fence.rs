//! The trigger that makes writers wait on a node, while apply goes on: it does not fire in the role of
//! a replica. That it exists outlasts a crash, and so does what it reads: whether the node is closed.

use super::super::facts::{Facts, Table};
use super::super::scope::Scope;
use crate::sql::{literal, qualified, quoted};

/// Its name, which sorts before those of the other triggers of a migration.
pub const NAME: &str = "~key_migration_closed";

/// The statements that make writers wait. A statement on a partitioned table does not fire the
/// triggers of partitions, and one on a partition does not fire those of the partitioned table.
pub fn close(scope: &Scope<'_>) -> Vec<String> {
    let root = literal(&scope.root().oid.to_string());
    let statement = |table: &Table| {
        format!(
            "CREATE OR REPLACE TRIGGER {} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {} \
             FOR EACH STATEMENT EXECUTE FUNCTION {}.key_migration_closed({root})",
            quoted(NAME),
            qualified(&table.schema, &table.name),
            scope.facts.internal_schema
        )
    };
    scope.tables_and_partitions().into_iter().map(statement).collect()
}

/// Whether a table has the trigger.
pub fn is_on(table: &Table) -> bool {
    table.triggers.iter().any(|trigger| trigger.is_ours && trigger.name == NAME)
}

/// The statements that drop the triggers.
pub fn open(facts: &Facts) -> Vec<String> {
    drop_from(facts.tables.iter())
}

/// The statements that drop those of partitions.
pub fn open_partitions(facts: &Facts) -> Vec<String> {
    drop_from(facts.tables.iter().filter(|table| table.parent.is_some()))
}

fn drop_from<'a>(tables: impl Iterator<Item = &'a Table>) -> Vec<String> {
    let statement =
        |table: &Table| format!("DROP TRIGGER {} ON {}", quoted(NAME), qualified(&table.schema, &table.name));
    tables.filter(|table| is_on(table)).map(statement).collect()
}
