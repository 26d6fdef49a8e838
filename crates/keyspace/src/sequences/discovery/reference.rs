//! How a text names a sequence.

use super::names::QualifiedName;

/// A sequence that a text names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// By its name.
    Name(QualifiedName),
    /// With `pg_get_serial_sequence`, as that of a column.
    OwnedBy {
        /// The table.
        table: QualifiedName,
        /// The column.
        column: Vec<u8>,
    },
    /// The same, for a column of the table whose trigger runs the text.
    OwnedByTriggerTable {
        /// The column; `None` if its name is not written out.
        column: Option<Vec<u8>>,
    },
}

impl Reference {
    /// Reads the name of a sequence.
    pub fn by_name(text: &[u8]) -> Option<Self> {
        QualifiedName::parse(text).map(Self::Name)
    }

    /// Reads the arguments of `pg_get_serial_sequence`. The second one is not quoted.
    pub fn owned_by(table: &[u8], column: &[u8]) -> Option<Self> {
        QualifiedName::parse(table).map(|table| Self::OwnedBy { table, column: column.to_vec() })
    }
}
