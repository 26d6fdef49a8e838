//! Tables that are rewritten while others write to them: by `REPACK (CONCURRENTLY)` of PostgreSQL 19,
//! and by pg_repack, which captures changes by a trigger.

use std::process::{Child, Stdio};
use std::thread::scope;

use pg_test::{Server, skip};
use postgres::Client;

use crate::{DATABASE, make_shop, number, phase, run_statements, start, wait_until, wrong};

const BACKFILL: &str = "CALL key_migration_advance('orders', through => 'backfilled')";

#[test]
fn a_backfill_next_to_repack_concurrently_loses_no_row() {
    let server = start(&["wal_level = logical", "max_replication_slots = 10", "autovacuum = off"]);
    if server.tree().major() < 19 {
        return skip(
            "a_backfill_next_to_repack_concurrently_loses_no_row",
            "no REPACK (CONCURRENTLY) before PostgreSQL 19",
        );
    }
    let mut client = server.connect(DATABASE).unwrap();
    make_shop(&mut client, 20_000);
    for statement in [
        "SELECT key_migration_create('orders')",
        "CALL key_migration_advance('orders', through => 'prepared')",
        "SELECT key_migration_set('orders', batch_pages => 2, pause => '5 ms')",
    ] {
        client.batch_execute(statement).unwrap();
    }
    let file = "SELECT sum(pg_relation_filenode(oid)::bigint)::bigint FROM pg_class WHERE relname IN ('orders', 'audit')";
    let before = number(&mut client, file);
    let sum = "SELECT ((SELECT count(*) + sum(total) FROM orders) + (SELECT count(*) + sum(order_id) FROM audit))::bigint";
    let sum_before = number(&mut client, sum);
    scope(|scope| {
        let mut filling = server.connect(DATABASE).unwrap();
        let runner = scope.spawn(move || filling.batch_execute(BACKFILL));
        let some = "SELECT coalesce(sum(filled_rows), 0) > 0 FROM key_migration_progress";
        wait_until(&mut client, some);
        for table in ["orders", "audit"] {
            client.batch_execute(&format!("REPACK (CONCURRENTLY) {table}")).unwrap();
        }
        let left = number(&mut client, "SELECT count(*) FROM audit WHERE order_id_new IS NULL");
        assert!(left > 0, "the backfill has ended meanwhile");
        client.batch_execute("SELECT key_migration_set('orders', pause => '0', batch_pages => 64)").unwrap();
        runner.join().unwrap().unwrap();
    });
    assert_ne!(number(&mut client, file), before, "nothing was rewritten");
    assert_eq!(number(&mut client, sum), sum_before);
    assert_eq!(phase(&mut client), "backfilled");
    run_statements(&mut client, "verified").unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
    // Again with indexes on both keys, and after the cut-over.
    client.batch_execute("REPACK (CONCURRENTLY) orders").unwrap();
    let refused = client.batch_execute("CALL key_migration_cutover('orders')").unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55000");
    run_statements(&mut client, "verified").unwrap();
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    client.batch_execute("REPACK (CONCURRENTLY) audit").unwrap();
    assert_eq!(phase(&mut client), "cut over");
    assert_eq!(number(&mut client, "SELECT count(*) FROM orders"), 20_000);
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}

/// A shop without NOT NULL, so that a key that is lost is not noticed by a constraint.
fn make_rows(client: &mut Client) {
    client
        .batch_execute(
            "CREATE EXTENSION pg_keyspace; CREATE EXTENSION pg_repack;
             CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
             CREATE TABLE audit (no bigserial PRIMARY KEY, order_id bigint REFERENCES orders);
             INSERT INTO orders SELECT FROM generate_series(1, 5000);
             INSERT INTO audit (order_id) SELECT generate_series(1, 5000);
             SELECT key_migration_create('orders')",
        )
        .unwrap();
    client.batch_execute("CALL key_migration_advance('orders', through => 'prepared')").unwrap();
}

/// A pg_repack of a table, which waits before the end as long as another transaction is open.
fn repack(server: &Server, table: &str) -> Child {
    let mut command = server.tree().command("pg_repack");
    command.args([
        "-h",
        &server.socket_dir().display().to_string(),
        "-d",
        DATABASE,
        "-t",
        table,
        "--no-order",
    ]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

const HAS_REPACK_TRIGGER: &str =
    "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'repack_trigger' AND tgrelid = 'audit'::regclass)";

fn has_repack(server: &Server, test: &str) -> bool {
    let has = server.tree().has_extension("pg_repack") && server.tree().bindir().join("pg_repack").exists();
    if !has {
        skip(test, "pg_repack is not installed (Debian: postgresql-NN-repack)");
    }
    has
}

#[test]
fn fault_c19_a_backfill_does_not_go_on_next_to_pg_repack() {
    let server = start(&["autovacuum = off"]);
    if !has_repack(&server, "fault_c19_a_backfill_does_not_go_on_next_to_pg_repack") {
        return;
    }
    let mut client = server.connect(DATABASE).unwrap();
    make_rows(&mut client);
    let mut other = server.connect(DATABASE).unwrap();
    // It has to be older than the copy.
    other.batch_execute("BEGIN; CREATE TEMPORARY TABLE open ()").unwrap();
    let mut repack = repack(&server, "audit");
    wait_until(&mut client, HAS_REPACK_TRIGGER);
    let refused = client.batch_execute(BACKFILL).unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "55000");
    assert!(
        format!("{}{}", refused.message(), refused.detail().unwrap_or_default())
            .contains("\"repack_trigger\""),
        "{refused:?}"
    );
    // It fires them on request, and the copy has the keys.
    client.batch_execute("SELECT key_migration_set('orders', fire_triggers => true)").unwrap();
    client.batch_execute(BACKFILL).unwrap();
    other.batch_execute("COMMIT").unwrap();
    assert!(repack.wait().unwrap().success());
    assert_eq!(number(&mut client, "SELECT count(*) FROM audit WHERE order_id_new IS NULL"), 0);
    run_statements(&mut client, "verified").unwrap();
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}

/// A copy that was made without the keys, put in the place of the table at the last moment.
#[test]
fn fault_c19_a_table_that_pg_repack_swaps_is_filled_again() {
    let server = start(&["autovacuum = off"]);
    if !has_repack(&server, "fault_c19_a_table_that_pg_repack_swaps_is_filled_again") {
        return;
    }
    let mut client = server.connect(DATABASE).unwrap();
    make_rows(&mut client);
    run_statements(&mut client, "verified").unwrap();
    let mut other = server.connect(DATABASE).unwrap();
    other.batch_execute("BEGIN; CREATE TEMPORARY TABLE open ()").unwrap();
    let mut repack = repack(&server, "audit");
    wait_until(&mut client, HAS_REPACK_TRIGGER);
    let copy = "SELECT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('repack.table_' || 'audit'::regclass::oid))";
    wait_until(&mut client, copy);
    // As if the backfill had not fired the trigger: the copy has no keys.
    let lose = "DO $$ BEGIN EXECUTE format('UPDATE repack.table_%s SET order_id_new = NULL', 'audit'::regclass::oid); END $$";
    client.batch_execute(lose).unwrap();
    other.batch_execute("COMMIT").unwrap();
    assert!(repack.wait().unwrap().success());
    assert_eq!(number(&mut client, "SELECT count(*) FROM audit WHERE order_id_new IS NULL"), 5_000);
    let refused = client.batch_execute("CALL key_migration_cutover('orders')").unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "55000");
    run_statements(&mut client, "verified").unwrap();
    assert_eq!(phase(&mut client), "verified");
    assert_eq!(number(&mut client, "SELECT count(*) FROM audit WHERE order_id_new IS NULL"), 0);
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}
