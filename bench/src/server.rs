//! What every suite asks of the server.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use pg_test::{Server, first_value};
use postgres::Client;

/// Settings that figures depend on, and that a page names.
const NAMED: [&str; 13] = [
    "autovacuum",
    "checkpoint_timeout",
    "fsync",
    "full_page_writes",
    "jit",
    "max_locks_per_transaction",
    "max_parallel_workers_per_gather",
    "max_wal_size",
    "shared_buffers",
    "synchronous_commit",
    "wal_buffers",
    "wal_level",
    "work_mem",
];

/// Makes a database with the extension, and connects to it.
pub fn create_database(server: &Server, name: &str) -> Result<Client> {
    server
        .connect("postgres")?
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .with_context(|| format!("could not create the database {name}"))?;
    let mut client = server.connect(name)?;
    client.batch_execute("CREATE EXTENSION pg_keyspace").context("could not create the extension")?;
    Ok(client)
}

/// The settings that a page names.
pub fn settings(client: &mut Client) -> Result<BTreeMap<String, String>> {
    NAMED.iter().map(|name| Ok(((*name).to_owned(), text(client, &format!("SHOW {name}"))?))).collect()
}

/// The text that a query returns.
pub fn text(client: &mut Client, sql: &str) -> Result<String> {
    first_value(client, sql)?.with_context(|| format!("nothing was returned: {sql}"))
}

/// Vacuums those of these tables that exist, and makes a checkpoint.
pub fn tidy(client: &mut Client, tables: &[&str]) -> Result<()> {
    // One by one: several statements in one message are a transaction, in which none of these may run.
    for table in tables {
        let row = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[table]);
        if row.with_context(|| format!("could not look for {table}"))?.get(0) {
            client
                .batch_execute(&format!("VACUUM ANALYZE {table}"))
                .with_context(|| format!("could not vacuum {table}"))?;
        }
    }
    // ANALYZE has just replaced the statistics. The measured statement would prune the dead rows.
    client.batch_execute("VACUUM pg_statistic").context("could not vacuum pg_statistic")?;
    client.batch_execute("CHECKPOINT").context("could not make a checkpoint")
}

/// Costs of a statement other than time.
#[derive(Clone, Copy, Debug)]
pub struct Traces {
    log: i64,
    transactions: i64,
}

impl Traces {
    /// The state before or after; asked for in another session than the one that is measured.
    pub fn now(client: &mut Client) -> Result<Self> {
        let row = client
            .query_one(
                "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint,
                        pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
                &[],
            )
            .context("could not ask for the position of the log")?;
        Ok(Self { log: row.get(0), transactions: row.get(1) })
    }

    /// Bytes of log since `before`.
    pub fn log_since(self, before: Self) -> f64 {
        (self.log - before.log) as f64
    }

    /// Transaction ids taken since `before`.
    pub fn transactions_since(self, before: Self) -> f64 {
        (self.transactions - before.transactions) as f64
    }
}
