//! A dump of a node, restored on another server.

use super::fail_over::no_more_is_lost;
use super::scenario::{Judge, Scenario, SetUp, What};
use super::search::{fails, holds};
use super::{NEXTVAL, as_node, draws};

/// The copy takes the place of its origin. Node 1: 0 dump, 1 stopped for good. Node 2: 0 state.
/// Node 3: 0 restored, 1 confirmed, 2 set-up as 1 of 2 with the state of node 2 and a gap, 3
/// clients write.
pub fn instead() -> Scenario {
    let again = SetUp { peers: true, gap: 4, ..as_node((1, 2)) };
    Scenario::new(3, &[NEXTVAL], 1)
        .was_set_up(0, (1, 2), 0)
        .was_set_up(1, (2, 2), 0)
        .begins()
        .closed(2)
        .draws(&draws([4, 1, 2], [4, 2, 2]))
        .with(|scenario| scenario.promise = Some(no_more_is_lost))
        .then(0, What::Dump, &[])
        .then(0, What::Stop, &[])
        .then(1, What::GiveState, &[(0, 1)])
        .then(2, What::Restore, &[(0, 1)])
        .then(2, What::Confirm, &[])
        .then(2, What::SetUp(again), &[(1, 0)])
        .then(2, What::Open, &[])
}

/// The copy becomes a node of its own, 3 of 3, next to its origin. All nodes had rows when they
/// were set up. Node 2 was ahead, and 6 is still in flight. The copy needs no states: its origin's
/// sequences were clear of the values of others, and it continues from there. Node 1: 0 dump. Node
/// 3: 0 restored, 1 set-up, 2 clients write.
fn next_to_origin() -> Scenario {
    Scenario::new(3, &[NEXTVAL], 1)
        .filled(0, 0, 2, &[])
        .filled(1, 0, 7, &[6])
        .has_told(0)
        .has_told(1)
        .was_set_up(0, (1, 3), 0)
        .was_set_up(1, (2, 3), 0)
        .begins()
        .closed(2)
        .draws(&draws([2, 2, 2], [3, 3, 3]))
        .then(0, What::Dump, &[])
        .then(2, What::Restore, &[(0, 0)])
        .then(2, What::SetUp(as_node((3, 3))), &[])
        .then(2, What::Open, &[])
}

/// Node 1 is restored from an older copy, and lacks what it has handed out since: 1, 3 and 5. Node
/// 2 has their rows. It has reached 10 since, so they are behind many of its own. Node 1: 0
/// `first`, 1 clients write. Node 2: 0 state.
fn lacks_rows(sign: i64, look_back: usize, first: What) -> Scenario {
    Scenario::new(2, &[NEXTVAL], sign)
        .was_set_up(0, (1, 2), 0)
        .was_set_up(1, (2, 2), 0)
        .begins()
        .rows(1, 0, &[1, 2, 3, 4, 5, 6, 8, 10])
        .with(|scenario| {
            let sequence = &mut scenario.world.nodes[1].sequences[0];
            (sequence.last_value, sequence.is_called) = (10 * sign, true);
            (scenario.look_back, scenario.reports_unread) = (look_back, true);
        })
        .closed(0)
        .draws(&[4, 2])
        .then(1, What::GiveState, &[])
        .then(0, first, &[(1, 0)])
        .then(0, What::Open, &[])
}

/// A set-up of node 1, with the state of node 2.
fn again() -> What {
    What::SetUp(SetUp { peers: true, ..as_node((1, 2)) })
}

#[test]
fn fault_b12_rows_behind_those_of_another_class_count() {
    for (sign, look_back) in [(1, 0), (1, 1), (1, 3), (1, 99), (-1, 0), (-1, 2)] {
        let name = format!("rows lacked, {look_back} looked at");
        holds(&name, &lacks_rows(sign, look_back, again()));
        let checked = lacks_rows(sign, look_back, What::Check).judge(Judge::Proof);
        holds(&format!("{name}, checked"), &checked);
    }
}

#[test]
fn fault_b12_with_rows_left_out_they_do_not() {
    let silent = |scenario: &mut Scenario| scenario.reports_unread = false;
    fails("rows lacked, those not looked at left out", &lacks_rows(1, 2, again()).with(silent));
    let checked = lacks_rows(1, 2, What::Check).judge(Judge::Proof);
    fails("rows lacked, those not looked at left out, checked", &checked.with(silent));
    let alone = lacks_rows(1, 99, again()).set_up(0, 0, |set_up| set_up.peers = false);
    fails("rows lacked, state not passed", &alone);
    fails("rows lacked, set-up left out", &lacks_rows(1, 99, again()).without(0, 0));
}

#[test]
fn trap_s13_a_copy_keeps_apart() {
    holds("copy instead", &instead());
    holds("copy instead, crash", &instead().draws(&draws([3, 1, 1], [4, 2, 2])).crashes(1));
    // A gap that is larger than the previous one is left whether or not the copy is recognised as
    // one.
    holds("copy instead, taken for the origin", &instead().with(|scenario| scenario.loss_is_known = false));
    holds("copy next to its origin", &next_to_origin().crashes(1));
}

#[test]
fn trap_s13_with_a_step_left_out_a_copy_does_not() {
    fails("copy instead, the origin goes on", &instead().without(0, 1));
    fails("copy instead, set-up left out", &instead().without(2, 2));
    fails("copy instead, no gap", &instead().set_up(2, 2, |set_up| set_up.gap = 0));
    fails("copy instead, state not passed", &instead().set_up(2, 2, |set_up| set_up.peers = false));
    let early = instead().with(|scenario| scenario.steps[2].swap(2, 3));
    fails("copy instead, clients write before the set-up", &early);

    fails("copy next to its origin, set-up left out", &next_to_origin().without(2, 1));
    fails(
        "copy next to its origin, confirmed instead",
        &next_to_origin().with(|scenario| scenario.steps[2][1].what = What::Confirm),
    );
    let clean = next_to_origin().with(|scenario| scenario.steps[2][0].left_out = true);
    fails("copy next to its origin, sequences not restored", &clean);
    let early = next_to_origin().with(|scenario| scenario.steps[2].swap(1, 2));
    fails("copy next to its origin, clients write before the set-up", &early);
}

/// Node 2 is a copy of node 1 that became 2 of 2. Node 3 is a copy of node 2, and takes a class
/// that node 1 has freed by a split: its own record of node 1 is out of date. 9 is drawn by node 1
/// before its split and still in flight. Node 1: 0 split, 1 state. Node 2: 0 dump, 1 state. Node 3:
/// 0 restored, 1 set-up as 3 of 4, 2 clients write.
fn of_a_copy() -> Scenario {
    let parted = SetUp { from: Some((1, 2)), ..as_node((1, 4)) };
    let newcomer = SetUp { peers: true, ..as_node((3, 4)) };
    Scenario::new(3, &[NEXTVAL], 1)
        .was_set_up(0, (1, 2), 0)
        .was_set_up(1, (2, 2), 0)
        .begins()
        .closed(2)
        .draws(&draws([2, 1, 2], [3, 2, 2]))
        .then(0, What::SetUp(parted), &[])
        .then(0, What::GiveState, &[])
        .then(1, What::Dump, &[])
        .then(1, What::GiveState, &[])
        .then(2, What::Restore, &[(1, 0)])
        .then(2, What::SetUp(newcomer), &[(0, 1), (1, 1)])
        .then(2, What::Open, &[])
}

#[test]
fn fault_b18_a_copy_of_a_copy_takes_a_class_that_was_freed() {
    holds("copy of a copy", &of_a_copy());
    holds("copy of a copy, crash", &of_a_copy().draws(&[1, 1, 2]).crashes(1));
}

#[test]
fn fault_b18_with_a_state_from_before_the_split_it_does_not() {
    let stale = of_a_copy().with(|scenario| scenario.steps[0].swap(0, 1));
    fails(
        "copy of a copy, state from before",
        &stale.with(|scenario| scenario.steps[2][1].after = vec![(0, 0), (1, 1)]),
    );
    fails("copy of a copy, state of the origin left out", &of_a_copy().without(0, 1));
    fails("copy of a copy, states not passed", &of_a_copy().set_up(2, 1, |set_up| set_up.peers = false));
    fails("copy of a copy, split left out", &of_a_copy().without(0, 0));
}

#[test]
fn fault_b12_columns_that_are_not_read_are_no_proof() {
    let unreadable = |reported: bool| {
        lacks_rows(1, 99, What::Check).judge(Judge::Proof).with(|scenario| {
            (scenario.unreadable, scenario.reports_unreadable) = (true, reported);
        })
    };
    assert!(holds("rows lacked, column not read, checked", &unreadable(true)).reported > 0);
    fails("rows lacked, column not read and not named, checked", &unreadable(false));
}
