//! The stored state of a migration: the owner's settings, and the progress of the backfill.

use std::ffi::CString;
use std::time::{Duration, Instant};

use keyspace::migration::condition::Condition;
use keyspace::migration::facts::Reference;
use keyspace::migration::foreign_keys;
use keyspace::migration::plan::{self, Plan};
use keyspace::migration::{Doubt, Facts, KeyOptions, Options, Target, TimeRequest, TimeSource};
use keyspace::{Error, SqlState};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{SpiHeapTupleData, SpiResult, SpiTupleTable};

use super::catalog;
use super::limits::Stored;
use crate::encoding::from_utf8;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::names::name_argument;
use crate::server::prepared::Prepared;
use crate::server::role::owns_database;
use crate::server::tables::{self, Table};

pub(super) const MIGRATION: Table = Table::new(c"key_migration");
/// The keys of migrations.
pub(super) const KEY: Table = Table::new(c"key_migration_key");
/// The columns of migrations.
pub(super) const COLUMN: Table = Table::new(c"key_migration_column");
/// The progress of the backfill of each table.
pub(super) const TABLE: Table = Table::new(c"key_migration_table");
/// The tables whose values have to be compared again.
pub(super) const MARK: Table = Table::new(c"key_migration_mark");
/// The nodes of migrations on several nodes.
pub(super) const NODE: Table = Table::new(c"key_migration_node");
/// The log of migrations.
pub(super) const STEP: Table = Table::new(c"key_migration_step");

/// The condition for rows of this database and a migration, whose OID is `$3`.
pub(super) const OWN: &str =
    "system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2";

#[derive(Clone)]
pub(super) struct Migration {
    pub(super) relation: pg_sys::Oid,
    pub(super) options: Options,
    /// The columns that were found, or named by the owner.
    pub(super) references: Vec<Reference>,
    /// Triggers of others that the backfill need not fire.
    pub(super) known_triggers: Vec<u32>,
    pub(super) pace: Pace,
    pub(super) is_finalized: bool,
    /// Whether all values have been compared once.
    was_compared: bool,
    /// Whether there has been a cut-over, including one that was rolled back.
    pub(super) was_cut_over: bool,
}

/// The settings of a migration, which can be changed at any time.
#[derive(Clone)]
pub(super) struct Pace {
    pub(super) batch_pages: i64,
    pub(super) pause: Duration,
    /// In milliseconds.
    lock_timeout: i64,
    pub(super) retries: u32,
    pub(super) is_paused: bool,
    /// Whether the backfill fires the triggers of others.
    pub(super) fire_triggers: bool,
    pub(super) throttle: Stored,
}

impl Pace {
    /// The settings of a new migration, as SQL: batch_pages, pause, lock_timeout and retries. A batch
    /// of 64 pages is large enough to be worth a transaction, and small enough that row locks are
    /// held only briefly.
    pub(super) const INITIAL: &str = "64, '0', '100 ms', 50";

    /// The columns of the table of migrations that hold these settings.
    const COLUMNS: &str = "m.batch_pages::bigint, (extract(epoch FROM m.pause) * 1000)::bigint, \
                           (extract(epoch FROM m.lock_timeout) * 1000)::bigint, m.retries, m.paused, m.fire_triggers";

    /// Reads the settings from columns that follow others.
    fn read(row: &SpiHeapTupleData<'_>, after: usize) -> SpiResult<Self> {
        let number = |at: usize| -> SpiResult<i64> { Ok(row.get::<i64>(after + at)?.unwrap_or(0)) };
        Ok(Self {
            batch_pages: number(1)?.max(1),
            pause: Duration::from_millis(u64::try_from(number(2)?).unwrap_or(0)),
            lock_timeout: number(3)?,
            retries: row.get::<i32>(after + 4)?.and_then(|retries| u32::try_from(retries).ok()).unwrap_or(0),
            is_paused: row.get(after + 5)?.unwrap_or(false),
            fire_triggers: row.get(after + 6)?.unwrap_or(false),
            throttle: Stored::read(row, after + 6)?,
        })
    }

    /// The current settings of a migration; `None` if it no longer exists.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(super) fn current(
        prepared: &mut Prepared,
        extension: Extension,
        relation: pg_sys::Oid,
    ) -> SpiResult<Option<Self>> {
        let text = format!(
            "SELECT {}, {} FROM {{}} AS m WHERE {{own}} AND m.relation OPERATOR(pg_catalog.=) $3",
            Self::COLUMNS,
            Stored::COLUMNS
        );
        prepared.select(&own(&text), MIGRATION, extension, &arguments(relation, []), |mut rows| {
            rows.next().map(|row| Self::read(&row, 0)).transpose()
        })
    }

    /// The lock timeout for one wait of a batch, which holds row locks meanwhile. It is shorter
    /// than deadlock_timeout: a session that waits for these rows might otherwise be chosen as the
    /// victim of a deadlock (trap S19).
    pub(super) fn batch_lock_timeout(&self) -> CString {
        // SAFETY: a plain integer of this backend, in milliseconds.
        let unnoticed = i64::from(unsafe { pg_sys::DeadlockTimeout } / 2).max(1);
        CString::new(format!("{}ms", self.lock_timeout.min(unnoticed))).unwrap_or_default()
    }

    /// Whether the lock timeout has elapsed.
    pub(super) fn is_over(&self, since: Instant) -> bool {
        since.elapsed() >= Duration::from_millis(u64::try_from(self.lock_timeout).unwrap_or(0))
    }

    /// The value for lock_timeout.
    pub(super) fn timeout(&self) -> CString {
        CString::new(format!("{}ms", self.lock_timeout)).unwrap_or_default()
    }
}

/// Refuses a caller who may not store the state of migrations.
///
/// # Errors
/// 42501 if the caller does not own the database.
pub(super) fn check_may_write() -> Result<(), Error> {
    if !owns_database() {
        let message = "permission denied to migrate keys in this database";
        return Err(Error::new(SqlState::InsufficientPrivilege, message)
            .hint("Run the migration as the owner of the database, or as a superuser."));
    }
    Ok(())
}

/// The arguments of a statement about one migration: `$1` and `$2` are this database, `$3` is the
/// migration.
pub(super) fn arguments<'a, const N: usize>(
    relation: pg_sys::Oid,
    others: [DatumWithOid<'a>; N],
) -> Vec<DatumWithOid<'a>> {
    let (system_identifier, database) = tables::own_key();
    let mut all: Vec<DatumWithOid<'a>> = vec![system_identifier.into(), database.into(), relation.into()];
    all.extend(others);
    all
}

/// Replaces `{own}` in a statement by the condition for this database.
pub(super) fn own(text: &str) -> String {
    text.replace("{own}", OWN)
}

/// Queries the state of one migration: `{}` is the table, `{own}` the condition for this database.
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

/// Removes all state of a migration except its log. Each table is cleared separately, because the
/// foreign keys between them do not cascade in a session whose role is replica.
pub(super) fn remove(extension: Extension, relation: pg_sys::Oid) -> SpiResult<()> {
    for table in [NODE, MARK, TABLE, COLUMN, KEY] {
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

/// Makes a migration one that has just been created, with the keys and references that it has.
pub(super) fn reset(extension: Extension, relation: pg_sys::Oid) -> SpiResult<()> {
    for (statement, table) in [
        ("DELETE FROM {} WHERE {own} AND migration OPERATOR(pg_catalog.=) $3", MARK),
        ("DELETE FROM {} WHERE {own} AND migration OPERATOR(pg_catalog.=) $3", TABLE),
        ("UPDATE {} SET new_attribute = NULL WHERE {own} AND migration OPERATOR(pg_catalog.=) $3", COLUMN),
        (
            "UPDATE {} SET verified_at = NULL, cut_over_at = NULL, was_cut_over = false \
             WHERE {own} AND relation OPERATOR(pg_catalog.=) $3",
            MIGRATION,
        ),
    ] {
        write(statement, table, extension, relation, [])?;
    }
    Ok(())
}

/// Removes the state of migrations whose tables were dropped.
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

/// Discards the result of a comparison.
pub(super) fn discard_comparison(extension: Extension, migration: pg_sys::Oid) -> SpiResult<()> {
    let statement = "UPDATE {} SET verified_at = NULL WHERE {own} AND relation OPERATOR(pg_catalog.=) $3 \
                     AND verified_at IS NOT NULL";
    write(statement, MIGRATION, extension, migration, [])?;
    Ok(())
}

/// Makes the backfill of a table and of its partitions start again, and discards the result of the
/// comparison.
pub(super) fn restart_backfill(
    extension: Extension,
    migration: pg_sys::Oid,
    table: pg_sys::Oid,
) -> SpiResult<()> {
    discard_comparison(extension, migration)?;
    write(
        "DELETE FROM {} WHERE {own} AND migration OPERATOR(pg_catalog.=) $3 \
           AND (relation OPERATOR(pg_catalog.=) $4 OR pg_catalog.pg_partition_root(relation) OPERATOR(pg_catalog.=) $4)",
        TABLE,
        extension,
        migration,
        [table.into()],
    )?;
    Ok(())
}

/// Makes the backfill of a table look for rows without a key again, and discards the result of the
/// comparison. The position stays at the end of the table.
pub(super) fn reopen_backfill(
    extension: Extension,
    migration: pg_sys::Oid,
    table: pg_sys::Oid,
) -> SpiResult<()> {
    discard_comparison(extension, migration)?;
    let statement = "UPDATE {} SET finished_at = NULL WHERE {own} AND migration = $3 AND relation = $4";
    write(statement, TABLE, extension, migration, [table.into()])?;
    Ok(())
}

/// How many rows the backfill of a migration has filled.
pub(super) fn filled_rows(extension: Extension, migration: pg_sys::Oid) -> SpiResult<i64> {
    let query = "SELECT sum(t.filled_rows)::bigint FROM {} AS t WHERE {own} AND t.migration = $3";
    select(query, TABLE, extension, &arguments(migration, []), |rows| Ok(rows.first().get(1)?.unwrap_or(0)))
}

/// When a partition became one, as an expression: its row in `pg_inherits`, and those of the tables above
/// it, have the transactions that wrote them. NULL for other tables. While a partition was detached, its
/// rows could change without our triggers.
pub(super) fn attached(relation: &str) -> String {
    format!(
        "(WITH RECURSIVE up AS ( \
             SELECT i.inhparent, i.xmin::text AS since, 0 AS level FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid \
             WHERE i.inhrelid = {relation} AND c.relispartition \
             UNION ALL \
             SELECT i.inhparent, i.xmin::text, up.level + 1 FROM up JOIN pg_inherits AS i ON i.inhrelid = up.inhparent) \
          SELECT string_agg(up.since, ' ' ORDER BY up.level) FROM up)"
    )
}

/// The triggers that exist on a table, `$4`, and its partitions when one of its columns becomes part of
/// a migration. The plan has shown them.
pub(super) const TRIGGERS: &str = "ARRAY(SELECT g.oid FROM pg_catalog.pg_trigger AS g \
     WHERE NOT g.tgisinternal AND (g.tgrelid OPERATOR(pg_catalog.=) $4 \
                                   OR pg_catalog.pg_partition_root(g.tgrelid) OPERATOR(pg_catalog.=) $4))";

/// The migration of a table, if there is one.
pub(super) fn load(extension: Extension, relation: pg_sys::Oid) -> Result<Option<Migration>, Failure> {
    read(extension, relation)
}

/// The table of the first key of the migration that a relation belongs to. The relation is a table
/// with a key in the migration, or the view that a cut-over put in the place of such a table. For
/// any other relation, the relation itself.
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

/// Another migration of this database to which a table belongs.
pub(super) fn other_migration(
    extension: Extension,
    migration: pg_sys::Oid,
    table: pg_sys::Oid,
) -> SpiResult<Option<pg_sys::Oid>> {
    let query = "SELECT c.migration FROM {} AS c WHERE {own} AND c.migration OPERATOR(pg_catalog.<>) $3 \
                 AND c.relation OPERATOR(pg_catalog.=) $4";
    select(query, COLUMN, extension, &arguments(migration, [table.into()]), |mut rows| {
        rows.next().map_or(Ok(None), |row| row.get::<pg_sys::Oid>(1))
    })
}

/// As [`migration_of`], for migrations that are stored for other servers or databases, of which this
/// one may be a copy, and for all of their tables.
pub(super) fn root_elsewhere(
    extension: Extension,
    relation: pg_sys::Oid,
) -> Result<Option<pg_sys::Oid>, Failure> {
    // SAFETY: looks up a catalog by OID.
    let is_view = unsafe { pg_sys::get_rel_relkind(relation) } == pg_sys::RELKIND_VIEW as std::ffi::c_char;
    let (query, table) = if is_view {
        (
            "SELECT t.migration FROM {} AS t JOIN pg_class AS c ON c.oid = t.relation \
             JOIN pg_class AS v ON v.relnamespace = c.relnamespace AND v.relname = t.view_name \
             WHERE NOT (t.system_identifier = $1 AND t.database = $2) AND v.oid = $3 LIMIT 1",
            TABLE,
        )
    } else {
        ("SELECT c.migration FROM {} AS c WHERE NOT ({own}) AND c.relation = $3 LIMIT 1", COLUMN)
    };
    let found = select(query, table, extension, &arguments(relation, []), |mut rows| {
        rows.next().map_or(Ok(None), |row| row.get::<pg_sys::Oid>(1))
    })?;
    Ok(found)
}

fn read(extension: Extension, relation: pg_sys::Oid) -> Result<Option<Migration>, Failure> {
    let query = format!(
        "SELECT m.target, pg_catalog.convert_to(m.new_suffix, 'UTF8'), pg_catalog.convert_to(m.old_suffix, 'UTF8'), \
                m.fire_triggers, m.verified_at IS NOT NULL, m.cut_over_at IS NOT NULL, m.finalized_at IS NOT NULL, \
                m.was_cut_over, m.move_primary_key, m.nodes, {}, {} \
         FROM {{}} AS m WHERE {{own}} AND m.relation OPERATOR(pg_catalog.=) $3",
        Pace::COLUMNS,
        Stored::COLUMNS
    );
    let found = select(&query, MIGRATION, extension, &arguments(relation, []), |mut rows| {
        let Some(row) = rows.next() else { return Ok(None) };
        let text =
            |at: usize| -> SpiResult<String> { Ok(from_utf8(row.get::<Vec<u8>>(at)?.unwrap_or_default())) };
        let target = row.get::<String>(1)?.unwrap_or_default();
        let options = Options {
            target: Target::parse(&target).unwrap_or(Target::Uuid),
            new_suffix: text(2)?,
            old_suffix: text(3)?,
            fire_triggers: row.get(4)?.unwrap_or(false),
            cut_over: row.get(6)?.unwrap_or(false),
            move_primary_key: row.get(9)?.unwrap_or(false),
            nodes: row.get(10)?.unwrap_or_default(),
            ..Options::new(Target::Uuid)
        };
        Ok(Some(Migration {
            relation,
            options,
            references: Vec::new(),
            known_triggers: Vec::new(),
            pace: Pace::read(&row, 10)?,
            was_compared: row.get(5)?.unwrap_or(false),
            is_finalized: row.get(7)?.unwrap_or(false),
            was_cut_over: row.get(8)?.unwrap_or(false),
        }))
    })?;
    let Some(mut migration) = found else { return Ok(None) };
    migration.read_keys(extension)?;
    migration.read_columns(extension)?;
    migration.read_tables(extension)?;
    Ok(Some(migration))
}

/// The migration of a table.
///
/// # Errors
/// 42704 if there is none, or if it has ended.
pub(super) fn existing(extension: Extension, relation: pg_sys::Oid) -> Result<Migration, Failure> {
    let name = crate::server::relation::relation_name(relation);
    let Some(migration) = load(extension, relation)? else {
        let message = format!("the key of table {name} is not being migrated");
        let error = Error::new(SqlState::UndefinedObject, message);
        let argument = name_argument(relation);
        if root_elsewhere(extension, relation)?.is_some() {
            return Err(error
                .detail("A migration that includes it is stored for another server or database, of which this one may be a copy.")
                .hint(format!("SELECT key_migration_adopt({argument}) to continue that migration here."))
                .into());
        }
        return Err(error
            .hint(format!(
                "Read SELECT * FROM key_migration_plan({argument}), then SELECT key_migration_create({argument})."
            ))
            .into());
    };
    if migration.is_finalized {
        let message = format!("the key migration of table {name} is finalized");
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("It can no longer be changed.")
            .into());
    }
    Ok(migration)
}

impl Migration {
    fn read_keys(&mut self, extension: Extension) -> Result<(), Failure> {
        let arguments = arguments(self.relation, []);
        select(
            "SELECT k.relation, k.key_attribute, pg_catalog.convert_to(k.time_source, 'UTF8'), pg_catalog.convert_to(k.salt, 'UTF8'), \
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
                        time: Some(TimeSource::parse(&text(3)?).unwrap_or(TimeSource::Constant)),
                        request: TimeRequest::default(),
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
            "SELECT c.relation, c.attribute, c.new_attribute, c.declared, c.key_relation, c.known_triggers, c.type_attribute, \
                    pg_catalog.convert_to(pg_catalog.to_jsonb(c.type_values)::text, 'UTF8'), \
                    pg_catalog.convert_to(pg_catalog.to_jsonb(c.null_values)::text, 'UTF8') FROM {} AS c \
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
                    let known = row.get::<Vec<pg_sys::Oid>>(6)?.unwrap_or_default();
                    self.known_triggers.extend(known.into_iter().map(pg_sys::Oid::to_u32));
                    let declared = row.get(4)?.unwrap_or(false);
                    let key = row.get::<pg_sys::Oid>(5)?.map_or(0, pg_sys::Oid::to_u32);
                    let texts = |at: usize| -> SpiResult<Vec<String>> {
                        Ok(Options::names(&from_utf8(row.get::<Vec<u8>>(at)?.unwrap_or_default())))
                    };
                    let type_column = row.get::<i16>(7)?;
                    let (type_values, null_values) = (texts(8)?, texts(9)?);
                    if type_column.is_some() || !null_values.is_empty() {
                        let condition = Condition { table, column, type_column, type_values, null_values };
                        self.options.conditions.push(condition);
                    }
                    if !self.is_key(table, column) {
                        self.references.push(Reference { key, table, column, declared });
                    }
                }
                Ok(())
            },
        )?;
        Ok(())
    }

    /// The same migration with the current state of its tables.
    pub(super) fn again(&self, extension: Extension) -> Result<Self, Failure> {
        let mut migration = self.clone();
        let options = &mut migration.options;
        options.filled.clear();
        options.views.clear();
        options.doubts.clear();
        migration.read_tables(extension)?;
        Ok(migration)
    }

    fn read_tables(&mut self, extension: Extension) -> Result<(), Failure> {
        // A partition that was detached is none of the migration's any more.
        let keys = self.options.keys.iter().map(|key| key.table);
        let tables = keys.chain(self.references.iter().map(|reference| reference.table));
        let tables: Vec<pg_sys::Oid> = tables.map(pg_sys::Oid::from).collect();
        let of_tables = arguments(self.relation, [tables.into()]);
        let arguments = arguments(self.relation, []);
        let attached = attached("t.relation");
        select(
            &format!(
                "SELECT t.relation, t.finished_at IS NOT NULL AND t.file = pg_relation_filenode(t.relation) AND known.is_same, \
                    pg_catalog.convert_to(t.view_name::text, 'UTF8'), \
                    coalesce(t.verified_file = pg_relation_filenode(t.relation) AND known.is_same, \
                             pg_relation_filenode(t.relation) IS NULL), known.is_same \
                 FROM {{}} AS t CROSS JOIN LATERAL (SELECT {attached} AS attached OFFSET 0) AS now \
                 CROSS JOIN LATERAL (SELECT now.attached IS NULL OR t.attached IS NOT DISTINCT FROM now.attached AS is_same) AS known \
                 WHERE {{own}} AND t.migration OPERATOR(pg_catalog.=) $3 \
                   AND coalesce(pg_catalog.pg_partition_root(t.relation)::oid, t.relation) OPERATOR(pg_catalog.=) ANY ($4::oid[])"
            ),
            TABLE,
            extension,
            &of_tables,
            |rows| {
                for row in rows {
                    let table = row.get::<pg_sys::Oid>(1)?.map_or(0, pg_sys::Oid::to_u32);
                    if row.get::<bool>(2)?.unwrap_or(false) {
                        self.options.filled.push(table);
                    }
                    if self.was_compared && !row.get::<bool>(4)?.unwrap_or(false) {
                        let is_same = row.get::<bool>(5)?.unwrap_or(true);
                        let doubt = if is_same { Doubt::Rewritten } else { Doubt::Attached };
                        self.options.doubts.push((table, doubt));
                    }
                    if let Some(name) = row.get::<Vec<u8>>(3)?.filter(|_| self.options.cut_over) {
                        self.options.views.push((table, from_utf8(name)));
                    }
                }
                Ok(())
            },
        )?;
        select(
            "SELECT DISTINCT k.relation FROM {} AS k WHERE {own} AND k.migration = $3 ORDER BY 1",
            MARK,
            extension,
            &arguments,
            |rows| {
                for row in rows {
                    if let Some(table) = row.get::<pg_sys::Oid>(1)?.filter(|_| self.was_compared) {
                        self.options.doubts.push((table.to_u32(), Doubt::Applied));
                    }
                }
                Ok(())
            },
        )?;
        // After the cut-over nothing is compared again before the end of the migration.
        if self.options.cut_over {
            self.options.doubts.clear();
        }
        self.options.verified = self.was_compared && self.options.doubts.is_empty();
        Ok(())
    }

    pub(super) fn is_key(&self, table: u32, column: i16) -> bool {
        self.options.keys.iter().any(|key| (key.table, key.column) == (table, Some(column)))
    }

    /// The current facts from the catalogs for this migration.
    pub(super) fn facts(&self, extension: Extension) -> Result<Facts, Failure> {
        self.facts_of(extension, None)
    }

    /// The facts about some of its tables, and about those with its keys.
    pub(super) fn facts_of(&self, extension: Extension, only: Option<&[u32]>) -> Result<Facts, Failure> {
        let mut facts = catalog::facts(extension, &self.options.keys, &self.references, only)?;
        foreign_keys::declare(&mut facts, &self.options);
        Ok(facts)
    }

    /// The steps of some of its tables, and of the tables with its keys. For many tables, it takes
    /// only a fraction of the time of [`Migration::plan`].
    pub(super) fn plan_of(&self, extension: Extension, tables: &[u32]) -> Result<(Facts, Plan), Failure> {
        let facts = self.facts_of(extension, Some(tables))?;
        let plan = plan::plan(&facts, &self.options)?;
        Ok((facts, plan))
    }

    /// Its steps, including those that are done.
    pub(super) fn plan(&self, extension: Extension) -> Result<(Facts, Plan), Failure> {
        let facts = self.facts(extension)?;
        let plan = plan::plan(&facts, &self.options)?;
        Ok((facts, plan))
    }
}
