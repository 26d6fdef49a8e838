//! What a key costs where it is inserted, and how large its index gets.

use anyhow::{Context, Result};
use pg_test::Server;
use postgres::Client;

use super::super::chart::{Chart, Shape};
use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table, Target};

const ABOUT: &str = "`INSERT INTO t (n) SELECT generate_series(1, rows)` into an empty table whose primary key has the \
                     function as its default, in one transaction: CPU time of the backend for all rows, and the index \
                     after it. Others, in another run, CPU seconds for 1,000,000 rows on PostgreSQL 15 and MB of index: \
                     random UUIDs 6.71 and 40, pg_uuidv7 4.37 and 41, pgx_ulid 2.61 and 55.4, bigserial 2.34 and 22.5.";

const COLUMNS: &[&str] = &["CPU time", "log", "index"];

const INDEX_OF_UUIDV7: Check = Check {
    what: "index of `uuidv7()` to that of `gen_random_uuid()`",
    quantity: Quantity::Ratio { of: "uuidv7.index", to: "random.index", less: None },
    target: Some(Target::AtMost(0.85)),
};

const INDEX_OF_ULID: Check = Check {
    what: "index of `ulid()` to that of `gen_random_uuid()`",
    quantity: Quantity::Ratio { of: "ulid.index", to: "random.index", less: None },
    target: Some(Target::AtMost(0.85)),
};

/// The chapter where PostgreSQL has no `uuidv7()`.
pub const BEFORE_18: Chapter = Chapter {
    name: "insert",
    title: "Inserting",
    about: ABOUT,
    needs: &[],
    tables: &[Table {
        corner: "default of the key",
        columns: COLUMNS,
        rows: &[
            ("`bigserial`", &["serial.cpu", "serial.log", "serial.index"]),
            ("`gen_random_uuid()`", &["random.cpu", "random.log", "random.index"]),
            ("`uuidv7()`", &["uuidv7.cpu", "uuidv7.log", "uuidv7.index"]),
            ("`ulid()`", &["ulid.cpu", "ulid.log", "ulid.index"]),
            ("`uuidv7_monotonic()`", &["monotonic.cpu", "monotonic.log", "monotonic.index"]),
        ],
    }],
    charts: &[
        Chart {
            name: "insert",
            title: "CPU time of an INSERT of all rows",
            shape: Shape::Bars { others: 2 },
            rows: &[
                ("bigserial", &["serial.cpu"]),
                ("gen_random_uuid()", &["random.cpu"]),
                ("uuidv7()", &["uuidv7.cpu"]),
                ("ulid()", &["ulid.cpu"]),
            ],
        },
        Chart {
            name: "index",
            title: "Index after it",
            shape: Shape::Bars { others: 2 },
            rows: &[
                ("bigserial", &["serial.index"]),
                ("gen_random_uuid()", &["random.index"]),
                ("uuidv7()", &["uuidv7.index"]),
                ("ulid()", &["ulid.index"]),
            ],
        },
    ],
    checks: &[
        Check {
            what: "`gen_random_uuid()` to `uuidv7()`, CPU time",
            quantity: Quantity::Ratio { of: "random.cpu", to: "uuidv7.cpu", less: None },
            target: Some(Target::AtLeast(2.5)),
        },
        INDEX_OF_UUIDV7,
        INDEX_OF_ULID,
    ],
};

/// The chapter where it has one.
pub const FROM_18: Chapter = Chapter {
    name: "insert_18",
    title: "Inserting",
    about: ABOUT,
    needs: &[],
    tables: &[Table {
        corner: "default of the key",
        columns: COLUMNS,
        rows: &[
            ("`bigserial`", &["serial.cpu", "serial.log", "serial.index"]),
            ("`gen_random_uuid()`", &["random.cpu", "random.log", "random.index"]),
            ("`uuidv7()`, PostgreSQL's", &["core_uuidv7.cpu", "core_uuidv7.log", "core_uuidv7.index"]),
            ("`uuidv7()`, ours", &["uuidv7.cpu", "uuidv7.log", "uuidv7.index"]),
            ("`ulid()`", &["ulid.cpu", "ulid.log", "ulid.index"]),
            ("`uuidv7_monotonic()`", &["monotonic.cpu", "monotonic.log", "monotonic.index"]),
        ],
    }],
    charts: &[
        Chart {
            name: "insert",
            title: "CPU time of an INSERT of all rows",
            shape: Shape::Bars { others: 3 },
            rows: &[
                ("bigserial", &["serial.cpu"]),
                ("gen_random_uuid()", &["random.cpu"]),
                ("uuidv7() of PostgreSQL", &["core_uuidv7.cpu"]),
                ("uuidv7() of pg_keyspace", &["uuidv7.cpu"]),
                ("ulid()", &["ulid.cpu"]),
            ],
        },
        Chart {
            name: "index",
            title: "Index after it",
            shape: Shape::Bars { others: 3 },
            rows: &[
                ("bigserial", &["serial.index"]),
                ("gen_random_uuid()", &["random.index"]),
                ("uuidv7() of PostgreSQL", &["core_uuidv7.index"]),
                ("uuidv7() of pg_keyspace", &["uuidv7.index"]),
                ("ulid()", &["ulid.index"]),
            ],
        },
    ],
    checks: &[
        Check {
            what: "`gen_random_uuid()` to `uuidv7()`, CPU time",
            quantity: Quantity::Ratio { of: "random.cpu", to: "uuidv7.cpu", less: None },
            target: Some(Target::AtLeast(2.0)),
        },
        Check {
            what: "PostgreSQL's `uuidv7()` to ours, CPU time",
            quantity: Quantity::Ratio { of: "core_uuidv7.cpu", to: "uuidv7.cpu", less: None },
            target: Some(Target::AtLeast(1.15)),
        },
        INDEX_OF_UUIDV7,
        INDEX_OF_ULID,
    ],
};

struct Key {
    name: &'static str,
    column: &'static str,
}

const KEYS: [Key; 6] = [
    Key { name: "serial", column: "bigserial" },
    Key { name: "random", column: "uuid DEFAULT gen_random_uuid()" },
    Key { name: "uuidv7", column: "uuid DEFAULT public.uuidv7()" },
    Key { name: "ulid", column: "ulid DEFAULT ulid()" },
    Key { name: "monotonic", column: "uuid DEFAULT uuidv7_monotonic()" },
    Key { name: "core_uuidv7", column: "uuid DEFAULT pg_catalog.uuidv7()" },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan, has_uuidv7: bool) -> Result<Figures> {
    let mut client = server::create_database(server, "insert_keys")?;
    let mut observer = server.connect("insert_keys")?;
    let rows = plan.count(1_000_000, 200_000);
    let mut figures = Figures::default();
    figures.count("rows", rows);
    let compared = if has_uuidv7 { &KEYS[..] } else { &KEYS[..5] };
    interleave(plan.rounds, WarmUp::Round, compared, &mut figures, |key, figures| {
        insert(&mut client, &mut observer, key, rows, figures)
    })?;
    Ok(figures)
}

fn insert(
    client: &mut Client,
    observer: &mut Client,
    key: &Key,
    rows: u32,
    figures: &mut Figures,
) -> Result<()> {
    let table = format!("DROP TABLE IF EXISTS t; CREATE TABLE t (id {} PRIMARY KEY, n integer)", key.column);
    client.batch_execute(&table).context("could not create the table")?;
    observer.batch_execute("CHECKPOINT").context("could not make a checkpoint")?;
    let insert = format!("INSERT INTO t (n) SELECT generate_series(1, {rows})");
    let before = server::Traces::now(observer)?;
    let ((), took) = time(client, |client| client.batch_execute(&insert).context("could not insert"))?;
    let after = server::Traces::now(observer)?;
    let index = server::number(client, "SELECT pg_relation_size('t_pkey')")?;
    figures.add_time(&format!("{}.cpu", key.name), took.cpu);
    figures.add(&format!("{}.log", key.name), Unit::Bytes, after.log_since(before));
    figures.add(&format!("{}.index", key.name), Unit::Bytes, index as f64);
    Ok(())
}
