//! A node leaves, and its class is given to a new one.

use super::scenario::{Judge, Scenario, SetUp, What};
use super::search::{fails, holds};
use super::{NEXTVAL, as_node, draws};

/// Node 1 is 1 of 2, node 2 is 2 of 2 and goes on. Node 1: 0 reset, which is left out by default, 1
/// leaves with its last state. Node 2: 0 state. Node 3: 0 set-up as 1 of 2 with both states, 1
/// clients write.
fn leave(sign: i64) -> Scenario {
    let newcomer = SetUp { peers: true, ..as_node((1, 2)) };
    Scenario::new(3, &[NEXTVAL], sign)
        .filled(0, 0, 4 * sign, &[3 * sign])
        .has_told(0)
        .was_set_up(0, (1, 2), 0)
        .was_set_up(1, (2, 2), 0)
        .begins()
        .closed(2)
        .draws(&draws([2, 1, 2], [3, 2, 3]))
        .then(0, What::Reset, &[])
        .then(0, What::Leave, &[])
        .then(1, What::GiveState, &[(0, 1)])
        .then(2, What::SetUp(newcomer), &[(0, 1), (1, 0)])
        .then(2, What::Open, &[])
        .without(0, 0)
}

/// Writers stop before the reset.
fn reset(sign: i64) -> Scenario {
    let scenario = leave(sign).closed(0).with(|scenario| scenario.steps[0][0].left_out = false);
    // It has handed out 5, 7 and 9, of which 9 is in no table.
    scenario.with(|scenario| {
        let sequence = &mut scenario.world.nodes[0].sequences[0];
        (sequence.last_value, sequence.is_called) = (9 * sign, true);
        (sequence.rows, sequence.in_flight) = (sequence.rows | 1 << 5 | 1 << 7, sequence.in_flight | 1 << 9);
        scenario.world.handed[0].after |= 1 << 5 | 1 << 7 | 1 << 9;
    })
}

/// The newcomer checks at the end, with fresh states. Node 2: 1 state. Node 3: 2 check.
fn checked(scenario: Scenario) -> Scenario {
    scenario.then(1, What::GiveState, &[(2, 0)]).then(2, What::Check, &[(1, 1)]).judge(Judge::Proof)
}

#[test]
fn fault_b17_the_class_of_a_node_that_has_left_is_given_away() {
    for sign in [1, -1] {
        holds("leave", &leave(sign).crashes(1));
        holds("leave, reset", &reset(sign));
    }
    let found = holds("leave, checked", &checked(leave(1)));
    assert_eq!(found.reported, 0, "a false alarm");
}

#[test]
fn fault_b17_with_a_step_left_out_it_is_not() {
    fails("leave, states not passed", &leave(1).set_up(2, 0, |set_up| set_up.peers = false));
    fails("leave, last state left out", &leave(1).without(0, 1));
    fails("leave, newcomer first", &leave(1).at_once(2, 0));
    fails("leave, newcomer not set up", &leave(1).without(2, 0));
    let early = leave(1).with(|scenario| scenario.steps[2].swap(0, 1));
    fails("leave, newcomer writes before its set-up", &early);
    let goes_on = leave(1).with(|scenario| scenario.steps[0][1].what = What::GiveState);
    fails("leave, writers go on", &goes_on);
    // The new facts: how far the sequences had come, and the values before a reset.
    let silent = |scenario: &mut Scenario| scenario.last_state_has_positions = false;
    fails("leave, positions left out", &leave(1).with(silent));
    fails("leave, reset, positions left out", &reset(1).with(silent));
}

#[test]
fn fault_b17_checks_after_it_that_find_nothing_are_a_proof() {
    let judged = |name: &str, scenario: Scenario| {
        assert!(holds(name, &checked(scenario)).reported > 0, "{name}: nothing was ever found");
    };
    judged("leave, states not passed, checked", leave(1).set_up(2, 0, |set_up| set_up.peers = false));
    judged("leave, newcomer first, checked", leave(1).at_once(2, 0));
}
