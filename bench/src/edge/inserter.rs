//! The ways in which an insert in region B gets its key, and clients that insert in one of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use postgres::{Client, Statement};

/// How many ids the blocks have that clients fetch, and that the sequence keeps for a session.
pub const BLOCK: i64 = 1_000;

/// Where the key is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// By a `nextval` in region A for each insert.
    Fetched(&'static str),
    /// By a `nextval` in region A for each block of ids, which the client counts through.
    Counted(&'static str),
    /// By the default of the column, in region B.
    Local,
}

/// One way.
#[derive(Debug)]
pub struct Way {
    /// Its name in the figures.
    pub name: &'static str,
    /// The column of the key.
    column: &'static str,
    key: Key,
}

impl Way {
    /// The table of this way.
    pub fn table(&self) -> String {
        format!("orders_{}", self.name)
    }
}

/// All of them.
pub const WAYS: [Way; 7] = [
    Way { name: "central", column: "id bigint PRIMARY KEY", key: Key::Fetched("central_id") },
    Way { name: "cached", column: "id bigint PRIMARY KEY", key: Key::Fetched("cached_id") },
    Way { name: "hi_lo", column: "id bigint PRIMARY KEY", key: Key::Counted("hi_lo_id") },
    Way { name: "uuidv7", column: "id uuid PRIMARY KEY DEFAULT public.uuidv7()", key: Key::Local },
    Way { name: "ulid", column: "id ulid PRIMARY KEY DEFAULT ulid()", key: Key::Local },
    Way { name: "interleaved", column: "id bigserial PRIMARY KEY", key: Key::Local },
    Way {
        name: "partitioned",
        column: "id bigint PRIMARY KEY DEFAULT partitioned_nextval('partitioned_id')",
        key: Key::Local,
    },
];

/// The rest of a row.
const COLUMNS: &str =
    "customer integer NOT NULL, total numeric(12, 2) NOT NULL, created_at timestamptz NOT NULL DEFAULT now()";

/// Makes the sequences of region A.
pub fn prepare_a(client: &mut Client) -> Result<()> {
    client
        .batch_execute(&format!(
            "CREATE SEQUENCE central_id; CREATE SEQUENCE cached_id CACHE {BLOCK}; CREATE SEQUENCE hi_lo_id INCREMENT {BLOCK}"
        ))
        .context("could not create the sequences of region A")
}

/// Makes the tables of region B, which is node 2 of 2.
pub fn prepare_b(client: &mut Client) -> Result<()> {
    client.batch_execute("CREATE SEQUENCE partitioned_id").context("could not create a sequence")?;
    for way in &WAYS {
        client
            .batch_execute(&format!("CREATE TABLE {} ({}, {COLUMNS})", way.table(), way.column))
            .with_context(|| format!("could not create the table {}", way.name))?;
    }
    client
        .batch_execute("SELECT * FROM setup_interleaved_sequences(2, 2, exclude => '{partitioned_id}')")
        .context("could not set region B up as node 2 of 2")
}

/// A client in region B, ready to insert in one way.
pub struct Inserter<'a> {
    near: &'a mut Client,
    insert: Statement,
    far: Option<(&'a mut Client, Statement)>,
    /// What is left of the block in hand.
    block: std::ops::Range<i64>,
    key: Key,
    row: i32,
}

impl<'a> Inserter<'a> {
    /// Prepares its statements.
    pub fn new(way: &Way, near: &'a mut Client, far: &'a mut Client, number: i32) -> Result<Self> {
        let columns = match way.key {
            Key::Local => "(customer, total) VALUES ($1, 19.99)",
            _ => "(customer, total, id) VALUES ($1, 19.99, $2)",
        };
        let insert = near
            .prepare(&format!("INSERT INTO {} {columns}", way.table()))
            .context("could not prepare an insert")?;
        let far = match way.key {
            Key::Local => None,
            Key::Fetched(sequence) | Key::Counted(sequence) => {
                let next = far.prepare(&format!("SELECT nextval('{sequence}')"));
                Some((far, next.context("could not prepare nextval")?))
            }
        };
        Ok(Self { near, insert, far, block: 0..0, key: way.key, row: number })
    }

    /// Inserts a row. Returns how long it waited for the key; nobody waits for what the table makes.
    pub fn insert(&mut self) -> Result<Duration> {
        let asked = Instant::now();
        let (inserted, waited) = match &mut self.far {
            None => (self.near.execute(&self.insert, &[&self.row]), Duration::ZERO),
            Some((far, next)) => {
                if self.block.is_empty() {
                    let first: i64 = far.query_one(&*next, &[]).context("nextval in region A failed")?.get(0);
                    let ids = if matches!(self.key, Key::Counted(_)) { BLOCK } else { 1 };
                    self.block = first..first + ids;
                }
                let key = self.block.next().context("an empty block of ids")?;
                let waited = asked.elapsed();
                (self.near.execute(&self.insert, &[&self.row, &key]), waited)
            }
        };
        inserted.context("an insert in region B failed")?;
        Ok(waited)
    }
}
