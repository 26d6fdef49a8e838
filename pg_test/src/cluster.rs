//! Several servers that replicate to each other over links that can be cut, and the actions of a
//! DBA after a failure.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use postgres::Client;

use crate::replication::Method;
use crate::{InstallTree, Link, Server};

/// The time limit of a step that waits for servers.
const PATIENCE: Duration = Duration::from_secs(120);

/// The number of ids left free after a fail-over, as in the runbook.
const GAP_AFTER_FAIL_OVER: i64 = 10_000;

/// The names of the servers.
const NAMES: [&str; 8] = ["one", "two", "three", "four", "five", "six", "seven", "eight"];

/// Settings for servers that are killed: what was acknowledged has been given to the operating
/// system, and a process that ends in the middle of a write tears no page. Nothing is flushed,
/// because the machine does not crash.
const SURVIVES_KILLS: [&str; 4] =
    ["synchronous_commit = on", "full_page_writes = on", "fsync = off", "checkpoint_timeout = 30s"];

/// The addresses of the nodes. They change when a server replaces another one.
#[derive(Clone)]
pub struct Addresses(Arc<RwLock<Vec<String>>>);

impl Addresses {
    /// How to connect to a node. Nodes are counted from 0.
    #[must_use]
    pub fn of(&self, node: usize) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(node).cloned().unwrap_or_default()
    }

    fn set(&self, node: usize, address: String) {
        if let Some(place) = self.0.write().unwrap_or_else(PoisonError::into_inner).get_mut(node) {
            *place = address;
        }
    }
}

/// How a server that replaces a node gets its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// From a dump of another node.
    Dump,
    /// As a base backup of another node, which is promoted while its origin runs.
    Clone,
}

/// The properties that all nodes of a cluster have in common.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// The database.
    pub database: String,
    /// The statements that create the schema and the extension.
    pub schema: String,
    /// Sequences that no set-up changes, as the elements of an array. The set-up of a copy of
    /// another node is an exception: it moves everything out of the class of its origin.
    pub exclude: String,
}

/// Nodes, counted from 0, and a link for each direction between two of them.
pub struct Cluster {
    // Dropped after the servers: a server that is stopped in order waits until everything is sent.
    nodes: Vec<Server>,
    links: BTreeMap<(usize, usize), Link>,
    addresses: Addresses,
    tree: InstallTree,
    method: Method,
    layout: Layout,
    settings: Vec<String>,
    classes: i32,
    /// Servers that were started to replace others.
    replaced: usize,
    /// When a copy of another node last replaced a server, after everything had been applied.
    at_rest: Option<String>,
    /// Lines about conflicts in the logs of servers that no longer exist.
    conflicts_of_the_gone: Vec<String>,
}

impl Cluster {
    /// Starts servers with the schema. They do not replicate yet.
    ///
    /// # Errors
    ///
    /// If a server does not start, or rejects the schema.
    pub fn start(tree: &InstallTree, count: usize, layout: Layout) -> Result<Self> {
        let method = Method::of(tree)?;
        let Some(names) = NAMES.get(..count) else { bail!("a cluster has at most {} nodes", NAMES.len()) };
        let mut settings: Vec<String> =
            method.settings(tree)?.iter().map(|line| (*line).to_owned()).collect();
        // The later line wins, so it must also contain pglogical.
        let preloaded = match method {
            Method::Pglogical => "shared_preload_libraries = 'pglogical, pg_keyspace'",
            Method::Native => "shared_preload_libraries = 'pg_keyspace'",
        };
        settings.push(preloaded.to_owned());
        settings.extend(SURVIVES_KILLS.map(str::to_owned));
        let lines: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut nodes = Vec::new();
        for name in names {
            let server = Server::start(tree, name, &lines)?;
            let mut client = server.connect(&layout.database)?;
            client.batch_execute(&layout.schema).context("could not create the schema")?;
            nodes.push(server);
        }
        let mut links = BTreeMap::new();
        for (provider, from) in nodes.iter().enumerate() {
            for (subscriber, to) in nodes.iter().enumerate().filter(|(at, _)| *at != provider) {
                let name = format!("{}_to_{}", from.name(), to.name());
                links.insert((provider, subscriber), Link::new(tree.run(), &name, from.socket_dir())?);
            }
        }
        let addresses = nodes.iter().map(|node| node.conninfo(&layout.database)).collect();
        let cluster = Self {
            nodes,
            links,
            addresses: Addresses(Arc::new(RwLock::new(addresses))),
            tree: tree.clone(),
            method,
            layout,
            settings,
            classes: i32::try_from(count)?,
            replaced: 0,
            at_rest: None,
            conflicts_of_the_gone: Vec::new(),
        };
        for server in &cluster.nodes {
            let place = cluster.own_place(server);
            symlink(server.socket_dir(), &place)
                .with_context(|| format!("could not make {}", place.display()))?;
        }
        Ok(cluster)
    }

    /// The replication method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// Number of nodes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The addresses of the nodes.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    /// The current server of a node.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub fn server(&self, node: usize) -> Result<&Server> {
        self.nodes.get(node).with_context(|| format!("there is no node {node}"))
    }

    /// The same, mutable, to stop and start it.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub fn server_mut(&mut self, node: usize) -> Result<&mut Server> {
        self.nodes.get_mut(node).with_context(|| format!("there is no node {node}"))
    }

    /// All servers.
    #[must_use]
    pub fn servers(&self) -> Vec<&Server> {
        self.nodes.iter().collect()
    }

    /// Connects to a node.
    ///
    /// # Errors
    ///
    /// If its server refuses the connection.
    pub fn connect(&self, node: usize) -> Result<Client> {
        self.server(node)?.connect(&self.layout.database)
    }

    /// The link by which a subscriber reaches a provider.
    ///
    /// # Errors
    ///
    /// If there is no such pair.
    pub fn link(&self, provider: usize, subscriber: usize) -> Result<&Link> {
        self.links.get(&(provider, subscriber)).context("there is no such link")
    }

    /// All links of a node, both ways.
    pub fn links_of(&self, node: usize) -> impl Iterator<Item = &Link> {
        let is_its = move |(provider, subscriber): (usize, usize)| provider == node || subscriber == node;
        self.links.iter().filter(move |(ends, _)| is_its(**ends)).map(|(_, link)| link)
    }

    /// Starts replication from each node to every other one.
    ///
    /// # Errors
    ///
    /// If a server returns an error, or does not begin in time.
    pub fn replicate(&self) -> Result<()> {
        self.method.connect_all_by(&self.servers(), &self.layout.database, &|from, to| self.road(from, to))
    }

    /// How a server reaches another: by the link between them. It reaches itself at an address that
    /// stays the same if another server replaces it, because pglogical stores that address.
    fn road(&self, from: &Server, to: &Server) -> String {
        let place = |server: &Server| self.nodes.iter().position(|node| node.name() == server.name());
        let link = place(from).zip(place(to)).and_then(|ends| self.links.get(&ends));
        let host = link.map_or_else(|| self.own_place(from), |link| link.socket_dir().to_owned());
        let (host, directory) = (host.display().to_string(), from.socket_dir().display().to_string());
        from.conninfo(&self.layout.database).replacen(&directory, &host, 1)
    }

    fn own_place(&self, server: &Server) -> PathBuf {
        self.tree.run().directory().join(format!("{}_itself", server.name()))
    }

    /// Sets every node up, each with the states of those before it.
    ///
    /// # Errors
    ///
    /// If a server returns an error.
    pub fn set_up(&mut self, classes: i32) -> Result<()> {
        self.classes = classes;
        let mut states = Vec::new();
        for node in 0..self.count() {
            self.set_up_node(node, &states, 0)?;
            states.push(self.state(node)?);
        }
        Ok(())
    }

    /// The node state that a node reports.
    ///
    /// # Errors
    ///
    /// If the query fails.
    pub fn state(&self, node: usize) -> Result<String> {
        let row = self.connect(node)?.query_one("SELECT interleaved_node_state()::text", &[]);
        Ok(row.with_context(|| format!("could not read the state of node {}", node + 1))?.get(0))
    }

    /// The states of all other nodes.
    fn states_of_others(&self, node: usize) -> Result<Vec<String>> {
        (0..self.count()).filter(|other| *other != node).map(|other| self.state(other)).collect()
    }

    fn set_up_node(&self, node: usize, peers: &[String], gap: i64) -> Result<()> {
        self.set_up_server(self.server(node)?, node, peers, gap, &self.layout.exclude)
    }

    /// Sets up a server as a node.
    fn set_up_server(
        &self,
        server: &Server,
        node: usize,
        peers: &[String],
        gap: i64,
        exclude: &str,
    ) -> Result<()> {
        let number = i32::try_from(node + 1)?;
        // Connected writers hold a sequence only briefly.
        let query = format!(
            "SELECT count(*) FROM setup_interleaved_sequences($1, $2, peers => $3::text[]::jsonb[], gap => $4,
                                                              exclude => nullif('{{{exclude}}}', '{{}}')::regclass[], lock_timeout => '20 s')",
        );
        server
            .connect(&self.layout.database)?
            .query_one(&query, &[&number, &self.classes, &peers, &gap])
            .with_context(|| format!("could not set up node {number} of {}", self.classes))?;
        Ok(())
    }

    /// The errors and warnings of the check on every node with the states of all others, as "severity:
    /// finding, detail".
    ///
    /// # Errors
    ///
    /// If a server returns an error.
    pub fn check(&self) -> Result<Vec<String>> {
        let states = (0..self.count()).map(|node| self.state(node)).collect::<Result<Vec<_>>>()?;
        let mut found = Vec::new();
        for node in 0..self.count() {
            let mut peers = states.clone();
            peers.remove(node);
            let query = "SELECT severity || ': ' || finding || coalesce(', ' || sequence, '') || coalesce(', ' || detail, '')
                         FROM check_interleaved_sequences($1::text[]::jsonb[]) WHERE severity <> 'info'";
            let rows = self.connect(node)?.query(query, &[&peers]).context("the check failed")?;
            found.extend(rows.iter().map(|row| format!("node {}: {}", node + 1, row.get::<_, String>(0))));
        }
        Ok(found)
    }

    /// The conflicts and errors of replication, including servers that no longer exist.
    ///
    /// # Errors
    ///
    /// If logs or statistics cannot be read.
    pub fn conflicts(&self) -> Result<Vec<String>> {
        let mut found = self.conflicts_of_the_gone.clone();
        for server in self.servers() {
            found.extend(self.conflicts_of(server)?);
        }
        Ok(found)
    }

    fn conflicts_of(&self, server: &Server) -> Result<Option<String>> {
        let at_rest = self.at_rest.as_deref();
        let conflicts = self.method.conflicts_but_at_rest(server, &self.layout.database, at_rest)?;
        let first = conflicts.first.clone().unwrap_or_else(|| "by the statistics".to_owned());
        Ok((conflicts.of_rows() > 0)
            .then(|| format!("{}: {} conflicts, the first: {first}", server.name(), conflicts.of_rows())))
    }

    /// Copies the logs of all servers, including those that no longer exist, into a directory.
    ///
    /// # Errors
    ///
    /// If a file cannot be copied.
    pub fn keep_logs(&self, to: &Path) -> Result<()> {
        std::fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
        let run = self.tree.run().directory();
        for entry in std::fs::read_dir(run).context("could not read the run's directory")?.flatten() {
            let log = entry.path().join("log");
            // Links to servers would only add the same files again.
            if log.is_file() && !entry.path().is_symlink() {
                let copy = to.join(entry.file_name()).with_extension("log");
                std::fs::copy(&log, &copy).with_context(|| format!("could not copy {}", log.display()))?;
            }
        }
        Ok(())
    }

    /// Resumes replication after servers were restarted or links restored.
    ///
    /// # Errors
    ///
    /// If it does not resume in time.
    pub fn reconnect(&self) -> Result<()> {
        self.method.reconnect(&self.servers(), &self.layout.database)
    }

    /// Waits until every node has applied what the others have committed. Returns false if
    /// replication has stopped.
    ///
    /// # Errors
    ///
    /// If neither happens in time.
    pub fn catch_up(&self, patience: Duration) -> Result<bool> {
        // Native replication retries by itself, and if it is stuck it retries forever.
        if self.method == Method::Pglogical {
            self.reconnect()?;
        }
        self.method.wait_until_caught_up_or_stopped(&self.servers(), &self.layout.database, patience)
    }

    /// Creates the standby of a node; from now on it has everything that the node acknowledges.
    ///
    /// Before PostgreSQL 17 a standby has no logical slots of its own. So the slots of the node are
    /// copied and the standby is restarted: its WAL contains what it has to send from them after a
    /// promotion.
    ///
    /// # Errors
    ///
    /// If the standby does not follow in time.
    pub fn add_standby(&mut self, node: usize) -> Result<Server> {
        self.replaced += 1;
        let name = format!("standby_{}", self.replaced);
        let primary = self.server(node)?;
        let mut standby = Server::copy_as_standby(primary, &name)?;
        let mut client = primary.connect(&self.layout.database)?;
        // The slots advance to the WAL that the copy has, as soon as it contains a snapshot of
        // running transactions.
        let begun: String = client
            .query_one("SELECT pg_current_wal_lsn()::text", &[])
            .context("could not read the position")?
            .get(0);
        standby.launch()?;
        let mut looked = 0;
        wait_for("the slots do not move on", || {
            if looked % 20 == 0 {
                client.batch_execute("CHECKPOINT").context("could not write a checkpoint")?;
            }
            looked += 1;
            let query = "SELECT count(*) = 0 FROM pg_replication_slots
                         WHERE slot_type = 'logical' AND (restart_lsn < $1::text::pg_lsn OR catalog_xmin IS NULL)";
            Ok(client.query_one(query, &[&begun]).context("could not read the slots")?.get(0))
        })?;
        standby.stop()?;
        let slots = "SELECT slot_name::text FROM pg_replication_slots WHERE slot_type = 'logical'";
        let rows = client.query(slots, &[]).context("could not read the slots")?;
        let slots: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        // The files may be older than the state in memory. A checkpoint writes it.
        client.batch_execute("CHECKPOINT").context("could not write a checkpoint")?;
        standby.copy_slots_of(primary, &slots)?;
        standby.launch()?;
        client
            .batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"))
            .and_then(|()| client.batch_execute("SELECT pg_reload_conf()"))
            .context("could not make the standby a synchronous one")?;
        wait_for("the standby does not become a synchronous one", || {
            let query = "SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = $1 AND sync_state = 'sync'";
            Ok(client.query_one(query, &[&name]).context("could not read the standbys")?.get(0))
        })?;
        wait_until_received(&mut client, &name)?;
        Ok(standby)
    }

    /// Waits until the standby of a node has received what is committed there so far.
    ///
    /// # Errors
    ///
    /// If that does not happen in time.
    pub fn wait_for_standby(&self, node: usize, standby: &Server) -> Result<()> {
        wait_until_received(&mut self.connect(node)?, standby.name())
    }

    /// Nodes no longer wait for a standby. Sessions that wait for a missing one continue.
    ///
    /// # Errors
    ///
    /// If a server returns an error.
    pub fn forget_standbys(&self) -> Result<()> {
        for server in &self.nodes {
            let mut client = server.connect(&self.layout.database)?;
            client
                .batch_execute("ALTER SYSTEM RESET synchronous_standby_names")
                .and_then(|()| client.batch_execute("SELECT pg_reload_conf()"))
                .context("could not forget the standby")?;
        }
        Ok(())
    }

    /// A standby replaces a node whose processes are gone, as in the runbook: it is promoted, set
    /// up with the states of the others and a gap, and only then opened to clients and to the
    /// others.
    ///
    /// # Errors
    ///
    /// If a step fails.
    pub fn fail_over(&mut self, node: usize, standby: Server) -> Result<()> {
        standby.promote()?;
        let peers = self.states_of_others(node)?;
        self.set_up_server(&standby, node, &peers, GAP_AFTER_FAIL_OVER, &self.layout.exclude)?;
        self.put_in_place(node, standby)
    }

    /// A new server replaces a node, with the rows of another one. No session may write meanwhile,
    /// and everything must have been applied.
    ///
    /// # Errors
    ///
    /// If a step fails.
    pub fn replace(&mut self, node: usize, from: usize, copy: Copy) -> Result<()> {
        let others: Vec<&Server> =
            self.nodes.iter().enumerate().filter(|(at, _)| *at != node).map(|(_, server)| server).collect();
        self.method.leave(self.server(node)?, &others, &self.layout.database)?;
        self.replaced += 1;
        let name = format!("copy_{}", self.replaced);
        let mut new = match copy {
            Copy::Dump => self.restored(from, &name)?,
            Copy::Clone => self.cloned(from, &name)?,
        };
        let peers = self.states_of_others(node)?;
        // The ids of the node's rows have all arrived. Other values that it has drawn are within
        // the gap.
        self.set_up_server(&new, node, &peers, GAP_AFTER_FAIL_OVER, "")?;
        new.rename(self.server(node)?.name());
        self.put_in_place(node, new)?;
        let others: Vec<&Server> =
            self.nodes.iter().enumerate().filter(|(at, _)| *at != node).map(|(_, server)| server).collect();
        self.method
            .join(self.server(node)?, &others, &self.layout.database, &|from, to| self.road(from, to))?;
        let now = self.connect(node)?.query_one("SELECT clock_timestamp()::text", &[]);
        self.at_rest = Some(now.context("could not read the time")?.get(0));
        Ok(())
    }

    /// A new server, restored from a dump of a node.
    fn restored(&self, from: usize, name: &str) -> Result<Server> {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        let server = Server::start(&self.tree, name, &settings)?;
        let file = server.socket_dir().join("dump.sql");
        let mut dump = self.tree.command("pg_dump");
        dump.args(["--extension=pg_keyspace", "--exclude-schema=pglogical", "--no-publications"])
            .args(["--no-subscriptions", "--no-sync", "--file"])
            .arg(&file)
            .arg(self.server(from)?.conninfo(&self.layout.database));
        complete(dump, "pg_dump")?;
        let mut restore = self.tree.command("psql");
        restore
            .args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file"])
            .arg(&file)
            .arg(server.conninfo(&self.layout.database));
        complete(restore, "psql")?;
        std::fs::remove_file(&file).context("could not remove the dump")?;
        Ok(server)
    }

    /// A base backup of a node, promoted while the node runs.
    fn cloned(&self, from: usize, name: &str) -> Result<Server> {
        let origin = self.server(from)?;
        let mut server = Server::copy_as_standby(origin, name)?;
        // Its slot would retain the origin's WAL forever.
        origin
            .connect(&self.layout.database)?
            .query("SELECT pg_drop_replication_slot($1::text::name)", &[&name])
            .context("could not drop the slot of the copy")?;
        server.append_settings(&["primary_slot_name = ''"])?;
        server.append_settings(self.method.quiet_settings())?;
        server.launch()?;
        server.promote()?;
        let mut settings: Vec<String> = self
            .method
            .forget(&server, &self.layout.database)?
            .iter()
            .map(|line| (*line).to_owned())
            .collect();
        settings.extend(self.settings.iter().filter(|line| line.contains("preload")).cloned());
        let lines: Vec<&str> = settings.iter().map(String::as_str).collect();
        server.append_settings(&lines)?;
        server.restart()?;
        Ok(server)
    }

    /// Makes a server the node. The previous server never returns.
    fn put_in_place(&mut self, node: usize, mut new: Server) -> Result<()> {
        let place = self.nodes.get_mut(node).with_context(|| format!("there is no node {node}"))?;
        new.rename(place.name());
        let mut old = std::mem::replace(place, new);
        if let Some(found) = self.method.conflicts_in_log(&old, self.at_rest.as_deref())? {
            self.conflicts_of_the_gone.push(format!("{}, which is gone: {found}", old.name()));
        }
        old.discard()?;
        let directory = self.server(node)?.socket_dir().to_owned();
        let place = self.own_place(self.server(node)?);
        std::fs::remove_file(&place)
            .and_then(|()| symlink(&directory, &place))
            .with_context(|| format!("could not lead {} elsewhere", place.display()))?;
        for (_, link) in self.links.iter().filter(|((provider, _), _)| *provider == node) {
            link.lead_to(&directory);
        }
        self.addresses.set(node, self.server(node)?.conninfo(&self.layout.database));
        Ok(())
    }
}

fn wait_until_received(primary: &mut Client, standby: &str) -> Result<()> {
    let position: String = primary
        .query_one("SELECT pg_current_wal_lsn()::text", &[])
        .context("could not read the position")?
        .get(0);
    wait_for("the standby does not follow", || {
        let query = "SELECT count(*) = 1 FROM pg_stat_replication
                     WHERE application_name = $1 AND flush_lsn >= $2::text::pg_lsn";
        Ok(primary.query_one(query, &[&standby, &position]).context("could not read the standbys")?.get(0))
    })
}

/// Repeats `condition` until it is true.
fn wait_for(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("{what}: not after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn complete(mut command: std::process::Command, name: &str) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("could not run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
