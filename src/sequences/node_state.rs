//! `interleaved_node_state`: what this node tells the others of itself.

use std::collections::BTreeMap;

use keyspace::sequences::{Class, NodeState, SequenceState, Share};
use keyspace::{Error, SqlState};
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::catalog::Column;
use super::extreme::ByResidue;
use super::failure::Failure;
use super::locks::Timeout;
use super::nextval::null;
use super::records::{self, Records};
use super::request::running;
use super::selection::Selection;
use super::steps::{Change, Planner, Step};
use super::tables::own_key;
use super::{catalog, identity, peers};
use crate::encoding::{ServerJson, from_utf8};
use crate::error::or_raise;

/// Of how many rows at the end of a column the classes are told.
const LAST_ROWS: u64 = 64;
/// How many columns are read before their locks are given back.
const READ_BATCH: usize = 100;

/// The state of this node, to be passed to the others as `peers`.
///
/// # Errors
/// 22004 and 22023 for the argument, 42501 where a sequence or a column cannot be read, 55P03 where a table cannot be read in time.
#[pg_extern(sql = false)]
fn interleaved_node_state(lock_timeout: Option<Interval>, fcinfo: pg_sys::FunctionCallInfo) -> ServerJson {
    let timeout = or_raise(lock_timeout.ok_or_else(|| null("lock_timeout")).and_then(Timeout::new));
    match state(timeout, running(fcinfo)) {
        Ok(state) => ServerJson(state.to_json()),
        Err(failure) => failure.raise(),
    }
}

/// Reads the state of this node.
fn state(timeout: Timeout, function: pg_sys::Oid) -> Result<NodeState, Failure> {
    let class = identity::known(function)?;
    let change = Change { function, name: "node state", class, timeout, planner: Planner::Reset };
    let records = Records::read(function, None)?;
    let steps = catalog::with_own_settings(|| change.plan_all(&Selection::all(), &records))?;
    of(&change, &records, &steps)
}

/// The state of this node, of whose sequences the facts have been read.
///
/// # Errors
/// 42501 where a sequence or a column cannot be read, 55P03 where a table cannot be read in time.
pub(super) fn of(change: &Change, records: &Records, steps: &[Step]) -> Result<NodeState, Failure> {
    let class = change.class;
    let mut sequences = BTreeMap::new();
    if let Some(error) = steps.iter().filter(|step| step.is_locked()).find_map(Step::error) {
        return Err(error.clone().into());
    }
    let is_hidden = |step: &&Step| !step.entry.is_visible && step.entry.exempt.is_none();
    if let Some(step) = steps.iter().find(is_hidden) {
        let message = format!("permission denied for sequence \"{}\"", step.entry.name);
        return Err(Error::new(SqlState::InsufficientPrivilege, message)
            .detail("The other nodes are told where every sequence stands.")
            .hint("Call it as a role that may read them all.")
            .into());
    }
    for batch in steps.chunks(READ_BATCH) {
        if let Some(error) = batch.iter().flat_map(|step| &step.entry.columns).find_map(Column::refusal) {
            return Err(error
                .detail("The other nodes are told the furthest value of every column that a sequence feeds.")
                .hint("Call it as a role that may read them all.")
                .into());
        }
        let others = catalog::with_own_settings(|| {
            change.read_in_time(|reading| {
                let others = |step: &Step| others(step, class, &mut reading.borrow_mut());
                Ok(batch.iter().map(others).collect::<Vec<_>>())
            })
        })?;
        for (step, others) in batch.iter().zip(others) {
            if step.entry.exempt.is_none() {
                sequences.insert(step.entry.name.clone(), sequence_state(step, others, records, class));
            }
        }
    }
    let (system_identifier, database) = own_key();
    let server = "SELECT pg_catalog.convert_to(pg_catalog.current_database()::pg_catalog.text, 'UTF8'), \
                         pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), \
                                            'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let (name, time) = Spi::connect(|client| -> SpiResult<_> {
        let row = client.select(server, Some(1), &[])?.first();
        Ok((row.get::<Vec<u8>>(1)?, row.get::<String>(2)?))
    })?;
    Ok(NodeState {
        version: keyspace::sequences::state::VERSION,
        node: class.map(Class::node),
        nodes: class.map(Class::nodes),
        system_identifier,
        timeline: records::timeline()?,
        database: name.map(from_utf8).unwrap_or_default(),
        database_oid: database.to_u32(),
        started_at: peers::started_at()?,
        time: time.unwrap_or_default(),
        sequences,
    })
}

/// The furthest values of other nodes' classes among the last rows that a sequence feeds.
fn others(step: &Step, class: Option<Class>, reading: &mut String) -> Vec<i64> {
    let (Some(class), None) = (class, step.entry.exempt) else { return Vec::new() };
    let ascending = step.before.increment > 0;
    let mut found = ByResidue::default();
    for column in &step.entry.columns {
        reading.clone_from(&column.relation);
        found.read(column, ascending, i64::from(class.nodes()), Some(LAST_ROWS));
    }
    let mut values = found.values(ascending);
    values.retain(|value| !class.contains(*value));
    values
}

fn sequence_state(step: &Step, others: Vec<i64>, records: &Records, class: Option<Class>) -> SequenceState {
    let sequence = &step.before;
    let columns = sequence.columns.iter().filter_map(|column| column.extreme);
    let next = sequence.next_value();
    SequenceState {
        increment: sequence.increment,
        next_value: i64::try_from(next).unwrap_or(if next > 0 { i64::MAX } else { i64::MIN }),
        last_value: sequence.is_called.then_some(sequence.last_value),
        maximum: if sequence.increment > 0 { columns.max() } else { columns.min() },
        others,
        drawn_on: sequence.is_drawn_on(),
        block: class.and_then(|class| Share::of(sequence, class, false)).map(|share| share.size),
        columns: sequence.columns.iter().map(|column| column.name.clone()).collect(),
        restart: records.restart(step.entry.oid, sequence.increment),
        before_setup: sequence.phases.clone(),
    }
}
