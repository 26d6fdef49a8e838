//! Drawing ids in every way, and recording them.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use postgres::Client;

use crate::definitions::{Source, Table, literal};
use crate::node::{Node, code, reason};
use crate::world::{LeftOut, World};

/// How ids are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Nextval,
    PartitionedNextval,
    Insert,
    Copy,
}

pub const WAYS: [Way; 6] =
    [Way::Insert, Way::Insert, Way::Nextval, Way::PartitionedNextval, Way::Copy, Way::Insert];

/// How many rows a client inserts before the server is killed.
const ROWS_TO_A_CRASH: u64 = 20;

/// The statement that inserts `count` rows and returns the values that were drawn.
fn insert(table: &Table, sequence: &str, block: i64, count: u64) -> String {
    let (name, column) = (&table.name, &table.column);
    match table.source {
        Source::Default => format!(
            "INSERT INTO {name} (v) SELECT 0 FROM generate_series(1, {count}) RETURNING {}",
            table.id()
        ),
        Source::Application => format!(
            "INSERT INTO {name} ({column}, v) SELECT nextval({}), 0 FROM generate_series(1, {count}) RETURNING {}",
            literal(sequence),
            table.id()
        ),
        Source::Blocks => format!(
            "WITH drawn AS MATERIALIZED (SELECT nextval({}) AS n FROM generate_series(1, {count})),
                  inserted AS (INSERT INTO {name} ({column}, v)
                      SELECT n + o, 0 FROM drawn, (VALUES (0), ({block} - 1)) AS o (o))
             SELECT n FROM drawn",
            literal(sequence)
        ),
    }
}

/// Copies `count` rows into a table whose ids come from a default, and returns the ids.
fn copy(client: &mut Client, table: &Table, count: u64) -> Result<Vec<i64>, postgres::Error> {
    let marker: i64 =
        client.query_one(&format!("SELECT coalesce(max(v), 0) + 1 FROM {}", table.name), &[])?.get(0);
    let mut writer = client.copy_in(&format!("COPY {} (v) FROM STDIN", table.name))?;
    for _ in 0..count {
        // An error of the server is returned by `finish`.
        let _ = writeln!(writer, "{marker}");
    }
    writer.finish()?;
    let ids = format!("SELECT {} FROM {} WHERE v = $1", table.id(), table.name);
    Ok(client.query(&ids, &[&marker])?.iter().map(|row| row.get(0)).collect())
}

impl World<'_> {
    /// Draws ids on a node and records them.
    pub fn draw(&mut self, node: usize, sequence: usize, way: Way, count: u64) -> Result<()> {
        let of = &self.definitions.sequences[sequence];
        let table = match (way, of.tables.len()) {
            (Way::Nextval | Way::PartitionedNextval, _) => None,
            (_, tables) => Some(&self.definitions.tables[of.tables[count as usize % tables]]),
        };
        let (client, name) =
            (self.nodes[node].as_mut().expect("it exists").client(self.server)?, literal(&of.name));
        let drawn = match (way, table) {
            (Way::Copy, Some(table)) if table.source == Source::Default => copy(client, table, count),
            (_, Some(table)) => query(client, &insert(table, &of.name, of.block, count)),
            (Way::PartitionedNextval, _) if of.block == 1 => {
                query(client, &format!("SELECT partitioned_nextval({name}) FROM generate_series(1, {count})"))
            }
            _ => query(client, &format!("SELECT nextval({name}) FROM generate_series(1, {count})")),
        };
        match drawn {
            Ok(ids) => ids.into_iter().try_for_each(|id| self.record(node, sequence, id)),
            Err(error) => self.expect_refusal(node, sequence, &error),
        }
    }

    /// All processes of the server are killed while a client inserts rows, and the server recovers.
    /// Rows that the client was told about count, and those in doubt that exist.
    pub fn crash(&mut self, node: usize, sequence: usize) -> Result<()> {
        self.nodes.iter_mut().flatten().for_each(Node::disconnect);
        let of = &self.definitions.sequences[sequence];
        let table = of.tables[0];
        let before = self.ids(node, table)?;
        let insert = insert(&self.definitions.tables[table], &of.name, of.block, 1);
        let (on, server) = self.node(node);
        let mut client = server.connect(&on.database)?;
        on.disconnect();
        let written = AtomicU64::new(0);
        let told = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut told = Vec::new();
                // Until the connection breaks, or the sequence is used up.
                while let Ok(ids) = query(&mut client, &insert) {
                    told.extend(ids);
                    written.fetch_add(1, Ordering::Relaxed);
                }
                told
            });
            while !writer.is_finished() && written.load(Ordering::Relaxed) < ROWS_TO_A_CRASH {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.server.kill9_all()?;
            writer.join().map_err(|_| anyhow!("a writer panicked"))
        })?;
        self.server.launch().context("the server does not recover")?;
        told.iter().try_for_each(|id| self.record(node, sequence, *id))?;
        if of.block > 1 || of.cycles {
            return Ok(());
        }
        let in_doubt = self.ids(node, table)?;
        in_doubt
            .into_iter()
            .filter(|id| !before.contains(id) && !told.contains(id))
            .try_for_each(|id| self.record(node, sequence, id))
    }

    /// An id has been handed out. This is the invariant that everything else serves.
    fn record(&mut self, node: usize, sequence: usize, id: i64) -> Result<()> {
        let of = &self.definitions.sequences[sequence];
        let before = self.ledger.hand_out(sequence, id, of.block, self.owner(node, sequence));
        let before = before.filter(|(_, owner)| !of.cycles || owner.node != node);
        if !self.is_safe[sequence] {
            return Ok(());
        }
        if let Some((other, owner)) = before {
            bail!(
                "handed out twice: {other} of {} by node {}, and then {id} by node {node}",
                of.name,
                owner.node
            );
        }
        match self.class(node) {
            // Not where it would hide the duplicates that a run is to find.
            Some(class) if of.block == 1 && self.left_out == LeftOut::Nothing && !class.contains(id) => {
                bail!("of another class: node {node}, {class:?}, handed out {id} of {}", of.name)
            }
            _ => Ok(()),
        }
    }

    /// Whether an error is right that a client gets instead of ids.
    fn expect_refusal(&self, node: usize, sequence: usize, error: &postgres::Error) -> Result<()> {
        let of = &self.definitions.sequences[sequence];
        let is_left_out = self.left_out != LeftOut::Nothing;
        let is_right = match code(error) {
            // Used up: the sequence, or the type of the column.
            "2200H" | "22003" => true,
            // Ids that exist, or no node or a sequence outside of the class.
            "23505" => !self.is_safe[sequence] || !of.is_visible || is_left_out,
            "55000" => !self.is_safe[sequence] || is_left_out,
            _ => false,
        };
        if is_right {
            return Ok(());
        }
        bail!("refused: node {node}, {}: {}", of.name, reason(error))
    }
}

fn query(client: &mut Client, sql: &str) -> Result<Vec<i64>, postgres::Error> {
    Ok(client.query(sql, &[])?.iter().map(|row| row.get(0)).collect())
}
