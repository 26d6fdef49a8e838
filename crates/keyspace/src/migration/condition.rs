//! Which rows of a column refer to a key: those of some kinds, which a type column next to it names
//! (`record_type` and `record_id`), without those that have a value that means none, such as 0.
//!
//! A condition is no expression: values are compared with texts, byte by byte. So nothing is parsed,
//! and no function or operator of another role can run for it.
//!
//! A column with a type column stays, with its name and its values: rows of other kinds need it. Next
//! to it, the new column has the keys of the rows that meet the condition. A column without one is
//! replaced like any other, and its new column is NULL where the old one has a value that means none.

use serde::Deserialize;

use super::facts::{Column, Table};
use crate::sql::{literal, quoted};

/// The condition for the rows of a column that refer to a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The table.
    pub table: u32,
    /// The number of the column of old ids.
    pub column: i16,
    /// The number of the column that says which table a row refers to.
    pub type_column: Option<i16>,
    /// Its values for the table that has the key, as texts.
    pub type_values: Vec<String>,
    /// Old ids that mean none, as texts.
    pub null_values: Vec<String>,
}

/// The condition of a column of one table or partition.
#[derive(Clone, Copy, Debug)]
pub struct Refers<'a> {
    /// The condition.
    pub condition: &'a Condition,
    /// The type column of this table; `None` if there is none, or if it is gone.
    pub type_column: Option<&'a Column>,
}

/// A condition as an argument of a trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TriggerCondition {
    /// The number of the type column, 0 if there is none.
    #[serde(default)]
    pub type_column: i16,
    /// Its values for the table that has the key.
    #[serde(default)]
    pub type_values: Vec<String>,
    /// Old ids that mean none.
    #[serde(default)]
    pub null_values: Vec<String>,
    /// Whether a row without a key must have an old id: the first of these.
    #[serde(default)]
    pub fills: bool,
}

impl TriggerCondition {
    /// Reads the argument.
    ///
    /// A text of PostgreSQL contains no zero byte, but whoever creates a trigger can write one in JSON.
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: Self = serde_json::from_str(text).ok()?;
        let has_zero = |list: &[String]| list.iter().any(|text| text.contains('\0'));
        (!has_zero(&parsed.type_values) && !has_zero(&parsed.null_values)).then_some(parsed)
    }
}

/// The types that a type column can have, as SQL writes them.
const TYPES: [&str; 6] = ["smallint", "integer", "bigint", "text", "character varying", "character"];

/// The types that a type column can have, for a message.
pub fn types() -> String {
    TYPES.join(", ")
}

/// Whether a type column can have this type.
pub(super) fn is_type(type_name: &str) -> bool {
    TYPES.contains(&type_name)
}

/// A whole number as PostgreSQL writes it: no sign of a positive one, no leading zeros or spaces.
pub fn canonical_number(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl Condition {
    /// Whether the column stays, because rows of other kinds need it.
    pub const fn stays(&self) -> bool {
        self.type_column.is_some()
    }
}

impl<'a> Refers<'a> {
    pub(super) fn of(condition: &'a Condition, table: &'a Table) -> Self {
        let number = condition.type_column;
        Self { condition, type_column: number.and_then(|number| table.column(number)) }
    }

    /// The same for a partition, which numbers its columns by itself.
    pub(super) fn of_partition(self, partition: &'a Table) -> Self {
        let name = self.type_column.map(|column| column.name.as_str());
        Self { type_column: name.and_then(|name| partition.column_named(name)), ..self }
    }

    /// The condition as a trigger of this table would have it.
    pub fn for_table(self) -> TriggerCondition {
        TriggerCondition {
            type_column: self.type_column.map_or(0, |column| column.number),
            type_values: self.condition.type_values.clone(),
            null_values: self.condition.null_values.clone(),
            fills: false,
        }
    }

    /// The condition that a row with this alias is of one of the kinds; `None` if every row is.
    pub(super) fn is_of_type(self, alias: &str) -> Option<String> {
        self.condition.type_column?;
        let Some(column) = self.type_column else { return Some("false".to_owned()) };
        let values = texts(&self.condition.type_values);
        Some(format!("{} OPERATOR(pg_catalog.=) ANY ({values})", as_text(alias, &column.name)))
    }
}

/// A value as a text that is compared byte by byte.
pub(super) fn as_text(alias: &str, column: &str) -> String {
    format!("{alias}.{}::pg_catalog.text COLLATE pg_catalog.\"C\"", quoted(column))
}

/// Texts as an array.
pub(super) fn texts(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| literal(value).trim().to_owned()).collect();
    format!("ARRAY[{}]::pg_catalog.text[]", values.join(", "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_numbers_are_numbers() {
        for (text, number) in [
            ("0", 0),
            ("42", 42),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(canonical_number(text), Some(number), "{text}");
        }
        for text in ["", " 42", "42 ", "042", "+42", "-0", "4.0", "4e1", "0x2a", "٤٢", "9223372036854775808"]
        {
            assert_eq!(canonical_number(text), None, "{text}");
        }
    }

    #[test]
    fn types_of_type_columns() {
        assert!(is_type("character varying") && !is_type("uuid"));
        assert!(types().contains("bigint"));
    }
}
