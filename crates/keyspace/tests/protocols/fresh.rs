//! Fresh databases: each is set up before the first write.

use super::scenario::{Definition, Form, Scenario, What};
use super::search::{fails, holds};
use super::{CACHED, NEXTVAL, PARTITIONED, as_node, draws};

/// Steps of each node: 0 set-up, 1 clients write.
fn fresh(nodes: usize, sequences: &[Definition], form: Form, sign: i64) -> Scenario {
    let mut scenario = Scenario::new(nodes, sequences, sign).draws(&draws([2, 2, 2], [3, 3, 3])).crashes(1);
    for node in 0..nodes {
        let mut set_up = as_node((node as i32 + 1, nodes as i32));
        set_up.form = form;
        scenario = scenario.closed(node).then(node, What::SetUp(set_up), &[]).then(node, What::Open, &[]);
    }
    scenario
}

#[test]
fn fresh_databases_keep_apart() {
    for form in [Form::Whole, Form::Batches] {
        for sign in [1, -1] {
            holds("fresh, two nodes", &fresh(2, &[CACHED, PARTITIONED], form, sign).sessions(0, 2));
        }
    }
    holds("fresh, three nodes", &fresh(3, &[NEXTVAL], Form::Whole, 1));
}

#[test]
fn fresh_databases_with_the_same_rows_keep_apart() {
    let loaded = fresh(2, &[NEXTVAL, PARTITIONED], Form::Batches, 1);
    let loaded = (0..2).fold(loaded, |loaded, node| loaded.rows(node, 0, &[1, 2, 5]).rows(node, 1, &[4]));
    holds("fresh, rows loaded", &loaded);
    fails("fresh, rows loaded, set-up left out", &loaded.clone().without(0, 0));
}

#[test]
fn fresh_databases_with_a_step_left_out_do_not() {
    let fresh = || fresh(2, &[NEXTVAL, NEXTVAL], Form::Batches, 1);
    fails("fresh, one set-up left out", &fresh().without(1, 0));
    fails("fresh, the other left out", &fresh().without(0, 0));
    fails("fresh, both left out", &fresh().without(0, 0).without(1, 0));
    fails("fresh, one node twice", &fresh().set_up(1, 0, |set_up| set_up.identity = (1, 2)));
    fails("fresh, only the identity", &fresh().set_up(1, 0, |set_up| set_up.form = Form::IdentityAlone));
    let early = fresh().with(|scenario| scenario.steps[1].swap(0, 1));
    fails("fresh, clients write before the set-up", &early);
}

#[test]
fn trap_s34_another_number_of_nodes_is_another_class() {
    let mixed = fresh(2, &[NEXTVAL], Form::Whole, 1).set_up(1, 0, |set_up| set_up.identity = (3, 3));
    fails("fresh, 1 of 2 and 3 of 3", &mixed);
}

#[test]
fn a_set_up_that_leaves_cached_values_is_not_enough() {
    // Like setval, which sessions do not notice.
    let early = fresh(2, &[CACHED], Form::Whole, 1).with(|scenario| {
        scenario.collides_before = true;
        scenario.world.nodes.iter_mut().for_each(|node| node.open = true);
    });
    let apart = early.clone().with(|scenario| scenario.world.nodes[1].open = false);
    fails("fresh, cached values survive", &apart.with(|scenario| scenario.caches_survive = true));
}
