//! What is stored of a migration: what its owner has said, and how far the backfill has come.

use std::ffi::CString;
use std::time::{Duration, Instant};

use keyspace::migration::facts::Reference;
use keyspace::migration::plan::{self, Plan};
use keyspace::migration::{Facts, KeyOptions, Options, Target};
use keyspace::{Error, SqlState};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiHeapTupleData, SpiResult, SpiTupleTable};

use super::catalog;
use crate::encoding::from_utf8;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::prepared::Prepared;
use crate::server::role::owns_database;
use crate::server::tables::{self, Table};

/// The migrations.
pub(super) const MIGRATION: Table = Table::new(c"key_migration");
/// Their keys.
pub(super) const KEY: Table = Table::new(c"key_migration_key");
/// Their columns.
pub(super) const COLUMN: Table = Table::new(c"key_migration_column");
/// How far the backfill of their tables has come.
pub(super) const TABLE: Table = Table::new(c"key_migration_table");
/// What they have done.
pub(super) const STEP: Table = Table::new(c"key_migration_step");

/// The condition on a row of this database and a migration, whose OID is `$3`.
pub(super) const OWN: &str =
    "system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2";

/// A migration.
pub(super) struct Migration {
    pub(super) relation: pg_sys::Oid,
    pub(super) options: Options,
    /// The columns that have been found, or named by the owner.
    pub(super) references: Vec<Reference>,
    pub(super) pace: Pace,
    pub(super) is_finalized: bool,
    /// Whether there was a cut-over, one that was taken back, too.
    pub(super) was_cut_over: bool,
}

/// How a migration goes on, which can be changed at any time.
pub(super) struct Pace {
    pub(super) batch_pages: i64,
    pub(super) pause: Duration,
    /// In milliseconds.
    lock_timeout: i64,
    pub(super) retries: u32,
    pub(super) is_paused: bool,
}

impl Pace {
    /// The columns of the table of migrations that tell it.
    const COLUMNS: &str = "m.batch_pages::bigint, (extract(epoch FROM m.pause) * 1000)::bigint, \
                           (extract(epoch FROM m.lock_timeout) * 1000)::bigint, m.retries, m.paused";

    /// Reads it from the columns after some others.
    fn read(row: &SpiHeapTupleData<'_>, after: usize) -> SpiResult<Self> {
        let number = |at: usize| -> SpiResult<i64> { Ok(row.get::<i64>(after + at)?.unwrap_or(0)) };
        Ok(Self {
            batch_pages: number(1)?.max(1),
            pause: Duration::from_millis(u64::try_from(number(2)?).unwrap_or(0)),
            lock_timeout: number(3)?,
            retries: row.get::<i32>(after + 4)?.and_then(|retries| u32::try_from(retries).ok()).unwrap_or(0),
            is_paused: row.get(after + 5)?.unwrap_or(false),
        })
    }

    /// How a migration goes on now; `None` where it is gone.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(super) fn current(
        prepared: &mut Prepared,
        extension: Extension,
        relation: pg_sys::Oid,
    ) -> SpiResult<Option<Self>> {
        let text = format!(
            "SELECT {} FROM {{}} AS m WHERE {{own}} AND m.relation OPERATOR(pg_catalog.=) $3",
            Self::COLUMNS
        );
        prepared.select(&own(&text), MIGRATION, extension, &arguments(relation, []), |mut rows| {
            rows.next().map(|row| Self::read(&row, 0)).transpose()
        })
    }

    /// The same, for one wait of a batch, which holds rows meanwhile: it ends before PostgreSQL would look for a deadlock, in
    /// which whoever waits for those rows may be the victim (trap S19).
    pub(super) fn unnoticed_timeout(&self) -> CString {
        // SAFETY: a plain integer of this backend, in milliseconds.
        let unnoticed = i64::from(unsafe { pg_sys::DeadlockTimeout } / 2).max(1);
        CString::new(format!("{}ms", self.lock_timeout.min(unnoticed))).unwrap_or_default()
    }

    /// Whether a lock has been waited for as long as it may be.
    pub(super) fn is_over(&self, since: Instant) -> bool {
        since.elapsed() >= Duration::from_millis(u64::try_from(self.lock_timeout).unwrap_or(0))
    }

    /// How long a lock is waited for, for the setting.
    pub(super) fn timeout(&self) -> CString {
        CString::new(format!("{}ms", self.lock_timeout)).unwrap_or_default()
    }
}

/// Refuses a caller who may not keep the state of migrations.
///
/// # Errors
/// 42501 for others than the owner of the database.
pub(super) fn check_may_write() -> Result<(), Error> {
    if !owns_database() {
        let message = "permission denied to migrate keys in this database";
        return Err(Error::new(SqlState::InsufficientPrivilege, message)
            .hint("Run the migration as the owner of the database, or as a superuser."));
    }
    Ok(())
}

/// The arguments of a statement about one migration: `$1` and `$2` are this database, `$3` is the migration.
pub(super) fn arguments<'a, const N: usize>(
    relation: pg_sys::Oid,
    others: [DatumWithOid<'a>; N],
) -> Vec<DatumWithOid<'a>> {
    let (system_identifier, database) = tables::own_key();
    let mut all: Vec<DatumWithOid<'a>> = vec![system_identifier.into(), database.into(), relation.into()];
    all.extend(others);
    all
}

/// A statement in which `{own}` is the condition on this database.
pub(super) fn own(text: &str) -> String {
    text.replace("{own}", OWN)
}

/// Reads of one migration: `{}` is the table, `{own}` the condition on this database.
pub(super) fn select<T>(
    text: &str,
    table: Table,
    extension: Extension,
    arguments: &[DatumWithOid<'_>],
    read: impl FnOnce(SpiTupleTable<'_>) -> SpiResult<T>,
) -> SpiResult<T> {
    table.select(&own(text), extension, arguments, read)
}

/// Runs a statement about one migration.
pub(super) fn write<const N: usize>(
    text: &str,
    table: Table,
    extension: Extension,
    relation: pg_sys::Oid,
    others: [DatumWithOid<'_>; N],
) -> SpiResult<usize> {
    table.write(&own(text), extension, &arguments(relation, others))
}

/// Removes everything that is stored of a migration but what it has done. One table after the other: the foreign keys
/// between them cascade in no session that is a replica.
pub(super) fn remove(extension: Extension, relation: pg_sys::Oid) -> SpiResult<()> {
    for table in [TABLE, COLUMN, KEY] {
        let statement = "DELETE FROM {} WHERE {own} AND migration OPERATOR(pg_catalog.=) $3";
        write(statement, table, extension, relation, [])?;
    }
    write(
        "DELETE FROM {} WHERE {own} AND relation OPERATOR(pg_catalog.=) $3",
        MIGRATION,
        extension,
        relation,
        [],
    )?;
    Ok(())
}

/// Removes what is stored of migrations whose tables were dropped.
pub(super) fn remove_dropped(extension: Extension) -> SpiResult<()> {
    let dropped = "SELECT m.relation FROM {} AS m WHERE {own} \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) m.relation)";
    let (system_identifier, database) = tables::own_key();
    let own_key = [system_identifier.into(), database.into()];
    let dropped = select(dropped, MIGRATION, extension, &own_key, |rows| {
        rows.map(|row| row.get::<pg_sys::Oid>(1)).collect::<SpiResult<Vec<_>>>()
    })?;
    dropped.into_iter().flatten().try_for_each(|relation| remove(extension, relation))
}

/// The rows of a table are to be filled once more, and what was compared was not all.
pub(super) fn begin_again(extension: Extension, migration: pg_sys::Oid, table: pg_sys::Oid) -> SpiResult<()> {
    write(
        "UPDATE {} SET verified_at = NULL WHERE {own} AND relation OPERATOR(pg_catalog.=) $3",
        MIGRATION,
        extension,
        migration,
        [],
    )?;
    write(
        "DELETE FROM {} WHERE {own} AND migration OPERATOR(pg_catalog.=) $3 AND relation OPERATOR(pg_catalog.=) $4",
        TABLE,
        extension,
        migration,
        [table.into()],
    )?;
    Ok(())
}

/// The migration of a table, where there is one.
pub(super) fn load(extension: Extension, relation: pg_sys::Oid) -> Result<Option<Migration>, Failure> {
    read(extension, relation)
}

/// The table that a migration goes by: of one that has a key in it, or of the view that a cut-over has put in the
/// place of such a table. Any other relation is itself.
pub(super) fn migration_of(extension: Extension, relation: pg_sys::Oid) -> Result<pg_sys::Oid, Failure> {
    // SAFETY: looks up a catalog by OID.
    let is_view = unsafe { pg_sys::get_rel_relkind(relation) } == pg_sys::RELKIND_VIEW as std::ffi::c_char;
    let (query, table) = if is_view {
        (
            "SELECT t.migration FROM {} AS t JOIN pg_class AS c ON c.oid = t.relation \
             JOIN pg_class AS v ON v.relnamespace = c.relnamespace AND v.relname = t.view_name \
             WHERE {own} AND v.oid = $3",
            TABLE,
        )
    } else {
        ("SELECT k.migration FROM {} AS k WHERE {own} AND k.relation = $3", KEY)
    };
    let found = select(query, table, extension, &arguments(relation, []), |mut rows| {
        rows.next().map_or(Ok(None), |row| row.get::<pg_sys::Oid>(1))
    })?;
    Ok(found.unwrap_or(relation))
}

fn read(extension: Extension, relation: pg_sys::Oid) -> Result<Option<Migration>, Failure> {
    let query = format!(
        "SELECT m.target, pg_catalog.convert_to(m.new_suffix, 'UTF8'), pg_catalog.convert_to(m.old_suffix, 'UTF8'), \
                m.fire_triggers, m.verified_at IS NOT NULL, m.cut_over_at IS NOT NULL, m.finalized_at IS NOT NULL, \
                m.was_cut_over, {} \
         FROM {{}} AS m WHERE {{own}} AND m.relation OPERATOR(pg_catalog.=) $3",
        Pace::COLUMNS
    );
    let found = select(&query, MIGRATION, extension, &arguments(relation, []), |mut rows| {
        let Some(row) = rows.next() else { return Ok(None) };
        let text =
            |at: usize| -> SpiResult<String> { Ok(from_utf8(row.get::<Vec<u8>>(at)?.unwrap_or_default())) };
        let target = row.get::<String>(1)?.unwrap_or_default();
        let options = Options {
            target: if target == "ulid" { Target::Ulid } else { Target::Uuid },
            new_suffix: text(2)?,
            old_suffix: text(3)?,
            fire_triggers: row.get(4)?.unwrap_or(false),
            verified: row.get(5)?.unwrap_or(false),
            cut_over: row.get(6)?.unwrap_or(false),
            ..Options::new(Target::Uuid)
        };
        Ok(Some(Migration {
            relation,
            options,
            references: Vec::new(),
            pace: Pace::read(&row, 8)?,
            is_finalized: row.get(7)?.unwrap_or(false),
            was_cut_over: row.get(8)?.unwrap_or(false),
        }))
    })?;
    let Some(mut migration) = found else { return Ok(None) };
    migration.read_keys(extension)?;
    migration.read_columns(extension)?;
    Ok(Some(migration))
}

/// The migration of a table.
///
/// # Errors
/// 42704 where there is none, or where it has ended.
pub(super) fn existing(extension: Extension, relation: pg_sys::Oid) -> Result<Migration, Failure> {
    let name = crate::server::relation::relation_name(relation);
    let Some(migration) = load(extension, relation)? else {
        let message = format!("the key of table {name} is not being migrated");
        return Err(Error::new(SqlState::UndefinedObject, message)
            .hint("Call key_migration_plan(), then key_migration_create().")
            .into());
    };
    if migration.is_finalized {
        let message = format!("the key migration of table {name} is finalized");
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("Its old columns are gone.")
            .into());
    }
    Ok(migration)
}

impl Migration {
    fn read_keys(&mut self, extension: Extension) -> Result<(), Failure> {
        let arguments = arguments(self.relation, []);
        select(
            "SELECT k.relation, k.key_attribute, k.timestamp_attribute, pg_catalog.convert_to(k.salt, 'UTF8'), \
                    pg_catalog.convert_to(pg_catalog.to_jsonb(k.include_columns)::text, 'UTF8') \
             FROM {} AS k WHERE {own} AND k.migration OPERATOR(pg_catalog.=) $3 ORDER BY k.number",
            KEY,
            extension,
            &arguments,
            |rows| {
                for row in rows {
                    let text = |at: usize| -> SpiResult<String> {
                        Ok(from_utf8(row.get::<Vec<u8>>(at)?.unwrap_or_default()))
                    };
                    self.options.keys.push(KeyOptions {
                        table: row.get::<pg_sys::Oid>(1)?.map_or(0, pg_sys::Oid::to_u32),
                        column: row.get(2)?,
                        timestamp: row.get(3)?,
                        timestamp_name: None,
                        salt: text(4)?,
                        include: Options::names(&text(5)?),
                    });
                }
                Ok(())
            },
        )?;
        Ok(())
    }

    fn read_columns(&mut self, extension: Extension) -> Result<(), Failure> {
        let arguments = arguments(self.relation, []);
        select(
            "SELECT c.relation, c.attribute, c.new_attribute, c.declared, c.key_relation FROM {} AS c \
             WHERE {own} AND c.migration OPERATOR(pg_catalog.=) $3 ORDER BY c.relation, c.attribute",
            COLUMN,
            extension,
            &arguments,
            |rows| {
                for row in rows {
                    let table = row.get::<pg_sys::Oid>(1)?.map_or(0, pg_sys::Oid::to_u32);
                    let column = row.get::<i16>(2)?.unwrap_or(0);
                    if let Some(shadow) = row.get::<i16>(3)? {
                        self.options.shadows.push((table, column, shadow));
                    }
                    let declared = row.get(4)?.unwrap_or(false);
                    let key = row.get::<pg_sys::Oid>(5)?.map_or(0, pg_sys::Oid::to_u32);
                    if !self.is_key(table, column) {
                        self.references.push(Reference { key, table, column, declared });
                    }
                }
                Ok(())
            },
        )?;
        select(
            "SELECT t.relation, t.finished_at IS NOT NULL, pg_catalog.convert_to(t.view_name::text, 'UTF8') \
             FROM {} AS t WHERE {own} AND t.migration OPERATOR(pg_catalog.=) $3",
            TABLE,
            extension,
            &arguments,
            |rows| {
                for row in rows {
                    let table = row.get::<pg_sys::Oid>(1)?.map_or(0, pg_sys::Oid::to_u32);
                    if row.get::<bool>(2)?.unwrap_or(false) {
                        self.options.filled.push(table);
                    }
                    if let Some(name) = row.get::<Vec<u8>>(3)?.filter(|_| self.options.cut_over) {
                        self.options.views.push((table, from_utf8(name)));
                    }
                }
                Ok(())
            },
        )?;
        Ok(())
    }

    /// Whether a column is one of its keys.
    pub(super) fn is_key(&self, table: u32, column: i16) -> bool {
        self.options.keys.iter().any(|key| (key.table, key.column) == (table, Some(column)))
    }

    /// The catalogs as they are for this migration.
    pub(super) fn facts(&self, extension: Extension) -> Result<Facts, Failure> {
        catalog::facts(extension, &self.options.keys, &self.references)
    }

    /// Its steps, those that are done among them.
    pub(super) fn plan(&self, extension: Extension) -> Result<(Facts, Plan), Failure> {
        let facts = self.facts(extension)?;
        let plan = plan::plan(&facts, &self.options)?;
        Ok((facts, plan))
    }
}
