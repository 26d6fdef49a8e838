//! The checker can fail: it reports situations that are wrong.

use std::collections::BTreeSet;

use pg_test::chaos::{Classes, Finding, Options, Report};

use crate::{alone, options, show, start};

fn found(report: &Report) -> BTreeSet<Finding> {
    println!("{}", report.markdown());
    report.findings.keys().copied().collect()
}

/// Runs two nodes whose only fault is that of their classes. The link is cut while they write, so
/// that neither receives the other's rows.
fn run_with(classes: Classes) -> BTreeSet<Finding> {
    let _alone = alone();
    let mut chaos = start(Options { classes, ..options("checker", 2, &[]) });
    chaos.cluster.links_of(0).for_each(pg_test::Link::cut);
    chaos.write_under_faults(&mut show).unwrap();
    chaos.wait_until_applied().unwrap();
    found(&chaos.check().unwrap())
}

#[test]
fn without_interleaving_duplicates_and_conflicts_are_found() {
    let found = run_with(Classes::None);
    for fault in [Finding::Duplicate, Finding::Conflict, Finding::Missing, Finding::Different] {
        assert!(found.contains(&fault), "{fault} is not among {found:?}");
    }
    assert!(!found.contains(&Finding::Check), "no node was set up, so the check does not run");
}

#[test]
fn trap_s44_a_class_that_was_assigned_twice_is_found() {
    let found = run_with(Classes::FirstTwice);
    for fault in
        [Finding::Duplicate, Finding::WrongClass, Finding::Conflict, Finding::Missing, Finding::Check]
    {
        assert!(found.contains(&fault), "{fault} is not among {found:?}");
    }
}

/// One row was deleted from one node, one was changed and one was added, without replication.
#[test]
fn a_row_that_was_deleted_changed_or_added_without_replication_is_found() {
    let _alone = alone();
    let mut chaos = start(options("one row", 2, &[]));
    chaos.write_under_faults(&mut show).unwrap();
    assert!(chaos.wait_until_applied().unwrap());
    let good = chaos.check().unwrap();
    assert_eq!(found(&good), BTreeSet::new());
    let mut client = chaos.cluster.connect(1).unwrap();
    client
        .batch_execute(
            "SELECT pg_replication_origin_create('behind'), pg_replication_origin_session_setup('behind')",
        )
        .unwrap();
    for (statement, fault) in [
        ("DELETE FROM visit WHERE id = (SELECT min(id::text)::uuid FROM visit)", Finding::Missing),
        (
            "UPDATE payment SET version = version + 7 WHERE id = (SELECT min(id) FROM payment)",
            Finding::Changed,
        ),
        ("INSERT INTO letter (writer, no, version) VALUES (100, 1000000, 0)", Finding::Unexpected),
    ] {
        client.batch_execute(statement).unwrap();
        let report = chaos.check().unwrap();
        assert!(found(&report).contains(&Finding::Different), "{statement}");
        assert_eq!(report.findings[&fault].0, 1, "{statement}");
    }
}
