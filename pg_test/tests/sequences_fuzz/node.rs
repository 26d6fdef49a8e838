//! A node: a database, a connection to it, and what the fuzzer knows about it.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pg_test::Server;
use postgres::{Client, SimpleQueryMessage};

use crate::ledger::Period;

/// The class of a node: `node` of `nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    pub node: i64,
    pub nodes: i64,
}

impl Class {
    pub fn contains(self, value: i64) -> bool {
        (value - self.node).rem_euclid(self.nodes) == 0
    }

    /// Whether both have values in common.
    pub fn meets(self, other: Self) -> bool {
        let (mut divisor, mut rest) = (self.nodes, other.nodes);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        (self.node - other.node) % divisor == 0
    }
}

/// A row of a result, as text.
pub type Row = Vec<Option<String>>;

/// A node.
pub struct Node {
    pub database: String,
    client: Option<Client>,
    /// The class that it was given, or is to get back after a restore; none before its first set-up
    /// and after a reset.
    pub class: Option<Class>,
    /// The current period of each sequence.
    pub periods: Vec<Period>,
    /// How many times faster it writes than the slowest.
    pub speed: u64,
}

impl Node {
    pub fn new(database: String, class: Option<Class>, periods: Vec<Period>, speed: u64) -> Self {
        Self { database, client: None, class, periods, speed }
    }

    /// Its connection, which is opened again after a crash or a copy.
    pub fn client(&mut self, server: &Server) -> Result<&mut Client> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            self.client = Some(server.connect(&self.database)?);
        }
        self.client.as_mut().context("it was just opened")
    }

    /// Ends its session, which forgets the values that it has cached.
    pub fn disconnect(&mut self) {
        self.client = None;
    }

    /// Runs statements as psql does, and returns all rows of their results.
    pub fn rows(&mut self, server: &Server, sql: &str) -> Result<Vec<Row>, postgres::Error> {
        let client = self.client(server).expect("the server accepts connections");
        let mut rows = Vec::new();
        for message in client.simple_query(sql)? {
            if let SimpleQueryMessage::Row(row) = message {
                rows.push((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect());
            }
        }
        Ok(rows)
    }

    /// The numbers in the first column of a result.
    pub fn numbers(&mut self, server: &Server, sql: &str) -> Result<Vec<i64>, postgres::Error> {
        let client = self.client(server).expect("the server accepts connections");
        Ok(client.query(sql, &[])?.iter().map(|row| row.get(0)).collect())
    }

    /// Its state, for the other nodes.
    pub fn state(&mut self, server: &Server, arguments: &str) -> Result<String> {
        let sql = format!("SELECT interleaved_node_state({arguments})::text");
        let rows = self.rows(server, &sql).map_err(|error| anyhow::anyhow!("{}", reason(&error)))?;
        rows.into_iter().flatten().flatten().next().context("a node has a state")
    }
}

/// The SQLSTATE of an error.
pub fn code(error: &postgres::Error) -> &str {
    error.code().map_or("none", |code| code.code())
}

/// The server's error message.
pub fn reason(error: &postgres::Error) -> String {
    let Some(reply) = error.as_db_error() else { return error.to_string() };
    format!("{}: {} {}", code(error), reply.message(), reply.detail().unwrap_or_default())
}

/// Copies a database to which the caller has no connection any more.
pub fn copy_database(server: &Server, from: &str, to: &str) -> Result<()> {
    let mut client = server.connect("postgres")?;
    let sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1";
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.query_one(sessions, &[&from])?.get::<_, i64>(0) > 0 {
        if Instant::now() > deadline {
            bail!("sessions of database {from} do not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    client.batch_execute(&format!("CREATE DATABASE {to} TEMPLATE {from}"))?;
    Ok(())
}

/// Restores a dump of one database into another, which is empty.
pub fn dump_and_restore(server: &Server, from: &str, to: &str) -> Result<()> {
    let dump = server
        .tree()
        .command("pg_dump")
        .arg(server.conninfo(from))
        .stdin(Stdio::null())
        .output()
        .context("could not run pg_dump")?;
    ensure!(dump.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dump.stderr));
    let mut psql = server
        .tree()
        .command("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1"])
        .arg(server.conninfo(to))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("could not run psql")?;
    psql.stdin.take().context("it has an input")?.write_all(&dump.stdout)?;
    ensure!(psql.wait()?.success(), "psql could not restore a dump");
    Ok(())
}

pub fn drop_database(server: &Server, name: &str) -> Result<()> {
    let mut client = server.connect("postgres")?;
    client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
    Ok(())
}
