//! Sequences that a source names, and where their values go.

use super::names::QualifiedName;
use super::reference::Reference;

/// A sequence that a source names, and one place where its values go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The sequence.
    pub sequence: Reference,
    /// Where a value goes, unchanged.
    pub target: Target,
    /// Whether it is a value of this node, whatever the sequence gives.
    pub is_of_node: bool,
}

impl Use {
    pub(super) const fn unknown(sequence: Reference) -> Self {
        Self { sequence, target: Target::Unknown, is_of_node: false }
    }
}

/// Where a drawn value goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A column of the row that fires the trigger.
    New(Vec<u8>),
    /// A column of a table, by INSERT or UPDATE.
    Column {
        /// The table.
        table: QualifiedName,
        /// The column.
        column: Vec<u8>,
    },
    /// Not known: it is returned, passed on or computed with.
    Unknown,
}
