//! Compares the states of nodes to find conflicts between them.

use std::collections::{HashMap, HashSet};

use super::class::Residue;
use super::generated_elsewhere::generated_elsewhere;
use super::name::{ColumnName, SequenceName};
use super::node_state::{NodeState, SequenceState};
use super::peer::Peer;
use super::rows::Reached;
use super::status::Severity;
use crate::error::capitalized;

/// A finding about two nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFinding {
    /// How severe it is.
    pub severity: Severity,
    /// The sequence, if the finding is about one.
    pub sequence: Option<SequenceName>,
    /// The number of the other node, if it has one.
    pub peer: Option<i32>,
    /// A few words, the same as in the documentation.
    pub name: &'static str,
    /// The finding, as a sentence.
    pub detail: String,
    /// What to do about it, as a sentence.
    pub hint: &'static str,
}

impl PeerFinding {
    /// Whether another set-up on this node would help, unless it leaves the sequence alone.
    pub fn asks_for_set_up(&self) -> bool {
        self.severity == Severity::Error
            && [OVERLAP, OF_THIS_CLASS, MAY_BE_OF_THIS_CLASS].contains(&self.name)
            && self.sequence.is_some()
    }
}

const NOT_A_NODE: &str = "not set up";
const SAME_SERVER: &str = "same server twice";
const SAME_CLASS: &str = "classes overlap";
const OVERLAP: &str = "values overlap";
const OF_THIS_CLASS: &str = "values of this class";
const MAY_BE_OF_THIS_CLASS: &str = "rows not read";
const COLUMN_NOT_READ: &str = "column not read";
const SET_UP_UNKNOWN: &str = "set-up unknown";
const POSITION_REPLICATED: &str = "position replicated";
const POSITIONS_PUBLISHED: &str = "positions published";
const MISSING_ON_PEER: &str = "missing on the peer";
const MISSING_ON_THIS_NODE: &str = "missing on this node";
const NONE_KNOWN: &str = "no sequence known";

const RUN_WITH_PEERS: &str = "Run setup_interleaved_sequences() again as the same node, and pass the states of all other nodes as peers.";

const RUN_OR_RESTART: &str = "Run setup_interleaved_sequences() again on the node, and pass the states of all other nodes as peers. If it leaves the sequence alone, restart the sequence beyond these values.";

const UNREAD_HINT: &str = "On the peer, look for values of this node's class ahead of its sequence. If there are none, run setup_interleaved_sequences() with trust_position for the sequence.";

const TRUSTED: &str = "The position of the sequence is trusted on this node. If this node was restored or replaced since then, run setup_interleaved_sequences() with a gap above what it may have generated.";

const CHECK_ON_PEER: &str = "Run check_interleaved_sequences() on the peer. Its hint says what to do.";

const RUN_ON_PEER: &str = "Run setup_interleaved_sequences() again on the peer, as the same node, and pass the states of all other nodes as peers.";

/// Compares this node with its peers, and the servers and classes of the peers with each other.
pub fn compare(own: &NodeState, peers: &[Peer]) -> Vec<PeerFinding> {
    let mut findings = Vec::new();
    for (at, peer) in peers.iter().enumerate() {
        let whole = |severity, name, detail, hint| PeerFinding {
            severity,
            sequence: None,
            peer: peer.node,
            name,
            detail,
            hint,
        };
        if own.is_of_same_database(peer) {
            findings.push(same_server(own, peer, "this node"));
        }
        for other in &peers[..at] {
            if other.is_of_same_database(peer) {
                findings.push(same_server(other, peer, &other.name()));
            }
            if let Some(detail) = shared_class(other, peer) {
                findings.push(whole(Severity::Error, SAME_CLASS, detail, OVERLAP_HINT));
            }
        }
        if peer.class().is_none() && !peer.left {
            let detail = format!("{} has not been set up as a node.", capitalized(&peer.name()));
            let hint = "Set it up as a node, and pass the states of all other nodes as peers.";
            findings.push(whole(Severity::Error, NOT_A_NODE, detail, hint));
        }
        if let [first, ..] = peer.sequence_subscriptions.as_slice() {
            let detail = format!(
                "Subscription \"{first}\" of {} overwrites the positions of its sequences with those of another server.",
                peer.name()
            );
            findings.push(whole(Severity::Error, POSITION_REPLICATED, detail, CHECK_ON_PEER));
        }
        if let [first, ..] = peer.sequence_publications.as_slice() {
            let detail = format!("Publication \"{first}\" of {} publishes ALL SEQUENCES.", peer.name());
            findings.push(whole(Severity::Warning, POSITIONS_PUBLISHED, detail, CHECK_ON_PEER));
        }
        let shared = shared_class(own, peer);
        let is_shared = shared.is_some();
        findings.extend(shared.map(|detail| whole(Severity::Error, SAME_CLASS, detail, OVERLAP_HINT)));
        compare_sequences(own, peer, is_shared, &mut findings);
    }
    findings
}

const OVERLAP_HINT: &str =
    "Set up one of them as a different node, and pass the states of all other nodes as peers.";

fn same_server(one: &NodeState, other: &NodeState, name: &str) -> PeerFinding {
    let detail = if one.timeline == other.timeline {
        format!(
            "The state of database \"{}\" is from the same server as that of {name}, but from another start of the server.",
            other.database
        )
    } else {
        format!(
            "The peer is on a promoted copy of the server of {name}: its timeline is {}, not {}.",
            other.timeline, one.timeline
        )
    };
    // A copy keeps the system identifier even if it has become another node.
    let keeps_apart = match (one.taken_class(), other.taken_class()) {
        _ if one.left || other.left => true,
        (Some(a), Some(b)) => !a.residue().meets(b.residue()),
        _ => false,
    };
    PeerFinding {
        severity: if keeps_apart { Severity::Warning } else { Severity::Error },
        sequence: None,
        peer: other.node,
        name: SAME_SERVER,
        detail,
        hint: "If both accept writes, set up one of them as a different node. If the state is only an older one of the same node, leave it out.",
    }
}

/// Names two classes that have values in common, as a sentence.
fn shared_class(one: &NodeState, other: &NodeState) -> Option<String> {
    let (a, b) = (one.taken_class()?, other.taken_class()?);
    a.residue().meets(b.residue()).then(|| {
        format!(
            "Node {} of {} and node {} of {} have values in common.",
            a.node(),
            a.nodes(),
            b.node(),
            b.nodes()
        )
    })
}

fn compare_sequences(own: &NodeState, peer: &Peer, classes_overlap: bool, findings: &mut Vec<PeerFinding>) {
    if !own.sequences.is_empty() && !own.sequences.iter().any(|(name, mine)| peer.knows(name, &mine.columns))
    {
        findings.push(PeerFinding {
            severity: Severity::Error,
            sequence: None,
            peer: peer.node,
            name: NONE_KNOWN,
            detail: format!(
                "{} knows none of the {} sequences of this node, by their names or by their columns.",
                capitalized(&peer.name()),
                own.sequences.len()
            ),
            hint: "Take the peer's state in the database that replicates with this one, and compare the schemas of the two.",
        });
        return;
    }
    let shared = SharedColumns::of(own);
    for (name, mine) in &own.sequences {
        let related: Vec<_> = peer.related(name, &mine.columns).collect();
        if related.is_empty() {
            findings.push(PeerFinding {
                severity: Severity::Warning,
                sequence: Some(name.clone()),
                peer: peer.node,
                name: MISSING_ON_PEER,
                detail: format!(
                    "{} has no sequence with this name, and none that feeds the same columns.",
                    capitalized(&peer.name())
                ),
                hint: "Create the sequence on the peer, and set it up.",
            });
        }
        let is_alike = |theirs: &SequenceState| theirs.increment.signum() == mine.increment.signum();
        let alike: Vec<_> = related.into_iter().filter(|(_, theirs)| is_alike(theirs)).collect();
        for (their_name, theirs) in &alike {
            let drawn_here = |row: i64| shared.is_drawn(own, name, row);
            let found = compare_two(own, mine, peer, theirs, classes_overlap, &drawn_here);
            let others = alike.iter().filter(|(other, _)| other != their_name).map(|(_, state)| *state);
            let untold = untold(mine, peer, theirs, others);
            findings.extend(found.into_iter().chain(untold).map(|mut finding| {
                finding.sequence = Some(name.clone());
                if *their_name != name {
                    finding.detail = format!("{} On the peer, the sequence is {their_name}.", finding.detail);
                }
                finding
            }));
        }
    }
    let own_columns: HashSet<&ColumnName> = own.sequences.values().flat_map(|mine| &mine.columns).collect();
    let is_on_this_node = |name: &SequenceName, theirs: &SequenceState| {
        own.sequences.contains_key(name) || theirs.columns.iter().any(|column| own_columns.contains(column))
    };
    for (name, _) in peer.sequences.iter().filter(|(name, theirs)| !is_on_this_node(name, theirs)) {
        findings.push(PeerFinding {
            severity: Severity::Warning,
            sequence: Some(name.clone()),
            peer: peer.node,
            name: MISSING_ON_THIS_NODE,
            detail: format!("{} has this sequence, but this node does not.", capitalized(&peer.name())),
            hint: "Create the sequence on this node, and set it up.",
        });
    }
}

/// Compares a sequence of this node with one of a peer that has the same name or feeds the same
/// columns.
fn compare_two(
    own: &NodeState,
    mine: &SequenceState,
    peer: &NodeState,
    theirs: &SequenceState,
    classes_overlap: bool,
    drawn_here: &dyn Fn(i64) -> bool,
) -> Vec<PeerFinding> {
    let mut findings = Vec::new();
    let mut find = |severity, name, detail, hint| {
        findings.push(PeerFinding { severity, sequence: None, peer: peer.node, name, detail, hint });
    };
    let (own_class, class) = (own.class(), peer.class());
    let (values, other_values) = (mine.own_values(own_class), theirs.own_values(class));
    let share_range = theirs.shares_range(mine.min_value, mine.max_value);
    let size = mine.size().max(theirs.size());
    if values.meets_within(other_values, size) && share_range && !classes_overlap && !peer.left {
        let detail = format!(
            "It continues from {} by {} on this node, and from {} by {} on {}.",
            mine.next_value,
            mine.increment,
            theirs.next_value,
            theirs.increment,
            peer.name()
        );
        let hint = "Run setup_interleaved_sequences() again on the node whose sequence is not in order, and pass the states of all other nodes as peers.";
        find(Severity::Error, OVERLAP, detail, hint);
    }
    let above = [(own, mine, peer, theirs), (peer, theirs, own, mine)];
    let found = above
        .into_iter()
        .enumerate()
        .find_map(|(at, (a, its, b, other))| Some((generated_elsewhere(a, its, b, other)?, at == 0, a.left)));
    if let Some((found, is_own, has_left)) = found {
        let (severity, hint) = match (found.lies_ahead && !has_left, found.is_trusted, is_own) {
            // A node that has left generates nothing any more.
            (false, ..) => (
                Severity::Warning,
                "The sequence is past these values now. Compare the rows between them on both nodes.",
            ),
            (true, true, true) => (Severity::Warning, TRUSTED),
            (true, true, false) => (Severity::Warning, CHECK_ON_PEER),
            (true, false, _) if !found.is_set_up => (Severity::Error, RUN_OR_RESTART),
            (true, false, true) => (Severity::Error, RUN_WITH_PEERS),
            (true, false, false) => (Severity::Error, RUN_ON_PEER),
        };
        find(severity, found.name, found.detail, hint);
    }
    let Reached { known, possible } = rows_of_range(mine, theirs, values);
    let is_ahead = |row: &i64| mine.reaches(*row, mine.next_value) && !drawn_here(*row);
    // Rows beyond those that do not count here say nothing about nearer ones.
    let is_trusted = |row: i64| mine.trusted.is_some_and(|first| !mine.is_past(first, row));
    let severity = |row| if is_trusted(row) { Severity::Warning } else { Severity::Error };
    if let Some(row) = known.filter(is_ahead) {
        let detail = format!(
            "{} has a row with {row}, and the next value on this node is {}.",
            capitalized(&peer.name()),
            mine.next_value
        );
        let hint = if is_trusted(row) { TRUSTED } else { RUN_WITH_PEERS };
        find(severity(row), OF_THIS_CLASS, detail, hint);
    } else if let Some(row) = possible.filter(is_ahead) {
        let detail = format!(
            "{} may have values of this class up to {row}, and the next value on this node is {}.",
            capitalized(&peer.name()),
            mine.next_value
        );
        let hint = "Get the state of the peer with interleaved_node_state(last_rows => NULL), which reads all rows. Or run setup_interleaved_sequences() again as the same node, and pass the states of all other nodes as peers, to restart the sequence beyond these values.";
        let hint = if is_trusted(row) { TRUSTED } else { hint };
        find(severity(row), MAY_BE_OF_THIS_CLASS, detail, hint);
    }
    if let Some(column) = theirs.unread_columns.first() {
        let detail = format!(
            "{} does not compare the values of column {column} with those of the sequence.",
            capitalized(&peer.name())
        );
        // Rows beyond a trusted position do not count.
        let (severity, hint) = match mine.trusted {
            Some(_) => (Severity::Warning, TRUSTED),
            None => (Severity::Error, UNREAD_HINT),
        };
        find(severity, COLUMN_NOT_READ, detail, hint);
    }
    if class.is_some() && theirs.restart.is_none() && !theirs.drawn_on && !peer.left {
        let detail = format!(
            "{} has no record of the value of the sequence at its set-up.",
            capitalized(&peer.name())
        );
        let hint = "Check that the sequence is in order on the peer. If it was created after the set-up, in the class from the start, nothing is wrong.";
        find(Severity::Info, SET_UP_UNKNOWN, detail, hint);
    }
    findings
}

/// How far the rows of a peer have come within values of this sequence. A row beyond its end hides
/// those of its range.
fn rows_of_range(mine: &SequenceState, theirs: &SequenceState, values: Residue) -> Reached {
    let Reached { known, possible } = theirs.rows(values);
    let Some(end) = mine.end() else { return Reached { known, possible } };
    let up_to_end = |row: i64| theirs.up_to(row, end);
    match known {
        Some(row) if mine.is_past(row, end) => Reached { known: None, possible: up_to_end(row) },
        _ => Reached { known, possible: possible.and_then(up_to_end) },
    }
}

/// A finding if a peer does not tell of all rows that this sequence may hand out: neither in its
/// state of `theirs`, nor in those of `others` that feed the same columns.
fn untold<'a>(
    mine: &SequenceState,
    peer: &NodeState,
    theirs: &SequenceState,
    mut others: impl Iterator<Item = &'a SequenceState>,
) -> Option<PeerFinding> {
    let end = mine.end()?;
    let told = theirs.end()?;
    let is_separate = !theirs.columns.is_empty() && !theirs.shares_range(mine.min_value, mine.max_value);
    let is_cut_off = theirs.rows_beyond && mine.is_past(end, told);
    let tells = |other: &SequenceState| {
        let from = other.beginning().is_some_and(|beginning| !mine.is_past(beginning, mine.next_value));
        let to = other.end().is_some_and(|other| mine.reaches(other, end));
        from && (to || !other.rows_beyond)
            && theirs.columns.iter().all(|column| other.columns.contains(column))
    };
    if !(is_separate || is_cut_off) || others.any(tells) {
        return None;
    }
    let detail = if mine.is_past(end, told) {
        format!(
            "{} reports rows up to {told}, the end of its sequence, and the sequence on this node ends at {end}.",
            capitalized(&peer.name())
        )
    } else {
        format!(
            "{} reports no rows up to {end}, the end of the sequence on this node.",
            capitalized(&peer.name())
        )
    };
    Some(PeerFinding {
        severity: Severity::Error,
        sequence: None,
        peer: peer.node,
        name: MAY_BE_OF_THIS_CLASS,
        detail,
        hint: "Give the sequence the same MINVALUE and MAXVALUE on all nodes.",
    })
}

/// The sequences of this node that feed a column which another one feeds, too.
struct SharedColumns<'a> {
    by_column: HashMap<&'a ColumnName, Vec<&'a SequenceName>>,
}

impl<'a> SharedColumns<'a> {
    fn of(own: &'a NodeState) -> Self {
        let mut by_column: HashMap<&ColumnName, Vec<&SequenceName>> = HashMap::new();
        for (name, mine) in &own.sequences {
            for column in &mine.columns {
                by_column.entry(column).or_default().push(name);
            }
        }
        by_column.retain(|_, names| names.len() > 1);
        Self { by_column }
    }

    /// Whether another sequence that feeds a column of this one may have handed out a row's value
    /// here since its set-up.
    fn is_drawn(&self, own: &NodeState, name: &SequenceName, row: i64) -> bool {
        let columns = own.sequences.get(name).map(|mine| mine.columns.as_slice()).unwrap_or_default();
        let others = columns.iter().filter_map(|column| self.by_column.get(column)).flatten();
        others.filter(|other| **other != name).filter_map(|other| own.sequences.get(other)).any(|other| {
            let last = other.last_value.filter(|last| other.reaches(*last, row));
            let since = other.restart.is_none_or(|restart| other.reaches(row, restart));
            last.is_some() && since && other.own_values(own.class()).contains(i128::from(row))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::history::PastValues;
    use super::super::rows::Rows;
    use super::*;

    fn named(name: &str) -> SequenceName {
        SequenceName::of_quoted(name).expect("a name")
    }

    /// All rows were read.
    fn rows(furthest: &[i64]) -> Rows {
        Rows { modulus: 24, furthest: furthest.to_vec(), unread: None }
    }

    /// A node that handed out 1 to `until` before its set-up, and restarted above it.
    fn node(node: i32, nodes: i32, until: i64, restart: i64) -> NodeState {
        let sequence = SequenceState {
            increment: i64::from(nodes),
            next_value: restart,
            last_value: None,
            maximum: Some(until),
            rows: rows(&[until]),
            drawn_on: false,
            block: Some(1),
            columns: vec![],
            min_value: Some(1),
            max_value: Some(i64::MAX),
            rows_beyond: false,
            trusted: None,
            cycles: false,
            unread_columns: vec![],
            restart: Some(restart),
            before_setup: vec![PastValues { step: 1, offset: until, until }],
        };
        NodeState {
            node: Some(node),
            nodes: Some(nodes),
            system_identifier: i64::from(node),
            timeline: 1,
            database: "shop".to_owned(),
            database_oid: 5,
            started_at: "then".to_owned(),
            time: "now".to_owned(),
            sequence_publications: vec![],
            sequence_subscriptions: vec![],
            left: false,
            sequences: [(named("public.s"), sequence)].into(),
        }
    }

    fn compare(own: &NodeState, peers: &[NodeState]) -> Vec<PeerFinding> {
        let peers: Vec<Peer> = peers.iter().cloned().map(Peer::from).collect();
        super::compare(own, &peers)
    }

    fn found(own: &NodeState, peers: &[NodeState]) -> Vec<&'static str> {
        compare(own, peers).iter().map(|finding| finding.name).collect()
    }

    #[test]
    fn nodes_that_keep_apart_have_no_findings() {
        let (one, two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        assert_eq!(found(&one, std::slice::from_ref(&two)), Vec::<&str>::new());
        assert_eq!(found(&two, &[one]), Vec::<&str>::new());
    }

    #[test]
    fn trap_s51_positions_that_are_published_or_subscribed_to_at_a_peer_are_found() {
        let (one, two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        let publisher = NodeState { sequence_publications: vec!["p".to_owned()], ..two.clone() };
        assert_eq!(found(&one, &[publisher]), ["positions published"]);
        let subscriber = NodeState { sequence_subscriptions: vec!["s".to_owned()], ..two };
        assert_eq!(found(&one, &[subscriber]), ["position replicated"]);
    }

    #[test]
    fn trap_s33_another_number_of_nodes_is_no_fault_and_a_shared_value_is() {
        let three = node(3, 4, 100, 10_003);
        assert_eq!(found(&node(2, 2, 100, 10_002), std::slice::from_ref(&three)), Vec::<&str>::new());
        assert_eq!(found(&node(1, 2, 100, 10_001), &[three]), ["classes overlap"]);
    }

    #[test]
    fn trap_s33_a_sequence_that_left_its_class_overlaps() {
        let (one, mut two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        two.sequences.get_mut(&named("public.s")).expect("there").next_value = 10_007;
        assert_eq!(found(&one, &[two]), ["values overlap"]);
    }

    #[test]
    fn fault_b08_blocks_that_overlap_are_found_wherever_they_begin() {
        let (mut one, mut two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_051));
        for state in [&mut one, &mut two] {
            let s = state.sequences.get_mut(&named("public.s")).expect("there");
            (s.increment, s.block) = (100, Some(50));
        }
        assert_eq!(found(&one, std::slice::from_ref(&two)), Vec::<&str>::new());
        // Node 2 was moved by hand, has drawn, and is in its class again.
        let s = two.sequences.get_mut(&named("public.s")).expect("there");
        s.before_setup.push(PastValues { step: 100, offset: 20_054, until: 20_054 });
        assert_eq!(found(&one, std::slice::from_ref(&two)), ["restart too low"]);
        two.sequences.get_mut(&named("public.s")).expect("there").next_value = 20_154;
        assert!(found(&one, &[two]).contains(&"values overlap"));
    }

    #[test]
    fn trap_s43_who_ran_past_the_start_of_another_before_its_set_up_is_found() {
        let (one, two) = (node(1, 2, 250, 251), node(2, 2, 100, 202));
        assert_eq!(found(&two, std::slice::from_ref(&one)), ["restart too low", "values of this class"]);
        assert_eq!(found(&one, std::slice::from_ref(&two)), ["restart too low"]);
        let mut moved = two.clone();
        moved.sequences.get_mut(&named("public.s")).expect("there").next_value = 252;
        let findings = compare(&moved, &[one]);
        assert_eq!((findings.len(), findings[0].severity), (1, Severity::Warning), "{findings:?}");
    }

    #[test]
    fn fault_b27_a_sequence_that_was_moved_back_onto_values_of_a_peer_is_found() {
        let (one, two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        let back_to = |next_value: i64| {
            let mut moved = one.clone();
            moved.sequences.get_mut(&named("public.s")).expect("there").next_value = next_value;
            moved
        };
        // Node 2 had reached 90 before its set-up, and no row has these values.
        for (next_value, expected) in [(10_001, None), (9_001, None), (91, None), (89, Some("moved back"))] {
            let (mut moved, mut two) = (back_to(next_value), two.clone());
            for state in [&mut moved, &mut two] {
                let s = state.sequences.get_mut(&named("public.s")).expect("there");
                (s.maximum, s.rows) = (None, rows(&[]));
            }
            let findings = compare(&moved, std::slice::from_ref(&two));
            let names: Vec<_> = findings.iter().map(|finding| finding.name).collect();
            assert_eq!(names, Vec::from_iter(expected), "at {next_value}");
            assert!(findings.iter().all(|finding| finding.severity == Severity::Error));
            assert_eq!(found(&two, &[moved]), Vec::from_iter(expected), "the other node finds it, too");
        }
        let s = |state: &mut NodeState, change: &dyn Fn(&mut SequenceState)| {
            let s = state.sequences.get_mut(&named("public.s")).expect("there");
            (s.maximum, s.rows) = (None, rows(&[]));
            change(s);
        };
        let (mut moved, mut quiet) = (back_to(89), two);
        s(&mut quiet, &|_| {});
        s(&mut moved, &|s| s.cycles = true);
        assert_eq!(found(&moved, std::slice::from_ref(&quiet)), Vec::<&str>::new(), "it came back by itself");
        s(&mut moved, &|s| (s.cycles, s.trusted) = (false, Some(90)));
        assert_eq!(compare(&moved, std::slice::from_ref(&quiet))[0].severity, Severity::Warning);
        s(&mut moved, &|s| s.trusted = None);
        // What a node has drawn since its set-up is of its class alone, until it leaves.
        s(&mut quiet, &|s| (s.last_value, s.before_setup) = (Some(20_000), vec![]));
        assert_eq!(found(&moved, std::slice::from_ref(&quiet)), Vec::<&str>::new());
        s(&mut quiet, &|s| s.before_setup = vec![PastValues { step: 2, offset: 7, until: 701 }]);
        assert_eq!(found(&moved, &[quiet]), ["moved back"], "its former class");
    }

    #[test]
    fn fault_b30_a_sequence_that_no_set_up_has_altered_is_compared_by_its_position() {
        // A set-up has left it alone, and partitioned_nextval() draws values of the class.
        let (mut one, two) = (node(1, 2, 0, 87), node(2, 2, 90, 10_002));
        let s = one.sequences.get_mut(&named("public.s")).expect("there");
        (s.restart, s.drawn_on, s.increment) = (None, true, 7);
        s.before_setup.clear();
        let findings = compare(&one, std::slice::from_ref(&two));
        assert_eq!((findings.len(), findings[0].name), (1, "restart too low"), "{findings:?}");
        assert_eq!((findings[0].severity, findings[0].hint), (Severity::Error, RUN_OR_RESTART));
        assert_eq!(found(&two, std::slice::from_ref(&one)), ["restart too low"]);
        one.sequences.get_mut(&named("public.s")).expect("there").next_value = 94;
        assert_eq!(found(&one, std::slice::from_ref(&two)), Vec::<&str>::new());
        assert_eq!(found(&two, &[one]), Vec::<&str>::new());
    }

    #[test]
    fn trap_s43_a_split_counts_for_the_newcomer_alone() {
        let (mut donor, other) = (node(1, 4, 100, 301), node(2, 2, 90, 102));
        let sequence = donor.sequences.get_mut(&named("public.s")).expect("there");
        sequence.before_setup.push(PastValues { step: 2, offset: 1, until: 297 });
        assert_eq!(found(&other, std::slice::from_ref(&donor)), Vec::<&str>::new());
        assert_eq!(found(&node(3, 4, 0, 303), std::slice::from_ref(&donor)), Vec::<&str>::new());
        assert_eq!(found(&node(3, 4, 0, 295), &[donor]), ["restart too low"]);
    }

    #[test]
    fn trap_s08_rows_of_this_class_at_a_peer_are_found() {
        let (one, mut two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        two.sequences.get_mut(&named("public.s")).expect("there").rows = rows(&[10_003]);
        assert_eq!(found(&one, std::slice::from_ref(&two)), ["values of this class"]);
        two.sequences.get_mut(&named("public.s")).expect("there").rows = rows(&[9_999]);
        assert_eq!(found(&one, &[two]), Vec::<&str>::new());
    }

    #[test]
    fn fault_b07_rows_beyond_a_trusted_position_are_a_warning() {
        let (mut one, mut two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        two.sequences.get_mut(&named("public.s")).expect("there").rows = rows(&[20_003]);
        let severity = |one: &NodeState| compare(one, std::slice::from_ref(&two))[0].severity;
        assert_eq!(severity(&one), Severity::Error);
        one.sequences.get_mut(&named("public.s")).expect("there").trusted = Some(20_003);
        assert_eq!(severity(&one), Severity::Warning);
        one.sequences.get_mut(&named("public.s")).expect("there").trusted = Some(20_004);
        assert_eq!(severity(&one), Severity::Error);
    }

    #[test]
    fn fault_b05_a_range_that_ends_before_this_one_is_named() {
        let (one, mut two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        let state = two.sequences.get_mut(&named("public.s")).expect("there");
        (state.max_value, state.rows_beyond) = (Some(20_000), true);
        assert_eq!(found(&one, std::slice::from_ref(&two)), ["rows not read"]);
        assert_eq!(found(&two, &[one]), Vec::<&str>::new());
    }

    #[test]
    fn fault_b12_rows_that_a_peer_has_not_looked_at_are_no_proof() {
        let (one, mut two) = (node(1, 2, 100, 17), node(2, 2, 90, 102));
        let state = two.sequences.get_mut(&named("public.s")).expect("there");
        (state.maximum, state.rows) = (Some(500), Rows { unread: Some(372), ..rows(&[500, 498]) });
        assert_eq!(found(&one, std::slice::from_ref(&two)), ["restart too low", "rows not read"]);
        let state = two.sequences.get_mut(&named("public.s")).expect("there");
        state.rows.unread = None;
        assert_eq!(found(&one, std::slice::from_ref(&two)), ["restart too low"]);
        // Values behind the next value do no harm.
        let mut one = node(1, 2, 100, 373);
        one.sequences.get_mut(&named("public.s")).expect("there").next_value = 401;
        two.sequences.get_mut(&named("public.s")).expect("there").rows.unread = Some(372);
        assert_eq!(found(&one, &[two]), Vec::<&str>::new());
    }

    #[test]
    fn fault_b12_a_column_that_is_not_read_is_named() {
        let (one, mut two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        let state = two.sequences.get_mut(&named("public.s")).expect("there");
        state.unread_columns = vec![ColumnName::of_quoted("public.t.code").expect("a name")];
        let findings = compare(&one, std::slice::from_ref(&two));
        assert_eq!((findings.len(), findings[0].name), (1, "column not read"));
        assert_eq!(findings[0].severity, Severity::Error, "there is no proof without it");
        let mut trusted = one.clone();
        trusted.sequences.get_mut(&named("public.s")).expect("there").trusted = Some(10_001);
        assert_eq!(compare(&trusted, &[two])[0].severity, Severity::Warning);
    }

    #[test]
    fn trap_s13_the_same_server_twice_is_found() {
        let (one, two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        let promoted = NodeState { timeline: 2, started_at: "later".to_owned(), ..two.clone() };
        assert_eq!(found(&one, &[two.clone(), promoted.clone()]), ["same server twice", "classes overlap"]);
        assert_eq!(found(&two, &[promoted]), ["same server twice", "classes overlap"]);
        assert_eq!(found(&one, &[NodeState { node: None, nodes: None, ..two }])[0], "not set up");
    }

    #[test]
    fn sequences_of_other_names_that_feed_the_same_column_are_compared() {
        let (mut one, mut two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        let mut sequence = two.sequences.remove(&named("public.s")).expect("there");
        sequence.columns = vec![ColumnName::of_quoted("public.t.id").expect("a name")];
        sequence.before_setup[0].until = 20_000;
        two.sequences.insert(named("public.s1"), sequence);
        one.sequences.get_mut(&named("public.s")).expect("there").columns =
            vec![ColumnName::of_quoted("public.t.id").expect("a name")];
        let findings = compare(&one, &[two]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((findings[0].name, findings[0].severity), ("restart too low", Severity::Error));
        assert!(findings[0].detail.ends_with("On the peer, the sequence is public.s1."), "{findings:?}");
    }

    #[test]
    fn trap_s13_a_copy_that_became_another_node_is_a_warning() {
        let (one, two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        let copy = NodeState { system_identifier: 1, started_at: "later".to_owned(), ..two };
        let findings = compare(&one, &[copy]);
        assert_eq!((findings.len(), findings[0].severity), (1, Severity::Warning), "{findings:?}");
    }

    #[test]
    fn a_sequence_that_one_node_lacks_is_reported() {
        let (one, mut two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        let sequence = two.sequences.remove(&named("public.s")).expect("there");
        two.sequences.insert(named("public.t"), sequence);
        let (mut one, mut two) = (one, two);
        let also = one.sequences[&named("public.s")].clone();
        one.sequences.insert(named("public.u"), also.clone());
        two.sequences
            .insert(named("public.u"), SequenceState { restart: Some(10_002), next_value: 10_002, ..also });
        assert_eq!(found(&one, &[two]), ["missing on the peer", "missing on this node"]);
    }

    #[test]
    fn fault_b24_a_peer_that_knows_none_of_the_sequences_is_an_error() {
        let (one, mut two) = (node(1, 2, 100, 10_001), node(2, 2, 90, 10_002));
        let sequence = two.sequences.remove(&named("public.s")).expect("there");
        two.sequences.insert(named("other.s"), sequence);
        let findings = compare(&one, &[two]);
        let names: Vec<_> = findings.iter().map(|finding| (finding.name, finding.severity)).collect();
        assert_eq!(names, [("no sequence known", Severity::Error)]);
        let empty = NodeState { sequences: [].into(), ..node(2, 2, 0, 2) };
        assert_eq!(found(&empty, &[one]), ["missing on this node"], "there is nothing to be known");
    }

    #[test]
    fn fault_b17_a_node_that_has_left_is_compared_by_what_it_had() {
        let mut left = node(2, 2, 90, 10_002);
        (left.left, left.system_identifier) = (true, 9);
        let state = left.sequences.get_mut(&named("public.s")).expect("there");
        (state.last_value, state.next_value) = (Some(20_000), 20_002);
        let other = node(1, 2, 100, 10_001);
        assert_eq!(found(&other, std::slice::from_ref(&left)), Vec::<&str>::new());
        // Its class was given away.
        let newcomer = node(2, 2, 0, 20_002);
        assert_eq!(found(&newcomer, std::slice::from_ref(&left)), Vec::<&str>::new());
        assert_eq!(found(&other, &[left.clone(), newcomer]), Vec::<&str>::new());
        let behind = compare(&node(2, 2, 0, 102), std::slice::from_ref(&left));
        assert_eq!((behind[0].name, behind[0].severity), ("restart too low", Severity::Error));
        left.left = false;
        assert_eq!(found(&node(2, 2, 0, 20_002), &[left]), ["classes overlap"]);
    }

    #[test]
    fn fault_b22_rows_that_another_sequence_of_the_column_gave_here_are_no_finding() {
        let column = || vec![ColumnName::of_quoted("public.t.id").expect("a name")];
        // Node 1 draws from s, up to 10_101, and not from the other; node 2 has its rows.
        let mut nodes = [node(1, 2, 100, 10_001), node(2, 2, 100, 10_002)];
        for state in &mut nodes {
            let s = state.sequences.get_mut(&named("public.s")).expect("there");
            s.columns = column();
            let unused = s.clone();
            state.sequences.insert(named("public.unused"), unused);
        }
        let s = nodes[0].sequences.get_mut(&named("public.s")).expect("there");
        (s.last_value, s.next_value) = (Some(10_101), 10_103);
        for theirs in nodes[1].sequences.values_mut() {
            (theirs.rows, theirs.maximum) = (rows(&[10_101]), Some(10_101));
        }
        assert_eq!(found(&nodes[0], &nodes[1..]), Vec::<&str>::new());
        // A row beyond what it has handed out is one.
        for theirs in nodes[1].sequences.values_mut() {
            theirs.rows = rows(&[10_103, 10_101]);
        }
        assert!(found(&nodes[0], &nodes[1..]).contains(&"values of this class"));
    }

    /// A node with two sequences on one column, of the ranges up to 400,000 and from 500,001 on.
    fn of_two_ranges(number: i32, low: i64, high: i64) -> NodeState {
        let column = ColumnName::of_quoted("public.t.id").expect("a name");
        let restart = |until: i64| until + 1 + (i64::from(number) - until - 1).rem_euclid(2);
        let mut both = node(number, 2, low, restart(low));
        let mut state = both.sequences.remove(&named("public.s")).expect("there");
        (state.columns, state.rows_beyond) = (vec![column], true);
        let of_high = node(number, 2, high, restart(high)).sequences.remove(&named("public.s"));
        let mut of_high = of_high.expect("there");
        (of_high.columns, of_high.rows_beyond) = (state.columns.clone(), true);
        (state.max_value, of_high.min_value) = (Some(400_000), Some(500_001));
        both.sequences.insert(named("public.low"), state);
        both.sequences.insert(named("public.high"), of_high);
        both
    }

    #[test]
    fn fault_b05_what_lies_outside_of_the_range_of_a_sequence_is_no_finding() {
        let (one, two) = (of_two_ranges(1, 90, 500_003), of_two_ranges(2, 90, 500_003));
        assert_eq!(compare(&one, std::slice::from_ref(&two)), []);
        assert_eq!(compare(&two, std::slice::from_ref(&one)), []);
        // Within the same range there is no less to find.
        let mut low = two.clone();
        low.sequences.get_mut(&named("public.low")).expect("there").next_value = 93;
        assert_eq!(found(&one, &[low]), ["values overlap"]);
        let behind = of_two_ranges(1, 90, 500_001);
        assert_eq!(found(&behind, std::slice::from_ref(&two)), ["restart too low", "values of this class"]);
        // Ranges that overlap in part: what lies beyond this one hides what lies in it.
        let mut wide = two;
        let state = wide.sequences.get_mut(&named("public.high")).expect("there");
        state.min_value = Some(350_001);
        assert_eq!(found(&one, &[wide]), ["restart too low", "rows not read"]);
    }

    #[test]
    fn fault_b05_rows_of_a_range_that_no_sequence_of_the_peer_has_are_named() {
        let (one, mut two) = (of_two_ranges(1, 90, 500_003), of_two_ranges(2, 90, 500_003));
        two.sequences.remove(&named("public.high"));
        assert_eq!(found(&one, std::slice::from_ref(&two)), ["rows not read"]);
        let mut two = of_two_ranges(2, 90, 500_003);
        two.sequences.remove(&named("public.low"));
        assert_eq!(found(&one, &[two]), ["rows not read"]);
    }
}
