//! Errors, in the terms of PostgreSQL.

use std::fmt;

/// The class of an error, named after PostgreSQL's `errcodes.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlState {
    /// 22004: NULL where a value is needed.
    NullValueNotAllowed,
    /// 22003: a number beyond the range of its type.
    NumericValueOutOfRange,
    /// 22008: an instant beyond the range of a key.
    DatetimeFieldOverflow,
    /// 22023: a value that is not valid for this argument.
    InvalidParameterValue,
    /// 22P02: text that is not valid for the type.
    InvalidTextRepresentation,
    /// 22P03: bytes that are not valid for the type.
    InvalidBinaryRepresentation,
    /// 23502: NULL in a column that is NOT NULL.
    NotNullViolation,
    /// 23503: a row that refers to a row that does not exist.
    ForeignKeyViolation,
    /// 23514: a row that a rule does not allow.
    CheckViolation,
    /// 42804: a type that is not allowed here.
    DatatypeMismatch,
    /// 0A000: not supported yet, or not supported on purpose.
    FeatureNotSupported,
    /// 2200H: the sequence has no value left in its class.
    SequenceGeneratorLimitExceeded,
    /// 42501: the caller lacks a privilege or is not the owner.
    InsufficientPrivilege,
    /// 42809: an object of another kind.
    WrongObjectType,
    /// 42704: an object that does not exist.
    UndefinedObject,
    /// 42P01: a relation that does not exist.
    UndefinedTable,
    /// 42703: a column that does not exist.
    UndefinedColumn,
    /// 42701: a column that exists already.
    DuplicateColumn,
    /// 42710: an object that exists already.
    DuplicateObject,
    /// 53200: not enough shared memory.
    OutOfMemory,
    /// 54000: beyond a limit of PostgreSQL.
    ProgramLimitExceeded,
    /// 3F000: a schema that does not exist.
    InvalidSchemaName,
    /// 40001: a transaction that has to be run again.
    SerializationFailure,
    /// 55P03: a lock that could not be acquired in time.
    LockNotAvailable,
    /// 55006: another session is using it.
    ObjectInUse,
    /// 25001: a transaction block where none is allowed.
    ActiveSqlTransaction,
    /// 25000: a transaction that does not allow this.
    InvalidTransactionState,
    /// 55000: the state of the database does not allow it.
    ObjectNotInPrerequisiteState,
}

impl SqlState {
    /// The five characters of the SQLSTATE.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NullValueNotAllowed => "22004",
            Self::NumericValueOutOfRange => "22003",
            Self::DatetimeFieldOverflow => "22008",
            Self::InvalidParameterValue => "22023",
            Self::InvalidTextRepresentation => "22P02",
            Self::InvalidBinaryRepresentation => "22P03",
            Self::CheckViolation => "23514",
            Self::NotNullViolation => "23502",
            Self::ForeignKeyViolation => "23503",
            Self::DatatypeMismatch => "42804",
            Self::FeatureNotSupported => "0A000",
            Self::SequenceGeneratorLimitExceeded => "2200H",
            Self::ProgramLimitExceeded => "54000",
            Self::InsufficientPrivilege => "42501",
            Self::WrongObjectType => "42809",
            Self::UndefinedObject => "42704",
            Self::UndefinedTable => "42P01",
            Self::UndefinedColumn => "42703",
            Self::DuplicateColumn => "42701",
            Self::DuplicateObject => "42710",
            Self::OutOfMemory => "53200",
            Self::InvalidSchemaName => "3F000",
            Self::SerializationFailure => "40001",
            Self::LockNotAvailable => "55P03",
            Self::ObjectInUse => "55006",
            Self::ActiveSqlTransaction => "25001",
            Self::InvalidTransactionState => "25000",
            Self::ObjectNotInPrerequisiteState => "55000",
        }
    }
}

/// An error in PostgreSQL's style: a lower-case primary message without a full stop and, if they
/// help, a detail and a hint, which are sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The class of the error.
    pub sqlstate: SqlState,
    /// The primary message.
    pub message: String,
    /// More facts about the error.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    /// An error with only a primary message.
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into(), detail: None, hint: None }
    }

    /// Adds the detail.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// A text with a capital first letter.
pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A primary message, which has a lower-case first letter and no full stop, as a sentence.
pub fn sentence(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!("{}.", capitalized(message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_becomes_a_sentence() {
        assert_eq!(sentence("über \"x\" is not known"), "Über \"x\" is not known.");
        assert_eq!(sentence(""), "");
    }
}
