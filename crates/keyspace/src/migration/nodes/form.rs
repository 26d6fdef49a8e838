//! The forms that rows of the migrated tables have on the wire.

use serde::{Deserialize, Serialize};

/// The form of the rows that a node sends. It changes in one transaction under an exclusive lock on
/// the tables, so each change has the form that was valid when it was committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The columns of before the migration.
    #[default]
    Unprepared,
    /// With the new columns. The old ids have the names of the columns, and identify rows.
    OldIds,
    /// With both columns. The keys have the names of the columns, and identify rows.
    Keys,
    /// Without the old columns.
    Finalized,
}

impl Form {
    /// The form, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unprepared => "not prepared",
            Self::OldIds => "prepared",
            Self::Keys => "cut over",
            Self::Finalized => "finalized",
        }
    }

    /// Whether a node of this form applies rows of another form. Otherwise its apply worker fails,
    /// because a column with which the row comes is missing, and tries again until the node has
    /// another form.
    pub const fn accepts(self, sent: Self) -> bool {
        match self {
            Self::Unprepared => matches!(sent, Self::Unprepared),
            Self::OldIds => matches!(sent, Self::Unprepared | Self::OldIds),
            Self::Keys => matches!(sent, Self::Keys | Self::Finalized),
            Self::Finalized => matches!(sent, Self::Finalized),
        }
    }

    /// Whether a node can change from this form to another one.
    pub const fn can_become(self, to: Self) -> bool {
        matches!(
            (self, to),
            (Self::Unprepared, Self::OldIds)
                | (Self::OldIds, Self::Unprepared | Self::Keys)
                | (Self::Keys, Self::OldIds | Self::Finalized)
        )
    }
}
