//! Guards: triggers that prevent ids of other nodes' classes from being inserted here, wherever the
//! ids come from.

pub(crate) mod counting;
mod plan;
mod request;
mod tables;
mod trigger;

use keyspace::sequences::guard::Mode;
use keyspace::sequences::{Class, Counting};
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;
use pgrx::{AnyArray, pg_sys};
use plan::{Locks, Outcome, Step};
use request::Chosen;
use tables::Tables;

use crate::encoding::{ServerName, ServerText, to_server};
use crate::error::or_raise;
use crate::sequences::change::ddl_replication;
use crate::sequences::change::setup_lock::SetupLock;
use crate::sequences::own::identity;
use crate::sequences::own::tables::NODE;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::locks::{self, Wanted};
use crate::server::names;
use crate::server::open::ActiveSnapshot;
use crate::server::patience::Patience;
use crate::server::settings::with_own_settings;
use crate::server::timeout::Timeout;
use crate::server::transaction::check_transaction;

/// One row of the result.
type Row =
    (Option<pg_sys::Oid>, Option<ServerName>, Option<pg_sys::Oid>, Option<&'static str>, Option<ServerText>);

/// Puts guards on the tables that sequences of this node feed. Declared in
/// sql/sequences/guard_interleaved_sequences.sql.
///
/// # Errors
/// 22004 and 22023 for invalid or contradictory arguments, 3F000, 42809 and 42P01 for an object
/// that does not exist or is not a table, 25000 and 25006 if the transaction does not allow it,
/// 42501 for a table of another owner, 53200 if the lock table is too small, 55000 if the database
/// is not a node or a table that was named cannot be guarded, 55006 during a set-up, 55P03 if a
/// table cannot be locked in time. Nothing is changed then.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn guard_interleaved_sequences(
    schemas: Option<AnyArray>,
    tables: Option<AnyArray>,
    exclude: Option<AnyArray>,
    mode: Option<&str>,
    blocks: Option<&str>,
    lock_timeout: Option<Interval>,
    dry_run: Option<bool>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(table_name, Option<pg_sys::Oid>),
        name!(column_name, Option<ServerName>),
        name!(sequence, Option<pg_sys::Oid>),
        name!(action, Option<&'static str>),
        name!(detail, Option<ServerText>),
    ),
> {
    let mode = or_raise(required(mode, "mode").and_then(Mode::parse));
    let counting = or_raise(blocks.map(Counting::parse).transpose());
    let arguments = GuardArguments { schemas, tables, exclude, lock_timeout, dry_run };
    change(arguments, Task::Guard(mode, counting), or_raise(Extension::of_call(fcinfo)))
}

/// Removes guards. Declared in sql/sequences/guard_interleaved_sequences.sql.
///
/// # Errors
/// As for `guard_interleaved_sequences`, except that the database need not be a node.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn unguard_interleaved_sequences(
    schemas: Option<AnyArray>,
    tables: Option<AnyArray>,
    exclude: Option<AnyArray>,
    lock_timeout: Option<Interval>,
    dry_run: Option<bool>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(table_name, Option<pg_sys::Oid>),
        name!(column_name, Option<ServerName>),
        name!(sequence, Option<pg_sys::Oid>),
        name!(action, Option<&'static str>),
        name!(detail, Option<ServerText>),
    ),
> {
    let arguments = GuardArguments { schemas, tables, exclude, lock_timeout, dry_run };
    change(arguments, Task::Unguard, or_raise(Extension::of_call(fcinfo)))
}

/// Refuses to go on while a table is guarded: in a database that is not a node, a guard refuses
/// every row.
///
/// # Errors
/// 55000 if a table is guarded.
pub(super) fn check_none(extension: Extension) -> Result<(), Failure> {
    let Some(table) = with_own_settings(|| tables::any_guarded(extension))? else { return Ok(()) };
    let message = format!("table {} is guarded", in_message(&table));
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("In a database that is not a node, a guard refuses every row.")
        .hint("Call unguard_interleaved_sequences() first.")
        .into())
}

/// The task of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Guard(Mode, Option<Counting>),
    Unguard,
}

impl Task {
    const fn done(self) -> &'static str {
        match self {
            Self::Guard(..) => "guarded",
            Self::Unguard => "unguarded",
        }
    }
}

/// The arguments that both functions have.
struct GuardArguments {
    schemas: Option<AnyArray>,
    tables: Option<AnyArray>,
    exclude: Option<AnyArray>,
    lock_timeout: Option<Interval>,
    dry_run: Option<bool>,
}

fn change(arguments: GuardArguments, task: Task, extension: Extension) -> TableIterator<'static, Row> {
    let dry_run = or_raise(required(arguments.dry_run, "dry_run"));
    let timeout = or_raise(required(arguments.lock_timeout, "lock_timeout").and_then(Timeout::new));
    match timeout.limiting(|| carry_out(arguments, task, timeout, dry_run, extension)) {
        Ok(steps) => rows(steps, task, dry_run),
        Err(failure) => failure.raise(),
    }
}

fn carry_out(
    arguments: GuardArguments,
    task: Task,
    timeout: Timeout,
    dry_run: bool,
    extension: Extension,
) -> Result<Vec<Step>, Failure> {
    let class = identity::known(extension)?;
    if matches!(task, Task::Guard(..)) && class.is_none() {
        let message = "this database has not been set up as a node";
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("A guard compares ids with the class of this database's node.")
            .hint("Call setup_interleaved_sequences(node, nodes) first.")
            .into());
    }
    let chosen = with_own_settings(|| Chosen::new(arguments.schemas, arguments.tables, arguments.exclude))??;
    let plan = || with_own_settings(|| plan(task, &chosen, class, extension));
    if dry_run {
        return plan();
    }
    check_transaction(match task {
        Task::Guard(..) => c"guard_interleaved_sequences()",
        Task::Unguard => c"unguard_interleaved_sequences()",
    })?;
    let _lock = SetupLock::take(extension)?;
    let steps = plan()?;
    check(&steps)?;
    let wanted = Locks::of(&steps);
    if wanted.0.is_empty() {
        return Ok(steps);
    }
    let patience = Patience::new(timeout);
    lock(&wanted, &patience)?;
    // From here on the names of the tables, which the statements use, cannot change.
    let tables = wanted.0.keys().copied().map(pg_sys::Oid::from);
    patience.during(|| names::lock_schemas(extension, NODE, tables))?;
    // Takes in changes that were committed during the wait for the tables.
    let snapshot = ActiveSnapshot::latest();
    let steps = plan();
    drop(snapshot);
    let steps = steps?;
    check(&steps)?;
    if !wanted.cover(&Locks::of(&steps)) {
        let message = "tables were created, altered or dropped concurrently";
        return Err(Error::new(SqlState::ObjectInUse, message).hint("Run it again.").into());
    }
    // Each node guards its own tables.
    ddl_replication::locally(|| {
        Spi::connect_mut(|client| -> SpiResult<()> {
            for step in &steps {
                if let Outcome::Change { statements, .. } = &step.outcome {
                    for statement in statements {
                        client.update(to_server(statement).as_c_str(), None, &[])?;
                    }
                }
            }
            Ok(())
        })
    })??;
    Ok(steps)
}

fn plan(
    task: Task,
    chosen: &Chosen,
    class: Option<Class>,
    extension: Extension,
) -> Result<Vec<Step>, Failure> {
    let tables = Tables::read(extension, class)?;
    Ok(match task {
        Task::Guard(mode, counting) => plan::guard(&tables, chosen, mode, counting),
        Task::Unguard => plan::unguard(&tables, chosen),
    })
}

/// Refuses, before the first change, changes that would fail halfway.
fn check(steps: &[Step]) -> Result<(), Error> {
    steps.iter().find_map(Step::error).map_or(Ok(()), |error| Err(error.clone()))
}

/// Locks all tables that are changed, or none, as a set-up locks its sequences.
fn lock(wanted: &Locks, patience: &Patience) -> Result<(), Failure> {
    let tables = wanted.0.len();
    let room = locks::room(wanted.0.keys().copied().map(pg_sys::Oid::from))?;
    if tables > room {
        let message = format!("cannot lock {tables} tables in one transaction");
        return Err(Error::new(SqlState::OutOfMemory, message)
            .detail(locks::room_detail(room))
            .hint("Use schemas or tables to select fewer tables at a time. You might need to increase \"max_locks_per_transaction\".")
            .into());
    }
    let locks = wanted.0.iter().map(|(oid, (name, lock))| Wanted {
        oid: pg_sys::Oid::from(*oid),
        name: name.as_str(),
        lock: *lock,
    });
    locks::lock_all(locks, patience, |name| {
        Error::new(
            SqlState::LockNotAvailable,
            format!("could not lock table {} within {}", in_message(name), patience.given().text()),
        )
        .detail("A transaction that has used it is still open. While this command waits for it, other sessions cannot write to the table.")
        .hint("Try again when it has ended, or use a longer lock_timeout.")
    })?;
    Ok(())
}

/// The rows of the result, ordered by the names of the tables.
fn rows(mut steps: Vec<Step>, task: Task, dry_run: bool) -> TableIterator<'static, Row> {
    steps.sort_by(|a, b| a.table.cmp(&b.table).then_with(|| a.column.cmp(&b.column)));
    TableIterator::new(steps.into_iter().map(move |step| {
        let action = match step.outcome {
            Outcome::Change { .. } if dry_run => "planned",
            Outcome::Change { .. } => task.done(),
            Outcome::Unchanged => "unchanged",
            Outcome::Skip(_) => "skipped",
            Outcome::Fail(_) => "failed",
        };
        let detail = Some(step.detail).filter(|detail| !detail.is_empty());
        (Some(step.oid), step.column.map(ServerName), step.sequence, Some(action), detail.map(ServerText))
    }))
}
