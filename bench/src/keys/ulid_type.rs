//! The type `ulid` beside `uuid`.

use anyhow::{Context, Result};
use pg_test::Server;
use postgres::Client;

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table, Target};

/// The same code is at work, so what remains is noise.
const AS_UUID: Option<Target> = Some(Target::AtMost(1.1));

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "ulid",
    title: "The type ulid beside uuid",
    about: "The same keys in both types, in random order: 16 bytes that PostgreSQL's own functions for `uuid` compare, \
            hash and abbreviate. CPU time of the backend for each row. Sorting: `ORDER BY key` with all rows in memory. \
            Joining: the table with itself by a hash join. Grouping: by a hash aggregate over keys of which each \
            comes twice. Text out: `key::text`; text in: `text::ulid`; binary out: the type's send function. Reading the \
            column is taken off both sides of a ratio of those. Others, in another run, times of `uuid` for sort, index \
            build and hash join: pgx_ulid 5.5, 3.3 and 1.35, pg-ferroid 5.2, 3.8 and 1.28, pg-ulid 2.0, 1.24 and 1.02.",
    needs: &[],
    tables: &[Table {
        corner: "what",
        columns: &["`uuid`", "`ulid`"],
        rows: &[
            ("reading the column of keys", &["uuid.read", "ulid.read"]),
            ("reading the column of texts", &["uuid.read_text", "ulid.read_text"]),
            ("sorting", &["uuid.sort", "ulid.sort"]),
            ("building an index", &["uuid.index", "ulid.index"]),
            ("joining", &["uuid.join", "ulid.join"]),
            ("grouping", &["uuid.group", "ulid.group"]),
            ("text out", &["uuid.out", "ulid.out"]),
            ("text in", &["uuid.in", "ulid.in"]),
            ("binary out", &["uuid.send", "ulid.send"]),
        ],
    }],
    charts: &[],
    checks: &[
        Check {
            what: "sorting `ulid` to `uuid`",
            quantity: Quantity::Ratio { of: "ulid.sort", to: "uuid.sort", less: None },
            target: AS_UUID,
        },
        Check {
            what: "building an index on `ulid` to `uuid`",
            quantity: Quantity::Ratio { of: "ulid.index", to: "uuid.index", less: None },
            target: AS_UUID,
        },
        Check {
            what: "joining by `ulid` to `uuid`",
            quantity: Quantity::Ratio { of: "ulid.join", to: "uuid.join", less: None },
            target: AS_UUID,
        },
        Check {
            what: "grouping by `ulid` to `uuid`",
            quantity: Quantity::Ratio { of: "ulid.group", to: "uuid.group", less: None },
            target: AS_UUID,
        },
        Check {
            what: "text out of `ulid` to `uuid`",
            quantity: Quantity::Ratio { of: "ulid.out", to: "uuid.out", less: Some("uuid.read") },
            target: Some(Target::AtMost(0.8)),
        },
        Check {
            what: "text into `ulid` to `uuid`",
            quantity: Quantity::Ratio { of: "ulid.in", to: "uuid.in", less: Some("uuid.read_text") },
            target: Some(Target::AtMost(0.8)),
        },
    ],
};

struct Work {
    name: &'static str,
    /// With TYPE for the type.
    sql: &'static str,
}

const WORKS: [Work; 9] = [
    Work { name: "read", sql: "SELECT count(key) FROM TYPE_keys" },
    Work { name: "read_text", sql: "SELECT count(text) FROM TYPE_texts" },
    Work { name: "sort", sql: "SELECT count(*) FROM (SELECT key FROM TYPE_keys ORDER BY key OFFSET 0) AS s" },
    Work { name: "index", sql: "CREATE INDEX TYPE_index ON TYPE_keys (key)" },
    Work { name: "join", sql: "SELECT count(*) FROM TYPE_keys AS a JOIN TYPE_keys AS b USING (key)" },
    Work {
        name: "group",
        sql: "SELECT count(*) FROM (SELECT key, count(*) FROM (SELECT key FROM TYPE_keys UNION ALL SELECT key \
              FROM TYPE_keys) AS twice GROUP BY key OFFSET 0) AS g",
    },
    Work { name: "out", sql: "SELECT count(key::text) FROM TYPE_keys" },
    Work { name: "in", sql: "SELECT count(text::TYPE) FROM TYPE_texts" },
    Work { name: "send", sql: "SELECT count(TYPE_send(key)) FROM TYPE_keys" },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let mut client = server::create_database(server, "ulid_type")?;
    let rows = plan.count(1_000_000, 200_000);
    fill(&mut client, rows)?;
    let mut figures = Figures::default();
    figures.count("rows", rows);
    // All of one type, then all of the other: so the same comes before each, and leaves memory to it in the same state.
    let compared: Vec<(&Work, &str)> =
        ["uuid", "ulid"].into_iter().flat_map(|name| WORKS.iter().map(move |work| (work, name))).collect();
    interleave(plan.rounds, WarmUp::Round, &compared, &mut figures, |(work, name), figures| {
        let sql = work.sql.replace("TYPE", name);
        let ((), took) =
            time(&mut client, |client| client.batch_execute(&sql).context("a statement failed"))?;
        figures.add(
            &format!("{name}.{}", work.name),
            Unit::Seconds,
            took.cpu.as_secs_f64() / f64::from(rows),
        );
        client
            .batch_execute(&format!("DROP INDEX IF EXISTS {name}_index"))
            .context("could not drop the index")
    })?;
    Ok(figures)
}

/// The same keys in both types, in an order that has nothing to do with theirs; the joins hash, and the aggregates, too.
fn fill(client: &mut Client, rows: u32) -> Result<()> {
    client
        .batch_execute(&format!(
            "CREATE TABLE ulid_keys AS SELECT ulid() AS key FROM generate_series(1, {rows}) ORDER BY random();
             CREATE TABLE uuid_keys AS SELECT key::uuid AS key FROM ulid_keys;
             CREATE TABLE ulid_texts AS SELECT key::text AS text FROM ulid_keys;
             CREATE TABLE uuid_texts AS SELECT key::text AS text FROM uuid_keys;
             SET enable_mergejoin = off; SET enable_nestloop = off; SET hash_mem_multiplier = 4"
        ))
        .context("could not fill the tables")?;
    server::tidy(client, &["ulid_keys", "uuid_keys", "ulid_texts", "uuid_texts"])
}
