//! A backfill with a pause flushes its WAL, so that other sessions do not have to when they commit.

use std::thread::{scope, sleep};
use std::time::Duration;

use pg_test::Server;
use postgres::Client;

use crate::{DATABASE, make_shop, number, start, wait_until, wrong};

const BACKFILL: &str = "CALL key_migration_advance('orders', through => 'backfilled')";
const UNFLUSHED: &str = "SELECT (pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn())::bigint";
const KIBIBYTE: i64 = 1_024;

/// A server on which nothing else flushes WAL for some time, and a prepared migration.
fn prepare(batch_pages: u32, pause: &str) -> (Server, Client) {
    let server = start(&["wal_writer_delay = 10s", "wal_writer_flush_after = 1GB", "autovacuum = off"]);
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 5_000);
    for statement in [
        "SELECT key_migration_create('orders')",
        "CALL key_migration_advance('orders', through => 'prepared')",
        &format!("SELECT key_migration_set('orders', batch_pages => {batch_pages}, pause => '{pause}')"),
    ] {
        client.batch_execute(statement).unwrap();
    }
    (server, client)
}

#[test]
fn while_a_backfill_rests_its_log_is_flushed() {
    let (server, mut client) = prepare(4, "50 ms");
    let samples = 50;
    let flushed = scope(|scope| {
        let mut filling = server.connect(DATABASE).unwrap();
        scope.spawn(move || filling.batch_execute(BACKFILL).unwrap());
        wait_until(&mut client, "SELECT coalesce(sum(filled_rows), 0) > 0 FROM key_migration_progress");
        let flushed = (0..samples).filter(|_| {
            sleep(Duration::from_millis(10));
            number(&mut client, UNFLUSHED) == 0
        });
        let flushed = flushed.count();
        let left = number(&mut client, "SELECT count(*) FROM audit WHERE order_id_new IS NULL");
        assert!(left > 0, "it has ended meanwhile");
        client.batch_execute("SELECT key_migration_set('orders', pause => '0')").unwrap();
        flushed
    });
    assert!(flushed > samples / 2, "at {flushed} of {samples} times");
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}

#[test]
fn a_large_batch_that_is_to_rest_flushes_its_log_as_it_goes() {
    // All rows of orders are in one batch.
    let (server, mut client) = prepare(1_000, "1 ms");
    let point = "backfilled: written";
    let position = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
    let before = number(&mut client, position);
    scope(|scope| {
        let mut filling = server.connect(DATABASE).unwrap();
        filling.batch_execute(&format!("SET pg_keyspace.stop_at = '{point}'")).unwrap();
        let runner = scope.spawn(move || filling.batch_execute(BACKFILL));
        let is_there =
            format!("SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '{point}'");
        wait_until(&mut client, &is_there);
        let (logged, unflushed) = (number(&mut client, position) - before, number(&mut client, UNFLUSHED));
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{point}'"
        );
        client.batch_execute(&end).unwrap();
        assert!(runner.join().unwrap().is_err(), "it was not ended");
        assert!(logged > 512 * KIBIBYTE, "only {logged} bytes");
        // More than the limit by the rows of a page.
        assert!(unflushed < 300 * KIBIBYTE, "{unflushed} of {logged} bytes");
    });
    client.batch_execute(BACKFILL).unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}
