//! A database of many tables with serial keys, whose sequences are set up and brought back.

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::super::server;

/// Statements of one transaction; more would only hold more locks.
const CHUNK: u32 = 1_000;

/// What the set-up comes down to without reading anything: one statement for each sequence. The tables hold the ids 1
/// to 20, and 21 is of the class of node 1 of 2.
const ALTER: &str = "INCREMENT BY 2 START WITH 1 RESTART WITH 21";

/// What undoes it.
const UNDO: &str = "INCREMENT BY 1 START WITH 1 RESTART WITH 21";

/// What a set-up leaves dead rows in, as far as it exists.
pub const CATALOGS: [&str; 5] = [
    "pg_class",
    "pg_sequence",
    "pg_depend",
    "keyspace_internal.interleaved_node",
    "keyspace_internal.interleaved_sequence",
];

/// The sequences that are set up.
const SEQUENCES: &str =
    "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND n.nspname IN ('filled', 'plain') ORDER BY c.oid";

/// The database.
pub struct Filled<'a> {
    server: &'a Server,
    sequences: u32,
}

impl<'a> Filled<'a> {
    /// Creates it with so many tables of twenty rows.
    ///
    /// # Errors
    ///
    /// When a statement fails.
    pub fn create(server: &'a Server, tables: u32) -> Result<Self> {
        let mut client = server::create_database(server, "filled")?;
        client
            .batch_execute("CREATE SCHEMA filled; CREATE SCHEMA plain")
            .context("could not create the schemas")?;
        in_chunks(
            &mut client,
            tables,
            "EXECUTE format('CREATE TABLE filled.t%s (id bigserial PRIMARY KEY, v int)', i);
             EXECUTE format('INSERT INTO filled.t%s (v) SELECT generate_series(1, 20)', i);",
        )?;
        client.batch_execute("ANALYZE").context("could not analyze")?;
        Ok(Self { server, sequences: tables })
    }

    /// Adds so many sequences that feed no table.
    ///
    /// # Errors
    ///
    /// When a statement fails.
    pub fn add_plain(&mut self, sequences: u32) -> Result<()> {
        let mut client = self.connect()?;
        in_chunks(&mut client, sequences, "EXECUTE format('CREATE SEQUENCE plain.s%s', i);")?;
        client.batch_execute("ANALYZE").context("could not analyze")?;
        self.sequences += sequences;
        Ok(())
    }

    /// How many sequences there are.
    pub fn sequences(&self) -> u32 {
        self.sequences
    }

    /// A new session.
    ///
    /// # Errors
    ///
    /// When the server does not let us.
    pub fn connect(&self) -> Result<Client> {
        self.server.connect("filled")
    }

    /// Brings everything to where it was before a set-up, so that what follows starts alike: sequences, identity,
    /// bloat of the catalogs and what a checkpoint has to do.
    ///
    /// # Errors
    ///
    /// When a statement fails.
    pub fn restore(&self) -> Result<()> {
        let mut client = self.connect()?;
        client.batch_execute(&bare_loop(UNDO, Some(CHUNK))).context("could not bring the sequences back")?;
        forget_set_up(&mut client)?;
        server::tidy(&mut client, &CATALOGS)
    }

    /// Fails unless every sequence has been set up: otherwise something else was measured.
    ///
    /// # Errors
    ///
    /// When one has not been.
    pub fn check_is_set_up(&self) -> Result<()> {
        let done = server::number(
            &mut self.connect()?,
            "SELECT count(*) FROM pg_sequences WHERE increment_by = 2 AND schemaname IN ('filled', 'plain')",
        )?;
        ensure!(done == i64::from(self.sequences), "of {} sequences {done} have been set up", self.sequences);
        Ok(())
    }
}

/// The statements of a set-up alone, in one transaction.
pub fn bare_loop_in_one_transaction() -> String {
    bare_loop(ALTER, None)
}

/// The statements of a set-up alone, each in a transaction of its own.
pub fn bare_loop_in_transactions() -> String {
    bare_loop(ALTER, Some(1))
}

/// Takes away what the extension notes of a set-up.
///
/// # Errors
///
/// When a statement fails.
pub fn forget_set_up(client: &mut Client) -> Result<()> {
    client
        .batch_execute(
            "CREATE EXTENSION IF NOT EXISTS pg_keyspace_test;
             CALL keyspace_test.forget_node();
             CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.interleaved_sequence')",
        )
        .context("could not take away what the set-up noted")
}

/// A DO block that alters each sequence, and commits after so many where it does at all.
fn bare_loop(alter: &str, commit_after: Option<u32>) -> String {
    let commit = commit_after
        .map(|n| format!("done := done + 1; IF done % {n} = 0 THEN COMMIT; END IF;"))
        .unwrap_or_default();
    format!(
        "DO $$
         DECLARE
             s record;
             done int := 0;
         BEGIN
             FOR s IN {SEQUENCES} LOOP
                 EXECUTE format('ALTER SEQUENCE %I.%I {alter}', s.nspname, s.relname);
                 {commit}
             END LOOP;
         END $$"
    )
}

/// Runs PL/pgSQL for every `i` from 1 to `last`, a transaction for each chunk.
fn in_chunks(client: &mut Client, last: u32, body: &str) -> Result<()> {
    for first in (1..=last).step_by(CHUNK as usize) {
        let last = last.min(first + CHUNK - 1);
        client
            .batch_execute(&format!("DO $$ BEGIN FOR i IN {first}..{last} LOOP {body} END LOOP; END $$"))
            .context("could not create tables or sequences")?;
    }
    Ok(())
}
