//! `interleaved_sequences` and `check_interleaved_sequences`: whether every sequence keeps to its
//! node's class.

use std::collections::{HashMap, HashSet};

use keyspace::Error;
use keyspace::error::sentence;
use keyspace::sequences::guard::blocks_hint;
use keyspace::sequences::{
    Blocks, Class, Counting, Finding, PeerFinding, Sequence, SequenceName, Severity, Status, Upcoming,
    compare, status,
};
use pgrx::datum::Interval;
use pgrx::iter::TableIterator;
use pgrx::prelude::*;
use pgrx::{AnyArray, AnyNumeric};

use crate::encoding::ServerText;
use crate::error::or_raise;
use crate::sequences::acknowledge::Acknowledged;
use crate::sequences::change::facts::{self, Facts};
use crate::sequences::change::step::{Step, percent};
use crate::sequences::change::{Change, Planner, ddl_replication};
use crate::sequences::guard::counting;
use crate::sequences::node_state::{self, LookAt};
use crate::sequences::own::identity;
use crate::sequences::peers::{self, Peers};
use crate::sequences::read::catalog::{Column, Entry, NAME_NOT_UTF8, NOT_UTF8_DETAIL, NOT_UTF8_HINT};
use crate::sequences::read::selection::Selection;
use crate::sequences::read::{form, insert_conflicts, position_replication};
use crate::sequences::siblings;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::patience::Patience;
use crate::server::timeout::Timeout;
use crate::versions;

/// Every sequence of the database, as far as it can be examined without reading tables, for the
/// view `interleaved_sequences`. Reads the sequences' own pages, does not wait, and keeps no lock.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn interleaved_sequences_status(
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(sequence, pg_sys::Oid),
        name!(in_order, Option<bool>),
        name!(findings, Vec<&'static str>),
        name!(next_value, Option<i64>),
        name!(increment, i64),
        name!(values_left, Option<i64>),
        name!(percent_used, Option<AnyNumeric>),
        name!(last_value, Option<i64>),
        name!(fed_columns, Vec<ServerText>),
        name!(node, Option<i32>),
        name!(nodes, Option<i32>),
    ),
> {
    let extension = or_raise(Extension::of_call(fcinfo));
    let found = examine(extension).and_then(|found| Ok((found, position_replication::publications()?)));
    let ((examined, class), publications) = match found {
        Ok(found) => found,
        Err(failure) => failure.raise(),
    };
    let is_published = !publications.is_empty();
    TableIterator::new(examined.into_iter().map(move |Examined { entry, sequence, status, is_known }| {
        let mut findings: Vec<_> = status.findings.iter().map(Finding::name).collect();
        if class.is_none() {
            findings.push("no node");
        }
        if let Some(reason) = entry.exempt {
            findings.push(reason);
        } else if !entry.is_visible {
            findings.push("permission denied");
        } else if !is_known {
            findings.push("locked");
        }
        if is_published && entry.exempt.is_none() {
            findings.push("position published");
        }
        (
            entry.oid,
            status.in_order,
            findings,
            status.next_value,
            sequence.increment,
            status.values_left,
            status.used_basis_points.and_then(percent),
            (is_known && sequence.is_called).then_some(sequence.last_value),
            entry.fed_columns(),
            class.map(Class::node),
            class.map(Class::nodes),
        )
    }))
}

/// The visible data of one sequence.
struct Examined {
    entry: Entry,
    sequence: Sequence,
    status: Status,
    /// Whether the caller may see its position, and no other session has it locked.
    is_known: bool,
}

fn examine(extension: Extension) -> Result<(Vec<Examined>, Option<Class>), Failure> {
    let Facts { entries, records } = Facts::read(extension, &Selection::all())?;
    let class = identity::known(extension)?;
    let mut examined = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(form) = form::definition(entry.oid) else { continue };
        let is_known = entry.is_visible && entry.exempt.is_none();
        let state = if is_known { form::state_at_once(entry.oid) } else { None };
        let unknown = form::State { last_value: form.start, is_called: false };
        let sequence = facts::of(&entry, &records, form, state.unwrap_or(unknown));
        let status = status(&sequence, class, state.is_some());
        examined.push(Examined { entry, sequence, status, is_known: state.is_some() });
    }
    Ok((examined, class))
}

/// Problems of the sequences in this database: those that the view shows, and those that only the
/// tables reveal.
///
/// # Errors
/// 22004 for NULL, 22023 for a value that is not the state of another node and for a `lock_timeout`
/// out of range, 42501 if a column that is needed for a comparison with peers cannot be read, 55P03
/// if a table cannot be read in time.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn check_interleaved_sequences(
    peers: Option<AnyArray>,
    lock_timeout: Option<Interval>,
    fcinfo: pg_sys::FunctionCallInfo,
) -> TableIterator<
    'static,
    (
        name!(severity, &'static str),
        name!(sequence, Option<pg_sys::Oid>),
        name!(node, Option<i32>),
        name!(peer, Option<i32>),
        name!(finding, &'static str),
        name!(detail, ServerText),
        name!(hint, ServerText),
    ),
> {
    let timeout = or_raise(required(lock_timeout, "lock_timeout").and_then(Timeout::new));
    let extension = or_raise(Extension::of_call(fcinfo));
    match timeout.limiting(|| check(peers, timeout, extension)) {
        Ok(rows) => TableIterator::new(rows),
        Err(failure) => failure.raise(),
    }
}

/// A row of the check.
type Found =
    (&'static str, Option<pg_sys::Oid>, Option<i32>, Option<i32>, &'static str, ServerText, ServerText);

fn check(peers: Option<AnyArray>, timeout: Timeout, extension: Extension) -> Result<Vec<Found>, Failure> {
    let peers = Peers::read(peers, extension)?;
    peers::check_others(&peers)?;
    let class = identity::known(extension)?;
    let change = Change {
        extension,
        name: "check",
        class,
        patience: Patience::new(timeout),
        planner: Planner::Reset,
        skip_failed: false,
    };
    let (mut steps, records) = change.plan(&Selection::all())?;
    peers.remember(extension, &steps)?;
    let mut rows = Vec::new();
    for (oid, detail) in siblings::explain(&mut steps) {
        rows.push((Severity::Warning, behind_a_sibling(class, oid, detail)));
    }
    // What is locked is a row of its own, and is not compared with the peers.
    steps.sort_by_key(Step::is_locked);
    let (read, locked) = steps.split_at(steps.partition_point(|step| !step.is_locked()));
    if class.is_none() {
        rows.push((Severity::Error, no_node(identity::others(extension)?.first().map(|other| other.class))));
    }
    if let Some(setting) = ddl_replication::is_on() {
        rows.push((Severity::Warning, ddl_is_replicated(class, setting)));
    }
    if let Some((detail, hint)) = versions::difference()? {
        let found = of_node(Severity::Warning, class, "versions differ", detail, hint);
        rows.push((Severity::Warning, found));
    }
    for publication in position_replication::publications()? {
        let (detail, hint) = (publication.detail(), publication.hint());
        rows.push((
            Severity::Warning,
            of_node(Severity::Warning, class, "positions published", detail, hint),
        ));
    }
    for conflicts in insert_conflicts::of_subscriptions()? {
        let (detail, hint) = (conflicts.detail(), conflicts.hint());
        rows.push((Severity::Error, of_node(Severity::Error, class, "insert conflicts", detail, hint)));
    }
    let named = |step: &Step| Some((SequenceName::of_quoted(&step.entry.name)?, step.entry.oid));
    let oids: HashMap<SequenceName, pg_sys::Oid> = steps.iter().filter_map(named).collect();
    if !peers.is_empty() {
        let own = node_state::of(&change, &records, read, LookAt::Nothing)?;
        let locked: HashSet<SequenceName> =
            locked.iter().filter_map(|step| SequenceName::of_quoted(&step.entry.name)).collect();
        let is_compared =
            |finding: &PeerFinding| finding.sequence.as_ref().is_none_or(|name| !locked.contains(name));
        let found = compare(&own, &peers).into_iter().filter(is_compared);
        rows.extend(found.map(|finding| {
            let (severity, asks_for_set_up) = (finding.severity, finding.asks_for_set_up());
            let mut row = row_of_peer(&oids, class, finding);
            let step = steps.iter().find(|step| asks_for_set_up && Some(step.entry.oid) == row.1);
            if let Some((detail, hint)) = step.and_then(|step| reason_to_skip(step, class)) {
                row.5 = ServerText(format!("{} A set-up leaves it alone. {detail}", row.5.0));
                row.6 = ServerText(hint);
            }
            (severity, row)
        }));
    }
    rows.extend(class.and_then(|class| nothing_is_known(&steps, class)).map(|row| (Severity::Warning, row)));
    let is_any_known = rows.iter().all(|(_, row)| row.4 != NO_KNOWN_COLUMNS);
    let is_unclear = |step: &Step| {
        step.before.columns.iter().any(|column| column.ahead.is_none() && column.maybe_ahead.is_some())
    };
    let countings =
        if steps.iter().any(is_unclear) { counting::countings(extension)? } else { HashMap::new() };
    for step in &steps {
        if step.entry.exempt == Some(NAME_NOT_UTF8) {
            rows.push((Severity::Warning, not_named(step, class)));
        }
        if step.entry.exempt.is_some() {
            continue;
        }
        let not_examined = not_examined(step, class);
        let is_examined = not_examined.is_none();
        rows.extend(not_examined.map(|not_examined| (Severity::Warning, not_examined)));
        let sequence = if is_examined {
            counted(at_current_position(step, class), step, class, &countings)
        } else {
            unknown_position(&step.before)
        };
        let status = status(&sequence, class, is_examined);
        for finding in &status.findings {
            rows.push((finding.severity(), row(&sequence, step.entry.oid, class, &status, finding)));
        }
        if let Some(class) = class {
            let known = to_be_known(step.entry.oid, &sequence, class, is_any_known);
            rows.extend(known.into_iter().map(|row| (Severity::Info, row)));
        }
    }
    let acknowledged = Acknowledged::read(extension)?;
    for row in &mut rows {
        accept(row, &acknowledged);
    }
    // Errors first, then warnings, otherwise in the order of the view.
    rows.sort_by_key(|(severity, _)| *severity);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// Turns a warning that somebody has acknowledged into an info, with the reason.
fn accept((severity, row): &mut (Severity, Found), acknowledged: &Acknowledged) {
    if *severity == Severity::Error {
        return;
    }
    if let Some(reason) = acknowledged.reason(row.1, row.4) {
        *severity = Severity::Info;
        row.0 = severity.name();
        row.5 = ServerText(format!("{} Acknowledged: {reason}", row.5.0));
    }
}

const NO_KNOWN_COLUMNS: &str = "no known columns";

/// Reports a database in which no sequence feeds a known column, so that no table is compared with
/// its sequence (fault B22).
fn nothing_is_known(steps: &[Step], class: Class) -> Option<Found> {
    let steps = steps.iter().filter(|step| step.entry.exempt.is_none());
    let (known, unknown): (Vec<&Step>, Vec<&Step>) =
        steps.partition(|step| step.before.fed_columns().next().is_some());
    (known.is_empty() && unknown.len() > 1).then(|| {
        let detail = format!(
            "None of the {} sequences feeds a known column, so no table was compared with its sequence.",
            unknown.len()
        );
        let hint = "Name the columns that triggers, functions or the application fill, by feeds in setup_interleaved_sequences().";
        of_node(Severity::Warning, Some(class), NO_KNOWN_COLUMNS, detail, hint)
    })
}

/// What should be known of a sequence, and needs nothing to be done.
fn to_be_known(oid: pg_sys::Oid, sequence: &Sequence, class: Class, is_any_known: bool) -> Vec<Found> {
    let info = |finding, detail: String, hint: String| {
        let (detail, hint) = (ServerText(detail), ServerText(hint));
        (Severity::Info.name(), Some(oid), Some(class.node()), None, finding, detail, hint)
    };
    let mut rows = Vec::new();
    if is_any_known && sequence.fed_columns().next().is_none() {
        let detail = "Only its own position is known.".to_owned();
        let hint = "If it feeds a column through a trigger, a function or the application, name the column by feeds in setup_interleaved_sequences().";
        rows.push(info("no known column", detail, hint.to_owned()));
    }
    if let Some(blocks) = Blocks::of(sequence, class) {
        let detail = format!("Each of its values stands for {} ids.", blocks.size());
        rows.push(info("blocks of ids", detail, blocks_hint(blocks.size())));
    }
    rows
}

fn row(
    sequence: &Sequence,
    oid: pg_sys::Oid,
    class: Option<Class>,
    status: &Status,
    finding: &Finding,
) -> Found {
    (
        finding.severity().name(),
        Some(oid),
        class.map(Class::node),
        None,
        finding.name(),
        ServerText(finding.detail(sequence, status)),
        ServerText(finding.hint().into_owned()),
    )
}

/// A finding about this node as a whole.
fn of_node(
    severity: Severity,
    class: Option<Class>,
    finding: &'static str,
    detail: String,
    hint: impl Into<String>,
) -> Found {
    let node = class.map(Class::node);
    (severity.name(), None, node, None, finding, ServerText(detail), ServerText(hint.into()))
}

/// Why a set-up leaves a sequence alone, and what to do about that.
fn reason_to_skip(step: &Step, class: Option<Class>) -> Option<(String, String)> {
    let sequence = unknown_position(&step.before);
    let status = status(&sequence, class, false);
    let finding = status.findings.iter().find(|finding| finding.prevents_set_up())?;
    Some((finding.detail(&sequence, &status), finding.hint().into_owned()))
}

/// A finding between this node and another.
fn row_of_peer(
    oids: &HashMap<SequenceName, pg_sys::Oid>,
    class: Option<Class>,
    finding: PeerFinding,
) -> Found {
    let sequence = finding.sequence.as_ref();
    let oid = sequence.and_then(|name| oids.get(name)).copied();
    let detail = match sequence {
        Some(name) if oid.is_none() => format!("{name}: {}", finding.detail),
        _ => finding.detail,
    };
    let severity = finding.severity.name();
    let (detail, hint) = (ServerText(detail), ServerText(finding.hint.to_owned()));
    (severity, oid, class.map(Class::node), finding.peer, finding.name, detail, hint)
}

/// Reports a sequence whose next values another sequence of its column has handed out here (fault
/// B22). Whether both are used is not known.
fn behind_a_sibling(class: Option<Class>, oid: pg_sys::Oid, detail: String) -> Found {
    let hint = "If both are used, inserts will fail: let one sequence feed the column, or run setup_interleaved_sequences(), which restarts this one above the values in use.";
    let (detail, hint) = (ServerText(detail), ServerText(hint.to_owned()));
    ("warning", Some(oid), class.map(Class::node), None, "column fed twice", detail, hint)
}

/// Reports a database that has no node; it may be a copy of one (trap S13).
fn no_node(other: Option<Class>) -> Found {
    let (finding, detail, hint) = match other {
        Some(class) => (
            "not confirmed",
            format!(
                "The stored node {} of {} belongs to another server or database.",
                class.node(),
                class.nodes()
            ),
            "If this database replaces it, call confirm_interleaved_node(). Otherwise call setup_interleaved_sequences() to make it a different node.",
        ),
        None => (
            "no node",
            "This database has not been set up as a node, so classes cannot be checked.".to_owned(),
            "Call setup_interleaved_sequences(node, nodes).",
        ),
    };
    let (detail, hint) = (ServerText(detail), ServerText(hint.to_owned()));
    ("error", None, None, other.map(Class::node), finding, detail, hint)
}

/// Reports DDL that is replicated to other nodes (trap S15).
fn ddl_is_replicated(class: Option<Class>, setting: &str) -> Found {
    let detail = format!(
        "\"{setting}\" replicates DDL to the other nodes, including any ALTER SEQUENCE that you run yourself."
    );
    let hint = "Disable it before you run ALTER SEQUENCE yourself. The functions of this extension disable it themselves.";
    of_node(Severity::Warning, class, "DDL replication", detail, hint)
}

/// A sequence of which only the definition may be reported.
fn unknown_position(sequence: &Sequence) -> Sequence {
    let mut sequence = Sequence { last_value: sequence.start, is_called: false, ..sequence.clone() };
    for column in &mut sequence.columns {
        (column.extreme, column.ahead, column.maybe_ahead) = (None, None, None);
    }
    sequence
}

/// A sequence with rows ahead of it, at its current position. They may have been drawn since its
/// position was read.
fn at_current_position(step: &Step, class: Option<Class>) -> Sequence {
    let mut sequence = step.before.clone();
    if sequence.columns.iter().all(|column| column.ahead.or(column.maybe_ahead).is_none()) {
        return sequence;
    }
    if let Some(state) = form::state_during_alter(step.entry.oid) {
        (sequence.last_value, sequence.is_called) = (state.last_value, state.is_called);
        let upcoming = Upcoming::of(&sequence, class);
        let is_ahead = |value: &i64| upcoming.may_include(*value);
        for column in &mut sequence.columns {
            column.ahead = column.ahead.filter(is_ahead);
            column.maybe_ahead = column.maybe_ahead.filter(is_ahead);
        }
    }
    sequence
}

/// A sequence with ids ahead that may be of its blocks: where a guard says how ids are counted, they
/// are, or are not.
fn counted(
    mut sequence: Sequence,
    step: &Step,
    class: Option<Class>,
    countings: &HashMap<(u32, i16), Counting>,
) -> Sequence {
    let upcoming = Upcoming::of(&sequence, class);
    for (column, entry) in sequence.columns.iter_mut().zip(&step.entry.columns) {
        let counting = countings.get(&(entry.relation_oid.to_u32(), entry.attribute));
        if let (None, Some(value), Some(counting)) = (column.ahead, column.maybe_ahead, counting) {
            let is_ahead = upcoming.includes_counted(value, *counting);
            (column.ahead, column.maybe_ahead) =
                if is_ahead { (Some(value), Some(value)) } else { (None, None) };
        }
    }
    sequence
}

/// Why a sequence cannot be examined.
fn not_examined(step: &Step, class: Option<Class>) -> Option<Found> {
    let (finding, detail, hint) = if !step.entry.is_visible {
        let detail = "You do not have permission to read its position.".to_owned();
        (
            "permission denied",
            detail,
            "Call the check as a role that may read the sequences and their columns.",
        )
    } else if let Some(error) = step.error().filter(|_| step.is_locked()) {
        return Some(locked(step.entry.oid, error, class));
    } else if let Some(error) = step.entry.columns.iter().find_map(Column::refusal) {
        let detail = sentence(&error.message);
        ("not read", detail, "Call the check as a role that may read the sequences and their columns.")
    } else {
        return None;
    };
    let oid = Some(step.entry.oid);
    let (detail, hint) = (ServerText(detail), ServerText(hint.to_owned()));
    Some(("warning", oid, class.map(Class::node), None, finding, detail, hint))
}

/// A sequence that, or whose table, is locked, with who is in the way.
fn locked(sequence: pg_sys::Oid, error: &Error, class: Option<Class>) -> Found {
    let mut detail = sentence(&error.message);
    if let Some(more) = &error.detail {
        detail = format!("{detail} {more}");
    }
    let hint = error.hint.clone().unwrap_or_default();
    let node = class.map(Class::node);
    ("warning", Some(sequence), node, None, "locked", ServerText(detail), ServerText(hint))
}

/// A sequence that is skipped because of its name.
fn not_named(step: &Step, class: Option<Class>) -> Found {
    let detail = ServerText(format!("{}: {NOT_UTF8_DETAIL}", step.entry.name));
    let (node, hint) = (class.map(Class::node), ServerText(NOT_UTF8_HINT.to_owned()));
    ("warning", Some(step.entry.oid), node, None, NAME_NOT_UTF8, detail, hint)
}
