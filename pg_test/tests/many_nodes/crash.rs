//! A crash under load.

use std::collections::HashSet;
use std::time::Duration;

use pg_test::load::{self, Count, Session};

use crate::chance;
use crate::nodes::{Nodes, insert};
use crate::schema::by_chance;

#[test]
fn trap_s22_values_acknowledged_before_a_crash_are_never_returned_again() {
    let mut nodes = Nodes::start(by_chance(&mut chance("crash")), 2);
    for node in [1, 2] {
        nodes.set_up(node, true);
    }
    let mut known: Vec<HashSet<(String, i64)>> = vec![HashSet::new(), HashSet::new()];
    for round in 0..3 {
        let written = Count::default();
        let (schema, server) = (nodes.schema.clone(), &mut nodes.server);
        let mut writers: Vec<Session<'_, (usize, String, i64)>> = Vec::new();
        for node in 0..2 {
            let (schema, written) = (&schema, &written);
            // Connects before any session writes: the crash comes after a number of rows, whichever
            // session wrote them.
            let mut client = server.connect(&format!("n{}", node + 1)).unwrap();
            writers.push(Box::new(move |stop| {
                let mut acknowledged = Vec::new();
                // The crash ends the connection; otherwise the test has failed.
                while !stop.wait(Duration::ZERO) {
                    for table in &schema.tables {
                        let Ok(value) = insert(&mut client, table) else { return Ok(acknowledged) };
                        if !table.cycles {
                            acknowledged.push((node, table.sequence.clone(), value));
                        }
                        written.add();
                    }
                }
                Ok(acknowledged)
            }));
        }
        let (acknowledged, ()) = load::alongside(writers, || {
            written.wait_for(400)?;
            server.crash()
        })
        .unwrap();
        for (node, sequence, value) in acknowledged {
            assert_eq!(value.rem_euclid(2), [1, 0][node], "{value} of {sequence}");
            let is_new = known[node].insert((sequence.clone(), value));
            assert!(is_new, "{value} of {sequence} was returned again in round {round}");
        }
        nodes.server.launch().unwrap();
    }
}

/// Shows why the view and the set-up warn of unlogged sequences.
#[test]
fn trap_s11_an_unlogged_sequence_returns_values_again_after_a_crash() {
    let mut nodes = Nodes::start(by_chance(&mut chance("unlogged")), 2);
    if nodes.server.tree().major() < 15 {
        println!("skipped: sequences are never unlogged before PostgreSQL 15");
        return;
    }
    let mut client = nodes.connect(2);
    client.batch_execute("CREATE UNLOGGED SEQUENCE fleeting").unwrap();
    nodes.set_up(2, false);
    let seen = "SELECT in_order, findings FROM interleaved_sequences WHERE sequence = 'fleeting'::regclass";
    let row = client.query_one(seen, &[]).unwrap();
    assert_eq!((row.get(0), row.get::<_, Vec<String>>(1)), (Some(true), vec!["unlogged".to_owned()]));
    let draw = |client: &mut postgres::Client| -> i64 {
        client.query_one("SELECT nextval('fleeting')", &[]).unwrap().get(0)
    };
    let before: Vec<i64> = (0..5).map(|_| draw(&mut client)).collect();
    nodes.server.crash().unwrap();
    nodes.server.launch().unwrap();
    let again = draw(&mut nodes.connect(2));
    assert!(before.contains(&again) && again % 2 == 0, "{again} after {before:?}");
}
