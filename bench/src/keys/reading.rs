//! What a key costs where rows are looked for by it: ranges of time, single rows, joins.

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "reading",
    title: "Reading by the key",
    about: "Orders of 100 days and three items for each, once with `bigint` keys and once with UUIDv7, in the order of \
            their time, all in memory. A *day* of the 100 is counted by an index: with `bigint` keys by one on `created_at` beside \
            the primary key, with UUIDv7 by the primary key, `id >= uuidv7_boundary(...)`. \
            *Single rows* are found by their keys in random order, in a nested loop. *Joined* are all items to their \
            orders, by a hash join and by a merge join. CPU time of the backend for each row. `bigint` is half as wide, \
            and wins wherever keys themselves are moved or compared; what it needs to be found by time is in the sizes.",
    needs: &[],
    tables: &[
        Table {
            corner: "what",
            columns: &["`bigint`", "`uuid`"],
            rows: &[
                ("counting a day", &["bigint.day", "uuid.day"]),
                ("single rows", &["bigint.single", "uuid.single"]),
                ("hash join", &["bigint.hash", "uuid.hash"]),
                ("merge join", &["bigint.merge", "uuid.merge"]),
            ],
        },
        Table {
            corner: "size",
            columns: &["`bigint`", "`uuid`"],
            rows: &[
                ("orders", &["bigint.orders", "uuid.orders"]),
                ("their primary key", &["bigint.key", "uuid.key"]),
                ("their index on `created_at`", &["bigint.time", "uuid.time"]),
                ("items and their indexes", &["bigint.items", "uuid.items"]),
            ],
        },
    ],
    charts: &[],
    checks: &[
        check("counting a day, `uuid` to `bigint`", "uuid.day", "bigint.day"),
        check("single rows, `uuid` to `bigint`", "uuid.single", "bigint.single"),
        check("hash join, `uuid` to `bigint`", "uuid.hash", "bigint.hash"),
        check("merge join, `uuid` to `bigint`", "uuid.merge", "bigint.merge"),
        check("items and their indexes, `uuid` to `bigint`", "uuid.items", "bigint.items"),
    ],
};

const fn check(what: &'static str, of: &'static str, to: &'static str) -> Check {
    Check { what, quantity: Quantity::Ratio { of, to, less: None }, target: None }
}

/// The days over which orders are spread, and the one that is counted.
const DAYS: u32 = 100;
const DAY: &str = "2024-02-10";

/// What is done with either kind of key.
#[derive(Clone, Copy)]
struct Work {
    name: &'static str,
    settings: &'static str,
    sql: &'static str,
    /// How many rows it comes to, of all orders.
    rows: fn(u32) -> u32,
}

const WORK: [Work; 4] = [
    Work {
        name: "day",
        settings: "SET enable_seqscan = off; SET enable_bitmapscan = off",
        sql: "SELECT count(*) FROM KIND_orders WHERE DAY",
        rows: |orders| orders / DAYS,
    },
    Work {
        name: "single",
        settings: "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_memoize = off",
        sql: "SELECT count(o.total) FROM KIND_wanted AS w JOIN KIND_orders AS o USING (id)",
        rows: |orders| orders / 10,
    },
    Work {
        name: "hash",
        settings: "SET enable_nestloop = off; SET enable_mergejoin = off",
        sql: "SELECT count(o.total) FROM KIND_items AS i JOIN KIND_orders AS o ON o.id = i.order_id",
        rows: |orders| orders * 3,
    },
    Work {
        name: "merge",
        settings: "SET enable_nestloop = off; SET enable_hashjoin = off; SET enable_seqscan = off",
        sql: "SELECT count(o.total) FROM KIND_items AS i JOIN KIND_orders AS o ON o.id = i.order_id",
        rows: |orders| orders * 3,
    },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let orders = plan.count(1_000_000, 100_000);
    let mut client = server::create_database(server, "reading")?;
    fill(&mut client, orders)?;
    let mut figures = Figures::default();
    figures.count("orders", orders);
    for kind in ["bigint", "uuid"] {
        for (name, relations) in [
            ("orders", "pg_relation_size('KIND_orders')"),
            ("key", "pg_relation_size('KIND_orders_pkey')"),
            ("time", "coalesce(pg_relation_size(to_regclass('KIND_orders_created_at_idx')), 0)"),
            ("items", "pg_total_relation_size('KIND_items')"),
        ] {
            let size = server::number(&mut client, &format!("SELECT {}", relations.replace("KIND", kind)))?;
            figures.add(&format!("{kind}.{name}"), Unit::Bytes, size as f64);
        }
    }
    let compared: Vec<(Work, &str)> =
        WORK.into_iter().flat_map(|work| [(work, "bigint"), (work, "uuid")]).collect();
    interleave(plan.rounds, WarmUp::Round, &compared, &mut figures, |(work, kind), figures| {
        client
            .batch_execute(&format!("RESET ALL; SET search_path = public; {}", work.settings))
            .context("could not set how to read")?;
        let sql = work.sql.replace("KIND", kind).replace("DAY", &day(kind));
        let wanted = (work.rows)(orders);
        let (found, took) = time(&mut client, |client| server::number(client, &sql))?;
        ensure!(found == i64::from(wanted), "{found} rows instead of {wanted}: {sql}");
        figures.add(
            &format!("{kind}.{}", work.name),
            Unit::Seconds,
            took.cpu.as_secs_f64() / f64::from(wanted),
        );
        Ok(())
    })?;
    Ok(figures)
}

fn day(kind: &str) -> String {
    let (from, to) = (
        format!("timestamptz '{DAY} 00:00+00'"),
        format!("timestamptz '{DAY} 00:00+00' + interval '24 hours'"),
    );
    match kind {
        "bigint" => format!("created_at >= {from} AND created_at < {to}"),
        _ => format!("id >= uuidv7_boundary({from}) AND id < uuidv7_boundary({to})"),
    }
}

fn fill(client: &mut Client, orders: u32) -> Result<()> {
    client
        .batch_execute(&format!(
            "CREATE TABLE made AS
                 SELECT n::bigint AS id, timestamptz '2024-01-01 00:00+00' + (n - 1) * interval '{DAYS} days' / {orders} AS created_at,
                        round((n % 1000)::numeric / 7, 2) AS total
                 FROM generate_series(1, {orders}) AS n;
             CREATE TABLE bigint_orders AS SELECT * FROM made ORDER BY id;
             CREATE TABLE uuid_orders AS SELECT uuidv7_from_timestamp(created_at, id) AS id, created_at, total FROM made ORDER BY id;
             CREATE TABLE bigint_items AS SELECT o.id AS order_id, no FROM bigint_orders AS o, generate_series(1, 3) AS no ORDER BY 1, 2;
             CREATE TABLE uuid_items AS SELECT o.id AS order_id, no FROM uuid_orders AS o, generate_series(1, 3) AS no ORDER BY 1, 2;
             CREATE INDEX ON bigint_orders (created_at);"
        ))
        .context("could not fill the tables")?;
    for kind in ["bigint", "uuid"] {
        client
            .batch_execute(&format!(
                "ALTER TABLE {kind}_orders ADD PRIMARY KEY (id);
                 CREATE INDEX ON {kind}_items (order_id);
                 CREATE TABLE {kind}_wanted AS SELECT id FROM {kind}_orders ORDER BY hashint8(extract(epoch FROM created_at)::bigint) LIMIT {orders} / 10"
            ))
            .context("could not index the tables")?;
    }
    server::tidy(
        client,
        &["bigint_orders", "uuid_orders", "bigint_items", "uuid_items", "bigint_wanted", "uuid_wanted"],
    )
}
