//! Limits of PostgreSQL that a migration would exceed (fault C17).

use super::finding::Finding;
use super::replacement_index::{self, Replacement};
use super::scope::Scope;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, qualified};

/// The greatest number of columns of a table, including those that were dropped:
/// `MaxHeapAttributeNumber`.
const MAX_COLUMNS: usize = 1_600;
/// The greatest number of columns of an index, including those of INCLUDE: `INDEX_MAX_KEYS`.
const MAX_INDEX_COLUMNS: usize = 32;

pub(super) fn find(scope: &Scope<'_>, found: &mut Vec<Finding>) {
    for table in scope.tables_and_partitions() {
        let name = qualified(&table.schema, &table.name);
        let has = usize::try_from(table.column_count).unwrap_or_default();
        let added = scope.members_of(table.oid).filter(|member| member.shadow.is_none()).count();
        if added > 0 && has + added > MAX_COLUMNS {
            let dropped = has.saturating_sub(table.columns.len());
            let error = Error::new(
                SqlState::ProgramLimitExceeded,
                format!("table {} has no room for {added} more {}", in_message(&name), if added == 1 { "column" } else { "columns" }),
            )
            .detail(format!(
                "It has {has} columns, of which {dropped} were dropped. The limit is {MAX_COLUMNS}, and dropped columns count."
            ))
            .hint("Move the rows to a new table without the dropped columns, or move columns to another table.");
            found.push(Finding::error(table, error));
        }
        let includes = scope
            .keys
            .iter()
            .find(|key| key.column.table.oid == table.oid)
            .map_or(0, |key| key.options.include.len());
        for index in scope.indexes(table).filter(|index| index.is_primary && includes > 0) {
            let columns = index.keys.len() + index.include.len() + includes;
            let is_built =
                matches!(replacement_index::replacement(scope, table, index), Replacement::Create { .. });
            if is_built && columns > MAX_INDEX_COLUMNS {
                let error = Error::new(
                    SqlState::ProgramLimitExceeded,
                    format!(
                        "the new index on the key of table {} would have {columns} columns",
                        in_message(&name)
                    ),
                )
                .detail(format!("The limit is {MAX_INDEX_COLUMNS}."))
                .hint("List fewer columns in include_columns.");
                found.push(Finding::error(table, error));
            }
        }
    }
}
