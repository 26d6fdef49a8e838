//! PostgreSQL 19 rewrites a table while others write to it: `REPACK (CONCURRENTLY)`.

use std::thread::scope;

use pg_test::skip;

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
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    client.batch_execute("REPACK (CONCURRENTLY) audit").unwrap();
    assert_eq!(phase(&mut client), "cut over");
    assert_eq!(number(&mut client, "SELECT count(*) FROM orders"), 20_000);
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}
