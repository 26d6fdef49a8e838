//! The error of a batch that failed: a row's own, with the place at which the backfill was.

use pgrx::prelude::*;

use crate::server::caught::Caught;
use crate::server::relation::relation_name;

/// The same error, with the table and the page in its detail, and a hint unless it has one. Its
/// SQLSTATE, its message and what it says is violated stay.
pub(super) fn located(error: Box<Caught>, table: pg_sys::Oid, page: i64) -> Box<Caught> {
    if error.is_panic() || error.is_cancellation() {
        return error;
    }
    let name = relation_name(table);
    let place = format!("It ended a batch of the backfill of table {name}, which began at page {page}.");
    let detail = match error.detail() {
        Some(detail) => format!("{detail} {place}"),
        None => place,
    };
    let hint = error.hint().map_or_else(
        || {
            "Correct the rows, or what raises the error, and call again. Batches before it are complete."
                .to_owned()
        },
        str::to_owned,
    );
    Box::new(error.described(Some(detail), hint))
}
