//! What the catalogs tell of sequences and of the columns that they feed.

use std::ffi::CStr;

use keyspace::sequences::FedColumn;
use keyspace::{Error, SqlState};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiHeapTupleData, SpiResult};

use super::settings;

/// Settings under which our own queries run: no object of the caller's can take the place of
/// PostgreSQL's, and a policy raises an error instead of hiding rows (trap S05).
const OWN_QUERIES: &[(&CStr, &CStr)] = &[(c"search_path", c"pg_catalog, pg_temp"), (c"row_security", c"off")];

/// Runs `read` with the settings for our own queries.
pub(super) fn with_own_settings<T>(read: impl FnOnce() -> T) -> T {
    settings::with(OWN_QUERIES, read)
}

/// An array that a caller passed, handed on to a query as it is.
#[derive(Clone, Copy)]
pub(super) struct ArrayArgument {
    datum: Option<pg_sys::Datum>,
    type_oid: pg_sys::Oid,
}

impl ArrayArgument {
    pub(super) fn new(array: Option<pgrx::AnyArray>, type_oid: pg_sys::Oid) -> Self {
        Self { datum: array.map(|array| array.datum()), type_oid }
    }

    pub(super) fn is_given(self) -> bool {
        self.datum.is_some()
    }

    fn argument(self) -> DatumWithOid<'static> {
        match self.datum {
            // SAFETY: the function is declared with this argument type, and the datum lives as long as the call.
            Some(datum) => unsafe { DatumWithOid::new(datum, self.type_oid) },
            None => DatumWithOid::null_oid(self.type_oid),
        }
    }
}

/// Which sequences a set-up is about.
#[derive(Clone, Copy)]
pub(super) struct Selection {
    /// `name[]`: only those of these schemas.
    pub(super) schemas: ArrayArgument,
    /// `regclass[]`: only these.
    pub(super) sequences: ArrayArgument,
    /// `regclass[]`: not these.
    pub(super) exclude: ArrayArgument,
}

/// A column that a sequence feeds, and how to read it.
pub(super) struct Column {
    /// `schema.table.column`, quoted where needed.
    pub(super) name: String,
    /// `schema.table`, quoted where needed.
    relation: String,
    /// The column's name, quoted where needed.
    column: String,
    /// The base type, where its values compare with the sequence's.
    kind: Option<ColumnType>,
    /// Whether a btree index leads with the column.
    indexed: bool,
    /// Why the caller cannot see every value.
    hidden: Option<Hidden>,
}

/// What keeps a caller from seeing every value of a column.
#[derive(Clone, Copy)]
enum Hidden {
    /// No privilege to read it.
    Permission,
    /// Row-level security.
    Rows,
}

/// The types whose values compare with those of a sequence.
#[derive(Clone, Copy)]
enum ColumnType {
    Smallint,
    Integer,
    Bigint,
    Numeric,
}

/// A sequence as the catalogs have it.
pub(super) struct Entry {
    pub(super) oid: pg_sys::Oid,
    /// `schema.sequence`, quoted where needed.
    pub(super) name: String,
    /// Whether the caller may alter it.
    pub(super) is_owner: bool,
    /// Why it is left alone whatever its state: temporary, a member of an extension, or unlogged on a standby.
    pub(super) exempt: Option<&'static str>,
    pub(super) unlogged: bool,
    pub(super) columns: Vec<Column>,
}

impl Column {
    /// Why its greatest value cannot be known, where that is so and the column would be read.
    pub(super) fn refusal(&self) -> Option<Error> {
        let hint = "Run the set-up as a role that may read it, or exclude the sequence.";
        let message = match (self.kind, self.hidden) {
            (None, _) | (_, None) => return None,
            (_, Some(Hidden::Permission)) => format!("permission denied for column \"{}\"", self.name),
            (_, Some(Hidden::Rows)) => format!("row-level security hides rows of column \"{}\"", self.name),
        };
        let error = Error::new(SqlState::InsufficientPrivilege, message);
        Some(error.detail("A sequence restarts above every value of the columns that it feeds.").hint(hint))
    }

    /// The facts of the column, with the furthest value found in it.
    pub(super) fn facts(&self, extreme: Option<i64>) -> FedColumn {
        let range = match self.kind {
            Some(ColumnType::Smallint) => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
            Some(ColumnType::Integer) => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
            Some(ColumnType::Bigint | ColumnType::Numeric) | None => None,
        };
        FedColumn { name: self.name.clone(), range, comparable: self.kind.is_some(), extreme }
    }

    /// The furthest value in the column in the direction of `ascending`, by a scan where there is no index.
    pub(super) fn extreme(&self, ascending: bool) -> SpiResult<Option<i64>> {
        self.read_extreme(ascending, None)
    }

    /// The furthest value beyond `known`, where an index makes that quick; `known` otherwise.
    pub(super) fn extreme_beyond(&self, ascending: bool, known: Option<i64>) -> SpiResult<Option<i64>> {
        if !self.indexed {
            return Ok(known);
        }
        Ok(self.read_extreme(ascending, known)?.or(known))
    }

    fn read_extreme(&self, ascending: bool, known: Option<i64>) -> SpiResult<Option<i64>> {
        // What is hidden is refused later, with every other reason.
        let (Some(kind), None) = (self.kind, self.hidden) else { return Ok(None) };
        let (aggregate, beyond) = if ascending { ("max", ">") } else { ("min", "<") };
        let (relation, column) = (&self.relation, &self.column);
        let mut conditions = Vec::new();
        let value = if matches!(kind, ColumnType::Numeric) {
            // What a bigint cannot hold did not come from a sequence.
            conditions.push(format!("{column} BETWEEN {} AND {}", i64::MIN, i64::MAX));
            format!("trunc({aggregate}({column}))::bigint")
        } else {
            format!("{aggregate}({column})::bigint")
        };
        if let Some(known) = known {
            conditions.push(format!("{column} {beyond} '{known}'::bigint"));
        }
        let filter = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let query = format!("SELECT {value} FROM {relation}{filter}");
        Spi::connect(|client| client.select(&query, Some(1), &[])?.first().get_one::<i64>())
    }
}

/// The sequences of a selection with every column that they feed, ordered by OID: owned, identity,
/// and any default that names the sequence, whatever the names are (traps S27, S28, S29).
pub(super) fn entries(selection: Selection) -> SpiResult<Result<Vec<Entry>, Error>> {
    Spi::connect(|client| {
        let arguments =
            [selection.schemas.argument(), selection.sequences.argument(), selection.exclude.argument()];
        let mut entries: Vec<Entry> = Vec::new();
        for row in client.select(include_str!("fed_columns.sql"), None, &arguments)? {
            // Names are handled as UTF-8, and only ASCII is that in every encoding.
            if row.get::<bool>(12)? != Some(true) {
                return Ok(Err(encoding()));
            }
            let oid = row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid);
            if entries.last().is_none_or(|entry| entry.oid != oid) {
                entries.push(entry(&row, oid)?);
            }
            if let (Some(entry), Some(name)) = (entries.last_mut(), row.get::<String>(6)?) {
                entry.columns.push(Column {
                    name,
                    relation: row.get(7)?.unwrap_or_default(),
                    column: row.get(8)?.unwrap_or_default(),
                    kind: column_type(row.get(9)?),
                    indexed: row.get(10)?.unwrap_or(false),
                    hidden: match row.get::<String>(11)?.as_deref() {
                        Some("permission") => Some(Hidden::Permission),
                        Some("rows") => Some(Hidden::Rows),
                        _ => None,
                    },
                });
            }
        }
        Ok(Ok(entries))
    })
}

fn encoding() -> Error {
    Error::new(
        SqlState::FeatureNotSupported,
        "cannot set up sequences whose names are not ASCII in a database that is not UTF8",
    )
    .detail("A sequence, or a column that it feeds, or their schema or table has such a name.")
    .hint("Rename it, or leave the sequence out by schemas, sequences or exclude.")
}

fn entry(row: &SpiHeapTupleData<'_>, oid: pg_sys::Oid) -> SpiResult<Entry> {
    let exempt = match row.get::<String>(5)?.as_deref() {
        Some("temporary") => Some("temporary"),
        Some("extension") => Some("belongs to an extension"),
        Some("unlogged") => Some("unlogged, so not on a standby"),
        _ => None,
    };
    Ok(Entry {
        oid,
        name: row.get(2)?.unwrap_or_default(),
        is_owner: row.get(3)?.unwrap_or(false),
        unlogged: row.get(4)?.unwrap_or(false),
        exempt,
        columns: Vec::new(),
    })
}

fn column_type(base: Option<pg_sys::Oid>) -> Option<ColumnType> {
    match base? {
        pg_sys::INT2OID => Some(ColumnType::Smallint),
        pg_sys::INT4OID => Some(ColumnType::Integer),
        pg_sys::INT8OID => Some(ColumnType::Bigint),
        pg_sys::NUMERICOID => Some(ColumnType::Numeric),
        _ => None,
    }
}

/// Checks what a caller selected: schemas that exist, and relations that are sequences.
pub(super) fn check_selection(selection: Selection) -> SpiResult<Result<(), Error>> {
    Spi::connect(|client| {
        let first = |query: &str, argument: ArrayArgument| -> SpiResult<Option<String>> {
            let mut rows = client.select(query, Some(1), &[argument.argument()])?;
            rows.next().map(|row| row.get(1)).transpose().map(Option::flatten)
        };
        let nulls = "SELECT 'null' FROM unnest($1) AS given WHERE given IS NULL";
        for (name, argument) in [
            ("schemas", selection.schemas),
            ("sequences", selection.sequences),
            ("exclude", selection.exclude),
        ] {
            if argument.is_given() && first(nulls, argument)?.is_some() {
                return Ok(Err(Error::new(
                    SqlState::NullValueNotAllowed,
                    format!("{name} must not contain nulls"),
                )));
            }
        }
        let missing = "SELECT given::text FROM unnest($1) AS given \
             WHERE NOT EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = given)";
        if selection.schemas.is_given()
            && let Some(name) = first(missing, selection.schemas)?
        {
            return Ok(Err(Error::new(
                SqlState::InvalidSchemaName,
                format!("schema \"{name}\" does not exist"),
            )));
        }
        let others = "SELECT given::text FROM unnest($1) AS given \
             WHERE NOT EXISTS (SELECT FROM pg_sequence s WHERE s.seqrelid = given)";
        for argument in [selection.sequences, selection.exclude] {
            if argument.is_given()
                && let Some(name) = first(others, argument)?
            {
                return Ok(Err(Error::new(
                    SqlState::WrongObjectType,
                    format!("\"{name}\" is not a sequence"),
                )));
            }
        }
        Ok(Ok(()))
    })
}

/// The name of a relation for a message, in quotation marks.
pub(super) fn relation_name(relation: pg_sys::Oid) -> String {
    // SAFETY: looks the OID up in the cache; the result is a copy in the current memory context, or null.
    let name = unsafe { pg_sys::get_rel_name(relation) };
    if name.is_null() {
        return format!("with OID {}", relation.to_u32());
    }
    // SAFETY: not null, and NUL-terminated as every name is.
    let name = unsafe { CStr::from_ptr(name) };
    format!("\"{}\"", name.to_string_lossy())
}
