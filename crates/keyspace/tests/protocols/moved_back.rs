//! A user restarts the sequences of a node that is set up (fault B27).

use super::scenario::{Definition, Judge, Scenario, What};
use super::search::{fails, holds};
use super::{CACHED, NEXTVAL, PARTITIONED, as_node, draws};

const KINDS: [(Definition, i64); 4] = [(NEXTVAL, 1), (NEXTVAL, -1), (CACHED, 1), (PARTITIONED, 1)];

/// Node 1 has drawn nothing. Node 2 has drawn values that are in no table yet, and may never be.
/// Node 1: 0 state, 1 set-up, 2 RESTART, 3 state, 4 clients write. Node 2: 0 state, 1 set-up, 2
/// state, 3 check.
fn restarted((definition, sign): (Definition, i64)) -> Scenario {
    let (mut first, mut second) = (as_node((1, 2)), as_node((2, 2)));
    (first.peers, second.peers) = (true, true);
    Scenario::new(2, &[definition], sign)
        .filled(1, 0, 3 * sign, &[sign, 3 * sign])
        .draws(&draws([2, 1, 0], [3, 2, 0]))
        .closed(0)
        .judge(Judge::Proof)
        .then(0, What::GiveState, &[])
        .then(0, What::SetUp(first), &[(1, 0)])
        .then(0, What::Restart, &[])
        .then(0, What::GiveState, &[])
        .then(0, What::Open, &[(1, 3)])
        .then(1, What::GiveState, &[])
        .then(1, What::SetUp(second), &[(0, 0)])
        .then(1, What::GiveState, &[(0, 3)])
        .then(1, What::Check, &[])
}

/// The same, and node 1 is set up again. Node 1: 4 set-up, 5 state, 6 clients write. Node 2: 2 state,
/// 3 state, 4 check.
fn set_up_again(kind: (Definition, i64)) -> Scenario {
    let mut again = as_node((1, 2));
    again.peers = true;
    let scenario = restarted(kind).with(|scenario| {
        scenario.steps[0].truncate(3);
        scenario.steps[1].truncate(2);
    });
    scenario
        .with(|scenario| scenario.judge = Judge::Duplicates)
        .then(0, What::SetUp(again), &[(1, 2)])
        .then(0, What::Open, &[])
        .then(1, What::GiveState, &[])
}

#[test]
fn fault_b27_a_check_finds_a_sequence_that_was_moved_back() {
    for kind in KINDS {
        holds("moved back", &restarted(kind));
        let silent = restarted(kind).with(|scenario| scenario.moves_back_count = false);
        fails("moved back, its position not compared", &silent);
    }
}

#[test]
fn fault_b27_a_set_up_moves_it_ahead_again() {
    for kind in KINDS {
        holds("moved back and set up again", &set_up_again(kind));
        fails("moved back, second set-up left out", &set_up_again(kind).without(0, 3));
        let alone = set_up_again(kind).set_up(0, 3, |set_up| set_up.peers = false);
        fails("moved back, second set-up without states", &alone);
    }
}
