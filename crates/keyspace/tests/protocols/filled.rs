//! A filled database and an empty one.

use super::scenario::{Form, Scenario, What};
use super::search::{fails, holds};
use super::{CACHED, NEXTVAL, as_node, draws};

/// Values are drawn by defaults, and their rows are committed when the set-up acquires its lock, so
/// the rows show all values. Node 1: 0 set-up. Node 2: 0 rows copied, 1 set-up, 2 clients write.
pub fn by_rows() -> Scenario {
    let mut first = as_node((1, 2));
    first.form = Form::Batches;
    Scenario::new(2, &[NEXTVAL, CACHED], 1)
        .filled(0, 0, 5, &[])
        .filled(0, 1, 4, &[])
        .draws(&draws([2, 1, 0], [4, 3, 0]))
        .crashes(1)
        .closed(1)
        .with(|scenario| scenario.inserts_at_once = true)
        .then(0, What::SetUp(first), &[])
        .then(1, What::CopyRows { from: 0 }, &[(0, 0)])
        .then(1, What::SetUp(as_node((2, 2))), &[])
        .then(1, What::Open, &[])
}

/// Values may be in flight longer than their lock is held, so the state of node 1 shows how far
/// they go. Node 1: 0 set-up, 1 state. Node 2: 0 rows copied, 1 set-up with that state, 2 clients
/// write.
fn by_state(sign: i64) -> Scenario {
    let (mut first, mut second) = (as_node((1, 2)), as_node((2, 2)));
    first.form = Form::Batches;
    second.peers = true;
    Scenario::new(2, &[NEXTVAL, CACHED], sign)
        .filled(0, 0, 5 * sign, &[4 * sign])
        .filled(0, 1, 4 * sign, &[2 * sign])
        .draws(&draws([2, 1, 0], [4, 2, 0]))
        .crashes(1)
        .closed(1)
        .then(0, What::SetUp(first), &[])
        .then(0, What::GiveState, &[])
        .then(1, What::CopyRows { from: 0 }, &[(0, 0)])
        .then(1, What::SetUp(second), &[(0, 1)])
        .then(1, What::Open, &[])
}

#[test]
fn a_filled_database_and_an_empty_one_keep_apart() {
    holds("filled and empty, by rows", &by_rows());
    holds("filled and empty, by state", &by_state(1));
    holds("filled and empty, descending", &by_state(-1));
}

#[test]
fn with_a_step_left_out_they_do_not() {
    fails("by rows, set-up of the filled one left out", &by_rows().without(0, 0));
    fails("by rows, copy left out", &by_rows().without(1, 0));
    fails("by rows, copy before the set-up", &by_rows().at_once(1, 0));
    fails("by rows, set-up of the empty one left out", &by_rows().without(1, 1));
    let early = by_rows().with(|scenario| scenario.steps[1].swap(0, 1));
    fails("by rows, set-up before the copy", &early);
    let early = by_rows().with(|scenario| scenario.steps[1].swap(1, 2));
    fails("by rows, clients write before the set-up", &early);

    fails("by state, set-up of the filled one left out", &by_state(1).without(0, 0));
    fails("by state, state left out", &by_state(1).without(0, 1));
    fails("by state, state not passed", &by_state(1).set_up(1, 1, |set_up| set_up.peers = false));
    fails("by state, set-up of the empty one left out", &by_state(1).without(1, 1));
    let early = by_state(1).with(|scenario| scenario.steps[0].swap(0, 1)).at_once(1, 1);
    let early = early.with(|scenario| scenario.steps[1][1].after = vec![(0, 0)]);
    fails("by state, state from before the set-up", &early);
    let early = by_state(1).with(|scenario| scenario.steps[1].swap(1, 2));
    fails("by state, clients write before the set-up", &early);
}

#[test]
fn values_in_flight_are_not_among_the_rows() {
    fails("by rows, values in flight", &by_rows().with(|scenario| scenario.inserts_at_once = false));
}
