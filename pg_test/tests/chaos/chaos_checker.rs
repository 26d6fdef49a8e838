//! The checker can fail: it reports situations that are wrong.

use std::collections::BTreeSet;

use pg_test::chaos::{Classes, Fault, Options, Report};

use crate::{alone, options, say, start};

fn found(report: &Report) -> BTreeSet<Fault> {
    println!("{}", report.markdown());
    report.findings.keys().copied().collect()
}

/// Runs two nodes whose only fault is that of their classes. The line is down while they write, so
/// that neither receives the other's rows.
fn run_with(classes: Classes) -> BTreeSet<Fault> {
    let _alone = alone();
    let mut chaos = start(Options { classes, ..options("checker", 2, &[]) });
    chaos.cluster.links_of(0).for_each(pg_test::Link::cut);
    chaos.play(&mut say).unwrap();
    chaos.settle().unwrap();
    found(&chaos.check().unwrap())
}

#[test]
fn without_interleaving_duplicates_and_conflicts_are_found() {
    let found = run_with(Classes::None);
    for fault in [Fault::Duplicate, Fault::Conflict, Fault::Missing, Fault::Different] {
        assert!(found.contains(&fault), "{fault} is not among {found:?}");
    }
    assert!(!found.contains(&Fault::Check), "nobody was set up, so there is nothing to ask");
}

#[test]
fn trap_s44_a_class_that_was_given_twice_is_found() {
    let found = run_with(Classes::FirstTwice);
    for fault in [Fault::Duplicate, Fault::WrongClass, Fault::Conflict, Fault::Missing, Fault::Check] {
        assert!(found.contains(&fault), "{fault} is not among {found:?}");
    }
}

/// One row was deleted from one node, one was changed and one was added, without replication.
#[test]
fn a_row_that_is_lost_changed_or_made_up_behind_its_back_is_found() {
    let _alone = alone();
    let mut chaos = start(options("one row", 2, &[]));
    chaos.play(&mut say).unwrap();
    assert!(chaos.settle().unwrap());
    let good = chaos.check().unwrap();
    assert_eq!(found(&good), BTreeSet::new());
    let mut client = chaos.cluster.connect(1).unwrap();
    client
        .batch_execute(
            "SELECT pg_replication_origin_create('behind'), pg_replication_origin_session_setup('behind')",
        )
        .unwrap();
    for (statement, fault) in [
        ("DELETE FROM visit WHERE id = (SELECT min(id::text)::uuid FROM visit)", Fault::Missing),
        ("UPDATE payment SET version = version + 7 WHERE id = (SELECT min(id) FROM payment)", Fault::Changed),
        ("INSERT INTO letter (writer, no, version) VALUES (100, 1000000, 0)", Fault::Unexpected),
    ] {
        client.batch_execute(statement).unwrap();
        let report = chaos.check().unwrap();
        assert!(found(&report).contains(&Fault::Different), "{statement}");
        assert_eq!(report.findings[&fault].0, 1, "{statement}");
    }
}
