//! Replication in every direction between servers, by what the version of PostgreSQL has for it.

mod native;
mod pglogical;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use postgres::Client;

use crate::{InstallTree, Server};

/// How long the servers may take to catch up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What replicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The extension pglogical, before PostgreSQL 16.
    Pglogical,
    /// Publications and subscriptions with `origin = none`, from PostgreSQL 16 on.
    Native,
}

/// What replication has noticed on one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// Conflicts in the server's log.
    pub logged: u64,
    /// Conflicts and errors in the statistics of its subscriptions; pglogical keeps none.
    pub counted: u64,
    /// The first of the log, without time and process.
    pub first: Option<String>,
}

impl Conflicts {
    /// Whether there was none.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.logged == 0 && self.counted == 0
    }
}

impl Method {
    /// The method for the servers of an installation.
    ///
    /// # Errors
    ///
    /// When the server is older than 16 and pglogical is not installed.
    pub fn of(tree: &InstallTree) -> Result<Self> {
        if tree.major() >= 16 {
            return Ok(Self::Native);
        }
        if !tree.has_extension("pglogical") {
            bail!(
                "PostgreSQL {} replicates both ways only with pglogical, which is not installed",
                tree.major()
            );
        }
        Ok(Self::Pglogical)
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pglogical => "pglogical",
            Self::Native => "native logical replication, origin = none",
        }
    }

    /// Lines for postgresql.conf.
    ///
    /// # Errors
    ///
    /// When the server cannot be asked what it knows.
    pub fn settings(self, tree: &InstallTree) -> Result<Vec<&'static str>> {
        let mut settings = vec![
            "wal_level = logical",
            "max_worker_processes = 16",
            "max_replication_slots = 10",
            "max_wal_senders = 10",
            "wal_receiver_status_interval = 1s",
            "wal_retrieve_retry_interval = 1s",
        ];
        if self == Self::Pglogical {
            settings.extend(pglogical::settings(tree)?);
        }
        Ok(settings)
    }

    /// Replicates a database that every server holds already, from each to every other.
    ///
    /// # Errors
    ///
    /// When a server refuses, or does not begin in time.
    pub fn connect_all(self, servers: &[&Server], database: &str) -> Result<()> {
        match self {
            Self::Pglogical => pglogical::connect_all(servers, database),
            Self::Native => native::connect_all(servers, database),
        }
    }

    /// Has every server go on replicating after one was restarted.
    ///
    /// # Errors
    ///
    /// When a server refuses, or does not begin in time.
    pub fn reconnect(self, servers: &[&Server], database: &str) -> Result<()> {
        match self {
            Self::Pglogical => pglogical::reconnect(servers, database),
            Self::Native => native::wait_until_ready(servers, database),
        }
    }

    /// Takes in tables that were created since, on every server.
    ///
    /// # Errors
    ///
    /// When a server refuses.
    pub fn add_tables(self, servers: &[&Server], database: &str, tables: &[&str]) -> Result<()> {
        match self {
            Self::Pglogical => pglogical::add_tables(servers, database, tables),
            Self::Native => native::refresh(servers, database),
        }
    }

    /// What replication has noticed on a server so far.
    ///
    /// # Errors
    ///
    /// When the log or the statistics cannot be read.
    pub fn conflicts(self, server: &Server, database: &str) -> Result<Conflicts> {
        match self {
            Self::Pglogical => pglogical::conflicts(server),
            Self::Native => native::conflicts(server, database),
        }
    }

    /// The state of a server's subscriptions, as the server itself reports it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn status(self, server: &Server, database: &str) -> Result<String> {
        match self {
            Self::Pglogical => pglogical::status(server, database),
            Self::Native => native::status(server, database),
        }
    }

    /// Waits until every server has applied what the others had committed when this was called.
    ///
    /// # Errors
    ///
    /// When that does not happen in time.
    pub fn wait_until_applied(self, servers: &[&Server], database: &str) -> Result<()> {
        wait_until(servers, database, |_| Ok(false)).map(|_| ())
    }

    /// Waits until every server has applied what the others had committed, or fails at it again and again, as native
    /// replication does on a key that is taken. Returns whether everything is applied.
    ///
    /// # Errors
    ///
    /// When neither happens in time.
    pub fn wait_until_applied_or_stopped(self, servers: &[&Server], database: &str) -> Result<bool> {
        wait_until(servers, database, |server| match self {
            // It resolves conflicts and goes on.
            Self::Pglogical => Ok(false),
            Self::Native => Ok(native::failures(server, database)? > 1),
        })
    }
}

/// Waits until what every server has committed is applied by all others, or one of these is stuck. Returns whether
/// it is applied.
fn wait_until(
    servers: &[&Server],
    database: &str,
    is_stuck: impl Fn(&Server) -> Result<bool>,
) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    let mut clients = servers.iter().map(|server| server.connect(database)).collect::<Result<Vec<_>>>()?;
    let positions = clients.iter_mut().map(position).collect::<Result<Vec<_>>>()?;
    while Instant::now() < deadline {
        let (mut applied, mut ended) = (true, true);
        for ((provider, client), position) in servers.iter().zip(&mut clients).zip(&positions) {
            if is_confirmed(client, position, servers.len() - 1)? {
                continue;
            }
            applied = false;
            let mut others = servers.iter().filter(|other| other.name() != provider.name());
            ended &=
                others.try_fold(false, |stuck, other| Ok::<_, anyhow::Error>(stuck || is_stuck(other)?))?;
        }
        if applied || ended {
            return Ok(applied);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("the servers had not applied everything after {} s", PATIENCE.as_secs())
}

/// The end of what is committed so far. Where commits are asynchronous, what is not written yet is not sent: so a
/// commit that is not comes first.
fn position(client: &mut Client) -> Result<String> {
    client
        .batch_execute("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'pg_keyspace', '')")
        .context("could not write to the log")?;
    let query = "SELECT pg_current_wal_flush_lsn()::text";
    client.query_one(query, &[]).map(|row| row.get(0)).context("could not read the position in the log")
}

fn is_confirmed(client: &mut Client, position: &str, slots: usize) -> Result<bool> {
    let query = "SELECT count(*) FROM pg_replication_slots \
                 WHERE slot_type = 'logical' AND NOT temporary AND confirmed_flush_lsn >= $1::text::pg_lsn";
    let confirmed: i64 =
        client.query_one(query, &[&position]).context("could not read the replication slots")?.get(0);
    Ok(usize::try_from(confirmed).is_ok_and(|confirmed| confirmed >= slots))
}

/// Repeats `condition` until it holds.
fn wait_for(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("{what}: not after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The lines of a server's log that contain one of some texts, from there on.
fn lines_of_log(server: &Server, texts: &[&str]) -> Result<Vec<String>> {
    let log = server.log()?;
    let found = log.lines().filter_map(|line| {
        let at = texts.iter().filter_map(|text| line.find(text)).min()?;
        line.get(at..).map(str::to_owned)
    });
    Ok(found.collect())
}
