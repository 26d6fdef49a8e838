//! A client that writes to one node, and keeps its own record of the replies.

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

use super::findings::{Finding, Findings};
use super::gate::Gate;
use super::order::{Incarnation, ServerOrder, SessionOrder};
use super::record::{Change, Outcome, Record};
use super::schema::{Key, TABLES, Table};
use crate::Addresses;

/// The application_name of writers in `pg_stat_activity`.
pub const APPLICATION: &str = "chaos_writer";

/// The most rows of an INSERT, which has at least one.
const MAX_ROWS: usize = 24;

/// A writer that could not write catches up on at most this much time.
const MAX_BACKLOG: Duration = Duration::from_secs(2);

/// The statement timeout. Reaching it is a finding, because no fault lasts that long.
const STATEMENT_TIMEOUT: &str = "150s";

/// The pause after a failed connection.
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
    pub order: ServerOrder,
    /// Rejected statements, by SQLSTATE.
    pub rejected: Mutex<BTreeMap<String, u64>>,
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
    last: SessionOrder,
    incarnation: Incarnation,
}

/// Why a transaction was not acknowledged.
enum Failure {
    /// The server rejected it, and the session continues.
    Rejected(String, String),
    /// The session is lost; true if it was lost at the commit.
    Lost(bool),
}

impl Failure {
    /// If a statement is a transaction of its own, it includes its commit.
    fn of(error: &postgres::Error, at_commit: bool) -> Self {
        match error.as_db_error() {
            Some(reply) if reply.parsed_severity() == Some(Severity::Error) => {
                Self::Rejected(reply.code().code().to_owned(), reply.message().to_owned())
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
            None => Self::Rejected("client".to_owned(), error.to_string()),
        }
    }
}

impl Writer<'_> {
    /// Writes until the gate is closed for good. Its decisions depend on the seed and on the
    /// replies of the server.
    pub fn run(&self, seed: u64) -> Record {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut record = Record::new();
        let mut session = None;
        let mut next = Instant::now();
        while let Some(permit) = self.shared.gate.permit() {
            if session.is_none() {
                session = self.connect();
            }
            let Some(open) = session.as_mut() else {
                drop(permit);
                self.shared.gate.wait_until(Instant::now() + RETRY);
                continue;
            };
            let (changes, is_rolled_back) = self.decide(&mut rng, &record);
            let mut keys = Vec::new();
            let outcome = match self.attempt(open, &record, &changes, is_rolled_back, &mut keys) {
                Ok(outcome) => outcome,
                Err(Failure::Rejected(code, message)) => {
                    self.reject(&code, &message);
                    Outcome::RolledBack
                }
                Err(Failure::Lost(at_commit)) => {
                    session = None;
                    if at_commit { Outcome::Unknown } else { Outcome::RolledBack }
                }
            };
            let before = record.acknowledged[0];
            record.add(&changes, &keys, outcome);
            let inserted = record.acknowledged[0] - before;
            self.shared.inserts.fetch_add(inserted, Ordering::Relaxed);
            drop(permit);
            // At an even pace, however long the server needs.
            next += Duration::from_secs_f64(inserted as f64 / self.rate);
            let now = Instant::now();
            next = next.max(now.checked_sub(MAX_BACKLOG).unwrap_or(now));
            if next > now {
                self.shared.gate.wait_until(next);
            }
        }
        record
    }

    fn connect(&self) -> Option<Session> {
        let address = format!(
            "{} application_name={APPLICATION} options='-c statement_timeout={STATEMENT_TIMEOUT}'",
            self.addresses.of(self.node)
        );
        let mut client = Client::connect(&address, NoTls).ok()?;
        // The memory of the server-wide order is created again together with this process.
        let query = "SELECT backend_start::text FROM pg_stat_activity WHERE backend_type = 'checkpointer'";
        let start: String = client.query_one(query, &[]).ok()?.try_get(0).ok()?;
        Some(Session {
            client,
            statements: HashMap::new(),
            last: SessionOrder::default(),
            incarnation: (self.node, start),
        })
    }

    /// Decides what the next transaction does, and whether it is rolled back at its end.
    fn decide(&self, rng: &mut ChaCha12Rng, record: &Record) -> (Vec<Change>, bool) {
        let count = if rng.random_ratio(1, 4) { rng.random_range(2..=4) } else { 1 };
        let mut touched = Vec::new();
        let mut changes = Vec::new();
        for _ in 0..count {
            let table = self.tables[rng.random_range(0..self.tables.len())];
            // Every decision consumes the same random numbers, so that equal seeds have equal effects as far
            // as possible.
            let (what, rows) = (rng.random_range(0..10_u32), rng.random_range(1..=MAX_ROWS));
            let place: f64 = rng.random();
            let no = (place * record.rows(table).len() as f64) as usize;
            let exists = record.known(table, no).is_some() && !touched.contains(&(table, no));
            changes.push(match what {
                0..=1 if exists => Change::Update { table, no },
                2 if exists => Change::Delete { table, no },
                _ => Change::Insert { table, count: rows },
            });
            touched.push((table, no));
        }
        (changes, count > 1 && rng.random_ratio(1, 8))
    }

    fn attempt(
        &self,
        session: &mut Session,
        record: &Record,
        changes: &[Change],
        is_rolled_back: bool,
        keys: &mut Vec<Vec<u128>>,
    ) -> Result<Outcome, Failure> {
        let is_one = changes.len() == 1;
        if !is_one {
            session.client.batch_execute("BEGIN").map_err(|error| Failure::of(&error, false))?;
        }
        let mut new = [0; TABLES.len()];
        for change in changes {
            if let Err(failure) = self.execute(session, record, *change, &mut new, is_one, keys) {
                if !is_one && matches!(failure, Failure::Rejected(..)) {
                    session.client.batch_execute("ROLLBACK").map_err(|_| Failure::Lost(false))?;
                }
                return Err(failure);
            }
        }
        if is_one {
            return Ok(Outcome::Acknowledged);
        }
        if is_rolled_back {
            session.client.batch_execute("ROLLBACK").map_err(|_| Failure::Lost(false))?;
            return Ok(Outcome::RolledBack);
        }
        session.client.batch_execute("COMMIT").map_err(|error| Failure::of(&error, true))?;
        Ok(Outcome::Acknowledged)
    }

    /// Executes one change. `new` counts the rows that the transaction has inserted so far.
    fn execute(
        &self,
        session: &mut Session,
        record: &Record,
        change: Change,
        new: &mut [usize; TABLES.len()],
        commits: bool,
        keys: &mut Vec<Vec<u128>>,
    ) -> Result<(), Failure> {
        match change {
            Change::Insert { table: at, count } => {
                let first = record.rows(at).len() + new[at];
                new[at] += count;
                let table = &TABLES[at];
                let statement = prepare(session, at, 0, &table.insert())?;
                let bound = self.shared.order.lower_bound(&session.incarnation, table);
                let bounds = [first as i64, (first + count - 1) as i64];
                let rows = session
                    .client
                    .query(&statement, &[&self.number, &bounds[0], &bounds[1]])
                    .map_err(|error| Failure::of(&error, commits))?;
                let new: Vec<u128> = rows.iter().map(|row| key(row, table)).collect();
                let findings = &self.shared.findings;
                session.last.check(table, &new, findings);
                self.shared.order.check(&session.incarnation, table, bound, &new, findings);
                keys.push(new);
            }
            Change::Update { table: at, no } | Change::Delete { table: at, no } => {
                keys.push(Vec::new());
                let table = &TABLES[at];
                let Some(row) = record.known(at, no) else { return Ok(()) };
                let Some(known) = row.key else { return Ok(()) };
                let (number, bytes, no) = (known as i64, known.to_be_bytes(), no as i64);
                let bytes = bytes.as_slice();
                let id: &(dyn ToSql + Sync) = if table.key == Key::Number { &number } else { &bytes };
                let (kind, sql, is_update) = match change {
                    Change::Update { .. } => (1, table.update(), true),
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
                    self.shared.findings.add(Finding::Missing, || {
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

    fn reject(&self, code: &str, message: &str) {
        let mut rejected = self.shared.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        *rejected.entry(code.to_owned()).or_default() += 1;
        drop(rejected);
        // A running server must not reject anything that writers do: they do not change each
        // other's rows.
        self.shared.findings.add(Finding::Rejected, || format!("writer {}: {message} ({code})", self.number));
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
