//! From nodes that are not prepared to rows that have been compared.

use keyspace::migration::nodes::Form;

use super::is_large;
use super::scenario::LeftOut::{
    ArrivalBeforeCompare, ArrivalBeforeFill, ClockBeforeMark, Gate, KeptCommitTime, KeysStay, OldCommitTime,
    Origin, PreparedBeforeMark,
};
use super::scenario::Write::{Delete, Insert, Move, Update};
use super::scenario::{Scenario, Write};
use super::search::{fails, holds};

const FORMS: [Form; 2] = [Form::Unprepared, Form::OldIds];

fn fill(writes: &[&[Write]]) -> Scenario {
    Scenario::unprepared(&FORMS, writes)
}

fn natively(scenario: Scenario) -> Scenario {
    Scenario { native: true, ..scenario }
}

fn ahead(scenario: Scenario, ahead: [i64; 3]) -> Scenario {
    Scenario { ahead, ..scenario }
}

/// All pairs of writes on two nodes, one of them of two writes.
#[test]
fn every_pair_of_writes_on_one_row_or_on_new_ones() {
    let writes = [Update(0), Move(0), Delete(0)];
    let thirds: &[Write] = if is_large() { &[Move(0), Update(0), Insert(1)] } else { &[Move(0)] };
    for first in writes {
        for second in writes {
            for &third in thirds {
                let name = format!("{first:?}, {third:?} and {second:?}");
                holds(&name, &fill(&[&[first, third], &[second]]));
                holds(&format!("{name}, natively"), &natively(fill(&[&[first, third], &[second]])));
            }
        }
    }
}

#[test]
fn two_writes_on_each_node() {
    let writes: [&[Write]; 2] = [&[Insert(1), Move(1)], &[Move(0), Update(0)]];
    holds("rows that are inserted and moved", &fill(&writes));
    let writes: [&[Write]; 2] = [&[Move(0), Update(0)], &[Move(0), Update(0)]];
    holds("one row on both", &fill(&writes));
    holds("one row on both, natively", &natively(fill(&writes)));
    let writes: [&[Write]; 2] = [&[Insert(1), Delete(1)], &[Update(0), Move(0)]];
    holds("a row that goes", &fill(&writes));
}

#[test]
fn clocks_apart() {
    let writes: [&[Write]; 2] = [&[Update(0)], &[Move(0), Update(0)]];
    holds("the first is ahead", &ahead(fill(&writes), [4, 0, 0]));
    holds("the second is ahead", &ahead(fill(&writes), [0, 4, 0]));
}

#[test]
fn three_nodes() {
    let writes: [&[Write]; 3] = [&[Move(0)], &[Update(0)], &[]];
    holds("three nodes", &fill(&writes));
    holds("three nodes, natively", &natively(fill(&writes)));
    holds("three nodes, clocks apart", &ahead(fill(&writes), [4, 0, 2]));
}

#[test]
fn fault_d01_without_a_rule_of_the_fill_an_update_is_lost() {
    let both: [&[Write]; 2] = [&[Update(0)], &[Update(0)]];
    let scenario = fill(&both);
    let lost = "and without a migration";
    holds("updates on both", &scenario);
    fails("a mark before all are prepared", &scenario.without(PreparedBeforeMark), lost);
    fails("a fill before everything has arrived", &scenario.without(ArrivalBeforeFill), lost);
    let apart = ahead(scenario.clone(), [4, 0, 0]);
    fails("a mark by a clock that is behind", &apart.without(ClockBeforeMark), lost);
    fails("fault_d01: a backfill that travels", &scenario.without(Origin), lost);
    fails("fault_d01: a backfill that travels, natively", &natively(scenario.clone()).without(Origin), lost);
    fails("a backfill with the present time", &scenario.without(OldCommitTime), lost);
}

#[test]
fn trap_m22_keys_that_differ_are_found_by_the_comparison() {
    let writes: [&[Write]; 2] = [&[Update(0), Update(0)], &[Move(0), Update(0)]];
    let differs = "elsewhere";
    let cut_over: Vec<Form> = FORMS.into_iter().chain([Form::Keys]).collect();
    let scenario = Scenario::unprepared(&cut_over, &[&[Update(0)], &[Move(0)]]);
    fails("a cut-over without a comparison", &scenario.without(Gate), differs);
    let scenario = fill(&writes);
    holds("keys that differ", &scenario);
    let natively = natively(fill(&[&[Move(0), Update(0)], &[Move(0)]]));
    fails("a row takes the keys that arrive", &natively.without(KeysStay), differs);
    let moved = fill(&[&[Move(0), Update(0)], &[Move(0)]]);
    holds("a comparison of rows on their way", &moved.without(ArrivalBeforeCompare));
    holds("a comparison of rows on their way, natively", &natively.without(ArrivalBeforeCompare));
    let lost = "and without a migration";
    fails("a correction with an old commit time", &scenario.without(KeptCommitTime), lost);
}
