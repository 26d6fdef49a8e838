//! The work of the extension around the arithmetic: it reads facts, plans, alters, records and
//! reports. The arithmetic is the shipped one; this file replaces the SQL.

use keyspace::sequences::{
    Class, ColumnName, Draw, Elsewhere, FedColumn, Former, NodeState, NumberType, Outcome, PastValues, Peer,
    PeerFinding, Progression, Rows, Sequence as Facts, SequenceName, SequenceState, Share, Target, compare,
    plan, with_peer_values,
};

use super::scenario::{Scenario, SetUp};
use super::world::{self, GivenSequence, GivenState, Sequence, Values, World, each};

const NAMES: [&str; 3] = ["public.a", "public.b", "public.c"];
const COLUMNS: [&str; 3] = ["public.t.a", "public.t.b", "public.t.c"];

fn furthest(rows: Values, sign: i64) -> Option<i64> {
    each(rows, sign).next_back()
}

fn history(sequence: &[(u64, i64, i64)]) -> Vec<PastValues> {
    sequence.iter().map(|&(step, offset, until)| PastValues { step, offset, until }).collect()
}

/// The facts of a sequence, without its table.
fn facts(scenario: &Scenario, sequence: &Sequence, at: usize) -> Facts {
    let sign = sequence.increment.signum();
    let (min_value, max_value) = if sign > 0 { (1, i64::MAX) } else { (i64::MIN, -1) };
    let draw = if scenario.sequences[at].partitioned { Draw::OfThisNode } else { Draw::Nextval };
    let column = FedColumn {
        name: COLUMNS[scenario.column(at)].to_owned(),
        number_type: Some(NumberType::Bigint),
        limits: None,
        draw,
        set_by: None,
        extreme: None,
        ahead: None,
        maybe_ahead: None,
        not_followed: None,
    };
    Facts {
        name: NAMES[at].to_owned(),
        number_type: NumberType::Bigint,
        start: sequence.start,
        increment: sequence.increment,
        min_value,
        max_value,
        cycle: false,
        unlogged: false,
        replicated: None,
        last_value: sequence.last_value,
        is_called: sequence.is_called,
        former: sequence.former.map(|(increment, start)| Former { increment, start, min_value, max_value }),
        history: history(&sequence.history),
        promoted: sequence.promoted,
        gap_left: if sequence.promoted { 0 } else { sequence.gap_left },
        trusted: None,
        elsewhere: vec![],
        columns: vec![column],
        used_by: Vec::new(),
    }
}

/// Plans one sequence of a node, and alters it if the plan says so. The note is for a trace.
pub fn set_up(
    scenario: &Scenario,
    world: &mut World,
    node: usize,
    at: usize,
    set_up: &SetUp,
    note: Option<&mut String>,
) {
    let target = Target {
        class: world::class(set_up.identity),
        from: set_up.from.map(world::class),
        origin: None,
        gap: Some(set_up.gap),
        blocks: false,
    };
    let before = read(scenario, world, node, at, set_up, target);
    let planned = plan(&before, &target);
    if let Some(note) = note {
        let what = match &planned.outcome {
            Outcome::Alter { ddl } => ddl.clone(),
            other => format!("{}: {other:?}", NAMES[at]),
        };
        note.push_str(&format!("; {what} ({})", planned.detail));
    }
    let Outcome::Alter { ddl } = &planned.outcome else { return };
    let identity = world.nodes[node].identity;
    let sequence = &mut world.nodes[node].sequences[at];
    // A set-up knows the class that was valid before it, not the one that it brings. If it meets
    // a sequence for the first time, it knows only the increment.
    let identity = identity.filter(|_| sequence.restart.is_some() || scenario.history_by_new_class);
    let class_before = target.from.or(identity.map(world::class));
    sequence.former.get_or_insert((sequence.increment, sequence.start));
    let words: Vec<&str> = ddl.split(' ').collect();
    let value = |keyword: &str| {
        let at = words.iter().position(|word| *word == keyword).unwrap();
        words[at + 1..].iter().find_map(|word| word.parse::<i64>().ok()).unwrap()
    };
    sequence.increment = value("INCREMENT");
    sequence.start = value("START");
    sequence.last_value = value("RESTART");
    sequence.is_called = false;
    sequence.restart = Some(sequence.last_value);
    if set_up.gap > 0 {
        sequence.gap_left = set_up.gap;
        sequence.promoted = false;
    }
    let next_values = facts(scenario, sequence, at).own_values(Some(target.class));
    let so_far = before.handed_out(class_before);
    let extended = PastValues::extend(before.history.clone(), so_far, next_values, before.increment > 0);
    sequence.history = extended.iter().map(|phase| (phase.step, phase.offset, phase.until)).collect();
    if !scenario.caches_survive {
        world.nodes[node].sessions.iter_mut().for_each(|session| session.cached[at] = None);
    }
}

/// Whether a set-up would alter a sequence, and must wait for the transactions that have drawn from
/// it.
pub fn is_to_be_altered(scenario: &Scenario, world: &World, node: usize, at: usize, set_up: &SetUp) -> bool {
    let target = Target {
        class: world::class(set_up.identity),
        from: set_up.from.map(world::class),
        origin: None,
        gap: Some(set_up.gap),
        blocks: false,
    };
    let sequence = read(scenario, world, node, at, set_up, target);
    matches!(plan(&sequence, &target).outcome, Outcome::Alter { .. })
}

/// All facts that a set-up has about a sequence.
fn read(scenario: &Scenario, world: &World, node: usize, at: usize, set_up: &SetUp, target: Target) -> Facts {
    let sequence = &world.nodes[node].sequences[at];
    let sign = sequence.increment.signum();
    let mut facts = facts(scenario, sequence, at);
    let (own_values, next) = (facts.own_values(Some(target.class)), facts.next_value());
    let is_ahead = |row: &i64| {
        own_values.contains(i128::from(*row)) && (i128::from(*row) - next) * i128::from(sign) >= 0
    };
    facts.columns[0].extreme = furthest(sequence.rows, sign);
    facts.columns[0].ahead = each(sequence.rows, sign).rfind(is_ahead);
    if set_up.peers {
        facts = with_peer_values(facts, &target, &others(scenario, world, node), &|_| None);
    }
    if scenario.siblings_count {
        let siblings = siblings(scenario, world, node, at, &facts);
        facts.elsewhere.extend(siblings);
    }
    facts
}

/// The other sequences of a node that feed the same column. All have the same range.
fn siblings(scenario: &Scenario, world: &World, node: usize, at: usize, facts: &Facts) -> Vec<Elsewhere> {
    let Facts { increment, min_value, max_value, cycle, .. } = *facts;
    let range = Progression { increment, min_value, max_value, cycle };
    let all = world.nodes[node].sequences.iter().enumerate();
    let others = all.filter(|(other, _)| *other != at && scenario.column(*other) == scenario.column(at));
    let reached = |(other, sequence): (usize, &Sequence)| {
        let before = sequence.former.map(|_| sequence.last_value - sequence.increment.signum());
        let reached = if sequence.is_called { Some(sequence.last_value) } else { before };
        Elsewhere::sibling(facts, NAMES[other].to_owned(), &range, reached?)
    };
    others.filter_map(reached).collect()
}

/// The state of a node.
pub fn give_state(scenario: &Scenario, world: &World, node: usize) -> GivenState {
    let node = &world.nodes[node];
    let class = node.identity.map(world::class);
    let given = |(at, sequence): (usize, &Sequence)| {
        let sign = sequence.increment.signum();
        let facts = facts(scenario, sequence, at);
        GivenSequence {
            increment: sequence.increment,
            next_value: i64::try_from(facts.next_value()).unwrap(),
            last_value: sequence.is_called.then_some(sequence.last_value),
            maximum: furthest(sequence.rows, sign).filter(|_| !scenario.unreadable),
            rows: if scenario.unreadable {
                Rows::default()
            } else {
                rows(scenario, sequence.rows, sign, class)
            },
            unread: scenario.unreadable && scenario.reports_unreadable,
            drawn_on: facts.is_drawn_on(),
            block: class.and_then(|class| Share::certain_size(&facts, class)),
            restart: sequence.restart,
            history: sequence.history.clone(),
        }
    };
    GivenState {
        server: node.server,
        timeline: node.timeline,
        identity: node.identity,
        left: false,
        sequences: node.sequences.iter().enumerate().map(given).collect(),
    }
}

/// Gives a node's sequences their former definitions, above everything that it has, and forgets
/// what was recorded of them: `reset_interleaved_sequences()`.
pub fn reset(world: &mut World, node: usize) {
    let node = &mut world.nodes[node];
    node.identity = None;
    for sequence in &mut node.sequences {
        let Some((increment, start)) = sequence.former.take() else { continue };
        let sign = increment.signum();
        let last = if sequence.is_called { sequence.last_value } else { sequence.last_value - sign };
        let furthest = furthest(sequence.rows, sign)
            .map_or(last, |row| if sign > 0 { row.max(last) } else { row.min(last) });
        (sequence.increment, sequence.start) = (increment, start);
        (sequence.last_value, sequence.is_called) = (furthest + sign, false);
        (sequence.restart, sequence.gap_left) = (None, 0);
        sequence.history.clear();
    }
}

/// The last state of a node that has left.
pub fn give_last_state(scenario: &Scenario, world: &World, node: usize) -> GivenState {
    let mut given = GivenState { left: true, ..give_state(scenario, world, node) };
    if !scenario.last_state_has_positions {
        for sequence in &mut given.sequences {
            (sequence.last_value, sequence.next_value) = (None, sequence.increment.signum());
        }
    }
    given
}

/// The furthest row of each class among the last rows, and the first row that was not read.
fn rows(scenario: &Scenario, rows: Values, sign: i64, class: Option<Class>) -> Rows {
    let mut given = Rows { modulus: Rows::modulus(class), furthest: vec![], unread: None };
    for (at, row) in each(rows, sign).rev().enumerate() {
        if at == scenario.look_back {
            given.unread = scenario.reports_unread.then_some(row);
            break;
        }
        let is_new = |known: &i64| (known - row) % i64::from(given.modulus) != 0;
        if given.furthest.iter().all(is_new) {
            given.furthest.push(row);
        }
    }
    given
}

/// The document of `interleaved_node_state()`.
fn document(scenario: &Scenario, given: &GivenState) -> NodeState {
    let sequence = |(given, column): (&GivenSequence, &str)| SequenceState {
        increment: given.increment,
        next_value: given.next_value,
        last_value: given.last_value,
        maximum: given.maximum,
        rows: given.rows.clone(),
        drawn_on: given.drawn_on,
        block: given.block,
        columns: ColumnName::of_quoted(column).into_iter().collect(),
        min_value: None,
        max_value: None,
        rows_beyond: false,
        trusted: None,
        // A sequence that cycles comes back by itself.
        cycles: !scenario.moves_back_count,
        unread_columns: ColumnName::of_quoted(column).filter(|_| given.unread).into_iter().collect(),
        restart: given.restart,
        before_setup: history(&given.history),
    };
    let columns = (0..given.sequences.len()).map(|at| COLUMNS[scenario.column(at)]);
    let sequences = given.sequences.iter().zip(columns).map(sequence);
    let sequences = NAMES.iter().filter_map(|name| SequenceName::of_quoted(name)).zip(sequences);
    NodeState {
        node: given.identity.map(|(node, _)| node),
        nodes: given.identity.map(|(_, nodes)| nodes),
        system_identifier: i64::from(given.server),
        timeline: i32::from(given.timeline),
        database: "shop".to_owned(),
        database_oid: 5,
        started_at: String::new(),
        time: String::new(),
        sequence_publications: vec![],
        sequence_subscriptions: vec![],
        left: given.left,
        sequences: sequences.collect(),
    }
}

/// The states of all other nodes.
fn others(scenario: &Scenario, world: &World, node: usize) -> Vec<Peer> {
    let given = world.given.iter().enumerate().filter(|(other, _)| *other != node);
    given.filter_map(|(_, given)| given.as_ref().map(|given| Peer::from(document(scenario, given)))).collect()
}

/// The findings of a check with peers.
pub fn check(scenario: &Scenario, world: &World, node: usize) -> Vec<PeerFinding> {
    let mut own = give_state(scenario, world, node);
    // With more knowledge of its own rows, it could find more.
    own.sequences.iter_mut().for_each(|given| (given.maximum, given.rows) = (None, Rows::default()));
    compare(&document(scenario, &own), &others(scenario, world, node))
}

/// The furthest value in a state.
pub fn furthest_given(given: &GivenSequence, sign: i64) -> Option<i64> {
    let history = given.history.iter().map(|(_, _, until)| *until);
    history.chain(given.last_value).chain(given.maximum).max_by_key(|value| value * sign)
}
