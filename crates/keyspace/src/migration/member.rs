//! A column of a migration.

use super::condition::{Refers, as_text, texts};
use super::facts::{Column, Table};
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
    /// The columns with which it finds a row of a partitioned table; none if the key is that of another
    /// table.
    pub companions: Vec<Companion>,
}

/// A column next to an old id, and the corresponding one of the table with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Companion {
    /// Its number.
    pub own: i16,
    /// The number of the column of the table with the key.
    pub of_key: i16,
}

impl Member<'_> {
    /// Its table as SQL writes it.
    pub fn table_sql(&self) -> String {
        qualified(&self.table.schema, &self.table.name)
    }

    /// The rows of its table, after FROM: those of all partitions, if it is partitioned.
    pub(super) fn rows_sql(&self) -> String {
        let only = if self.table.is_partitioned() { "" } else { "ONLY " };
        format!("{only}{}", self.table_sql())
    }

    /// Whether the column keeps its name at the cut-over, and is not dropped at the end.
    pub fn stays(&self) -> bool {
        self.refers.is_some_and(|refers| refers.condition.stays())
    }

    /// The condition that a row with this alias refers to a row of the key's table, as far as it has an
    /// old id; `None` if every row with an old id does.
    pub fn refers_sql(&self, alias: &str) -> Option<String> {
        let means_one = self.means_one_sql(alias, &self.old_id.name);
        let parts: Vec<String> = self.is_of_type_sql(alias).into_iter().chain(means_one).collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    /// The condition that an old id, in a column with this name, is none of those that mean none; `None`
    /// if there are no such old ids.
    pub(super) fn means_one_sql(&self, alias: &str, column: &str) -> Option<String> {
        let values =
            self.refers.map(|refers| &refers.condition.null_values).filter(|list| !list.is_empty())?;
        Some(format!("{} OPERATOR(pg_catalog.<>) ALL ({})", as_text(alias, column), texts(values)))
    }

    /// The condition that a row with this alias is of the kinds that refer to the key's table; `None` if
    /// every row is.
    pub(super) fn is_of_type_sql(&self, alias: &str) -> Option<String> {
        self.refers.and_then(|refers| refers.is_of_type(alias))
    }

    /// `refers_sql` after another condition.
    pub(super) fn and_refers(&self, alias: &str) -> String {
        self.refers_sql(alias).map_or_else(String::new, |refers| format!(" AND {refers}"))
    }
}
