//! Rows that change between the look-up of their references and the batch that writes them.

use std::thread::scope;

use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, number, start, wait_until};

const BACKFILL: &str = "CALL key_migration_advance('orders', through => 'backfilled')";

/// A prepared migration of orders, which a log refers to without a foreign key, three rows to each
/// order, in no order.
fn prepare() -> (Server, Client) {
    let server = start(&["autovacuum = off"]);
    let mut client = server.connect(DATABASE).unwrap();
    for statement in [
        "CREATE EXTENSION pg_keyspace",
        "CREATE TABLE orders (id bigint PRIMARY KEY, created_at timestamptz NOT NULL)",
        "CREATE TABLE log (no bigint, order_id bigint, what text)",
        "INSERT INTO orders SELECT i, '2024-01-01'::timestamptz + i * interval '1 second' FROM generate_series(1, 5000) AS i",
        "INSERT INTO log SELECT i, i * 3089 % 5000 + 1, repeat('x', 50) FROM generate_series(1, 15000) AS i",
        "VACUUM ANALYZE orders, log",
        "SELECT key_migration_create('orders')",
        "SELECT key_migration_add_reference('orders', 'log', '{order_id}')",
        "CALL key_migration_advance('orders', through => 'prepared')",
        "SELECT key_migration_set('orders', batch_pages => 4)",
    ] {
        client.batch_execute(statement).unwrap();
    }
    (server, client)
}

/// Runs the backfill. Once the first rows of the log have keys, all references are looked up; then
/// `meanwhile` runs, while the backfill rests. Afterwards the backfill ends.
fn meanwhile(server: &Server, client: &mut Client, meanwhile: impl FnOnce(&mut Client)) {
    client.batch_execute("SELECT key_migration_set('orders', pause => '400 ms', batch_pages => 40)").unwrap();
    scope(|scope| {
        let mut filling = server.connect(DATABASE).unwrap();
        let runner = scope.spawn(move || filling.batch_execute(BACKFILL));
        wait_until(
            client,
            "SELECT coalesce(sum(filled_rows) FILTER (WHERE table_name = 'log'::regclass), 0) > 0 FROM key_migration_progress",
        );
        meanwhile(client);
        client.batch_execute("SELECT key_migration_set('orders', pause => '0')").unwrap();
        runner.join().unwrap().unwrap();
    });
}

fn wrong(client: &mut Client) -> i64 {
    number(
        client,
        "SELECT count(*) FROM log AS l LEFT JOIN orders AS o ON o.id = l.order_id WHERE l.order_id_new IS DISTINCT FROM o.id_new",
    )
}

/// Another row is now where a row without a key was, and nobody has given it a key.
#[test]
fn a_key_that_was_looked_up_is_only_for_rows_with_the_same_old_id() {
    let (server, mut client) = prepare();
    meanwhile(&server, &mut client, |client| {
        for statement in [
            "CREATE TABLE place AS SELECT ctid AS place, no, order_id, what FROM log WHERE order_id_new IS NULL AND no % 2 = 0",
            "DELETE FROM log WHERE no IN (SELECT no FROM place)",
            "VACUUM log",
            // Without the triggers of the table.
            "BEGIN;
             CREATE TEMPORARY TABLE was AS SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'log'::regclass AND NOT tgisinternal;
             ALTER TABLE log DISABLE TRIGGER USER;
             INSERT INTO log SELECT no, (order_id + 1) % 5000 + 1, what FROM place;
             DO $$ DECLARE t record; BEGIN
                 FOR t IN SELECT * FROM was LOOP
                     EXECUTE format('ALTER TABLE log ENABLE %s TRIGGER %I', CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname);
                 END LOOP;
             END $$;
             COMMIT",
        ] {
            client.batch_execute(statement).unwrap();
        }
        let others = number(
            client,
            "SELECT count(*) FROM log AS l JOIN place AS p ON p.place = l.ctid WHERE l.order_id_new IS NULL AND l.order_id <> p.order_id",
        );
        assert!(others > 1_000, "only {others} rows are where others were");
    });
    assert_eq!(wrong(&mut client), 0);
    assert_eq!(number(&mut client, "SELECT count(*) FROM log WHERE order_id_new IS NOT NULL"), 15_000);
}

/// Sessions with our triggers change rows, lock them, and delete orders. The rows that refer to a
/// deleted order have its key, as if they had been filled before.
#[test]
fn rows_that_change_or_are_locked_after_the_look_up_have_their_keys() {
    let (server, mut client) = prepare();
    let mut locker = server.connect(DATABASE).unwrap();
    meanwhile(&server, &mut client, |client| {
        let some = "order_id_new IS NULL AND order_id > 100 AND no % 3";
        for statement in [
            format!("UPDATE log SET order_id = order_id % 100 + 1 WHERE {some} = 0"),
            format!("UPDATE log SET order_id = NULL WHERE {some} = 1"),
            "CREATE TABLE gone AS SELECT o.* FROM orders AS o WHERE id > 4900".to_owned(),
            "CREATE TABLE left_behind AS SELECT no FROM log WHERE order_id > 4900 AND order_id_new IS NULL"
                .to_owned(),
            "DELETE FROM orders WHERE id > 4900".to_owned(),
        ] {
            client.batch_execute(&statement).unwrap();
        }
        assert!(number(client, "SELECT count(*) FROM left_behind") > 50, "they have keys already");
        let mut transaction = locker.transaction().unwrap();
        let rows = transaction
            .query(
                "SELECT no FROM log WHERE order_id_new IS NULL AND order_id <= 4900 LIMIT 3 FOR UPDATE",
                &[],
            )
            .unwrap();
        assert_eq!(rows.len(), 3);
        client.batch_execute("SELECT key_migration_set('orders', pause => '0')").unwrap();
        wait_until(client, "SELECT count(*) = 3 FROM log WHERE order_id_new IS NULL AND order_id <= 4900");
        transaction.rollback().unwrap();
    });
    let other_keys = "SELECT count(*) FROM log AS l JOIN orders AS o ON o.id = l.order_id WHERE l.order_id_new IS DISTINCT FROM o.id_new";
    assert_eq!(number(&mut client, other_keys), 0);
    let nothing = "SELECT count(*) FROM log WHERE order_id IS NULL AND order_id_new IS NOT NULL";
    assert_eq!(number(&mut client, nothing), 0);
    let left_behind = "SELECT count(*) FROM left_behind JOIN log USING (no) JOIN gone ON gone.id = order_id \
                       WHERE order_id_new IS DISTINCT FROM gone.id_new";
    assert_eq!(number(&mut client, left_behind), 0);
    let refused = "SELECT count(*) FROM key_migration_verify('orders') WHERE NOT ok";
    assert_eq!(number(&mut client, refused), 0);
}
