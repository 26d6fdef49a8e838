//! Writers before, during and after the set-ups of 2, 3, 7 and 16 nodes.

use std::sync::atomic::Ordering;

use rand::RngExt;
use rand::seq::SliceRandom;

use crate::chance;
use crate::drawn::faults;
use crate::nodes::Nodes;
use crate::schema::by_chance;

#[test]
fn two_nodes() {
    no_value_comes_twice(2);
}

#[test]
fn three_nodes() {
    no_value_comes_twice(3);
}

#[test]
fn seven_nodes() {
    no_value_comes_twice(7);
}

#[test]
fn sixteen_nodes() {
    no_value_comes_twice(16);
}

fn no_value_comes_twice(count: usize) {
    let mut chance = chance(&format!("{count} nodes"));
    let nodes = Nodes::start(by_chance(&mut chance), count);
    let mut order: Vec<usize> = (1..=count).collect();
    order.shuffle(&mut chance);
    let drawn = nodes.write_while(20, |is_set_up| {
        for node in order {
            nodes.set_up(node, chance.random());
            is_set_up[node - 1].store(true, Ordering::SeqCst);
        }
    });
    for (at, drawn) in drawn.iter().enumerate() {
        assert!(drawn.total() > 40 * nodes.schema.tables.len(), "node {} hardly wrote", at + 1);
    }
    assert_eq!(faults(&drawn, "wheel"), Vec::<String>::new(), "schema: {:#?}", nodes.schema.statements);
    for node in 1..=count {
        let wrong = "SELECT count(*) FROM interleaved_sequences WHERE in_order IS NOT TRUE AND sequence <> 'drawn_on'::regclass";
        assert_eq!(nodes.connect(node).query_one(wrong, &[]).unwrap().get::<_, i64>(0), 0);
    }
}

/// The checker can fail: without set-ups every node generates the same values.
#[test]
fn without_interleaving_the_same_values_are_found() {
    let nodes = Nodes::start(by_chance(&mut chance("no set-up")), 2);
    let drawn = nodes.write_while(50, |is_set_up| {
        // Registered as nodes, but not set up.
        let node = |node| {
            format!(
                "CREATE EXTENSION pg_keyspace_test;
                 CALL keyspace_test.by_hand($$INSERT INTO keyspace_internal.interleaved_node
                     SELECT system_identifier, d.oid, {node}, 2
                     FROM pg_control_system(), pg_database d WHERE datname = current_database()$$)"
            )
        };
        for at in [1, 2] {
            nodes.connect(at).batch_execute(&node(at)).unwrap();
        }
        for (at, flag) in is_set_up.iter().enumerate() {
            // Existing rows would stop the writers. Both sequences restart, so that their values
            // meet.
            for table in &nodes.schema.tables {
                nodes
                    .connect(at + 1)
                    .batch_execute(&format!("TRUNCATE {} RESTART IDENTITY", table.name))
                    .unwrap();
            }
            flag.store(true, Ordering::SeqCst);
        }
    });
    let found = faults(&drawn, "wheel");
    assert!(found.iter().any(|fault| fault.starts_with("nodes 1 and 2 gave")), "{found:?}");
    assert!(found.iter().any(|fault| fault.starts_with("node 2 of 2 gave")), "{found:?}");
}
