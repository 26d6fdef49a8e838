//! Filled databases, all in use: their values may collide until they are set up, and never after
//! that.

use super::scenario::{Form, Judge, Scenario, What};
use super::search::{fails, holds};
use super::{CACHED, NEXTVAL, PARTITIONED, as_node, draws, is_large};

/// As many ids as any node draws before its own set-up.
const GAP: i64 = 2;

/// Steps of each node: 0 state, 1 set-up with the states of the others, 2 state, 3 check. One node
/// is `ahead`.
pub fn live(ahead: usize, sign: i64, gap: i64) -> Scenario {
    Scenario::new(2, &[NEXTVAL], sign)
        .filled(1 - ahead, 0, 2 * sign, &[])
        .filled(ahead, 0, 6 * sign, &[5 * sign])
        .draws(&draws([2, 2, 0], [3, 2, 0]))
        .with(|scenario| scenario.collides_before = true)
        .with(|scenario| protocol(scenario, Form::Whole, gap))
}

/// Two sequences; each node is ahead in one of them.
fn two(form: Form) -> Scenario {
    Scenario::new(2, &[NEXTVAL, NEXTVAL], 1)
        .filled(0, 0, 1, &[])
        .filled(1, 0, 3, &[3])
        .filled(0, 1, 4, &[])
        .filled(1, 1, 2, &[])
        .draws(&draws([1, 0, 0], [1, 1, 0]))
        .with(|scenario| scenario.collides_before = true)
        .with(|scenario| protocol(scenario, form, GAP))
}

/// With values cached by sessions, and a crash.
fn cached(gap: i64) -> Scenario {
    Scenario::new(2, &[CACHED], 1)
        .filled(0, 0, 2, &[])
        .filled(1, 0, 4, &[3])
        .draws(&draws([1, 1, 0], [2, 2, 0]))
        .crashes(1)
        .with(|scenario| scenario.collides_before = true)
        .with(|scenario| protocol(scenario, Form::Whole, gap))
}

fn protocol(scenario: &mut Scenario, form: Form, gap: i64) {
    let nodes = scenario.world.nodes.len();
    let others = |node: usize, step: usize| -> Vec<(usize, usize)> {
        (0..nodes).filter(|other| *other != node).map(|other| (other, step)).collect()
    };
    for node in 0..nodes {
        let mut set_up = as_node((node as i32 + 1, nodes as i32));
        (set_up.peers, set_up.gap, set_up.form) = (true, gap, form);
        *scenario = scenario
            .clone()
            .then(node, What::GiveState, &[])
            .then(node, What::SetUp(set_up), &others(node, 0))
            .then(node, What::GiveState, &[])
            .then(node, What::Check, &others(node, 2));
    }
}

#[test]
fn live_nodes_keep_apart() {
    for (ahead, sign) in [(0, 1), (1, -1)] {
        assert_eq!(holds("live", &live(ahead, sign, GAP)).reported, 0, "a false alarm");
    }
    assert_eq!(holds("live, caches and a crash", &cached(8)).reported, 0, "a false alarm");
}

#[test]
fn live_nodes_with_two_sequences_keep_apart() {
    assert_eq!(holds("live, two sequences", &two(Form::Batches)).reported, 0, "a false alarm");
}

#[test]
fn trap_s43_with_a_step_left_out_they_do_not() {
    for ahead in 0..2 {
        let (live, behind) = (|| live(ahead, 1, GAP), 1 - ahead);
        fails("live, state left out", &live().without(ahead, 0));
        fails("live, set-up before the other's state", &live().at_once(behind, 1));
        fails("live, states not passed", &live().set_up(behind, 1, |set_up| set_up.peers = false));
        fails("live, no gap", &live().set_up(behind, 1, |set_up| set_up.gap = 0));
        fails("live, set-up left out", &live().draws(&[4, 4]).without(ahead, 1));
        fails(
            "live, one node twice",
            &live().set_up(behind, 1, |set_up| set_up.identity = (ahead as i32 + 1, 2)),
        );
    }
}

/// Whatever was done before: if no check finds anything, no value was handed out twice, and none
/// will be.
#[test]
fn trap_s43_checks_that_find_nothing_are_a_proof() {
    let judged = |name: &str, scenario: Scenario| {
        let found = holds(name, &scenario.judge(Judge::Proof));
        assert!(found.reported > 0, "{name}: nothing was ever found");
    };
    let signs: &[i64] = if is_large() { &[1, -1] } else { &[1] };
    for &sign in signs {
        let ahead = 0;
        let (live, behind) = (|| live(ahead, sign, GAP).draws(&draws([2, 1, 0], [2, 2, 0])), 1 - ahead);
        judged("live, state left out, checked", live().without(ahead, 0));
        judged("live, set-up at once, checked", live().at_once(behind, 1));
        judged("live, set-up left out, checked", live().without(ahead, 1));
        judged("live, states not passed, checked", live().set_up(behind, 1, |set_up| set_up.peers = false));
        judged("live, no gap, checked", live().set_up(behind, 1, |set_up| set_up.gap = 0));
        judged("live, second state left out, checked", live().without(ahead, 2));
        let stale = live().at_once(behind, 3).set_up(behind, 1, |set_up| set_up.gap = 0);
        judged("live, checked before the second state", stale);
        let twice = live().set_up(behind, 1, |set_up| set_up.identity = (ahead as i32 + 1, 2));
        judged("live, one node twice, checked", twice);
    }
    judged("live, gap too small, checked", cached(1));
    judged("live, checked by node 2 alone", live(0, 1, 0).draws(&[2, 1]).without(0, 3));
    judged("live, checked by node 1 alone", live(0, 1, 0).draws(&[2, 1]).without(1, 3));
}

/// The states include more rows than the last one.
#[test]
fn live_nodes_that_report_more_rows_keep_apart() {
    let further = live(0, 1, GAP).draws(&draws([2, 1, 0], [2, 2, 0])).with(|scenario| scenario.look_back = 3);
    assert_eq!(holds("live, looks further back", &further).reported, 0, "a false alarm");
}

/// The default was changed to `partitioned_nextval` before the set-up. The history must not cover
/// less than `nextval` has handed out.
#[test]
fn trap_s43_a_default_that_was_changed_keeps_the_proof() {
    let changed = |form| {
        let changed = live(1, 1, 0).with(|scenario| scenario.sequences = vec![PARTITIONED]);
        let changed =
            (0..2).fold(changed, |changed, node| changed.set_up(node, 1, |set_up| set_up.form = form));
        changed.set_up(0, 1, |set_up| set_up.peers = false).judge(Judge::Proof)
    };
    for form in [Form::Whole, Form::Batches] {
        assert!(holds("live, default changed, states not passed, checked", &changed(form)).reported > 0);
    }
    let mistaken = changed(Form::Batches).with(|scenario| scenario.history_by_new_class = true);
    fails("live, default changed, history by the new class", &mistaken);
}

#[test]
fn three_live_nodes_keep_apart() {
    let three = |gap: i64, draws: &[u8]| {
        Scenario::new(3, &[NEXTVAL], 1)
            .filled(0, 0, 1, &[])
            .filled(1, 0, 7, &[6])
            .filled(2, 0, 3, &[2])
            .draws(draws)
            .with(|scenario| scenario.collides_before = true)
            .with(|scenario| protocol(scenario, Form::Whole, gap))
    };
    let drawn = draws([0, 1, 0], [1, 1, 1]);
    assert_eq!(holds("live, three nodes", &three(2, &drawn)).reported, 0);
    let found = holds(
        "live, three nodes, no gap, checked",
        &three(0, &draws([0, 2, 0], [0, 2, 1])).judge(Judge::Proof),
    );
    assert!(found.reported > 0);
    fails("live, three nodes, no gap", &three(0, &[0, 2, 1]));
}
