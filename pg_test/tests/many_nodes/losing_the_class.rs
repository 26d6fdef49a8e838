//! All ways by which a sequence can leave its class.

use rand::RngExt;

use crate::chance;
use crate::nodes::{Nodes, code, insert};
use crate::schema::by_chance;

#[test]
fn trap_s09_s10_s12_restarts_and_wraps_stay_in_the_class_and_setval_is_refused() {
    let mut chance = chance("losing the class");
    let count = 3;
    let nodes = Nodes::start(by_chance(&mut chance), count);
    for node in 1..=count {
        nodes.set_up(node, false);
        let mut client = nodes.connect(node);
        let in_class = |value: i64| value.rem_euclid(count as i64) == (node % count) as i64;
        for table in &nodes.schema.tables {
            let (name, sequence) = (&table.name, &table.sequence);
            let restart = match (table.is_owned, chance.random()) {
                (true, true) => format!("TRUNCATE {name} RESTART IDENTITY"),
                _ => format!("TRUNCATE {name}; ALTER SEQUENCE {sequence} RESTART"),
            };
            client.batch_execute(&restart).unwrap();
            for _ in 0..10 {
                let value = insert(&mut client, table).unwrap();
                assert!(in_class(value), "{value} of {sequence} on node {node} after {restart}");
            }
            if table.cycles {
                for _ in 0..100 {
                    assert!(in_class(insert(&mut client, table).unwrap()));
                }
            }
        }
        let ticket = nodes.schema.tables.iter().find(|table| table.is_drawn_on).unwrap();
        for _ in 0..30 {
            let to = chance.random_range(1..100_000_i64);
            let moved = if chance.random() {
                "SELECT setval('drawn_on', {})"
            } else {
                "ALTER SEQUENCE drawn_on RESTART {}"
            };
            client.batch_execute("TRUNCATE ticket").unwrap();
            client.batch_execute(&moved.replace("{}", &to.to_string())).unwrap();
            let value = insert(&mut client, ticket).unwrap();
            assert!(in_class(value) && value >= to, "{value} after {moved} to {to}");
        }
        // A sequence of another class raises an error instead of returning a wrong value.
        for away in 1..count as i64 {
            client.batch_execute("ALTER SEQUENCE by_bigserial_id_seq RESTART").unwrap();
            let next: i64 = client.query_one("SELECT next_value FROM interleaved_sequences WHERE sequence = 'by_bigserial_id_seq'::regclass", &[]).unwrap().get(0);
            client.query("SELECT setval('by_bigserial_id_seq', $1)", &[&(next + away)]).unwrap();
            let error = client.query("SELECT partitioned_nextval('by_bigserial_id_seq')", &[]).unwrap_err();
            assert_eq!(code(&error), "55000", "{error}");
        }
    }
}
