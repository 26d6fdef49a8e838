//! The texts in the catalogs that may name sequences: sources of functions, triggers, defaults and other
//! expressions.

use std::collections::{BTreeMap, HashSet};
use std::ffi::CString;

use keyspace::sequences::discovery::{Known, Source};
use pgrx::check_for_interrupts;
use pgrx::prelude::*;
use pgrx::spi::{SpiHeapTupleData, SpiResult};

use crate::encoding::from_server;
use crate::server::extension::Extension;

const FUNCTIONS: &str = include_str!("functions.sql");
const TRIGGERS: &str = include_str!("triggers.sql");
const TEXT_DEFAULTS: &str = include_str!("text_defaults.sql");
const DEPENDENTS: &str = include_str!("dependents.sql");
const TEXT_EXPRESSIONS: &str = include_str!("text_expressions.sql");

/// The schema of our functions.
const OWN_SCHEMA: &str = "SELECT convert_to(n.nspname::text, 'SQL_ASCII') \
     FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.oid = $1";

/// How many functions may call each other with the name of a sequence.
const ROUNDS: usize = 3;

/// A function that draws from sequences, or that calls one.
pub(super) struct Function {
    pub(super) oid: pg_sys::Oid,
    pub(super) owner: pg_sys::Oid,
    pub(super) is_trigger: bool,
    pub(super) label: String,
    pub(super) schema: Vec<u8>,
    pub(super) name: Vec<u8>,
    pub(super) source: Source,
}

/// A trigger of such a function, or one that gives arguments to a function in C.
pub(super) struct Trigger {
    pub(super) table: pg_sys::Oid,
    pub(super) function: pg_sys::Oid,
    pub(super) table_owner: pg_sys::Oid,
    pub(super) function_owner: pg_sys::Oid,
    /// Whether it can set columns of a row that is inserted or updated.
    pub(super) sets_columns: bool,
    pub(super) is_instead: bool,
    pub(super) name: String,
    pub(super) arguments: Vec<Vec<u8>>,
    pub(super) schema: Vec<u8>,
    pub(super) table_name: Vec<u8>,
    pub(super) label: String,
}

/// A default that may name a sequence as text.
pub(super) struct TextDefault {
    pub(super) relation: pg_sys::Oid,
    pub(super) attribute: i16,
    pub(super) owner: pg_sys::Oid,
    pub(super) type_oid: Option<pg_sys::Oid>,
    pub(super) schema: Vec<u8>,
    pub(super) label: String,
    pub(super) expression: Vec<u8>,
}

/// A rule, function, policy, constraint or the like that depends on a sequence.
pub(super) struct Dependent {
    pub(super) sequence: pg_sys::Oid,
    pub(super) owner: pg_sys::Oid,
    pub(super) label: String,
    pub(super) expression: Vec<u8>,
}

/// A rule, function, policy, constraint or the like that may name a sequence as text.
pub(super) struct TextExpression {
    pub(super) owner: pg_sys::Oid,
    pub(super) schema: Vec<u8>,
    pub(super) label: String,
    pub(super) expression: Vec<u8>,
}

/// The functions that draw, and those that call one of them with the name of a sequence.
pub(super) fn functions(extension: Extension) -> SpiResult<BTreeMap<u32, Function>> {
    let schema = rows(OWN_SCHEMA, &[extension.oid().into()], |row| bytes(row, 1))?;
    let mut known = Known { open: HashSet::new(), schema: schema.concat() };
    let mut functions: BTreeMap<u32, Function> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let open = functions.values().filter(|function| function.source.is_open);
        let open: Vec<pg_sys::Oid> = open.map(|function| function.oid).collect();
        let read = rows(FUNCTIONS, &[open.into()], |row| function(row, &known))?;
        functions = read.into_iter().map(|function| (function.oid.to_u32(), function)).collect();
        let open = functions.values().filter(|function| function.source.is_open);
        let open: HashSet<Vec<u8>> = open.map(|function| function.name.clone()).collect();
        if open.is_subset(&known.open) {
            break;
        }
        known.open = open;
    }
    Ok(functions)
}

fn function(row: &SpiHeapTupleData<'_>, known: &Known) -> SpiResult<Function> {
    check_for_interrupts!();
    let body = bytes(row, 8)?;
    let is_sql = row.get(4)?.unwrap_or(false);
    Ok(Function {
        oid: oid(row, 1)?,
        owner: oid(row, 2)?,
        is_trigger: row.get(3)?.unwrap_or(false),
        label: format!("function {}", text(&bytes(row, 5)?)),
        schema: bytes(row, 6)?,
        name: bytes(row, 7)?,
        source: if is_sql { Source::of_sql(&body, known) } else { Source::of_other(&body, known) },
    })
}

pub(super) fn triggers(functions: &BTreeMap<u32, Function>) -> SpiResult<Vec<Trigger>> {
    let functions = functions.values().filter(|function| function.is_trigger);
    let functions: Vec<pg_sys::Oid> = functions.map(|function| function.oid).collect();
    rows(TRIGGERS, &[functions.into()], |row| {
        // Each argument ends in a zero byte.
        let arguments = bytes(row, 8)?;
        Ok(Trigger {
            table: oid(row, 1)?,
            function: oid(row, 2)?,
            table_owner: oid(row, 3)?,
            function_owner: oid(row, 4)?,
            sets_columns: row.get(5)?.unwrap_or(false),
            is_instead: row.get(6)?.unwrap_or(false),
            name: text(&bytes(row, 7)?),
            arguments: arguments.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect(),
            schema: bytes(row, 9)?,
            table_name: bytes(row, 10)?,
            label: text(&bytes(row, 11)?),
        })
    })
}

pub(super) fn text_defaults() -> SpiResult<Vec<TextDefault>> {
    rows(TEXT_DEFAULTS, &[], |row| {
        Ok(TextDefault {
            relation: oid(row, 1)?,
            attribute: row.get(2)?.unwrap_or(0),
            owner: oid(row, 3)?,
            type_oid: row.get(4)?,
            schema: bytes(row, 5)?,
            label: text(&bytes(row, 6)?),
            expression: bytes(row, 7)?,
        })
    })
}

pub(super) fn dependents() -> SpiResult<Vec<Dependent>> {
    rows(DEPENDENTS, &[], |row| {
        let (label, expression) = (text(&bytes(row, 3)?), bytes(row, 4)?);
        Ok(Dependent { sequence: oid(row, 1)?, owner: oid(row, 2)?, label, expression })
    })
}

pub(super) fn text_expressions() -> SpiResult<Vec<TextExpression>> {
    rows(TEXT_EXPRESSIONS, &[], |row| {
        let (schema, label) = (bytes(row, 2)?, text(&bytes(row, 3)?));
        Ok(TextExpression { owner: oid(row, 1)?, schema, label, expression: bytes(row, 4)? })
    })
}

/// Runs a query and reads its rows.
pub(super) fn rows<T>(
    query: &str,
    arguments: &[pgrx::datum::DatumWithOid<'_>],
    read: impl Fn(&SpiHeapTupleData<'_>) -> SpiResult<T>,
) -> SpiResult<Vec<T>> {
    Spi::connect(|client| client.select(query, None, arguments)?.map(|row| read(&row)).collect())
}

pub(super) fn oid(row: &SpiHeapTupleData<'_>, at: usize) -> SpiResult<pg_sys::Oid> {
    Ok(row.get(at)?.unwrap_or(pg_sys::InvalidOid))
}

/// Text in the encoding of the database.
pub(super) fn bytes(row: &SpiHeapTupleData<'_>, at: usize) -> SpiResult<Vec<u8>> {
    Ok(row.get(at)?.unwrap_or_default())
}

/// Text of the server in UTF-8.
pub(super) fn text(bytes: &[u8]) -> String {
    CString::new(bytes).map(|text| from_server(&text)).unwrap_or_default()
}
