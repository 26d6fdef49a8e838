//! The index by which the row of an old id is looked up. It may be dropped before the cut-over, if it is
//! not that of the primary key.

use super::finding::Finding;
use super::key_column::is_unique_alone;
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::quoted;

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for key in scope.keys.iter().map(|key| &key.column).filter(|_| !scope.options.cut_over) {
        if is_unique_alone(key.table, key.old_id.number) {
            continue;
        }
        let (table, column) = (key.table_sql(), &key.old_id.name);
        let message = format!("no index keeps column \"{column}\" of table \"{table}\" unique by itself");
        let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("References are looked up by it. Until there is such an index, rows that refer to the table cannot be inserted.")
            .hint(format!("Run CREATE UNIQUE INDEX CONCURRENTLY ON {table} ({}).", quoted(column)));
        found.push(Finding::error(key.table, error));
    }
}
