//! The tables that a call selects: its arguments, checked.

use std::collections::HashSet;

use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::AnyArray;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::tables::Column;
use crate::encoding::from_server_bytes;
use crate::sequences::read::selection::{ArrayArgument, first};

/// The tables that a call selects.
pub(super) struct Chosen {
    schemas: Option<HashSet<String>>,
    tables: Option<HashSet<u32>>,
    exclude: HashSet<u32>,
    /// The tables that the caller has named, with names of the form `schema.table`.
    pub(super) named: Vec<(pg_sys::Oid, String)>,
}

impl Chosen {
    /// Checks the arguments.
    ///
    /// # Errors
    /// 22004 for NULL in an array, 3F000 for a schema that does not exist, 42P01 and 42809 if an
    /// object is not a table, 22023 for a table that one argument selects and another excludes.
    pub(super) fn new(
        schemas: Option<AnyArray>,
        tables: Option<AnyArray>,
        exclude: Option<AnyArray>,
    ) -> SpiResult<Result<Self, Error>> {
        let schemas = ArrayArgument::new(schemas, pg_sys::NAMEARRAYOID);
        let tables = ArrayArgument::new(tables, pg_sys::REGCLASSARRAYOID);
        let exclude = ArrayArgument::new(exclude, pg_sys::REGCLASSARRAYOID);
        if let Err(error) = check(schemas, tables, exclude)? {
            return Ok(Err(error));
        }
        let named = relations(tables)?;
        Ok(Ok(Self {
            schemas: if schemas.is_given() { Some(names(schemas)?) } else { None },
            tables: tables.is_given().then(|| named.iter().map(|(oid, _)| oid.to_u32()).collect()),
            exclude: relations(exclude)?.iter().map(|(oid, _)| oid.to_u32()).collect(),
            named,
        }))
    }

    /// Whether a column's table is selected. Partitions and children are selected with the tables
    /// that they belong to, unless they are named themselves.
    pub(super) fn has(&self, column: &Column) -> bool {
        let with_ancestors = |set: &HashSet<u32>| {
            set.contains(&column.oid.to_u32())
                || column.ancestors.iter().any(|oid| set.contains(&oid.to_u32()))
        };
        let is_named = self.tables.as_ref().is_some_and(|tables| tables.contains(&column.oid.to_u32()));
        self.schemas.as_ref().is_none_or(|schemas| schemas.contains(&column.schema))
            && self.tables.as_ref().is_none_or(with_ancestors)
            && (is_named || !with_ancestors(&self.exclude))
    }

    /// Whether this table itself is excluded.
    pub(super) fn excludes(&self, table: pg_sys::Oid) -> bool {
        self.exclude.contains(&table.to_u32())
    }
}

fn check(
    schemas: ArrayArgument,
    tables: ArrayArgument,
    exclude: ArrayArgument,
) -> SpiResult<Result<(), Error>> {
    for (name, argument) in [("schemas", schemas), ("tables", tables), ("exclude", exclude)] {
        let nulls = "SELECT '\\x'::bytea FROM unnest($1) AS given WHERE given IS NULL";
        if argument.is_given() && first(nulls, &[argument.argument()])?.is_some() {
            let message = format!("{name} must not contain nulls");
            return Ok(Err(Error::new(SqlState::NullValueNotAllowed, message)));
        }
    }
    let missing = "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given \
         WHERE NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = given)";
    if schemas.is_given()
        && let Some(name) = first(missing, &[schemas.argument()])?
    {
        return Ok(Err(Error::new(SqlState::InvalidSchemaName, format!("schema \"{name}\" does not exist"))));
    }
    // A view can have a default that draws from a sequence, so it is reported, and can be excluded.
    let others = "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given \
         WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = given \
                           AND (c.relkind IN ('r', 'p', 'f') OR $2 AND c.relkind IN ('v', 'm')))";
    for (argument, or_view) in [(tables, false), (exclude, true)] {
        if argument.is_given()
            && let Some(name) = first(others, &[argument.argument(), or_view.into()])?
        {
            let message = format!("{} is not a table", in_message(&name));
            return Ok(Err(Error::new(SqlState::WrongObjectType, message)));
        }
    }
    let temporary = "SELECT convert_to(c.relname::text, 'SQL_ASCII') FROM unnest($1) AS given \
         JOIN pg_class c ON c.oid = given WHERE c.relpersistence = 't'";
    if tables.is_given()
        && let Some(name) = first(temporary, &[tables.argument()])?
    {
        let message = format!("\"{name}\" is a temporary table");
        return Ok(Err(Error::new(SqlState::WrongObjectType, message)));
    }
    let excluded =
        "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given WHERE given = ANY ($2)";
    let outside = "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given \
         JOIN pg_class c ON c.oid = given JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname <> ALL ($2)";
    for (other, query, left_out) in
        [(" and in exclude", excluded, exclude), (", but its schema is not in schemas", outside, schemas)]
    {
        if tables.is_given()
            && left_out.is_given()
            && let Some(table) = first(query, &[tables.argument(), left_out.argument()])?
        {
            let message = format!("table {} is both selected and excluded", in_message(&table));
            return Ok(Err(Error::new(SqlState::InvalidParameterValue, message)
                .detail(format!("It is in tables{other}."))));
        }
    }
    Ok(Ok(()))
}

fn names(schemas: ArrayArgument) -> SpiResult<HashSet<String>> {
    let query = "SELECT convert_to(given::text, 'SQL_ASCII') FROM unnest($1) AS given";
    Spi::connect(|client| {
        let rows = client.select(query, None, &[schemas.argument()])?;
        rows.map(|row| Ok(from_server_bytes(row.get::<Vec<u8>>(1)?.unwrap_or_default()))).collect()
    })
}

fn relations(tables: ArrayArgument) -> SpiResult<Vec<(pg_sys::Oid, String)>> {
    let query = "SELECT c.oid, convert_to(format('%I.%I', n.nspname, c.relname), 'SQL_ASCII') \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[]) ORDER BY c.oid";
    if !tables.is_given() {
        return Ok(Vec::new());
    }
    Spi::connect(|client| {
        let rows = client.select(query, None, &[tables.argument()])?;
        rows.map(|row| {
            let oid = row.get(1)?.unwrap_or(pg_sys::InvalidOid);
            Ok((oid, from_server_bytes(row.get::<Vec<u8>>(2)?.unwrap_or_default())))
        })
        .collect()
    })
}
