//! The error of a batch that failed: a row's own, with the place at which the backfill was.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport};
use pgrx::prelude::*;

use crate::server::relation::relation_name;
use crate::server::subtransaction::attempt;

/// The same error, with the table and the page in its detail, and a hint unless it has one. Its
/// SQLSTATE and message stay.
pub(super) fn located(error: Box<CaughtError>, table: pg_sys::Oid, page: i64) -> Box<CaughtError> {
    let (CaughtError::PostgresError(report) | CaughtError::ErrorReport(report)) = &*error else {
        return error;
    };
    if report.sql_error_code() == PgSqlErrorCode::ERRCODE_QUERY_CANCELED {
        return error;
    }
    let name = relation_name(table);
    let place = format!("It ended a batch of the backfill of table {name}, which began at page {page}.");
    let detail = match report.detail() {
        Some(detail) => format!("{detail} {place}"),
        None => place,
    };
    let hint = report.hint().map_or_else(
        || {
            "Correct the rows, or what raises the error, and call again. Batches before it are complete."
                .to_owned()
        },
        str::to_owned,
    );
    let located = ErrorReport::new(report.sql_error_code(), report.message().to_owned(), "pg_keyspace")
        .set_detail(detail)
        .set_hint(hint);
    match attempt(|| located.report(PgLogLevel::ERROR)) {
        Err(located) => located,
        Ok(()) => error,
    }
}
