//! The cut-over, its rollback and the end of a migration. Each is one short transaction, retried
//! until it acquires all locks within the lock timeout.

use keyspace::migration::list_of_objects;
use keyspace::migration::nodes::{Form, NodeStep, fence};
use keyspace::migration::step::{Lock, Statement};
use keyspace::migration::{
    Facts, Phase, Scope, clashes, cutover, cutover_view, findings, old_id_source, plan, rules,
    trigger_functions,
};
use keyspace::sql::{in_message, qualified};
use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::catalog::in_time;
use super::nodes::{change, origin, steps as node_steps, views_refused};
use super::runner::Runner;
use super::state::{self, COLUMN, KEY, MARK, MIGRATION, Migration, TABLE};
use super::{catalog, surroundings, verify};
use crate::error::report;
use crate::failpoint;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::invalidation::SeenChanges;
use crate::server::names::name_argument;
use crate::server::open::ActiveSnapshot;
use crate::server::relation::relation_name;

/// What a cut-over does in spite of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ignored {
    /// New columns without statistics.
    pub(super) statistics: bool,
    /// Keys without a default for their old ids.
    pub(super) default: bool,
}

impl Ignored {
    /// Reads the names that a caller gives.
    ///
    /// # Errors
    /// 22004, 22023 for anything else.
    pub(super) fn parse(given: Option<Vec<Option<String>>>) -> Result<Self, Error> {
        let mut ignored = Self::default();
        for name in required(given, "ignore")? {
            match required(name, "an element of ignore")?.as_str() {
                "statistics" => ignored.statistics = true,
                "default" => ignored.default = true,
                other => {
                    let message = format!("unknown element \"{other}\" of ignore");
                    return Err(Error::new(SqlState::InvalidParameterValue, message)
                        .hint("The elements can be \"statistics\" and \"default\"."));
                }
            }
        }
        Ok(ignored)
    }
}

/// Checks, before any lock is acquired, whether a cut-over would fail or have consequences.
///
/// It has a transaction of its own: it reads the tables, and an exclusive lock on a table on which the
/// transaction has a weaker one can cause a deadlock.
///
/// # Errors
/// 55000 if not all values have been compared, or if something is missing that is not ignored; 42701,
/// 42710 if a name is taken.
pub(super) fn check_start(
    runner: &Runner,
    migration: &Migration,
    by_views: bool,
    ignored: Ignored,
) -> Result<(), Failure> {
    let extension = runner.extension;
    node_steps::allow(extension, migration, NodeStep::Change(Form::Keys))?;
    if by_views && !migration.options.nodes.is_empty() {
        return Err(views_refused().into());
    }
    let mut facts = migration.facts(extension)?;
    check_verified(migration, &Scope::new(&facts, &migration.options)?, ignored)?;
    surroundings::add(extension, &mut facts, &migration.options)?;
    facts.key_ranges = in_time(|| Ok(catalog::key_ranges(&facts, &migration.options)))?;
    let scope = Scope::new(&facts, &migration.options)?;
    if by_views {
        cutover_view::check(&scope)?;
    }
    check_names(&scope, by_views)?;
    // What has been created since the comparison must not need old ids that can be NULL.
    if scope.keeps_values()
        && let Some(refusal) = plan::plan(&facts, &migration.options)?.refusal()
    {
        return Err(refusal.clone().into());
    }
    if let Some(refusal) = rules::refusal(&scope) {
        return Err(refusal.into());
    }
    check_defaults(&scope, ignored)?;
    warn_of_statistics(&scope)?;
    for finding in trigger_functions::not_compiled_again(&scope).into_iter().filter(|_| !by_views) {
        report(finding.error).report(PgLogLevel::WARNING);
    }
    warn_of_strays(extension, migration, &facts)
}

/// Gives the new columns the names of the old ones.
///
/// # Errors
/// 55000 if not all values have been compared.
pub(super) fn cut_over(
    runner: &mut Runner,
    migration: &Migration,
    by_views: bool,
    ignored: Ignored,
) -> Result<bool, Failure> {
    let statement =
        "UPDATE {} SET cut_over_at = clock_timestamp(), was_cut_over = true WHERE {own} AND relation = $3";
    let (extension, relation) = (runner.extension, runner.relation);
    let statements = |scope: &Scope<'_>| {
        // Changes since then may have made another step necessary.
        check_verified(migration, scope, ignored)?;
        if !by_views {
            return Ok(cutover::cut_over(scope));
        }
        cutover_view::check(scope)?;
        // The views get the names that the tables have now.
        let names = "UPDATE {} AS t SET view_name = c.relname FROM pg_class AS c \
                     WHERE {own} AND t.migration = $3 AND c.oid = t.relation";
        state::write(names, TABLE, extension, relation, [])?;
        Ok(plain(cutover_view::cut_over(scope)))
    };
    run(runner, migration, ("cut over", NodeStep::Change(Form::Keys)), statements, |runner| {
        state::write(statement, MIGRATION, runner.extension, runner.relation, [])?;
        if !by_views {
            forget_views(runner)?;
        }
        Ok(())
    })
}

/// Makes writers wait on this node, while apply goes on.
///
/// # Errors
/// 55000 if other nodes are not as far as this one.
pub(super) fn close(runner: &mut Runner, migration: &Migration) -> Result<bool, Failure> {
    let statements = |scope: &Scope<'_>| Ok(plain(fence::close(scope)));
    run(runner, migration, ("make writers wait", NodeStep::Close), statements, |_| Ok(()))
}

/// Whether the triggers that make writers wait exist.
///
/// # Errors
/// Those of the facts.
pub(super) fn has_fence(runner: &Runner, migration: &Migration) -> Result<bool, Failure> {
    Ok(migration.facts(runner.extension)?.tables.iter().any(fence::is_on))
}

/// Drops the triggers that made writers wait on this node.
///
/// # Errors
/// Those of the statements.
pub(super) fn drop_fence(runner: &mut Runner, migration: &Migration) -> Result<bool, Failure> {
    let statements = |_: &Migration, facts: &Facts| Ok(plain(fence::open(facts)));
    let lock_order =
        |migration: &Migration, facts: &Facts| Ok(cutover::lock_order_of(facts, &migration.options));
    run_on(runner, migration, ("let writers go on", None), lock_order, statements, |_| Ok(()))
}

/// Refuses a migration that has steps left before its cut-over.
///
/// # Errors
/// 55000.
fn check_verified(migration: &Migration, scope: &Scope<'_>, ignored: Ignored) -> Result<(), Failure> {
    let plan = plan::plan(scope.facts, scope.options)?;
    let mut left = plan.left(Phase::Verified).filter(|step| !(step.is_statistics && ignored.statistics));
    let Some(step) = left.next() else { return Ok(()) };
    let argument = name_argument(migration.relation);
    let statements = format!(
        "In psql, run \\set ON_ERROR_STOP on, then SELECT statement FROM key_migration_statements({argument}) \\gexec."
    );
    if step.is_statistics && left.all(|step| step.is_statistics) {
        let table = scope.facts.table(step.table);
        let name = table.map(|table| qualified(&table.schema, &table.name)).unwrap_or_default();
        let message = format!("new columns of table {} have no statistics", in_message(&name));
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("Without them the planner guesses, and queries by the new keys can be slow.")
            .hint(format!(
                "Run {}. To cut over without statistics, use ignore => '{{statistics}}'.",
                step.statements.concat()
            ))
            .into());
    }
    let message = format!("the key migration of table {} is not verified", relation_name(migration.relation));
    // What has happened since the values were compared.
    let doubt = plan.steps.iter().find(|step| step.phase == Phase::Verified).map(|step| step.detail.as_str());
    let mut detail = format!("The next step is \"{}\".", step.action);
    if let Some(doubt) = doubt.filter(|doubt| !doubt.is_empty()) {
        detail.push_str(&format!(" The values have to be compared again: {doubt}."));
    }
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(detail).hint(statements).into())
}

/// Refuses a cut-over for which a name is taken.
///
/// # Errors
/// 42701, 42710.
fn check_names(scope: &Scope<'_>, by_views: bool) -> Result<(), Error> {
    clashes::errors(scope, by_views).into_iter().next().map_or(Ok(()), Err)
}

/// Refuses a cut-over after which no row could be inserted.
///
/// # Errors
/// 55000 for a key without a default, unless this is ignored.
fn check_defaults(scope: &Scope<'_>, ignored: Ignored) -> Result<(), Error> {
    for error in old_id_source::missing_defaults(scope) {
        if !ignored.default {
            let hint = format!(
                "{} If every INSERT names the old id itself, use ignore => '{{default}}'.",
                error.hint.as_deref().unwrap_or_default()
            );
            return Err(error.hint(hint));
        }
        report(error).report(PgLogLevel::WARNING);
    }
    Ok(())
}

/// Warns of new columns without statistics, which the caller ignores.
fn warn_of_statistics(scope: &Scope<'_>) -> Result<(), Error> {
    let plan = plan::plan(scope.facts, scope.options)?;
    for step in plan.left(Phase::Validated).filter(|step| step.is_statistics) {
        let table = scope.facts.table(step.table);
        let name = table.map(|table| qualified(&table.schema, &table.name)).unwrap_or_default();
        let message = format!("new columns of table {} have no statistics", in_message(&name));
        let error =
            Error::new(SqlState::ObjectNotInPrerequisiteState, message).hint(format!("Run ANALYZE {name}."));
        report(error).report(PgLogLevel::WARNING);
    }
    Ok(())
}

/// Warns if old ids come from sequences that are not of this node's class (trap M23).
///
/// # Errors
/// 55000 for a migration on several nodes.
fn warn_of_strays(extension: Extension, migration: &Migration, facts: &Facts) -> Result<(), Failure> {
    for (table, sequence) in catalog::strays(extension, &migration.options.keys)? {
        if let Some(table) = facts.table(table) {
            let error = findings::stray(table, &sequence).error;
            // Two nodes would give one old id to two rows.
            if !migration.options.nodes.is_empty() {
                return Err(error.into());
            }
            report(error).report(PgLogLevel::WARNING);
        }
    }
    Ok(())
}

/// Rolls back the cut-over or, before it, the whole migration.
///
/// # Errors
/// Those of the statements.
pub(super) fn roll_back(runner: &mut Runner, migration: &Migration) -> Result<bool, Failure> {
    if migration.options.cut_over {
        // The index on keys is built again if a primary key has moved, and all values are then compared
        // again.
        let statement = "UPDATE {} SET cut_over_at = NULL, \
                                       verified_at = CASE WHEN move_primary_key THEN NULL ELSE verified_at END \
                         WHERE {own} AND relation = $3";
        let by_views = !migration.options.views.is_empty();
        let statements = |scope: &Scope<'_>| {
            Ok(if by_views { plain(cutover_view::roll_back(scope)?) } else { cutover::roll_back(scope)? })
        };
        let step = ("roll back the cut-over", NodeStep::Change(Form::OldIds));
        return run(runner, migration, step, statements, |runner| {
            state::write(statement, MIGRATION, runner.extension, runner.relation, [])?;
            forget_views(runner)
        });
    }
    // The state of one on several nodes stays until the others have removed theirs, too.
    let is_prepared = node_steps::is_left(runner.extension, migration, NodeStep::Change(Form::Unprepared))?;
    if !migration.options.nodes.is_empty() && !is_prepared && !migration.options.shadows.is_empty() {
        return Err(half_prepared(migration).into());
    }
    let remove = |migration: &Migration, facts: &Facts| Ok(plain(cutover::remove(facts, &migration.options)));
    let lock_order =
        |migration: &Migration, facts: &Facts| Ok(cutover::lock_order_of(facts, &migration.options));
    let step = is_prepared.then_some(NodeStep::Change(Form::Unprepared));
    run_on(runner, migration, ("roll back", step), lock_order, remove, |runner| {
        if !migration.options.nodes.is_empty() {
            origin::drop_of(runner.relation);
        }
        if is_prepared {
            state::reset(runner.extension, runner.relation)?;
        } else {
            state::remove(runner.extension, runner.relation)?;
        }
        Ok(())
    })
}

/// The error for a migration on several nodes some of whose tables have new columns: rows with these
/// columns may be on their way.
fn half_prepared(migration: &Migration) -> Error {
    let message = format!(
        "only some tables of the key migration of table {} are prepared",
        relation_name(migration.relation)
    );
    Error::new(SqlState::ObjectNotInPrerequisiteState, message).hint(format!(
        "CALL key_migration_advance({}, through => 'prepared') first.",
        name_argument(migration.relation)
    ))
}

/// Compares once more before the old columns are dropped, and checks whether anything still uses
/// them.
///
/// # Errors
/// 55000 if anything does, or if values do not match.
pub(super) fn check_end(runner: &Runner, migration: &Migration, keep_old_ids: bool) -> Result<(), Failure> {
    let facts = migration.facts(runner.extension)?;
    check_nothing_left(migration, &Scope::new(&facts, &migration.options)?, keep_old_ids)?;
    verify::check_end(runner.extension, migration, keep_old_ids)
}

/// Drops the old columns, or keeps them without maintaining them.
///
/// # Errors
/// 55000 if anything still uses them.
pub(super) fn finalize(
    runner: &mut Runner,
    migration: &Migration,
    keep_old_ids: bool,
) -> Result<bool, Failure> {
    if !migration.options.views.is_empty() {
        // First replace the views by renamed columns, in a separate transaction. Then proceed as
        // without views.
        let statements = |scope: &Scope<'_>| Ok(plain(cutover_view::into_names(scope)?));
        let step = ("replace the views", NodeStep::Change(Form::Finalized));
        run(runner, migration, step, statements, forget_views)?;
        return Ok(true);
    }
    run(
        runner,
        migration,
        ("finalize", NodeStep::Change(Form::Finalized)),
        |scope| {
            check_nothing_left(migration, scope, keep_old_ids)?;
            Ok(cutover::finalize(scope, keep_old_ids))
        },
        |runner| store_end(runner, migration),
    )
}

/// Stores that a migration has ended.
pub(super) fn store_end(runner: &Runner, migration: &Migration) -> Result<(), Failure> {
    for (statement, table) in [
        ("UPDATE {} SET finalized_at = clock_timestamp() WHERE {own} AND relation = $3", MIGRATION),
        ("DELETE FROM {} WHERE {own} AND migration = $3", KEY),
        ("DELETE FROM {} WHERE {own} AND migration = $3", COLUMN),
        ("DELETE FROM {} WHERE {own} AND migration = $3", TABLE),
        ("DELETE FROM {} WHERE {own} AND migration = $3", MARK),
    ] {
        state::write(statement, table, runner.extension, runner.relation, [])?;
    }
    if !migration.options.nodes.is_empty() {
        origin::drop_of(runner.relation);
    }
    Ok(())
}

/// Refuses to end a migration if other objects still depend on the old columns.
///
/// # Errors
/// 55000 if anything would be dropped together with the old ids.
fn check_nothing_left(migration: &Migration, scope: &Scope<'_>, keep_old_ids: bool) -> Result<(), Failure> {
    let left = cutover::left_behind(scope, keep_old_ids);
    if left.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the old columns of the key migration of table {} are still used",
        relation_name(migration.relation)
    );
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail(format!("They are used by {}.", list_of_objects(&left)))
        .hint("Re-create these objects on the new columns, or drop them. With keep_old_ids => true, all of them except foreign keys and defaults can stay.")
        .into())
}

/// Refuses to finalize a migration unless the caller names its table.
///
/// # Errors
/// 22004, 22023 without the name of the table; 55000 before the cut-over.
pub(super) fn check_confirmation(
    migration: &Migration,
    extension: Extension,
    confirm: Option<&str>,
) -> Result<(), Failure> {
    let [name, full_name] = names(migration, extension)?;
    let hint = format!("This drops the old columns and their ids. To confirm, use confirm => '{name}'.");
    match confirm {
        None => Err(crate::server::call::null("confirm").hint(hint).into()),
        Some(given) if given != name && given != full_name => Err(wrong_name(&name, given).hint(hint).into()),
        Some(_) if !migration.options.cut_over => {
            let message = format!("the key migration of table \"{name}\" has not been cut over");
            Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                .hint(format!("CALL key_migration_cutover({}) first.", name_argument(migration.relation)))
                .into())
        }
        Some(_) => Ok(()),
    }
}

/// Refuses to remove a migration unless the caller names its table, if clients may know keys that
/// cannot be derived again.
///
/// # Errors
/// 55000 without the name of the table after a cut-over that was rolled back; 22023 for another
/// name.
pub(super) fn check_removal(
    migration: &Migration,
    extension: Extension,
    confirm: Option<&str>,
) -> Result<(), Failure> {
    let [name, full_name] = names(migration, extension)?;
    if !node_steps::is_left(extension, migration, NodeStep::Change(Form::Unprepared))? {
        node_steps::check_forgotten(extension, migration, confirm.is_some())?;
    }
    match confirm {
        Some(given) if given != name && given != full_name => Err(wrong_name(&name, given).into()),
        None if migration.was_cut_over && !migration.options.cut_over => {
            let message =
                format!("the cut-over of the key migration of table \"{name}\" has already been rolled back");
            Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                .detail("All keys would be lost, and those that were generated after the cut-over cannot be derived again.")
                .hint(format!("To roll back the whole migration, CALL key_migration_rollback({}, confirm => '{name}').",
                    name_argument(migration.relation)
                ))
                .into())
        }
        _ => Ok(()),
    }
}

/// The name of the table of the migration's first key, alone and with its schema. If a view
/// replaces the table, the name of the view.
fn names(migration: &Migration, extension: Extension) -> Result<[String; 2], Failure> {
    let facts = migration.facts(extension)?;
    let names = facts.table(migration.relation.to_u32()).map(|root| {
        let view = migration.options.views.iter().find(|view| view.0 == root.oid);
        let name = view.map_or(&root.name, |view| &view.1);
        [name.clone(), qualified(&root.schema, name)]
    });
    Ok(names.unwrap_or_default())
}

fn wrong_name(name: &str, given: &str) -> Error {
    Error::new(SqlState::InvalidParameterValue, format!("confirm must be \"{name}\", not \"{given}\""))
}

/// Forgets the views.
fn forget_views(runner: &Runner) -> Result<(), Failure> {
    let statement = "UPDATE {} SET view_name = NULL WHERE {own} AND migration = $3 AND view_name IS NOT NULL";
    state::write(statement, TABLE, runner.extension, runner.relation, [])?;
    Ok(())
}

/// Statements that evaluate no code of a table's owner.
pub(super) fn plain(statements: Vec<String>) -> Vec<Statement> {
    statements.into_iter().map(Statement::from).collect()
}

/// As [`run_on`], with the columns of the migration.
fn run(
    runner: &mut Runner,
    migration: &Migration,
    (action, step): (&str, NodeStep),
    statements: impl FnOnce(&Scope<'_>) -> Result<Vec<Statement>, Failure>,
    store: impl FnOnce(&Runner) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let lock_order = |migration: &Migration, facts: &Facts| {
        Ok(cutover::lock_order(&Scope::new(facts, &migration.options)?))
    };
    let statements =
        |migration: &Migration, facts: &Facts| statements(&Scope::new(facts, &migration.options)?);
    run_on(runner, migration, (action, Some(step)), lock_order, statements, store)
}

/// Locks all tables, builds the statements from the catalogs and the stored state under these locks,
/// and runs them. Returns whether to try again.
///
/// Other sessions wait meanwhile, so what was read before the locks counts if nothing has changed. The
/// step is one of a migration on several nodes, whose other nodes must allow it.
pub(super) fn run_on(
    runner: &mut Runner,
    migration: &Migration,
    (action, step): (&str, Option<NodeStep>),
    lock_order: impl Fn(&Migration, &Facts) -> Result<Vec<u32>, Failure>,
    statements: impl FnOnce(&Migration, &Facts) -> Result<Vec<Statement>, Failure>,
    store: impl FnOnce(&Runner) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    if let Some(step) = step
        && !change::begin(runner.extension, migration, step)?
    {
        let error = node_steps::taken_in(migration.relation);
        return runner.again(&migration.pace, error).map(|()| true);
    }
    let seen = SeenChanges::now();
    let snapshot = ActiveSnapshot::latest();
    let facts = migration.facts(runner.extension)?;
    drop(snapshot);
    // Readers need not wait for a trigger that is created.
    let lock = if step == Some(NodeStep::Close) { Lock::ShareRowExclusive } else { Lock::AccessExclusive };
    let relations: Vec<(pg_sys::Oid, Lock)> =
        lock_order(migration, &facts)?.into_iter().map(|table| (pg_sys::Oid::from(table), lock)).collect();
    let extension = runner.extension;
    let statements_under_locks = || {
        lock_indexes(&relations);
        // A table may have been written to another file, or marked, before it was locked.
        let migration = migration.again(extension)?;
        let mut facts = if seen.are_all() { facts } else { migration.facts(extension)? };
        facts.defaults = catalog::defaults(&facts, &migration.options)?;
        // If another table refers to one of these by now, it must be locked, too.
        let mut tables = lock_order(&migration, &facts)?.into_iter().map(pg_sys::Oid::from);
        if !tables.all(|table| relations.iter().any(|locked| locked.0 == table)) {
            return Ok(None);
        }
        let mut statements = statements(&migration, &facts)?;
        if let Some(step) = step.filter(|_| !migration.options.nodes.is_empty()) {
            statements.extend(change::statements(&facts, step));
        }
        Ok(Some((statements, ())))
    };
    let Some((statements, (), times)) =
        runner.in_locks(&migration.pace, &relations, statements_under_locks, action)?
    else {
        return Ok(true);
    };
    runner.log(None, action, &statements, times)?;
    store(runner)?;
    if let Some(step) = step {
        node_steps::taken(extension, migration, step)?;
    }
    failpoint::point(|| format!("{action}: stored"));
    let milliseconds = times.held.as_micros() / 100;
    notice!(
        "{action}: {} tables were locked for {}.{} ms",
        relations.len(),
        milliseconds / 10,
        milliseconds % 10
    );
    Ok(false)
}

/// Locks the indexes of locked tables, because an index can be renamed without a lock on its table.
fn lock_indexes(tables: &[(pg_sys::Oid, Lock)]) {
    for (table, _) in tables {
        // SAFETY: the table is locked if it still exists; the list is a copy; locks are taken by
        // OID.
        unsafe {
            let relation = pg_sys::try_relation_open(*table, pg_sys::NoLock as i32);
            if relation.is_null() {
                continue;
            }
            let indexes = pg_sys::RelationGetIndexList(relation);
            for at in 0..if indexes.is_null() { 0 } else { (*indexes).length } {
                let index = pg_sys::list_nth_oid(indexes, at);
                pg_sys::LockRelationOid(index, pg_sys::ShareUpdateExclusiveLock as i32);
            }
            pg_sys::list_free(indexes);
            pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        }
    }
}
