//! Functions that begin a migration or change its settings.

use keyspace::migration::facts::Reference;
use keyspace::migration::member::Member;
use keyspace::migration::scope::Key;
use keyspace::migration::{Scope, plan};
use keyspace::sql::{in_message, qualified};
use keyspace::{Error, SqlState};
use pgrx::AnyArray;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::arguments::{KeyArguments, PlanArguments, TimeArguments, column_number, names};
use super::condition::{self, ConditionArguments};
use super::nodes;
use super::plan::fresh;
use super::state::{self, COLUMN, KEY, MIGRATION, Migration, Pace};
use super::surroundings;
use crate::encoding::ServerText;
use crate::error::or_raise;
use crate::failpoint;
use crate::keys::RawText;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::names::name_argument;
use crate::server::relation::{existing_relation, relation_name};
use crate::server::transaction::check_transaction;

/// Begins a migration. Declared in sql/migration/key_migration_create.sql.
///
/// # Errors
/// Those of `key_migration_plan`, and the errors that a plan reports. 42501 if the caller may not
/// store state; 55000 if a table is already part of a migration.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn key_migration_create(
    migration: Option<pg_sys::Oid>,
    timestamp_column: Option<&std::ffi::CStr>,
    target: Option<&str>,
    salt: Option<RawText<'_>>,
    include_columns: Option<AnyArray>,
    new_suffix: Option<RawText<'_>>,
    old_suffix: Option<RawText<'_>>,
    fire_triggers: Option<bool>,
    time_zone: Option<RawText<'_>>,
    timestamp_expression: Option<RawText<'_>>,
    timestamp_reference: Option<&std::ffi::CStr>,
    without_timestamp: Option<bool>,
    move_primary_key: Option<bool>,
    nodes: Option<Vec<Option<i32>>>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let relation = or_raise(existing_relation(migration, "migration"));
    let time = TimeArguments {
        timestamp_column,
        time_zone,
        timestamp_expression,
        timestamp_reference,
        without_timestamp,
    };
    let key = KeyArguments { time, salt, include_columns };
    let arguments = PlanArguments { key, target, new_suffix, old_suffix, fire_triggers, move_primary_key };
    if let Err(failure) = create(or_raise(Extension::of_call(fcinfo)), relation, &arguments, nodes) {
        failure.raise();
    }
}

fn create(
    extension: Extension,
    relation: pg_sys::Oid,
    arguments: &PlanArguments<'_>,
    nodes: Option<Vec<Option<i32>>>,
) -> Result<(), Failure> {
    check_transaction(c"key_migration_create()")?;
    state::check_may_write()?;
    let mut options = arguments.options(relation)?;
    options.nodes = nodes::settings::checked(extension, nodes, &options)?;
    // Replication finds rows by their primary keys, which must change with the names (fault D04).
    options.move_primary_key |= !options.nodes.is_empty();
    refuse_migrated(extension, relation)?;
    let (facts, options) = fresh(extension, options, &[])?;
    let plan = plan::plan(&facts, &options)?;
    if let Some(refusal) = plan.refusal() {
        return Err(refusal.clone().into());
    }
    let scope = Scope::new(&facts, &options)?;
    // Any caller may remove the state of dropped tables.
    state::remove_dropped(extension)?;
    state::remove(extension, relation)?;
    let statement = format!(
        "INSERT INTO {{}} (system_identifier, database, relation, target, new_suffix, old_suffix, fire_triggers, \
                         move_primary_key, nodes, batch_pages, pause, lock_timeout, retries) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {})",
        Pace::INITIAL
    );
    state::write(
        &statement,
        MIGRATION,
        extension,
        relation,
        [
            options.target.name().into(),
            ServerText(options.new_suffix.clone()).into(),
            ServerText(options.old_suffix.clone()).into(),
            options.fire_triggers.into(),
            options.move_primary_key.into(),
            options.nodes.clone().into(),
        ],
    )?;
    for key in &scope.keys {
        store_key(extension, relation, key)?;
    }
    for member in &scope.members {
        store_column(extension, relation, &reference(member), &member.table_sql())?;
    }
    failpoint::point(|| "planned: stored".to_owned());
    Ok(())
}

/// Refuses a table whose key is being migrated.
///
/// # Errors
/// 55000 if it is.
fn refuse_migrated(extension: Extension, table: pg_sys::Oid) -> Result<(), Failure> {
    let migration = state::migration_of(extension, table)?;
    if state::load(extension, migration)?.is_some_and(|migration| !migration.is_finalized) {
        let message = format!("the key of table {} is already being migrated", relation_name(table));
        let mut error = Error::new(SqlState::ObjectNotInPrerequisiteState, message).hint(format!(
            "Continue that migration, or CALL key_migration_rollback({}) first.",
            name_argument(migration)
        ));
        if migration != table {
            error = error
                .detail(format!("It is part of the key migration of table {}.", relation_name(migration)));
        }
        return Err(error.into());
    }
    Ok(())
}

fn reference(member: &Member<'_>) -> Reference {
    Reference {
        key: member.key,
        table: member.table.oid,
        column: member.old_id.number,
        declared: member.declared,
    }
}

/// Stores a key.
fn store_key(extension: Extension, migration: pg_sys::Oid, key: &Key<'_>) -> SpiResult<()> {
    let include: Vec<ServerText> = key.options.include.iter().cloned().map(ServerText).collect();
    state::write(
        "INSERT INTO {} AS k (system_identifier, database, migration, relation, number, key_attribute, \
                              time_source, salt, include_columns) \
         SELECT $1, $2, $3, $4, COALESCE((SELECT max(o.number) FROM {} AS o WHERE {own} AND o.migration = $3), 0) + 1, \
                $5, $6, $7, $8::name[]",
        KEY,
        extension,
        migration,
        [
            pg_sys::Oid::from(key.column.table.oid).into(),
            key.column.old_id.number.into(),
            ServerText(key.time.source.to_string()).into(),
            ServerText(key.options.salt.clone()).into(),
            include.into(),
        ],
    )?;
    Ok(())
}

/// Stores a column.
fn store_column(
    extension: Extension,
    migration: pg_sys::Oid,
    column: &Reference,
    table: &str,
) -> Result<(), Failure> {
    let table_oid = pg_sys::Oid::from(column.table);
    let other = state::other_migration(extension, migration, table_oid)?;
    if let Some(other) = other {
        let message = format!(
            "table {} is part of the key migration of table {}",
            in_message(table),
            relation_name(other)
        );
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("A table can be part of only one migration at a time.")
            .hint(
                "Finalize that migration or roll it back first, or add the key to it with key_migration_add_key().",
            )
            .into());
    }
    state::write(
        &format!(
            "INSERT INTO {{}} AS c (system_identifier, database, migration, relation, attribute, declared, \
                                  key_relation, known_triggers) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, {}) \
             ON CONFLICT (system_identifier, database, relation, attribute) DO UPDATE \
             SET declared = EXCLUDED.declared WHERE c.declared IS DISTINCT FROM EXCLUDED.declared",
            state::TRIGGERS
        ),
        COLUMN,
        extension,
        migration,
        [
            table_oid.into(),
            column.column.into(),
            column.declared.into(),
            pg_sys::Oid::from(column.key).into(),
        ],
    )?;
    Ok(())
}

/// Adds the key of another table. Declared in sql/migration/key_migration_create.sql.
///
/// # Errors
/// As `key_migration_create`; 55000 after the cut-over.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn key_migration_add_key(
    migration: Option<pg_sys::Oid>,
    table_name: Option<pg_sys::Oid>,
    timestamp_column: Option<&std::ffi::CStr>,
    salt: Option<RawText<'_>>,
    include_columns: Option<AnyArray>,
    time_zone: Option<RawText<'_>>,
    timestamp_expression: Option<RawText<'_>>,
    timestamp_reference: Option<&std::ffi::CStr>,
    without_timestamp: Option<bool>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let relation = or_raise(existing_relation(migration, "migration"));
    let table = or_raise(existing_relation(table_name, "table_name"));
    let time = TimeArguments {
        timestamp_column,
        time_zone,
        timestamp_expression,
        timestamp_reference,
        without_timestamp,
    };
    let arguments = KeyArguments { time, salt, include_columns };
    if let Err(failure) = add_key(or_raise(Extension::of_call(fcinfo)), relation, table, &arguments) {
        failure.raise();
    }
}

fn add_key(
    extension: Extension,
    relation: pg_sys::Oid,
    table: pg_sys::Oid,
    arguments: &KeyArguments<'_>,
) -> Result<(), Failure> {
    let mut migration = extensible_migration(c"key_migration_add_key()", extension, relation)?;
    refuse_migrated(extension, table)?;
    migration.options.keys.push(arguments.key(table)?);
    let (facts, options) = fresh(extension, migration.options, &migration.references)?;
    let plan = plan::plan(&facts, &options)?;
    if let Some(refusal) = plan.refusal() {
        return Err(refusal.clone().into());
    }
    let scope = Scope::new(&facts, &options)?;
    for key in scope.keys.iter().filter(|key| key.column.table.oid == table.to_u32()) {
        store_key(extension, migration.relation, key)?;
    }
    for member in scope.members.iter().filter(|member| member.key == table.to_u32()) {
        store_column(extension, migration.relation, &reference(member), &member.table_sql())?;
        state::restart_backfill(extension, migration.relation, pg_sys::Oid::from(member.table.oid))?;
    }
    Ok(())
}

/// The migration to which something is added.
///
/// # Errors
/// 42501 if the caller may not store state, 42704 if the table is not being migrated, 55000 after
/// the cut-over.
fn extensible_migration(
    name: &'static std::ffi::CStr,
    extension: Extension,
    relation: pg_sys::Oid,
) -> Result<Migration, Failure> {
    check_transaction(name)?;
    state::check_may_write()?;
    let migration = state::existing(extension, state::migration_of(extension, relation)?)?;
    if migration.options.cut_over {
        let message = "cannot extend a key migration after the cut-over";
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .hint(format!(
                "CALL key_migration_rollback({}), extend the migration, and cut over again.",
                name_argument(migration.relation)
            ))
            .into());
    }
    nodes::steps::check_extensible(extension, &migration)?;
    Ok(migration)
}

/// Adds references that have no foreign key. Declared in sql/migration/key_migration_create.sql.
///
/// # Errors
/// 22004, 22023, 42703, 42804 for invalid arguments; the errors that a plan with them reports; 55000
/// after the cut-over, and for a column that is part of the migration with other arguments.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn key_migration_add_reference(
    migration: Option<pg_sys::Oid>,
    table_name: Option<pg_sys::Oid>,
    columns: Option<AnyArray>,
    refers_to: Option<pg_sys::Oid>,
    type_column: Option<&std::ffi::CStr>,
    type_values: Option<AnyArray>,
    null_values: Option<AnyArray>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let relation = or_raise(existing_relation(migration, "migration"));
    let table = or_raise(existing_relation(table_name, "table_name"));
    let key = refers_to.map_or(relation, |_| or_raise(existing_relation(refers_to, "refers_to")));
    let condition = ConditionArguments { type_column, type_values, null_values };
    let added = names(columns, "columns").and_then(|names| {
        add(or_raise(Extension::of_call(fcinfo)), relation, table, &names, key, &condition)
    });
    if let Err(failure) = added {
        failure.raise();
    }
}

fn add(
    extension: Extension,
    relation: pg_sys::Oid,
    table: pg_sys::Oid,
    columns: &[String],
    key: pg_sys::Oid,
    condition: &ConditionArguments<'_>,
) -> Result<(), Failure> {
    let mut migration = extensible_migration(c"key_migration_add_reference()", extension, relation)?;
    if !migration.options.keys.iter().any(|known| known.table == key.to_u32()) {
        let message = format!("the key of table {} is not part of the migration", relation_name(key));
        return Err(Error::new(SqlState::InvalidParameterValue, message)
            .hint("Specify a table whose key is migrated in refers_to, or add its key with key_migration_add_key().")
            .into());
    }
    if columns.is_empty() {
        return Err(Error::new(SqlState::InvalidParameterValue, "columns must not be empty").into());
    }
    let (mut added, mut changed) = (Vec::new(), None);
    for name in columns {
        let column = column_number(table, name)?;
        let reference = Reference { key: key.to_u32(), table: table.to_u32(), column, declared: false };
        if migration.is_key(reference.table, column) {
            let message = format!("column \"{name}\" of table {} is itself a key", relation_name(table));
            return Err(Error::new(SqlState::InvalidParameterValue, message).into());
        }
        let known = migration
            .references
            .iter()
            .any(|known| (known.table, known.column) == (reference.table, reference.column));
        let condition = condition.of_column(migration.options.target, table, name, column)?;
        let before = migration.options.condition(reference.table, column);
        if known && condition.as_ref() != before {
            // The plan says more of a column with a foreign key.
            if before.is_none() {
                migration.options.conditions.extend(condition);
            }
            changed = Some(has_condition(migration.relation, table, name));
            continue;
        }
        if !known {
            migration.options.conditions.extend(condition);
            migration.references.push(reference.clone());
            added.push(reference);
        }
    }
    let mut facts = migration.facts(extension)?;
    surroundings::add(extension, &mut facts, &migration.options)?;
    let plan = plan::plan(&facts, &migration.options)?;
    if let Some(refusal) = plan.refusal() {
        return Err(refusal.clone().into());
    }
    if let Some(changed) = changed {
        return Err(changed.into());
    }
    let scope = Scope::new(&facts, &migration.options)?;
    for member in added.iter().filter_map(|one| scope.member(one.table, one.column)) {
        condition::refuse_existing(&scope, member)?;
    }
    for reference in &added {
        let table = facts.table(reference.table);
        let name = table.map(|table| qualified(&table.schema, &table.name)).unwrap_or_default();
        store_column(extension, migration.relation, reference, &name)?;
        if let Some(condition) = migration.options.condition(reference.table, reference.column) {
            condition::store(extension, migration.relation, condition)?;
        }
        state::restart_backfill(extension, migration.relation, pg_sys::Oid::from(reference.table))?;
    }
    Ok(())
}

/// The error for a column that is part of the migration with another condition, or with none.
fn has_condition(relation: pg_sys::Oid, table: pg_sys::Oid, name: &str) -> Error {
    let message = format!(
        "column \"{name}\" of table {} is part of the migration with other arguments",
        relation_name(table)
    );
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("type_column, type_values and null_values cannot be changed.")
        .hint(format!(
            "CALL key_migration_rollback({}), and create the migration again.",
            name_argument(relation)
        ))
}

/// Changes the settings of a migration. Declared in sql/migration/key_migration_create.sql.
///
/// # Errors
/// 22023 if a value is out of range, 42501 if the caller may not store state, 42704 if the table is
/// not being migrated, 55000 to move primary keys after the cut-over.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn key_migration_set(
    migration: Option<pg_sys::Oid>,
    batch_pages: Option<i32>,
    pause: Option<Interval>,
    lock_timeout: Option<Interval>,
    retries: Option<i32>,
    paused: Option<bool>,
    fire_triggers: Option<bool>,
    max_standby_lag: Option<Interval>,
    max_slot_wal: Option<i64>,
    max_archive_files: Option<i32>,
    max_wal_rate: Option<i64>,
    min_free_disk: Option<i64>,
    max_overdue_tables: Option<i32>,
    throttle_query: Option<RawText<'_>>,
    move_primary_key: Option<bool>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let relation = or_raise(existing_relation(migration, "migration"));
    let extension = or_raise(Extension::of_call(fcinfo));
    or_raise(check_range("batch_pages", batch_pages.map(i64::from), 1, 10_000, ""));
    or_raise(check_range("retries", retries.map(i64::from), 0, i64::from(i32::MAX), ""));
    let milliseconds =
        |interval: &Option<Interval>| interval.as_ref().map(|interval| (interval.as_micros() / 1_000) as i64);
    or_raise(check_range("pause", milliseconds(&pause), 0, 3_600_000, " ms"));
    or_raise(check_range("lock_timeout", milliseconds(&lock_timeout), 1, 600_000, " ms"));
    // 0 removes a limit.
    or_raise(check_range("max_standby_lag", milliseconds(&max_standby_lag), 0, 86_400_000, " ms"));
    for (argument, value) in [
        ("max_slot_wal", max_slot_wal),
        ("max_archive_files", max_archive_files.map(i64::from)),
        ("max_wal_rate", max_wal_rate),
        ("min_free_disk", min_free_disk),
        ("max_overdue_tables", max_overdue_tables.map(i64::from)),
    ] {
        or_raise(check_range(argument, value, 0, i64::MAX, ""));
    }
    // SAFETY: asks for the current role, as which the query will be run.
    let role = unsafe { pg_sys::GetUserId() };
    let throttle_query = throttle_query.map(|query| ServerText(query.to_utf8().to_owned()));
    let changed = check_transaction(c"key_migration_set()").map_err(Failure::from).and_then(|()| {
        state::check_may_write()?;
        let relation = state::migration_of(extension, relation)?;
        let migration = state::existing(extension, relation)?;
        if migration.options.cut_over && move_primary_key.is_some_and(|it| it != migration.options.move_primary_key) {
            return Err(cannot_move(relation).into());
        }
        if migration.options.target.keeps_values() && move_primary_key == Some(false) {
            return Err(must_move(relation).into());
        }
        if !migration.options.nodes.is_empty() {
            if move_primary_key == Some(false) {
                let detail = "On several nodes, replication finds rows by their primary keys.";
                return Err(must_move(relation).detail(detail).into());
            }
            if fire_triggers == Some(true) {
                return Err(nodes::settings::fires_triggers().into());
            }
        }
        state::write(
            "UPDATE {} SET batch_pages = COALESCE($4, batch_pages), pause = COALESCE($5, pause), \
                           lock_timeout = COALESCE($6, lock_timeout), retries = COALESCE($7, retries), \
                           paused = COALESCE($8, paused), fire_triggers = COALESCE($9, fire_triggers), \
                           max_standby_lag = NULLIF(COALESCE($10, max_standby_lag), '0'), \
                           max_slot_wal = NULLIF(COALESCE($11, max_slot_wal), 0), \
                           max_archive_files = NULLIF(COALESCE($12, max_archive_files), 0), \
                           max_wal_rate = NULLIF(COALESCE($13, max_wal_rate), 0), \
                           min_free_disk = NULLIF(COALESCE($14, min_free_disk), 0), \
                           max_overdue_tables = NULLIF(COALESCE($15, max_overdue_tables), 0), \
                           throttle_query = NULLIF(COALESCE($16, throttle_query), ''), \
                           throttle_role = CASE WHEN $16 IS NULL THEN throttle_role WHEN $16 <> '' THEN $17 END, \
                           move_primary_key = COALESCE($18, move_primary_key) \
             WHERE {own} AND relation OPERATOR(pg_catalog.=) $3",
            MIGRATION,
            extension,
            relation,
            [
                batch_pages.into(),
                pause.into(),
                lock_timeout.into(),
                retries.into(),
                paused.into(),
                fire_triggers.into(),
                max_standby_lag.into(),
                max_slot_wal.into(),
                max_archive_files.into(),
                max_wal_rate.into(),
                min_free_disk.into(),
                max_overdue_tables.into(),
                throttle_query.into(),
                role.into(),
                move_primary_key.into(),
            ],
        )?;
        // The triggers that exist now need not fire.
        if fire_triggers == Some(false) {
            let statement = "UPDATE {} AS c SET known_triggers = ARRAY(SELECT g.oid FROM pg_trigger AS g \
                             WHERE (g.tgrelid = c.relation OR pg_partition_root(g.tgrelid) = c.relation) \
                               AND NOT g.tgisinternal) WHERE {own} AND c.migration = $3";
            state::write(statement, COLUMN, extension, relation, [])?;
        }
        Ok(())
    });
    if let Err(failure) = changed {
        failure.raise();
    }
}

/// The error for a primary key that should stay although old ids can be NULL.
fn must_move(relation: pg_sys::Oid) -> Error {
    let message = format!(
        "primary keys move at the cut-over of the key migration of table {}",
        relation_name(relation)
    );
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("Its target is \"bigint\". After the cut-over, the old column is NULL in rows whose key it cannot hold.")
}

/// The error for a choice that comes after the cut-over.
fn cannot_move(relation: pg_sys::Oid) -> Error {
    let message = format!("the key migration of table {} has already been cut over", relation_name(relation));
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("move_primary_key is about the cut-over.")
        .hint(format!("CALL key_migration_rollback({}) first.", name_argument(relation)))
}

fn check_range(
    argument: &str,
    value: Option<i64>,
    least: i64,
    greatest: i64,
    unit: &str,
) -> Result<(), Error> {
    match value {
        Some(value) if !(least..=greatest).contains(&value) => Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("{argument} must be between {least}{unit} and {greatest}{unit}, not {value}{unit}"),
        )),
        _ => Ok(()),
    }
}
