//! Another node, as its state describes it.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;

use super::class::Residue;
use super::direction::Share;
use super::name::{ColumnName, SequenceName};
use super::node_state::{NodeState, SequenceState};
use super::pace::Observation;
use super::sequence::{Elsewhere, Sequence, SetUpThere, StillDraws};
use super::target::Target;

/// The state of another node, with an index of its sequences by the columns that they feed.
#[derive(Clone, Debug)]
pub struct Peer {
    state: NodeState,
    by_column: HashMap<ColumnName, Vec<SequenceName>>,
}

impl From<NodeState> for Peer {
    fn from(state: NodeState) -> Self {
        let mut by_column: HashMap<ColumnName, Vec<SequenceName>> = HashMap::new();
        for (name, sequence) in &state.sequences {
            for column in &sequence.columns {
                by_column.entry(column.clone()).or_default().push(name.clone());
            }
        }
        Self { state, by_column }
    }
}

impl Deref for Peer {
    type Target = NodeState;

    fn deref(&self) -> &NodeState {
        &self.state
    }
}

impl Peer {
    /// The sequences of this node with which another node's sequence must not conflict: the one of
    /// the same name, and those that feed one of its columns.
    pub fn related<'a>(
        &'a self,
        sequence: &'a SequenceName,
        columns: &[ColumnName],
    ) -> impl Iterator<Item = (&'a SequenceName, &'a SequenceState)> {
        let by_column = columns.iter().filter_map(|column| self.by_column.get(column)).flatten();
        let names: BTreeSet<&SequenceName> = by_column.chain([sequence]).collect();
        names.into_iter().filter_map(|name| Some((name, self.sequences.get(name)?)))
    }

    /// Whether this node has a sequence that is related to one of another node.
    pub fn knows(&self, sequence: &SequenceName, columns: &[ColumnName]) -> bool {
        self.related(sequence, columns).next().is_some()
    }

    /// Whether it is known which of this node's sequences feeds a column.
    pub fn knows_column(&self, column: &ColumnName) -> bool {
        self.by_column.contains_key(column)
    }

    /// The sequences that are related to one of another node, have its direction, and can hand out
    /// values of its range.
    fn alike<'a>(&'a self, sequence: &Named<'a>) -> impl Iterator<Item = &'a SequenceState> {
        let (sign, min_value, max_value) =
            (sequence.increment.signum(), sequence.min_value, sequence.max_value);
        let related = self.related(sequence.name, &sequence.columns).map(|(_, state)| state);
        related.filter(move |state| {
            state.increment.signum() == sign && state.shares_range(Some(min_value), Some(max_value))
        })
    }

    /// What the state shows of the pace of a sequence of another node, if that is related to one
    /// here and the time of the state is known.
    pub fn observe(&self, name: &SequenceName, sequence: &Sequence) -> Option<Observation> {
        let named = Named::of(name, sequence);
        let further = |a: &&SequenceState, b: &&SequenceState| {
            (a.next_value.cmp(&b.next_value)).then(b.restart.cmp(&a.restart))
        };
        let state = if sequence.increment > 0 {
            self.alike(&named).max_by(further)
        } else {
            self.alike(&named).min_by(further)
        };
        let state = state?;
        let (position, restart) = (state.next_value, state.restart);
        Some(Observation { class: self.class(), taken_at: self.taken_at()?, position, restart })
    }

    /// The values that this node has of one of its sequences, if another node hands out `values` of
    /// it in `sequence`. Rows that do not count here do not count there, either. `used` is how many
    /// ids this node is known to have used since the state was taken.
    fn elsewhere(
        &self,
        state: &SequenceState,
        sequence: &Sequence,
        values: Residue,
        used: Option<i64>,
    ) -> Elsewhere {
        let class = self.class();
        let is_shared = !self.left
            && state.own_values(class).meets_within(values, state.size())
            && state.shares_range(Some(sequence.min_value), Some(sequence.max_value));
        let still = || StillDraws {
            position: state.last_drawn().unwrap_or_else(|| state.next_value.saturating_sub(state.increment)),
            used,
        };
        let end = if sequence.increment > 0 { sequence.max_value } else { sequence.min_value };
        let reached = |found: &mut dyn Iterator<Item = i64>| {
            state.furthest(found.filter_map(|value| state.up_to(value, end)))
        };
        let (furthest, of_ours) = match sequence.rows_from() {
            None => (reached(&mut state.everything()), reached(&mut state.within(class, values))),
            // Nearer rows of these classes may be there, too, of which the state says nothing.
            Some(row) => {
                let counts = |value: &i64| state.is_past(row, *value);
                let told = state.rows.furthest.iter().copied().chain(state.maximum).filter(counts);
                let is_ours = |value: &i64| state.gives_blocks() || values.contains(i128::from(*value));
                let of_ours = told.clone().filter(is_ours);
                let of_ours = of_ours.chain(state.rows(values).possible.filter(counts));
                (
                    reached(&mut state.drawn().chain(told)),
                    reached(&mut state.drawn_within(class, values).chain(of_ours)),
                )
            }
        };
        Elsewhere {
            peer: self.name(),
            is_known: true,
            furthest,
            of_ours,
            set_up: class.and(state.block).map(|size| {
                let before = state.before_setup.iter().map(|past| past.step);
                SetUpThere::new(size, before.chain([state.increment.unsigned_abs()]))
            }),
            by_nodes: class
                .filter(|class| {
                    let nodes = u64::from(class.nodes().unsigned_abs());
                    state.block.is_none() && state.increment.unsigned_abs() == nodes
                })
                .map(|_| state.increment),
            still: is_shared.then(still),
        }
    }
}

/// A sequence of this node, as peers find it.
struct Named<'a> {
    name: &'a SequenceName,
    columns: Vec<ColumnName>,
    increment: i64,
    min_value: i64,
    max_value: i64,
}

impl<'a> Named<'a> {
    fn of(name: &'a SequenceName, sequence: &Sequence) -> Self {
        let columns = sequence.fed_columns().filter_map(|column| ColumnName::of_quoted(&column.name));
        let Sequence { increment, min_value, max_value, .. } = *sequence;
        Self { name, columns: columns.collect(), increment, min_value, max_value }
    }
}

/// Adds to a sequence the values that other nodes have, for a set-up that moves it to `target`. What
/// is known of its origin stays. `used` returns how many ids a peer, given by its place among them, is known to have used of the
/// sequence since its state was taken.
pub fn with_peer_values(
    mut sequence: Sequence,
    target: &Target,
    peers: &[Peer],
    used: &dyn Fn(usize) -> Option<i64>,
) -> Sequence {
    let columns: Vec<ColumnName> =
        sequence.fed_columns().filter_map(|column| ColumnName::of_quoted(&column.name)).collect();
    let name = SequenceName::of_quoted(&sequence.name);
    let elsewhere = |sequence: &Sequence, values: Residue| -> Vec<Elsewhere> {
        let of = |(at, peer): (usize, &Peer)| -> Vec<Elsewhere> {
            let mut related = name.iter().flat_map(|name| peer.related(name, &columns)).peekable();
            if related.peek().is_none() {
                return vec![Elsewhere::unknown(peer.name())];
            }
            related
                .filter(|(_, state)| state.increment.signum() == sequence.increment.signum())
                .map(|(_, state)| peer.elsewhere(state, sequence, values, used(at)))
                .collect()
        };
        peers.iter().enumerate().flat_map(of).collect()
    };
    let class = target.class.residue();
    let known = std::mem::take(&mut sequence.elsewhere);
    sequence.elsewhere = known.iter().cloned().chain(elsewhere(&sequence, class)).collect();
    // The peers' set-up of the sequence determines its share, and the share determines which of
    // their values count.
    let share = Share::moved(&sequence, target.from, target.class, target.blocks);
    if let Some(share) = share.filter(|share| !share.values.is_same(class)) {
        sequence.elsewhere = known.into_iter().chain(elsewhere(&sequence, share.values)).collect();
    }
    sequence
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::class::Class;
    use super::super::history::PastValues;
    use super::super::number_type::NumberType;
    use super::super::rows::Rows;
    use super::*;

    fn named(name: &str) -> SequenceName {
        SequenceName::of_quoted(name).expect("a name")
    }

    fn column(name: &str) -> ColumnName {
        ColumnName::of_quoted(name).expect("a name")
    }

    /// All rows were read.
    fn rows(furthest: &[i64]) -> Rows {
        Rows { modulus: 24, furthest: furthest.to_vec(), unread: None }
    }

    /// Node 1 of 2, which had reached 8 before its set-up and has reached 11 since.
    fn state() -> NodeState {
        let sequence = SequenceState {
            increment: 2,
            next_value: 13,
            last_value: Some(11),
            min_value: Some(1),
            max_value: Some(i64::MAX),
            rows_beyond: false,
            trusted: None,
            cycles: false,
            maximum: Some(20),
            rows: rows(&[20, 11]),
            drawn_on: false,
            restart: Some(9),
            block: Some(1),
            columns: vec![column("public.t.id")],
            unread_columns: vec![],
            before_setup: vec![PastValues { step: 1, offset: 8, until: 8 }],
        };
        NodeState {
            node: Some(1),
            nodes: Some(2),
            system_identifier: 1,
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

    fn of_s(state: &NodeState, values: Residue) -> Elsewhere {
        let peer = Peer::from(state.clone());
        let sequence = &peer.sequences[&named("public.s")];
        peer.elsewhere(sequence, &fresh(), values, None)
    }

    fn with_peer_values(sequence: Sequence, target: &Target, peers: &[Peer]) -> Sequence {
        super::with_peer_values(sequence, target, peers, &|_| None)
    }

    #[test]
    fn fault_b05_values_of_another_range_do_not_count() {
        let (mut state, even) = (state(), Class::new(2, 2).expect("a class").residue());
        let mut low = Sequence { max_value: 10, ..fresh() };
        let found = |state: &NodeState, sequence: &Sequence| {
            let peer = Peer::from(state.clone());
            let found = peer.elsewhere(&peer.sequences[&named("public.s")], sequence, even, None);
            (found.furthest, found.of_ours)
        };
        assert_eq!(found(&state, &low), (Some(10), Some(10)), "it may have passed all of them");
        state.sequences.get_mut(&named("public.s")).expect("there").min_value = Some(11);
        assert_eq!(found(&state, &low), (Some(8), Some(8)), "what it had before has no range");
        low.max_value = 7;
        assert_eq!(found(&state, &low), (None, None));
    }

    #[test]
    fn fault_b07_rows_of_a_peer_do_not_count_beyond_a_trusted_position() {
        let (state, even) = (state(), Class::new(2, 2).expect("a class").residue());
        let peer = Peer::from(state);
        let found = |row| {
            let trusted = Sequence { trusted: Some(row), ..fresh() };
            let found = peer.elsewhere(&peer.sequences[&named("public.s")], &trusted, even, None);
            (found.furthest, found.of_ours)
        };
        assert_eq!(found(20), (Some(11), Some(8)), "but what it has drawn does");
        assert_eq!(found(10), (Some(11), Some(8)));
        assert_eq!(found(21), (Some(20), Some(20)));
    }

    fn names(peer: &Peer, sequence: &str, columns: &[&str]) -> Vec<String> {
        let columns: Vec<ColumnName> = columns.iter().map(|name| column(name)).collect();
        peer.related(&named(sequence), &columns).map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn sequences_are_found_by_their_name_and_by_their_columns() {
        let mut state = state();
        let other = state.sequences[&named("public.s")].clone();
        state.sequences.insert(named("public.other"), SequenceState { columns: vec![], ..other });
        let peer = Peer::from(state);
        assert_eq!(names(&peer, "public.s", &["public.t.id"]), ["public.s"], "once");
        assert_eq!(names(&peer, "public.t_id_seq", &["public.u.id", "public.t.id"]), ["public.s"]);
        assert_eq!(names(&peer, "public.other", &["public.t.id"]), ["public.other", "public.s"]);
        assert_eq!(names(&peer, "public.t", &["public.t.x"]), Vec::<String>::new());
    }

    #[test]
    fn trap_s08_what_a_peer_had_before_its_class_counts() {
        let mut state = state();
        let even = Class::new(2, 2).expect("a class").residue();
        let found = of_s(&state, even);
        assert_eq!((found.furthest, found.of_ours), (Some(20), Some(20)));
        let own = state.sequences.get_mut(&named("public.s")).expect("there");
        (own.maximum, own.rows) = (Some(11), rows(&[11]));
        let found = of_s(&state, even);
        assert_eq!((found.furthest, found.of_ours), (Some(11), Some(8)), "8 was its value at its set-up");
    }

    #[test]
    fn trap_s43_what_a_donor_stayed_clear_of_a_newcomer_does_too() {
        // Node 1 had reached 3, and restarted at 15 because node 2 had reached 14. Nothing of this
        // has arrived here.
        let mut donor = state();
        let own = donor.sequences.get_mut(&named("public.s")).expect("there");
        (own.last_value, own.maximum, own.rows, own.next_value) = (None, Some(3), rows(&[3]), 15);
        (own.restart, own.before_setup) = (Some(15), vec![PastValues { step: 1, offset: 3, until: 3 }]);
        let found = of_s(&donor, Class::new(3, 4).expect("a class").residue());
        assert_eq!(found.furthest, Some(14), "7 may be on its way from node 2");
        assert_eq!(found.of_ours, Some(3), "and no reason to move what is in order");
    }

    #[test]
    fn fault_b16_only_a_peer_that_may_hand_out_the_same_values_still_draws() {
        let odd = Class::new(1, 3).expect("a class").residue();
        let even = Class::new(2, 2).expect("a class").residue();
        let found = of_s(&state(), odd).still.expect("1 of 2 and 1 of 3 meet");
        assert_eq!((found.position, found.used), (11, None));
        assert_eq!(of_s(&state(), even).still, None);
        assert_eq!(of_s(&NodeState { left: true, ..state() }, odd).still, None, "it draws no more");
        let alone = NodeState { node: None, nodes: None, ..state() };
        assert!(of_s(&alone, odd).still.is_some());
    }

    #[test]
    fn fault_b16_the_furthest_related_sequence_shows_the_pace() {
        let mut state = state();
        state.time = "2026-01-01T00:00:00.000000Z".to_owned();
        let other = state.sequences[&named("public.s")].clone();
        state.sequences.insert(named("public.other"), SequenceState { next_value: 99, ..other });
        let found = Peer::from(state).observe(&named("public.s"), &fresh()).expect("a time");
        assert_eq!((found.position, found.class), (13, Class::new(1, 2).ok()));
    }

    /// A sequence of the same name, without columns.
    fn fresh() -> Sequence {
        Sequence {
            name: "public.s".to_owned(),
            number_type: NumberType::Bigint,
            start: 1,
            increment: 1,
            min_value: 1,
            max_value: i64::MAX,
            cycle: false,
            unlogged: false,
            replicated: None,
            last_value: 1,
            is_called: false,
            former: None,
            history: vec![],
            promoted: false,
            gap_left: 0,
            trusted: None,
            elsewhere: vec![],
            columns: vec![],
            used_by: vec![],
        }
    }

    #[test]
    fn fault_b08_rows_between_the_values_of_blocks_may_be_of_any_block() {
        let mut state = state();
        let theirs = state.sequences.get_mut(&named("public.s")).expect("there");
        (theirs.increment, theirs.block, theirs.next_value) = (100, Some(50), 151);
        (theirs.maximum, theirs.rows) = (Some(777), rows(&[777, 60]));
        let of_node_2 = Residue::through(101, 100);
        assert_eq!(of_s(&state, of_node_2).of_ours, Some(777));
    }

    #[test]
    fn a_sequence_of_the_other_direction_does_not_conflict() {
        let target = Target {
            class: Class::new(2, 2).expect("a class"),
            from: None,
            origin: None,
            gap: None,
            blocks: false,
        };
        let sequence = fresh();
        let peers = [Peer::from(state())];
        assert_eq!(with_peer_values(sequence.clone(), &target, &peers).elsewhere.len(), 1);
        let down = Sequence { increment: -1, ..sequence.clone() };
        assert_eq!(with_peer_values(down, &target, &peers).elsewhere, []);
        // Blocks that were copied from the peer: the values are those of blocks.
        let mut pooled = state();
        let theirs = pooled.sequences.get_mut(&named("public.s")).expect("there");
        (theirs.increment, theirs.block, theirs.next_value) = (100, Some(50), 151);
        (theirs.maximum, theirs.rows, theirs.last_value) = (Some(301), rows(&[301]), Some(51));
        let copy = Sequence { increment: 100, ..sequence };
        let found = with_peer_values(copy, &target, &[Peer::from(pooled)]).elsewhere;
        assert_eq!(
            found[0].of_ours,
            Some(301),
            "301 is of the blocks of node 2, and no even value: {found:?}"
        );
    }

    #[test]
    fn fault_b05_a_peer_draws_nothing_of_another_range() {
        let mut state = state();
        state.time = "2026-01-01T00:00:00.000000Z".to_owned();
        (state.node, state.nodes) = (None, None);
        let own = state.sequences.get_mut(&named("public.s")).expect("there");
        own.min_value = Some(11);
        let odd = Class::new(1, 2).expect("a class").residue();
        let peer = Peer::from(state);
        let low = Sequence { max_value: 10, ..fresh() };
        let found = |sequence: &Sequence| {
            let still = peer.elsewhere(&peer.sequences[&named("public.s")], sequence, odd, None).still;
            (still.is_some(), peer.observe(&named("public.s"), sequence).is_some())
        };
        assert_eq!(found(&low), (false, false));
        assert_eq!(found(&Sequence { max_value: 11, ..low }), (true, true));
    }
}
