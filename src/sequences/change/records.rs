//! The record of what a set-up has done with each sequence, from which it can be undone: the table
//! `interleaved_sequence`.

use std::collections::HashMap;

use keyspace::sequences::{Bounds, Former, PastValues, Progression, Residue, Target};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::sequences::change::step::Step;
use crate::sequences::own::tables;
use crate::sequences::read::form::Definition;
use crate::sequences::read::trusted::Trusted;
use crate::server::extension::Extension;
use crate::server::role::owns_database;
use crate::server::tables::own_key;

/// The record of a sequence that was set up.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// The increment that the set-up gave it.
    increment: i64,
    former: Former,
    /// The START and the bounds that the set-up left.
    written: Bounds,
    /// Where the last set-up restarted it.
    restart: Option<i64>,
    /// The values that it handed out before.
    history: Vec<PastValues>,
    /// The timeline of the server at that time.
    timeline: i32,
    /// The gap that was left at that time.
    gap: i64,
}

/// The records of this database's sequences, by their OIDs.
#[derive(Debug, Default)]
pub(crate) struct Records {
    records: HashMap<u32, Record>,
    /// The sequences whose position is trusted, and the nearest of the rows that do not count.
    trusted: HashMap<u32, Option<i64>>,
    timeline: i32,
}

/// The timeline that the server writes or replays.
pub(crate) fn timeline() -> SpiResult<i32> {
    // SAFETY: reads shared memory. The timeline is set before recovery is reported as ended.
    unsafe {
        if !pg_sys::RecoveryInProgress() {
            return Ok(i32::try_from(pg_sys::GetWALInsertionTimeLine()).unwrap_or(i32::MAX));
        }
    }
    let query = "SELECT c.timeline_id FROM pg_catalog.pg_control_checkpoint() AS c";
    Spi::connect(|client| Ok(client.select(query, Some(1), &[])?.first().get_one()?.unwrap_or_default()))
}

impl Records {
    /// Reads all records, or that of one sequence.
    pub(crate) fn read(extension: Extension, only: Option<pg_sys::Oid>) -> SpiResult<Self> {
        let query = "SELECT sequence, increment, former_increment, former_start, former_min_value, former_max_value, \
                            timeline, gap, start, min_value, max_value, POSITIONS \
                     FROM {} WHERE system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2 \
                       AND ($3 IS NULL OR sequence OPERATOR(pg_catalog.=) $3)";
        // Callers who may not see the positions of sequences do not get them here, either.
        let may_see = owns_database();
        let positions = if may_see {
            "restart, before_setup::pg_catalog.text"
        } else {
            "NULL::bigint, NULL::pg_catalog.text"
        };
        let query = query.replace("POSITIONS", positions);
        let (system_identifier, database) = own_key();
        let arguments = [system_identifier.into(), database.into(), only.into()];
        tables::SEQUENCE.select(&query, extension, &arguments, |rows| {
            let mut records = HashMap::new();
            for row in rows {
                let number = |at: usize| -> SpiResult<i64> { Ok(row.get(at)?.unwrap_or_default()) };
                let former = Former {
                    increment: number(3)?,
                    start: number(4)?,
                    min_value: number(5)?,
                    max_value: number(6)?,
                };
                let written = Bounds { start: number(9)?, min_value: number(10)?, max_value: number(11)? };
                let record = Record {
                    increment: number(2)?,
                    former,
                    written,
                    restart: row.get(12)?,
                    history: row
                        .get::<String>(13)?
                        .map(|document| PastValues::parse(&document))
                        .unwrap_or_default(),
                    timeline: row.get(7)?.unwrap_or_default(),
                    gap: number(8)?,
                };
                let sequence: Option<pg_sys::Oid> = row.get(1)?;
                records.extend(sequence.map(|oid| (oid.to_u32(), record)));
            }
            Ok(Self { records, trusted: HashMap::new(), timeline: timeline()? })
        })
    }

    /// The same records, with the sequences whose position is trusted.
    pub(crate) fn trusting(self, all: &[Trusted]) -> Self {
        let trusted = all.iter().map(|trusted| (trusted.sequence.to_u32(), trusted.rows_from)).collect();
        Self { trusted, ..self }
    }

    /// The nearest of the rows that do not count, if the position of the sequence is trusted.
    pub(crate) fn rows_from(&self, sequence: pg_sys::Oid) -> Option<i64> {
        self.trusted.get(&sequence.to_u32()).copied().flatten()
    }

    /// Whether the call begins to trust the position of the sequence, so that the nearest row ahead
    /// has to be looked up.
    pub(crate) fn begins_to_trust(&self, sequence: pg_sys::Oid) -> bool {
        self.trusted.get(&sequence.to_u32()).is_some_and(Option::is_none)
    }

    /// The record of a sequence, if it still has the increment from the set-up.
    fn of(&self, sequence: pg_sys::Oid, increment: i64) -> Option<&Record> {
        self.records.get(&sequence.to_u32()).filter(|record| record.increment == increment)
    }

    /// The state of a sequence before it was set up, except for what users have altered since.
    pub(crate) fn former(&self, sequence: pg_sys::Oid, now: &Definition) -> Option<Former> {
        let Progression { increment, min_value, max_value, .. } = now.progression;
        let bounds = Bounds { start: now.start, min_value, max_value };
        self.of(sequence, increment).map(|record| record.former.unless_altered(record.written, bounds))
    }

    /// Where the last set-up restarted a sequence.
    pub(crate) fn restart(&self, sequence: pg_sys::Oid, increment: i64) -> Option<i64> {
        self.of(sequence, increment).and_then(|record| record.restart)
    }

    /// The values that a sequence handed out before it was set up. They stay true whatever has been
    /// done to it since.
    pub(crate) fn history(&self, sequence: pg_sys::Oid) -> Vec<PastValues> {
        self.records.get(&sequence.to_u32()).map(|record| record.history.clone()).unwrap_or_default()
    }

    /// Whether the server has been promoted since a set-up left a gap above a sequence, or since
    /// its first set-up.
    pub(crate) fn promoted(&self, sequence: pg_sys::Oid) -> bool {
        self.records.get(&sequence.to_u32()).is_some_and(|record| record.timeline != self.timeline)
    }

    /// The gap that was left above a sequence, unless a promotion requires a new one.
    pub(crate) fn gap_left(&self, sequence: pg_sys::Oid) -> i64 {
        let record = self.records.get(&sequence.to_u32()).filter(|record| record.timeline == self.timeline);
        record.map_or(0, |record| record.gap)
    }
}

/// Whether the caller may store and delete records, as the owner of the database may. A record that
/// stays does no harm: it counts only while the sequence has the increment from the set-up.
pub(crate) fn may_be_kept() -> bool {
    owns_database()
}

/// Stands for a timeline: keep the recorded one.
const KEPT: i64 = 0;

/// Records what was done with sequences, and their former state.
pub(crate) fn keep<'a>(
    extension: Extension,
    target: &Target,
    steps: impl Iterator<Item = &'a Step>,
) -> SpiResult<()> {
    let mut columns: [Vec<Option<i64>>; 12] = Default::default();
    let timeline = i64::from(timeline()?);
    let mut sequences: Vec<pg_sys::Oid> = Vec::new();
    let mut history: Vec<String> = Vec::new();
    for step in steps {
        let (sequence, plan) = (&step.before, &step.plan);
        let former = Former::of(sequence, target);
        let values = [
            Some(plan.increment),
            Some(former.increment),
            Some(former.start),
            Some(former.min_value),
            Some(former.max_value),
            plan.in_use,
            plan.restart,
            Some(if plan.gap > 0 { plan.gap } else { sequence.gap_left }),
            // A set-up without a gap after a promotion leaves it to a later one. A computed gap is
            // for what peers draw, and not for what was lost.
            Some(if target.gap.unwrap_or(0) == 0 && sequence.promoted { KEPT } else { timeline }),
            Some(plan.bounds.start),
            Some(plan.bounds.min_value),
            Some(plan.bounds.max_value),
        ];
        let next_values =
            Residue::through(i128::from(plan.restart.unwrap_or_default()), plan.increment.unsigned_abs());
        // Before its first set-up, anybody could draw from a sequence, with or without a class.
        let is_known = sequence.former.is_some() || !sequence.history.is_empty();
        let class = target.from.or(is_known.then_some(target.class));
        let so_far = sequence.handed_out(class);
        let ascending = sequence.increment > 0;
        let extended = PastValues::extend(sequence.history.clone(), so_far, next_values, ascending);
        history.push(PastValues::to_json(&extended));
        sequences.push(step.entry.oid);
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    if sequences.is_empty() {
        return Ok(());
    }
    let statement = "INSERT INTO {} AS r (system_identifier, database, sequence, increment, former_increment, former_start, \
                     former_min_value, former_max_value, in_use, restart, gap, timeline, start, min_value, max_value, before_setup) \
         SELECT $1, $2, s.sequence, s.increment, s.former_increment, s.former_start, s.former_min_value, s.former_max_value, \
                s.in_use, s.restart, s.gap, s.timeline::integer, s.start, s.min_value, s.max_value, s.before_setup::pg_catalog.jsonb FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), \
             pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9), \
             pg_catalog.unnest($10), pg_catalog.unnest($11), pg_catalog.unnest($12), pg_catalog.unnest($13), \
             pg_catalog.unnest($14), pg_catalog.unnest($15), pg_catalog.unnest($16)) \
             AS s (sequence, increment, former_increment, former_start, former_min_value, former_max_value, in_use, restart, \
                   gap, timeline, start, min_value, max_value, before_setup) \
         ON CONFLICT (system_identifier, database, sequence) DO UPDATE SET increment = EXCLUDED.increment, \
             former_increment = EXCLUDED.former_increment, former_start = EXCLUDED.former_start, \
             former_min_value = EXCLUDED.former_min_value, former_max_value = EXCLUDED.former_max_value, \
             in_use = EXCLUDED.in_use, restart = EXCLUDED.restart, before_setup = EXCLUDED.before_setup, \
             gap = EXCLUDED.gap, start = EXCLUDED.start, min_value = EXCLUDED.min_value, max_value = EXCLUDED.max_value, \
             timeline = CASE WHEN EXCLUDED.timeline OPERATOR(pg_catalog.=) 0 THEN r.timeline ELSE EXCLUDED.timeline END, set_up_at = EXCLUDED.set_up_at";
    let (system_identifier, database) = own_key();
    let mut arguments = vec![system_identifier.into(), database.into(), sequences.into()];
    arguments.extend(columns.map(Into::into));
    arguments.push(history.into());
    tables::SEQUENCE.write(statement, extension, &arguments).map(|_| ())
}

/// Deletes the records of sequences that no longer have the state from their set-up.
pub(crate) fn forget<'a>(extension: Extension, steps: impl Iterator<Item = &'a Step>) -> SpiResult<()> {
    let sequences: Vec<pg_sys::Oid> = steps.map(|step| step.entry.oid).collect();
    if sequences.is_empty() {
        return Ok(());
    }
    // What other nodes have shown stays true.
    let all = [tables::FEED, tables::ACKNOWLEDGEMENT, tables::TRUSTED, tables::SEQUENCE];
    all.into_iter().try_for_each(|table| table.forget(extension, &sequences))
}
