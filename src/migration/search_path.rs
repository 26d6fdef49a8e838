//! A hint for functions that depend on a search_path, because a migration runs them with
//! `pg_catalog, pg_temp`.

use pgrx::prelude::*;
use pgrx::spi::SpiResult;
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::encoding::from_server_bytes;
use crate::server::caught::Caught;
use crate::server::settings::with_own_settings;
use crate::server::subtransaction::{attempt, unless_cancelled};

/// Functions without a search_path of their own that indexes, generated columns, checks and
/// triggers of a table call. PostgreSQL's own functions and those in C need none.
const FUNCTIONS: &str = "SELECT convert_to(string_agg(DISTINCT p.oid::regprocedure::text, ', '), 'SQL_ASCII') \
    FROM pg_depend AS d JOIN pg_proc AS p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid \
    JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname NOT IN ('internal', 'c') \
    WHERE NOT coalesce(array_to_string(p.proconfig, ',') LIKE '%search_path=%', false) AND ( \
        d.classid = 'pg_class'::regclass AND d.objid IN (SELECT i.indexrelid FROM pg_index AS i WHERE i.indrelid = $1) \
        OR d.classid = 'pg_attrdef'::regclass AND d.objid IN (SELECT e.oid FROM pg_attrdef AS e WHERE e.adrelid = $1) \
        OR d.classid = 'pg_constraint'::regclass AND d.objid IN (SELECT c.oid FROM pg_constraint AS c WHERE c.conrelid = $1) \
        OR d.classid = 'pg_trigger'::regclass AND d.objid IN (SELECT t.oid FROM pg_trigger AS t WHERE t.tgrelid = $1))";

/// The same error, with a hint that names the functions if an object was not found by its name.
pub(super) fn explained(error: Box<Caught>, table: pg_sys::Oid) -> Box<Caught> {
    let is_missing = matches!(
        error.sqlstate(),
        PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION
            | PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE
            | PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT
            | PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN
    );
    let functions = if is_missing { functions(table).unwrap_or_default() } else { String::new() };
    if functions.is_empty() {
        return error;
    }
    let hint = format!(
        "A key migration evaluates the expressions of a table as its owner, with search_path set to pg_catalog, \
         pg_temp. These functions do not set a search_path: {functions}. Use ALTER FUNCTION ... SET search_path."
    );
    let detail = error.detail().map(str::to_owned);
    Box::new(error.described(detail, hint))
}

fn functions(table: pg_sys::Oid) -> Option<String> {
    let read = || {
        Spi::connect(|client| -> SpiResult<Option<Vec<u8>>> {
            client.select(FUNCTIONS, Some(1), &[table.into()])?.first().get(1)
        })
    };
    unless_cancelled(attempt(|| with_own_settings(read)))?.ok()?.map(from_server_bytes)
}
