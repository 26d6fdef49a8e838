//! Fail-over to an asynchronous standby that lacks the last values, their rows or both.

use super::glue;
use super::scenario::{Definition, Scenario, SetUp, What};
use super::search::{fails, holds};
use super::world::{World, class, each};
use super::{CACHED, NEXTVAL, as_node, draws};

/// The gap: no more ids than this may be lost on all nodes.
const GAP: i64 = 4;

/// Node 1 is 1 of 2 and has a standby, node 2 is 2 of 2. Node 1: 0 stopped for good. Node 2: 0
/// state. Node 3 is the standby: 0 promoted, 1 set-up as 1 of 2 with the state of node 2 and a gap,
/// 2 clients write.
pub fn fail_over(definition: Definition, sign: i64) -> Scenario {
    let again = SetUp { peers: true, gap: GAP, ..as_node((1, 2)) };
    Scenario::new(3, &[definition], sign)
        .was_set_up(0, (1, 2), 0)
        .was_set_up(1, (2, 2), 0)
        .begins()
        .closed(2)
        .draws(&draws([4, 1, 2], [4, 2, 3]))
        .with(|scenario| {
            scenario.standby = Some(0);
            scenario.promise = Some(no_more_is_lost);
        })
        .then(0, What::Stop, &[])
        .then(1, What::GiveState, &[(0, 0)])
        .then(2, What::Promote { of: 0 }, &[(0, 0)])
        .then(2, What::SetUp(again), &[(1, 0)])
        .then(2, What::Open, &[])
}

/// The operator guarantees that no value handed out is further than the gap above all values that
/// the promoted server and the peers have.
pub fn no_more_is_lost(world: &World, node: usize, set_up: &SetUp) -> bool {
    world.nodes[node].sequences.iter().zip(&world.handed).enumerate().all(|(at, (sequence, handed))| {
        let sign = sequence.increment.signum();
        let own = class(set_up.identity);
        let known =
            world.given.iter().flatten().filter_map(|given| glue::furthest_given(&given.sequences[at], sign));
        let rows = each(sequence.rows, sign).next_back();
        let last = sequence.is_called.then_some(sequence.last_value);
        let known = known.chain(rows).chain(last).map(i64::abs).max().unwrap_or(0);
        each(handed.before | handed.after, sign)
            .filter(|value| own.contains(*value))
            .all(|value| value.abs() <= known + GAP)
    })
}

#[test]
fn trap_s23_a_fail_over_keeps_apart() {
    holds("fail-over", &fail_over(NEXTVAL, 1));
    let drawn = draws([3, 1, 1], [4, 2, 2]);
    holds("fail-over, crash", &fail_over(NEXTVAL, -1).draws(&drawn).crashes(1));
    holds("fail-over, caches", &fail_over(CACHED, 1));
    let unnoticed = fail_over(NEXTVAL, 1).with(|scenario| scenario.loss_is_known = false);
    holds("fail-over, promotion not noticed", &unnoticed);
}

#[test]
fn trap_s23_with_a_step_left_out_it_does_not() {
    let fail_over = || fail_over(NEXTVAL, 1);
    fails("fail-over, the old server goes on", &fail_over().without(0, 0));
    fails("fail-over, set-up left out", &fail_over().without(2, 1));
    fails("fail-over, no gap", &fail_over().set_up(2, 1, |set_up| set_up.gap = 0));
    // fault_b16: half as much, as if a value were one id.
    fails("fail-over, gap of the draws", &fail_over().set_up(2, 1, |set_up| set_up.gap = GAP / 2));
    fails("fail-over, state not passed", &fail_over().set_up(2, 1, |set_up| set_up.peers = false));
    let early = fail_over().with(|scenario| scenario.steps[2].swap(1, 2));
    fails("fail-over, clients write before the set-up", &early);
}
