//! The comparison of old ids and keys.

use std::collections::HashMap;

use keyspace::migration::Scope;
use keyspace::migration::member::Member;
use keyspace::migration::verify::{self, Check, Kind};
use keyspace::migration::{kept_values, moved_source};
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::catalog::in_time;
use super::changed_since;
use super::derive::Derivation;
use super::key_type::key_type;
use super::marks::Marks;
use super::old_id::shown;
use super::rights::check_may_read;
use super::state::{self, MIGRATION, Migration, TABLE};
use super::verify_references::References;
use crate::encoding::{ServerName, ServerText, from_server_bytes, to_server};
use crate::error::{or_raise, report};
use crate::failpoint;
use crate::server::as_owner::as_owner;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::names::name_argument;
use crate::server::relation::{existing_relation, relation_name, relation_owner};
use crate::server::settings::with_own_settings;

/// The result of a check.
struct Found {
    check: Check,
    rows: i64,
    example: Option<String>,
}

impl Found {
    fn message(&self) -> String {
        format!(
            "{} in column \"{}\" of table {}: {}",
            self.check.kind.description(),
            self.check.column,
            relation_name(pg_sys::Oid::from(self.check.table)),
            self.rows
        )
    }

    /// The error for the rows found.
    fn error(&self) -> Error {
        let mut error = Error::new(SqlState::ObjectNotInPrerequisiteState, self.message());
        error.detail = self.example.as_ref().map(|example| format!("One example is {example}."));
        error
    }

    fn is_ok(&self) -> bool {
        !self.check.must_be_none || self.rows == 0
    }
}

/// Compares all values. Declared in sql/migration/key_migration_verify.sql.
///
/// # Errors
/// 42704 if the table is not being migrated, 55000 if the columns do not exist yet, 42501 if the
/// caller may not read them.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn key_migration_verify(
    migration: Option<pg_sys::Oid>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(table_name, Option<pg_sys::Oid>),
        name!(column_name, Option<ServerName>),
        name!(check_name, Option<&'static str>),
        name!(ok, Option<bool>),
        name!(row_count, Option<i64>),
        name!(example, Option<ServerText>),
    ),
> {
    let relation = or_raise(existing_relation(migration, "migration"));
    let extension = or_raise(Extension::of_call(fcinfo));
    let found = state::migration_of(extension, relation)
        .and_then(|relation| state::existing(extension, relation))
        .and_then(|migration| compare(extension, &migration, None, verify::checks));
    match found {
        Ok(found) => TableIterator::new(found.into_iter().map(|found| {
            let ok = found.is_ok();
            (
                Some(pg_sys::Oid::from(found.check.table)),
                Some(ServerName(found.check.column)),
                Some(found.check.kind.name()),
                Some(ok),
                Some(found.rows),
                found.example.map(ServerText),
            )
        })),
        Err(failure) => failure.raise(),
    }
}

/// Runs checks on all tables, or on some of them and those with keys.
fn compare(
    extension: Extension,
    migration: &Migration,
    only: Option<&[u32]>,
    checks: impl Fn(&Scope<'_>) -> Vec<Check>,
) -> Result<Vec<Found>, Failure> {
    let facts = migration.facts_of(extension, only)?;
    let mut scope = Scope::new(&facts, &migration.options)?;
    if migration.options.cut_over {
        // Columns that refer to the old ids only since the cut-over have no keys to compare (fault
        // C12). Finalize refuses them.
        scope.members.retain(|member| {
            if member.shadow.is_none() {
                report(since_cut_over(migration, member)).report(PgLogLevel::WARNING);
            }
            member.shadow.is_some()
        });
        scope.parts.retain(|part| part.shadow.is_some());
    }
    if let Some(member) = scope.members.iter().find(|member| member.shadow.is_none()) {
        let message =
            format!("the key migration of table {} is not prepared", relation_name(migration.relation));
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail(format!(
                "Column \"{}\" of table {} has no keys to compare yet.",
                member.old_id.name,
                in_message(&member.table_sql())
            ))
            .hint(format!(
                "CALL key_migration_advance({}, through => 'backfilled') first.",
                name_argument(migration.relation)
            ))
            .into());
    }
    for table in scope.tables_and_partitions() {
        check_may_read(pg_sys::Oid::from(table.oid))?;
    }
    let key_type = key_type(scope.options.target, extension);
    let mut references: HashMap<(u32, i16), References> = HashMap::new();
    let mut compare = |check: Check| -> Result<Found, Failure> {
        let of = (check.table, check.old_id);
        let member = scope.member(check.table, check.old_id);
        let Some(query) = &check.query else {
            let found = match (references.get(&of), member) {
                (Some(found), _) => found.clone(),
                (None, Some(member)) => {
                    let found = References::compare(&scope, member, key_type)?;
                    references.entry(of).or_insert(found).clone()
                }
                (None, None) => References::default(),
            };
            let rows = if check.kind == Kind::Orphans { found.orphans } else { found.other_keys };
            return Ok(Found { check, rows: rows.count, example: rows.example });
        };
        // Not a query, if the time is not a matter of the row alone.
        if check.kind == Kind::RowsChangedSince
            && let Some(member) = member
            && let key = scope.key_of(member)
            && key.time.needs_library()
        {
            let derivation = Derivation::new(scope.options.target, &key.options.salt);
            let owner = relation_owner(pg_sys::Oid::from(check.table));
            let (rows, least) = as_owner(owner, || changed_since::rows(key, member, &derivation, key_type))?;
            return Ok(Found { check, rows, example: least.as_ref().map(shown) });
        }
        // An example can be a text that is no UTF-8.
        let query = to_server(&format!(
            "SELECT c.count, pg_catalog.convert_to(c.example, 'SQL_ASCII') FROM ({query}) AS c (count, example)"
        ));
        let found = as_owner(relation_owner(pg_sys::Oid::from(check.table)), || {
            Spi::connect(|client| -> SpiResult<_> {
                let row = client.select(query.as_c_str(), Some(1), &[])?.first();
                Ok((row.get::<i64>(1)?.unwrap_or(0), row.get::<Vec<u8>>(2)?.map(from_server_bytes)))
            })
        });
        let (rows, example) = found?;
        Ok(Found { check, rows, example })
    };
    in_time(|| with_own_settings(|| checks(&scope).into_iter().map(&mut compare).collect()))
}

/// What to say of a column that refers to old ids and has no keys.
fn since_cut_over(migration: &Migration, member: &Member<'_>) -> Error {
    let name = name_argument(migration.relation);
    let message = format!(
        "column \"{}\" of table {} refers to old ids since the cut-over, and is not compared",
        member.old_id.name,
        in_message(&member.table_sql())
    );
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("It has no keys, and prevents the migration from being finalized.")
        .hint(format!(
            "Drop its foreign key, and add a column that refers to the key. Or CALL key_migration_rollback({name}), run the statements of key_migration_statements({name}), which then include it, and cut over again."
        ))
}

/// A statement that shows all findings, for a hint.
fn shows_all(migration: &Migration) -> String {
    format!(
        "Run SELECT * FROM key_migration_verify({}) to see all findings.",
        name_argument(migration.relation)
    )
}

/// Compares once more before old ids are dropped. After that, nothing shows any more to which row a
/// reference belongs.
///
/// # Errors
/// 55000 if the old id and the key of a row refer to different rows, or if a row would lose an old
/// id and has no key.
pub(super) fn check_end(
    extension: Extension,
    migration: &Migration,
    keep_old_ids: bool,
) -> Result<(), Failure> {
    let found = compare(extension, migration, None, verify::checks)?;
    if let Some(wrong) = found.iter().find(|found| found.rows > 0 && found.check.kind.prevents_finalize()) {
        return Err(wrong
            .error()
            .hint(format!(
                "{} Set each key to that of the intended row, and try again.",
                shows_all(migration)
            ))
            .into());
    }
    if keep_old_ids {
        return Ok(());
    }
    match compare(extension, migration, None, verify::losses)?.iter().find(|found| !found.is_ok()) {
        Some(lost) => Err(lost
            .error()
            .hint(if lost.check.needs_old_id {
                "These old ids would be lost. Keep them with keep_old_ids => true, or delete these rows first."
            } else {
                "These old ids would be lost. Keep them with keep_old_ids => true, or set them to NULL first."
            })
            .into()),
        None => Ok(()),
    }
}

/// Why a table cannot return to its old ids after a cut-over, if rows have keys that the old column
/// cannot hold, or will have them.
pub(super) fn unfit_for_old_ids(
    extension: Extension,
    migration: &Migration,
    table: u32,
) -> Result<Option<Error>, Failure> {
    let found = compare(extension, migration, Some(&[table]), |scope| kept_values::unfit_rows(scope, table))?;
    let facts = migration.facts(extension)?;
    let scope = Scope::new(&facts, &migration.options)?;
    let refused = |message: String, of: u32, old_id: i16| {
        let detail = scope.member(of, old_id).map_or_else(String::new, |member| {
            let (name, declared) = (&member.old_id.name, &member.old_id.declared_type);
            format!("The old ids, in column \"{name}\", are of type {declared}.")
        });
        Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(detail)
    };
    if let Some(found) = found.iter().find(|found| found.rows > 0) {
        let (rows, have) = if found.rows == 1 { ("row", "has") } else { ("rows", "have") };
        let message = format!(
            "{} {rows} of table {} {have} a value in column \"{}\" that the old ids cannot hold",
            found.rows,
            relation_name(pg_sys::Oid::from(found.check.table)),
            found.check.column
        );
        let mut error = refused(message, found.check.table, found.check.old_id)
            .hint("Delete these rows, or give them other values, and try again. Or finalize the migration.");
        if let Some(example) = &found.example {
            let detail = error.detail.take().unwrap_or_default();
            error = error.detail(format!("The least of these values is {example}. {detail}"));
        }
        return Ok(Some(error));
    }
    for member in scope.members_of(table) {
        for (sequence, query) in moved_source::positions(member) {
            let query = to_server(&query);
            let position = as_owner(relation_owner(pg_sys::Oid::from(table)), || {
                Spi::connect(|client| -> SpiResult<Option<i64>> {
                    let mut rows = client.select(query.as_c_str(), Some(1), &[])?;
                    rows.next().map_or(Ok(None), |row| row.get::<i64>(1))
                })
            })?;
            if let Some(position) = position {
                let message = format!("sequence {sequence} is at {position}, which the old ids cannot hold");
                let error = refused(message, table, member.old_id.number);
                return Ok(Some(
                    error.hint("Set the sequence back to a value that no row has, and try again."),
                ));
            }
        }
    }
    Ok(None)
}

/// A comparison under way, which takes one table after the other, each in a transaction of its own. So
/// it holds the locks of one partition at a time, and one that has been compared can be changed again.
///
/// What is written after its table has been compared is written under the triggers of the migration, or
/// marks the table, as after the end of the comparison. So are rows that move to another partition.
pub(super) struct Comparison {
    /// Those that existed before the first value was read.
    marks: Marks,
    /// The tables that are left, the next one last.
    left: Vec<u32>,
    /// Tables with rows without a key.
    lacking: Vec<pg_sys::Oid>,
    wrong: Option<Error>,
    notices: Vec<String>,
}

/// The state of a comparison.
pub(super) enum Compared {
    /// More tables are left.
    More,
    Equal,
    /// Some values do not match. The backfill may have to return to these tables.
    Different(Vec<pg_sys::Oid>, Error),
}

impl Comparison {
    /// Begins to compare all values.
    ///
    /// # Errors
    /// Those of SPI itself, and those of the facts.
    pub(super) fn new(extension: Extension, migration: &Migration) -> Result<Self, Failure> {
        // Before the values are read.
        let marks = Marks::read(extension, migration.relation)?;
        let facts = migration.facts(extension)?;
        let scope = Scope::new(&facts, &migration.options)?;
        let tables = scope.tables().into_iter().flat_map(|table| scope.with_rows(table));
        let mut left: Vec<u32> = tables.map(|table| table.oid).collect();
        left.reverse();
        Ok(Self { marks, left, lacking: Vec::new(), wrong: None, notices: Vec::new() })
    }

    /// Compares the values of the next table, and stores that those of all match after the last one.
    ///
    /// # Errors
    /// Those of SPI itself, and 42501 if the caller may not read a table.
    pub(super) fn next(&mut self, extension: Extension, migration: &Migration) -> Result<Compared, Failure> {
        if let Some(table) = self.left.last().copied() {
            failpoint::point(|| format!("compares: {}", relation_name(pg_sys::Oid::from(table))));
            // If it is interrupted, the tables that have been compared again are no proof for the others.
            state::discard_comparison(extension, migration.relation)?;
            let of_table = |scope: &Scope<'_>| {
                let checks = verify::checks(scope).into_iter();
                checks.filter(|check| check.table == table).collect()
            };
            let found = compare(extension, migration, Some(&[table]), of_table)?;
            self.add(extension, migration, table, &found)?;
            self.left.pop();
        }
        if !self.left.is_empty() {
            return Ok(Compared::More);
        }
        if let Some(error) = self.wrong.take() {
            let error = error.hint(format!(
                "{} Correct the rows, and try again. If you set a key to NULL, it is computed again.",
                shows_all(migration)
            ));
            return Ok(Compared::Different(std::mem::take(&mut self.lacking), error));
        }
        for text in self.notices.drain(..) {
            notice!("{text}");
        }
        let statement = "UPDATE {} SET verified_at = clock_timestamp() WHERE {own} AND relation = $3";
        state::write(statement, MIGRATION, extension, migration.relation, [])?;
        self.marks.remove(extension, migration.relation)?;
        failpoint::point(|| "verified: stored".to_owned());
        Ok(Compared::Equal)
    }

    /// Adds the result of a table.
    fn add(
        &mut self,
        extension: Extension,
        migration: &Migration,
        table: u32,
        found: &[Found],
    ) -> SpiResult<()> {
        // It has been dropped or detached meanwhile.
        if found.is_empty() {
            return Ok(());
        }
        for found in found {
            if !found.is_ok() {
                self.wrong.get_or_insert_with(|| found.error());
            } else if !found.check.must_be_none && found.rows > 0 && found.check.kind.is_notable() {
                self.notices.push(found.message());
            }
        }
        let mut wrong = found.iter().filter(|found| !found.is_ok()).peekable();
        if wrong.peek().is_some() {
            if wrong.any(|found| found.check.kind.may_lack_keys()) {
                self.lacking.push(pg_sys::Oid::from(table));
            }
            return Ok(());
        }
        // The comparison has locked the table, so it is not written to another file before the commit.
        let file = "UPDATE {} SET verified_file = pg_relation_filenode(relation) \
                    WHERE {own} AND migration = $3 AND relation = $4";
        state::write(file, TABLE, extension, migration.relation, [pg_sys::Oid::from(table).into()])?;
        Ok(())
    }
}
