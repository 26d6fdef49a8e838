//! Many tables that refer to one key: each step reads the catalog data of its own tables only.

use std::time::Instant;

use crate::{DATABASE, number, phase, run_statements, start, wrong};

/// How many tables, unless `PG_KEYSPACE_TEST_TABLES` says otherwise.
const TABLES: u32 = 60;

#[test]
fn many_tables_that_refer_to_a_key() {
    let tables = std::env::var("PG_KEYSPACE_TEST_TABLES").ok().and_then(|tables| tables.parse().ok());
    let tables: u32 = tables.unwrap_or(TABLES);
    let server = start(&[]);
    let mut client = server.connect(DATABASE).unwrap();
    client
        .batch_execute(
            "CREATE EXTENSION pg_keyspace;
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
    let time_to = |client: &mut _, through: &str| {
        let began = Instant::now();
        run_statements(client, through).unwrap();
        println!("{tables} tables to {through}: {:?}", began.elapsed());
    };
    for through in ["prepared", "backfilled", "indexed", "validated", "verified"] {
        time_to(&mut client, through);
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
