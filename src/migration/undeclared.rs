//! Looks for columns that may be references without a foreign key, and reads samples of their values.
//!
//! Values are read as the owner of their table, and looked up as the owner of the table with the key,
//! so no query reads tables of two owners.

use keyspace::migration::candidate_reference::{Candidate, Sample, SampleValue, Undeclared};
use keyspace::migration::undeclared::{self, MOST_SAMPLED};
use keyspace::migration::{Facts, Options, Scope};
use keyspace::sql::{qualified, quoted};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::catalog::in_time;
use super::rights::check_is_owner;
use crate::encoding::{ServerText, from_server_bytes, json_with_names, to_server};
use crate::server::as_owner::as_owner;
use crate::server::caught::Caught;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::relation_owner;
use crate::server::settings::{self, with_own_settings};
use crate::server::subtransaction::attempt;

const CANDIDATES: &str = include_str!("undeclared.sql");
/// The number of rows in a sample, and of pages that are read for it.
const ROWS: i64 = 1_000;
const PAGES: f64 = 100.0;

/// Looks for them, and adds them to the facts.
///
/// # Errors
/// Those of SPI itself.
pub(super) fn read(extension: Extension, facts: &mut Facts, options: &Options) -> Result<(), Failure> {
    if options.cut_over {
        return Ok(());
    }
    let Ok(scope) = Scope::new(facts, options) else { return Ok(()) };
    let mut names: Vec<String> =
        scope.keys.iter().flat_map(|key| undeclared::names_of_references(&key.column.table.name)).collect();
    names.sort_unstable();
    names.dedup();
    let names: Vec<ServerText> = names.into_iter().map(ServerText).collect();
    let internal_schema = extension.internal_schema()?;
    let read = || {
        Spi::connect(|client| -> SpiResult<Vec<u8>> {
            let row = client.select(CANDIDATES, Some(1), &[names.into(), internal_schema.into()])?.first();
            Ok(row.get::<Vec<u8>>(1)?.unwrap_or_default())
        })
    };
    let json = in_time(|| Ok(with_own_settings(|| settings::with(&[(c"jit", c"off")], read))?))?;
    let candidates = Candidate::list(&json_with_names(&json)?)?;
    let mut found = Vec::new();
    for (at, (column, key)) in undeclared::select(&scope, candidates).into_iter().enumerate() {
        let sample = if at < MOST_SAMPLED {
            sample(&scope, &column, key)
        } else {
            Err(format!("samples are read of the first {MOST_SAMPLED} such columns"))
        };
        found.push(Undeclared { column, key, sample });
    }
    facts.undeclared = found;
    Ok(())
}

/// Reads a sample of the values of a column. The error says why that was not possible.
fn sample(scope: &Scope<'_>, column: &Candidate, key: u32) -> Result<Sample, String> {
    let root = scope.keys.iter().find(|one| one.column.table.oid == key).map(|one| &one.column);
    let Some(root) = root else { return Ok(Sample::default()) };
    let type_column = undeclared::text_type_column(column, root.table);
    let values = of_table(column.table, || values(column, type_column))?;
    let mut numbers: Vec<i64> = values.iter().filter_map(|value| value.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let ids = format!(
        "SELECT t.{id}::bigint FROM ONLY {} AS t WHERE t.{id} OPERATOR(pg_catalog.=) ANY ($1::bigint[])",
        root.table_sql(),
        id = quoted(&root.old_id.name)
    );
    let ids = to_server(&ids);
    let ids = of_table(key, || {
        Spi::connect(|client| -> SpiResult<Vec<i64>> {
            let rows = client.select(ids.as_c_str(), None, &[numbers.clone().into()])?;
            Ok(rows
                .map(|row| row.get::<i64>(1))
                .collect::<SpiResult<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect())
        })
    })?;
    Ok(Sample { values, ids })
}

/// Values of a column, each with that of its type column.
fn values(column: &Candidate, type_column: Option<&str>) -> SpiResult<Vec<SampleValue>> {
    let table = qualified(&column.schema, &column.name);
    let name = quoted(&column.column);
    let number = if column.is_numeric() {
        // One with a fraction is no reference.
        format!(
            "CASE WHEN t.{name} OPERATOR(pg_catalog.=) pg_catalog.trunc(t.{name}) AND pg_catalog.abs(t.{name}) OPERATOR(pg_catalog.<) 1e18 THEN t.{name}::bigint END"
        )
    } else if column.is_number {
        format!("t.{name}::bigint")
    } else {
        format!(
            "CASE WHEN t.{name}::text OPERATOR(pg_catalog.~) '^(0|-?[1-9][0-9]{{0,17}})$' THEN t.{name}::text::bigint END"
        )
    };
    let kind = type_column.map_or_else(|| "NULL".to_owned(), |of| format!("t.{}::text", quoted(of)));
    // Of a small table every row. A sample of pages depends on where it begins, so it is always the same.
    let query = format!(
        "SELECT pg_catalog.convert_to({kind}, 'SQL_ASCII'), {number}, t.{name}::text OPERATOR(pg_catalog.=) '' FROM {table} AS t \
         TABLESAMPLE pg_catalog.system ({{percent}}) REPEATABLE (1) WHERE t.{name} IS NOT NULL LIMIT {ROWS}"
    );
    Spi::connect(|client| {
        let pages = "SELECT pg_catalog.sum(c.relpages)::float8 FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1";
        let pages = client.select(pages, Some(1), &[pg_sys::Oid::from(column.table).into()])?.first();
        let pages = pages.get::<f64>(1)?.unwrap_or(0.0);
        let percent = if pages > PAGES { 100.0 * PAGES / pages } else { 100.0 };
        let query = to_server(&query.replace("{percent}", &percent.to_string()));
        let rows = client.select(query.as_c_str(), None, &[])?;
        rows.map(|row| {
            Ok(SampleValue {
                kind: row.get::<Vec<u8>>(1)?.map(from_server_bytes),
                number: row.get::<i64>(2)?,
                is_empty: row.get::<bool>(3)?.unwrap_or(false),
            })
        })
        .collect()
    })
}

/// Reads a table as its owner, if the caller has the owner's rights.
fn of_table<T>(table: u32, read: impl FnOnce() -> SpiResult<T>) -> Result<T, String> {
    let table = pg_sys::Oid::from(table);
    let owner = relation_owner(table);
    check_is_owner(table, owner).map_err(|error| error.message)?;
    // Policies can hide rows from the owner, too, and nobody else is to be waited for.
    let wanted = [(c"lock_timeout", c"100ms"), (c"row_security", c"off"), (c"jit", c"off")];
    let read = || with_own_settings(|| settings::with(&wanted, || as_owner(owner, read)));
    match attempt(read) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(reason(error)),
    }
}

/// The message of an error. A cancellation is raised again.
fn reason(error: Box<Caught>) -> String {
    if error.is_panic() || error.is_cancellation() {
        error.rethrow();
    }
    error.message().to_owned()
}
