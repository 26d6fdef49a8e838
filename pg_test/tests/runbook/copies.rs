//! Copies of a node: a base backup promoted next to its origin, pg_upgrade, a template.

use std::collections::HashSet;

use pg_test::Server;

use crate::nodes::{DATABASE, assert_of, check, code, insert, set_up, start, state};

#[test]
fn trap_s13_a_base_backup_next_to_its_origin_is_found_and_becomes_another_node() {
    let origin = start("origin", &["wal_level = logical"]);
    set_up(&origin, (1, 2), &[], 0).unwrap();
    let mut seen = HashSet::new();
    let mut client = origin.connect(DATABASE).unwrap();
    assert_of(&insert(&mut client, 10), (1, 2), &mut seen);
    let copy = Server::start_standby(&origin, "copy").unwrap();
    copy.promote().unwrap();
    // One server alone cannot detect it; two can.
    assert_eq!(check(&copy, &[]), Vec::<String>::new());
    let found = check(&copy, &[state(&origin)]);
    assert!(found.contains(&"same server twice".to_owned()), "{found:?}");
    assert!(found.contains(&"classes overlap".to_owned()), "{found:?}");
    assert_eq!(code(&set_up(&copy, (2, 2), &[], 0).unwrap_err()), "55000");

    // trap_s46: the copy's row about its node does not replace that of the origin, although both
    // have the same key.
    let mut copied = copy.connect(DATABASE).unwrap();
    copied.batch_execute("CREATE PUBLICATION everything FOR ALL TABLES").unwrap();
    let slot = "SELECT pg_create_logical_replication_slot('everything', 'pgoutput')";
    copied.batch_execute(slot).unwrap();
    let subscription = format!(
        "CREATE SUBSCRIPTION everything CONNECTION '{}' PUBLICATION everything
         WITH (copy_data = false, create_slot = false, slot_name = 'everything')",
        copy.conninfo(DATABASE)
    );
    client.batch_execute(&subscription).unwrap();
    assert_of(&insert(&mut client, 5), (1, 2), &mut seen);
    set_up(&copy, (2, 2), &[state(&origin)], 100).unwrap();
    let given = insert(&mut copied, 10);
    assert_of(&given, (2, 2), &mut seen);
    let arrived = format!("SELECT count(*) FROM item WHERE id = {}", given[given.len() - 3].1);
    while client.query_one(&arrived, &[]).unwrap().get::<_, i64>(0) == 0 {
        std::thread::yield_now();
    }
    let node: i32 = client.query_one("SELECT node FROM interleaved_node", &[]).unwrap().get(0);
    assert_eq!(node, 1);
    assert_of(&insert(&mut client, 10), (1, 2), &mut seen);
    assert_of(&insert(&mut origin.connect(DATABASE).unwrap(), 10), (1, 2), &mut seen);
    // They share a past, so the ids that the copy may have generated as node 1 have to be examined.
    assert_eq!(check(&copy, &[state(&origin)]), ["restart too low", "same server twice"]);
    client
        .batch_execute("ALTER SUBSCRIPTION everything DISABLE; ALTER SUBSCRIPTION everything SET (slot_name = NONE); DROP SUBSCRIPTION everything")
        .unwrap();
}

#[test]
fn trap_s13_an_upgraded_server_is_confirmed_and_continues() {
    let mut old = start("old", &[]);
    set_up(&old, (2, 3), &[], 0).unwrap();
    let mut seen = HashSet::new();
    assert_of(&insert(&mut old.connect(DATABASE).unwrap(), 5), (2, 3), &mut seen);
    let new = Server::upgrade(&mut old, "new").unwrap();
    let mut client = new.connect(DATABASE).unwrap();
    let refused = client.batch_execute("INSERT INTO ticket DEFAULT VALUES").unwrap_err();
    assert_eq!(code(&refused), "55000");
    assert!(refused.as_db_error().unwrap().hint().unwrap().contains("confirm_interleaved_node"));
    assert_eq!(code(&set_up(&new, (2, 3), &[], 0).unwrap_err()), "55000");
    assert_eq!(check(&new, &[]), ["not confirmed"]);
    client.batch_execute("SELECT confirm_interleaved_node()").unwrap();
    assert_eq!(check(&new, &[]), Vec::<String>::new());
    let done = set_up(&new, (2, 3), &[], 0).unwrap();
    assert!(done.values().all(|done| done.starts_with("unchanged")), "{done:?}");
    assert_of(&insert(&mut client, 5), (2, 3), &mut seen);
    // The previous definitions of the sequences are known, too.
    let back: i64 = client
        .query_one("SELECT new_increment FROM reset_interleaved_sequences() WHERE sequence = 'item_id_seq'::regclass", &[])
        .unwrap()
        .get(0);
    assert_eq!(back, 1);
}

#[test]
fn fault_b28_a_copy_keeps_its_blocks_if_its_origin_has_moved_on() {
    let server = start("server", &[]);
    let mut origin = server.connect(DATABASE).unwrap();
    origin.batch_execute("CREATE SEQUENCE pooled INCREMENT 85").unwrap();
    let steps = |client: &mut postgres::Client, arguments: &str, peers: &[String]| {
        let query = format!(
            "SELECT action, old_increment, new_increment FROM setup_interleaved_sequences({arguments},
                blocks => true, peers => $1::text[]::jsonb[]) WHERE sequence = 'pooled'::regclass"
        );
        let row = client.query_one(&query, &[&peers])?;
        Ok::<_, postgres::Error>((row.get::<_, String>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)))
    };
    assert_eq!(steps(&mut origin, "1, 2", &[]).unwrap().2, 170);
    drop(origin);
    server.connect("template1").unwrap().batch_execute("CREATE DATABASE copy TEMPLATE postgres").unwrap();
    // A dump has the sequence and no record of it.
    let mut restored = server.connect("template1").unwrap();
    restored.batch_execute("CREATE DATABASE restored").unwrap();
    let mut restored = server.connect("restored").unwrap();
    restored.batch_execute("CREATE EXTENSION pg_keyspace; CREATE SEQUENCE pooled INCREMENT 170").unwrap();
    let mut origin = server.connect(DATABASE).unwrap();
    origin.batch_execute("SELECT split_interleaved_sequences(2)").unwrap();
    let mut copy = server.connect("copy").unwrap();
    let expected = |action: &str| (action.to_owned(), 170, 340);
    // The copy has the record of its origin, and the state of the origin tells its past.
    assert_eq!(steps(&mut copy, "2, 4, dry_run => true", &[]).unwrap(), expected("planned"));
    assert_eq!(steps(&mut copy, "3, 4", &[state(&server)]).unwrap(), expected("altered"));
    assert_eq!(steps(&mut copy, "3, 4", &[state(&server)]).unwrap().0, "unchanged");
    assert_eq!(steps(&mut restored, "2, 4", &[state(&server)]).unwrap(), expected("altered"));
}

#[test]
fn fault_b31_a_node_that_replaces_its_origin_can_be_split_for_a_copy_of_it() {
    let server = start("server", &[]);
    set_up(&server, (1, 2), &[], 0).unwrap();
    let copy = |from: &str, to: &str| {
        let create = format!("CREATE DATABASE {to} TEMPLATE {from}");
        server.connect("template1").unwrap().batch_execute(&create).unwrap();
        server.connect(to).unwrap()
    };
    let mut restored = copy(DATABASE, "restored");
    restored.batch_execute("SELECT confirm_interleaved_node()").unwrap();
    let known = "SELECT count(*) FROM keyspace_internal.interleaved_node";
    assert_eq!(restored.query_one(known, &[]).unwrap().get::<_, i64>(0), 1, "the origin is no other node");
    let done = "SELECT count(*) FROM setup_interleaved_sequences(1, 2) WHERE action = 'unchanged'";
    assert!(restored.query_one(done, &[]).unwrap().get::<_, i64>(0) > 0, "its records are kept");
    restored.batch_execute("SELECT split_interleaved_sequences(2)").unwrap();
    let state: String = restored.query_one("SELECT interleaved_node_state()::text", &[]).unwrap().get(0);
    drop(restored);
    let mut newcomer = copy("restored", "newcomer");
    let set_up_newcomer = "SELECT * FROM setup_interleaved_sequences(3, 4, peers => ARRAY[$1::text::jsonb])";
    newcomer.query(set_up_newcomer, &[&state]).unwrap();
    assert_of(&insert(&mut newcomer, 5), (3, 4), &mut HashSet::new());
}

#[test]
fn trap_s13_a_template_becomes_another_node() {
    let server = start("server", &[]);
    set_up(&server, (1, 2), &[], 0).unwrap();
    let mut seen = HashSet::new();
    assert_of(&insert(&mut server.connect(DATABASE).unwrap(), 5), (1, 2), &mut seen);
    server.connect("template1").unwrap().batch_execute("CREATE DATABASE copy TEMPLATE postgres").unwrap();
    let mut copy = server.connect("copy").unwrap();
    let set_up_copy = "SELECT * FROM setup_interleaved_sequences($1, $2, peers => ARRAY[$3::text::jsonb])";
    let refused = copy.query(set_up_copy, &[&1_i32, &4_i32, &state(&server)]).unwrap_err();
    assert_eq!(code(&refused), "55000", "1 of 4 is a part of 1 of 2");
    copy.query(set_up_copy, &[&2_i32, &2_i32, &state(&server)]).unwrap();
    assert_of(&insert(&mut copy, 5), (2, 2), &mut seen);
    assert_of(&insert(&mut server.connect(DATABASE).unwrap(), 5), (1, 2), &mut seen);
}
