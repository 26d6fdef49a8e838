//! Replication in every direction between servers, with the method that the version of PostgreSQL
//! supports.

mod native;
mod pglogical;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use postgres::Client;

use crate::{InstallTree, Server};

/// The time limit for the servers to catch up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The replication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The extension pglogical, before PostgreSQL 16.
    Pglogical,
    /// Publications and subscriptions with `origin = none`, from PostgreSQL 16 on.
    Native,
}

/// How a subscriber (the second server) connects to its provider, and a server to itself.
pub type Road<'a> = dyn Fn(&Server, &Server) -> String + 'a;

/// The conflicts and errors of replication on one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// Conflicts in the server's log.
    pub logged: u64,
    /// Conflicts and errors in the statistics of its subscriptions. pglogical has no statistics.
    pub counted: u64,
    /// How many of these are errors. A lost connection is one of them.
    pub errors: u64,
    /// The first one in the log, without time and process.
    pub first: Option<String>,
}

impl Conflicts {
    /// Whether there are none.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.logged == 0 && self.counted == 0
    }

    /// A summary of the log, if it contains any.
    fn logged_lines(&self) -> Option<String> {
        self.first.as_ref().map(|first| format!("{} conflicts, the first: {first}", self.logged))
    }

    /// How many are certainly conflicts, if connections were cut deliberately.
    #[must_use]
    pub fn of_rows(&self) -> u64 {
        self.logged.max(self.counted.saturating_sub(self.errors))
    }
}

impl Method {
    /// The method for the servers of an installation.
    ///
    /// # Errors
    ///
    /// If the server is older than 16 and pglogical is not installed.
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

    /// Its name.
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
    /// If the server's version or settings cannot be read.
    pub fn settings(self, tree: &InstallTree) -> Result<Vec<&'static str>> {
        let mut settings = vec![
            "wal_level = logical",
            "max_worker_processes = 24",
            "max_logical_replication_workers = 8",
            "max_replication_slots = 20",
            "max_wal_senders = 20",
            "wal_receiver_status_interval = 1s",
            "wal_retrieve_retry_interval = 1s",
        ];
        if self == Self::Pglogical {
            settings.extend(pglogical::settings(tree)?);
        }
        Ok(settings)
    }

    /// Replicates a database that every server has already, from each to every other one.
    ///
    /// # Errors
    ///
    /// If a server returns an error, or does not begin in time.
    pub fn connect_all(self, servers: &[&Server], database: &str) -> Result<()> {
        self.connect_all_by(servers, database, &|provider, _| provider.conninfo(database))
    }

    /// The same over given connections: how a server's subscriber (the second one) reaches it.
    ///
    /// # Errors
    ///
    /// If a server returns an error, or does not begin in time.
    pub fn connect_all_by(self, servers: &[&Server], database: &str, road: &Road<'_>) -> Result<()> {
        for server in servers {
            self.provide(server, database, &road(server, server))?;
        }
        for subscriber in servers {
            for provider in servers.iter().filter(|provider| provider.name() != subscriber.name()) {
                self.subscribe(subscriber, provider, database, &road(provider, subscriber))?;
            }
        }
        self.wait_until_connected(servers, database)
    }

    /// Adds a server that has the same contents as the others, which already replicate.
    ///
    /// # Errors
    ///
    /// If a server returns an error, or does not begin in time.
    pub fn join(self, new: &Server, others: &[&Server], database: &str, road: &Road<'_>) -> Result<()> {
        self.provide(new, database, &road(new, new))?;
        for other in others {
            self.subscribe(new, other, database, &road(other, new))?;
            self.subscribe(other, new, database, &road(new, other))?;
        }
        let all: Vec<&Server> = others.iter().copied().chain([new]).collect();
        self.wait_until_connected(&all, database)
    }

    /// Removes a server. Changes that it has not sent are not sent any more. All servers must be
    /// running.
    ///
    /// # Errors
    ///
    /// If a server returns an error.
    pub fn leave(self, gone: &Server, others: &[&Server], database: &str) -> Result<()> {
        for other in others {
            self.unsubscribe(gone, other, database)?;
            self.unsubscribe(other, gone, database)?;
        }
        Ok(())
    }

    /// Lines for postgresql.conf that keep a copy of a server from replicating in its place until
    /// `forget`.
    #[must_use]
    pub fn quiet_settings(self) -> &'static [&'static str] {
        match self {
            Self::Pglogical => &["shared_preload_libraries = 'pg_keyspace'"],
            Self::Native => &["max_logical_replication_workers = 0"],
        }
    }

    /// Removes the replication setup from a copy of a server. Returns the lines for postgresql.conf
    /// that let it replicate again, from the next start on.
    ///
    /// # Errors
    ///
    /// If the server returns an error.
    pub fn forget(self, copy: &Server, database: &str) -> Result<Vec<&'static str>> {
        let mut client = copy.connect(database)?;
        match self {
            Self::Pglogical => {
                client
                    .batch_execute(
                        "DROP EXTENSION pglogical CASCADE;
                         SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin",
                    )
                    .context("could not remove pglogical")?;
                self.settings(copy.tree())
            }
            Self::Native => {
                native::forget(&mut client)?;
                Ok(vec!["max_logical_replication_workers = 8"])
            }
        }
    }

    fn provide(self, server: &Server, database: &str, conninfo: &str) -> Result<()> {
        match self {
            Self::Pglogical => pglogical::provide(server, database, conninfo),
            Self::Native => native::provide(server, database),
        }
    }

    fn subscribe(self, to: &Server, from: &Server, database: &str, conninfo: &str) -> Result<()> {
        match self {
            Self::Pglogical => pglogical::subscribe(to, from, database, conninfo),
            Self::Native => native::subscribe(to, from, database, conninfo),
        }
    }

    fn unsubscribe(self, to: &Server, from: &Server, database: &str) -> Result<()> {
        match self {
            Self::Pglogical => pglogical::unsubscribe(to, from, database),
            Self::Native => native::unsubscribe(to, from, database),
        }
    }

    fn wait_until_connected(self, servers: &[&Server], database: &str) -> Result<()> {
        match self {
            Self::Pglogical => pglogical::wait_until_connected(servers, database),
            Self::Native => native::wait_until_ready(servers, database),
        }
    }

    /// Resumes replication on every server after one was restarted.
    ///
    /// # Errors
    ///
    /// If a server returns an error, or does not begin in time.
    pub fn reconnect(self, servers: &[&Server], database: &str) -> Result<()> {
        match self {
            Self::Pglogical => pglogical::reconnect(servers, database),
            Self::Native => native::wait_until_ready(servers, database),
        }
    }

    /// Adds tables that were created later, on every server.
    ///
    /// # Errors
    ///
    /// If a server returns an error.
    pub fn add_tables(self, servers: &[&Server], database: &str, tables: &[&str]) -> Result<()> {
        match self {
            Self::Pglogical => pglogical::add_tables(servers, database, tables),
            Self::Native => native::refresh(servers, database),
        }
    }

    /// The conflicts and errors of replication on a server so far.
    ///
    /// # Errors
    ///
    /// If the log or the statistics cannot be read.
    pub fn conflicts(self, server: &Server, database: &str) -> Result<Conflicts> {
        self.conflicts_but_at_rest(server, database, None)
    }

    /// The same, without changes of rows that had not been changed since a moment at which
    /// everything was applied. If rows were copied from server to server, the first change of each
    /// is reported as one of another origin.
    ///
    /// # Errors
    ///
    /// If the log or the statistics cannot be read.
    pub fn conflicts_but_at_rest(
        self,
        server: &Server,
        database: &str,
        at_rest: Option<&str>,
    ) -> Result<Conflicts> {
        match self {
            Self::Pglogical => pglogical::conflicts(server, at_rest),
            Self::Native => native::conflicts(server, database),
        }
    }

    /// Lines about conflicts in the log of a server, which may have ended: how many, and the first
    /// one.
    ///
    /// # Errors
    ///
    /// If the log cannot be read.
    pub fn conflicts_in_log(self, server: &Server, at_rest: Option<&str>) -> Result<Option<String>> {
        let lines = match self {
            Self::Pglogical => pglogical::conflicts(server, at_rest)?.logged_lines(),
            Self::Native => native::conflicts_in_log(server)?.logged_lines(),
        };
        Ok(lines)
    }

    /// The state of a server's subscriptions, as the server itself reports it.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
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
    /// If that does not happen in time.
    pub fn wait_until_applied(self, servers: &[&Server], database: &str) -> Result<()> {
        if self == Self::Native {
            native::wait_until_copied(servers, database)?;
        }
        wait_until(servers, database, PATIENCE, |_| Ok(false)).map(|_| ())
    }

    /// Waits until every server has applied what the others had committed, or fails repeatedly, as
    /// native replication does if a key already exists. Returns whether everything is applied.
    ///
    /// # Errors
    ///
    /// If neither happens in time.
    pub fn wait_until_applied_or_stopped(self, servers: &[&Server], database: &str) -> Result<bool> {
        self.wait_until_applied_or_failed(servers, database, PATIENCE, &BTreeMap::new())
    }

    /// The same with a time limit, and with the number of earlier failures, which do not count.
    fn wait_until_applied_or_failed(
        self,
        servers: &[&Server],
        database: &str,
        patience: Duration,
        before: &BTreeMap<&str, i64>,
    ) -> Result<bool> {
        wait_until(servers, database, patience, |server| match self {
            // It resolves conflicts and continues.
            Self::Pglogical => Ok(false),
            Self::Native => {
                Ok(native::failures(server, database)? > before.get(server.name()).copied().unwrap_or(1))
            }
        })
    }

    /// The same after connections were lost, which the statistics do not distinguish from
    /// conflicts. Only repeated failures from now on count.
    ///
    /// # Errors
    ///
    /// If neither happens in time.
    pub fn wait_until_caught_up_or_stopped(
        self,
        servers: &[&Server],
        database: &str,
        patience: Duration,
    ) -> Result<bool> {
        let mut before = BTreeMap::new();
        if self == Self::Native {
            for server in servers {
                before.insert(server.name(), native::failures(server, database)? + 2);
            }
        }
        self.wait_until_applied_or_failed(servers, database, patience, &before)
    }
}

/// Waits until all other servers have applied what each server has committed, or one of them is
/// stuck. Returns whether everything is applied.
fn wait_until(
    servers: &[&Server],
    database: &str,
    patience: Duration,
    is_stuck: impl Fn(&Server) -> Result<bool>,
) -> Result<bool> {
    let deadline = Instant::now() + patience;
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
    bail!("the servers had not applied everything after {} s", patience.as_secs())
}

/// The end of what is committed so far. Asynchronous commits are not sent until they are written,
/// so a synchronous commit comes first.
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

/// Repeats `condition` until it is true.
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

/// The lines of a server's log that contain one of the texts, from that text on.
fn lines_of_log(server: &Server, texts: &[&str]) -> Result<Vec<String>> {
    let log = server.log()?;
    let found = log.lines().filter_map(|line| {
        let at = texts.iter().filter_map(|text| line.find(text)).min()?;
        line.get(at..).map(str::to_owned)
    });
    Ok(found.collect())
}
