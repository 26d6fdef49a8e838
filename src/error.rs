//! Reports errors of the pure crate as PostgreSQL errors.

use std::convert::Infallible;

use keyspace::{Error, SqlState};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::{ErrorReport, ErrorReportable};

use crate::encoding::for_message;

/// Returns the value, or raises the error in SQL.
///
/// Errors are raised at the end of the SQL function, not returned to pgrx: a report is far larger
/// than a key or a number, and moving it costs more than generating those.
#[inline]
pub(crate) fn or_raise<T>(result: Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => raise(report(error)),
    }
}

/// Leaves the function called from SQL with this error.
#[cold]
#[inline(never)]
pub(crate) fn raise(report: ErrorReport) -> ! {
    match Err::<Infallible, _>(report).unwrap_or_report() {}
}

/// PostgreSQL's code for a SQLSTATE.
pub(crate) fn code(sqlstate: SqlState) -> PgSqlErrorCode {
    match sqlstate {
        SqlState::NullValueNotAllowed => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        SqlState::NumericValueOutOfRange => PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        SqlState::DatetimeFieldOverflow => PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
        SqlState::InvalidParameterValue => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        SqlState::InvalidTextRepresentation => PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
        SqlState::InvalidBinaryRepresentation => PgSqlErrorCode::ERRCODE_INVALID_BINARY_REPRESENTATION,
        SqlState::CheckViolation => PgSqlErrorCode::ERRCODE_CHECK_VIOLATION,
        SqlState::ForeignKeyViolation => PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION,
        SqlState::DatatypeMismatch => PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        SqlState::FeatureNotSupported => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        SqlState::SequenceGeneratorLimitExceeded => PgSqlErrorCode::ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED,
        SqlState::InsufficientPrivilege => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        SqlState::WrongObjectType => PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
        SqlState::UndefinedObject => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        SqlState::UndefinedTable => PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
        SqlState::UndefinedColumn => PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
        SqlState::DuplicateColumn => PgSqlErrorCode::ERRCODE_DUPLICATE_COLUMN,
        SqlState::DuplicateObject => PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
        SqlState::OutOfMemory => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        SqlState::InvalidSchemaName => PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
        SqlState::LockNotAvailable => PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        SqlState::ObjectInUse => PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
        SqlState::ActiveSqlTransaction => PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
        SqlState::InvalidTransactionState => PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_STATE,
        SqlState::ObjectNotInPrerequisiteState => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
    }
}

/// Turns an error of the pure crate into a report with its SQLSTATE, detail and hint.
pub(crate) fn report(error: Error) -> ErrorReport {
    let mut report = ErrorReport::new(code(error.sqlstate), for_message(error.message), "pg_keyspace");
    if let Some(detail) = error.detail {
        report = report.set_detail(for_message(detail));
    }
    if let Some(hint) = error.hint {
        report = report.set_hint(for_message(hint));
    }
    report
}
