//! `interleaved_node_state`: the state of this node for the other nodes.

use std::collections::BTreeMap;

use keyspace::sequences::{
    Class, ColumnName, FedColumn, NodeState, Rows, Sequence, SequenceName, SequenceState, Share,
};
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::AnyElement;
use pgrx::datum::Interval;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::{ServerJson, from_server_bytes};
use crate::error::or_raise;
use crate::sequences::change::records::{self, Records};
use crate::sequences::change::step::Step;
use crate::sequences::change::{Change, Planner};
use crate::sequences::own::identity;
use crate::sequences::peers;
use crate::sequences::read::catalog::Column;
use crate::sequences::read::feeds;
use crate::sequences::read::furthest::ByResidue;
use crate::sequences::read::position_replication;
use crate::sequences::read::selection::Selection;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::memory::OpenedTables;
use crate::server::patience::Patience;
use crate::server::settings::with_own_settings;
use crate::server::tables::own_key;
use crate::server::timeout::Timeout;

/// How many columns are read before their locks are released.
const READ_BATCH: usize = 100;

/// The state of this node, to be passed to other nodes as `peers`. In an index of a column it reads
/// at most the last `last_rows` rows; NULL means all. `feeds` names columns that get values from a
/// sequence, as for a set-up; they are not stored.
///
/// # Errors
/// 22004 and 22023 for the arguments, 42501 if a sequence or a column cannot be read, 55P03 if a
/// table cannot be read in time.
#[pg_extern(sql = false)]
fn interleaved_node_state(
    lock_timeout: Option<Interval>,
    last_rows: Option<i64>,
    feeds: Option<AnyElement>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> ServerJson {
    let timeout = or_raise(required(lock_timeout, "lock_timeout").and_then(Timeout::new));
    let last_rows = last_rows.map(|rows| {
        or_raise(u64::try_from(rows).map_err(|_| {
            let message = format!("last_rows must be at least 0, not {rows}");
            Error::new(SqlState::InvalidParameterValue, message).hint("Use NULL to read all rows.")
        }))
    });
    let extension = or_raise(Extension::of_call(fcinfo));
    let read = || {
        let feeds = feeds::read(feeds)??;
        let selection = Selection::new(None, None, None, feeds);
        with_own_settings(|| selection.check())??;
        state(timeout, &selection, LookAt::Last(last_rows), extension)
    };
    match timeout.limiting(read) {
        Ok(state) => ServerJson(state.to_json()),
        Err(failure) => failure.raise(),
    }
}

/// The rows in which the furthest value of each class is looked for.
#[derive(Clone, Copy)]
pub(super) enum LookAt {
    /// None: the state is compared with those of other nodes, whose rows count.
    Nothing,
    /// This many rows of an index, or all; all rows of a column without an index.
    Last(Option<u64>),
}

/// Reads the state of this node.
fn state(
    timeout: Timeout,
    selection: &Selection,
    look_at: LookAt,
    extension: Extension,
) -> Result<NodeState, Failure> {
    let class = identity::known(extension)?;
    let change = Change {
        extension,
        name: "node state",
        class,
        patience: Patience::new(timeout),
        planner: Planner::Reset,
        skip_failed: false,
    };
    let (steps, records) = change.plan(selection)?;
    of(&change, &records, &steps, look_at)
}

/// The state of this node, whose sequences have been read.
///
/// # Errors
/// 42501 if a sequence or a column cannot be read, 55P03 if a table cannot be read in time.
pub(super) fn of(
    change: &Change,
    records: &Records,
    steps: &[Step],
    look_at: LookAt,
) -> Result<NodeState, Failure> {
    let class = change.class;
    let mut sequences = BTreeMap::new();
    if let Some(error) = steps.iter().filter(|step| step.is_locked()).find_map(Step::error) {
        return Err(error.clone().into());
    }
    let is_hidden = |step: &&Step| !step.entry.is_visible && step.entry.exempt.is_none();
    if let Some(step) = steps.iter().find(is_hidden) {
        let message = format!("permission denied for sequence {}", in_message(&step.entry.name));
        return Err(Error::new(SqlState::InsufficientPrivilege, message)
            .detail("The state includes the position of every sequence.")
            .hint("Call it as a role that may read them all.")
            .into());
    }
    let mut opened = OpenedTables::default();
    for batch in steps.chunks(READ_BATCH) {
        opened.add(batch.iter().map(|step| step.entry.columns.len().max(1)).sum());
        if let Some(error) = batch.iter().flat_map(|step| &step.entry.columns).find_map(Column::refusal) {
            return Err(error
                .detail("The state includes the furthest value of every column that a sequence feeds.")
                .hint("Call it as a role that may read them all.")
                .into());
        }
        let rows = match look_at {
            LookAt::Nothing => vec![Rows::default(); batch.len()],
            LookAt::Last(last_rows) => change.read_in_time(|reading| {
                let rows = |step: &Step| rows(step, records, class, last_rows, &mut reading.borrow_mut());
                Ok(batch.iter().map(rows).collect::<Vec<_>>())
            })?,
        };
        for (step, rows) in batch.iter().zip(rows) {
            if step.entry.exempt.is_none()
                && let Some(name) = SequenceName::of_quoted(&step.entry.name)
            {
                sequences.insert(name, sequence_state(step, rows, records, class));
            }
        }
    }
    let publications = position_replication::publications()?;
    let (system_identifier, database) = own_key();
    let server = "SELECT pg_catalog.convert_to(pg_catalog.current_database()::pg_catalog.text, 'SQL_ASCII'), \
                         pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), \
                                            'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let (name, time) = Spi::connect(|client| -> SpiResult<_> {
        let row = client.select(server, Some(1), &[])?.first();
        Ok((row.get::<Vec<u8>>(1)?, row.get::<String>(2)?))
    })?;
    Ok(NodeState {
        node: class.map(Class::node),
        nodes: class.map(Class::nodes),
        system_identifier,
        timeline: records::timeline()?,
        database: name.map(from_server_bytes).unwrap_or_default(),
        database_oid: database.to_u32(),
        started_at: peers::started_at()?,
        time: time.unwrap_or_default(),
        sequence_publications: publications.into_iter().map(|publication| publication.name).collect(),
        sequence_subscriptions: position_replication::subscription_names(
            steps.iter().filter_map(|step| step.entry.replicated.as_ref()),
        ),
        left: false,
        sequences,
    })
}

/// The furthest values of each class in the columns that a sequence feeds.
fn rows(
    step: &Step,
    records: &Records,
    class: Option<Class>,
    last_rows: Option<u64>,
    reading: &mut String,
) -> Rows {
    if step.entry.exempt.is_some() {
        return Rows::default();
    }
    let (modulus, ascending) = (Rows::modulus(class), step.before.increment > 0);
    // Rows beyond the range of the sequence can never collide with it. Those before it are told.
    let end = if ascending { step.before.max_value } else { step.before.min_value };
    let mut found = ByResidue::default();
    for column in step.entry.columns.iter().filter(|column| column.is_followed) {
        reading.clone_from(&column.relation);
        let restart = records.restart(step.entry.oid, step.before.increment);
        found.read(column, (ascending, end), i64::from(modulus), last_rows, restart);
    }
    Rows { modulus, furthest: found.values(ascending), unread: found.unread }
}

/// Whether a column accepts values beyond the end of the sequence.
fn accepts_beyond(sequence: &Sequence) -> bool {
    let mut accepted = sequence.columns.iter().filter_map(FedColumn::accepted);
    if sequence.increment > 0 {
        accepted.any(|limits| limits.high > sequence.max_value)
    } else {
        accepted.any(|limits| limits.low < sequence.min_value)
    }
}

fn sequence_state(step: &Step, rows: Rows, records: &Records, class: Option<Class>) -> SequenceState {
    let sequence = &step.before;
    // Rows that do not count here are told as well: they may count there.
    let columns = sequence.columns.iter().filter_map(|column| column.extreme);
    let columns = columns.chain(rows.furthest.iter().copied());
    let next = sequence.next_value();
    SequenceState {
        increment: sequence.increment,
        next_value: i64::try_from(next).unwrap_or(if next > 0 { i64::MAX } else { i64::MIN }),
        last_value: sequence.is_called.then_some(sequence.last_value),
        min_value: Some(sequence.min_value),
        max_value: Some(sequence.max_value),
        rows_beyond: accepts_beyond(sequence),
        trusted: sequence.trusted,
        cycles: sequence.cycle,
        maximum: if sequence.increment > 0 { columns.max() } else { columns.min() },
        rows,
        drawn_on: sequence.is_drawn_on(),
        block: class.and_then(|class| Share::certain_size(sequence, class)),
        columns: {
            let names = sequence.fed_columns();
            names.filter_map(|column| ColumnName::of_quoted(&column.name)).collect()
        },
        unread_columns: {
            let unread = sequence.fed_columns().filter(|column| column.number_type.is_none());
            unread.filter_map(|column| ColumnName::of_quoted(&column.name)).collect()
        },
        restart: records.restart(step.entry.oid, sequence.increment),
        before_setup: sequence.history.clone(),
    }
}
