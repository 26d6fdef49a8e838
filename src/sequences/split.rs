//! `split_interleaved_sequences`: a node gives up part of its class for additional nodes.

use std::rc::Rc;

use keyspace::sequences::{Class, Target};
use keyspace::{Error, SqlState};
use pgrx::AnyNumeric;
use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;

use crate::encoding::ServerText;
use crate::error::or_raise;
use crate::sequences::change::setup_lock::SetupLock;
use crate::sequences::change::step::{Step, rows};
use crate::sequences::change::{Change, Planner};
use crate::sequences::own::identity;
use crate::sequences::read::selection::Selection;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::patience::Patience;
use crate::server::timeout::Timeout;
use crate::server::transaction::check_transaction;

/// Makes node k of N node k of N * `factor`, so that the classes k + N, k + 2 N ... become free for
/// other nodes. Only this node and the new ones are affected.
///
/// # Errors
/// 22004 and 22023 for invalid arguments, 55000 if this database is not a node; otherwise as for
/// `setup_interleaved_sequences`. Nothing is changed then.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn split_interleaved_sequences(
    factor: Option<i32>,
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
    let factor = or_raise(required(factor, "factor"));
    let skip_failed = or_raise(required(skip_failed, "skip_failed"));
    let timeout = or_raise(required(lock_timeout, "lock_timeout").and_then(Timeout::new));
    let dry_run = or_raise(required(dry_run, "dry_run"));
    let extension = or_raise(Extension::of_call(fcinfo));
    match timeout.limiting(|| split(factor, skip_failed, timeout, dry_run, extension)) {
        Ok(steps) => rows(steps, dry_run),
        Err(failure) => failure.raise(),
    }
}

fn split(
    factor: i32,
    skip_failed: bool,
    timeout: Timeout,
    dry_run: bool,
    extension: Extension,
) -> Result<Vec<Step>, Failure> {
    let from = identity::class(extension)?;
    let class = from.split(factor)?;
    let change = Change {
        extension,
        name: "split",
        class: Some(class),
        patience: Patience::new(timeout),
        planner: Planner::SetUp(
            Target { class, from: Some(from), origin: None, gap: None, blocks: false },
            Rc::default(),
        ),
        skip_failed,
    };
    if dry_run {
        return change.plan(&Selection::all()).map(|(steps, _)| steps);
    }
    check_transaction(c"split_interleaved_sequences()")?;
    identity::check_may_store()?;
    let _lock = SetupLock::take(extension)?;
    if !identity::is_stored(extension)? {
        let message = "cannot split a node that is specified by settings";
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .hint("Reset \"pg_keyspace.node\" and \"pg_keyspace.nodes\", and store the node with setup_interleaved_sequences().")
            .into());
    }
    let steps = change.apply(&Selection::all())?;
    identity::store(extension, class)?;
    announce_free_classes(from, class);
    Ok(steps)
}

/// Reports which classes are free now.
fn announce_free_classes(from: Class, class: Class) {
    let free: Vec<String> = from.freed_by(class).take(4).map(|node| node.to_string()).collect();
    let more = if from.freed_by(class).count() > free.len() { ", ..." } else { "" };
    notice!(
        "this database is now node {} of {}; free for other servers: {}{more} of {}",
        class.node(),
        class.nodes(),
        free.join(", "),
        class.nodes()
    );
}
