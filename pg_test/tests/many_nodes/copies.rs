//! A dump restored as another database.

use std::collections::HashSet;
use std::process::Stdio;

use crate::chance;
use crate::nodes::{Nodes, code, insert};
use crate::schema::by_chance;

#[test]
fn trap_s13_a_restored_dump_is_no_node_until_it_is_set_up_as_another() {
    let nodes = Nodes::start(by_chance(&mut chance("dump")), 2);
    nodes.set_up(1, false);
    let mut origin = nodes.connect(1);
    for table in &nodes.schema.tables {
        insert(&mut origin, table).unwrap();
    }
    nodes.server.connect("postgres").unwrap().batch_execute("CREATE DATABASE copy").unwrap();
    let tree = nodes.server.tree();
    let dump =
        tree.command("pg_dump").arg(nodes.server.conninfo("n1")).stdin(Stdio::null()).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let file = tree.run().make_directory("dump").unwrap().join("n1.sql");
    std::fs::write(&file, &dump.stdout).unwrap();
    let restore = tree
        .command("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(&file)
        .arg(nodes.server.conninfo("copy"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(restore.status.success(), "{}", String::from_utf8_lossy(&restore.stderr));

    let mut copy = nodes.server.connect("copy").unwrap();
    let ticket = nodes.schema.tables.iter().find(|table| table.is_drawn_on).unwrap();
    assert_eq!(code(&insert(&mut copy, ticket).unwrap_err()), "55000");
    // The sequences are still of the class of the origin, but the copy does not know its class.
    let known = "SELECT count(*) FROM interleaved_sequences WHERE in_order IS NOT NULL";
    assert_eq!(copy.query_one(known, &[]).unwrap().get::<_, i64>(0), 0);
    let changed = "SELECT count(*) FILTER (WHERE detail LIKE 'was in the class of node 1%')
                   FROM setup_interleaved_sequences(2, 2, exclude => '{drawn_on}')";
    assert!(copy.query_one(changed, &[]).unwrap().get::<_, i64>(0) > 5);
    let mut given = HashSet::new();
    for table in nodes.schema.tables.iter().filter(|table| !table.cycles) {
        for (client, remainder) in [(&mut origin, 1), (&mut copy, 0)] {
            for _ in 0..10 {
                let value = insert(client, table).unwrap();
                assert_eq!(value.rem_euclid(2), remainder, "{} {value}", table.name);
                assert!(given.insert((&table.sequence, value)), "{} {value}", table.name);
            }
        }
    }
}
