//! What a consumer of wal2json sees of a migration: every row once in the backfill, names that change
//! without a message, and another identity after finalize.

use std::process::Command;
use std::time::{Duration, Instant};

use pg_test::{InstallTree, Server, first_value, number, skip, tested};
use postgres::Client;

use crate::copy::Copy;
use crate::{make_shop, run_statements};

const DATABASE: &str = "postgres";
const MISSING: &str = "no wal2json (Debian's package postgresql-NN-wal2json)";
const NAME: &str = "fault_d06_a_consumer_of_wal2json_keeps_its_copy";

/// A server with a slot; `None` if the plugin is not installed.
fn start() -> Option<(Server, Client)> {
    let tree = InstallTree::from_environment().unwrap();
    let server = Server::start(&tree, "streamed", &["wal_level = logical"]).unwrap();
    let mut client = server.connect(DATABASE).unwrap();
    allow(&mut client);
    make_shop(&mut client, 1_000);
    let create = "SELECT pg_create_logical_replication_slot('consumer', 'wal2json')";
    match client.query(create, &[]) {
        Ok(_) => Some((server, client)),
        // 58P01: no such file.
        Err(error) if error.code().is_some_and(|code| code.code() == "58P01") => None,
        Err(error) => panic!("{error:?}"),
    }
}

/// Lets the plugin be used, where the server has a list of those that may be.
fn allow(client: &mut Client) {
    let known = "SELECT count(*) FROM pg_settings WHERE name = 'output_plugin_libraries'";
    if number(client, known).unwrap() == 0 {
        return;
    }
    client.batch_execute("ALTER SYSTEM SET output_plugin_libraries = 'wal2json'").unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while first_value(client, "SHOW output_plugin_libraries").unwrap().as_deref() != Some("wal2json") {
        assert!(Instant::now() < deadline, "the settings are not loaded");
    }
}

/// The messages since the last call. A consumer leaves our own schema out.
fn messages(client: &mut Client, options: &str) -> Vec<String> {
    // Commits do not wait for the disk, and what is not on it is not decoded.
    client.batch_execute("CHECKPOINT").unwrap();
    let get = format!(
        "SELECT data FROM pg_logical_slot_get_changes('consumer', NULL, NULL, 'format-version', '2'{options})"
    );
    client.query(&get, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// Reads on, and compares the copy with the tables.
fn follow(copy: &mut Copy, client: &mut Client, when: &str) {
    for message in messages(client, ", 'include-pk', 'true', 'filter-tables', 'keyspace_internal.*'") {
        copy.apply(&message);
    }
    copy.compare(client, when);
}

/// The writes of an application that names columns which never change.
fn write(client: &mut Client, mark: &str) {
    client
        .batch_execute(&format!(
            "INSERT INTO orders (made_by) VALUES ('{mark}');
             INSERT INTO item (order_id, made_by) SELECT id, '{mark}' FROM orders WHERE made_by = '{mark}';
             UPDATE orders SET total = total + 1 WHERE made_by IN ('before-1', 'before-2', '{mark}');
             DELETE FROM item WHERE no = (SELECT min(no) FROM item)"
        ))
        .unwrap();
}

fn through(target: &str) -> bool {
    let Some((_server, mut client)) = start() else { return false };
    let mut copy = Copy::default();
    copy.begin(&mut client, &[("orders", "id"), ("item", "no")]);
    write(&mut client, "at the start");
    follow(&mut copy, &mut client, "at the start");

    client.batch_execute(&format!("SELECT key_migration_create('orders', target => '{target}')")).unwrap();
    client.batch_execute("SELECT key_migration_set('orders', batch_pages => 1)").unwrap();
    run_statements(&mut client, "prepared");
    write(&mut client, "prepared");
    follow(&mut copy, &mut client, "prepared");
    assert_eq!(copy.renamed, 0);

    // Each row that lacks a key once, and nothing that the consumer knew has changed.
    let left = "SELECT (SELECT count(*) FROM orders WHERE id_new IS NULL) + (SELECT count(*) FROM item WHERE order_id_new IS NULL)";
    let left = u32::try_from(number(&mut client, left).unwrap()).unwrap();
    let (updates, without_effect, transactions) = (copy.updates, copy.without_effect, copy.transactions);
    client.batch_execute("CALL key_migration_advance('orders', through => 'backfilled')").unwrap();
    follow(&mut copy, &mut client, "backfilled");
    assert_eq!(copy.updates - updates, left);
    assert_eq!(copy.without_effect - without_effect, left);
    assert!(copy.transactions - transactions > 10, "{} transactions", copy.transactions - transactions);

    // Changes from before the cut-over are read after it, with the names that they had.
    run_statements(&mut client, "verified");
    write(&mut client, "verified");
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    write(&mut client, "cut over");
    follow(&mut copy, &mut client, "cut over");
    assert_eq!(copy.renamed, 2, "both tables");
    client.batch_execute("CALL key_migration_rollback('orders')").unwrap();
    write(&mut client, "rolled back");
    follow(&mut copy, &mut client, "rolled back");
    assert_eq!(copy.renamed, 4);
    run_statements(&mut client, "verified");
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    write(&mut client, "cut over again");
    follow(&mut copy, &mut client, "cut over again");

    client.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')").unwrap();
    write(&mut client, "finalized");
    follow(&mut copy, &mut client, "finalized");
    true
}

#[test]
fn fault_d06_a_consumer_of_wal2json_keeps_its_copy() {
    if !["uuid", "ulid"].into_iter().all(through) {
        return skip(NAME, MISSING);
    }
    tested(&format!("wal2json {}", package_version()));
}

/// Its library does not tell its version, but its package does.
fn package_version() -> String {
    let major = InstallTree::from_environment().unwrap().major();
    let package = format!("postgresql-{major}-wal2json");
    let shown = Command::new("dpkg-query").args(["--show", "--showformat", "${Version}", &package]).output();
    shown.map_or("of an unknown version".to_owned(), |shown| {
        String::from_utf8_lossy(&shown.stdout).into_owned()
    })
}

/// The last update of an order, after one more.
fn last_update(client: &mut Client) -> String {
    client.batch_execute("UPDATE orders SET total = total + 1 WHERE made_by = 'before-7'").unwrap();
    messages(client, "").into_iter().rfind(|message| message.contains("\"action\":\"U\"")).unwrap()
}

/// Types, and the column by which rows are found; no message says that they have changed.
#[test]
fn fault_d06_wal2json_names_types_and_the_identity() {
    let old = "\"identity\":[{\"name\":\"id_old\",\"type\":\"bigint\",\"value\":7}]";
    let key = "\"identity\":[{\"name\":\"id\",\"type\":\"ulid\",\"value\":\"01";
    for (moves, cut_over) in [(false, old), (true, key)] {
        let Some((_server, mut client)) = start() else {
            return skip("fault_d06_wal2json_names_types_and_the_identity", MISSING);
        };
        let create =
            format!("SELECT key_migration_create('orders', target => 'ulid', move_primary_key => {moves})");
        client.batch_execute(&create).unwrap();
        run_statements(&mut client, "verified");
        let seen = messages(&mut client, "");
        let position = "\"action\":\"U\",\"schema\":\"keyspace_internal\",\"table\":\"key_migration_table\"";
        let positions = seen.iter().filter(|message| message.contains(position)).count();
        assert!(positions > 2, "the stream contains the positions of the backfill unless they are left out");
        let has = |message: &str, part: &str| assert!(message.contains(part), "no {part} in {message}");
        let before = last_update(&mut client);
        has(&before, "{\"name\":\"id\",\"type\":\"bigint\",\"value\":7}");
        has(&before, "{\"name\":\"id_new\",\"type\":\"ulid\",\"value\":\"01");
        has(&before, "\"identity\":[{\"name\":\"id\",\"type\":\"bigint\",\"value\":7}]");
        client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
        let after = last_update(&mut client);
        has(&after, "{\"name\":\"id\",\"type\":\"ulid\",\"value\":\"01");
        has(&after, "{\"name\":\"id_old\",\"type\":\"bigint\",\"value\":7}");
        has(&after, cut_over);
        client.batch_execute("CALL key_migration_finalize('orders', confirm => 'orders')").unwrap();
        let end = last_update(&mut client);
        has(&end, key);
        assert!(!end.contains("id_old"), "{end}");
    }
}
