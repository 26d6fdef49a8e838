//! A client that writes to one node, and keeps its own record of what it was told.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use postgres::error::Severity;
use postgres::types::ToSql;
use postgres::{Client, NoTls, Statement};
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};

use super::findings::{Fault, Findings};
use super::gate::Gate;
use super::order::{Incarnation, OfServers, OfSession};
use super::record::{Deed, Outcome, Record};
use super::schema::{Key, TABLES, Table};
use crate::Addresses;

/// The application_name of writers in `pg_stat_activity`.
pub const APPLICATION: &str = "chaos_writer";

/// The most rows of an INSERT, which has at least one.
const MOST_ROWS: usize = 24;

/// A writer that could not write catches up on this much time.
const MAKES_UP_FOR: Duration = Duration::from_secs(2);

/// The statement timeout. Reaching it is a finding, because no fault lasts that long.
const LONGEST_STATEMENT: &str = "150s";

/// The pause after a refused connection.
const RETRY: Duration = Duration::from_millis(20);

/// What writers share.
pub struct Shared {
    /// The gate that they wait at.
    pub gate: Gate,
    /// Their findings.
    pub findings: Findings,
    /// The number of rows acknowledged so far.
    pub inserts: AtomicU64,
    /// The order of keys over all sessions.
    pub order: OfServers,
    /// Refused statements, by SQLSTATE.
    pub refused: Mutex<BTreeMap<String, u64>>,
}

/// A writer, with its node and rate.
pub struct Writer<'a> {
    /// Its number, which is in its rows.
    pub number: i32,
    /// Its node, counted from 0.
    pub node: usize,
    /// Rows per second that it tries to insert.
    pub rate: f64,
    /// The tables that it writes to.
    pub tables: Vec<usize>,
    /// The addresses of the nodes.
    pub addresses: Addresses,
    /// What all writers share.
    pub shared: &'a Shared,
}

/// A connection.
struct Session {
    client: Client,
    statements: HashMap<(usize, u8), Statement>,
    last: OfSession,
    incarnation: Incarnation,
}

/// Why a transaction was not acknowledged.
enum Failure {
    /// The server refused, and the session continues.
    Refused(String, String),
    /// The session is lost; true if it was lost at the commit.
    Lost(bool),
}

impl Failure {
    /// If a statement is a transaction of its own, it includes its commit.
    fn of(error: &postgres::Error, at_commit: bool) -> Self {
        match error.as_db_error() {
            Some(told) if told.parsed_severity() == Some(Severity::Error) => {
                Self::Refused(told.code().code().to_owned(), told.message().to_owned())
            }
            // Also a "fatal" error at the commit: it may be done, and only the wait for the standby
            // was interrupted.
            Some(_) => Self::Lost(at_commit),
            None if error.is_closed()
                || error.source().is_some_and(|source| source.is::<std::io::Error>()) =>
            {
                Self::Lost(at_commit)
            }
            // An error of this client, such as a value of another type.
            None => Self::Refused("client".to_owned(), error.to_string()),
        }
    }
}

impl Writer<'_> {
    /// Writes until the gate is closed for good. Its decisions depend on the seed and on what it
    /// was told.
    pub fn run(&self, seed: u64) -> Record {
        let mut chance = ChaCha12Rng::seed_from_u64(seed);
        let mut record = Record::new();
        let mut session = None;
        let mut turn = Instant::now();
        while let Some(inside) = self.shared.gate.enter() {
            if session.is_none() {
                session = self.connect();
            }
            let Some(open) = session.as_mut() else {
                drop(inside);
                self.shared.gate.wait_until(Instant::now() + RETRY);
                continue;
            };
            let (deeds, undo) = self.decide(&mut chance, &record);
            let mut keys = Vec::new();
            let outcome = match self.attempt(open, &record, &deeds, undo, &mut keys) {
                Ok(outcome) => outcome,
                Err(Failure::Refused(code, message)) => {
                    self.refused(&code, &message);
                    Outcome::Undone
                }
                Err(Failure::Lost(at_commit)) => {
                    session = None;
                    if at_commit { Outcome::Unknown } else { Outcome::Undone }
                }
            };
            let before = record.acknowledged[0];
            record.add(&deeds, &keys, outcome);
            let inserted = record.acknowledged[0] - before;
            self.shared.inserts.fetch_add(inserted, Ordering::Relaxed);
            drop(inside);
            // At an even pace, however long the server needs.
            turn += Duration::from_secs_f64(inserted as f64 / self.rate);
            let now = Instant::now();
            turn = turn.max(now.checked_sub(MAKES_UP_FOR).unwrap_or(now));
            if turn > now {
                self.shared.gate.wait_until(turn);
            }
        }
        record
    }

    fn connect(&self) -> Option<Session> {
        let address = format!(
            "{} application_name={APPLICATION} options='-c statement_timeout={LONGEST_STATEMENT}'",
            self.addresses.of(self.node)
        );
        let mut client = Client::connect(&address, NoTls).ok()?;
        // The memory of the server-wide order is created again together with this process.
        let query = "SELECT backend_start::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
        let start: String = client.query_one(query, &[]).ok()?.try_get(0).ok()?;
        Some(Session {
            client,
            statements: HashMap::new(),
            last: OfSession::default(),
            incarnation: (self.node, start),
        })
    }

    /// Decides what the next transaction does, and whether it is rolled back at its end.
    fn decide(&self, chance: &mut ChaCha12Rng, record: &Record) -> (Vec<Deed>, bool) {
        let count = if chance.random_ratio(1, 4) { chance.random_range(2..=4) } else { 1 };
        let mut touched = Vec::new();
        let mut deeds = Vec::new();
        for _ in 0..count {
            let table = self.tables[chance.random_range(0..self.tables.len())];
            // All numbers are drawn, so that equal seeds have equal effects as far as possible.
            let (what, rows) = (chance.random_range(0..10_u32), chance.random_range(1..=MOST_ROWS));
            let place: f64 = chance.random();
            let no = (place * record.rows(table).len() as f64) as usize;
            let is_there = record.settled(table, no).is_some() && !touched.contains(&(table, no));
            deeds.push(match what {
                0..=1 if is_there => Deed::Update { table, no },
                2 if is_there => Deed::Delete { table, no },
                _ => Deed::Insert { table, count: rows },
            });
            touched.push((table, no));
        }
        (deeds, count > 1 && chance.random_ratio(1, 8))
    }

    fn attempt(
        &self,
        session: &mut Session,
        record: &Record,
        deeds: &[Deed],
        undo: bool,
        keys: &mut Vec<Vec<u128>>,
    ) -> Result<Outcome, Failure> {
        let is_one = deeds.len() == 1;
        if !is_one {
            session.client.batch_execute("BEGIN").map_err(|error| Failure::of(&error, false))?;
        }
        let mut new = [0; TABLES.len()];
        for deed in deeds {
            if let Err(failure) = self.execute(session, record, *deed, &mut new, is_one, keys) {
                if !is_one && matches!(failure, Failure::Refused(..)) {
                    session.client.batch_execute("ROLLBACK").map_err(|_| Failure::Lost(false))?;
                }
                return Err(failure);
            }
        }
        if is_one {
            return Ok(Outcome::Acknowledged);
        }
        if undo {
            session.client.batch_execute("ROLLBACK").map_err(|_| Failure::Lost(false))?;
            return Ok(Outcome::Undone);
        }
        session.client.batch_execute("COMMIT").map_err(|error| Failure::of(&error, true))?;
        Ok(Outcome::Acknowledged)
    }

    /// Does one deed. `new` counts the rows that the transaction has inserted so far.
    fn execute(
        &self,
        session: &mut Session,
        record: &Record,
        deed: Deed,
        new: &mut [usize; TABLES.len()],
        commits: bool,
        keys: &mut Vec<Vec<u128>>,
    ) -> Result<(), Failure> {
        match deed {
            Deed::Insert { table: at, count } => {
                let first = record.rows(at).len() + new[at];
                new[at] += count;
                let table = &TABLES[at];
                let statement = prepare(session, at, 0, &table.insert())?;
                let before = self.shared.order.before(&session.incarnation, table);
                let bounds = [first as i64, (first + count - 1) as i64];
                let rows = session
                    .client
                    .query(&statement, &[&self.number, &bounds[0], &bounds[1]])
                    .map_err(|error| Failure::of(&error, commits))?;
                let given: Vec<u128> = rows.iter().map(|row| key(row, table)).collect();
                let findings = &self.shared.findings;
                session.last.look(table, &given, findings);
                self.shared.order.look(&session.incarnation, table, before, &given, findings);
                keys.push(given);
            }
            Deed::Update { table: at, no } | Deed::Delete { table: at, no } => {
                keys.push(Vec::new());
                let table = &TABLES[at];
                let Some(row) = record.settled(at, no) else { return Ok(()) };
                let Some(known) = row.key else { return Ok(()) };
                let (number, bytes, no) = (known as i64, known.to_be_bytes(), no as i64);
                let bytes = bytes.as_slice();
                let id: &(dyn ToSql + Sync) = if table.key == Key::Number { &number } else { &bytes };
                let (kind, sql, is_update) = match deed {
                    Deed::Update { .. } => (1, table.update(), true),
                    _ => (2, table.delete(), false),
                };
                let statement = prepare(session, at, kind, &sql)?;
                let mut values: Vec<&(dyn ToSql + Sync)> = vec![id, &self.number, &no];
                if is_update {
                    values.push(&row.version);
                }
                let done = session
                    .client
                    .execute(&statement, &values)
                    .map_err(|error| Failure::of(&error, commits))?;
                if done != 1 {
                    self.shared.findings.add(Fault::Missing, || {
                        format!(
                            "row {no} of writer {} was not in {} when it was changed",
                            self.number, table.name
                        )
                    });
                }
            }
        }
        Ok(())
    }

    fn refused(&self, code: &str, message: &str) {
        let mut refused = self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(code.to_owned()).or_default() += 1;
        drop(refused);
        // A running server must not refuse anything that writers do: they do not change each
        // other's rows.
        self.shared.findings.add(Fault::Refused, || format!("writer {}: {message} ({code})", self.number));
    }
}

/// Nothing is executed here, so if the connection is lost, nothing is committed.
fn prepare(session: &mut Session, at: usize, kind: u8, sql: &str) -> Result<Statement, Failure> {
    if let Some(statement) = session.statements.get(&(at, kind)) {
        return Ok(statement.clone());
    }
    let statement = session.client.prepare(sql).map_err(|error| Failure::of(&error, false))?;
    session.statements.insert((at, kind), statement.clone());
    Ok(statement)
}

fn key(row: &postgres::Row, table: &Table) -> u128 {
    match table.key {
        Key::Number => row.get::<_, i64>(0) as u128,
        Key::Uuid | Key::Ulid => {
            row.get::<_, &[u8]>(0).iter().fold(0, |key, byte| key << 8 | u128::from(*byte))
        }
    }
}
