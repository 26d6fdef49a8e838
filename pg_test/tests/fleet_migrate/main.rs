//! `pg_keyspace migrate` on real servers: docs/guides/fleet.md.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod in_the_way;
mod interrupted;
mod pair;
mod path;
// Calls the program for the tests of the other commands, too.
#[allow(dead_code)]
#[path = "../fleet/program.rs"]
mod program;
mod together;
mod together_bad_input;
mod together_interrupted;

use pg_test::Server;

use crate::program::{run, start, value};

/// Names that have to be quoted everywhere.
pub const ORDERS: &str = "\"My Shop\".\"Order\"";

/// A server with orders, what refers to them, and a log that refers to them without a foreign key.
fn shop(name: &str) -> Server {
    let server = start(name);
    run(
        &server,
        &format!(
            "CREATE SCHEMA \"My Shop\";
             CREATE TABLE {ORDERS} (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), total integer);
             CREATE TABLE \"My Shop\".audit (no bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES {ORDERS}, what text);
             CREATE INDEX ON \"My Shop\".audit (order_id);
             CREATE TABLE \"My Shop\".log (\"Order\" bigint, at timestamptz);
             INSERT INTO {ORDERS} (created_at, total) SELECT '2024-01-01'::timestamptz + i * interval '1 s', i FROM generate_series(1, 5000) i;
             INSERT INTO \"My Shop\".audit (order_id, what) SELECT i % 5000 + 1, repeat('x', 100) FROM generate_series(1, 15000) i;
             INSERT INTO \"My Shop\".log SELECT i, now() FROM generate_series(1, 100) i;
             ANALYZE"
        ),
    );
    server
}

/// The phase of the migration; empty if there is none.
fn phase(server: &Server) -> String {
    value(
        server,
        "SELECT coalesce((SELECT DISTINCT phase FROM key_migration_progress WHERE state IS NOT NULL), '')",
    )
}

/// The type of the key of the orders.
fn key_type(server: &Server) -> String {
    value(
        server,
        &format!(
            "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = '{ORDERS}'::regclass AND attname = 'id'"
        ),
    )
}
