//! A finding of the plan.

use super::facts::Table;
use crate::error::{Error, SqlState};

/// The severity of a finding; the most severe comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The migration cannot be started.
    Error,
    /// Something must be done by hand, or is not as one might expect.
    Warning,
    /// What the migration will need.
    Note,
}

impl Severity {
    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its severity.
    pub severity: Severity,
    /// The table.
    pub table: u32,
    /// The finding, as an error.
    pub error: Error,
}

impl Finding {
    pub(super) fn error(table: &Table, error: Error) -> Self {
        Self { severity: Severity::Error, table: table.oid, error }
    }

    pub(super) fn warning(table: &Table, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message).hint(hint);
        Self { severity: Severity::Warning, table: table.oid, error }
    }

    pub(super) fn note(table: &Table, error: Error) -> Self {
        Self { severity: Severity::Note, table: table.oid, error }
    }

    /// Whether it prevents the migration from starting.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The maximum number of items that a sentence lists.
pub(super) const MAX_LISTED: usize = 8;

/// Names as a sentence lists them.
pub(super) fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().take(MAX_LISTED).map(|name| format!("\"{name}\"")).collect();
    with_the_rest(quoted, names.len())
}

/// Objects, each in a few words, as a sentence lists them.
pub fn list_of_objects(objects: &[String]) -> String {
    with_the_rest(objects.iter().take(MAX_LISTED).cloned().collect(), objects.len())
}

fn with_the_rest(mut listed: Vec<String>, count: usize) -> String {
    if count > listed.len() {
        listed.push(format!("{} more", count - listed.len()));
    }
    listed.join(", ")
}
