//! The steps of a migration and those that are left. Nothing here changes anything.

use keyspace::migration::facts::{Reference, Table};
use keyspace::migration::plan::{self, Plan};
use keyspace::migration::step::{Lock, Runs, Step};
use keyspace::migration::{Facts, Options, Phase, costs};
use keyspace::migration::{key_column, partitioned_key};
use keyspace::sql::{literal, qualified};
use pgrx::AnyArray;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

use super::arguments::{KeyArguments, PlanArguments, TimeArguments};
use super::state::{self, Migration};
use super::{catalog, expression, surroundings, undeclared, zone};
use crate::encoding::ServerText;
use crate::error::or_raise;
use crate::keys::RawText;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::existing_relation;
use crate::server::settings;
use crate::server::timeout::Timeout;

/// The facts for keys that are not migrated yet. Keys without a salt get the usual one. Time zones
/// and expressions that the caller gives are checked.
pub(super) fn fresh(
    extension: Extension,
    mut options: Options,
    references: &[Reference],
) -> Result<(Facts, Options), Failure> {
    for key in options.keys.iter_mut().filter(|key| key.time.is_none()) {
        key.request.check()?;
        if let Some(zone) = &mut key.request.zone {
            *zone = zone::canonical_name(zone)?;
        }
    }
    let mut facts = catalog::facts(extension, &options.keys, references, None)?;
    for key in options.keys.iter_mut().filter(|key| key.column.is_none()) {
        let id_of = |table: &Table| {
            if table.is_partitioned() {
                partitioned_key::id_of(&facts, table)
            } else {
                key_column::id_of(table)
            }
        };
        key.column = facts.table(key.table).and_then(id_of);
    }
    for key in options.keys.iter_mut().filter(|key| key.time.is_none()) {
        // Of a relation that is no table there are no rows to evaluate anything for.
        let is_table =
            facts.table(key.table).is_some_and(|table| table.kind == "r" || table.is_partitioned());
        if let Some(text) = key.request.expression.as_ref().filter(|_| is_table) {
            let zone = key.request.zone.as_deref();
            key.time = Some(expression::source(pg_sys::Oid::from(key.table), text, zone)?);
        }
    }
    for key in options.keys.iter_mut().filter(|key| key.salt.is_empty()) {
        if let Some(table) = facts.table(key.table) {
            key.salt = format!("{}.{}", table.schema, table.name);
        }
    }
    facts.key_ranges = catalog::key_ranges(&facts, &options);
    facts.unfit_ids = catalog::unfit_ids(&facts, &options);
    facts.strays = catalog::strays(extension, &options.keys)?;
    surroundings::add(extension, &mut facts, &options)?;
    Ok((facts, options))
}

/// The plan of a migration, or of one that has not been created. Declared in
/// sql/migration/key_migration_plan.sql.
///
/// # Errors
/// 22004, 22023 for invalid arguments; 42703, 42704, 42804 and 0A000 for a table without a key, or for a
/// source from which keys cannot take their time; 42501 for an expression over a table of another
/// owner.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn key_migration_plan(
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
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(step, Option<i32>),
        name!(phase, Option<&'static str>),
        name!(table_name, Option<pg_sys::Oid>),
        name!(action, Option<ServerText>),
        name!(done, Option<bool>),
        name!(lock, Option<&'static str>),
        name!(row_count, Option<i64>),
        name!(byte_count, Option<i64>),
        name!(detail, Option<ServerText>),
        name!(statement, Option<ServerText>),
    ),
> {
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
    match read(or_raise(Extension::of_call(fcinfo)), relation, &arguments) {
        Ok((_, plan)) => rows(plan),
        Err(failure) => failure.raise(),
    }
}

fn read(
    extension: Extension,
    relation: pg_sys::Oid,
    arguments: &PlanArguments<'_>,
) -> Result<(Facts, Plan), Failure> {
    let options = arguments.options(relation)?;
    let existing = state::load(extension, state::migration_of(extension, relation)?)?;
    let (mut facts, options, relation) = match existing.filter(|migration| !migration.is_finalized) {
        Some(migration) => {
            let mut facts = migration.facts(extension)?;
            facts.key_ranges = catalog::key_ranges(&facts, &migration.options);
            facts.strays = catalog::strays(extension, &migration.options.keys)?;
            facts.failed_times = catalog::failed_times(&migration.options.keys);
            surroundings::add(extension, &mut facts, &migration.options)?;
            (facts, migration.options, migration.relation)
        }
        None => {
            let (facts, options) = fresh(extension, options, &[])?;
            (facts, options, relation)
        }
    };
    catalog::count_violations(&mut facts, &options);
    undeclared::read(extension, &mut facts, &options)?;
    let mut plan = plan::plan(&facts, &options)?;
    if !options.cut_over {
        let count = statements(&options, relation, &facts, &plan, Phase::Verified).len();
        plan.findings.extend(costs::statement_count(&facts, relation.to_u32(), count));
    }
    Ok((facts, plan))
}

#[allow(clippy::type_complexity)]
fn rows(
    plan: Plan,
) -> TableIterator<
    'static,
    (
        Option<i32>,
        Option<&'static str>,
        Option<pg_sys::Oid>,
        Option<ServerText>,
        Option<bool>,
        Option<&'static str>,
        Option<i64>,
        Option<i64>,
        Option<ServerText>,
        Option<ServerText>,
    ),
> {
    let findings = plan.findings.into_iter().map(|finding| {
        let action = finding.severity.name();
        let mut detail = finding.error.message;
        for part in [finding.error.detail, finding.error.hint].into_iter().flatten() {
            detail.push_str(if detail.ends_with('.') { " " } else { ". " });
            detail.push_str(&part);
        }
        let table = Some(pg_sys::Oid::from(finding.table));
        let action = Some(ServerText(action.to_owned()));
        (None, None, table, action, None, None, None, None, Some(ServerText(detail)), None)
    });
    let steps = plan.steps.into_iter().enumerate().map(|(at, step)| {
        (
            i32::try_from(at + 1).ok(),
            Some(step.phase.name()),
            Some(pg_sys::Oid::from(step.table)),
            Some(ServerText(step.action)),
            Some(step.done),
            step.lock.map(Lock::name),
            Some(step.rows),
            Some(step.bytes),
            Some(step.detail).filter(|detail| !detail.is_empty()).map(ServerText),
            Some(step.statements.join(";\n")).filter(|text| !text.is_empty()).map(ServerText),
        )
    });
    TableIterator::new(findings.collect::<Vec<_>>().into_iter().chain(steps.collect::<Vec<_>>()))
}

/// The statements that are left. Declared in sql/migration/key_migration_plan.sql.
///
/// # Errors
/// 42704 if the table is not being migrated, 22023 for a phase that is not reached by these
/// statements.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn key_migration_statements(
    migration: Option<pg_sys::Oid>,
    through: Option<&str>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (name!(step, Option<i32>), name!(phase, Option<&'static str>), name!(statement, Option<ServerText>)),
> {
    let relation = or_raise(existing_relation(migration, "migration"));
    let through = or_raise(required(through, "through").and_then(Phase::parse_through));
    let extension = or_raise(Extension::of_call(fcinfo));
    let relation = state::migration_of(extension, relation);
    let left = relation.and_then(|relation| state::existing(extension, relation)).and_then(|migration| {
        let (facts, plan) = migration.plan(extension)?;
        Ok(statements(&migration.options, migration.relation, &facts, &plan, through))
    });
    match left {
        Ok(left) => TableIterator::new(left.into_iter().enumerate().map(|(at, (phase, statement))| {
            (i32::try_from(at + 1).ok(), Some(phase.name()), Some(ServerText(statement)))
        })),
        Err(failure) => failure.raise(),
    }
}

/// The number of parts into which the backfill of a table is divided, with a VACUUM after each.
const PARTS: i64 = 10;
/// Tables up to this size, in pages, are not divided.
const SMALL: i64 = 1_280;

fn statements(
    options: &Options,
    relation: pg_sys::Oid,
    facts: &Facts,
    plan: &Plan,
    through: Phase,
) -> Vec<(Phase, String)> {
    if options.cut_over {
        return Vec::new();
    }
    let root = facts.table(relation.to_u32());
    let root = root.map(|root| qualified(&root.schema, &root.name)).unwrap_or_default();
    let advance = |phase: Phase, pages: Option<i64>| {
        // All arguments with the declared types, so that the call cannot resolve to another
        // procedure of this name.
        let pages = pages.map_or("NULL".to_owned(), |pages| pages.to_string());
        format!(
            "CALL {}.key_migration_advance({}::pg_catalog.regclass, through => {}::pg_catalog.text, \
             max_pages => {pages}::pg_catalog.int8)",
            facts.extension_schema,
            literal(&root),
            literal(phase.name())
        )
    };
    let mut statements: Vec<(Phase, String)> = Vec::new();
    for step in plan.left(through) {
        let statement = match step.runs {
            Runs::Client if step.phase == Phase::Backfilled => continue,
            Runs::Client => step.statements.concat(),
            Runs::Batches => {
                statements.extend(parts(facts, step, &advance));
                continue;
            }
            Runs::Advance | Runs::Procedure => advance(step.phase, None),
        };
        if statements.last().is_none_or(|last| last.1 != statement) {
            statements.push((step.phase, statement));
        }
    }
    statements
}

/// A table's backfill, part by part.
fn parts(
    facts: &Facts,
    step: &Step,
    advance: &impl Fn(Phase, Option<i64>) -> String,
) -> Vec<(Phase, String)> {
    let Some(table) = facts.table(step.table) else { return Vec::new() };
    // SAFETY: a constant of the server.
    let pages = table.heap_bytes / i64::from(pg_sys::BLCKSZ) + 1;
    let count = if pages <= SMALL { 1 } else { PARTS };
    let vacuum = format!("VACUUM {}", qualified(&table.schema, &table.name));
    let part = advance(Phase::Backfilled, Some(pages / count + 1));
    let mut statements = Vec::new();
    for _ in 0..count {
        statements.push((Phase::Backfilled, part.clone()));
        statements.push((Phase::Backfilled, vacuum.clone()));
    }
    statements
}

/// The last complete phase of a migration. Declared in sql/migration/key_migration_plan.sql.
///
/// # Errors
/// 42704 if the table is not being migrated, 55P03 if a table is locked.
#[pg_extern(sql = false)]
fn key_migration_phase(migration: pg_sys::Oid, fcinfo: pg_sys::FunctionCallInfo) -> &'static str {
    match phase_of(migration, or_raise(Extension::of_call(fcinfo))) {
        Ok(phase) => phase.name(),
        Err(failure) => failure.raise(),
    }
}

/// The same for the view `key_migration_progress`, which shows all migrations: NULL if a table is
/// locked, without waiting, or if it was changed so that its key cannot be migrated any more. The
/// errors of one migration must not hide the others.
#[pg_extern(sql = false)]
fn key_migration_phase_at_once(
    migration: pg_sys::Oid,
    fcinfo: pg_sys::FunctionCallInfo,
) -> Option<&'static str> {
    let timeout = Timeout::SHORTEST.setting();
    let phase = settings::with(&[(c"lock_timeout", timeout.as_c_str())], || {
        phase_of(migration, or_raise(Extension::of_call(fcinfo)))
    });
    match phase {
        Ok(phase) => Some(phase.name()),
        Err(Failure::Refused(_)) => None,
        Err(failure) => failure.raise(),
    }
}

fn phase_of(migration: pg_sys::Oid, extension: Extension) -> Result<Phase, Failure> {
    let relation = state::migration_of(extension, migration)?;
    match state::load(extension, relation)? {
        Some(migration) if migration.is_finalized => Ok(Phase::Finalized),
        // Known without the catalogs, from which a column may have been dropped.
        Some(migration) if migration.options.cut_over => Ok(Phase::CutOver),
        Some(migration) => Ok(phase(&migration, &migration.plan(extension)?.1)),
        None => state::existing(extension, migration).map(|_| Phase::Planned),
    }
}

/// The last complete phase of a migration.
pub(super) fn phase(migration: &Migration, plan: &Plan) -> Phase {
    if migration.options.cut_over {
        return Phase::CutOver;
    }
    let first_left = plan.steps.iter().find(|step| !step.done).map_or(Phase::CutOver, |step| step.phase);
    let before = Phase::ALL.into_iter().filter(|phase| *phase < first_left);
    before.max().unwrap_or(Phase::Planned)
}
