//! `reset_interleaved_sequences`: reverses a set-up.

use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use pgrx::{AnyArray, AnyNumeric};

use crate::encoding::ServerText;
use crate::error::or_raise;
use crate::sequences::change::setup_lock::SetupLock;
use crate::sequences::change::step::{Step, rows};
use crate::sequences::change::{Change, Planner};
use crate::sequences::guard;
use crate::sequences::own::{identity, tables};
use crate::sequences::read::feeds::Feeds;
use crate::sequences::read::selection::Selection;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::patience::Patience;
use crate::server::settings::with_own_settings;
use crate::server::timeout::Timeout;
use crate::server::transaction::check_transaction;

/// Gives sequences the increment, START and bounds that they had before they were set up, above all
/// values in use and never below their current position. If it covers all sequences, and none is
/// left out, this database is no longer a node.
///
/// # Errors
/// As for `setup_interleaved_sequences`, and 55000 if tables are still guarded.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn reset_interleaved_sequences(
    sequences: Option<AnyArray>,
    exclude: Option<AnyArray>,
    skip_failed: Option<bool>,
    lock_timeout: Option<Interval>,
    dry_run: Option<bool>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(sequence, Option<pg_sys::Oid>),
        name!(action, Option<&'static str>),
        name!(in_use, Option<i64>),
        name!(restart, Option<i64>),
        name!(values_left, Option<i64>),
        name!(detail, Option<ServerText>),
        name!(percent_used, Option<AnyNumeric>),
        name!(fed_columns, Option<Vec<ServerText>>),
        name!(last_value, Option<i64>),
        name!(old_increment, Option<i64>),
        name!(new_increment, Option<i64>),
        name!(ddl, Option<ServerText>),
    ),
> {
    let dry_run = or_raise(required(dry_run, "dry_run"));
    let skip_failed = or_raise(required(skip_failed, "skip_failed"));
    let timeout = or_raise(required(lock_timeout, "lock_timeout").and_then(Timeout::new));
    let selection = Selection::new(None, sequences, exclude, Feeds::default());
    let extension = or_raise(Extension::of_call(fcinfo));
    match timeout.limiting(|| reset(&selection, skip_failed, timeout, dry_run, extension)) {
        Ok(steps) => rows(steps, dry_run),
        Err(failure) => failure.raise(),
    }
}

fn reset(
    selection: &Selection,
    skip_failed: bool,
    timeout: Timeout,
    dry_run: bool,
    extension: Extension,
) -> Result<Vec<Step>, Failure> {
    with_own_settings(|| selection.check())??;
    let change = Change {
        extension,
        name: "reset",
        class: identity::known(extension)?,
        patience: Patience::new(timeout),
        planner: Planner::Reset,
        skip_failed,
    };
    if dry_run {
        return change.plan(selection).map(|(steps, _)| steps);
    }
    check_transaction(c"reset_interleaved_sequences()")?;
    let _lock = SetupLock::take(extension)?;
    let is_of_all = selection.is_of_all()?;
    if is_of_all {
        guard::check_none(extension)?;
    }
    let steps = change.apply(selection)?;
    // A sequence that is left out still generates values of the class.
    let is_complete = steps.iter().all(|step| step.error().is_none());
    if is_of_all && is_complete && identity::is_stored(extension)? {
        identity::forget(extension)?;
        tables::ACKNOWLEDGEMENT.forget_all(extension)?;
    } else if is_of_all && !is_complete {
        notice!("this database stays a node, since some of its sequences are left out");
    }
    Ok(steps)
}
