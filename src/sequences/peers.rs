//! The argument `peers`: the states of other nodes.

use std::collections::HashSet;
use std::ops::Deref;

use keyspace::sequences::{
    Class, ColumnName, NodeState, Outcome, Pace, Peer, Sequence, SequenceName, Target,
};
use keyspace::sql::in_message;
use keyspace::{Error, SqlState};
use pgrx::AnyArray;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::from_utf8;
use crate::error::Report;
use crate::sequences::change::records;
use crate::sequences::change::step::Step;
use crate::sequences::own::copied_records::CopiedRecords;
use crate::sequences::own::peers_seen::{self, Seen};
use crate::sequences::read::catalog::Entry;
use crate::sequences::siblings::Siblings;
use crate::server::call::required;
use crate::server::caught::Caught;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::settings;
use crate::server::subtransaction::attempt;
use crate::server::tables::own_key;
use crate::server::waiting::is_in_use;

/// The other nodes, and what their states show over time.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    /// The last state of each.
    last: Vec<Peer>,
    /// Older states of the same servers, in the order of their times, with the place of the last
    /// state of their server.
    older: Vec<(usize, Peer)>,
    /// What earlier calls have stored.
    seen: Seen,
    /// When they were passed, in microseconds since 1970.
    now: i64,
    /// Sequences here that feed the same columns.
    pub(crate) siblings: Siblings,
    /// What is known of the sequences' origin, if this database is a copy.
    pub(crate) copied: CopiedRecords,
}

impl Deref for Peers {
    type Target = [Peer];

    fn deref(&self) -> &[Peer] {
        &self.last
    }
}

impl Peers {
    /// Reads the states of other nodes. Of several states of one server that has not been restarted
    /// in between, the last counts. The same state again adds nothing.
    ///
    /// # Errors
    /// 22004 for NULL, 22023 for a value that is not a state, or a state of a version that cannot be
    /// read.
    pub(super) fn read(peers: Option<AnyArray>, extension: Extension) -> Result<Self, Failure> {
        let (mut last, mut superseded): (Vec<Peer>, Vec<Peer>) = (Vec::new(), Vec::new());
        for peer in states(peers)? {
            if last.iter().any(|other| **other == *peer) {
                continue;
            }
            if last.iter().any(|other| peer.is_superseded_by(other)) {
                superseded.push(peer);
                continue;
            }
            let (older, kept) = last.into_iter().partition(|other| other.is_superseded_by(&peer));
            last = kept;
            superseded.extend::<Vec<Peer>>(older);
            last.push(peer);
        }
        superseded.sort_by_key(|peer| peer.taken_at());
        let place = |older: &Peer| last.iter().position(|peer| older.is_superseded_by(peer));
        let older: Vec<(usize, Peer)> =
            superseded.into_iter().filter_map(|older| Some((place(&older)?, older))).collect();
        let seen = peers_seen::read(extension, &last)?;
        let (siblings, copied) = Default::default();
        Ok(Self { last, older, seen, now: peers_seen::now(), siblings, copied })
    }

    /// What all states show of the pace of a sequence on a peer, given by its place.
    fn pace(&self, at: usize, oid: pg_sys::Oid, sequence: &Sequence) -> Option<Pace> {
        let name = SequenceName::of_quoted(&sequence.name)?;
        let peer = self.last.get(at)?;
        let stored = self.seen.get(&(peers_seen::identity(peer), oid.to_u32())).copied();
        let older = self.older.iter().filter(|(place, _)| *place == at).map(|(_, older)| older);
        let observed = older.chain([peer]).filter_map(|state| state.observe(&name, sequence));
        observed.fold(stored, |pace, observed| Some(Pace::after(pace, observed, self.now)))
    }

    /// Adds to a sequence the values that the peers have, for a set-up that moves it to `target`.
    pub(crate) fn with_peer_values(&self, entry: &Entry, sequence: Sequence, target: &Target) -> Sequence {
        if self.last.is_empty() {
            return sequence;
        }
        let used = |at: usize| self.used(at, entry.oid, &sequence);
        keyspace::sequences::with_peer_values(sequence.clone(), target, &self.last, &used)
    }

    /// How many ids a peer has used of a sequence since its state was taken, if that is known.
    fn used(&self, at: usize, oid: pg_sys::Oid, sequence: &Sequence) -> Option<i64> {
        let name = SequenceName::of_quoted(&sequence.name)?;
        let state = self.last.get(at)?.observe(&name, sequence)?;
        // A set-up in batches takes its time.
        self.pace(at, oid, sequence)?.used_since(state, peers_seen::now())
    }

    /// Stores which class each peer has, and what its states show of some sequences, if the caller
    /// may. It does not wait for another call that is storing the same: a later state shows it, too.
    pub(crate) fn remember(&self, extension: Extension, steps: &[Step]) -> Result<(), Failure> {
        if self.last.is_empty() || !peers_seen::may_be_kept() {
            return Ok(());
        }
        for (at, peer) in self.last.iter().enumerate().filter(|(_, peer)| !peer.left) {
            let identity = peers_seen::identity(peer);
            let is_new =
                |oid: pg_sys::Oid, pace: &Pace| self.seen.get(&(identity, oid.to_u32())) != Some(pace);
            let paces = steps.iter().filter(|step| step.entry.exempt.is_none()).filter_map(|step| {
                let pace = self.pace(at, step.entry.oid, &step.before)?;
                is_new(step.entry.oid, &pace).then_some((step.entry.oid, pace))
            });
            // The class counts also if no sequence is known on both nodes yet, and however soon it
            // follows the state before.
            let of_node =
                peers_seen::of_node(peer, self.seen.get(&(identity, peers_seen::NODE.to_u32())), self.now);
            let paces: Vec<_> =
                of_node.map(|pace| (peers_seen::NODE, pace)).into_iter().chain(paces).collect();
            if paces.is_empty() {
                continue;
            }
            let keep = || peers_seen::keep(extension, identity, &paces);
            match attempt(|| settings::with(&[(c"lock_timeout", c"50ms")], keep)) {
                Ok(kept) => kept?,
                Err(error) if is_in_use(&error) || is_changed_meanwhile(&error) => {}
                Err(error) => error.rethrow(),
            }
        }
        Ok(())
    }

    /// Refuses states that are of other sequences, and reports what the states do not show.
    ///
    /// # Errors
    /// 55000 if none of the sequences is found in one of them.
    pub(crate) fn check(&self, target: &Target, steps: &[Step]) -> Result<(), Error> {
        self.check_known(steps)?;
        self.report_unknown_paces(target, steps);
        self.report_unknown_columns(steps);
        Ok(())
    }

    /// Refuses a state in which none of the sequences is found.
    fn check_known(&self, steps: &[Step]) -> Result<(), Error> {
        let steps: Vec<&Step> = steps.iter().filter(|step| step.entry.exempt.is_none()).collect();
        let knows = |peer: &&Peer| {
            let name = |step: &Step| SequenceName::of_quoted(&step.entry.name);
            steps.iter().any(|step| name(step).is_none_or(|name| peer.knows(&name, &columns(&step.before))))
        };
        let Some(peer) = self.last.iter().find(|peer| !knows(peer)).filter(|_| !steps.is_empty()) else {
            return Ok(());
        };
        let message = format!("the state of {} contains none of these sequences", peer.name());
        Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail(format!(
                "It is of database \"{}\", and none of its {} sequences has a name or a column of one of the {} here.",
                peer.database,
                peer.sequences.len(),
                steps.len()
            ))
            .hint("Take the peer's state in the database that replicates with this one, and compare the schemas of the two."))
    }

    /// Warns of columns that get values from a sequence here, and that a peer's state does not contain:
    /// if they are known from `feeds` alone, the peer must be told of them, too.
    fn report_unknown_columns(&self, steps: &[Step]) {
        let altered = || steps.iter().filter(|step| matches!(step.plan.outcome, Outcome::Alter { .. }));
        for peer in &self.last {
            let mut unknown = altered().filter_map(|step| {
                let name = SequenceName::of_quoted(&step.entry.name)?;
                // The same sequence with other columns.
                let columns = columns(&step.before);
                let is_known = !peer.sequences.contains_key(&name)
                    || columns.iter().any(|column| peer.knows_column(column));
                let column = step.before.fed_columns().next().filter(|_| !is_known)?;
                Some((in_message(&column.name), in_message(&step.entry.name)))
            });
            let Some((column, sequence)) = unknown.next() else { continue };
            let others = unknown.count();
            let further = if others == 0 { String::new() } else { format!(" (and {others} further ones)") };
            Report::new(PgSqlErrorCode::ERRCODE_WARNING, format!("the state of {} does not contain column {column}{further}", peer.name()))
                .detail(format!("It gets values of sequence {sequence}. Nothing is known of the rows there, only of the position of the sequence."))
                .hint("If the column exists there, name it in the argument feeds of interleaved_node_state(), too, and pass that state.")
                .report(PgLogLevel::WARNING);
        }
    }

    /// Names each peer that may use ids until its own set-up, at a rate that its states do not show,
    /// if the gap is to be computed.
    fn report_unknown_paces(&self, target: &Target, steps: &[Step]) {
        if target.gap.is_some() {
            return;
        }
        let altered = steps.iter().filter(|step| matches!(step.plan.outcome, Outcome::Alter { .. }));
        let elsewhere = altered.flat_map(|step| &step.before.elsewhere);
        let unknown = elsewhere.filter(|elsewhere| elsewhere.still.is_some_and(|still| still.used.is_none()));
        let mut named = HashSet::new();
        for elsewhere in unknown.filter(|elsewhere| named.insert(elsewhere.peer.as_str())) {
            let message = format!("how fast {} draws is not known", elsewhere.peer);
            Report::notice(message)
            .detail("No gap is left for the ids that it uses from its state to its own set-up.")
            .hint("If it is in use, pass another state of it, too, taken some time later: two states show how fast it draws. Or pass a gap.")
            .report(PgLogLevel::NOTICE);
        }
    }
}

/// Whether another transaction has changed a row that this one may not see, above READ COMMITTED.
fn is_changed_meanwhile(error: &Caught) -> bool {
    error.sqlstate() == PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE
}

/// The columns of a sequence, by name.
fn columns(sequence: &Sequence) -> Vec<ColumnName> {
    let columns = sequence.fed_columns();
    columns.filter_map(|column| ColumnName::of_quoted(&column.name)).collect()
}

/// Reads the array.
fn states(peers: Option<AnyArray>) -> Result<Vec<Peer>, Failure> {
    let peers = required(peers, "peers")?;
    // SAFETY: the function is declared with an argument of type jsonb[], which lives as long as the
    // call.
    let argument = || unsafe { DatumWithOid::new(peers.datum(), pg_sys::JSONBARRAYOID) };
    // SQL knows the encoding of the strings. States are read one by one, since each can be long.
    let count = "SELECT pg_catalog.cardinality($1)";
    let query = "SELECT pg_catalog.convert_to(p.state::pg_catalog.text, 'UTF8') \
                 FROM pg_catalog.unnest($1) WITH ORDINALITY AS p (state, at) WHERE p.at OPERATOR(pg_catalog.=) $2";
    let states: Option<i32> =
        Spi::connect(|client| client.select(count, Some(1), &[argument()])?.first().get_one())?;
    let mut peers = Vec::new();
    for at in 1..=states.unwrap_or_default() {
        let document: Option<Vec<u8>> = Spi::connect(|client| {
            client.select(query, Some(1), &[argument(), i64::from(at).into()])?.first().get_one()
        })?;
        let document = document.ok_or_else(|| {
            let message = "peers must not contain nulls";
            Error::new(SqlState::NullValueNotAllowed, message)
        })?;
        peers.push(NodeState::parse(&from_utf8(document)).map(Peer::from)?);
    }
    Ok(peers)
}

/// Refuses the state of this very database: the same server, started at the same time. A copy of
/// the server, and an older state, count as peers.
///
/// # Errors
/// 22023 if it is among them.
pub(super) fn check_others(peers: &[Peer]) -> Result<(), Failure> {
    let (system_identifier, database) = own_key();
    let own = (system_identifier, database.to_u32());
    let mut alike = peers.iter().filter(|peer| (peer.system_identifier, peer.database_oid) == own).peekable();
    if alike.peek().is_none() {
        return Ok(());
    }
    let (timeline, started_at) = (records::timeline()?, started_at()?);
    match alike.find(|peer| (peer.timeline, &peer.started_at) == (timeline, &started_at)) {
        None => Ok(()),
        Some(peer) => {
            let message = format!("state of a peer is that of this database, \"{}\"", peer.database);
            Err(Error::new(SqlState::InvalidParameterValue, message)
                .hint("Pass only the states of the other nodes as peers.")
                .into())
        }
    }
}

/// Refuses a class that has values in common with that of a peer. If this database is a node of the
/// class since `set_up_at`, states from before do not count that have another number of nodes: while
/// that number changes, a second run gets the same states.
///
/// # Errors
/// 55000 if one has.
pub(super) fn check_class(peers: &[Peer], class: Class, set_up_at: Option<i64>) -> Result<(), Error> {
    let meets = |peer: &&Peer| peer.taken_class().is_some_and(|other| other.residue().meets(class.residue()));
    let is_of_before = |peer: &Peer| {
        let is_earlier = peer.taken_at().zip(set_up_at).is_some_and(|(taken_at, since)| taken_at < since);
        is_earlier && peer.class().is_some_and(|other| other.nodes() != class.nodes())
    };
    // A later state of the same server says what it is now.
    let counts = |peer: &&Peer| !is_of_before(peer) && !peers.iter().any(|other| peer.was_split_into(other));
    let Some(peer) = peers.iter().filter(counts).find(meets) else { return Ok(()) };
    let message =
        format!("node {} of {} would share values with {}", class.node(), class.nodes(), peer.name());
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail(format!("According to its state, database \"{}\" is that node.", peer.database))
        .hint("Choose a class that no peer has. To free one, call split_interleaved_sequences() on a peer. If the peer has left for good, pass its last state as state || '{\"left\": true}'."))
}

/// When the server was started, in UTC.
pub(super) fn started_at() -> SpiResult<String> {
    let query = "SELECT pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.pg_postmaster_start_time()), \
                                           'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    Spi::connect(|client| Ok(client.select(query, Some(1), &[])?.first().get_one()?.unwrap_or_default()))
}
