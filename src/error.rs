//! Reports errors of the pure crate as PostgreSQL errors.

use std::convert::Infallible;
use std::ffi::{CString, c_char, c_int};

use keyspace::{Error, SqlState};
use pgrx::pg_sys::panic::{ErrorReport, ErrorReportable};
use pgrx::{PgLogLevel, PgSqlErrorCode, pg_sys};

use crate::encoding::{for_message, messages_are_utf8};

unsafe extern "C-unwind" {
    // From utils/elog.h.
    fn errstart(level: c_int, domain: *const c_char) -> bool;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
    fn errcode(code: c_int) -> c_int;
    fn errmsg(format: *const c_char, ...) -> c_int;
    fn errdetail(format: *const c_char, ...) -> c_int;
    fn errhint(format: *const c_char, ...) -> c_int;
    fn err_generic_string(field: c_int, text: *const c_char) -> c_int;
}

/// What a row violates, in the fields of an error that programs read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Violated {
    pub(crate) schema: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) column: Option<String>,
    pub(crate) data_type: Option<String>,
    pub(crate) constraint: Option<String>,
}

impl Violated {
    /// The fields, by their codes in postgres_ext.h.
    fn fields(&self) -> impl Iterator<Item = (u8, CString)> {
        let fields = [
            (b's', &self.schema),
            (b't', &self.table),
            (b'c', &self.column),
            (b'd', &self.data_type),
            (b'n', &self.constraint),
        ];
        fields.into_iter().filter_map(|(code, text)| Some((code, for_message(text.as_ref()?))))
    }
}

/// A report whose text can have any characters.
#[derive(Debug)]
pub(crate) struct Report {
    code: PgSqlErrorCode,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    violated: Option<Box<Violated>>,
    /// In place of `code`, one that pgrx does not know.
    other_code: Option<c_int>,
}

impl Report {
    pub(crate) fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, hint: None, violated: None, other_code: None }
    }

    /// A report for the level NOTICE.
    pub(crate) fn notice(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message)
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Names what is violated, as PostgreSQL's own constraints do.
    pub(crate) fn violated(self, violated: Violated) -> Self {
        Self { violated: Some(Box::new(violated)), ..self }
    }

    /// Gives it a SQLSTATE of users, as PostgreSQL stores it.
    pub(crate) fn other_code(self, code: c_int) -> Self {
        Self { other_code: Some(code), ..self }
    }

    /// Reports it at this level. From ERROR on, it does not return.
    pub(crate) fn report(self, level: PgLogLevel) {
        if self.is_plain() { self.for_pgrx().report(level) } else { self.convert_and_report(level) }
    }

    /// Whether pgrx can pass it on: it need not be converted, and has no further fields.
    fn is_plain(&self) -> bool {
        if self.violated.is_some() || self.other_code.is_some() {
            return false;
        }
        let is_ascii = |text: &Option<String>| text.as_ref().is_none_or(|text| text.is_ascii());
        self.message.is_ascii() && is_ascii(&self.detail) && is_ascii(&self.hint) || messages_are_utf8()
    }

    fn for_pgrx(self) -> ErrorReport {
        let mut report = ErrorReport::new(self.code, self.message, "pg_keyspace");
        if let Some(detail) = self.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(hint);
        }
        report
    }

    /// Reports it in the encoding of the database. pgrx can only pass UTF-8 to PostgreSQL, which would
    /// send it as if it was in that encoding.
    fn convert_and_report(&self, level: PgLogLevel) {
        let convert = |text: &Option<String>| text.as_deref().map(for_message);
        let (message, detail, hint) =
            (for_message(&self.message), convert(&self.detail), convert(&self.hint));
        let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        let fields: Vec<(u8, CString)> =
            self.violated.iter().flat_map(|violated| violated.fields()).collect();
        let (message, detail, hint) = (message.as_ptr(), pointer(&detail), pointer(&hint));
        // SAFETY: these are the calls in PostgreSQL's macro ereport(). The formats take one string,
        // which is copied. An error of this level jumps out of the closure, in which nothing has to be
        // dropped, and becomes a panic, which drops the strings.
        unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                if !errstart(level as c_int, std::ptr::null()) {
                    return;
                }
                errcode(self.other_code.unwrap_or(self.code as c_int));
                errmsg(c"%s".as_ptr(), message);
                if !detail.is_null() {
                    errdetail(c"%s".as_ptr(), detail);
                }
                if !hint.is_null() {
                    errhint(c"%s".as_ptr(), hint);
                }
                for (code, text) in &fields {
                    err_generic_string(c_int::from(*code), text.as_ptr());
                }
                errfinish(c"error.rs".as_ptr(), 0, c"report".as_ptr());
            });
        }
    }
}

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
pub(crate) fn raise(report: Report) -> ! {
    if !report.is_plain() {
        report.convert_and_report(PgLogLevel::ERROR);
    }
    match Err::<Infallible, _>(report.for_pgrx()).unwrap_or_report() {}
}

/// Reports a NOTICE.
pub(crate) fn notify(message: String) {
    Report::notice(message).report(PgLogLevel::NOTICE);
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
        SqlState::NotNullViolation => PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
        SqlState::CheckViolation => PgSqlErrorCode::ERRCODE_CHECK_VIOLATION,
        SqlState::ForeignKeyViolation => PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION,
        SqlState::DatatypeMismatch => PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        SqlState::FeatureNotSupported => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        SqlState::ProgramLimitExceeded => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
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
        SqlState::SerializationFailure => PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        SqlState::ActiveSqlTransaction => PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
        SqlState::InvalidTransactionState => PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_STATE,
        SqlState::ObjectNotInPrerequisiteState => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
    }
}

/// Turns an error of the pure crate into a report with its SQLSTATE, detail and hint.
pub(crate) fn report(error: Error) -> Report {
    Report {
        code: code(error.sqlstate),
        message: error.message,
        detail: error.detail,
        hint: error.hint,
        violated: None,
        other_code: None,
    }
}
