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
