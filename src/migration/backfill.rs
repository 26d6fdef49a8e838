//! The backfill: batches of rows in the order of their pages, each in its own transaction. The last
//! batch over a range of pages saves the position.
//!
//! At the end, a check of the whole table looks for rows that still lack a key. The backfill returns
//! to these, and is complete only after a check that finds none (fault C20).

use std::collections::HashMap;
use std::ffi::CStr;
use std::time::{Duration, Instant};

use keyspace::Error;
use keyspace::migration::backfill::{Choice, PARTS, Range, Windows};
use keyspace::migration::member::Member;
use keyspace::migration::missed::{Next, Returns, first_of, multirange};
use keyspace::migration::old_id::OldId;
use keyspace::migration::{Facts, Options, Scope};
use keyspace::sql::qualified;
use pgrx::prelude::*;

use super::backfill_check;
use super::backfill_page::{self, FillOptions, Place};
use super::backfill_query;
use super::backfill_work::{Position, Work, Worked};
use super::capture;
use super::key_type::key_type;
use super::look_ahead::LookAhead;
use super::rights::check_is_owner;
use super::rows_without_key::{self, Columns};
use super::runner::{Runner, Times, interval};
use super::search_path::explained;
use super::state::{self, Migration, Pace, TABLE};
use crate::failpoint;
use crate::server::as_owner::as_owner;
use crate::server::caught::Caught;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::open::OpenRelation;
use crate::server::prepared::Prepared;
use crate::server::relation::relation_owner;
use crate::server::settings;
use crate::server::subtransaction::attempt;
use crate::server::waiting::is_in_use;

/// How often a whole batch is tried before locked rows are left for later.
const WHOLE_TRIES: u32 = 3;
/// How long a backfill waits for transactions that can still see the old versions of rows, if all its
/// pages are full of these. Rows that it updated meanwhile would move to other pages and get a new
/// entry in every index. A query of a second is worth waiting for; a report of an hour is not.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks whether they have ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// VACUUM is due whenever another 1/VACUUM_PART of a table has been filled.
const VACUUM_PART: i64 = 10;

/// The result of a batch.
pub(super) enum Outcome {
    /// Rows were written or checked, and more are left.
    Written,
    /// No rows are left.
    Complete(Times),
    /// Only rows are left that no key can be added to.
    Stuck(Error),
    /// Another session blocks the batch; the next batch tries again.
    Waits,
    /// Other sessions can still see old versions of rows on all pages that are due; the next batch
    /// is due after a short pause.
    Rests(Duration),
    /// The batch failed.
    Failed(Box<Caught>),
}

/// A batch that has been tried.
pub(super) struct Batch {
    /// By how many pages the backfill advanced.
    pub(super) pages: i64,
    pub(super) outcome: Outcome,
}

impl Batch {
    const fn of(outcome: Outcome) -> Self {
        Self { pages: 0, outcome }
    }
}

/// The backfill of a table, kept from one batch to the next.
pub(super) struct Backfill {
    facts: Facts,
    options: Options,
    known_triggers: Vec<u32>,
    table: pg_sys::Oid,
    name: String,
    /// The name of the migration's table.
    migration: String,
    /// Whether user triggers fire. If so, queries do the work.
    by_queries: bool,
    page: i64,
    pages: i64,
    rows: i64,
    vacuum_recommended_at: Option<i64>,
    /// The time since which it has been waiting for another session, over several unsuccessful
    /// batches.
    waits_since: Option<Instant>,
    /// Since when it has been waiting for room on its pages.
    full_since: Option<Instant>,
    /// The pages that batches work on now, and the transactions that last worked on them.
    windows: Windows<pg_sys::TransactionId>,
    /// The keys of the rows that rows of these and further pages refer to.
    look_ahead: LookAhead,
    /// The time of transactions that have saved nothing.
    unsaved_time: Duration,
    /// The rows that a key does not fit into, with an old id.
    wide: HashMap<Place, Option<OldId>>,
    /// What the checks at its end have found.
    returns: Returns,
    /// The statements that read and save the position.
    position_query: Prepared,
    position_update: Prepared,
}

impl Backfill {
    pub(super) fn new(facts: &Facts, migration: &Migration, table: pg_sys::Oid) -> Self {
        let name = |table: u32| {
            let found = facts.table(table);
            found.map(|table| qualified(&table.schema, &table.name)).unwrap_or_default()
        };
        let looked_up = |scope: Scope<'_>| {
            let members = scope.members_of(table.to_u32());
            let by_number = |member: &&Member<'_>| {
                !member.is_key
                    && !scope.keeps_values()
                    && member.old_id.is_integer()
                    && member.companions.is_empty()
            };
            members.filter(by_number).count()
        };
        let references = Scope::new(facts, &migration.options).map_or(0, looked_up);
        Self {
            facts: facts.clone(),
            options: migration.options.clone(),
            known_triggers: migration.known_triggers.clone(),
            table,
            name: name(table.to_u32()),
            migration: name(migration.relation.to_u32()),
            by_queries: migration.options.fire_triggers,
            page: 0,
            pages: 0,
            rows: 0,
            vacuum_recommended_at: None,
            waits_since: None,
            full_since: None,
            windows: Windows::default(),
            look_ahead: LookAhead::new(references),
            unsaved_time: Duration::ZERO,
            wide: HashMap::new(),
            returns: Returns::default(),
            position_query: Prepared::default(),
            position_update: Prepared::default(),
        }
    }

    /// Reports the progress.
    pub(super) fn report_progress(&self) {
        let percent = self.page.saturating_mul(100) / self.pages.max(1);
        notice!("{}: {percent}% of the pages processed, {} rows filled by this call", self.name, self.rows);
    }

    pub(super) const fn table(&self) -> pg_sys::Oid {
        self.table
    }

    /// The page that it has come to.
    pub(super) const fn page(&self) -> i64 {
        self.page
    }

    /// Frees memory while the migration is paused.
    pub(super) fn rest(&mut self) {
        self.look_ahead.forget();
    }

    /// Fills the next pages.
    ///
    /// # Errors
    /// Those of SPI itself.
    pub(super) fn batch(
        &mut self,
        runner: &Runner,
        pace: &Pace,
        left: Option<i64>,
    ) -> Result<Batch, Failure> {
        let timeout = pace.batch_lock_timeout();
        let wanted: [(&CStr, &CStr); 5] = [
            (c"lock_timeout", timeout.as_c_str()),
            // The planner must not evaluate checks.
            (c"constraint_exclusion", c"off"),
            // Find rows by their pages, and each row's root by its index (trap M8).
            (c"enable_seqscan", c"off"),
            (c"jit", c"off"),
            // Raise an error rather than skip rows that a policy hides.
            (c"row_security", c"off"),
        ];
        let (tries, began) = (runner.tries, Instant::now());
        self.by_queries = pace.fire_triggers;
        let done = attempt(|| -> Result<_, Failure> {
            settings::with(&wanted, || {
                // Blocks VACUUM FULL and similar commands until the position is saved.
                // SAFETY: takes a lock by OID; the lock manager raises its own errors.
                unsafe { pg_sys::LockRelationOid(self.table, pg_sys::RowExclusiveLock as i32) };
                // Code of the owner runs as the owner, if the caller has the owner's rights. So
                // nothing may be deferred to the commit.
                let owner = relation_owner(self.table);
                check_is_owner(self.table, owner)?;
                self.check_captures(runner.extension)?;
                Spi::run("SET CONSTRAINTS ALL IMMEDIATE")?;
                let position = self.position(runner)?;
                let work = self.next(&position, pace.batch_pages, left, tries);
                let worked = as_owner(owner, || self.fill(runner.extension, work, !pace.pause.is_zero()))?;
                // SAFETY: returns the ID of this transaction, or of the subtransaction that an
                // error would roll back.
                Ok((worked, position.size, unsafe { pg_sys::GetCurrentTransactionIdIfAny() }))
            })
        });
        let (Worked { work, rows, wide, vain, missed }, size, by) = match done {
            Ok(done) => done?,
            Err(error) => {
                self.windows.forget();
                self.look_ahead.failed();
                let since = self.waits_since.unwrap_or(began);
                self.waits_since = (is_in_use(&error) && !pace.is_over(since)).then_some(since);
                return Ok(Batch::of(if self.waits_since.is_some() {
                    Outcome::Waits
                } else {
                    Outcome::Failed(explained(error, self.table))
                }));
            }
        };
        self.waits_since = None;
        let was_at = self.page;
        match work {
            Work::Part(range) => self.windows.part(range, by),
            Work::Rest(range) | Work::Unlocked(range) => self.page = self.windows.done(range),
            Work::Nothing => return Ok(Batch::of(Outcome::Rests(POLL_INTERVAL))),
            Work::LookAhead { .. } => {
                self.unsaved_time += began.elapsed();
                return Ok(Batch::of(Outcome::Written));
            }
            Work::Restart(page) => {
                self.windows.forget();
                self.look_ahead.forget();
                (self.page, self.pages) = (page, size);
                notice!(
                    "{}: rows without a key were found, so the backfill passes over them again",
                    self.name
                );
            }
            Work::Return => {
                notice!("{}: rows without a key were found, so the backfill returns to them", self.name);
            }
            Work::Behind(_) | Work::Again | Work::Check | Work::Stuck(_) | Work::InVain | Work::Done => {}
        }
        self.wide.extend(wide);
        failpoint::point(|| "backfilled: written".to_owned());
        self.rows += i64::try_from(rows).unwrap_or(0);
        self.look_ahead.written(rows);
        self.save(runner, work, &missed, rows, began)?;
        self.recommend_vacuum(was_at);
        failpoint::point(|| "backfilled: saved".to_owned());
        without_waiting_for_the_disk();
        let outcome = match work {
            Work::Done => {
                notice!("{}: backfill existing rows", self.name);
                Outcome::Complete(Times { began, waited: Duration::ZERO, held: Duration::ZERO })
            }
            Work::Stuck(count) => {
                let example = self.wide.iter().min();
                Outcome::Stuck(rows_without_key::too_wide(&self.name, &self.columns(None), count, example))
            }
            _ => vain.map_or(Outcome::Written, |row| {
                let fired_for = self.by_queries.then_some(self.migration.as_str());
                let columns = self.columns(Some(row.column));
                Outcome::Stuck(rows_without_key::in_vain(&self.name, &columns, &row, fired_for))
            }),
        };
        Ok(Batch { pages: (self.page - was_at).max(0), outcome })
    }

    /// Refuses a batch that would not fire a trigger that it has to fire.
    fn check_captures(&self, extension: Extension) -> Result<(), Failure> {
        if self.by_queries {
            return Ok(());
        }
        let scope = Scope::new(&self.facts, &self.options)?;
        let keys: Vec<i16> =
            scope.members_of(self.table.to_u32()).map(|member| member.shadow_number).collect();
        let relation = OpenRelation::locked_table(self.table);
        let names = (self.name.as_str(), self.migration.as_str());
        // SAFETY: the relation is open.
        Ok(unsafe {
            capture::check(relation.raw(), names, &keys, &self.known_triggers, extension.internal_schema()?)
        }?)
    }

    /// The names of a column of keys and of its old ids; by default of the first.
    fn columns(&self, key: Option<i16>) -> Columns {
        let scope = Scope::new(&self.facts, &self.options).ok();
        let found = scope.as_ref().and_then(|scope| {
            let mut members = scope.members_of(self.table.to_u32());
            members.find(|member| key.is_none_or(|key| member.shadow_number == key))
        });
        found.map_or_else(Columns::default, |member| Columns {
            old_id: member.old_id.name.clone(),
            key: member.shadow_name.clone(),
        })
    }

    fn next(&mut self, position: &Position, batch: i64, left: Option<i64>, tries: u32) -> Work {
        (self.page, self.pages) = (position.page, position.pages);
        // A table that fits into one batch is not split.
        let is_cut = !self.by_queries && position.pages > batch;
        let size = if is_cut { batch.saturating_mul(PARTS) } else { batch };
        let table = self.table;
        let window = self
            .windows
            .next(position.page, position.pages, size, left.unwrap_or(i64::MAX), |by| is_past(table, *by));
        let is_full = self.is_full(window);
        match (window.map(Choice::range), position.behind) {
            (Some(_), _) if is_full => Work::Nothing,
            (Some(range), _) if is_cut && self.look_ahead.is_due(range) => {
                let to = position.pages.min(position.page.saturating_add(left.unwrap_or(i64::MAX)));
                Work::LookAhead { wanted: range, pages: Range { from: position.page, to } }
            }
            (Some(range), _) if is_cut => Work::Part(range),
            (Some(range), _) if self.by_queries && tries >= WHOLE_TRIES => Work::Unlocked(range),
            (Some(range), _) => Work::Rest(range),
            // Pages that the table does not have, whatever is stored.
            (None, Some(behind)) if behind.from >= position.size => Work::Behind(behind),
            (None, Some(behind)) => Work::Behind(first_of(behind, batch)),
            (None, None) => Work::Check,
        }
    }

    /// Whether to wait until pages have room.
    fn is_full(&mut self, choice: Option<Choice>) -> bool {
        match choice {
            Some(Choice::WithoutRoom(_)) => {
                self.full_since.get_or_insert_with(Instant::now).elapsed() < PATIENCE
            }
            // Others may still be full, of versions that the same transaction can see.
            Some(Choice::New(_)) => false,
            Some(Choice::WithRoom(_)) | None => {
                self.full_since = None;
                false
            }
        }
    }

    /// Does the work of a batch. Returns what was done.
    fn fill(&mut self, extension: Extension, work: Work, gives_way: bool) -> Result<Worked, Failure> {
        let scope = Scope::new(&self.facts, &self.options)?;
        let Some(table) = self.facts.table(self.table.to_u32()) else { return Ok(Worked::of(Work::Done, 0)) };
        let key_type = key_type(self.options.target, extension);
        let rows = |range, all, waits, known| {
            let options = FillOptions { all, waits, gives_way };
            backfill_page::fill(&scope, table, range, options, key_type, known)
        };
        let by_query = |range, is_unlocked| -> Result<Worked, Failure> {
            let filled = backfill_query::fill(&scope, table, range, is_unlocked, key_type)?;
            Ok(Worked { wide: filled.wide, ..Worked::of(work, filled.rows) })
        };
        Ok(match work {
            Work::Unlocked(range) => by_query(range, true)?,
            Work::Rest(range) | Work::Behind(range) if self.by_queries => by_query(range, false)?,
            Work::Behind(range) => {
                let filled = rows(range, true, true, &[]);
                // A session that has changed a row meanwhile may be one without our triggers, so
                // the range is tried again.
                let work = if filled.skipped > 0 { Work::Again } else { work };
                Worked { wide: filled.wide, ..Worked::of(work, filled.rows) }
            }
            Work::Part(range) | Work::Rest(range) => {
                let filled = rows(range, matches!(work, Work::Rest(_)), false, self.look_ahead.known());
                let work = match (filled.is_part, filled.skipped) {
                    (true, _) => Work::Part(range),
                    (false, 0) => Work::Rest(range),
                    (false, _) => Work::Unlocked(range),
                };
                Worked { wide: filled.wide, ..Worked::of(work, filled.rows) }
            }
            Work::LookAhead { wanted, pages } => {
                self.look_ahead.proceed(&scope, table, pages, wanted, key_type, gives_way);
                Worked::of(work, 0)
            }
            Work::Check => {
                let found = backfill_check::find(&scope, table, key_type, &self.wide, !self.by_queries);
                if let Some(least) = found.least
                    && self.returns.is_vain(&least, found.count)
                {
                    return Ok(Worked { vain: Some(least), ..Worked::of(Work::InVain, 0) });
                }
                match found.missed.next() {
                    Next::Nothing if found.wide > 0 => Worked::of(Work::Stuck(found.wide), 0),
                    Next::Nothing => Worked::of(Work::Done, 0),
                    Next::Ranges(missed) => Worked { missed, ..Worked::of(Work::Return, 0) },
                    Next::From(page) => Worked::of(Work::Restart(page), 0),
                }
            }
            Work::Again
            | Work::Nothing
            | Work::Return
            | Work::Restart(_)
            | Work::Stuck(_)
            | Work::InVain
            | Work::Done => Worked::of(work, 0),
        })
    }

    /// The position of the backfill. It starts again if the table has been rewritten to another
    /// file, because its rows have moved (trap M5). Rows that have keys are skipped quickly. If it was
    /// complete, it begins with the check.
    fn position(&mut self, runner: &Runner) -> Result<Position, Failure> {
        let attached = state::attached("$4");
        let query = format!(
            "SELECT t.file, t.page, t.pages, lower(b.r), upper(b.r), pg_relation_filenode($4), \
                    pg_relation_size($4) / current_setting('block_size')::bigint, t.finished_at IS NOT NULL, \
                    t.attached IS NOT DISTINCT FROM {attached} \
             FROM (SELECT) AS one LEFT JOIN {{}} AS t ON {{own}} AND t.relation = $4 \
             LEFT JOIN LATERAL (SELECT r FROM unnest(t.behind) AS r ORDER BY r LIMIT 1) AS b ON true"
        );
        let arguments = state::arguments(runner.relation, [self.table.into()]);
        let (known, file, size, was_complete, is_attached) =
            self.position_query.select(&state::own(&query), TABLE, runner.extension, &arguments, |rows| {
                let row = rows.first();
                let behind = row.get::<i64>(4)?.zip(row.get::<i64>(5)?);
                let known = match (row.get::<pg_sys::Oid>(1)?, row.get::<i64>(2)?, row.get::<i64>(3)?) {
                    (Some(file), Some(page), Some(pages)) => Some(Position {
                        file,
                        page,
                        pages,
                        size: 0,
                        behind: behind.map(|(from, to)| Range { from, to }),
                    }),
                    _ => None,
                };
                let was_complete = row.get::<bool>(8)?.unwrap_or(false);
                let is_attached = row.get::<bool>(9)?.unwrap_or(false);
                let (file, size) = (row.get::<pg_sys::Oid>(6)?, row.get::<i64>(7)?.unwrap_or(0));
                Ok((known, file, size, was_complete, is_attached))
            })?;
        let file = file.unwrap_or(pg_sys::InvalidOid);
        match known {
            Some(known) if known.file == file && is_attached => {
                // Rows that local writers have moved past the end have keys, and the check finds
                // others. There are no more pages than the table has, whatever is stored.
                let pages = known.pages.min(size);
                Ok(Position { page: known.page.clamp(0, pages.max(0)), pages, size, ..known })
            }
            known => {
                self.windows.forget();
                self.look_ahead.forget();
                if let Some(known) = known {
                    let event = if known.file == file { "attached again" } else { "rewritten" };
                    notice!("{} has been {event}, so the backfill starts again", self.name);
                }
                self.wide.clear();
                let page = if was_complete { size } else { 0 };
                let statement = format!(
                    "INSERT INTO {{}} AS t (system_identifier, database, migration, relation, file, page, pages, attached) \
                     VALUES ($1, $2, $3, $4, $5, $7, $6, {attached}) ON CONFLICT (system_identifier, database, relation) DO UPDATE \
                     SET file = EXCLUDED.file, page = EXCLUDED.page, pages = EXCLUDED.pages, behind = int8multirange(), finished_at = NULL, \
                         attached = EXCLUDED.attached, \
                         verified_file = CASE WHEN t.attached IS NOT DISTINCT FROM EXCLUDED.attached THEN t.verified_file END"
                );
                state::write(
                    &statement,
                    TABLE,
                    runner.extension,
                    runner.relation,
                    [self.table.into(), file.into(), size.into(), page.into()],
                )?;
                Ok(Position { file, page, pages: size, size, behind: None })
            }
        }
    }

    fn save(
        &mut self,
        runner: &Runner,
        work: Work,
        missed: &[Range],
        rows: usize,
        began: Instant,
    ) -> Result<(), Failure> {
        let (added, removed) = match work {
            Work::Unlocked(range) => (multirange(&[range]), multirange(&[])),
            Work::Behind(range) => (multirange(&[]), multirange(&[range])),
            _ => (multirange(missed), multirange(&[])),
        };
        let update = "UPDATE {} SET page = $5, pages = $6, filled_rows = filled_rows + $7, busy_time = busy_time + $8, \
                    behind = behind + $9::text::int8multirange - $10::text::int8multirange, \
                    updated_at = clock_timestamp(), finished_at = CASE WHEN $11 THEN clock_timestamp() END \
             WHERE {own} AND relation = $4 AND $3 = migration";
        let is_done = matches!(work, Work::Done);
        let arguments = state::arguments(
            runner.relation,
            [
                self.table.into(),
                self.page.into(),
                self.pages.into(),
                i64::try_from(rows).unwrap_or(0).into(),
                interval(std::mem::take(&mut self.unsaved_time) + began.elapsed()).into(),
                added.into(),
                removed.into(),
                is_done.into(),
            ],
        );
        self.position_update.write(&state::own(update), TABLE, runner.extension, &arguments)?;
        Ok(())
    }

    fn recommend_vacuum(&mut self, was_at: i64) {
        let part = (self.pages / VACUUM_PART).max(1_280);
        if self.page - *self.vacuum_recommended_at.get_or_insert(was_at) >= part {
            self.vacuum_recommended_at = Some(self.page);
            notice!("run VACUUM {} so that the following batches reuse the space of dead rows", self.name);
        }
    }
}

/// Whether rows deleted by a transaction are no longer visible to anyone.
fn is_past(table: pg_sys::Oid, by: pg_sys::TransactionId) -> bool {
    // SAFETY: the table is locked; the transaction ID is a recent one, or invalid.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::NoLock as i32);
        let is_past = by == pg_sys::InvalidTransactionId || pg_sys::GlobalVisCheckRemovableXid(relation, by);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        is_past
    }
}

/// Makes the current transaction commit without waiting for the disk. A crash may lose the last few
/// batches, each together with the position that it saved.
fn without_waiting_for_the_disk() {
    // SAFETY: two NUL-terminated strings, which are copied; the setting holds until the transaction
    // ends.
    unsafe {
        pg_sys::set_config_option(
            c"synchronous_commit".as_ptr(),
            c"off".as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            PgLogLevel::ERROR as i32,
            false,
        );
    }
}
