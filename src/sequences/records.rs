//! What a set-up has done with each sequence: the table `interleaved_sequence`, from which the way back is known.

use std::collections::HashMap;

use keyspace::sequences::Former;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::steps::Step;
use super::tables::{self, own_key};

/// What is known of a sequence that was set up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// The increment that the set-up gave it.
    increment: i64,
    former: Former,
}

/// The records of this database's sequences, by their OIDs.
#[derive(Debug, Default)]
pub(super) struct Records(HashMap<u32, Record>);

impl Records {
    /// Reads all of them, or that of one sequence.
    pub(super) fn read(function: pg_sys::Oid, only: Option<pg_sys::Oid>) -> SpiResult<Self> {
        let query = "SELECT sequence, increment, former_increment, former_start, former_min_value, former_max_value \
                     FROM {} WHERE system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2 \
                       AND ($3 IS NULL OR sequence OPERATOR(pg_catalog.=) $3)";
        let query = tables::statement(query, tables::SEQUENCE, function);
        let (system_identifier, database) = own_key();
        Spi::connect(|client| {
            let arguments = [system_identifier.into(), database.into(), only.into()];
            let mut records = HashMap::new();
            for row in client.select(query.as_c_str(), None, &arguments)? {
                let number = |at: usize| -> SpiResult<i64> { Ok(row.get(at)?.unwrap_or_default()) };
                let former = Former {
                    increment: number(3)?,
                    start: number(4)?,
                    min_value: number(5)?,
                    max_value: number(6)?,
                };
                let record = Record { increment: number(2)?, former };
                let sequence: Option<pg_sys::Oid> = row.get(1)?;
                records.extend(sequence.map(|oid| (oid.to_u32(), record)));
            }
            Ok(Self(records))
        })
    }

    /// What a sequence was before it was set up, where the set-up's increment still stands.
    pub(super) fn former(&self, sequence: pg_sys::Oid, increment: i64) -> Option<Former> {
        self.0
            .get(&sequence.to_u32())
            .filter(|record| record.increment == increment)
            .map(|record| record.former)
    }
}

/// Whether the caller may keep records; the owner of the database may.
pub(super) fn may_be_kept(function: pg_sys::Oid) -> bool {
    tables::SEQUENCE.allows(function, pg_sys::ACL_INSERT | pg_sys::ACL_UPDATE)
}

/// Keeps what was done with sequences, and what they were before.
pub(super) fn keep<'a>(function: pg_sys::Oid, steps: impl Iterator<Item = &'a Step>) -> SpiResult<()> {
    let mut columns: [Vec<Option<i64>>; 7] = Default::default();
    let mut sequences: Vec<pg_sys::Oid> = Vec::new();
    for step in steps {
        let (sequence, plan) = (&step.before, &step.plan);
        // A second set-up of a sequence knows what it was before the first.
        let former = sequence.former.unwrap_or(Former {
            increment: sequence.increment,
            start: sequence.start,
            min_value: sequence.min_value,
            max_value: sequence.max_value,
        });
        let values = [
            Some(plan.increment),
            Some(former.increment),
            Some(former.start),
            Some(former.min_value),
            Some(former.max_value),
            plan.in_use,
            plan.restart,
        ];
        sequences.push(step.entry.oid);
        columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
    }
    if sequences.is_empty() {
        return Ok(());
    }
    let statement = "INSERT INTO {} (system_identifier, database, sequence, increment, former_increment, former_start, \
                     former_min_value, former_max_value, in_use, restart) \
         SELECT $1, $2, s.* FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), \
             pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9), \
             pg_catalog.unnest($10)) AS s \
         ON CONFLICT (system_identifier, database, sequence) DO UPDATE SET increment = EXCLUDED.increment, \
             former_increment = EXCLUDED.former_increment, former_start = EXCLUDED.former_start, \
             former_min_value = EXCLUDED.former_min_value, former_max_value = EXCLUDED.former_max_value, \
             in_use = EXCLUDED.in_use, restart = EXCLUDED.restart, set_up_at = EXCLUDED.set_up_at";
    let statement = tables::statement(statement, tables::SEQUENCE, function);
    let (system_identifier, database) = own_key();
    let mut arguments = vec![system_identifier.into(), database.into(), sequences.into()];
    arguments.extend(columns.map(Into::into));
    Spi::connect_mut(|client| client.update(statement.as_c_str(), None, &arguments).map(|_| ()))
}

/// Drops the records of sequences that are no longer what a set-up made of them.
pub(super) fn forget<'a>(function: pg_sys::Oid, steps: impl Iterator<Item = &'a Step>) -> SpiResult<()> {
    let sequences: Vec<pg_sys::Oid> = steps.map(|step| step.entry.oid).collect();
    if sequences.is_empty() {
        return Ok(());
    }
    let statement = "DELETE FROM {} WHERE system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2 \
                       AND sequence OPERATOR(pg_catalog.=) ANY ($3)";
    let statement = tables::statement(statement, tables::SEQUENCE, function);
    let (system_identifier, database) = own_key();
    let arguments = [system_identifier.into(), database.into(), sequences.into()];
    Spi::connect_mut(|client| client.update(statement.as_c_str(), None, &arguments).map(|_| ()))
}
