//! The cut-over, its rollback and the end of a migration. Each is one short transaction, retried
//! until it acquires all locks within the lock timeout.

use keyspace::migration::step::{Lock, Statement};
use keyspace::migration::{Facts, Phase, Scope, cutover, cutover_view, findings, plan};
use keyspace::sql::qualified;
use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::runner::Runner;
use super::state::{self, COLUMN, KEY, MIGRATION, Migration, TABLE};
use super::{catalog, verify};
use crate::error::report;
use crate::failpoint;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::relation_name;

/// Gives the new columns the names of the old ones.
///
/// # Errors
/// 55000 if not all values have been compared.
pub(super) fn cut_over(runner: &mut Runner, migration: &Migration, by_views: bool) -> Result<bool, Failure> {
    let facts = migration.facts(runner.extension)?;
    check_verified(migration, &Scope::new(&facts, &migration.options)?)?;
    if runner.tries == 0 {
        warn_of_strays(runner.extension, migration, &facts)?;
    }
    let statement =
        "UPDATE {} SET cut_over_at = clock_timestamp(), was_cut_over = true WHERE {own} AND relation = $3";
    let (extension, relation) = (runner.extension, runner.relation);
    let statements = |scope: &Scope<'_>| {
        // Changes since then may have made another step necessary.
        check_verified(migration, scope)?;
        if !by_views {
            return Ok(plain(cutover::cut_over(scope)));
        }
        cutover_view::check(scope)?;
        // The views get the names that the tables have now.
        let names = "UPDATE {} AS t SET view_name = c.relname FROM pg_class AS c \
                     WHERE {own} AND t.migration = $3 AND c.oid = t.relation";
        state::write(names, TABLE, extension, relation, [])?;
        Ok(plain(cutover_view::cut_over(scope)))
    };
    run(runner, migration, "cut over", statements, |runner| {
        state::write(statement, MIGRATION, runner.extension, runner.relation, [])?;
        if !by_views {
            forget_views(runner)?;
        }
        Ok(())
    })
}

/// Refuses a migration that has steps left before its cut-over.
///
/// # Errors
/// 55000.
fn check_verified(migration: &Migration, scope: &Scope<'_>) -> Result<(), Failure> {
    let plan = plan::plan(scope.facts, scope.options)?;
    let Some(step) = plan.left(Phase::Verified).next() else { return Ok(()) };
    let message = format!("the key migration of table {} is not verified", relation_name(migration.relation));
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail(format!("The next step is \"{}\".", step.action))
        .hint("Run SELECT statement FROM key_migration_statements(...) \\gexec in psql first.")
        .into())
}

/// Warns if old ids come from sequences that are not of this node's class (trap M23).
fn warn_of_strays(extension: Extension, migration: &Migration, facts: &Facts) -> Result<(), Failure> {
    for (table, sequence) in catalog::strays(extension, &migration.options.keys)? {
        if let Some(table) = facts.table(table) {
            report(findings::stray(table, &sequence).error).report(PgLogLevel::WARNING);
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
        let statement = "UPDATE {} SET cut_over_at = NULL WHERE {own} AND relation = $3";
        let by_views = !migration.options.views.is_empty();
        let statements = |scope: &Scope<'_>| {
            Ok(plain(if by_views { cutover_view::roll_back(scope)? } else { cutover::roll_back(scope) }))
        };
        return run(runner, migration, "roll back the cut-over", statements, |runner| {
            state::write(statement, MIGRATION, runner.extension, runner.relation, [])?;
            forget_views(runner)
        });
    }
    run(
        runner,
        migration,
        "roll back",
        |scope| Ok(plain(cutover::remove(scope))),
        |runner| {
            state::remove(runner.extension, runner.relation)?;
            Ok(())
        },
    )
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
        run(runner, migration, "replace the views", statements, forget_views)?;
        return Ok(true);
    }
    run(
        runner,
        migration,
        "finalize",
        |scope| {
            check_nothing_left(migration, scope, keep_old_ids)?;
            Ok(cutover::finalize(scope, keep_old_ids))
        },
        |runner| {
            for (statement, table) in [
                ("UPDATE {} SET finalized_at = clock_timestamp() WHERE {own} AND relation = $3", MIGRATION),
                ("DELETE FROM {} WHERE {own} AND migration = $3", KEY),
                ("DELETE FROM {} WHERE {own} AND migration = $3", COLUMN),
                ("DELETE FROM {} WHERE {own} AND migration = $3", TABLE),
            ] {
                state::write(statement, table, runner.extension, runner.relation, [])?;
            }
            Ok(())
        },
    )
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
        .detail(format!("They are used by {}.", left.join(", ")))
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
                .hint("CALL key_migration_cutover() first.")
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
    match confirm {
        Some(given) if given != name && given != full_name => Err(wrong_name(&name, given).into()),
        None if migration.was_cut_over && !migration.options.cut_over => {
            let message =
                format!("the cut-over of the key migration of table \"{name}\" has already been rolled back");
            Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                .detail("All keys would be lost, and those that were generated after the cut-over cannot be derived again.")
                .hint(format!("To roll back the whole migration, CALL key_migration_rollback(..., confirm => '{name}')."))
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
fn plain(statements: Vec<String>) -> Vec<Statement> {
    statements.into_iter().map(Statement::from).collect()
}

/// Locks all tables, builds the statements from the catalogs under these locks, and runs them.
/// Returns whether to try again.
fn run(
    runner: &mut Runner,
    migration: &Migration,
    action: &str,
    statements: impl FnOnce(&Scope<'_>) -> Result<Vec<Statement>, Failure>,
    store: impl FnOnce(&Runner) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let facts = migration.facts(runner.extension)?;
    let scope = Scope::new(&facts, &migration.options)?;
    let relations: Vec<(pg_sys::Oid, Lock)> = cutover::lock_order(&scope)
        .into_iter()
        .map(|table| (pg_sys::Oid::from(table), Lock::AccessExclusive))
        .collect();
    let extension = runner.extension;
    let statements_under_locks = || {
        lock_indexes(&relations);
        let mut facts = migration.facts(extension)?;
        facts.defaults = catalog::defaults(&facts, &migration.options)?;
        let scope = Scope::new(&facts, &migration.options)?;
        // If another table refers to one of these by now, it must be locked, too.
        let mut tables = cutover::lock_order(&scope).into_iter().map(pg_sys::Oid::from);
        if !tables.all(|table| relations.iter().any(|locked| locked.0 == table)) {
            return Ok(None);
        }
        Ok(Some((statements(&scope)?, ())))
    };
    let Some((statements, (), times)) =
        runner.in_locks(&migration.pace, &relations, statements_under_locks, action)?
    else {
        return Ok(true);
    };
    runner.log(None, action, &statements, times)?;
    store(runner)?;
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
