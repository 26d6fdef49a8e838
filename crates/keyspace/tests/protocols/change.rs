//! A change of the number of nodes: 1 of 2 and 2 of 2 become 1, 2 and 3 of 3, above a common floor.
//! All nodes have moved above it before any node reaches it in its old class.

use super::scenario::{Definition, Form, Judge, Scenario, SetUp, What};
use super::search::{fails, holds};
use super::world::{Handed, Sequence};
use super::{NEXTVAL, PARTITIONED, draws};

/// More than any node draws before its own set-up: two values, two ids apart.
const GAP: i64 = 4;

/// Steps of each node: 0 state, 1 set-up with the states of the others, 2 state, 3 check. Of two
/// nodes one is `ahead`. A third node is new, and has one more step: 2 clients write.
fn change(nodes: usize, ahead: usize, definition: Definition, form: Form) -> Scenario {
    let mut scenario =
        Scenario::new(nodes, &[definition], 1).filled(1 - ahead, 0, 2, &[]).filled(ahead, 0, 6, &[]);
    // They were set up with each other's states, and have separate classes.
    let class = |node: usize| (node as i32 + 1, 2);
    scenario = scenario.has_told(0).has_told(1);
    scenario =
        scenario.was_set_up(ahead, class(ahead), 8).was_set_up(1 - ahead, class(1 - ahead), 0).begins();
    for node in 0..nodes {
        let after = |step: fn(usize) -> usize| -> Vec<(usize, usize)> {
            (0..nodes).filter(|other| *other != node).map(|other| (other, step(other))).collect()
        };
        let from = (node < 2).then_some(class(node));
        let set_up = SetUp { from, gap: GAP, peers: true, form, identity: (node as i32 + 1, 3) };
        scenario = scenario.then(node, What::GiveState, &[]).then(node, What::SetUp(set_up), &after(|_| 0));
        if node == 2 {
            scenario = scenario.closed(node).then(node, What::Open, &[]);
        }
        let exchanged = after(|other| if other == 2 { 3 } else { 2 });
        scenario = scenario.then(node, What::GiveState, &[]).then(node, What::Check, &exchanged);
    }
    scenario
}

/// Without the steps after the set-ups.
fn unchecked(mut scenario: Scenario) -> Scenario {
    scenario.steps.iter_mut().zip([2, 2, 3]).for_each(|(steps, kept)| steps.truncate(kept));
    scenario
}

#[test]
fn trap_s34_a_change_over_a_common_floor_keeps_apart() {
    let change = |ahead, definition| change(3, ahead, definition, Form::Whole);
    let drawn = draws([1, 1, 1], [2, 2, 2]);
    holds("change", &unchecked(change(0, NEXTVAL)).draws(&drawn));
    holds("change", &unchecked(change(1, PARTITIONED)).draws(&drawn));
    let found = holds("change, checked", &change(1, NEXTVAL).draws(&draws([1, 0, 0], [1, 1, 1])));
    assert_eq!(found.reported, 0, "a false alarm");
}

#[test]
fn trap_s34_with_a_spare_slot_a_change_keeps_apart() {
    for ahead in 0..2 {
        let change = || change(2, ahead, NEXTVAL, Form::Whole).draws(&draws([2, 1, 0], [2, 2, 0]));
        assert_eq!(holds("change, a slot spare, checked", &change()).reported, 0, "a false alarm");
        holds("change, a slot spare, crash", &unchecked(change()).draws(&[1, 1]).crashes(1));
    }
}

#[test]
fn trap_s34_with_a_step_left_out_it_does_not() {
    for ahead in 0..2 {
        let behind = 1 - ahead;
        let change = || unchecked(change(2, ahead, NEXTVAL, Form::Whole)).draws(&[2, 2]);
        fails("change, state left out", &change().without(ahead, 0));
        fails("change, set-up before the others' states", &change().at_once(behind, 1));
        fails("change, states not passed", &change().set_up(behind, 1, |set_up| set_up.peers = false));
        fails("change, no gap", &change().set_up(behind, 1, |set_up| set_up.gap = 0));
        let busy = || change().with(|scenario| scenario.world.nodes[ahead].draws = 5);
        fails("change, set-up left out", &busy().without(ahead, 1));
        let unknown = busy().set_up(ahead, 1, |set_up| set_up.from = None);
        fails("change, not known what it was", &unknown);
    }
    // fault_b16: a gap of the values that a node draws, not of the ids that they span.
    let drawn = unchecked(change(2, 0, NEXTVAL, Form::Whole)).draws(&[2, 2]);
    fails("change, gap of the draws", &drawn.set_up(1, 1, |set_up| set_up.gap = GAP / 2));
    let change = || unchecked(change(3, 0, NEXTVAL, Form::Whole)).draws(&[1, 1, 2]);
    fails("change, newcomer not set up", &change().without(2, 1));
    fails("change, newcomer before the others' states", &change().at_once(2, 1));
    fails("change, newcomer without states", &change().set_up(2, 1, |set_up| set_up.peers = false));
    fails("change, newcomer without gap", &change().set_up(2, 1, |set_up| set_up.gap = 0));
}

/// Only the identity separates a sequence that steps by 1, so it must not change before the
/// sequence is moved.
#[test]
fn trap_s34_the_identity_must_not_change_first() {
    let untouched = |form| {
        unchecked(change(2, 1, PARTITIONED, form)).draws(&draws([2, 2, 0], [3, 3, 0])).with(|scenario| {
            scenario.world.nodes.iter_mut().for_each(|node| node.sequences[0] = Sequence::fresh(1));
            scenario.world.handed[0] = Handed::default();
            for node in 0..2 {
                *scenario = scenario.clone().set_up(node, 1, |set_up| set_up.gap = 8);
            }
        })
    };
    holds("change, untouched", &untouched(Form::Whole));
    holds("change, untouched, identity last", &untouched(Form::IdentityLast));
    fails("change, untouched, identity first", &untouched(Form::Batches));
    fails("change, untouched, identity alone", &untouched(Form::IdentityAlone));
}

#[test]
fn trap_s43_checks_after_a_change_that_find_nothing_are_a_proof() {
    for ahead in 0..2 {
        let behind = 1 - ahead;
        let change = || {
            let change = change(2, ahead, NEXTVAL, Form::Whole).draws(&draws([1, 1, 0], [2, 2, 0]));
            change.set_up(behind, 1, |set_up| set_up.gap = 0).judge(Judge::Proof)
        };
        holds("change, no gap, checked", &change());
        holds("change, state left out, checked", &change().without(ahead, 0));
        holds(
            "change, states not passed, checked",
            &change().set_up(behind, 1, |set_up| set_up.peers = false),
        );
        holds("change, set-up at once, checked", &change().at_once(behind, 1));
        holds("change, set-up left out, checked", &change().without(ahead, 1));
    }
}
