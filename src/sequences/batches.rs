//! The set-up in batches: `setup_interleaved_sequences_in_batches` sets up one sequence per
//! transaction.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use keyspace::sequences::Outcome;
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::error::{notify, or_raise, raise, report};
use crate::sequences::change::failures::Failures;
use crate::sequences::change::setup_lock::{self, SetupLock};
use crate::sequences::change::{self, Change, ddl_replication};
use crate::sequences::own::{identity, tables};
use crate::sequences::read::catalog::NAME_NOT_UTF8;
use crate::sequences::read::feeds::{self, Feed};
use crate::sequences::read::prepared::Prepared;
use crate::sequences::read::selection::Selection;
use crate::sequences::read::trusted::{self, Trusted};
use crate::sequences::read::{catalog, position_replication};
use crate::sequences::request::{Request, SetupArguments};
use crate::server::call::{argument, required};
use crate::server::extension::Extension;
use crate::server::failure::{Failure, or_fail, refusal};
use crate::server::procedure::Procedure;
use crate::server::role::owns_database;
use crate::server::subtransaction::attempt;
use crate::server::tables::own_key;
use crate::server::transaction::check_transaction;
use crate::server::waiting::{backoff, is_in_use, pause};
use crate::server::work_lock::SessionLock;

/// How often progress is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// A set-up under way.
struct Progress {
    change: Change,
    feeds: Vec<Feed>,
    /// The sequences whose position is trusted.
    trusted: Rc<[Trusted]>,
    /// The query for one sequence and its columns.
    query: Rc<Prepared>,
    retries: u32,
    /// The remaining sequences, in the order of their OIDs.
    queue: VecDeque<(pg_sys::Oid, String)>,
    total: usize,
    altered: usize,
    unchanged: usize,
    /// Those that the set-up leaves alone.
    skipped: usize,
    failures: Failures,
    /// How often the first sequence of the queue was found in use.
    tries: u32,
    reported_at: Instant,
    /// Released when the set-up ends, also by an error.
    _lock: SessionLock,
}

/// Sets this database up one sequence after the other, each in a transaction of its own. Declared in
/// sql/sequences/setup_interleaved_sequences_in_batches.sql. A sequence that cannot be set up is a warning, and an error
/// once all others are set up.
///
/// # Errors
/// As for `setup_interleaved_sequences`, and 42501 for others than the owner of the database. At the
/// end, that of the first sequence that could not be set up.
#[pg_extern(sql = false)]
fn setup_interleaved_sequences_in_batches(fcinfo: pg_sys::FunctionCallInfo) {
    let procedure = or_raise(Procedure::begin(
        fcinfo,
        "setup_interleaved_sequences_in_batches",
        "It ends a transaction for each sequence.",
    ));
    let plan = || {
        let [lock_timeout, retries] = [0, 1].map(|at| SetupArguments::COUNT + at);
        // SAFETY: the declaration has these two arguments after those of both forms.
        let (lock_timeout, retries) =
            unsafe { (argument(fcinfo, lock_timeout), argument::<i32>(fcinfo, retries)) };
        let retries = or_raise(required(retries, "retries").and_then(|retries| {
            u32::try_from(retries).map_err(|_| {
                let message = format!("retries must be at least 0, not {retries}");
                Error::new(SqlState::InvalidParameterValue, message)
            })
        }));
        // Each sequence has a transaction of its own.
        let arguments = SetupArguments::of_call(fcinfo, Some(false), lock_timeout);
        or_fail(begin(arguments, retries, or_raise(Extension::of_call(fcinfo))))
    };
    let mut progress = procedure.in_transaction(|| {}, plan);
    // The extension may have been dropped, or moved, between two transactions.
    loop {
        let tries = progress.tries;
        let rest = || {
            if tries > 0 {
                pause(backoff(tries));
            }
        };
        let next = || {
            progress.change.extension = or_raise(Extension::of_call(fcinfo));
            or_fail(progress.step())
        };
        if !procedure.in_transaction(rest, next) {
            break;
        }
    }
    // What is done is committed before the error is raised.
    if let Some(error) = progress.error() {
        procedure.in_transaction(|| {}, || raise(report(error)));
    }
}

/// Plans every sequence, and stores the node.
fn begin(arguments: SetupArguments, retries: u32, extension: Extension) -> Result<Progress, Failure> {
    check_transaction(c"setup_interleaved_sequences_in_batches()")?;
    let request = Request::new(arguments, extension)?;
    if request.target.from.is_some() {
        let message = "cannot change the class of a node in batches";
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("Between the batches, partitioned_nextval() would generate values of the new class from sequences that are still in the old one.")
            .hint("Call setup_interleaved_sequences(), which changes all sequences in one transaction.")
            .into());
    }
    request.check_rights()?;
    if !owns_database() {
        let message = "permission denied to record the progress of a set-up in batches";
        return Err(Error::new(SqlState::InsufficientPrivilege, message)
            .hint("Run the set-up as the owner of the database, or as a superuser.")
            .into());
    }
    let lock = setup_lock::take_for_session(extension)?;
    let change = request.change();
    let (steps, _) = change.plan(&request.selection)?;
    request.peers.check(&request.target, &steps)?;
    position_replication::warn(steps.iter().filter_map(|step| step.entry.replicated.as_ref()))?;
    change.warn_of_skipped(&steps);
    change.warn_of_unknown(&steps);
    request.peers.remember(extension, &steps)?;
    let trusted = change::trusted(&steps, &request.selection)?;
    let mut all_trusted = request.selection.trusted(extension)?;
    // The nearest rows ahead of those that are trusted from now on have been found.
    all_trusted.retain(|trusted| trusted.rows_from.is_some());
    all_trusted.extend(&trusted);
    let mut progress = Progress {
        change,
        feeds: request.feeds.with_stored(feeds::stored(extension)?),
        trusted: all_trusted.into(),
        query: Rc::new(catalog::prepare(extension)?),
        retries,
        queue: VecDeque::new(),
        total: 0,
        altered: 0,
        unchanged: 0,
        skipped: 0,
        failures: Failures::default(),
        tries: 0,
        reported_at: Instant::now(),
        _lock: lock,
    };
    for step in steps {
        if step.is_locked() {
            progress.queue.push_back((step.entry.oid, step.entry.name));
        } else if let Some(error) = step.error() {
            progress.fail(&step.entry.name, error.clone());
        } else if step.is_altered() {
            progress.queue.push_back((step.entry.oid, step.entry.name));
        } else {
            match step.plan.outcome {
                Outcome::Skip => {
                    // Of the others there has been a warning.
                    if let Some(why) = step.entry.exempt.filter(|why| *why != NAME_NOT_UTF8) {
                        notify(format!("sequence {} not changed: {why}", in_message(&step.entry.name)));
                    }
                    progress.skipped += 1;
                }
                _ => progress.unchanged += 1,
            }
        }
    }
    progress.total = progress.queue.len() + progress.failures.count();
    if !progress.queue.is_empty() {
        ddl_replication::check()?;
    }
    feeds::keep(extension, &request.feeds)?;
    if request.selection.takes_trust_back()? {
        trusted::forget_all(extension)?;
    }
    trusted::keep(extension, &trusted)?;
    // The node is stored before any sequence is altered, so that defaults with partitioned_nextval
    // keep to the class from now on.
    if !identity::is_stored(extension)? {
        identity::check_may_store()?;
        identity::store(extension, request.target.class)?;
    }
    if progress.total > 0 {
        progress.write_row(true)?;
    }
    Ok(progress)
}

impl Progress {
    /// Sets up one sequence, or finishes. Returns whether to call it again.
    fn step(&mut self) -> Result<bool, Failure> {
        let Some((oid, name)) = self.queue.front().cloned() else {
            self.finish()?;
            return Ok(false);
        };
        let selection = Selection::one(oid, &self.feeds, &self.trusted, &self.query);
        let outcome = attempt(|| -> Result<bool, Failure> {
            let _lock = SetupLock::take(self.change.extension)?;
            Ok(self.change.apply(&selection)?.iter().any(|step| step.is_altered()))
        });
        let failed = match outcome {
            Ok(Ok(altered)) => {
                self.altered += usize::from(altered);
                self.unchanged += usize::from(!altered);
                None
            }
            Ok(Err(Failure::Refused(error))) if error.sqlstate == SqlState::LockNotAvailable => {
                if self.tries < self.retries {
                    self.tries += 1;
                    self.write_row(false)?;
                    return Ok(true);
                }
                let message = format!("{} in {} attempts", error.message, self.tries + 1);
                Some(Error { message, ..error })
            }
            Ok(Err(Failure::Refused(error))) => Some(error),
            Ok(Err(failure)) => return Err(failure),
            Err(error) if is_in_use(&error) && self.tries < self.retries => {
                self.tries += 1;
                return Ok(true);
            }
            Err(error) => Some(refusal(error)),
        };
        if let Some(error) = failed {
            self.fail(&name, error);
        }
        self.queue.pop_front();
        self.tries = 0;
        self.write_row(false)?;
        if self.reported_at.elapsed() >= REPORT_INTERVAL {
            self.reported_at = Instant::now();
            notice!("{} of {} sequences done", self.total - self.queue.len(), self.total);
        }
        Ok(true)
    }

    /// Warns of a sequence that could not be set up.
    fn fail(&mut self, sequence: &str, error: Error) {
        self.failures.add(sequence, &error);
        warn(sequence, error);
    }

    /// The error that ends the set-up; `None` if all sequences are set up.
    fn error(&self) -> Option<Error> {
        let message = format!("could not set up {} of {} sequences", self.failures.count(), self.total);
        let hint = "What is done stays done. CALL setup_interleaved_sequences_in_batches() again to set up the remaining sequences, or exclude them.";
        self.failures.error(message).map(|error| error.hint(hint))
    }

    fn finish(&self) -> Result<(), Failure> {
        let skipped = if self.skipped > 0 { format!("skipped: {}, ", self.skipped) } else { String::new() };
        notice!(
            "sequences altered: {}, unchanged: {}, {skipped}failed: {}",
            self.altered,
            self.unchanged,
            self.failures.count()
        );
        if self.total > 0 {
            let statement = "UPDATE {} SET finished_at = pg_catalog.clock_timestamp(), current_sequence = NULL \
                 WHERE system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2";
            let (system_identifier, database) = own_key();
            let key = [system_identifier.into(), database.into()];
            tables::SETUP.write(statement, self.change.extension, &key)?;
        }
        Ok(())
    }

    /// Records the progress, which other sessions see once the transaction is committed.
    fn write_row(&self, first: bool) -> SpiResult<()> {
        let statement = if first {
            "INSERT INTO {} AS s (system_identifier, database, node, nodes, pid, sequences, altered, failed, \
                                  current_sequence, tries, started_at, updated_at) \
             VALUES ($1, $2, $3, $4, pg_catalog.pg_backend_pid(), $5, $6, $7, $8, $9, \
                     pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp()) \
             ON CONFLICT (system_identifier, database) DO UPDATE \
             SET node = EXCLUDED.node, nodes = EXCLUDED.nodes, pid = EXCLUDED.pid, sequences = EXCLUDED.sequences, \
                 altered = EXCLUDED.altered, failed = EXCLUDED.failed, current_sequence = EXCLUDED.current_sequence, \
                 tries = EXCLUDED.tries, started_at = EXCLUDED.started_at, updated_at = EXCLUDED.updated_at, \
                 finished_at = NULL"
        } else {
            "UPDATE {} SET sequences = $5, altered = $6, failed = $7, current_sequence = $8, tries = $9, \
                           updated_at = pg_catalog.clock_timestamp() \
             WHERE system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2 \
               AND node OPERATOR(pg_catalog.=) $3 AND nodes OPERATOR(pg_catalog.=) $4"
        };
        let (system_identifier, database) = own_key();
        let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let class = self.change.class;
        let arguments = [
            system_identifier.into(),
            database.into(),
            class.map(|class| class.node()).into(),
            class.map(|class| class.nodes()).into(),
            count(self.total).into(),
            count(self.altered).into(),
            count(self.failures.count()).into(),
            self.queue.front().map(|(oid, _)| *oid).into(),
            i32::try_from(self.tries).unwrap_or(i32::MAX).into(),
        ];
        tables::SETUP.write(statement, self.change.extension, &arguments).map(|_| ())
    }
}

fn warn(sequence: &str, error: Error) {
    let message = format!("could not set up sequence {}: {}", in_message(sequence), error.message);
    let error = if error.hint.is_none() {
        error.hint("CALL setup_interleaved_sequences_in_batches() again to set up the remaining sequences.")
    } else {
        error
    };
    report(Error { message, ..error }).report(PgLogLevel::WARNING);
}
