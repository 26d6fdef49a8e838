//! What a key costs in the long run: an index that outgrows the server's memory.

use std::time::Instant;

use anyhow::{Context, Result};
use pg_test::Server;
use postgres::Client;

use crate::figures::{Figures, Unit};
use crate::measure::{WarmUp, interleave};
use crate::server::{self, Traces};
use crate::suite::Plan;

const SETTINGS: &[&str] = &[
    "fsync = on",
    "synchronous_commit = on",
    "full_page_writes = on",
    "shared_buffers = 64MB",
    "checkpoint_timeout = 5min",
    "max_wal_size = 1GB",
    "autovacuum = off",
    "jit = off",
];

/// Rows of a transaction.
const BATCH: u32 = 100_000;
/// Rows by the ten million take long enough to be alike.
const MOST_ROUNDS: u32 = 3;

/// The compared keys, and their columns.
const KEYS: [(&str, &str); 4] = [
    ("serial", "bigserial"),
    ("random", "uuid DEFAULT gen_random_uuid()"),
    ("uuidv7", "uuid DEFAULT public.uuidv7()"),
    ("ulid", "ulid DEFAULT ulid()"),
];

pub fn measure(other: &Server, plan: &Plan) -> Result<Figures> {
    let server = Server::start(other.tree(), "volume", SETTINGS)?;
    let mut client = server::create_database(&server, "volume")?;
    client.batch_execute("CREATE EXTENSION pgstattuple").context("could not create pgstattuple")?;
    let mut observer = server.connect("volume")?;
    let batches = plan.count(100, 10);
    let rounds = plan.rounds.min(MOST_ROUNDS);
    let mut figures = Figures::default();
    figures.count("rows", batches * BATCH);
    figures.count("rounds", rounds);
    interleave(rounds, WarmUp::None, &KEYS, &mut figures, |(key, column), figures| {
        let table = format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id {column} PRIMARY KEY, n integer)");
        client.batch_execute(&table).context("could not create the table")?;
        observer.batch_execute("CHECKPOINT").context("could not make a checkpoint")?;
        let insert = format!("INSERT INTO t (n) SELECT generate_series(1, {BATCH})");
        let before = Traces::now(&mut observer)?;
        let started = Instant::now();
        for batch in 1..=batches {
            client.batch_execute(&insert).context("could not insert")?;
            let part = if batch == batches / 10 {
                "tenth"
            } else if batch == batches {
                "all"
            } else {
                continue;
            };
            let took = started.elapsed();
            let name = format!("{key}.{part}");
            figures.add(&format!("{name}.rate"), Unit::Number, f64::from(batch * BATCH) / took.as_secs_f64());
            let log = Traces::now(&mut observer)?.log_since(before);
            figures.add(&format!("{name}.log"), Unit::Bytes, log);
            index(&mut client, &mut observer, &name, figures)?;
        }
        Ok(())
    })?;
    Ok(figures)
}

fn index(client: &mut Client, observer: &mut Client, name: &str, figures: &mut Figures) -> Result<()> {
    // A session reports what it has read when it has nothing to do, and at once when it is asked to.
    client
        .batch_execute("SELECT pg_stat_force_next_flush(); SELECT 1")
        .context("could not ask for statistics")?;
    let missed = pg_test::number(
        observer,
        "SELECT idx_blks_read FROM pg_statio_user_indexes WHERE indexrelname = 't_pkey'",
    )?;
    let row = observer
        .query_one("SELECT index_size, avg_leaf_density, leaf_fragmentation FROM pgstatindex('t_pkey')", &[])
        .context("could not look at the index")?;
    figures.add(&format!("{name}.index"), Unit::Bytes, row.get::<_, i64>(0) as f64);
    figures.add(&format!("{name}.density"), Unit::Number, row.get(1));
    figures.add(&format!("{name}.fragmented"), Unit::Number, row.get(2));
    figures.add(&format!("{name}.missed"), Unit::Number, missed as f64);
    Ok(())
}
