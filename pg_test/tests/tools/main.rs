//! Tools of others at work while a key moves: a connection pooler, a reader of the change stream, and
//! an audit log. `cargo xtask test --only tools` installs them; a test is skipped where its tool cannot
//! be installed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod copy;
mod pgaudit;
mod pgbouncer;
mod pooled;
mod pooler;
mod wal2json;

use pg_test::first_value;
use postgres::Client;

/// A shop whose rows tell who has made them.
pub(crate) fn make_shop(client: &mut Client, orders: u32) {
    client
        .batch_execute(&format!(
            "CREATE EXTENSION pg_keyspace;
             CREATE TABLE orders (id bigserial PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), made_by text NOT NULL,
                 total integer NOT NULL DEFAULT 0);
             CREATE TABLE item (no bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, made_by text NOT NULL);
             CREATE INDEX item_order_id_idx ON item (order_id);
             CREATE INDEX orders_made_by_idx ON orders (made_by);
             INSERT INTO orders (made_by) SELECT 'before-' || i FROM generate_series(1, {orders}) AS i;
             INSERT INTO item (order_id, made_by) SELECT i % {orders} + 1, 'before' FROM generate_series(1, 2 * {orders}) AS i"
        ))
        .unwrap();
    client.batch_execute("VACUUM ANALYZE").unwrap();
}

/// Runs the statements of a migration that are left, as psql would with `\gexec`.
pub(crate) fn run_statements(client: &mut Client, through: &str) {
    let query = format!("SELECT statement FROM key_migration_statements('orders', '{through}')");
    let messages = client.simple_query(&query).unwrap();
    for message in messages {
        if let postgres::SimpleQueryMessage::Row(row) = message {
            let statement = row.get(0).unwrap();
            client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
    }
}

/// The number that a query returns, by the protocol that every pooler passes on.
pub(crate) fn count(client: &mut Client, query: &str) -> i64 {
    first_value(client, query).unwrap().unwrap().parse().unwrap()
}

/// The SQLSTATE of an error.
pub(crate) fn code(error: &postgres::Error) -> String {
    error
        .code()
        .map(|code| code.code().to_owned())
        .unwrap_or_else(|| panic!("no error of the server: {error:?}"))
}
