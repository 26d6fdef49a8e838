//! Alters sequences in five steps: read, plan, lock, read again, alter.

pub(crate) mod alter_created;
pub(crate) mod ddl_replication;
pub(crate) mod facts;
pub(crate) mod failures;
pub(crate) mod record_of_created;
pub(crate) mod records;
pub(crate) mod setup_lock;
pub(crate) mod step;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;
use std::time::Instant;

use keyspace::sequences::plan::{USED_BY_HINT, keeps_step_of_nodes, used_by_detail};
use keyspace::sequences::status::{NOT_FOLLOWED_HINT, OWN_INCREMENT_HINT};
use keyspace::sequences::{
    Class, FedColumn, Outcome, Plan, Sequence, Target, Upcoming, plan, plan_reset, still_gives,
};
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use self::facts::Facts;
use self::records::Records;
use self::step::Step;
use crate::encoding::to_server;
use crate::error::{Report, report};
use crate::sequences::own::tables;
use crate::sequences::peers::Peers;
use crate::sequences::read::catalog::{
    self, Column, Entry, LeadingIndexes, NAME_NOT_UTF8, NOT_UTF8_DETAIL, NOT_UTF8_HINT,
};
use crate::sequences::read::furthest::{self, Ahead, Furthest, Which};
use crate::sequences::read::position_replication;
use crate::sequences::read::selection::Selection;
use crate::sequences::read::trusted::Trusted;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::locks::{MANY, Wanted, lock_all, promised, room, room_detail, within};
use crate::server::memory::OpenedTables;
use crate::server::obstacle::explained;
use crate::server::open::ActiveSnapshot;
use crate::server::patience::{Patience, missed};
use crate::server::relation::kind_name;
use crate::server::role::owns_database;
use crate::server::settings::with_own_settings;
use crate::server::waiting::is_in_use;
use crate::server::{names, subtransaction};

/// How many columns are read in one subtransaction before their locks are released.
const READ_BATCH: usize = 100;

/// What a change does to each sequence.
#[derive(Clone, Debug)]
pub(crate) enum Planner {
    /// Moves it into a class, beyond the values of other nodes.
    SetUp(Target, Rc<Peers>),
    /// Restores its state from before the set-up.
    Reset,
}

/// A change of many sequences.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Our extension in this database.
    pub(crate) extension: Extension,
    /// The name of the change in messages.
    pub(crate) name: &'static str,
    /// The class of the database's node, if it has one.
    pub(crate) class: Option<Class>,
    /// How long to wait for all locks together.
    pub(crate) patience: Patience,
    pub(crate) planner: Planner,
    /// Whether sequences that cannot be altered are left out, rather than being an error.
    pub(crate) skip_failed: bool,
}

impl Change {
    /// Plans every sequence of a selection. Keeps no locks.
    pub(crate) fn plan(&self, selection: &Selection) -> Result<(Vec<Step>, Records), Failure> {
        self.patience.given().limiting(|| {
            let Facts { entries, records } = Facts::read(self.extension, selection)?;
            Ok((self.plan_entries(entries, &records, false)?, records))
        })
    }

    /// If a change `goes_on` to [`Change::read_under_locks`], columns with an index are left to it,
    /// for sequences that will be altered whatever their tables contain.
    fn plan_entries(
        &self,
        entries: Vec<Entry>,
        records: &Records,
        goes_on: bool,
    ) -> Result<Vec<Step>, Failure> {
        if let Planner::SetUp(_, peers) = &self.planner {
            peers.siblings.note(&entries);
        }
        // For a few, a look-up costs more than to open their tables.
        let indexes = (entries.len() > READ_BATCH).then(|| LeadingIndexes::of(&entries));
        let mut steps = Vec::with_capacity(entries.len());
        let mut entries = entries.into_iter().peekable();
        let mut opened = OpenedTables::default();
        while entries.peek().is_some() {
            let mut batch = Vec::new();
            let mut columns = 0;
            while columns < READ_BATCH
                && let Some(entry) = entries.next()
            {
                columns += entry.columns.len().max(1);
                batch.push(entry);
            }
            opened.add(columns);
            let read = |batch: &[Entry]| {
                self.read_in_time(|reading| {
                    let read = |entry| {
                        let Some(sequence) = self.facts(entry, records) else { return Ok(None) };
                        let later = goes_on
                            && matches!(self.plan_one(entry, &sequence).outcome, Outcome::Alter { .. });
                        if later && let Some(indexes) = &indexes {
                            indexes.look_up(entry)?;
                        }
                        let which = if later { Which::Unindexed } else { Which::All };
                        let sequence = if records.begins_to_trust(entry.oid) {
                            self.trusting(entry, sequence, reading)
                        } else {
                            sequence
                        };
                        self.read(entry, sequence, which, None, reading).map(Some)
                    };
                    batch.iter().map(read).collect::<SpiResult<Vec<_>>>()
                })
            };
            match read(&batch) {
                Ok(sequences) => {
                    for (entry, sequence) in batch.into_iter().zip(sequences) {
                        steps.extend(sequence.map(|before| self.planned(entry, before)));
                    }
                }
                // One locked table must not prevent the others from being read.
                Err(Failure::Refused(error)) if error.sqlstate == SqlState::LockNotAvailable => {
                    for entry in batch {
                        match read(std::slice::from_ref(&entry)) {
                            Ok(sequences) => {
                                let before = sequences.into_iter().next().flatten();
                                steps.extend(before.map(|before| self.planned(entry, before)));
                            }
                            Err(Failure::Refused(error)) if error.sqlstate == SqlState::LockNotAvailable => {
                                let before = facts::unread(&entry, records);
                                steps.extend(before.map(|before| self.not_read(entry, before, error)));
                            }
                            Err(failure) => return Err(failure),
                        }
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(steps)
    }

    /// How to change many sequences with fewer locks at a time.
    fn in_parts(&self) -> &'static str {
        match &self.planner {
            Planner::SetUp(target, _) if target.from.is_none() => {
                "CALL setup_interleaved_sequences_in_batches(), which locks one sequence at a time."
            }
            Planner::SetUp(..) => "The class of a node is changed for all sequences at once.",
            Planner::Reset => {
                "Call reset_interleaved_sequences(sequences) for some of them at a time, and finally without arguments."
            }
        }
    }

    fn planned(&self, entry: Entry, before: Sequence) -> Step {
        let plan = self.plan_one(&entry, &before);
        let mut step = Step { entry, before, plan };
        if self.skip_failed && step.error().is_some() && !self.leaves_out(&step) {
            step.plan.detail.push_str("; not left out: it may still give values of the former class");
        }
        step
    }

    /// A sequence that, or whose table, could not be read in time. Nothing is known of its position.
    fn not_read(&self, entry: Entry, before: Sequence, error: Error) -> Step {
        let mut step = self.planned(entry, before);
        let plan = &mut step.plan;
        (plan.in_use, plan.restart, plan.values_left, plan.used_basis_points) = (None, None, None, None);
        plan.detail = error.message.clone();
        plan.outcome = Outcome::Fail(error);
        step
    }

    /// Plans the sequences of a selection, alters them and records the change.
    pub(crate) fn apply(&self, selection: &Selection) -> Result<Vec<Step>, Failure> {
        self.patience.renew();
        self.patience.given().limiting(|| self.apply_in_time(selection))
    }

    fn apply_in_time(&self, selection: &Selection) -> Result<Vec<Step>, Failure> {
        let Facts { entries, records } = Facts::read(self.extension, selection)?;
        let mut steps = self.plan_entries(entries, &records, true)?;
        // A set-up in batches has reported what applies to all sequences at its beginning.
        let is_whole = selection.only_one().is_none();
        self.check(&steps)?;
        if is_whole && let Planner::SetUp(target, peers) = &self.planner {
            peers.check(target, &steps)?;
        }
        self.warn_of_skipped(&steps);
        self.warn_of_not_followed(&steps);
        if is_whole {
            self.warn_of_unknown(&steps);
        }
        if is_whole && matches!(self.planner, Planner::SetUp(..)) {
            position_replication::warn(steps.iter().filter_map(|step| step.entry.replicated.as_ref()))?;
        }
        self.carry_out(&mut steps, &records, selection)?;
        failures::warn(failed(&steps));
        let altered = steps.iter().filter(|step| step.is_altered());
        match &self.planner {
            Planner::SetUp(target, _) if records::may_be_kept() => {
                if is_whole && altered.clone().next().is_some() {
                    tables::prune(self.extension)?;
                }
                records::keep(self.extension, target, altered)?
            }
            Planner::SetUp(..) => {}
            Planner::Reset if records::may_be_kept() => records::forget(self.extension, altered)?,
            Planner::Reset => {}
        }
        Ok(steps)
    }

    /// Warns about sequences that still generate values of every node.
    pub(crate) fn warn_of_skipped(&self, steps: &[Step]) {
        if matches!(self.planner, Planner::Reset) {
            return self.warn_of_kept(steps);
        }
        for step in steps.iter().filter(|step| step.entry.exempt == Some(NAME_NOT_UTF8)) {
            let message = format!(
                "sequence {} is not set up, and generates values of every node",
                in_message(&step.entry.name)
            );
            let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message);
            report(error.detail(NOT_UTF8_DETAIL).hint(NOT_UTF8_HINT)).report(PgLogLevel::WARNING);
        }
        let skipped =
            |step: &&Step| matches!(step.plan.outcome, Outcome::Skip) && step.entry.exempt.is_none();
        for step in steps.iter().filter(skipped) {
            let message = format!(
                "sequence {} keeps its increment of {}, and generates values of every node",
                in_message(&step.entry.name),
                step.before.increment
            );
            if let Some(detail) = used_by_detail(&step.entry.used_by) {
                let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message);
                report(error.detail(detail).hint(USED_BY_HINT)).report(PgLogLevel::WARNING);
                continue;
            }
            let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message);
            report(error.hint(OWN_INCREMENT_HINT)).report(PgLogLevel::WARNING);
        }
    }

    /// Warns about sequences that a reset leaves with an increment that may be that of a set-up: a
    /// later set-up could take it for the size of a block.
    fn warn_of_kept(&self, steps: &[Step]) {
        let Some(class) = self.class else { return };
        let is_kept = |step: &&Step| step.entry.exempt.is_none() && keeps_step_of_nodes(&step.before, class);
        for step in steps.iter().filter(is_kept) {
            let message = format!(
                "sequence {} keeps its increment of {}, which is also the number of nodes",
                in_message(&step.entry.name),
                step.before.increment
            );
            report(
                Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                    .detail("There is no record of a set-up.")
                    .hint("If it was copied from another node, or an earlier set-up gave it this increment, run ALTER SEQUENCE ... INCREMENT 1: a later set-up with blocks => true could take the increment for the size of a block."),
            )
            .report(PgLogLevel::WARNING);
        }
    }

    /// Warns about rows ahead of a sequence that do not move it.
    fn warn_of_not_followed(&self, steps: &[Step]) {
        for step in steps {
            for column in &step.before.columns {
                let Some(value) = column.not_followed else { continue };
                let message = format!(
                    "sequence {} is not moved above {value} in column {}",
                    in_message(&step.entry.name),
                    column.name
                );
                report(
                    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                        .detail("The owner of the table may use the sequence, but not set it.")
                        .hint(NOT_FOLLOWED_HINT),
                )
                .report(PgLogLevel::WARNING);
            }
        }
    }

    /// Warns about sequences that a peer's state does not mention, so that their values there are
    /// unknown.
    pub(crate) fn warn_of_unknown(&self, steps: &[Step]) {
        let steps: Vec<&Step> = steps.iter().filter(|step| step.entry.exempt.is_none()).collect();
        let mut unknown: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for step in &steps {
            for elsewhere in step.before.elsewhere.iter().filter(|elsewhere| !elsewhere.is_known) {
                unknown.entry(&elsewhere.peer).or_default().push(&step.entry.name);
            }
        }
        for (peer, names) in unknown {
            let message = format!(
                "the state of {peer} covers only {} of {} sequences",
                steps.len() - names.len(),
                steps.len()
            );
            let first = names.first().copied().unwrap_or_default();
            report(
                Error::new(SqlState::ObjectNotInPrerequisiteState, message)
                    .detail(format!("It has no sequence with the name of {first}, and none that feeds its columns."))
                    .hint("Compare the schemas of the nodes, and get the state of the peer as a role that may see all of its sequences."),
            )
            .report(PgLogLevel::WARNING);
        }
    }

    /// Refuses, before the first change, changes that would fail halfway.
    fn check(&self, steps: &[Step]) -> Result<(), Error> {
        let failed = failed(steps).filter(|(step, _)| !self.leaves_out(step));
        failures::refusal(failed, self.skip_failed)
    }

    /// Whether a sequence that cannot be altered may stay as it is. If the node leaves its class,
    /// it must not give any more values of the class.
    fn leaves_out(&self, step: &Step) -> bool {
        let gives_nothing = match &self.planner {
            Planner::SetUp(target, _) if target.from.is_some() => {
                step.entry.is_visible && !still_gives(&step.before, target)
            }
            _ => true,
        };
        self.skip_failed && gives_nothing
    }

    /// Locks every sequence that is to be altered, reads it again, and alters it.
    fn carry_out(&self, steps: &mut [Step], records: &Records, selection: &Selection) -> Result<(), Failure> {
        let altered = steps.iter().filter(|step| step.is_altered());
        if altered.clone().next().is_some() {
            ddl_replication::check()?;
        }
        check_room(altered.clone().map(|step| step.entry.oid), self.in_parts())?;
        let leaves = match &self.planner {
            Planner::SetUp(target, _) => target.from.is_some(),
            // After a reset of all sequences, the database is no longer a node.
            Planner::Reset => selection.is_of_all()? && owns_database(),
        };
        let node = if leaves { Some(tables::NODE.oid(self.extension)?) } else { None };
        // The sequences are locked in a phase of its own.
        self.patience.renew();
        lock(altered.clone(), node, &self.patience)?;
        self.check_names(altered)?;
        if leaves {
            self.check_complete(steps, selection)?;
        }
        self.read_under_locks(steps, records)?;
        self.check(steps)?;
        let alter = || {
            Spi::connect_mut(|client| -> SpiResult<()> {
                for step in steps.iter() {
                    if let Outcome::Alter { ddl } = &step.plan.outcome {
                        client.update(to_server(ddl).as_c_str(), None, &[])?;
                    }
                }
                Ok(())
            })
        };
        self.patience.during(|| ddl_replication::locally(alter))??;
        Ok(())
    }

    /// Refuses to alter a sequence whose name has changed, and prevents the names from changing.
    fn check_names<'a>(&self, steps: impl Iterator<Item = &'a Step> + Clone) -> Result<(), Failure> {
        // If nothing is altered, the transaction needs no id.
        if steps.clone().next().is_none() {
            return Ok(());
        }
        let refusal = || {
            let message = format!("could not lock the schemas within {}", self.patience.given().text());
            Error::new(SqlState::LockNotAvailable, message)
                .detail("Another transaction is renaming or dropping one of them.")
                .hint("Try again when it has ended. Nothing has been changed.")
        };
        let began = Instant::now();
        within(self.patience.left(), refusal, || {
            let sequences = steps.clone().map(|step| step.entry.oid);
            Ok(names::lock_schemas(self.extension, tables::NODE, sequences)?)
        })?;
        self.patience.spend(began.elapsed());
        let is_renamed =
            |step: &&Step| names::qualified_name(step.entry.oid).as_ref() != Some(&step.entry.name);
        match with_own_settings(|| steps.clone().find(is_renamed)) {
            Some(step) => Err(names::renamed("sequence", &step.entry.name).into()),
            None => Ok(()),
        }
    }

    /// Refuses to leave a class if the locked sequences are not all of its sequences: other
    /// sessions may have created some after they were looked up. From now on nobody can.
    fn check_complete(&self, steps: &[Step], selection: &Selection) -> Result<(), Failure> {
        let snapshot = ActiveSnapshot::latest();
        let entries = with_own_settings(|| catalog::entries(selection, self.extension));
        drop(snapshot);
        let known: HashSet<u32> = steps.iter().map(|step| step.entry.oid.to_u32()).collect();
        match entries?.into_iter().find(|entry| !known.contains(&entry.oid.to_u32())) {
            None => Ok(()),
            Some(entry) => {
                let message =
                    format!("sequence {} was created during the {}", in_message(&entry.name), self.name);
                Err(Error::new(SqlState::ObjectInUse, message)
                    .hint("Run it again. Nothing has been changed.")
                    .into())
            }
        }
    }

    /// Reads sequences again under their locks, to take in changes that were committed during the
    /// wait. Other sessions cannot draw from them any more, so only rows with explicit ids can have
    /// been added since.
    fn read_under_locks(&self, steps: &mut [Step], records: &Records) -> Result<(), Failure> {
        let mut opened = OpenedTables::default();
        for batch in steps.chunks_mut(READ_BATCH) {
            opened.add(batch.iter().map(|step| step.entry.columns.len().max(1)).sum());
            let found = self.read_in_time(|reading| {
                let altered = batch.iter().map(|step| {
                    if !step.is_altered() {
                        return Ok(None);
                    }
                    let Some(sequence) = self.facts(&step.entry, records) else { return Ok(None) };
                    let sequence = match step.before.trusted {
                        None => sequence,
                        trusted => self.with_peers(&step.entry, Sequence { trusted, ..sequence }),
                    };
                    let known = Some(step.before.columns.as_slice());
                    self.read(&step.entry, sequence, Which::Indexed, known, reading).map(Some)
                });
                altered.collect::<SpiResult<Vec<_>>>()
            })?;
            for (step, sequence) in batch.iter_mut().zip(found) {
                if !step.is_altered() {
                    continue;
                }
                let Some(sequence) = sequence else {
                    let message = format!(
                        "sequence {} was dropped during the {}",
                        in_message(&step.entry.name),
                        self.name
                    );
                    return Err(Error::new(SqlState::UndefinedObject, message).hint("Run it again.").into());
                };
                step.plan = self.plan_one(&step.entry, &sequence);
                step.before = sequence;
            }
        }
        Ok(())
    }

    fn plan_one(&self, entry: &Entry, sequence: &Sequence) -> Plan {
        let mut plan = match &self.planner {
            Planner::SetUp(target, _) => plan(sequence, target),
            Planner::Reset => plan_reset(sequence),
        };
        if let Some(reason) = entry.exempt {
            plan.outcome = Outcome::Skip;
            plan.detail = reason.to_owned();
        } else if matches!(plan.outcome, Outcome::Skip) {
            return plan;
        } else if !entry.is_visible && entry.is_owner {
            let message = format!("permission denied for sequence {}", in_message(&entry.name));
            let hint = format!(
                "Run the {} as a role that has SELECT or USAGE on it, or leave the sequence out.",
                self.name
            );
            plan.outcome = Outcome::Fail(Error::new(SqlState::InsufficientPrivilege, message).hint(hint));
            plan.detail = "permission denied".to_owned();
        } else if (matches!(plan.outcome, Outcome::Alter { .. }) || !entry.is_visible) && !entry.is_owner {
            let message = format!("must be owner of sequence {}", in_message(&entry.name));
            let hint =
                format!("Run the {} as a role that owns every sequence, or leave the others out.", self.name);
            plan.outcome = Outcome::Fail(Error::new(SqlState::InsufficientPrivilege, message).hint(hint));
            plan.detail = "must be owner".to_owned();
        } else if let Some(error) = entry.columns.iter().find_map(Column::refusal) {
            plan.detail = error.message.clone();
            plan.outcome = Outcome::Fail(error);
        }
        plan
    }

    /// The data of a sequence here and, for a set-up, on other nodes, without the values of its
    /// columns; `None` if it was dropped.
    fn facts(&self, entry: &Entry, records: &Records) -> Option<Sequence> {
        Some(self.with_peers(entry, facts::sequence(entry, records)?))
    }

    /// Adds what is known of its origin, of other nodes, and of other sequences that feed the same
    /// columns, for a set-up.
    fn with_peers(&self, entry: &Entry, sequence: Sequence) -> Sequence {
        match &self.planner {
            Planner::SetUp(target, peers) => {
                let sequence = peers.copied.with_origin(entry.oid, sequence);
                peers.siblings.with_sibling_values(entry, peers.with_peer_values(entry, sequence, target))
            }
            Planner::Reset => sequence,
        }
    }

    /// Begins to trust the position of a sequence: the nearest of the rows ahead that are among its
    /// values, and all rows beyond it, do not count.
    fn trusting(&self, entry: &Entry, sequence: Sequence, reading: &RefCell<String>) -> Sequence {
        if entry.exempt.is_some() || !entry.is_visible {
            return sequence;
        }
        let ahead = self.ahead(&sequence);
        let nearest = entry.columns.iter().filter(|column| column.is_followed).filter_map(|column| {
            reading.borrow_mut().clone_from(&column.relation);
            furthest::nearest(column, &ahead)
        });
        let trusted = if ahead.ascending { nearest.min() } else { nearest.max() };
        self.with_peers(entry, Sequence { trusted, ..sequence })
    }

    /// The values to look for in the columns of a sequence.
    fn ahead(&self, sequence: &Sequence) -> Ahead {
        Ahead {
            ascending: sequence.increment > 0,
            next: sequence.next_value(),
            upcoming: Upcoming::of(sequence, self.class),
            range: sequence.range(),
        }
    }

    /// Reads with the timeout that applies to sequences, too, and keeps no locks on the tables.
    pub(crate) fn read_in_time<T>(
        &self,
        read: impl FnOnce(&RefCell<String>) -> SpiResult<T>,
    ) -> Result<T, Failure> {
        let reading = RefCell::new(String::new());
        let result = subtransaction::read_and_release(|| {
            self.patience.during(|| with_own_settings(|| read(&reading)))
        });
        match result {
            Ok(value) => Ok(value?),
            Err(error) if is_in_use(&error) => {
                self.patience.use_up();
                Err(self.locked(&reading.borrow()).into())
            }
            Err(error) => error.rethrow(),
        }
    }

    /// That a relation could not be read in time: the one whose lock was waited for or, if the wait
    /// was for another lock, table `reading`.
    fn locked(&self, reading: &str) -> Error {
        let missed = missed();
        let name = missed.and_then(|missed| with_own_settings(|| names::qualified_name(missed.relation)));
        let (kind, name) = match (missed, &name) {
            (Some(missed), Some(name)) => (kind_name(missed.relation), name.as_str()),
            _ => ("table", reading),
        };
        let within = self.patience.given().text();
        let message = format!("could not read {kind} {} within {within}", in_message(name));
        let error = Error::new(SqlState::LockNotAvailable, message)
            .detail("Another transaction has locked it.")
            .hint("Try again when it has ended, or use a longer lock_timeout.");
        match missed {
            Some(missed) => explained(error, missed),
            None => error,
        }
    }

    /// Adds the values of the columns. Columns that are not read keep the `known` values.
    fn read(
        &self,
        entry: &Entry,
        mut sequence: Sequence,
        which: Which,
        known: Option<&[FedColumn]>,
        reading: &RefCell<String>,
    ) -> SpiResult<Sequence> {
        let ahead = self.ahead(&sequence);
        // A sequence that is skipped in any case need not be compared with its tables.
        if entry.exempt.is_some() || !entry.is_visible {
            return Ok(sequence);
        }
        for (at, (column, facts)) in entry.columns.iter().zip(&mut sequence.columns).enumerate() {
            reading.borrow_mut().clone_from(&column.relation);
            let known = known.and_then(|known| known.get(at));
            // If the index has been dropped since, there are no known values.
            let which = if which == Which::Indexed && !column.is_read.get() { Which::All } else { which };
            let handed_out = sequence.is_called.then_some(sequence.last_value);
            let found = furthest::read(column, &ahead, which).map(|found| {
                if column.is_followed { found } else { found.up_to(handed_out, ahead.ascending) }
            });
            column.is_read.set(column.is_read.get() || found.is_some());
            *facts = match (found, known) {
                (None, Some(known)) => column.facts(Furthest {
                    value: known.extreme,
                    ahead: known.ahead.filter(|value| ahead.upcoming.may_include(*value)),
                    maybe_ahead: known.maybe_ahead.filter(|value| ahead.upcoming.may_include(*value)),
                    not_followed: known.not_followed,
                }),
                (found, _) => column.facts(found.unwrap_or_default()),
            };
        }
        Ok(sequence)
    }
}

/// Of the sequences that a call has named in `trust_position`, those that have rows ahead.
pub(crate) fn trusted(steps: &[Step], selection: &Selection) -> SpiResult<Vec<Trusted>> {
    let given = selection.given_trust()?.unwrap_or_default();
    let steps = steps.iter().filter(|step| given.contains(&step.entry.oid));
    let trusted = steps
        .filter_map(|step| Some(Trusted { sequence: step.entry.oid, rows_from: Some(step.before.trusted?) }));
    Ok(trusted.collect())
}

/// The sequences that cannot be altered.
fn failed(steps: &[Step]) -> impl Iterator<Item = (&Step, &Error)> {
    steps.iter().filter_map(|step| Some((step, step.error()?)))
}

/// Refuses to lock more sequences at once than the server has room for (trap S20). If there are
/// many, names the other form, `in_parts`.
pub(crate) fn check_room(
    sequences: impl Iterator<Item = pg_sys::Oid> + Clone,
    in_parts: &str,
) -> Result<(), Failure> {
    let count = sequences.clone().count();
    let room = room(sequences)?;
    if count > room {
        return Err(Error::new(
            SqlState::OutOfMemory,
            format!("cannot lock {count} sequences in one transaction"),
        )
        .detail(room_detail(room))
        .hint(format!("{in_parts} You might need to increase \"max_locks_per_transaction\"."))
        .into());
    }
    if count > promised() / MANY {
        Report::notice(format!("{count} sequences stay locked until this transaction ends"))
            .hint(in_parts)
            .report(PgLogLevel::NOTICE);
    }
    Ok(())
}

/// Locks sequences until the end of the transaction, so that other sessions cannot draw from them:
/// all of them, or none. With `node`, the table of nodes, other sessions cannot create sequences in
/// its class, either.
///
/// # Errors
/// As for [`lock_all`].
pub(crate) fn lock<'a>(
    steps: impl Iterator<Item = &'a Step> + Clone,
    node: Option<pg_sys::Oid>,
    patience: &Patience,
) -> Result<(), Error> {
    let lock = pg_sys::ShareRowExclusiveLock;
    let node = node.into_iter().map(|oid| Wanted { oid, name: tables::NODE.name(), lock });
    let sequences = steps.map(|step| Wanted { oid: step.entry.oid, name: step.entry.name.as_str(), lock });
    lock_all(node.chain(sequences), patience, |name| {
        if name == tables::NODE.name() {
            let message = format!("could not lock the node within {}", patience.given().text());
            return Error::new(SqlState::LockNotAvailable, message)
                .detail("A transaction that has created a sequence of its class is still open.")
                .hint("Try again when it has ended, or use a longer lock_timeout.");
        }
        Error::new(
            SqlState::LockNotAvailable,
            format!("could not lock sequence {} within {}", in_message(name), patience.given().text()),
        )
        .detail("A transaction that has used it is still open. While this command waits for it, other sessions cannot use the sequence.")
        .hint("Try again when it has ended, or use a longer lock_timeout.")
    })
}
