//! What a key costs in the long run: an index that outgrows the server's memory.

use std::time::Instant;

use anyhow::{Context, Result};
use pg_test::Server;
use postgres::Client;

use super::super::chart::{Chart, Shape};
use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table};

macro_rules! rows {
    ($size:literal) => {
        &[
            rows!("`bigserial`", "serial", $size),
            rows!("`gen_random_uuid()`", "random", $size),
            rows!("`uuidv7()`", "uuidv7", $size),
            rows!("`ulid()`", "ulid", $size),
        ]
    };
    ($label:literal, $name:literal, $size:literal) => {
        (
            $label,
            &[
                concat!($name, $size, ".rate"),
                concat!($name, $size, ".log"),
                concat!($name, $size, ".index"),
                concat!($name, $size, ".density"),
                concat!($name, $size, ".fragmented"),
                concat!($name, $size, ".missed"),
            ],
        )
    };
}

const COLUMNS: &[&str] = &[
    "rows a second",
    "log",
    "index",
    "density of its leaves, %",
    "leaves out of order, %",
    "blocks of it read",
];

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "volume",
    title: "An index that outgrows memory",
    about: "Another server with `shared_buffers = 64MB` and a checkpoint for each GB of log, as a busy one has them. Rows are \
            inserted as above, 100,000 in a transaction that is flushed to disk, on the clock. Density and order of the \
            leaves are those of `pgstatindex`. *Blocks of it read* are those of the index that were not among the \
            server's buffers (`idx_blks_read`): keys in the order of time touch its right edge alone.",
    needs: &[],
    tables: &[
        Table { corner: "default of the key, a tenth of the rows", columns: COLUMNS, rows: rows!(".tenth") },
        Table { corner: "default of the key, all rows", columns: COLUMNS, rows: rows!(".all") },
    ],
    charts: &[Chart {
        name: "volume",
        title: "Rows a second into an index that outgrows memory",
        shape: Shape::Bars { others: 2 },
        rows: &[
            ("bigserial", &["serial.all.rate"]),
            ("gen_random_uuid()", &["random.all.rate"]),
            ("uuidv7()", &["uuidv7.all.rate"]),
            ("ulid()", &["ulid.all.rate"]),
        ],
    }],
    checks: &[
        check("rows a second, `uuidv7()` to `gen_random_uuid()`", "uuidv7.all.rate", "random.all.rate"),
        check("rows a second, `uuidv7()` to `bigserial`", "uuidv7.all.rate", "serial.all.rate"),
        check("log, `gen_random_uuid()` to `uuidv7()`", "random.all.log", "uuidv7.all.log"),
        check("index, `uuidv7()` to `gen_random_uuid()`", "uuidv7.all.index", "random.all.index"),
        check("index, `uuidv7()` to `bigserial`", "uuidv7.all.index", "serial.all.index"),
    ],
};

const fn check(what: &'static str, of: &'static str, to: &'static str) -> Check {
    Check { what, quantity: Quantity::Ratio { of, to, less: None }, target: None }
}

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

struct Key {
    name: &'static str,
    column: &'static str,
}

const KEYS: [Key; 4] = [
    Key { name: "serial", column: "bigserial" },
    Key { name: "random", column: "uuid DEFAULT gen_random_uuid()" },
    Key { name: "uuidv7", column: "uuid DEFAULT public.uuidv7()" },
    Key { name: "ulid", column: "ulid DEFAULT ulid()" },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(beside: &Server, plan: &Plan) -> Result<Figures> {
    let server = Server::start(beside.tree(), "volume", SETTINGS)?;
    let mut client = server::create_database(&server, "volume")?;
    client.batch_execute("CREATE EXTENSION pgstattuple").context("could not create pgstattuple")?;
    let mut observer = server.connect("volume")?;
    let batches = plan.count(100, 10);
    let rounds = plan.rounds.min(MOST_ROUNDS);
    let mut figures = Figures::default();
    figures.count("rows", batches * BATCH);
    figures.count("rounds", rounds);
    interleave(rounds, WarmUp::None, &KEYS, &mut figures, |key, figures| {
        let table =
            format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id {} PRIMARY KEY, n integer)", key.column);
        client.batch_execute(&table).context("could not create the table")?;
        observer.batch_execute("CHECKPOINT").context("could not make a checkpoint")?;
        let insert = format!("INSERT INTO t (n) SELECT generate_series(1, {BATCH})");
        let before = server::Traces::now(&mut observer)?;
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
            let name = format!("{}.{part}", key.name);
            figures.add(&format!("{name}.rate"), Unit::Number, f64::from(batch * BATCH) / took.as_secs_f64());
            let log = server::Traces::now(&mut observer)?.log_since(before);
            figures.add(&format!("{name}.log"), Unit::Bytes, log);
            index(&mut client, &mut observer, &name, figures)?;
        }
        Ok(())
    })?;
    Ok(figures)
}

fn index(client: &mut Client, observer: &mut Client, name: &str, figures: &mut Figures) -> Result<()> {
    // A session tells of what it has read when it has nothing to do, and at once where it is asked to.
    let told = if server::number(observer, "SELECT current_setting('server_version_num')::bigint")? >= 150_000
    {
        client.batch_execute("SELECT pg_stat_force_next_flush(); SELECT 1")
    } else {
        Ok(())
    };
    told.context("could not ask for statistics")?;
    let missed = server::number(
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
