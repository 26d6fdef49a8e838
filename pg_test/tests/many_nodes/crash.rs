//! A crash under load.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::chance;
use crate::nodes::{Nodes, insert};
use crate::schema::by_chance;

#[test]
fn trap_s22_what_was_acknowledged_before_a_crash_never_comes_again() {
    let mut nodes = Nodes::start(by_chance(&mut chance("crash")), 2);
    for node in [1, 2] {
        nodes.set_up(node, true);
    }
    let mut known: Vec<HashSet<(String, i64)>> = vec![HashSet::new(), HashSet::new()];
    for round in 0..3 {
        let written = AtomicUsize::new(0);
        let (schema, server) = (nodes.schema.clone(), &mut nodes.server);
        let conninfo: Vec<String> = (1..=2).map(|node| server.conninfo(&format!("n{node}"))).collect();
        std::thread::scope(|scope| {
            let writers: Vec<_> = conninfo
                .iter()
                .map(|conninfo| {
                    let (schema, written) = (&schema, &written);
                    // Connects before any session writes: the crash comes after a number of rows,
                    // whichever session wrote them.
                    let mut client = postgres::Client::connect(conninfo, postgres::NoTls).unwrap();
                    scope.spawn(move || {
                        let mut told = Vec::new();
                        // Until the connection is lost.
                        loop {
                            for table in &schema.tables {
                                let Ok(value) = insert(&mut client, table) else { return told };
                                if !table.cycles {
                                    told.push((table.sequence.clone(), value));
                                }
                                written.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    })
                })
                .collect();
            while written.load(Ordering::Relaxed) < 400 {
                std::thread::yield_now();
            }
            server.crash().unwrap();
            for (node, writer) in writers.into_iter().enumerate() {
                for told in writer.join().unwrap() {
                    assert_eq!(told.1.rem_euclid(2), [1, 0][node], "{told:?}");
                    assert!(known[node].insert(told.clone()), "{told:?} came again in round {round}");
                }
            }
        });
        nodes.server.launch().unwrap();
    }
}

/// Shows why the view and the set-up warn of unlogged sequences.
#[test]
fn trap_s11_an_unlogged_sequence_gives_values_again_after_a_crash() {
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
