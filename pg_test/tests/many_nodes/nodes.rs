//! Databases with the same schema and the same rows, and their writers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pg_test::load::{self, Count, Session, Stop};
use pg_test::{InstallTree, Server};
use postgres::Client;

use crate::drawn::{Drawn, Value};
use crate::schema::{Schema, Table};

/// One server; database `n1` is node 1, and so on.
pub struct Nodes {
    pub server: Server,
    pub schema: Schema,
    pub count: usize,
}

impl Nodes {
    pub fn start(schema: Schema, count: usize) -> Self {
        let tree = InstallTree::from_environment().unwrap();
        let settings = ["max_connections = 200", "synchronous_commit = on"];
        let server = Server::start(&tree, "nodes", &settings).unwrap();
        let mut client = server.connect("postgres").unwrap();
        client.batch_execute("CREATE DATABASE origin").unwrap();
        {
            let mut origin = server.connect("origin").unwrap();
            for statement in &schema.statements {
                origin
                    .batch_execute(statement)
                    .unwrap_or_else(|error| panic!("{statement}: {}", reason(&error)));
            }
        }
        let nodes = Self { server, schema, count };
        for node in 1..=count {
            // The connection that filled the template may need a moment to end.
            let deadline = Instant::now() + Duration::from_secs(20);
            while let Err(error) = client.batch_execute(&format!("CREATE DATABASE n{node} TEMPLATE origin")) {
                assert!(Instant::now() < deadline, "{error}");
            }
            let mut database = nodes.connect(node);
            database.batch_execute("CREATE EXTENSION pg_keyspace").unwrap();
            for statement in &nodes.schema.with_extension {
                database.batch_execute(statement).unwrap();
            }
        }
        nodes
    }

    pub fn connect(&self, node: usize) -> Client {
        self.server.connect(&format!("n{node}")).unwrap()
    }

    /// Sets up a database as its node, in one of the two forms. The sequence of
    /// `partitioned_nextval` is excluded.
    pub fn set_up(&self, node: usize, in_batches: bool) {
        let arguments = format!("{node}, {}, exclude => '{{drawn_on}}'", self.count);
        let statement = if in_batches {
            format!("CALL setup_interleaved_sequences_in_batches({arguments})")
        } else {
            format!("SELECT * FROM setup_interleaved_sequences({arguments}, lock_timeout => '20 s')")
        };
        self.connect(node)
            .batch_execute(&statement)
            .unwrap_or_else(|error| panic!("{statement}: {}", reason(&error)));
    }

    /// Two writers for each node insert into every table while `meanwhile` runs, and for some
    /// rounds more. `meanwhile` sets a flag for each node when its set-up has returned. If it
    /// panics, the writers end, too.
    pub fn write_while(&self, rounds: usize, meanwhile: impl FnOnce(&[AtomicBool])) -> Vec<Drawn> {
        let is_set_up: Vec<AtomicBool> = (0..self.count).map(|_| AtomicBool::new(false)).collect();
        let begun = Count::default();
        let mut writers: Vec<Session<'_, (usize, Drawn)>> = Vec::new();
        for writer in 0..2 * self.count {
            let (at, begun) = (writer / 2, &begun);
            let is_set_up = &is_set_up[at];
            writers.push(Box::new(move |stop| {
                Ok(vec![(at, self.write(at + 1, rounds, is_set_up, stop, begun))])
            }));
        }
        let (written, ()) = load::alongside(writers, || {
            // All writers write before the first set-up.
            begun.wait_for(2 * self.count as u64)?;
            meanwhile(&is_set_up);
            Ok(())
        })
        .unwrap();
        let mut drawn = vec![Drawn::default(); self.count];
        for (at, of_writer) in written {
            drawn[at].merge(of_writer);
        }
        drawn
    }

    fn write(&self, node: usize, rounds: usize, is_set_up: &AtomicBool, stop: &Stop, begun: &Count) -> Drawn {
        let mut client = self.connect(node);
        let mut drawn = Drawn::default();
        let mut left = rounds;
        let mut round = 0;
        while left > 0 {
            left -= usize::from(stop.wait(Duration::ZERO));
            for table in self.schema.tables.iter().filter(|table| round < table.rounds) {
                let after_set_up = is_set_up.load(Ordering::SeqCst);
                match insert(&mut client, table) {
                    Ok(value) => drawn.add(&table.sequence, Value { value, after_set_up }),
                    // Before its set-up a database has no node, and its sequences reach existing
                    // rows.
                    Err(error) if !after_set_up && ["55000", "23505"].contains(&code(&error)) => {}
                    Err(error) => panic!("node {node}, {}: {}", table.name, reason(&error)),
                }
            }
            if round == 0 {
                begun.add();
            }
            round += 1;
        }
        drawn
    }
}

/// Inserts a row and returns its key.
pub fn insert(client: &mut Client, table: &Table) -> Result<i64, postgres::Error> {
    let insert = format!("INSERT INTO {} (v) VALUES (1) RETURNING id::bigint", table.name);
    Ok(client.query_one(&insert, &[])?.get(0))
}

/// The SQLSTATE of an error.
pub fn code(error: &postgres::Error) -> &str {
    error.code().map_or("none", |code| code.code())
}

/// The server's error message.
fn reason(error: &postgres::Error) -> String {
    let Some(reply) = error.as_db_error() else { return error.to_string() };
    format!("{}: {} {}", code(error), reply.message(), reply.detail().unwrap_or_default())
}
