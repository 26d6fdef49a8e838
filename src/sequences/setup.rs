//! `setup_interleaved_sequences`: moves every sequence of a database into its node's class.

use pgrx::AnyNumeric;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

use crate::encoding::ServerText;
use crate::error::or_raise;
use crate::sequences::change::setup_lock::SetupLock;
use crate::sequences::change::step::{Step, rows};
use crate::sequences::change::{self, Change};
use crate::sequences::own::identity;
use crate::sequences::read::{feeds, trusted};
use crate::sequences::request::{Request, SetupArguments};
use crate::server::call::{argument, required};
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::transaction::check_transaction;

/// Sets this database up as `node` of `nodes`: moves every sequence above the values in use, and
/// into its class. Declared in sql/sequences/setup_interleaved_sequences.sql, which describes the
/// arguments.
///
/// # Errors
/// 22004 and 22023 for invalid or contradictory arguments, 25000 and 25006 if the transaction does
/// not allow it, 42501 without the privileges, 53200 if the lock table is too small, 55000 if the
/// database is already another node, 55006 during another set-up, 55P03 if a sequence cannot be
/// locked in time, 2200H if a sequence has no value of the class left and
/// failing sequences are not skipped. Nothing is changed then.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn setup_interleaved_sequences(
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
    let [skip_failed, lock_timeout, dry_run] = [0, 1, 2].map(|at| SetupArguments::COUNT + at);
    // SAFETY: the declaration has these three arguments after those of both forms.
    let (skip_failed, lock_timeout, dry_run) =
        unsafe { (argument(fcinfo, skip_failed), argument(fcinfo, lock_timeout), argument(fcinfo, dry_run)) };
    let arguments = SetupArguments::of_call(fcinfo, skip_failed, lock_timeout);
    let dry_run = or_raise(required(dry_run, "dry_run"));
    match set_up(arguments, dry_run, or_raise(Extension::of_call(fcinfo))) {
        Ok(steps) => rows(steps, dry_run),
        Err(failure) => failure.raise(),
    }
}

fn set_up(arguments: SetupArguments, dry_run: bool, extension: Extension) -> Result<Vec<Step>, Failure> {
    let request = Request::new(arguments, extension)?;
    let change = request.change();
    if dry_run {
        let (steps, _) = change.plan(&request.selection)?;
        request.peers.check(&request.target, &steps)?;
        return Ok(steps);
    }
    check_transaction(c"setup_interleaved_sequences()")?;
    request.timeout.limiting(|| carry_out(&request, &change, extension))
}

fn carry_out(request: &Request, change: &Change, extension: Extension) -> Result<Vec<Step>, Failure> {
    let _lock = SetupLock::take(extension)?;
    request.check_rights()?;
    request.check_class()?;
    let store_identity = !identity::is_stored(extension)? || request.target.from.is_some();
    if store_identity {
        identity::check_may_store()?;
    }
    let steps = change.apply(&request.selection)?;
    feeds::keep(extension, &request.feeds)?;
    request.peers.remember(extension, &steps)?;
    if request.selection.takes_trust_back()? {
        trusted::forget_all(extension)?;
    }
    trusted::keep(extension, &change::trusted(&steps, &request.selection)?)?;
    if store_identity {
        identity::store(extension, request.target.class)?;
    }
    Ok(steps)
}
