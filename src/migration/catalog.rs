//! Reads the facts about a migration's tables from the catalogs.

use std::cell::OnceCell;
use std::ffi::CStr;

use keyspace::migration::facts::{Facts, Index, Reference, ReferenceDefault, Table};
use keyspace::migration::member::Member;
use keyspace::migration::old_id::IdKind;
use keyspace::migration::{KeyOptions, Options, Scope, TimeSource, findings, numeric, properties};
use keyspace::sql::{qualified, quoted};
use keyspace::{Error, SqlState};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiResult};

use super::rights::check_is_owner;
use super::zone::Zone;
use super::{expression, time_parents};
use crate::encoding::{decoded, from_server_bytes, json_with_names, to_server};
use crate::sequences::known_class;
use crate::server::as_owner::as_owner;
use crate::server::by_version::cache;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::locks::within;
use crate::server::relation::{relation_name, relation_owner};
use crate::server::settings::{self, with_own_settings};
use crate::server::subtransaction::{attempt, unless_cancelled};
use crate::server::timeout::Timeout;

/// The facts of tables and of everything that refers to their keys.
const FACTS: &str = include_str!("facts.sql");

/// A long query over few rows: JIT compilation takes longer than running it, and so does a plan for
/// the arguments of each call, which PostgreSQL makes at the first five calls of a prepared query.
const LONG_QUERY: [(&CStr, &CStr); 2] = [(c"jit", c"off"), (c"plan_cache_mode", c"force_generic_plan")];

thread_local! {
    /// The plan of this query, once it has run. Planning takes longer than running, and procedures
    /// run it while other sessions wait for their locks. It lives as long as the session.
    static PLAN: OnceCell<&'static OwnedPreparedStatement> = const { OnceCell::new() };
}

fn plan(
    client: &SpiClient<'_>,
    arguments: &[DatumWithOid<'_>],
) -> SpiResult<&'static OwnedPreparedStatement> {
    if let Some(plan) = PLAN.with(|plan| plan.get().copied()) {
        return Ok(plan);
    }
    let types: Vec<PgOid> = arguments.iter().map(|argument| PgOid::from(argument.oid())).collect();
    let new: &'static OwnedPreparedStatement = Box::leak(Box::new(client.prepare(FACTS, &types)?.keep()));
    Ok(PLAN.with(|plan| *plan.get_or_init(|| new)))
}

/// Reads the facts. `references` are columns that refer to a key without a foreign key. `only` limits
/// them to these tables and those with the keys.
pub(super) fn facts(
    extension: Extension,
    keys: &[KeyOptions],
    references: &[Reference],
    only: Option<&[u32]>,
) -> Result<Facts, Failure> {
    let internal_schema = extension.internal_schema()?;
    let roots: Vec<pg_sys::Oid> = keys.iter().map(|key| pg_sys::Oid::from(key.table)).collect();
    let columns: Vec<Option<i16>> = keys.iter().map(|key| key.column).collect();
    let referred: Vec<pg_sys::Oid> = references.iter().map(|one| pg_sys::Oid::from(one.key)).collect();
    let tables: Vec<pg_sys::Oid> = references.iter().map(|one| pg_sys::Oid::from(one.table)).collect();
    let referring: Vec<i16> = references.iter().map(|one| one.column).collect();
    let only: Option<Vec<pg_sys::Oid>> =
        only.map(|tables| tables.iter().map(|table| pg_sys::Oid::from(*table)).collect());
    let read = || {
        Spi::connect(|client| -> SpiResult<Vec<u8>> {
            let arguments: [DatumWithOid<'_>; 8] = [
                roots.into(),
                columns.into(),
                referred.into(),
                tables.into(),
                referring.into(),
                extension.oid().into(),
                internal_schema.into(),
                only.clone().into(),
            ];
            let row = client.select(plan(client, &arguments)?, Some(1), &arguments)?.first();
            Ok(row.get::<Vec<u8>>(1)?.unwrap_or_default())
        })
    };
    let document = in_time(|| Ok(with_own_settings(|| settings::with(&LONG_QUERY, read))?))?;
    let mut facts = Facts::from_json(&json_with_names(&document)?)?;
    facts.time_parents = time_parents::read(keys)?;
    for table in &mut facts.tables {
        let (relation, is_partitioned) = (pg_sys::Oid::from(table.oid), table.is_partitioned());
        for column in &mut table.columns {
            column.has_statistics = has_statistics(relation, column.number, is_partitioned);
        }
    }
    Ok(facts)
}

/// Whether ANALYZE has collected statistics on a column. Not by way of pg_stats, which hides those of
/// columns that the caller may not read. Those of a partitioned table are about all of its partitions.
fn has_statistics(relation: pg_sys::Oid, column: i16, is_partitioned: bool) -> bool {
    // SAFETY: looks for a row in a catalog by OID and number.
    unsafe {
        pg_sys::SearchSysCacheExists(
            cache::STATRELATTINH,
            relation.into(),
            column.into(),
            is_partitioned.into(),
            pg_sys::Datum::null(),
        )
    }
}

/// Reads tables, or catalog data that takes a lock on them (their sizes, and some expressions),
/// with a short lock timeout. A user who may refer to a table can bring their own table into the
/// migration and keep it locked.
///
/// # Errors
/// 55P03 if a table stays locked for longer.
pub(super) fn in_time<T>(read: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let timeout = Timeout::USUAL.or_sooner();
    let refusal = || {
        let message = format!("could not read the tables of the key migration within {}", timeout.text());
        Error::new(SqlState::LockNotAvailable, message)
            .detail("Another transaction holds a lock on one of them, or on a table that refers to them.")
            .hint("Try again after it has ended. The view pg_locks shows which one it is.")
    };
    within(timeout, refusal, read)
}

/// The sequences behind keys that are not of the class of the node, each with its table. Keys without a
/// column, which are refused, have none.
pub(super) fn strays(extension: Extension, keys: &[KeyOptions]) -> Result<Vec<(u32, String)>, Failure> {
    // Without a node, there is no class. To look at all sequences takes long.
    if known_class(extension)?.is_none() {
        return Ok(Vec::new());
    }
    let query = "SELECT k.relation, pg_catalog.convert_to(s.sequence::text, 'SQL_ASCII') \
         FROM unnest($1::oid[], $2::smallint[]) AS k (relation, attribute) \
         JOIN pg_attribute AS a ON a.attrelid = k.relation AND a.attnum = k.attribute \
         JOIN pg_class AS c ON c.oid = k.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace \
         JOIN SCHEMA.interleaved_sequences_status() AS s ON format('%I.%I.%I', n.nspname, c.relname, a.attname) = ANY (s.fed_columns) \
         WHERE NOT s.in_order";
    // The status of sequences, as the caller may see it.
    let query = query.replace("SCHEMA", &extension.internal_schema_name()?);
    let query = to_server(&query);
    let relations: Vec<pg_sys::Oid> = keys.iter().map(|key| pg_sys::Oid::from(key.table)).collect();
    let columns: Vec<Option<i16>> = keys.iter().map(|key| key.column).collect();
    let read = || {
        Spi::connect(|client| -> SpiResult<Vec<(u32, String)>> {
            let rows = client.select(query.as_c_str(), None, &[relations.into(), columns.into()])?;
            rows.map(|row| {
                let table = row.get::<pg_sys::Oid>(1)?.map_or(0, pg_sys::Oid::to_u32);
                Ok((table, from_server_bytes(row.get::<Vec<u8>>(2)?.unwrap_or_default())))
            })
            .collect()
        })
    };
    Ok(with_own_settings(read)?)
}

/// Counts the rows that violate constraints which are not valid, for tables whose owner's rights
/// the caller has.
pub(super) fn count_violations(facts: &mut Facts, options: &Options) {
    let Ok(scope) = Scope::new(facts, options) else { return };
    let of_table = |table: &Table| {
        findings::not_valid(&scope, table).map(|check| (table.oid, check.name.clone())).collect::<Vec<_>>()
    };
    let wanted: Vec<(u32, String)> = scope.tables().into_iter().flat_map(of_table).collect();
    for table in facts.tables.iter_mut().filter(|table| table.is_owner && table.kind == "r") {
        let name = qualified(&table.schema, &table.name);
        let owner = relation_owner(pg_sys::Oid::from(table.oid));
        let of = table.oid;
        for check in table.checks.iter_mut().filter(|check| wanted.contains(&(of, check.name.clone()))) {
            // No alias, because a check may refer to whole rows by the name of the table.
            let query =
                format!("SELECT pg_catalog.count(*) FROM ONLY {name} WHERE ({}) IS FALSE", check.expression);
            let query = to_server(&query);
            let read = || {
                Spi::connect(|client| -> SpiResult<Option<i64>> {
                    client.select(query.as_c_str(), Some(1), &[])?.first().get::<i64>(1)
                })
            };
            // The check can raise an error, and policies can hide rows from the owner, too.
            let counted = unless_cancelled(attempt(|| with_own_settings(|| as_owner(owner, read))));
            check.violations = counted.and_then(Result::ok).flatten();
        }
    }
}

/// The tables whose times the server cannot compute any more, and why. Nothing is evaluated for tables
/// whose owner's rights the caller does not have.
pub(super) fn failed_times(keys: &[KeyOptions]) -> Vec<(u32, String)> {
    let failed = |key: &KeyOptions| {
        let source = key.time.as_ref()?;
        if let Some(zone) = source.zone().filter(|zone| Zone::named(zone).is_none()) {
            return Some((key.table, format!("time zone \"{zone}\" no longer exists")));
        }
        match source {
            TimeSource::Expression { text, .. } => {
                Some((key.table, expression::failure(pg_sys::Oid::from(key.table), text)?))
            }
            _ => None,
        }
    };
    keys.iter().filter_map(failed).collect()
}

/// The least and the greatest old id of each key of integers, with its table. Keys that the caller may not read
/// and tables without rows are left out.
pub(super) fn key_ranges(facts: &Facts, options: &Options) -> Vec<(u32, i64, i64)> {
    let Ok(scope) = Scope::new(facts, options) else { return Vec::new() };
    let columns = scope
        .keys
        .iter()
        .map(|key| &key.column)
        .filter(|column| column.old_id.id_kind() == Some(IdKind::Integer));
    // To read it locks all partitions. It is of use for new ids that nothing generates, and for references that
    // cannot hold all of them.
    let is_of_use = |key: &&Member<'_>| {
        let is_generated = key.old_id.default.is_some() || !key.old_id.identity.is_empty();
        let mut references = scope.members.iter().filter(|member| member.key == key.key);
        !key.table.is_partitioned()
            || !is_generated
            || references.any(|member| member.old_id.type_name != key.old_id.type_name)
    };
    let columns = columns.filter(is_of_use);
    columns.filter_map(|column| key_range(column).map(|range| (column.key, range.0, range.1))).collect()
}

/// An id of each key of type `numeric` that has one which is not an integer of type `bigint`, with its
/// table. Keys that the caller may not read are left out.
pub(super) fn unfit_ids(facts: &Facts, options: &Options) -> Vec<(u32, String)> {
    let Ok(scope) = Scope::new(facts, options) else { return Vec::new() };
    let unfit = |key: &Member<'_>| {
        let query = to_server(&numeric::unfit_id(key)?);
        let id = read_as_owner(key, || {
            Spi::connect(|client| -> SpiResult<Option<String>> {
                let mut rows = client.select(query.as_c_str(), Some(1), &[])?;
                rows.next().map_or(Ok(None), |row| row.get::<String>(1))
            })
        })?;
        Some((key.table.oid, id))
    };
    scope.keys.iter().filter_map(|key| unfit(&key.column)).collect()
}

/// The defaults of references that are the id of a row, each with the other id of that row: the key
/// before the cut-over, and the old id after it.
///
/// # Errors
/// Those of the queries, which run as the owners of the tables with the keys; 55000 if an old id cannot
/// be converted to UTF-8.
pub(super) fn defaults(facts: &Facts, options: &Options) -> Result<Vec<ReferenceDefault>, Failure> {
    // A migration whose columns have been dropped can still be removed.
    let Ok(scope) = Scope::new(facts, options) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    // Partitions have defaults of their own.
    for member in scope.members.iter().chain(&scope.parts).filter(|member| !member.is_key) {
        let key = &scope.key_of(member).column;
        let Some(query) = properties::other_of_default(&scope, member) else { continue };
        let owner = relation_owner(pg_sys::Oid::from(key.table.oid));
        check_is_owner(pg_sys::Oid::from(key.table.oid), owner)?;
        let query = to_server(&query);
        let read = || {
            Spi::connect(|client| -> SpiResult<Option<Vec<u8>>> {
                let mut rows = client.select(query.as_c_str(), Some(1), &[])?;
                rows.next().map_or(Ok(None), |row| row.get::<Vec<u8>>(1))
            })
        };
        if let Some(bytes) = with_own_settings(|| as_owner(owner, read))? {
            let value = decoded(&bytes).map_err(|escaped| {
                let of = relation_name(pg_sys::Oid::from(key.table.oid));
                let message = format!("id \"{escaped}\" of table {of} cannot be converted to UTF-8");
                Error::new(SqlState::ObjectNotInPrerequisiteState, message).hint(format!(
                    "Run ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT, which is this id, and set it again afterwards.",
                    member.table_sql(),
                    quoted(if options.cut_over { &member.shadow_name } else { &member.old_id.name })
                ))
            })?;
            found.push(ReferenceDefault { table: member.table.oid, column: member.old_id.number, value });
        }
    }
    Ok(found)
}

/// Reads the key's index, not the whole table.
fn key_range(key: &Member<'_>) -> Option<(i64, i64)> {
    let column = quoted(&key.old_id.name);
    // An index of each partition that begins with it. Otherwise every row would be read.
    let leads = |index: &Index| index.keys.first().is_some_and(|first| first.column == key.old_id.number);
    if key.table.is_partitioned() && !key.table.indexes.iter().any(|index| index.is_valid && leads(index)) {
        return None;
    }
    let only = if key.table.is_partitioned() { "" } else { "ONLY " };
    let query = format!("SELECT min({column})::bigint, max({column})::bigint FROM {only}{}", key.table_sql());
    let query = to_server(&query);
    read_as_owner(key, || {
        Spi::connect(|client| -> SpiResult<Option<(i64, i64)>> {
            let row = client.select(query.as_c_str(), Some(1), &[])?.first();
            Ok(row.get::<i64>(1)?.zip(row.get::<i64>(2)?))
        })
    })
}

/// Reads the table of a key as its owner; `None` if the caller does not have the owner's rights, or if the
/// query fails.
fn read_as_owner<T>(key: &Member<'_>, read: impl FnOnce() -> SpiResult<Option<T>>) -> Option<T> {
    if !key.table.is_owner {
        return None;
    }
    // A policy of the table may hide rows from its owner, too.
    let owner = relation_owner(pg_sys::Oid::from(key.table.oid));
    unless_cancelled(attempt(|| with_own_settings(|| as_owner(owner, read))))?.ok()?
}
