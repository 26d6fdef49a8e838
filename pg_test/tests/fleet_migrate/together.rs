//! A key that is migrated on two nodes together, next to writers on both.

use serde_json::Value;

use crate::pair::Pair;
use crate::program::run;

/// The phase of each node.
pub fn phases(result: &Value) -> Vec<&str> {
    let nodes = result["nodes"].as_array().unwrap();
    nodes.iter().map(|node| node["phase"].as_str().unwrap_or_default()).collect()
}

/// Every node says how long its writers have waited.
fn assert_waited(result: &Value) {
    for node in result["nodes"].as_array().unwrap() {
        let waited = node["writers_waited_ms"].as_f64().unwrap();
        assert!((0.0..60_000.0).contains(&waited), "{result:#}");
    }
}

#[test]
fn fault_d05_a_key_is_migrated_on_all_nodes_next_to_writers() {
    let pair = Pair::start();
    let program = pair.program();
    let plan = program.json(0, &["migrate", "plan", "orders"]);
    assert_eq!(plan["nodes"].as_array().unwrap().len(), 2, "{plan:#}");
    let shown = program.json(0, &["migrate", "run", "orders", "--dry-run"]);
    let create = shown["nodes"][1]["statements"][0].as_str().unwrap();
    assert!(create.contains("nodes => ARRAY['1', '2']"), "{create}");
    let state = "SELECT count(*) FROM key_migration_progress WHERE state IS NOT NULL";
    assert_eq!(pair.each::<i64>(state), [0, 0]);

    pair.next_to_writers(|| {
        let ran = program.json(0, &["migrate", "run", "orders"]);
        assert_eq!(phases(&ran), ["verified", "verified"]);
        assert!(ran["nodes"].as_array().unwrap().iter().all(|node| node["compared"] == true), "{ran:#}");
        // Again: nothing is left.
        let again = program.json(0, &["migrate", "run", "orders"]);
        assert_eq!(again["nodes"][0]["statements"].as_array().unwrap().len(), 0, "{again:#}");

        let shown = program.json(0, &["migrate", "cut-over", "orders", "--dry-run"]);
        let statements = shown["nodes"][0]["statements"].as_array().unwrap();
        assert!(statements[0].as_str().unwrap().contains("key_migration_close"), "{shown:#}");
        assert_eq!(pair.key_types(), ["bigint", "bigint"]);

        let cut = program.json(0, &["migrate", "cut-over", "orders"]);
        assert_eq!(phases(&cut), ["cut over", "cut over"]);
        assert_waited(&cut);
        assert_eq!(pair.key_types(), ["uuid", "uuid"]);
        // Once more, it has nothing to do.
        program.expect(0, &["migrate", "cut-over", "orders"]);
        program.expect(0, &["migrate", "run", "orders"]);

        let back = program.json(0, &["migrate", "rollback", "orders"]);
        assert_waited(&back);
        assert_eq!(pair.key_types(), ["bigint", "bigint"]);
        // To remove all of it now would lose keys that clients may know. Writers do not wait for that.
        let refused = program.expect(2, &["migrate", "rollback", "orders"]);
        assert!(refused.stderr.contains("has already been rolled back"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("key_migration_close"), "{}", refused.stderr);

        program.expect(0, &["migrate", "run", "orders"]);
        program.expect(0, &["migrate", "cut-over", "orders"]);
        let unconfirmed = program.expect(2, &["migrate", "finalize", "orders"]);
        unconfirmed.assert_error("the name of the table is not confirmed");
        let wrong = program.expect(2, &["migrate", "finalize", "orders", "--confirm", "order"]);
        assert!(wrong.stderr.contains("confirm must be \"orders\""), "{}", wrong.stderr);
        let ended = program.json(0, &["migrate", "finalize", "orders", "--confirm", "orders"]);
        assert_eq!(phases(&ended), ["finalized", "finalized"]);
        assert_waited(&ended);
    });
    let old = "SELECT count(*) FROM pg_attribute WHERE attrelid IN ('orders'::regclass, 'audit'::regclass)
               AND attname LIKE '%\\_old' AND NOT attisdropped";
    assert_eq!(pair.each::<i64>(old), [0, 0]);
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%key\\_migration%'";
    assert_eq!(pair.each::<i64>(triggers), [0, 0]);
}

/// Before the cut-over a rollback removes everything, and the key can be migrated again.
#[test]
fn fault_d05_a_migration_is_removed_on_all_nodes() {
    let pair = Pair::start();
    let program = pair.program();
    pair.next_to_writers(|| {
        program.expect(0, &["migrate", "run", "orders", "--target", "ulid"]);
        let removed = program.json(0, &["migrate", "rollback", "orders"]);
        assert_eq!(phases(&removed), ["", ""], "{removed:#}");
        let new =
            "SELECT count(*) FROM pg_attribute WHERE attrelid IN ('orders'::regclass, 'audit'::regclass)
                   AND attname LIKE '%\\_new' AND NOT attisdropped";
        assert_eq!(pair.each::<i64>(new), [0, 0]);
        program.expect(2, &["migrate", "rollback", "orders"]).assert_error("is not being migrated");
        assert_eq!(phases(&program.json(0, &["migrate", "run", "orders"])), ["verified", "verified"]);
    });
}

/// A key that differs takes that of the first node.
#[test]
fn trap_m22_keys_that_differ_are_corrected() {
    let pair = Pair::start();
    let program = pair.program();
    // As if changes had crossed while the nodes were prepared: the backfill keeps a key that is there.
    let begun = program.begin(&["migrate", "run", "orders", "--set", "pause=1 s", "--set", "batch_pages=1"]);
    crate::program::wait_until("the columns on both nodes", || {
        let prepared = "SELECT (key_migration_node_state('orders') #>> '{progress,form}') = 'old_ids'";
        let exists = "SELECT count(*) = 2 FROM pg_attribute WHERE attname IN ('id_new', 'order_id_new') AND attnum > 0";
        pair.each::<bool>(exists) == [true; 2] && pair.each::<bool>(prepared) == [true; 2]
    });
    crate::interrupted::signal(&begun, nix::sys::signal::Signal::SIGKILL);
    begun.wait_with_output().unwrap();
    // A server notices within two seconds that the program is gone.
    crate::program::wait_until("the end of its sessions", || {
        let ended =
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'pg_keyspace%')";
        pair.each::<bool>(ended) == [true; 2]
    });
    let other = pair.servers[1].connect(crate::program::DATABASE);
    other
        .unwrap()
        .batch_execute(
            "BEGIN;
             ALTER TABLE orders DISABLE TRIGGER USER;
             ALTER TABLE audit DISABLE TRIGGER USER;
             SELECT pg_replication_origin_create('by hand');
             SELECT pg_replication_origin_session_setup('by hand');
             UPDATE orders SET id_new = uuidv7_from_timestamp('2001-01-01', id) WHERE id BETWEEN 5 AND 500;
             UPDATE audit SET order_id_new = uuidv7_from_timestamp('2001-01-01', order_id) WHERE order_id BETWEEN 5 AND 500;
             ALTER TABLE audit ENABLE TRIGGER USER;
             ALTER TABLE orders ENABLE TRIGGER USER;
             COMMIT;
             SELECT pg_replication_origin_session_reset()",
        )
        .unwrap();
    // ENABLE TRIGGER sets all to the usual state; the next call corrects that.
    run(&pair.servers[1], "CALL key_migration_advance('orders', through => 'prepared')");
    let ended = program.expect(0, &["migrate", "run", "orders", "--set", "pause=0"]);
    assert!(ended.stderr.contains("took the keys of node \"berlin\""), "{}", ended.stderr);
    let keys = "SELECT array_agg(id_new::text ORDER BY id) FROM orders";
    let [here, there]: [Vec<String>; 2] = pair.each(keys);
    assert!(here == there && here.len() == 3_000);
    pair.assert_same(&[]);
    program.expect(0, &["migrate", "cut-over", "orders"]);
}
