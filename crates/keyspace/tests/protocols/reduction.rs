//! The reductions of the search change nothing: with and without them, the same values are handed
//! out and the same findings made.

use super::scenario::{Judge, Scenario};
use super::search::search;
use super::{NEXTVAL, PARTITIONED, copy, draws, fail_over, filled, live, split};

#[track_caller]
fn is_the_same(name: &str, scenario: Scenario) {
    let mut scenario = scenario.judge(Judge::Proof);
    scenario.keeps_outcomes = true;
    let reduced = search(&scenario);
    scenario.plain = true;
    let plain = search(&scenario);
    println!(
        "{name}: {} worlds instead of {}, {} outcomes",
        reduced.worlds,
        plain.worlds,
        plain.outcomes.len()
    );
    assert!(reduced.worlds <= plain.worlds, "{name}");
    assert!(reduced.outcomes == plain.outcomes, "{name}: other outcomes");
    assert_eq!(reduced.fault.map(|(fault, _)| fault), plain.fault.map(|(fault, _)| fault), "{name}");
}

#[test]
fn the_reductions_change_no_outcome() {
    let live = |gap| live::live(0, 1, gap).draws(&draws([1, 1, 0], [2, 1, 0]));
    is_the_same("live", live(1));
    is_the_same("live, no gap", live(0).set_up(1, 1, |set_up| set_up.peers = false));
    is_the_same("filled and empty", filled::by_rows().draws(&[1, 1]));
    is_the_same("filled and empty, copy first", filled::by_rows().draws(&[1, 1]).at_once(1, 0));
    let split = || split::split(PARTITIONED, super::scenario::Form::Batches, 1).draws(&[1, 1, 1]);
    is_the_same("split", split());
    is_the_same("split, state not passed", split().set_up(2, 0, |set_up| set_up.peers = false));
    is_the_same("fail-over", fail_over::fail_over(NEXTVAL, 1).draws(&[2, 0, 1]));
    is_the_same(
        "fail-over, no gap",
        fail_over::fail_over(NEXTVAL, 1).draws(&[2, 0, 1]).set_up(2, 1, |set_up| set_up.gap = 0),
    );
    is_the_same("copy", copy::instead().draws(&[2, 0, 1]));
}
