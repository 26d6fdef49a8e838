//! The argument `feeds`: columns that a sequence feeds through an extension, a trigger or the
//! application, so that the catalog does not connect them with it (trap S28). They are stored in
//! the table `interleaved_feed`.

use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::AnyElement;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::{ServerText, from_server_bytes, from_utf8};
use crate::error::{Report, notify};
use crate::sequences::own::tables;
use crate::server::extension::Extension;
use crate::server::role::owns_database;
use crate::server::settings::with_own_settings;
use crate::server::tables::own_key;

/// One column that a sequence feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    pub(crate) sequence: pg_sys::Oid,
    pub(crate) relation: pg_sys::Oid,
    pub(crate) attribute: i16,
}

/// The argument, read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feeds {
    /// The sequences that it names. For these it replaces what was given before.
    pub(crate) sequences: Vec<pg_sys::Oid>,
    /// Their columns.
    pub(crate) columns: Vec<Feed>,
}

impl Feeds {
    /// These columns, and the stored ones of all other sequences.
    pub(crate) fn with_stored(&self, mut stored: Vec<Feed>) -> Vec<Feed> {
        stored.retain(|feed| !self.sequences.contains(&feed.sequence));
        [self.columns.as_slice(), &stored].concat()
    }
}

/// Reads `{"schema.sequence": ["schema.table.column", ...], ...}`. Names are looked up as the
/// caller would: with the caller's search_path, quoted as in SQL.
///
/// # Errors
/// 22023 if it is not such an object, 42P01, 42703 and 42809 if a name is not that of a sequence
/// and a column.
pub(crate) fn read(feeds: Option<AnyElement>) -> SpiResult<Result<Feeds, Error>> {
    let Some(feeds) = feeds else { return Ok(Ok(Feeds::default())) };
    let mut found = Feeds::default();
    for pair in match pairs(feeds)? {
        Ok(pairs) => pairs,
        Err(error) => return Ok(Err(error)),
    } {
        let sequence = match relation(&pair.sequence, &pair.sequence)? {
            Ok(relation) if relation.kind == "S" => {
                if relation.is_exempt {
                    let what = "it is temporary, or a member of an extension";
                    notify(format!("sequence {} in feeds is ignored: {what}", in_message(&pair.sequence)));
                }
                relation.oid
            }
            Ok(_) => return Ok(Err(wrong_kind(&pair.sequence, "is not a sequence"))),
            Err(error) => return Ok(Err(error)),
        };
        found.sequences.push(sequence);
        if let Some(name) = pair.column {
            match column(sequence, &name)? {
                Ok(feed) => found.columns.push(feed),
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    found.sequences.sort_unstable_by_key(|sequence| sequence.to_u32());
    found.sequences.dedup();
    found.columns.sort_by_key(|feed| (feed.sequence.to_u32(), feed.relation.to_u32(), feed.attribute));
    found.columns.dedup();
    Ok(Ok(found))
}

/// The feeds that were given to earlier set-ups.
pub(crate) fn stored(extension: Extension) -> SpiResult<Vec<Feed>> {
    let query = "SELECT f.sequence, f.relation, f.attribute FROM {} AS f \
                 WHERE f.system_identifier OPERATOR(pg_catalog.=) $1 AND f.database OPERATOR(pg_catalog.=) $2";
    let (system_identifier, database) = own_key();
    let key = [system_identifier.into(), database.into()];
    tables::FEED.select(query, extension, &key, |rows| {
        let mut feeds = Vec::new();
        for row in rows {
            if let (Some(sequence), Some(relation), Some(attribute)) = (row.get(1)?, row.get(2)?, row.get(3)?)
            {
                feeds.push(Feed { sequence, relation, attribute });
            }
        }
        Ok(feeds)
    })
}

/// Stores feeds in the place of those that were given before for the same sequences, if the caller
/// may, so that a check, a reset and later set-ups know them, too. Reports what is taken back, and
/// what cannot be stored.
pub(crate) fn keep(extension: Extension, feeds: &Feeds) -> SpiResult<()> {
    let mut former = stored(extension)?;
    former.retain(|feed| feeds.sequences.contains(&feed.sequence));
    let new: Vec<Feed> = feeds.columns.iter().filter(|feed| !former.contains(feed)).copied().collect();
    let gone: Vec<Feed> = former.into_iter().filter(|feed| !feeds.columns.contains(feed)).collect();
    if new.is_empty() && gone.is_empty() {
        return Ok(());
    }
    if !owns_database() {
        Report::notice("feeds are not stored, and count for this call only")
            .hint("Run the set-up as the owner of the database, or as a superuser, to store them.")
            .report(PgLogLevel::NOTICE);
        return Ok(());
    }
    store(extension, &new)?;
    take_back(extension, &gone)
}

fn store(extension: Extension, feeds: &[Feed]) -> SpiResult<()> {
    if feeds.is_empty() {
        return Ok(());
    }
    let statement = "INSERT INTO {} (system_identifier, database, sequence, relation, attribute) \
         SELECT $1, $2, f.sequence, f.relation, f.attribute \
         FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5)) \
              AS f (sequence, relation, attribute)";
    let (system_identifier, database) = own_key();
    let [sequences, relations, attributes] = columns(feeds);
    let arguments = [system_identifier.into(), database.into(), sequences, relations, attributes];
    tables::FEED.write(statement, extension, &arguments).map(|_| ())
}

/// Deletes stored feeds, and names each of them.
fn take_back(extension: Extension, feeds: &[Feed]) -> SpiResult<()> {
    if feeds.is_empty() {
        return Ok(());
    }
    let condition = "EXISTS \
         (SELECT FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5)) \
                      AS f (sequence, relation, attribute) \
          WHERE r.sequence OPERATOR(pg_catalog.=) f.sequence AND r.relation OPERATOR(pg_catalog.=) f.relation \
            AND r.attribute OPERATOR(pg_catalog.=) f.attribute)";
    tables::FEED.delete(condition, extension, columns(feeds))?;
    for (sequence, column) in with_own_settings(|| names(feeds))? {
        let column = column.unwrap_or_else(|| "a column that is gone".to_owned());
        let message = format!("{column} does not count as fed by sequence {sequence} any more");
        notify(message);
    }
    Ok(())
}

/// The names of sequences and of their columns, of which some may be gone.
fn names(feeds: &[Feed]) -> SpiResult<Vec<(String, Option<String>)>> {
    let query = "SELECT convert_to(f.sequence::regclass::text, 'SQL_ASCII'), \
                        CASE WHEN a.attname IS NOT NULL \
                             THEN convert_to(format('%I.%I.%I', n.nspname, c.relname, a.attname), 'SQL_ASCII') END \
         FROM unnest($1, $2, $3) AS f (sequence, relation, attribute) \
         LEFT JOIN (pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace) \
             ON a.attrelid = f.relation AND a.attnum = f.attribute AND NOT a.attisdropped";
    Spi::connect(|client| {
        client
            .select(query, None, &columns(feeds))?
            .map(|row| {
                let sequence = row.get::<Vec<u8>>(1)?.unwrap_or_default();
                Ok((from_server_bytes(sequence), row.get::<Vec<u8>>(2)?.map(from_server_bytes)))
            })
            .collect()
    })
}

/// Three arrays: the sequences, the relations and the column numbers.
pub(crate) fn columns(feeds: &[Feed]) -> [DatumWithOid<'static>; 3] {
    let sequences: Vec<pg_sys::Oid> = feeds.iter().map(|feed| feed.sequence).collect();
    let relations: Vec<pg_sys::Oid> = feeds.iter().map(|feed| feed.relation).collect();
    let attributes: Vec<i16> = feeds.iter().map(|feed| feed.attribute).collect();
    [sequences.into(), relations.into(), attributes.into()]
}

/// The name of a sequence, and of one of its columns, if it has any.
struct Pair {
    sequence: String,
    column: Option<String>,
}

/// Splits the object in SQL, which knows the encoding of its strings.
fn pairs(feeds: AnyElement) -> SpiResult<Result<Vec<Pair>, Error>> {
    // SAFETY: the function is declared with an argument of type jsonb, which lives as long as the
    // call.
    let argument = || unsafe { DatumWithOid::new(feeds.datum(), pg_sys::JSONBOID) };
    Spi::connect(|client| {
        let kind = "SELECT pg_catalog.jsonb_typeof($1)";
        let kind: Option<String> = client.select(kind, Some(1), &[argument()])?.first().get_one()?;
        if kind.as_deref() != Some("object") {
            return Ok(Err(malformed("It is not a JSON object.")));
        }
        let query = "SELECT pg_catalog.convert_to(e.key, 'UTF8'), pg_catalog.jsonb_typeof(e.value), \
                            pg_catalog.convert_to(c.name OPERATOR(pg_catalog.#>>) '{}', 'UTF8'), \
                            pg_catalog.jsonb_typeof(c.name) \
             FROM pg_catalog.jsonb_each($1) AS e \
             LEFT JOIN LATERAL pg_catalog.jsonb_array_elements( \
                 CASE WHEN pg_catalog.jsonb_typeof(e.value) OPERATOR(pg_catalog.=) 'array' THEN e.value END) AS c (name) ON true";
        let mut pairs = Vec::new();
        for row in client.select(query, None, &[argument()])? {
            let sequence = from_utf8(row.get::<Vec<u8>>(1)?.unwrap_or_default());
            if row.get::<String>(2)?.as_deref() != Some("array") {
                return Ok(Err(malformed(&format!("The value of \"{sequence}\" is not an array."))));
            }
            let column = row.get::<Vec<u8>>(3)?.map(from_utf8);
            match row.get::<String>(4)?.as_deref() {
                None | Some("string") => pairs.push(Pair { sequence, column }),
                Some(kind) => {
                    let detail = format!("The array of \"{sequence}\" contains a {kind}, not a string.");
                    return Ok(Err(malformed(&detail)));
                }
            }
        }
        Ok(Ok(pairs))
    })
}

fn malformed(detail: &str) -> Error {
    Error::new(SqlState::InvalidParameterValue, "feeds must be an object that maps sequences to columns")
        .detail(detail)
        .hint("Write it as {\"schema.sequence\": [\"schema.table.column\"]}, with names quoted as in SQL.")
}

fn wrong_kind(name: &str, what: &str) -> Error {
    Error::new(SqlState::WrongObjectType, format!("{} in feeds {what}", in_message(name)))
}

/// The error for the name of a table in the place of that of a column.
fn without_column(name: &str) -> Error {
    wrong_kind(name, "is a table, not a column")
        .detail("feeds maps sequences to the columns that get their values.")
        .hint(format!("Append the name of the column, as in {}.", in_message(&format!("{name}.id"))))
}

struct Relation {
    oid: pg_sys::Oid,
    kind: String,
    is_temporary: bool,
    /// Whether it is one of the sequences that are left alone.
    is_exempt: bool,
}

/// Looks up a relation, which messages call `shown`. The name is resolved by the caller's
/// search_path, so all other names in the query are qualified.
fn relation(name: &str, shown: &str) -> SpiResult<Result<Relation, Error>> {
    let query = "SELECT c.oid, c.relkind::pg_catalog.text, c.relpersistence OPERATOR(pg_catalog.=) 't', \
                        EXISTS (SELECT FROM pg_catalog.pg_depend d \
                                WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
                                  AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.objsubid OPERATOR(pg_catalog.=) 0 \
                                  AND d.deptype OPERATOR(pg_catalog.=) 'e') \
                 FROM pg_catalog.pg_class c \
                 WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)";
    Spi::connect(|client| {
        let mut rows = client.select(query, Some(1), &[text(name)])?;
        Ok(match rows.next() {
            Some(row) => {
                let is_temporary = row.get(3)?.unwrap_or(false);
                Ok(Relation {
                    oid: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                    kind: row.get(2)?.unwrap_or_default(),
                    is_temporary,
                    is_exempt: is_temporary || row.get(4)?.unwrap_or(false),
                })
            }
            None => Err(Error::new(
                SqlState::UndefinedTable,
                format!("relation \"{shown}\" in feeds does not exist"),
            )),
        })
    })
}

fn column(sequence: pg_sys::Oid, name: &str) -> SpiResult<Result<Feed, Error>> {
    let parts: Vec<String> = Spi::connect(|client| {
        let query = "SELECT pg_catalog.convert_to(part, 'UTF8') FROM pg_catalog.unnest(pg_catalog.parse_ident($1)) AS part";
        client
            .select(query, None, &[text(name)])?
            .map(|row| Ok(from_utf8(row.get::<Vec<u8>>(1)?.unwrap_or_default())))
            .collect::<SpiResult<_>>()
    })?;
    let Some((column, table)) = parts.split_last().filter(|(_, table)| (1..=2).contains(&table.len())) else {
        if parts.len() == 1 && relation(name, name)?.is_ok() {
            return Ok(Err(without_column(name)));
        }
        return Ok(Err(malformed(&format!("\"{name}\" does not name a column of a table."))));
    };
    let quoted: Vec<String> = table.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    let relation = match relation(&quoted.join("."), &table.join("."))? {
        Ok(relation) if ["r", "p", "f"].contains(&relation.kind.as_str()) => {
            if relation.is_temporary {
                let what = "all values in temporary tables come from their sequence";
                notify(format!("column {} in feeds is ignored: {what}", in_message(name)));
            }
            relation.oid
        }
        Ok(_) => return Ok(Err(wrong_kind(&table.join("."), "is not a table"))),
        Err(error) => {
            // Often the column has been forgotten.
            let is_table = |found: &Relation| ["r", "p", "f", "v", "m"].contains(&found.kind.as_str());
            let whole = relation(name, name)?;
            let forgotten = whole.is_ok_and(|found| is_table(&found));
            return Ok(Err(if forgotten { without_column(name) } else { error }));
        }
    };
    let query = "SELECT a.attnum FROM pg_catalog.pg_attribute a \
                 WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attname OPERATOR(pg_catalog.=) $2::pg_catalog.name \
                   AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped";
    let attribute: Option<i16> = Spi::connect(|client| {
        let mut rows = client.select(query, Some(1), &[relation.into(), text(column)])?;
        rows.next().map_or(Ok(None), |row| row.get(1))
    })?;
    Ok(match attribute {
        Some(attribute) => Ok(Feed { sequence, relation, attribute }),
        None => Err(Error::new(
            SqlState::UndefinedColumn,
            format!("column \"{column}\" of relation \"{}\" in feeds does not exist", table.join(".")),
        )),
    })
}

fn text(value: &str) -> DatumWithOid<'static> {
    ServerText(value.to_owned()).into()
}
