//! A column of a migration.

use super::condition::Refers;
use super::facts::{Column, Table};
use super::old_id::IdKind;
use crate::sql::qualified;

/// A column of old ids that gets a column of keys.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// The table.
    pub table: &'a Table,
    /// The column of old ids.
    pub old_id: &'a Column,
    /// The column of keys, if it exists.
    pub shadow: Option<&'a Column>,
    /// The `attnum` of the column of keys, which it has or will have.
    pub shadow_number: i16,
    /// The name of the column of keys, which it has or will have.
    pub shadow_name: String,
    /// Whether it is a key, not a reference to one.
    pub is_key: bool,
    /// The table whose key it is or refers to.
    pub key: u32,
    /// Whether a foreign key declares the reference.
    pub declared: bool,
    /// Whether it is a text that holds the numbers of a key.
    pub holds_numbers: bool,
    /// Which of its rows refer to the key; `None` if all do.
    pub refers: Option<Refers<'a>>,
}

impl Member<'_> {
    /// The kind of its old ids.
    pub fn id_kind(&self) -> Option<IdKind> {
        if self.holds_numbers { Some(IdKind::Integer) } else { self.old_id.id_kind() }
    }

    /// Its table as SQL writes it.
    pub fn table_sql(&self) -> String {
        qualified(&self.table.schema, &self.table.name)
    }
}
