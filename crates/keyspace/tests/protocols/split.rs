//! A split: 1 of 2 becomes 1 of 4, and a newcomer 3 of 4. Only these two nodes act.

use super::scenario::{Definition, Form, Judge, Scenario, SetUp, What};
use super::search::{fails, holds};
use super::{CACHED, NEXTVAL, PARTITIONED, as_node, draws};

/// Node 1 is 1 of 2, node 2 is 2 of 2. Both had rows when they were set up. Node 2 was ahead, and 9
/// is still in flight. Node 1: 0 split, 1 state. Node 3: 0 set-up with that state, 1 clients write.
pub fn split(definition: Definition, form: Form, sign: i64) -> Scenario {
    let mut parted = SetUp { from: Some((1, 2)), ..as_node((1, 4)) };
    parted.form = form;
    let newcomer = SetUp { peers: true, ..as_node((3, 4)) };
    Scenario::new(3, &[definition], sign)
        .filled(0, 0, 2 * sign, &[])
        .filled(1, 0, 8 * sign, &[7 * sign])
        .has_told(0)
        .has_told(1)
        .was_set_up(0, (1, 2), 0)
        .was_set_up(1, (2, 2), 0)
        .begins()
        .closed(2)
        .draws(&draws([2, 1, 2], [3, 2, 2]))
        .then(0, What::SetUp(parted), &[])
        .then(0, What::GiveState, &[])
        .then(2, What::SetUp(newcomer), &[(0, 1)])
        .then(2, What::Open, &[])
}

/// The sequence was created after the set-ups, and `partitioned_nextval` draws from it: it steps by
/// 1.
fn untouched() -> Scenario {
    let scenario = split(PARTITIONED, Form::Whole, 1);
    let fresh = super::world::Sequence::fresh(1);
    scenario.with(|scenario| {
        scenario.world.nodes.iter_mut().for_each(|node| node.sequences[0] = fresh.clone());
        scenario.world.handed[0] = super::world::Handed::default();
    })
}

/// All nodes check at the end. Node 1: 2 check. Node 2: 0 state, 1 check. Node 3: 2 state, 3 check.
fn checked(scenario: Scenario) -> Scenario {
    scenario
        .then(0, What::Check, &[(1, 0), (2, 2)])
        .then(1, What::GiveState, &[])
        .then(1, What::Check, &[(0, 1), (2, 2)])
        .then(2, What::GiveState, &[])
        .then(2, What::Check, &[(0, 1), (1, 0)])
        .judge(Judge::Proof)
}

#[test]
fn trap_s34_a_split_keeps_apart() {
    for (form, sign) in [(Form::Whole, 1), (Form::Batches, -1)] {
        holds("split", &split(NEXTVAL, form, sign).crashes(1));
        holds("split, caches", &split(CACHED, form, sign).sessions(0, 2));
        holds("split, partitioned", &split(PARTITIONED, form, sign).crashes(1));
    }
    let drawn = draws([1, 1, 1], [2, 1, 2]);
    let found = holds("split, checked", &checked(split(NEXTVAL, Form::Whole, 1)).draws(&drawn));
    assert_eq!(found.reported, 0, "a false alarm");
}

#[test]
fn trap_s42_sessions_with_open_transactions_are_waited_for() {
    for form in [Form::Whole, Form::Batches] {
        let split = split(PARTITIONED, form, 1).with(|scenario| scenario.transactions = true);
        holds("split, transactions", &split.draws(&draws([2, 0, 1], [2, 1, 2])).crashes(1).sessions(0, 2));
        let part = |set_up: &mut SetUp| set_up.form = form;
        let untouched = untouched().set_up(0, 0, part).with(|scenario| scenario.transactions = true);
        holds("split, untouched, transactions", &untouched.crashes(1).sessions(0, 2));
    }
}

#[test]
fn a_sequence_that_is_drawn_on_always_keeps_its_class() {
    holds("split, setval", &split(PARTITIONED, Form::Whole, 1).with(|scenario| scenario.world.setvals = 1));
}

#[test]
fn with_a_step_left_out_a_split_does_not_keep_apart() {
    let split = || split(NEXTVAL, Form::Whole, 1);
    fails("split, left out", &split().without(0, 0));
    fails("split, state left out", &split().without(0, 1));
    fails("split, state not passed", &split().set_up(2, 0, |set_up| set_up.peers = false));
    fails("split, newcomer first", &split().at_once(2, 0));
    let early = split().with(|scenario| {
        scenario.steps[0].swap(0, 1);
        scenario.steps[2][0].after = vec![(0, 0)];
    });
    fails("split, state from before", &early);
    let early = early.with(|scenario| scenario.steps[2][0].after = vec![(0, 1)]);
    fails("split, state from before, newcomer after", &early);
    fails("split, newcomer not set up", &split().without(2, 0));
    fails("split, only the identity", &split().set_up(0, 0, |set_up| set_up.form = Form::IdentityAlone));
    let early = split().with(|scenario| scenario.steps[2].swap(0, 1));
    fails("split, newcomer writes before its set-up", &early);
    // The change by an earlier set-up is recorded, so the step is not taken for the sequence's own.
    holds("split, not known what it was", &split().set_up(0, 0, |set_up| set_up.from = None));
}

#[test]
fn trap_s42_a_session_that_keeps_its_identity_is_found() {
    let alone = untouched().set_up(0, 0, |set_up| set_up.form = Form::IdentityAlone);
    holds("split, untouched, only the identity", &alone);
    fails(
        "split, session keeps its identity",
        &alone.with(|scenario| scenario.sessions_keep_identity = true),
    );
    let setval =
        split(PARTITIONED, Form::Whole, 1).draws(&[3, 1, 2]).with(|scenario| scenario.world.setvals = 1);
    let kept = setval.clone().with(|scenario| scenario.sessions_keep_identity = true);
    fails("split, session keeps its identity, setval", &kept);
    let alone = setval.set_up(0, 0, |set_up| set_up.form = Form::SequencesAlone);
    fails("split, only the sequences", &alone);
}

#[test]
fn checks_after_a_split_that_find_nothing_are_a_proof() {
    for definition in [NEXTVAL, PARTITIONED] {
        let split = || split(definition, Form::Whole, 1).draws(&draws([1, 1, 1], [2, 1, 2]));
        let judged = |name: &str, scenario: Scenario| {
            holds(name, &checked(scenario));
        };
        judged("split, left out, checked", split().without(0, 0));
        judged("split, newcomer first, checked", split().at_once(2, 0));
        judged("split, state not passed, checked", split().set_up(2, 0, |set_up| set_up.peers = false));
        judged("split, state left out, checked", split().without(0, 1));
        judged(
            "split, only the identity, checked",
            split().set_up(0, 0, |set_up| set_up.form = Form::IdentityAlone),
        );
    }
    let untouched = || untouched().draws(&draws([2, 0, 1], [2, 1, 2])).crashes(1);
    holds(
        "split, untouched, state not passed, checked",
        &checked(untouched().set_up(2, 0, |set_up| set_up.peers = false)),
    );
}

/// The newcomer's schema was dumped from the donor before the split. Its sequences step by 2, which
/// is not a step of node 3 of 4. The donor's state tells that a set-up gave it this step (fault B28).
/// Without it, the set-up leaves the sequences alone.
#[test]
fn trap_s13_a_schema_from_before_the_split_is_found() {
    let dumped = split(NEXTVAL, Form::Whole, 1).draws(&draws([2, 1, 1], [2, 1, 2])).with(|scenario| {
        let donor = scenario.world.nodes[0].sequences[0].clone();
        let newcomer = &mut scenario.world.nodes[2].sequences[0];
        (newcomer.start, newcomer.increment, newcomer.last_value) =
            (donor.start, donor.increment, donor.start);
    });
    holds("split, schema from before", &dumped);
    let alone = dumped.set_up(2, 0, |set_up| set_up.peers = false);
    fails("split, schema from before, state not passed", &alone);
    let found = holds("split, schema from before, state not passed, checked", &checked(alone));
    assert!(found.reported > 0);
}
