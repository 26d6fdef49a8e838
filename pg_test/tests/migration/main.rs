//! Migrates a key while others write, and while backends and the server are killed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod applied;
mod by_hand;
mod copied;
mod dumped;
mod killed;
mod locked;
mod looked_ahead;
mod many_partitions;
mod many_tables;
mod moved_key;
mod nodes;
mod nodes_compared;
mod nodes_cut_over;
mod nodes_guide;
mod nodes_killed;
mod other_keys;
mod partitioned;
mod partitioned_key;
mod repack;
mod reported;
mod rests;
mod seen_by_others;
mod several_kinds;
mod sound;
mod standby;
mod stopped;
mod throttled;
mod times;
mod to_bigint;
mod two_servers;

use std::time::{Duration, Instant};

use pg_test::{InstallTree, Server};
use postgres::Client;

pub(crate) const DATABASE: &str = "postgres";

pub(crate) fn start(settings: &[&str]) -> Server {
    let tree = InstallTree::from_environment().unwrap();
    Server::start(&tree, "migration", settings).unwrap()
}

/// Orders, three with each timestamp, and an audit table without a timestamp that refers to them.
pub(crate) fn make_shop(client: &mut Client, orders: u32) {
    client
        .batch_execute(&format!(
            "CREATE EXTENSION pg_keyspace;
             CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), total integer);
             CREATE TABLE audit (no bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, what text);
             CREATE INDEX audit_order_id_idx ON audit (order_id);
             INSERT INTO orders (created_at, total)
                 SELECT '2024-01-01'::timestamptz + i / 3 * interval '1 second', i FROM generate_series(1, {orders}) AS i;
             INSERT INTO audit (order_id, what) SELECT i % {orders} + 1, repeat('x', 50) FROM generate_series(1, 3 * {orders}) AS i;
             ANALYZE"
        ))
        .unwrap();
}

/// The number that a query returns.
pub(crate) fn number(client: &mut Client, query: &str) -> i64 {
    client.query_one(query, &[]).unwrap().get(0)
}

pub(crate) fn phase(client: &mut Client) -> String {
    client.query_one("SELECT key_migration_phase('orders')", &[]).unwrap().get(0)
}

/// Runs the remaining statements in order, up to the first error.
pub(crate) fn run_statements(client: &mut Client, through: &str) -> Result<(), postgres::Error> {
    let rows = client.query("SELECT statement FROM key_migration_statements('orders', $1)", &[&through])?;
    for row in rows {
        client.batch_execute(row.get(0))?;
    }
    Ok(())
}

/// The differences that the comparison finds.
pub(crate) fn wrong(client: &mut Client) -> Vec<String> {
    let query = "SELECT format('%s.%s: %s %s, as %s', table_name, column_name, row_count, check_name, example) \
                 FROM key_migration_verify('orders') WHERE NOT ok";
    client.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

pub(crate) fn wait_until(client: &mut Client, condition: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !client.query_one(condition, &[]).unwrap().get::<_, bool>(0) {
        assert!(Instant::now() < deadline, "waited too long for {condition}");
        std::thread::yield_now();
    }
}

/// A connection, as soon as the server accepts one.
pub(crate) fn connect_when_up(server: &Server) -> Client {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match server
            .connect(DATABASE)
            .and_then(|mut client| Ok(client.simple_query("SELECT").map(|_| client)?))
        {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
        }
        std::thread::yield_now();
    }
}
