//! The end of a migration whose old ids somebody has dropped after its cut-over.

use keyspace::migration::{Facts, cutover as order, lost_old_ids};

use super::cutover::{plain, run_on, store_end};
use super::runner::Runner;
use super::state::Migration;
use crate::server::failure::Failure;

/// Whether the old ids of a key no longer exist.
///
/// # Errors
/// Those of reading the catalogs.
pub(super) fn are_lost(runner: &Runner, migration: &Migration) -> Result<bool, Failure> {
    let facts = migration.facts(runner.extension)?;
    Ok(lost_old_ids::are_lost(&facts, &migration.options))
}

/// Ends the migration. Nothing is compared, because there is nothing to compare with.
///
/// # Errors
/// Those of [`lost_old_ids::end`], and of the statements.
pub(super) fn end(runner: &mut Runner, migration: &Migration) -> Result<bool, Failure> {
    let lock_order =
        |migration: &Migration, facts: &Facts| Ok(order::lock_order_of(facts, &migration.options));
    let statements =
        |migration: &Migration, facts: &Facts| Ok(plain(lost_old_ids::end(facts, &migration.options)?));
    let action = ("finalize without old ids", None);
    run_on(runner, migration, action, lock_order, statements, |runner| store_end(runner, migration))
}
