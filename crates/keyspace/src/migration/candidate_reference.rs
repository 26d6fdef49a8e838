//! Columns that may be references to a key, and samples of their values, as the glue reads them for a
//! plan.

use serde::Deserialize;

use crate::error::{Error, SqlState};

/// A column that may be a reference, as the catalogs have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Candidate {
    /// The table.
    pub table: u32,
    /// Its schema, not quoted.
    pub schema: String,
    /// Its name, not quoted.
    pub name: String,
    /// The `attnum` of the column.
    pub number: i16,
    /// Its name, not quoted.
    pub column: String,
    /// Its type, as declared.
    pub type_name: String,
    /// Whether that is a number, not a text.
    pub is_number: bool,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// The names and types of the other columns that may say which table is meant.
    pub others: Vec<(String, String)>,
}

impl Candidate {
    /// Reads candidates from JSON.
    ///
    /// # Errors
    /// 55000 if it cannot be read.
    pub fn list(json: &str) -> Result<Vec<Self>, Error> {
        serde_json::from_str(json).map_err(|error| {
            let message = format!("could not read the columns that may be references: {error}");
            Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        })
    }
}

/// A candidate, with the key that it may refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeclared {
    /// The column.
    pub column: Candidate,
    /// The table that has the key.
    pub key: u32,
    /// What its values are; the text says why they were not read.
    pub sample: Result<Sample, String>,
}

/// A value of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleValue {
    /// The value of the type column.
    pub kind: Option<String>,
    /// The value of the reference; `None` if it is no number as PostgreSQL writes it.
    pub number: Option<i64>,
    /// Whether it is an empty text.
    pub is_empty: bool,
}

/// What the values of a sample of rows are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The values.
    pub values: Vec<SampleValue>,
    /// Those numbers that are ids of the table.
    pub ids: Vec<i64>,
}
