//! Many tables that refer to one key: each step reads the catalog data of its own tables only.

use std::time::Instant;

use crate::{DATABASE, number, phase, run_statements, start, wrong};

/// How many tables, unless `PG_KEYSPACE_TEST_TABLES` says otherwise.
const TABLES: u32 = 60;

/// How often the catalogs about tables of the migration were read.
const READS: &str =
    "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE query LIKE '%index_keys AS (%'";
/// The queries that took most of the time.
const SLOWEST: &str =
    "SELECT calls, total_plan_time, total_exec_time, regexp_replace(left(query, 400), '\\s+', ' ', 'g')
    FROM pg_stat_statements WHERE NOT toplevel ORDER BY total_plan_time + total_exec_time DESC LIMIT 4";

#[test]
fn many_tables_that_refer_to_a_key() {
    let tables = std::env::var("PG_KEYSPACE_TEST_TABLES").ok().and_then(|tables| tables.parse().ok());
    let tables: u32 = tables.unwrap_or(TABLES);
    let server = start(&[
        "shared_preload_libraries = 'pg_stat_statements'",
        "pg_stat_statements.track = 'all'",
        "pg_stat_statements.track_planning = on",
        "compute_query_id = on",
    ]);
    let mut client = server.connect(DATABASE).unwrap();
    client
        .batch_execute(
            "CREATE EXTENSION pg_keyspace; CREATE EXTENSION pg_stat_statements;
             CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
             INSERT INTO orders SELECT FROM generate_series(1, 10)",
        )
        .unwrap();
    for table in 1..=tables {
        client
            .batch_execute(&format!(
                "CREATE TABLE t{table} (id serial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, a text, b text, c text);
                 CREATE INDEX ON t{table} (order_id);
                 INSERT INTO t{table} (order_id) SELECT i FROM generate_series(1, 10) AS i"
            ))
            .unwrap();
    }
    client.batch_execute("SELECT key_migration_create('orders')").unwrap();
    let mut done = 0;
    for through in ["prepared", "backfilled", "indexed", "validated", "verified"] {
        let list = "SELECT count(*) FROM key_migration_statements('orders', $1)";
        let statements: i64 = client.query_one(list, &[&through]).unwrap().get(0);
        client.query("SELECT pg_stat_statements_reset()", &[]).unwrap();
        let began = Instant::now();
        run_statements(&mut client, through).unwrap();
        let took = began.elapsed();
        let reads = number(&mut client, READS);
        let steps = number(&mut client, "SELECT count(*) FROM key_migration_log") - done;
        done += steps;
        println!(
            "{tables} tables to {through}: {took:?}, {steps} steps, the catalogs are read {reads} times"
        );
        for row in client.query(SLOWEST, &[]).unwrap() {
            let (calls, planned, ran, text): (i64, f64, f64, String) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            println!("  {calls} times, planned {planned:.0} ms, ran {ran:.0} ms: {text}");
        }
        // Once for each step; and for each statement a plan of all tables at its beginning and its end.
        // The comparison is one step, and reads those of each table when it comes to it.
        let compared = if through == "verified" { i64::from(tables) + 1 } else { 0 };
        assert!(
            reads <= steps + compared + 2 * statements + 2,
            "{reads} for {steps} steps in {statements} statements"
        );
        assert_eq!(phase(&mut client), through);
    }
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '~key\\_migration\\_%'";
    assert_eq!(number(&mut client, triggers), 3 + 4 * i64::from(tables));
    let required = "SELECT count(*) FROM pg_attribute WHERE attname = 'order_id_new' AND attnotnull";
    assert_eq!(number(&mut client, required), i64::from(tables));
    let valid =
        "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conname LIKE '%\\_new' AND convalidated";
    assert_eq!(number(&mut client, valid), i64::from(tables));
    // A row for each table, and one phase.
    assert_eq!(number(&mut client, "SELECT count(*) FROM key_migration_progress"), i64::from(tables) + 1);
    client.batch_execute("CALL key_migration_cutover('orders')").unwrap();
    assert_eq!(wrong(&mut client), Vec::<String>::new());
}
