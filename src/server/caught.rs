//! Errors that were caught, and can be raised again later, whatever happens to PostgreSQL's own record
//! of them. They keep the fields that programs read.

use std::convert::Infallible;
use std::ffi::{CStr, c_char, c_int};
use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel, ErrorReportable};
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

use crate::encoding::{from_server, is_utf8};
use crate::error::{Report, Violated, raise};

/// An error that was caught.
#[derive(Debug)]
pub(crate) struct Caught {
    error: CaughtError,
    violated: Option<Box<Violated>>,
    /// A SQLSTATE of users, which pgrx takes for an internal error.
    other_code: Option<c_int>,
}

impl Caught {
    /// The error that a handler was called with.
    ///
    /// To raise an error of PostgreSQL again, pgrx uses PostgreSQL's record of it, which is gone once
    /// the handler has ended. The caller would get "errstart was not called". Call it within the
    /// handler.
    pub(crate) fn new(error: CaughtError) -> Self {
        match error {
            CaughtError::PostgresError(report) => {
                let (in_utf8, violated, other_code) = recorded();
                let error = if is_utf8() { CaughtError::ErrorReport(report) } else { caught(in_utf8) };
                Self { error, violated, other_code }
            }
            error => Self { error, violated: None, other_code: None },
        }
    }

    fn report(&self) -> &ErrorReportWithLevel {
        let (CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic { ereport: report, .. }) = &self.error;
        report
    }

    pub(crate) fn sqlstate(&self) -> PgSqlErrorCode {
        self.report().sql_error_code()
    }

    pub(crate) fn message(&self) -> &str {
        self.report().message()
    }

    pub(crate) fn detail(&self) -> Option<&str> {
        self.report().detail()
    }

    pub(crate) fn hint(&self) -> Option<&str> {
        self.report().hint()
    }

    /// Whether it is a panic, of which nothing but its message is known.
    pub(crate) const fn is_panic(&self) -> bool {
        matches!(self.error, CaughtError::RustPanic { .. })
    }

    pub(crate) fn is_cancellation(&self) -> bool {
        self.sqlstate() == PgSqlErrorCode::ERRCODE_QUERY_CANCELED
    }

    /// The same error with another detail and hint.
    pub(crate) fn described(self, detail: Option<String>, hint: String) -> Self {
        let mut report =
            ErrorReport::new(self.sqlstate(), self.message().to_owned(), "pg_keyspace").set_hint(hint);
        if let Some(detail) = detail {
            report = report.set_detail(detail);
        }
        Self { error: caught(report), ..self }
    }

    /// Raises it again.
    pub(crate) fn rethrow(self) -> ! {
        if self.violated.is_none() && self.other_code.is_none() {
            self.error.rethrow();
        }
        let report = match &self.error {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. } => report,
        };
        let mut again = Report::new(report.sql_error_code(), report.message());
        if let Some(violated) = self.violated {
            again = again.violated(*violated);
        }
        if let Some(code) = self.other_code {
            again = again.other_code(code);
        }
        if let Some(detail) = report.detail() {
            again = again.detail(detail);
        }
        if let Some(hint) = report.hint() {
            again = again.hint(hint);
        }
        raise(again)
    }
}

/// The error of PostgreSQL that was caught last, in UTF-8, what it says is violated, and its SQLSTATE if
/// pgrx does not know it. pgrx reads its text as UTF-8 in any database, and not these fields.
fn recorded() -> (ErrorReport, Option<Box<Violated>>, Option<c_int>) {
    let text = |text: *const c_char| {
        // SAFETY: a string of the record, or null.
        (!text.is_null()).then(|| unsafe { from_server(CStr::from_ptr(text)) })
    };
    // SAFETY: PostgreSQL's record of the error is there until the handler of an error has ended. This
    // is a copy of it in the current memory context.
    let (raw, message, detail, hint, violated) = unsafe {
        let record = pg_sys::CopyErrorData();
        let texts = (text((*record).message), text((*record).detail), text((*record).hint));
        let violated = Violated {
            schema: text((*record).schema_name),
            table: text((*record).table_name),
            column: text((*record).column_name),
            data_type: text((*record).datatype_name),
            constraint: text((*record).constraint_name),
        };
        let raw = (*record).sqlerrcode;
        pg_sys::FreeErrorData(record);
        (raw, texts.0, texts.1, texts.2, violated)
    };
    let code = PgSqlErrorCode::from(raw);
    let mut report = ErrorReport::new(code, message.unwrap_or_default(), "pg_keyspace");
    if let Some(detail) = detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    let violated = (violated != Violated::default()).then(|| Box::new(violated));
    (report, violated, (code as c_int != raw).then_some(raw))
}

/// A report as an error that was caught. The only way to one is to raise it.
fn caught(report: ErrorReport) -> CaughtError {
    let raise = AssertUnwindSafe(|| match Err::<Infallible, _>(report).unwrap_or_report() {});
    PgTryBuilder::new(raise).catch_others(|error| error).execute()
}
