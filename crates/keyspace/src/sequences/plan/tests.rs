//! Tests of the plan for one sequence.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::super::class::Progression;
use super::super::number_type::NumberType;
use super::super::sequence::{Former, SetUpThere, StillDraws};
use super::*;
use proptest::prelude::*;

/// A peer that has reached 1.
fn reached_one(name: &str) -> Elsewhere {
    Elsewhere { is_known: true, furthest: Some(1), ..Elsewhere::unknown(name.to_owned()) }
}

fn class(node: i32, nodes: i32) -> Class {
    Class::new(node, nodes).expect("a class")
}

fn target(node: i32, nodes: i32, gap: i64) -> Target {
    Target { class: class(node, nodes), from: None, origin: None, gap: Some(gap), blocks: false }
}

fn column(extreme: Option<i64>) -> FedColumn {
    FedColumn {
        name: "public.orders.id".to_owned(),
        number_type: Some(NumberType::Bigint),
        limits: None,
        draw: Draw::Nextval,
        set_by: None,
        extreme,
        ahead: None,
        maybe_ahead: None,
        not_followed: None,
    }
}

/// A bigint sequence as `CREATE SEQUENCE` makes it, never called.
fn fresh() -> Sequence {
    Sequence {
        name: "public.orders_id_seq".to_owned(),
        number_type: NumberType::Bigint,
        start: 1,
        increment: 1,
        min_value: 1,
        max_value: i64::MAX,
        cycle: false,
        unlogged: false,
        replicated: None,
        last_value: 1,
        is_called: false,
        former: None,
        history: vec![],
        promoted: false,
        gap_left: 0,
        trusted: None,
        elsewhere: vec![],
        columns: vec![column(None)],
        used_by: vec![],
    }
}

fn descending() -> Sequence {
    Sequence { start: -1, increment: -1, min_value: i64::MIN, max_value: -1, last_value: -1, ..fresh() }
}

fn ddl(plan: &Plan) -> &str {
    match &plan.outcome {
        Outcome::Alter { ddl } => ddl,
        other => panic!("not altered: {other:?}"),
    }
}

/// The sequence after its plan, as PostgreSQL leaves it.
fn apply(sequence: &Sequence, plan: &Plan) -> Sequence {
    let mut after = sequence.clone();
    if let Outcome::Alter { ddl } = &plan.outcome {
        let words: Vec<&str> = ddl.split(' ').collect();
        let value = |keyword: &str| {
            let at = words.iter().position(|word| *word == keyword)?;
            words[at + 1..].iter().find_map(|word| word.parse::<i64>().ok())
        };
        after.increment = value("INCREMENT").expect("an increment");
        after.start = value("START").expect("a start");
        after.last_value = value("RESTART").expect("a restart");
        after.is_called = false;
        after.min_value = value("MINVALUE").unwrap_or(after.min_value);
        after.max_value = value("MAXVALUE").unwrap_or(after.max_value);
    }
    after
}

/// Draws one value as `nextval` does.
fn draw(sequence: &mut Sequence) -> Option<i64> {
    let next = if sequence.is_called {
        sequence.last_value.checked_add(sequence.increment)?
    } else {
        sequence.last_value
    };
    let next = if (sequence.min_value..=sequence.max_value).contains(&next) {
        next
    } else if !sequence.cycle {
        return None;
    } else if sequence.increment > 0 {
        sequence.min_value
    } else {
        sequence.max_value
    };
    sequence.last_value = next;
    sequence.is_called = true;
    Some(next)
}

#[test]
fn trap_s01_one_statement_sets_step_start_and_position() {
    assert_eq!(
        ddl(&plan(&fresh(), &target(2, 2, 0))),
        "ALTER SEQUENCE public.orders_id_seq INCREMENT BY 2 START WITH 2 RESTART WITH 2"
    );
    let filled = Sequence { last_value: 3, is_called: true, ..fresh() };
    assert_eq!(plan(&filled, &target(1, 2, 0)).restart, Some(5));
    assert_eq!(plan(&filled, &target(2, 2, 0)).restart, Some(4), "the published recipe says 5");
    let ten = Sequence { last_value: 10, is_called: true, ..fresh() };
    assert_eq!(plan(&ten, &target(2, 2, 0)).restart, Some(12), "the published recipe says 11");
}

#[test]
fn trap_s03_the_floor_is_the_greatest_of_all() {
    let rows_above = Sequence { last_value: 3, is_called: true, columns: vec![column(Some(100))], ..fresh() };
    assert_eq!(plan(&rows_above, &target(1, 2, 0)).restart, Some(101));
    let drawn_above =
        Sequence { last_value: 200, is_called: true, columns: vec![column(Some(100))], ..fresh() };
    assert_eq!(plan(&drawn_above, &target(1, 2, 0)).restart, Some(201));
    let second_column = Sequence { columns: vec![column(Some(5)), column(Some(70))], ..fresh() };
    assert_eq!(plan(&second_column, &target(2, 2, 0)).restart, Some(72));
    let start_above = Sequence { start: 1_000, last_value: 1_000, ..fresh() };
    assert_eq!(plan(&start_above, &target(1, 2, 0)).restart, Some(1_001));
}

#[test]
fn trap_s09_start_is_aligned_too() {
    let filled = Sequence { last_value: 10, is_called: true, ..fresh() };
    assert!(ddl(&plan(&filled, &target(2, 2, 0))).contains("START WITH 2 RESTART WITH 12"));
}

#[test]
fn trap_s10_a_cycle_wraps_into_the_class() {
    let wrapping = Sequence { cycle: true, max_value: 6, ..fresh() };
    let planned = plan(&wrapping, &target(2, 2, 0));
    assert!(ddl(&planned).ends_with("MINVALUE 2"));
    let mut after = apply(&wrapping, &planned);
    let drawn: Vec<_> = (0..6).filter_map(|_| draw(&mut after)).collect();
    assert_eq!(drawn, [2, 4, 6, 2, 4, 6]);
}

#[test]
fn trap_s17_what_is_in_order_is_not_altered() {
    for sequence in [fresh(), descending(), Sequence { cycle: true, max_value: 60, ..fresh() }] {
        for node in 1..=3 {
            let mut after = apply(&sequence, &plan(&sequence, &target(node, 3, 7)));
            after.gap_left = 7;
            assert_eq!(plan(&after, &target(node, 3, 7)).outcome, Outcome::Unchanged);
            draw(&mut after);
            assert_eq!(plan(&after, &target(node, 3, 7)).outcome, Outcome::Unchanged);
        }
    }
}

#[test]
fn trap_s24_the_column_may_end_before_the_sequence() {
    let narrow = FedColumn { number_type: Some(NumberType::Smallint), ..column(Some(32_760)) };
    let sequence = Sequence { last_value: 32_760, is_called: true, columns: vec![narrow], ..fresh() };
    let planned = plan(&sequence, &target(1, 2, 0));
    assert_eq!((planned.restart, planned.values_left), (Some(32_761), Some(4)), "61, 63, 65, 67");
    let planned = plan(&sequence, &target(1, 2, 100));
    let Outcome::Fail(error) = planned.outcome else { panic!("not refused: {planned:?}") };
    assert_eq!(error.sqlstate.code(), "2200H");
    assert_eq!(planned.values_left, Some(0));
}

#[test]
fn trap_s24_a_column_that_cannot_be_compared_is_named() {
    let text = FedColumn { name: "public.orders.code".to_owned(), number_type: None, ..column(None) };
    let sequence = Sequence { last_value: 9, is_called: true, columns: vec![text], ..fresh() };
    let planned = plan(&sequence, &target(1, 2, 0));
    assert_eq!(planned.restart, Some(11));
    assert!(planned.detail.contains("public.orders.code not read"), "{}", planned.detail);
}

#[test]
fn every_unread_column_is_counted() {
    let unread = FedColumn { number_type: None, ..column(None) };
    let sequence =
        Sequence { columns: vec![unread.clone(), column(None), unread.clone(), unread], ..fresh() };
    assert!(plan(&sequence, &target(1, 2, 0)).detail.ends_with("public.orders.id and 2 more not read"));
}

#[test]
fn trap_s13_what_was_of_another_class_is_said() {
    let theirs = apply(&fresh(), &plan(&fresh(), &target(1, 2, 0)));
    assert_eq!(plan(&theirs, &target(2, 2, 0)).detail, "was in the class of node 1");
    // Blocks are counted, not the ids in them: 51 is of the first block of node 1.
    let pooled = Sequence { increment: 50, ..fresh() };
    let blocks = |node| Target { blocks: true, ..target(node, 4, 0) };
    let theirs = apply(&pooled, &plan(&pooled, &blocks(1)));
    assert_eq!((theirs.start, theirs.increment), (51, 200));
    let former = Some(Former::of(&pooled, &blocks(1)));
    let copied = Sequence { former, ..theirs };
    assert_eq!(plan(&copied, &target(3, 4, 0)).detail, "was in the class of node 1");
    let mut lost = apply(&fresh(), &plan(&fresh(), &target(2, 2, 0)));
    lost.last_value = 7;
    assert_eq!(plan(&lost, &target(2, 2, 0)).detail, "back into the class");
}

#[test]
fn trap_s25_a_descending_sequence_keeps_its_sign() {
    let filled =
        Sequence { last_value: -10, is_called: true, columns: vec![column(Some(-15))], ..descending() };
    let planned = plan(&filled, &target(1, 2, 0));
    assert_eq!(
        ddl(&planned),
        "ALTER SEQUENCE public.orders_id_seq INCREMENT BY -2 START WITH -1 RESTART WITH -17"
    );
    assert_eq!(plan(&descending(), &target(2, 2, 0)).restart, Some(-2));
}

#[test]
fn trap_s10_a_cycle_at_its_end_wraps_around_into_the_class() {
    let wheel = Sequence { cycle: true, max_value: 90, last_value: 85, is_called: true, ..fresh() };
    let wheel = Sequence { columns: vec![column(Some(90))], ..wheel };
    let planned = plan(&wheel, &target(4, 16, 0));
    assert_eq!(
        ddl(&planned),
        "ALTER SEQUENCE public.orders_id_seq INCREMENT BY 16 START WITH 4 RESTART WITH 4 MINVALUE 4"
    );
    assert!(planned.detail.contains("wraps around"), "{}", planned.detail);
    let short = Sequence { max_value: 3, last_value: 3, ..wheel.clone() };
    assert!(matches!(plan(&short, &target(4, 16, 0)).outcome, Outcome::Fail(_)), "4 is beyond 3");
    let narrow = FedColumn { number_type: Some(NumberType::Smallint), ..column(Some(32_767)) };
    let column_ends_first = Sequence { max_value: 40_000, columns: vec![narrow], ..wheel };
    assert!(matches!(plan(&column_ends_first, &target(4, 16, 0)).outcome, Outcome::Fail(_)));
}

#[test]
fn trap_s26_another_step_is_left_alone_and_named() {
    for increment in [25, 50, -50] {
        let sequence = if increment > 0 { fresh() } else { descending() };
        let planned = plan(&Sequence { increment, ..sequence }, &target(2, 2, 0));
        assert_eq!(planned.outcome, Outcome::Skip);
        assert_eq!(planned.detail, format!("increment {increment} kept"));
    }
}

#[test]
fn trap_s26_blocks_are_split_on_request() {
    let hibernate = Sequence { increment: 50, last_value: 101, is_called: true, ..fresh() };
    let target = |node| Target { blocks: true, ..target(node, 2, 0) };
    let first = plan(&hibernate, &target(1));
    assert_eq!(
        ddl(&first),
        "ALTER SEQUENCE public.orders_id_seq INCREMENT BY 100 START WITH 51 RESTART WITH 151"
    );
    assert_eq!(first.detail, "blocks of 50, increment 50 to 100; the application keeps 50");
    assert_eq!(plan(&hibernate, &target(2)).restart, Some(201));
    // None of the ids of a block is in use, whether the ids go up from its value or down to it.
    let above = Sequence { columns: vec![column(Some(203))], ..hibernate.clone() };
    assert_eq!(plan(&above, &target(1)).restart, Some(351));
    assert_eq!(plan(&above, &target(2)).restart, Some(301));
    let former = Former { increment: 50, start: 1, min_value: 1, max_value: i64::MAX };
    let mut after = Sequence { former: Some(former), ..apply(&hibernate, &first) };
    assert_eq!(plan(&after, &target(1)).outcome, Outcome::Unchanged);
    draw(&mut after);
    assert_eq!(plan(&after, &Target { blocks: false, ..target(1) }).outcome, Outcome::Unchanged);
}

#[test]
fn fault_a04_a_default_of_others_alone_changes_nothing() {
    let theirs =
        FedColumn { name: "att.e.x".to_owned(), number_type: None, draw: Draw::NotAllowed, ..column(None) };
    let sequence = Sequence { columns: vec![column(Some(10))], ..fresh() };
    let mut with_theirs = sequence.clone();
    with_theirs.columns.push(theirs);
    let (plain, found) = (plan(&sequence, &target(2, 2, 0)), plan(&with_theirs, &target(2, 2, 0)));
    assert_eq!(found.outcome, plain.outcome);
    assert!(
        found.detail.ends_with("att.e.x not read: its owner may not use the sequence"),
        "{}",
        found.detail
    );
    let drawn_on = |draw| {
        let mut sequence = with_theirs.clone();
        sequence.columns[0].draw = draw;
        sequence.is_drawn_on()
    };
    assert!(drawn_on(Draw::OfThisNode) && !drawn_on(Draw::Nextval));
}

#[test]
fn trap_s08_a_sequence_restarts_above_what_peers_have() {
    let elsewhere = |furthest, of_ours| Elsewhere {
        peer: "node 1 of 2".to_owned(),
        is_known: true,
        furthest,
        of_ours,
        set_up: None,
        by_nodes: None,
        still: None,
    };
    let sequence = Sequence {
        last_value: 10,
        is_called: true,
        elsewhere: vec![elsewhere(Some(500), Some(500))],
        ..fresh()
    };
    let planned = plan(&sequence, &target(2, 2, 100));
    assert_eq!((planned.in_use, planned.restart), (Some(500), Some(602)));
    // The sequence is in order, and the peer stays in its own class: nothing to do.
    let mut after = apply(&sequence, &planned);
    after.elsewhere = vec![elsewhere(Some(9_001), Some(500))];
    after.gap_left = 100;
    assert_eq!(plan(&after, &target(2, 2, 100)).outcome, Outcome::Unchanged);
    after.elsewhere = vec![elsewhere(Some(9_001), Some(602))];
    let moved = plan(&after, &target(2, 2, 0));
    assert_eq!((moved.restart, moved.detail.as_str()), (Some(9_002), "above the values of node 1 of 2"));
}

/// A peer that is not set up, has handed out 500, and has used so many ids since.
fn draws_on(used: Option<i64>) -> Elsewhere {
    Elsewhere {
        peer: "database \"shop\"".to_owned(),
        is_known: true,
        furthest: Some(500),
        of_ours: Some(500),
        set_up: None,
        by_nodes: None,
        still: Some(StillDraws { position: 500, used }),
    }
}

#[test]
fn fault_b16_a_gap_is_computed_from_the_pace_of_the_peers() {
    let computed = Target { gap: None, ..target(2, 2, 0) };
    let with = |used| Sequence { elsewhere: vec![draws_on(used)], ..fresh() };
    assert_eq!((plan(&with(None), &computed).restart, plan(&with(None), &computed).gap), (Some(502), 0));
    let planned = plan(&with(Some(300)), &computed);
    assert_eq!((planned.restart, planned.gap), (Some(1_102), 600));
    // A second run changes nothing, until the peer may have used up the gap.
    let mut after = apply(&with(Some(300)), &planned);
    after.gap_left = planned.gap;
    for (used, action) in [(301, false), (600, false), (602, true)] {
        after.elsewhere = vec![draws_on(Some(used))];
        let again = plan(&after, &computed);
        assert_eq!(matches!(again.outcome, Outcome::Alter { .. }), action, "{used}: {again:?}");
    }
    assert!(plan(&after, &computed).detail.starts_with("above what database \"shop\" has used since"));
}

#[test]
fn fault_b16_a_gap_that_a_peer_has_used_up_is_refused() {
    let sequence = Sequence { elsewhere: vec![draws_on(Some(300))], ..fresh() };
    let Outcome::Fail(error) = plan(&sequence, &target(2, 2, 268)).outcome else { panic!("refused") };
    assert_eq!(error.sqlstate.code(), "55000");
    assert!(error.hint.is_some_and(|hint| hint.contains("gap => 600")));
    // The rate is an estimate, and the gap may be exact.
    assert_eq!(plan(&sequence, &target(2, 2, 270)).restart, Some(772));
    let planned = plan(&sequence, &target(2, 2, 300));
    assert_eq!((planned.restart, planned.gap), (Some(802), 300));
    // What is in order is not moved, so its gap does not matter.
    let mut after = apply(&sequence, &planned);
    (after.gap_left, after.elsewhere) = (300, vec![draws_on(Some(300))]);
    assert_eq!(plan(&after, &target(2, 2, 300)).outcome, Outcome::Unchanged);
}

/// A peer of which this node's class has values up to `reached`.
fn has_reached(reached: i64) -> Elsewhere {
    let (furthest, of_ours) = (Some(reached), Some(reached));
    Elsewhere { furthest, of_ours, still: None, ..draws_on(None) }
}

#[test]
fn trap_s10_a_cycle_that_wraps_around_restarts_above_the_values_of_peers() {
    let wheel = Sequence { cycle: true, max_value: 90, last_value: 89, is_called: true, ..fresh() };
    let mut wheel = Sequence { elsewhere: vec![has_reached(60)], ..wheel };
    let first = plan(&wheel, &target(2, 6, 0));
    assert_eq!(first.restart, Some(62));
    assert!(first.detail.contains("wraps around"), "{}", first.detail);
    let again = plan(&apply(&wheel, &first), &target(2, 6, 0));
    assert_eq!(again.outcome, Outcome::Unchanged);
    // If they leave nothing, they are of the last round.
    wheel.elsewhere = vec![has_reached(88)];
    let first = plan(&wheel, &target(2, 6, 0));
    assert_eq!(first.restart, Some(2));
    let mut after = apply(&wheel, &first);
    assert_eq!(plan(&after, &target(2, 6, 0)).outcome, Outcome::Unchanged);
    // A larger gap moves it once.
    let moved = plan(&after, &target(2, 6, 10));
    assert_eq!((moved.restart, moved.gap), (Some(14), 10));
    after = apply(&after, &moved);
    after.gap_left = moved.gap;
    assert_eq!(plan(&after, &target(2, 6, 10)).outcome, Outcome::Unchanged);
}

#[test]
fn fault_b22_a_sequence_restarts_above_another_one_of_its_column() {
    let other = Progression { increment: 1, min_value: 1, max_value: i64::MAX, cycle: false };
    let sibling = |other: &Progression, reached: i64| {
        Elsewhere::sibling(&fresh(), "public.other".to_owned(), other, reached)
    };
    let mut sequence = Sequence { last_value: 10, is_called: true, ..fresh() };
    sequence.columns = vec![column(Some(400))];
    assert_eq!(plan(&sequence, &target(1, 2, 0)).restart, Some(401));
    sequence.elsewhere = sibling(&other, 500).into_iter().collect();
    let planned = plan(&sequence, &target(1, 2, 0));
    assert_eq!((planned.in_use, planned.restart), (Some(500), Some(501)));
    let mut after = apply(&sequence, &planned);
    after.elsewhere = sibling(&other, 9_000).into_iter().collect();
    assert_eq!(plan(&after, &target(1, 2, 0)).outcome, Outcome::Unchanged);
}

#[test]
fn fault_b05_what_another_sequence_of_the_column_reached_in_its_own_range_does_not_count() {
    let low = Sequence { max_value: 400_000, ..fresh() };
    let other = Progression { increment: 1, min_value: 500_001, max_value: i64::MAX, cycle: false };
    let sibling = |other: &Progression| {
        Elsewhere::sibling(&low, "public.high".to_owned(), other, 500_003).map(|found| found.furthest)
    };
    assert_eq!(sibling(&other), None);
    assert_eq!(sibling(&Progression { min_value: 400_000, ..other }), Some(Some(400_000)));
}

#[test]
fn trap_s23_a_gap_is_left_once_after_a_promotion() {
    let sequence = apply(&fresh(), &plan(&fresh(), &target(2, 2, 0)));
    let wider = plan(&sequence, &target(2, 2, 1_000));
    assert_eq!((wider.restart, wider.detail.as_str()), (Some(1_002), "larger gap"));
    let sequence = Sequence { gap_left: 1_000, ..sequence };
    assert_eq!(plan(&sequence, &target(2, 2, 1_000)).outcome, Outcome::Unchanged);
    let sequence = Sequence { gap_left: 0, ..sequence };
    let promoted = Sequence { promoted: true, ..sequence };
    let planned = plan(&promoted, &target(2, 2, 1_000));
    assert_eq!((planned.restart, planned.detail.as_str()), (Some(1_002), "gap after a promotion"));
    assert_eq!(plan(&promoted, &target(2, 2, 0)).outcome, Outcome::Unchanged);
}

#[test]
fn trap_s34_a_split_moves_into_a_part_of_the_class() {
    let mut odd = apply(&fresh(), &plan(&fresh(), &target(1, 2, 0)));
    (0..5).for_each(|_| assert!(draw(&mut odd).is_some()));
    let part = Target { from: Some(class(1, 2)), ..target(1, 4, 0) };
    assert_eq!(
        plan(&odd, &target(1, 4, 0)).outcome,
        Outcome::Skip,
        "a step of its own, for all that is known"
    );
    assert_eq!(
        ddl(&plan(&odd, &part)),
        "ALTER SEQUENCE public.orders_id_seq INCREMENT BY 4 START WITH 1 RESTART WITH 13"
    );
    let former = Former { increment: 50, start: 1, min_value: 1, max_value: i64::MAX };
    let blocks = Sequence { increment: 100, start: 51, last_value: 151, former: Some(former), ..odd };
    let split = plan(&blocks, &part);
    assert_eq!((split.increment, split.restart), (200, Some(251)), "51, 251, 451 ...");
}

#[test]
fn trap_s34_what_was_copied_from_a_node_that_is_set_up_is_no_step_of_its_own() {
    let set_up = |step, size| Elsewhere {
        is_known: true,
        peer: "node 2 of 2".to_owned(),
        furthest: Some(500),
        of_ours: None,
        set_up: Some(SetUpThere::new(size, [step])),
        by_nodes: None,
        still: None,
    };
    let copied = Sequence { increment: 2, start: 2, last_value: 2, ..fresh() };
    assert_eq!(plan(&copied, &target(3, 4, 0)).outcome, Outcome::Skip, "for all that is known");
    let copied = Sequence { elsewhere: vec![set_up(2, 1)], ..copied };
    for blocks in [false, true] {
        let planned = plan(&copied, &Target { blocks, ..target(3, 4, 0) });
        assert_eq!((planned.increment, planned.restart), (4, Some(503)), "{planned:?}");
    }
    let pooled = Sequence { increment: 100, start: 1, elsewhere: vec![set_up(100, 50)], ..copied };
    let planned = plan(&pooled, &Target { blocks: true, ..target(3, 4, 0) });
    assert_eq!((planned.increment, planned.restart), (200, Some(551)), "blocks of 50: {planned:?}");
    // The record shows the definition before a set-up as another node.
    let former = Former { increment: 1, start: 1, min_value: 1, max_value: i64::MAX };
    let late = Sequence { increment: 2, former: Some(former), ..fresh() };
    assert_eq!(plan(&late, &target(1, 4, 0)).increment, 4);
}

#[test]
fn fault_b04_a_sequence_that_is_used_in_unknown_ways_is_left_alone() {
    let used = Sequence { used_by: vec!["function public.make_id(text)".to_owned()], ..fresh() };
    let planned = plan(&used, &target(2, 2, 0));
    assert_eq!(planned.outcome, Outcome::Skip);
    assert_eq!(
        planned.detail,
        "used by function public.make_id(text): name its columns in feeds, or exclude it"
    );
    // In its class, it goes on there, and gives up a part of it.
    let even = Sequence { increment: 2, start: 2, last_value: 2, ..used.clone() };
    assert_eq!(plan(&even, &target(2, 2, 0)).outcome, Outcome::Unchanged);
    let moved = Sequence { last_value: 7, ..even.clone() };
    assert_eq!(plan(&moved, &target(2, 2, 0)).restart, Some(8));
    let split = Target { from: Some(class(2, 2)), ..target(2, 4, 0) };
    assert_eq!(plan(&even, &split).increment, 4);
    assert_eq!(plan(&used, &split).outcome, Outcome::Skip, "it has never been in a class");
}

#[test]
fn fault_b02_the_trigger_that_sets_a_column_is_named() {
    let set = |name: &str| FedColumn {
        name: name.to_owned(),
        set_by: Some("t_bi".to_owned()),
        ..column(Some(500))
    };
    let one = Sequence { columns: vec![set("public.t.id")], ..fresh() };
    let planned = plan(&one, &target(2, 2, 0));
    assert_eq!(planned.restart, Some(502));
    assert_eq!(planned.detail, "increment 1 to 2; public.t.id is set by trigger t_bi");
}

#[test]
fn trap_s17_rows_of_other_nodes_ahead_do_not_move_a_sequence() {
    let mut even = apply(&fresh(), &plan(&fresh(), &target(2, 2, 0)));
    even.columns[0].extreme = Some(1_001);
    assert_eq!(plan(&even, &target(2, 2, 0)).outcome, Outcome::Unchanged);
    even.columns[0].ahead = Some(1_000);
    let moved = plan(&even, &target(2, 2, 0));
    assert_eq!((moved.restart, moved.detail.as_str()), (Some(1_002), "above the values in use"));
}

#[test]
fn a_reset_restores_the_definition_and_never_goes_lower() {
    let original = Sequence { cycle: true, max_value: 60, last_value: 10, is_called: true, ..fresh() };
    let planned = plan(&original, &target(2, 3, 0));
    let former = Former { increment: 1, start: 1, min_value: 1, max_value: 60 };
    let mut after = Sequence { former: Some(former), ..apply(&original, &planned) };
    draw(&mut after);
    let reset = plan_reset(&after);
    assert_eq!(
        ddl(&reset),
        "ALTER SEQUENCE public.orders_id_seq INCREMENT BY 1 START WITH 1 RESTART WITH 12 MINVALUE 1"
    );
    after.columns[0].extreme = Some(33);
    assert_eq!(plan_reset(&after).restart, Some(34));
    after.columns[0].extreme = Some(60);
    after.cycle = false;
    assert!(matches!(plan_reset(&after).outcome, Outcome::Fail(_)));
}

#[test]
fn a_reset_skips_a_sequence_that_was_not_set_up() {
    assert_eq!(plan_reset(&fresh()).outcome, Outcome::Skip);
    let own = Sequence { increment: 50, ..fresh() };
    assert_eq!(plan_reset(&own).outcome, Outcome::Skip);
    let ours = apply(&descending(), &plan(&descending(), &target(1, 2, 0)));
    assert_eq!(plan_reset(&ours).outcome, Outcome::Skip, "a step of 2 may be its own");
}

#[test]
fn a_used_up_sequence_and_a_cycle_can_be_reset() {
    let former = Former { increment: 1, start: 1, min_value: 1, max_value: 6 };
    let end = Sequence { increment: 2, start: 2, max_value: 6, last_value: 6, is_called: true, ..fresh() };
    let end = Sequence { former: Some(former), columns: vec![column(Some(6))], ..end };
    let reset = plan_reset(&end);
    assert_eq!(ddl(&reset), "ALTER SEQUENCE public.orders_id_seq INCREMENT BY 1 START WITH 1");
    assert_eq!((reset.values_left, reset.detail.as_str()), (Some(0), "increment 2 to 1; used up"));
    let cycle = Sequence { cycle: true, min_value: 2, ..end };
    assert_eq!(plan_reset(&cycle).restart, Some(1));
    let midway = Sequence { last_value: 2, ..cycle };
    assert_eq!(plan_reset(&midway).restart, Some(3), "rows at the end are those of the last round");
}

#[test]
fn trap_s10_a_cycle_goes_on_where_it_stands() {
    let job = Sequence { cycle: true, max_value: 100, last_value: 10, is_called: true, ..fresh() };
    let mut job = Sequence { columns: vec![column(Some(100))], ..job };
    let planned = plan(&job, &target(2, 2, 0));
    assert_eq!(planned.restart, Some(12));
    job = apply(&job, &planned);
    (job.columns[0].extreme, job.columns[0].ahead) = (Some(100), Some(100));
    assert_eq!(plan(&job, &target(2, 2, 0)).outcome, Outcome::Unchanged);
}

#[test]
fn trap_s26_blocks_as_large_as_there_are_nodes_are_not_guessed() {
    let five = Sequence { increment: 5, ..fresh() };
    let blocks = Target { blocks: true, ..target(2, 5, 0) };
    let planned = plan(&five, &blocks);
    assert!(matches!(planned.outcome, Outcome::Fail(_)), "{planned:?}");
    let former = Former { increment: 1, start: 1, min_value: 1, max_value: i64::MAX };
    let ours = Sequence { start: 2, last_value: 2, former: Some(former), ..five };
    assert_eq!(plan(&ours, &blocks).outcome, Outcome::Unchanged);
    // If the increment is its own, it is unknown what the values stand for, in the class or
    // not.
    let own = Sequence { increment: 50, ..fresh() };
    assert_eq!(plan(&own, &target(1, 2, 0)).outcome, Outcome::Skip);
    assert_eq!(Former::of(&Sequence { increment: -5, ..fresh() }, &target(2, 5, 0)).increment, -1);
    assert_eq!(Former::of(&own, &blocks).increment, 50);
}

/// A sequence with this increment after its set-up, with the record that is kept of it.
fn recorded(sequence: &Sequence, target: &Target) -> Sequence {
    let planned = plan(sequence, target);
    Sequence { former: Some(Former::of(sequence, target)), elsewhere: vec![], ..apply(sequence, &planned) }
}

fn is_refused_as_ambiguous(sequence: &Sequence, target: &Target) -> bool {
    let planned = plan(sequence, target);
    matches!(planned.outcome, Outcome::Fail(_)) && planned.detail.starts_with("blocks or nodes")
}

#[test]
fn fault_b08_blocks_as_large_as_there_were_nodes_are_not_guessed() {
    let pairs = Sequence { increment: 2, ..fresh() };
    let blocks = |target| Target { blocks: true, ..target };
    let late = blocks(Target { from: Some(class(1, 2)), ..target(1, 6, 0) });
    assert!(is_refused_as_ambiguous(&pairs, &late), "{:?}", plan(&pairs, &late));
    // A sequence that was created with this increment while there was a node is recorded, which
    // says nothing about its values.
    let former = Former { increment: 2, start: 1, min_value: 1, max_value: i64::MAX };
    let created = Sequence { former: Some(former), ..pairs.clone() };
    assert!(is_refused_as_ambiguous(&created, &late));
    // The new number of nodes is no better.
    let sixes = Sequence { increment: 6, ..fresh() };
    assert!(is_refused_as_ambiguous(&sixes, &late));
    let former = Former { increment: 1, ..former };
    let single = Sequence { former: Some(former), ..pairs };
    assert_eq!(plan(&single, &late).increment, 6);
}

#[test]
fn fault_b08_a_second_run_goes_by_the_same_blocks() {
    let pairs = Sequence { increment: 2, ..fresh() };
    let former = Former { increment: 2, start: 1, min_value: 1, max_value: i64::MAX };
    let created = Sequence { former: Some(former), ..pairs.clone() };
    for sequence in [pairs, created] {
        let moved = Target { from: Some(class(1, 2)), ..target(1, 6, 0) };
        let after = recorded(&sequence, &moved);
        assert_eq!(after.increment, 6);
        for blocks in [false, true] {
            let again = plan(&after, &Target { blocks, ..target(1, 6, 0) });
            assert_eq!(again.outcome, Outcome::Unchanged, "{}", again.detail);
        }
    }
}

#[test]
fn fault_b08_a_sequence_of_blocks_restarts_beyond_ids_within_them() {
    let blocks = Target { blocks: true, ..target(3, 5, 0) };
    let sequence = Sequence { increment: 86, ..fresh() };
    let mut after = recorded(&sequence, &blocks);
    assert_eq!(plan(&after, &blocks).outcome, Outcome::Unchanged);
    let id = after.last_value + 26;
    (after.columns[0].extreme, after.columns[0].maybe_ahead) = (Some(id), Some(id));
    let moved = plan(&after, &blocks);
    assert!(moved.detail.starts_with("above the values in use"), "{}", moved.detail);
    assert_eq!(moved.restart, Some(after.last_value + 430));
}

proptest! {
    #[test]
    fn fault_b08_no_second_run_changes_the_size_of_a_block(
        increment in 1..40_i64, nodes in 2..=9_i32, before in prop::option::of(2..=9_i32),
        recorded_as in prop::option::of(1..40_i64), copied in prop::option::of(1..5_u64),
        first: bool, second: bool,
    ) {
        let former = recorded_as.map(|increment| {
            Former { increment, start: 1, min_value: 1, max_value: i64::MAX }
        });
        let elsewhere = copied.map(|size| Elsewhere {
            set_up: Some(SetUpThere::new(size, [increment.unsigned_abs()])), ..reached_one("node 2")
        });
        let sequence =
            Sequence { increment, former, elsewhere: elsewhere.into_iter().collect(), ..fresh() };
        let from = before.filter(|before| *before != nodes).map(|before| class(1, before));
        let target = Target { blocks: first, from, ..target(1, nodes, 0) };
        let planned = plan(&sequence, &target);
        prop_assume!(matches!(planned.outcome, Outcome::Alter { .. }));
        let after = recorded(&sequence, &target);
        let again = plan(&after, &Target { blocks: second, from: None, ..target });
        prop_assert_eq!(&again.outcome, &Outcome::Unchanged, "{}, {}", planned.detail, again.detail);
    }
}

#[test]
fn fault_b28_a_copy_with_a_former_step_of_its_origin_is_recognised() {
    // Blocks of 85 of a node of 2, which has become one of 4 since the copy was made.
    let copied = Sequence { increment: 170, start: 1, last_value: 1, ..fresh() };
    let blocks = Target { blocks: true, ..target(3, 4, 0) };
    let of = |size, steps: &[u64]| Elsewhere {
        set_up: Some(SetUpThere::new(size, steps.iter().copied())),
        ..reached_one("node 1 of 4")
    };
    for elsewhere in [of(85, &[85, 170, 340]), Elsewhere::origin(170, 85)] {
        let known = Sequence { elsewhere: vec![elsewhere], ..copied.clone() };
        for blocks in [false, true] {
            let planned = plan(&known, &Target { blocks, ..target(3, 4, 0) });
            assert_eq!(
                (planned.increment, matches!(planned.outcome, Outcome::Alter { .. })),
                (340, true),
                "{planned:?}"
            );
        }
    }
    // If nobody knows its step, it is not multiplied again.
    let unknown = Sequence { elsewhere: vec![of(85, &[85, 340])], ..copied.clone() };
    assert!(is_refused_as_ambiguous(&unknown, &blocks));
    let Outcome::Fail(error) = plan(&unknown, &blocks).outcome else { panic!("it is refused") };
    assert!(
        error.detail.as_deref().unwrap_or_default().contains("on node 1 of 4 each value stands for 85 ids")
    );
    let hint = error.hint.unwrap_or_default();
    assert!(hint.contains("ALTER SEQUENCE public.orders_id_seq INCREMENT BY 85 first"), "{hint}");
    let repaired = Sequence { increment: 85, ..unknown.clone() };
    assert_eq!(plan(&repaired, &blocks).increment, 340);
    assert_eq!(plan(&unknown, &Target { blocks: false, ..blocks }).outcome, Outcome::Skip);
    // An own record counts more.
    let former = Former { increment: 170, start: 1, min_value: 1, max_value: i64::MAX };
    let own =
        Sequence { increment: 340, former: Some(former), elsewhere: vec![of(85, &[85, 340])], ..copied };
    assert_eq!(plan(&own, &blocks).increment, 680);
    // Steps from before the first set-up are none.
    assert_eq!(SetUpThere::new(85, [1, 85, 100, 170]).steps, [170]);
    assert_eq!(SetUpThere::new(1, [1, 2, 4]).steps, [2, 4]);
}

#[test]
fn fault_b08_an_increment_that_was_copied_is_no_block() {
    // A copy of a node of 6, of which a reset left the increment.
    let copied = Sequence { increment: 6, start: 4, last_value: 4, ..fresh() };
    let blocks = Target { blocks: true, ..target(4, 5, 0) };
    let of_copy = Target { origin: Some(class(1, 6)), ..blocks };
    assert!(is_refused_as_ambiguous(&copied, &of_copy), "{:?}", plan(&copied, &of_copy));
    assert_eq!(plan(&copied, &Target { blocks: false, ..of_copy }).outcome, Outcome::Skip);
    assert!(keeps_step_of_nodes(&copied, class(4, 6)) && !keeps_step_of_nodes(&copied, class(4, 5)));
    // Peers say what it is, if they know it themselves.
    let peer = reached_one("node 1 of 6");
    let told = Elsewhere { set_up: Some(SetUpThere::new(1, [6])), ..peer.clone() };
    let told = Sequence { elsewhere: vec![told], ..copied.clone() };
    assert_eq!(plan(&told, &of_copy).increment, 5);
    assert_eq!(plan(&told, &Target { class: class(4, 6), ..of_copy }).outcome, Outcome::Unchanged);
    let unclear = Sequence { elsewhere: vec![Elsewhere { by_nodes: Some(6), ..peer }], ..copied };
    assert!(is_refused_as_ambiguous(&unclear, &blocks));
    assert_eq!(plan(&unclear, &Target { blocks: false, ..blocks }).increment, 5);
    // A node says nothing about a sequence of which it has no record.
    let four = class(4, 6);
    assert_eq!((Share::certain_size(&unclear, four), Share::certain_size(&fresh(), four)), (None, Some(1)));
    let former = Former { increment: 1, start: 1, min_value: 1, max_value: i64::MAX };
    let recorded = Sequence { former: Some(former), ..unclear };
    assert_eq!(Share::certain_size(&recorded, four), Some(1));
}

#[test]
fn a_reset_of_blocks_restarts_at_the_beginning_of_a_block() {
    let former = Former { increment: 50, start: 1, min_value: 1, max_value: i64::MAX };
    let blocks = Sequence {
        increment: 100,
        start: 51,
        last_value: 151,
        is_called: true,
        former: Some(former),
        columns: vec![column(Some(230))],
        ..fresh()
    };
    assert_eq!(plan_reset(&blocks).restart, Some(301));
}

#[test]
fn the_ends_of_bigint_do_not_overflow() {
    let top = Sequence { last_value: i64::MAX, is_called: true, columns: vec![], ..fresh() };
    assert!(matches!(plan(&top, &target(1, 2, i64::MAX)).outcome, Outcome::Fail(_)));
    let bottom = Sequence { last_value: i64::MIN, is_called: true, ..descending() };
    assert!(matches!(plan(&bottom, &target(1, 65_535, i64::MAX)).outcome, Outcome::Fail(_)));
    let empty = Sequence { columns: vec![], ..fresh() };
    assert_eq!(plan(&empty, &target(1, 2, 0)).values_left, Some(i64::MAX / 2 + 1));
}

fn at(last_value: i64, column: FedColumn) -> Sequence {
    Sequence { last_value, is_called: true, columns: vec![column], ..fresh() }
}

#[test]
fn fault_b19_start_is_no_floor_where_the_position_is_known() {
    let called = Sequence { start: 1_000, ..at(5, column(Some(5))) };
    let planned = plan(&called, &target(1, 2, 0));
    assert_eq!(
        ddl(&planned),
        "ALTER SEQUENCE public.orders_id_seq INCREMENT BY 2 START WITH 1001 RESTART WITH 7"
    );
    assert_eq!(plan(&called, &target(2, 2, 0)).restart, Some(6));
    // A START at the end has no value of the class after it.
    let narrow = Sequence { start: 1_001, max_value: 1_001, ..called.clone() };
    let planned = plan(&narrow, &target(2, 2, 0));
    assert!(ddl(&planned).ends_with("START WITH 1000 RESTART WITH 6"), "{planned:?}");
    assert_eq!(planned.bounds.start, 1_000);
    let never = Sequence { is_called: false, ..called };
    assert_eq!(plan(&never, &target(1, 2, 0)).restart, Some(1_001), "START counts before the first call");
    let low = Sequence { min_value: 500, start: 500, max_value: 900, last_value: 500, ..fresh() };
    assert_eq!(plan(&low, &target(1, 2, 0)).restart, Some(501));
}

#[test]
fn fault_b22_a_constraint_ends_the_values_before_the_type() {
    let limits = super::super::limits::Limits { low: 1, high: 99 };
    let checked = FedColumn { limits: Some(limits), ..column(Some(10)) };
    let planned = plan(&at(10, checked), &target(1, 2, 0));
    assert_eq!((planned.restart, planned.values_left), (Some(11), Some(45)), "11, 13 ... 99");
    assert_eq!(planned.detail, "increment 1 to 2; column ends at 99");
}

#[test]
fn fault_b07_a_trusted_position_is_the_floor() {
    let top = i64::from(i32::MAX);
    let made = Sequence { max_value: top, ..at(10, column(Some(top))) };
    let planned = plan(&made, &target(1, 2, 0));
    let Outcome::Fail(error) = &planned.outcome else { panic!("not refused: {planned:?}") };
    let hint = error.hint.clone().unwrap_or_default();
    assert!(hint.ends_with("pass trust_position => '{public.orders_id_seq}'."), "{hint}");
    assert!(planned.detail.contains("rows lie ahead of its position"), "{}", planned.detail);
    let mut trusted = Sequence { trusted: Some(top), ..made.clone() };
    assert_eq!(trusted.range(), 1..=top - 1);
    trusted.columns[0].extreme = Some(10);
    let planned = plan(&trusted, &target(1, 2, 0));
    assert_eq!((planned.in_use, planned.restart), (Some(10), Some(11)));
    assert!(planned.detail.ends_with("position trusted: rows from 2147483647 on do not count"));
    assert_eq!(planned.values_left, Some((1 << 30) - 6), "up to 2147483645");
    let mut after = apply(&trusted, &planned);
    assert_eq!(plan(&after, &target(1, 2, 0)).outcome, Outcome::Unchanged);
    after.columns[0].ahead = Some(77);
    assert_eq!(
        plan(&after, &target(1, 2, 0)).detail,
        "above the values in use; position trusted: rows from 2147483647 on do not count"
    );
    let passed = Sequence { last_value: top, is_called: true, ..after };
    assert_eq!(passed.range(), 1..=top);
    // What is stored already is not asked for again.
    let at_the_rows = Sequence { trusted: Some(12), ..at(11, column(Some(11))) };
    let Outcome::Fail(error) = plan(&at_the_rows, &target(1, 2, 0)).outcome else { panic!("not refused") };
    let hint = error.hint.unwrap_or_default();
    assert!(hint.contains("rows from 12 on are its limit") && !hint.contains("trust_position"), "{hint}");
    // At its end, no position helps.
    let end = Sequence { last_value: top, ..made };
    let Outcome::Fail(error) = plan(&end, &target(1, 2, 0)).outcome else { panic!("not refused") };
    assert!(!error.hint.unwrap_or_default().contains("trust_position"));
}

#[test]
fn fault_b06_a_sequence_that_began_again_below_its_rows() {
    let (low, top) = (i64::from(i32::MIN), i64::from(i32::MAX));
    let wrapped = Sequence {
        min_value: low,
        max_value: top,
        last_value: low,
        columns: vec![column(Some(top))],
        ..fresh()
    };
    assert!(matches!(plan(&wrapped, &target(1, 2, 0)).outcome, Outcome::Fail(_)));
    let trusted = Sequence { trusted: Some(1), columns: vec![column(None)], ..wrapped };
    let planned = plan(&trusted, &target(1, 2, 0));
    assert_eq!((planned.restart, planned.bounds.start), (Some(low + 1), 1), "{planned:?}");
    assert_eq!(planned.values_left, Some(1 << 30), "up to -1");
}

#[test]
fn fault_b20_what_is_used_up_stays_so() {
    // Node 2 of 2 is at its end, and a column holds the last value, of node 1.
    let former = Former { increment: 1, start: 1, min_value: 1, max_value: 9 };
    let end = Sequence { increment: 2, max_value: 9, former: Some(former), ..at(8, column(Some(9))) };
    let reset = plan_reset(&end);
    assert_eq!((&reset.outcome, reset.values_left), (&Outcome::Unchanged, Some(0)));
    assert_eq!(reset.detail, "used up");
    let midway = Sequence { last_value: 4, ..end };
    let Outcome::Fail(error) = plan_reset(&midway).outcome else { panic!("6 and 8 are left") };
    assert!(error.hint.unwrap_or_default().contains("trust_position => '{public.orders_id_seq}'"));
    // The rows of other nodes before those of the application count.
    let trusted = Sequence { trusted: Some(9), columns: vec![column(Some(7))], ..midway };
    assert_eq!(plan_reset(&trusted).restart, Some(8));
}

#[test]
fn fault_b07_what_a_split_leaves_gives_nothing_of_the_freed_classes() {
    let part = Target { from: Some(class(1, 2)), ..target(1, 4, 0) };
    let odd = |last_value| Sequence { increment: 2, max_value: 9, ..at(last_value, column(None)) };
    assert!(!still_gives(&odd(9), &part), "used up");
    assert!(!still_gives(&odd(7), &part), "9 is of node 1 of 4");
    assert!(still_gives(&odd(5), &part), "7 is of node 3 of 4");
    assert!(still_gives(&Sequence { cycle: true, ..odd(9) }, &part));
    let mut drawn_on = odd(1);
    drawn_on.columns[0].draw = Draw::OfThisNode;
    assert!(!still_gives(&drawn_on, &part));
}

#[test]
fn names_are_quoted_within_an_array() {
    assert_eq!(array_of("public.s"), "{public.s}");
    assert_eq!(array_of("public.\"a b\""), "{\"public.\\\"a b\\\"\"}");
}

prop_compose! {
    fn any_sequence()(
        up: bool, cycle: bool, is_called: bool, offset in 0..200_i64, start in 0..50_i64,
        extreme in proptest::option::of(-20..400_i64), size in 100..2_000_i64,
    ) -> Sequence {
        let sign = if up { 1 } else { -1 };
        let (min_value, max_value) = if up { (1, size) } else { (-size, -1) };
        Sequence {
            start: sign * (1 + start),
            increment: sign,
            min_value,
            max_value,
            cycle,
            unlogged: false,
            last_value: sign * (1 + offset).min(size),
            is_called,
            columns: vec![column(extreme.map(|value| value * sign))],
            ..fresh()
        }
    }
}

proptest! {
    /// A trusted sequence goes on from its position, and ends before the rows ahead of it.
    #[test]
    fn fault_b07_a_trusted_sequence_stays_between_its_position_and_the_rows(
        sequence in any_sequence(), node in 1..=4_i32, row in 1..2_000_i64,
    ) {
        let course = Course::of(&sequence);
        let row = if course.sign > 0 { row } else { -row };
        let mut trusted = Sequence { trusted: Some(row), cycle: false, ..sequence };
        let range = trusted.range();
        let found = trusted.columns[0].extreme.filter(|value| range.contains(value));
        trusted.columns[0].extreme = found;
        let planned = plan(&trusted, &target(node, 4, 0));
        let Outcome::Alter { .. } = planned.outcome else { return Ok(()) };
        let restart = planned.restart.unwrap();
        let is_past = |a: i64, b: i64| course.is_past(i128::from(a), i128::from(b));
        prop_assert!(found.is_none_or(|value| is_past(restart, value)));
        prop_assert!(!trusted.is_called || is_past(restart, trusted.last_value));
        if let (Some(row), Some(left)) = (trusted.rows_from(), planned.values_left) {
            prop_assert!(is_past(row, restart + planned.increment * (left - 1)), "{} {}", row, left);
        }
    }

    /// A second set-up with the same arguments changes nothing, whatever peers have.
    #[test]
    fn trap_s10_a_second_run_changes_nothing(
        sequence in any_sequence(), small in prop::bool::ANY, node in 1..=6_i32, from: bool,
        gap in proptest::option::of(0..80_i64), reached in prop::collection::vec(0..300_i64, 0..3),
        used in proptest::option::of(0..40_i64),
    ) {
        let sign = sequence.increment;
        let mut sequence = sequence;
        if small && sign > 0 {
            sequence.max_value = sequence.max_value.min(100);
        } else if small {
            sequence.min_value = sequence.min_value.max(-100);
        }
        let range = sequence.min_value..=sequence.max_value;
        let inside = |value: i64| value.clamp(*range.start(), *range.end());
        sequence.last_value = inside(sequence.last_value);
        let stored = sequence.columns[0].extreme;
        sequence.columns[0].extreme = stored.filter(|value| range.contains(value));
        sequence.elsewhere = reached.iter().map(|value| has_reached(inside(sign * value))).collect();
        if let (true, Some(first)) = (from, sequence.elsewhere.first_mut()) {
            first.still = first.of_ours.map(|position| StillDraws { position, used });
        }
        let target = Target { gap, ..target(node, 6, 0) };
        let first = plan(&sequence, &target);
        let Outcome::Alter { .. } = first.outcome else { return Ok(()) };
        let mut after = apply(&sequence, &first);
        after.gap_left = first.gap;
        let again = plan(&after, &target);
        prop_assert_eq!(&again.outcome, &Outcome::Unchanged, "{:?} {:?} {:?}", first, after, again);
        // Nor when it has handed out values, as long as it has not wrapped around.
        for _ in 0..3 {
            let before = after.last_value;
            draw(&mut after);
            if (after.last_value - before) * sign < 0 {
                break;
            }
            let again = plan(&after, &target);
            prop_assert_eq!(&again.outcome, &Outcome::Unchanged, "{:?} {:?} {:?}", first, after, again);
        }
    }

    /// Every node moves its own copy of a sequence. Then all draw concurrently, through
    /// wrap-around and `RESTART`. No value appears twice, and none was in use before.
    #[test]
    fn no_two_nodes_draw_the_same_value(sequence in any_sequence(), nodes in 2..=16_i32, restart: bool) {
        let mut seen = std::collections::HashSet::new();
        for node in 1..=nodes {
            let planned = plan(&sequence, &target(node, nodes, 0));
            if !matches!(planned.outcome, Outcome::Alter { .. }) {
                prop_assert!(matches!(planned.outcome, Outcome::Fail(_)));
                continue;
            }
            let mut after = apply(&sequence, &planned);
            let first = draw(&mut after);
            prop_assert_eq!(first, planned.restart);
            if let (Some(first), Some(in_use)) = (first, planned.in_use) {
                let course = Course::of(&sequence);
                let advances = course.is_past(i128::from(first), i128::from(in_use));
                prop_assert!(advances || sequence.cycle);
            }
            let mut mine: std::collections::HashSet<i64> = first.into_iter().collect();
            if restart {
                after.last_value = after.start;
                after.is_called = false;
            }
            mine.extend((0..500).map_while(|_| draw(&mut after)));
            for value in mine {
                prop_assert!(class(node, nodes).contains(value), "{} on node {}", value, node);
                prop_assert!(seen.insert(value), "{} twice", value);
            }
        }
    }
}
