//! Two sequences that feed one column.

use super::NEXTVAL;
use super::scenario::{Form, Judge, Scenario, SetUp, What};
use super::search::{fails, holds};
use super::{as_node, draws};

/// Both nodes are identical copies: 4 rows, the first sequence has reached 2, the second one 7 with
/// 6 and 7 in flight. Clients of node 1 draw from the first sequence, those of node 2 from the
/// second one. Steps of each node: 0 set-up, 1 state, 2 check.
fn copies(form: Form) -> Scenario {
    let mut scenario =
        Scenario::new(2, &[NEXTVAL, NEXTVAL], 1).draws(&draws([2, 2, 0], [4, 3, 0])).with(|scenario| {
            scenario.one_column = true;
            scenario.collides_before = true;
            scenario.world.handed[0].before = 0b1111_1110;
            for node in &mut scenario.world.nodes {
                for (sequence, last) in node.sequences.iter_mut().zip([2, 7]) {
                    (sequence.last_value, sequence.is_called, sequence.rows) = (last, true, 0b11_1110);
                }
            }
            scenario.world.nodes[1].sequences[1].in_flight = 0b1100_0000;
        });
    for node in 0..2 {
        let set_up = SetUp { form, ..as_node((node as i32 + 1, 2)) };
        scenario = scenario
            .closed(node)
            .then(node, What::SetUp(set_up), &[])
            .then(node, What::Open, &[])
            .then(node, What::GiveState, &[])
            .then(node, What::Check, &[(1 - node, 2)]);
    }
    scenario
}

#[test]
fn fault_b22_identical_copies_with_two_sequences_on_one_column_keep_apart() {
    for form in [Form::Whole, Form::Batches] {
        let found = holds("one column", &copies(form));
        assert_eq!(found.reported, 0, "a false alarm");
        holds("one column, checked", &copies(form).judge(Judge::Proof));
    }
}

#[test]
fn fault_b22_without_the_position_of_the_other_sequence_they_do_not() {
    let alone = |scenario: &mut Scenario| scenario.siblings_count = false;
    fails("one column, the other sequence left out", &copies(Form::Whole).with(alone));
    let checked = copies(Form::Whole).with(alone).judge(Judge::Proof);
    assert!(holds("one column, the other sequence left out, checked", &checked).reported > 0);
}
