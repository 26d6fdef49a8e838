//! What a rollback of a cut-over notes about the foreign keys that it is to add to partitioned tables.
//!
//! The notes are in the comment on a new column of the partitioned table, so the owner of the table can write
//! anything there. Those of partitions that have been added have a mark in their comment.

use serde::{Deserialize, Serialize};

use super::facts::{Facts, ForeignKey, Table};
use super::names::{marked, without_mark};
use crate::sql::literal;

/// What is before the notes in a comment.
const NOTES: &str = "(foreign keys that a key migration has yet to add again: ";

/// A foreign key that a partitioned table is to have, with the numbers of the columns.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) name: String,
    pub(super) columns: Vec<i16>,
    parent: u32,
    parent_columns: Vec<i16>,
    matching: String,
    on_update: String,
    on_delete: String,
    set_columns: Vec<i16>,
    deferrable: bool,
    deferred: bool,
    comment: Option<String>,
}

impl Note {
    /// The note about a foreign key on old ids.
    pub(super) fn of(key: &ForeignKey) -> Self {
        let comment = without_mark(key.comment.as_deref()).or(key.comment.as_deref());
        Self {
            name: key.name.clone(),
            columns: key.child_columns.clone(),
            parent: key.parent,
            parent_columns: key.parent_columns.clone(),
            matching: key.matching.clone(),
            on_update: key.on_update.clone(),
            on_delete: key.on_delete.clone(),
            set_columns: key.set_columns.clone(),
            deferrable: key.deferrable,
            deferred: key.deferred,
            comment: comment.filter(|comment| !comment.is_empty()).map(str::to_owned),
        }
    }

    /// The foreign key of a table, with a mark.
    fn key(self, table: &Table) -> ForeignKey {
        ForeignKey {
            name: self.name,
            child: table.oid,
            child_columns: self.columns,
            parent: self.parent,
            parent_columns: self.parent_columns,
            matching: self.matching,
            on_update: self.on_update,
            on_delete: self.on_delete,
            set_columns: self.set_columns,
            deferrable: self.deferrable,
            deferred: self.deferred,
            comment: Some(marked(self.comment.as_deref())),
            ..ForeignKey::default()
        }
    }
}

/// The notes in a comment, and what else is in it.
pub(super) fn notes(comment: Option<&str>) -> (Vec<Note>, Option<&str>) {
    let read = || {
        let text = comment?.strip_prefix(NOTES)?;
        let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Vec<Note>>();
        let notes = documents.next()?.ok()?;
        let rest = text.get(documents.byte_offset()..)?.strip_prefix(')')?;
        Some((notes, Some(rest.strip_prefix(' ').unwrap_or(rest)).filter(|rest| !rest.is_empty())))
    };
    read().unwrap_or((Vec::new(), comment))
}

/// A comment with notes, as SQL.
pub(super) fn with_notes(notes: &[Note], comment: Option<&str>) -> String {
    if notes.is_empty() {
        return comment.map_or_else(|| "NULL".to_owned(), literal);
    }
    let json = serde_json::to_string(notes).unwrap_or_default();
    let rest = comment.map(|comment| format!(" {comment}")).unwrap_or_default();
    literal(&format!("{NOTES}{json}){rest}"))
}

/// The foreign keys that a rollback is to add to a partitioned table, as its comments note them.
pub(super) fn noted(table: &Table) -> Vec<ForeignKey> {
    let of_column = table.columns.iter().flat_map(|column| notes(column.comment.as_deref()).0);
    of_column.map(|note| note.key(table)).collect()
}

/// The foreign keys of partitions that a rollback has added, and that are not yet one of their table.
pub(super) fn marked_keys(facts: &Facts) -> impl Iterator<Item = &ForeignKey> {
    facts.foreign_keys.iter().filter(move |key| {
        without_mark(key.comment.as_deref()).is_some()
            && facts.table(key.child).is_some_and(|child| child.parent.is_some())
    })
}

/// The foreign key of a partition, on the columns of its table.
pub(super) fn on_top(facts: &Facts, key: &ForeignKey) -> Option<ForeignKey> {
    let (partition, top) = (facts.table(key.child)?, facts.table(facts.top_of(key.child))?);
    let columns = |columns: &[i16]| -> Option<Vec<i16>> {
        let number = |column: &i16| Some(top.column_named(&partition.column(*column)?.name)?.number);
        columns.iter().map(number).collect()
    };
    Some(ForeignKey {
        child: top.oid,
        child_columns: columns(&key.child_columns)?,
        set_columns: columns(&key.set_columns)?,
        ..key.clone()
    })
}

/// The foreign keys that a rollback is to add to all partitioned tables: those with a note, and those of which
/// only partitions have one.
pub(super) fn to_come(facts: &Facts) -> Vec<ForeignKey> {
    let tops = facts.tables.iter().filter(|table| table.is_partitioned() && table.parent.is_none());
    let of_partitions = marked_keys(facts).filter_map(|key| on_top(facts, key));
    tops.flat_map(noted).chain(of_partitions).collect()
}
