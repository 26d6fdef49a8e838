//! The types of numbers that a sequence can generate, or a column can hold.

/// The types whose values compare with those of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberType {
    /// `smallint`, 2 bytes.
    Smallint,
    /// `integer`, 4 bytes.
    Integer,
    /// `bigint`, 8 bytes.
    Bigint,
    /// `numeric`, wider than any sequence.
    Numeric,
}

impl NumberType {
    /// The smallest and the largest value that it shares with sequences.
    pub const fn range(self) -> (i64, i64) {
        match self {
            Self::Smallint => (i16::MIN as i64, i16::MAX as i64),
            Self::Integer => (i32::MIN as i64, i32::MAX as i64),
            Self::Bigint | Self::Numeric => (i64::MIN, i64::MAX),
        }
    }

    /// Its name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smallint => "smallint",
            Self::Integer => "integer",
            Self::Bigint => "bigint",
            Self::Numeric => "numeric",
        }
    }
}
