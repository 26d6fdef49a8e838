//! `setup_interleaved_sequences`: moves every sequence of a database into its node's class.

use std::ffi::CString;

use keyspace::sequences::{Class, Outcome, Plan, Sequence, plan};
use keyspace::{Error, SqlState};
use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::{SpiError, SpiResult};
use pgrx::{AnyArray, AnyNumeric, JsonB, PgTryBuilder};

use super::catalog::{self, ArrayArgument, Column, Entry, Selection};
use super::nextval::null;
use super::{discarded, identity, settings, stored};
use crate::error::{or_raise, raise, report};

/// The advisory lock that a set-up holds to the end of its transaction: "keyspace" in ASCII.
const SETUP_LOCK: i64 = i64::from_be_bytes(*b"keyspace");

/// How many columns are read in one subtransaction before its locks are given back.
const READ_BATCH: usize = 100;

/// One row of the result.
type Row = (
    Option<pg_sys::Oid>,
    Option<&'static str>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<AnyNumeric>,
    Option<Vec<String>>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<String>,
);

/// Sets this database up as `node` of `nodes`: every sequence is moved above the values in use, and
/// into its class. Declared in sql/sequences/setup_interleaved_sequences.sql, which says what the
/// arguments mean.
///
/// # Errors
/// 22004 and 22023 for arguments that mean nothing, 0A000 for arguments that are not supported yet,
/// 25000 and 25006 for a transaction in which it cannot be done, 42501 without the privileges, 55000
/// where the database is another node already, 55006 beside another set-up, 55P03 where a sequence
/// cannot be locked in time, 2200H where one has no value of the class left. Nothing is changed then.
#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn setup_interleaved_sequences(
    node: Option<i32>,
    nodes: Option<i32>,
    schemas: Option<AnyArray>,
    sequences: Option<AnyArray>,
    exclude: Option<AnyArray>,
    feeds: Option<JsonB>,
    peers: Option<Array<JsonB>>,
    gap: Option<i64>,
    blocks: Option<bool>,
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
        name!(detail, Option<String>),
        name!(percent_used, Option<AnyNumeric>),
        name!(fed_columns, Option<Vec<String>>),
        name!(last_value, Option<i64>),
        name!(old_increment, Option<i64>),
        name!(new_increment, Option<i64>),
        name!(ddl, Option<String>),
    ),
> {
    // SAFETY: called by the function manager, which fills in flinfo.
    let function = unsafe { (*(*fcinfo).flinfo).fn_oid };
    let unsupported = [
        ("feeds", feeds.is_some()),
        ("peers", peers.is_some_and(|peers| !peers.is_empty())),
        ("blocks", blocks.unwrap_or(false)),
    ];
    let request = or_raise(Request::new(node, nodes, gap, lock_timeout, dry_run, function));
    if let Some((argument, _)) = unsupported.iter().find(|(_, given)| *given) {
        raise(report(unsupported_argument(argument)));
    }
    let selection = Selection {
        schemas: ArrayArgument::new(schemas, pg_sys::NAMEARRAYOID),
        sequences: ArrayArgument::new(sequences, pg_sys::REGCLASSARRAYOID),
        exclude: ArrayArgument::new(exclude, pg_sys::REGCLASSARRAYOID),
    };
    let steps = match request.run(selection) {
        Ok(steps) => steps,
        Err(Failure::Refused(error)) => raise(report(error)),
        Err(Failure::Spi(error)) => raise(report_spi(&error)),
    };
    let dry_run = request.dry_run;
    TableIterator::new(steps.into_iter().map(move |step| step.into_row(dry_run)))
}

fn unsupported_argument(argument: &str) -> Error {
    Error::new(
        SqlState::FeatureNotSupported,
        format!("argument \"{argument}\" of setup_interleaved_sequences() is not supported yet"),
    )
    .hint("Leave it at its default.")
}

/// An error of SPI itself, which means that a query of ours is wrong.
fn report_spi(error: &SpiError) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("could not read the catalogs: {error}"),
        "pg_keyspace",
    )
}

enum Failure {
    Refused(Error),
    Spi(SpiError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<SpiError> for Failure {
    fn from(error: SpiError) -> Self {
        Self::Spi(error)
    }
}

/// What is asked for, checked.
struct Request {
    class: Class,
    gap: i64,
    lock_timeout: CString,
    dry_run: bool,
    function: pg_sys::Oid,
}

/// One sequence, and what is done with it.
struct Step {
    entry: Entry,
    sequence: Sequence,
    plan: Plan,
}

impl Request {
    fn new(
        node: Option<i32>,
        nodes: Option<i32>,
        gap: Option<i64>,
        lock_timeout: Option<Interval>,
        dry_run: Option<bool>,
        function: pg_sys::Oid,
    ) -> Result<Self, Error> {
        let node = node.ok_or_else(|| null("node"))?;
        let nodes = nodes.ok_or_else(|| null("nodes"))?;
        let gap = gap.ok_or_else(|| null("gap"))?;
        let lock_timeout = lock_timeout.ok_or_else(|| null("lock_timeout"))?;
        let dry_run = dry_run.ok_or_else(|| null("dry_run"))?;
        let class = Class::new(node, nodes)?;
        if gap < 0 {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("gap must be at least 0, not {gap}"),
            )
            .hint("A gap is a number of ids that is left free above those in use."));
        }
        let milliseconds = lock_timeout.as_micros() / 1_000;
        if !(1..=i128::from(i32::MAX)).contains(&milliseconds) {
            return Err(Error::new(
                SqlState::InvalidParameterValue,
                format!("lock_timeout must be between 1 ms and {} ms, not {milliseconds} ms", i32::MAX),
            )
            .hint("A sequence that is waited for keeps every other session from drawing from it, so there is no unlimited wait."));
        }
        let lock_timeout = CString::new(format!("{milliseconds}ms")).unwrap_or_default();
        Ok(Self { class, gap, lock_timeout, dry_run, function })
    }

    fn run(&self, selection: Selection) -> Result<Vec<Step>, Failure> {
        if !self.dry_run {
            self.check_transaction()?;
        }
        identity::check_class_is_kept(self.function, self.class)?;
        let store_identity = !identity::is_stored(self.function)?;
        let mut steps = catalog::with_own_settings(|| -> Result<Vec<Step>, Failure> {
            catalog::check_selection(selection)??;
            if !self.dry_run {
                self.take_setup_lock()?;
            }
            self.plan(selection)
        })?;
        if !self.dry_run {
            self.check_rights(&steps, store_identity)?;
            for step in &mut steps {
                if matches!(step.plan.outcome, Outcome::Alter { .. }) {
                    self.alter(step)?;
                }
            }
            if store_identity {
                self.store_identity()?;
            }
        }
        steps.sort_by(|a, b| a.entry.name.cmp(&b.entry.name));
        Ok(steps)
    }

    /// Refuses a transaction whose snapshot would hide committed rows (trap S04), and one that cannot write.
    fn check_transaction(&self) -> Result<(), Error> {
        let name = c"setup_interleaved_sequences()";
        // SAFETY: plain checks of this backend's state, which raise PostgreSQL's own errors.
        unsafe {
            pg_sys::PreventCommandIfReadOnly(name.as_ptr());
            pg_sys::PreventCommandDuringRecovery(name.as_ptr());
        }
        // SAFETY: a plain integer of this backend.
        if unsafe { pg_sys::XactIsoLevel } > pg_sys::XACT_READ_COMMITTED as i32 {
            return Err(Error::new(
                SqlState::InvalidTransactionState,
                "setup_interleaved_sequences() needs the isolation level READ COMMITTED",
            )
            .detail(
                "Under REPEATABLE READ and SERIALIZABLE, rows that others have committed since stay hidden.",
            )
            .hint("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, or call it with dry_run => true."));
        }
        Ok(())
    }

    /// Two set-ups at once would wait for each other's sequences.
    fn take_setup_lock(&self) -> Result<(), Failure> {
        let query = "SELECT pg_try_advisory_xact_lock($1)";
        let taken: Option<bool> =
            Spi::connect(|client| client.select(query, Some(1), &[SETUP_LOCK.into()])?.first().get_one())?;
        if taken != Some(true) {
            return Err(Error::new(SqlState::ObjectInUse, "another set-up is running in this database")
                .hint("Wait until it has ended; pg_locks shows its session by locktype \"advisory\".")
                .into());
        }
        Ok(())
    }

    /// Plans every sequence of the selection without holding a lock on any of them.
    fn plan(&self, selection: Selection) -> Result<Vec<Step>, Failure> {
        let mut steps = Vec::new();
        let mut entries = catalog::entries(selection)??.into_iter().peekable();
        while entries.peek().is_some() {
            let mut batch = Vec::new();
            let mut columns = 0;
            while columns < READ_BATCH
                && let Some(entry) = entries.next()
            {
                columns += entry.columns.len().max(1);
                batch.push(entry);
            }
            let facts = discarded::read_and_release(|| -> SpiResult<Vec<Option<Sequence>>> {
                batch.iter().map(facts).collect()
            })?;
            // A sequence dropped meanwhile is not there to be set up.
            for (entry, sequence) in batch.into_iter().zip(facts) {
                if let Some(sequence) = sequence {
                    let plan = self.plan_one(&entry, &sequence);
                    steps.push(Step { entry, sequence, plan });
                }
            }
        }
        Ok(steps)
    }

    fn plan_one(&self, entry: &Entry, sequence: &Sequence) -> Plan {
        let mut plan = plan(sequence, self.class, self.gap);
        if let Some(reason) = entry.exempt {
            plan.outcome = Outcome::Skip;
            plan.detail = reason.to_owned();
        } else if matches!(plan.outcome, Outcome::Alter { .. }) && !entry.is_owner {
            plan.outcome = Outcome::Fail(
                Error::new(
                    SqlState::InsufficientPrivilege,
                    format!("must be owner of sequence \"{}\"", entry.name),
                )
                .hint("Run the set-up as a role that owns every sequence, or exclude the others."),
            );
            plan.detail = "must be owner".to_owned();
        } else if let Some(error) = entry.columns.iter().find_map(Column::refusal) {
            plan.detail = error.message.clone();
            plan.outcome = Outcome::Fail(error);
        }
        plan
    }

    /// Refuses before the first change what would fail halfway.
    fn check_rights(&self, steps: &[Step], store_identity: bool) -> Result<(), Failure> {
        for step in steps {
            if let Outcome::Fail(error) = &step.plan.outcome {
                return Err(error.clone().into());
            }
        }
        if store_identity {
            let table = identity::table(self.function)?;
            let query = "SELECT pg_catalog.has_table_privilege($1, 'INSERT')";
            let allowed: Option<bool> =
                Spi::connect(|client| client.select(query, Some(1), &[table.into()])?.first().get_one())?;
            if allowed != Some(true) {
                return Err(Error::new(
                    SqlState::InsufficientPrivilege,
                    "permission denied to set this database up as a node",
                )
                .hint("Run the set-up as the owner of the database, or as a superuser.")
                .into());
            }
        }
        Ok(())
    }

    /// Locks one sequence, looks again, and alters it.
    fn alter(&self, step: &mut Step) -> Result<(), Failure> {
        let oid = step.entry.oid;
        settings::with(&[(c"lock_timeout", self.lock_timeout.as_c_str())], || {
            self.lock(oid, &step.entry.name)
        });
        let ascending = step.sequence.increment > 0;
        let again = catalog::with_own_settings(|| {
            discarded::read_and_release(|| -> SpiResult<Option<Sequence>> {
                // Others cannot draw any more; only ids that are brought along can have come since.
                let known: Vec<_> = step.sequence.columns.iter().map(|column| column.extreme).collect();
                let mut columns = Vec::with_capacity(known.len());
                for (column, known) in step.entry.columns.iter().zip(known) {
                    columns.push(column.facts(column.extreme_beyond(ascending, known)?));
                }
                Ok(definition(&step.entry).map(|sequence| Sequence { columns, ..sequence }))
            })
        })?;
        let Some(sequence) = again else {
            return Err(Error::new(
                SqlState::UndefinedObject,
                format!("sequence \"{}\" was dropped during the set-up", step.entry.name),
            )
            .hint("Run the set-up again.")
            .into());
        };
        step.plan = self.plan_one(&step.entry, &sequence);
        match &step.plan.outcome {
            Outcome::Alter { ddl } => Spi::connect_mut(|client| client.update(ddl, None, &[]).map(|_| ()))?,
            Outcome::Fail(error) => return Err(error.clone().into()),
            Outcome::Unchanged | Outcome::Skip => {}
        }
        step.sequence = sequence;
        Ok(())
    }

    fn lock(&self, sequence: pg_sys::Oid, name: &str) {
        let message =
            format!("could not lock sequence \"{name}\" within {}", self.lock_timeout.to_string_lossy());
        PgTryBuilder::new(|| {
            // SAFETY: takes a lock by OID; the lock manager raises its own errors.
            unsafe { pg_sys::LockRelationOid(sequence, pg_sys::ShareRowExclusiveLock as i32) }
        })
        .catch_when(PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, |_| {
            raise(report(
                Error::new(SqlState::LockNotAvailable, message.clone())
                    .detail("A transaction that has drawn from it is still open; while it is waited for, nobody else can draw.")
                    .hint("Try again when it has ended, or give a longer lock_timeout. Nothing has been changed."),
            ))
        })
        .execute();
    }

    fn store_identity(&self) -> Result<(), Failure> {
        let table = identity::table(self.function)?;
        let (system_identifier, database) = identity::own_key();
        let name: Option<String> = Spi::connect(|client| {
            let query = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c \
                         JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
                         WHERE c.oid OPERATOR(pg_catalog.=) $1";
            client.select(query, Some(1), &[table.into()])?.first().get_one()
        })?;
        let insert = format!(
            "INSERT INTO {} (system_identifier, database, node, nodes) VALUES ($1, $2, $3, $4)",
            name.unwrap_or_default()
        );
        Spi::connect_mut(|client| {
            let values = [
                system_identifier.into(),
                database.into(),
                self.class.node().into(),
                self.class.nodes().into(),
            ];
            client.update(&insert, None, &values).map(|_| ())
        })?;
        Ok(())
    }
}

/// What the catalogs, the sequence's page and its columns tell; `None` where it was dropped.
fn facts(entry: &Entry) -> SpiResult<Option<Sequence>> {
    let Some(sequence) = definition(entry) else { return Ok(None) };
    let ascending = sequence.increment > 0;
    let columns = entry
        .columns
        .iter()
        // A sequence that is left alone in any case need not be compared with its tables.
        .map(|column| {
            Ok(column.facts(if entry.exempt.is_some() { None } else { column.extreme(ascending)? }))
        })
        .collect::<SpiResult<Vec<_>>>()?;
    Ok(Some(Sequence { columns, ..sequence }))
}

/// The sequence's definition and state, without its columns.
fn definition(entry: &Entry) -> Option<Sequence> {
    let form = stored::definition(entry.oid)?;
    // The pages of another session's temporary sequence, and of an unlogged one on a standby, cannot be read.
    let state = if entry.exempt.is_some() {
        stored::State { last_value: form.start, is_called: false }
    } else {
        // SAFETY: the OID was read from pg_sequence, so it is a sequence or, by now, nothing.
        unsafe { stored::state(entry.oid) }?
    };
    Some(Sequence {
        name: entry.name.clone(),
        start: form.start,
        increment: form.progression.increment,
        min_value: form.progression.min_value,
        max_value: form.progression.max_value,
        cycle: form.progression.cycle,
        unlogged: entry.unlogged,
        last_value: state.last_value,
        is_called: state.is_called,
        columns: Vec::new(),
    })
}

impl Step {
    fn into_row(self, dry_run: bool) -> Row {
        let (action, ddl) = match self.plan.outcome {
            Outcome::Alter { ddl } => (if dry_run { "planned" } else { "altered" }, Some(ddl)),
            Outcome::Unchanged => ("unchanged", None),
            Outcome::Skip => ("skipped", None),
            Outcome::Fail(_) => ("failed", None),
        };
        let percent = self.plan.used_basis_points.and_then(|points| {
            AnyNumeric::try_from(format!("{}.{:02}", points / 100, points % 100).as_str()).ok()
        });
        (
            Some(self.entry.oid),
            Some(action),
            self.plan.in_use,
            self.plan.restart,
            self.plan.values_left,
            Some(self.plan.detail),
            percent,
            Some(self.entry.columns.into_iter().map(|column| column.name).collect()),
            self.sequence.is_called.then_some(self.sequence.last_value),
            Some(self.sequence.increment),
            Some(self.plan.increment),
            ddl,
        )
    }
}
