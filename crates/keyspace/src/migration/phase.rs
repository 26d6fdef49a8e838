//! The phases of a migration.

use crate::error::{Error, SqlState};

/// The progress of a migration; each phase includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It exists, and the tables are unchanged.
    Planned,
    /// Every table has its new columns, and triggers fill them for rows that are written.
    Prepared,
    /// Existing rows have their keys, too.
    Backfilled,
    /// There are indexes on the new columns.
    Indexed,
    /// NOT NULL and foreign keys hold on the new columns.
    Validated,
    /// All values have been compared.
    Verified,
    /// The new columns have the names of the old ones.
    CutOver,
    /// The old columns are gone.
    Finalized,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 8] = [
        Self::Planned,
        Self::Prepared,
        Self::Backfilled,
        Self::Indexed,
        Self::Validated,
        Self::Verified,
        Self::CutOver,
        Self::Finalized,
    ];

    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Prepared => "prepared",
            Self::Backfilled => "backfilled",
            Self::Indexed => "indexed",
            Self::Validated => "validated",
            Self::Verified => "verified",
            Self::CutOver => "cut over",
            Self::Finalized => "finalized",
        }
    }

    /// The phase with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// The phase up to which a caller wants to advance, by steps that need no consent of their own.
    ///
    /// # Errors
    /// 22023 for any other name.
    pub fn parse_through(name: &str) -> Result<Self, Error> {
        match Self::of_name(name) {
            Some(phase) if phase > Self::Planned && phase < Self::CutOver => Ok(phase),
            Some(Self::CutOver) => Err(Error::new(
                SqlState::InvalidParameterValue,
                "phase \"cut over\" requires a procedure of its own",
            )
            .hint("Use CALL key_migration_cutover().")),
            Some(Self::Finalized) => Err(Error::new(
                SqlState::InvalidParameterValue,
                "phase \"finalized\" requires a procedure of its own",
            )
            .hint("Use CALL key_migration_finalize().")),
            _ => Err(Error::new(SqlState::InvalidParameterValue, format!("unknown phase \"{name}\"")).hint(
                "The phases are \"prepared\", \"backfilled\", \"indexed\", \"validated\" and \"verified\".",
            )),
        }
    }
}
