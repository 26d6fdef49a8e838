//! From the comparison to the cut-over, back, and to the end.

use keyspace::migration::nodes::Form::{self, Finalized, Keys, OldIds, Unprepared};

use super::is_large;
use super::scenario::LeftOut::{
    Acknowledgement, ArrivalBeforeChange, Closing, IdentityMoves, Interleaved, LastingClose, NewestState,
};
use super::scenario::Write::{Delete, Insert, Move, Update};
use super::scenario::{Scenario, Write};
use super::search::{fails, holds};

const STUCK: &str = "can never be applied";

fn then(forms: &[Form], writes: &[&[Write]]) -> Scenario {
    Scenario::compared(forms, writes)
}

fn withdrawals(mut scenario: Scenario, withdrawals: u8) -> Scenario {
    scenario.world.withdrawals = withdrawals;
    scenario
}

#[test]
fn the_cut_over_of_two_nodes() {
    let first: [&[Write]; 2] = [&[Update(0), Insert(1)], &[Update(0), Delete(0)]];
    let second: [&[Write]; 2] = [&[Insert(1), Move(1)], &[Move(0), Insert(2)]];
    for writes in [first, second] {
        let scenario = then(&[Keys], &writes);
        holds("cut-over", &scenario);
        holds("cut-over, natively", &Scenario { native: true, ..scenario });
    }
}

#[test]
fn back_and_forth() {
    let writes: [&[Write]; 2] = [&[Update(0), Insert(1)], &[Insert(2), Delete(0)]];
    holds("cut-over and rollback", &then(&[Keys, OldIds], &writes));
    let writes: [&[Write]; 2] = [&[Update(0)], &[Delete(0)]];
    holds("cut-over, rollback, cut-over", &then(&[Keys, OldIds, Keys], &writes));
    holds("cut-over and finalize", &then(&[Keys, Finalized], &writes));
    holds("removal", &then(&[Unprepared], &writes));
}

#[test]
fn writers_that_go_on_without_a_cut_over() {
    let writes: [&[Write]; 2] = [&[Update(0), Update(0)], &[Insert(1)]];
    holds("one withdrawal", &withdrawals(then(&[Keys], &writes), 1));
    let writes: [&[Write]; 2] = [&[Update(0)], &[Insert(1)]];
    holds("two withdrawals", &withdrawals(then(&[Keys], &writes), 2));
}

#[test]
fn three_nodes() {
    let writes: [&[Write]; 3] = [&[Update(0)], &[Update(0)], &[]];
    holds("cut-over of three", &Scenario { told: false, ..then(&[Keys], &writes) });
    let second: &[Write] = if is_large() { &[Update(0)] } else { &[] };
    let writes: [&[Write]; 3] = [&[Update(0)], second, &[]];
    holds("cut-over of three that are told", &then(&[Keys], &writes));
}

#[test]
fn fault_d05_without_a_rule_of_the_cut_over_a_change_is_stuck() {
    let both: [&[Write]; 2] = [&[Update(0)], &[Update(0)]];
    let scenario = then(&[Keys], &both);
    fails("others go on writing", &scenario.without(Closing), STUCK);
    fails("not everything has arrived", &scenario.without(ArrivalBeforeChange), STUCK);
    let mut killed = scenario.clone();
    killed.world.kills = 1;
    fails("a node that is killed forgets that writers wait", &killed.without(LastingClose), STUCK);
    let withdrawn = withdrawals(scenario.clone(), 1);
    fails("writers go on without an acknowledgement", &withdrawn.without(Acknowledgement), STUCK);
    fails("an older state counts", &withdrawn.without(NewestState), STUCK);
}

#[test]
fn fault_d04_finalizing_and_removing_need_the_same_rules() {
    let both: [&[Write]; 2] = [&[Update(0), Update(0)], &[Update(0), Delete(0)]];
    for forms in [[Keys, Finalized], [Keys, OldIds]] {
        // The writes come after the cut-over.
        let mut scenario = then(&forms[1..], &both);
        scenario.forms.insert(2, Keys);
        for node in &mut scenario.world.nodes {
            (node.progress.form, node.progress.round) = (Keys, 2);
        }
        holds("after the cut-over", &scenario);
        fails("others go on writing", &scenario.without(Closing), STUCK);
        fails("not everything has arrived", &scenario.without(ArrivalBeforeChange), STUCK);
        if forms[1] == Finalized {
            let lost = "and without a migration";
            fails("old ids identify rows until the end", &scenario.without(IdentityMoves), lost);
        }
    }
    let scenario = then(&[Unprepared], &both);
    fails("others go on writing", &scenario.without(Closing), STUCK);
    fails("not everything has arrived", &scenario.without(ArrivalBeforeChange), STUCK);
}

#[test]
fn trap_m23_after_the_cut_over_old_ids_are_interleaved() {
    let writes: [&[Write]; 2] = [&[Insert(1)], &[Insert(2)]];
    let scenario = then(&[Keys, OldIds], &writes);
    holds("new rows", &scenario);
    fails("a central sequence", &scenario.without(Interleaved), "the same old id");
}
