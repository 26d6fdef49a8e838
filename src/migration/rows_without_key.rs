//! The errors for rows to which the backfill of a table can give no key.

use keyspace::migration::missed::Lacking;
use keyspace::migration::old_id::OldId;
use keyspace::sql::{in_message, literal, quoted};
use keyspace::{Error, SqlState};

use super::backfill_page::Place;
use super::old_id::shown;

/// The names of a column of old ids and of its keys.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) old_id: String,
    pub(super) key: String,
}

/// Rows that a key does not fit into. `example` is one of them, with its old id, if it is not NULL.
pub(super) fn too_wide(
    table: &str,
    columns: &Columns,
    count: usize,
    example: Option<(&Place, &Option<OldId>)>,
) -> Error {
    let (rows, keys) = if count == 1 { ("row", "its key") } else { ("rows", "their keys") };
    let mut error = Error::new(
        SqlState::ProgramLimitExceeded,
        format!("{count} {rows} of table {} must become shorter to have {keys}", in_message(table)),
    );
    if let Some(((page, offset), old_id)) = example {
        let row = old_id.as_ref().map_or_else(
            || format!("the row at ctid ({page},{offset})"),
            |old_id| {
                format!("the row with \"{}\" = {}, at ctid ({page},{offset}),", columns.old_id, shown(old_id))
            },
        );
        error = error.detail(format!(
            "A row has to fit on a page, and each key adds 16 bytes. For example {row} is too wide. All other rows have their keys.",
        ));
    }
    error.hint("Shorten these rows, or move a column to another table, and call again.")
}

/// Rows without a key to which the backfill has returned in vain. `fired_for` is the table of the
/// migration if triggers fire.
pub(super) fn in_vain(table: &str, columns: &Columns, row: &Lacking, fired_for: Option<&str>) -> Error {
    let Columns { old_id, key } = columns;
    let message = format!(
        "rows of table {} have no key, although the backfill has returned to them",
        in_message(table)
    );
    let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(format!(
        "For example the row with \"{old_id}\" = {}, at ctid ({},{}), lacks \"{key}\" each time.",
        shown(&row.old_id),
        row.page,
        row.offset
    ));
    error.hint(match fired_for {
        Some(migration) => format!(
            "Triggers fire for the rows that the backfill changes. Look for one on UPDATE that returns NULL, or that changes \"{key}\", and disable it meanwhile. Or SELECT key_migration_set({}, fire_triggers => false), so that none fires. Then call again.",
            literal(migration)
        ),
        None => format!(
            "Look for a session that takes keys away with session_replication_role = replica. UPDATE {table} SET {old} = {old} WHERE {old} = {} lets a trigger compute the key. Then call again.",
            literal(&shown(&row.old_id)),
            old = quoted(old_id)
        ),
    })
}
