//! A migration whose old ids somebody has dropped after the cut-over, as a tool does that compares the
//! database with a model. Nothing can be compared any more, and there is no way back: it can only end.

use super::facts::{Column, Facts, Index, Table};
use super::names::is_our_comment;
use super::options::Options;
use crate::error::{Error, SqlState};
use crate::sql::{in_message, literal, qualified, quoted};

/// Whether the old ids of a key no longer exist after the cut-over.
pub fn are_lost(facts: &Facts, options: &Options) -> bool {
    let is_lost = |(table, column): (&Table, i16)| table.column(column).is_none();
    options.cut_over
        && options.keys.iter().any(|key| facts.table(key.table).zip(key.column).is_some_and(is_lost))
}

/// The statements that end it, for a transaction that has locked all tables. Nothing fills columns any
/// more, and those of old ids that are left become ordinary ones.
///
/// # Errors
/// 0A000 for a migration on several nodes, and after a cut-over by views; 55000 if new rows would need an
/// old id, because it is part of a primary key.
pub fn end(facts: &Facts, options: &Options) -> Result<Vec<String>, Error> {
    check_kind(options)?;
    let mut statements = Vec::new();
    // Partitions lose their triggers with the partitioned table.
    for table in facts.tables.iter().filter(|table| table.parent.is_none()) {
        let of = qualified(&table.schema, &table.name);
        let ours = table.triggers.iter().filter(|trigger| trigger.is_ours);
        statements.extend(ours.map(|trigger| format!("DROP TRIGGER {} ON {of}", quoted(&trigger.name))));
        for (_, old, new) in options.shadows.iter().filter(|shadow| shadow.0 == table.oid) {
            let (old, new) = (table.column(*old), table.column(*new));
            if let Some(old) = old.filter(|old| needs_value(old)) {
                if is_in_primary_key(table, old) {
                    return Err(in_primary_key(table, old));
                }
                statements.push(format!("ALTER TABLE {of} ALTER COLUMN {} DROP NOT NULL", quoted(&old.name)));
            }
            // Unless it was given another comment in the meantime.
            if let Some(new) = new.filter(|new| new.comment.as_deref().is_some_and(is_our_comment)) {
                let comment =
                    old.and_then(|old| old.comment.as_deref()).map_or_else(|| "NULL".to_owned(), literal);
                statements.push(format!("COMMENT ON COLUMN {of}.{} IS {comment}", quoted(&new.name)));
            }
        }
        let new_key = options.keys.iter().find(|key| key.table == table.oid).and_then(|key| key.column);
        let new_key = new_key.and_then(|old| options.shadow(table.oid, old));
        if let Some(index) = new_key.and_then(|key| unique_index(table, key))
            && table.primary_key().is_none()
        {
            let name = quoted(&index.name);
            statements.push(format!("ALTER TABLE {of} ADD CONSTRAINT {name} PRIMARY KEY USING INDEX {name}"));
        }
    }
    Ok(statements)
}

fn check_kind(options: &Options) -> Result<(), Error> {
    let kind = if !options.nodes.is_empty() {
        "on several nodes"
    } else if !options.views.is_empty() {
        "that was cut over by views"
    } else {
        return Ok(());
    };
    Err(Error::new(
        SqlState::FeatureNotSupported,
        format!("a key migration {kind} cannot end without its old ids"),
    )
    .hint("Restore the column from a backup of the database."))
}

/// Whether a row without a value for this column is refused.
fn needs_value(old: &Column) -> bool {
    old.not_null && old.default.is_none() && old.identity.is_empty()
}

fn is_in_primary_key(table: &Table, column: &Column) -> bool {
    table.primary_key().is_some_and(|index| index.keys.iter().any(|key| key.column == column.number))
}

fn in_primary_key(table: &Table, old: &Column) -> Error {
    let name = qualified(&table.schema, &table.name);
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("the primary key of table {} contains the old id \"{}\"", in_message(&name), old.name),
    )
    .detail("Nothing fills this column after the end, so that new rows would be refused.")
    .hint(format!(
        "Give the table a primary key on the keys, or ALTER TABLE {name} DROP COLUMN {}.",
        quoted(&old.name)
    ))
}

/// The index on the keys alone that can become a primary key.
fn unique_index(table: &Table, key: i16) -> Option<&Index> {
    // The primary key then reads no row.
    if table.is_partitioned() || !table.column(key)?.not_null {
        return None;
    }
    table.indexes.iter().find(|index| {
        index.is_unique
            && index.is_valid
            && !index.nulls_not_distinct
            && index.method == "btree"
            && index.predicate.is_none()
            && index.constraint.is_none()
            && index.keys.iter().map(|part| part.column).eq([key])
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::options::Target;
    use super::*;

    #[test]
    fn other_nodes_and_views_still_need_old_ids() {
        let options = Options { cut_over: true, ..Options::new(Target::Uuid) };
        assert_eq!(end(&Facts::default(), &options), Ok(Vec::new()));
        for refused in [
            Options { nodes: vec![1, 2], ..options.clone() },
            Options { views: vec![(1, "orders".to_owned())], ..options },
        ] {
            let error = end(&Facts::default(), &refused).expect_err("a refusal");
            assert_eq!(error.sqlstate, SqlState::FeatureNotSupported);
        }
    }
}
