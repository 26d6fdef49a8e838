//! A throw-away server.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use postgres::{Client, NoTls};

use crate::processes::{self, children, is_alive, remove_shared_memory};
use crate::{InstallTree, Link, Run};

/// The superuser of every server.
const SUPERUSER: &str = "postgres";

/// The number in the name of the socket. Each server has its own directory for it, and no TCP port.
const PORT: u16 = 5432;

/// The time limit for a server to start or stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// The settings of every server: fast rather than safe against a crash of the machine.
const COMMON: &[&str] = &[
    "listen_addresses = ''",
    "unix_socket_permissions = 0777",
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "shared_buffers = 128MB",
    "max_wal_size = 4GB",
    "log_line_prefix = '%m [%p] %q%a '",
    "log_checkpoints = off",
    // Parallel queries then share memory in the data directory, which is removed with it. POSIX
    // shared memory outlives a killed server.
    "dynamic_shared_memory_type = mmap",
    "lc_messages = 'C'",
    "timezone = 'UTC'",
];

/// A server whose data, socket and log are in the run's directory. It is stopped at once when
/// dropped, unless the run is kept.
pub struct Server {
    tree: InstallTree,
    name: String,
    directory: PathBuf,
    process: Option<Child>,
}

impl Server {
    /// Initialises and starts a server. `name` is unique within the run, `settings` are lines for
    /// postgresql.conf.
    ///
    /// # Errors
    ///
    /// If it does not start; the error ends with its log.
    pub fn start(tree: &InstallTree, name: &str, settings: &[&str]) -> Result<Self> {
        let directory = initialise(tree, name, &[])?;
        let mut server = Self { tree: tree.clone(), name: name.to_owned(), directory, process: None };
        server.append_settings(&["port = 5432"])?;
        server.append_settings(COMMON)?;
        server.append_settings(settings)?;
        server.open_here()?;
        Ok(server)
    }

    /// Copies a running server, and starts the copy as its streaming standby.
    ///
    /// # Errors
    ///
    /// If the copy cannot be made or does not start.
    pub fn start_standby(primary: &Self, name: &str) -> Result<Self> {
        let mut server = Self::copy_as_standby(primary, name)?;
        server.launch()?;
        Ok(server)
    }

    /// Copies a running server as a streaming standby, which still has to be launched. The primary
    /// knows the standby by its name, keeps WAL for it in a slot of that name, and respects its
    /// feedback.
    ///
    /// # Errors
    ///
    /// If the copy cannot be made.
    pub fn copy_as_standby(primary: &Self, name: &str) -> Result<Self> {
        let tree = &primary.tree;
        let directory = tree.run().make_directory(name)?;
        let output = tree
            .command("pg_basebackup")
            .args(["--write-recovery-conf", "--no-sync", "--checkpoint=fast", "--create-slot", "--slot"])
            .arg(name)
            .arg("--dbname")
            .arg(primary.conninfo("postgres"))
            .arg("--pgdata")
            .arg(directory.join("data"))
            .stdin(Stdio::null())
            .output()
            .context("could not run pg_basebackup")?;
        if !output.status.success() {
            bail!("pg_basebackup failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let server = Self { tree: tree.clone(), name: name.to_owned(), directory, process: None };
        let cluster_name = format!("cluster_name = '{name}'");
        let socket = server.socket_setting();
        server.append_settings(&[cluster_name.as_str(), "hot_standby_feedback = on", socket.as_str()])?;
        Ok(server)
    }

    /// Copies the logical replication slots of its primary, at their current positions. This server
    /// must not be running. (From PostgreSQL 17 on a standby can synchronize slots itself. Before,
    /// this is the usual way, with a restart.)
    ///
    /// # Errors
    ///
    /// If a file cannot be copied.
    pub fn copy_slots_of(&self, primary: &Self, slots: &[String]) -> Result<()> {
        let run = self.tree.run();
        // Decoding needs the snapshot that the primary has at the position of the slot. Such files
        // come and go. A file that a slot needs exists before or after the slot is read.
        self.copy_snapshots_of(primary)?;
        for slot in slots {
            let name = format!("{}/data/pg_replslot/{slot}", self.name);
            let target = run.make_directory(&name)?.join("state");
            let source = primary.directory.join("data/pg_replslot").join(slot).join("state");
            std::fs::copy(&source, &target)
                .with_context(|| format!("could not copy {}", source.display()))?;
            run.give_to_server(&target)?;
        }
        self.copy_snapshots_of(primary)
    }

    fn copy_snapshots_of(&self, primary: &Self) -> Result<()> {
        let place = "data/pg_logical/snapshots";
        let entries =
            std::fs::read_dir(primary.directory.join(place)).context("could not read the snapshots")?;
        for entry in entries.flatten() {
            let target = self.directory.join(place).join(entry.file_name());
            match std::fs::copy(entry.path(), &target) {
                Ok(_) => self.tree.run().give_to_server(&target)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).context("could not copy a snapshot"),
            }
        }
        Ok(())
    }

    /// Renames it to the server that it replaces.
    pub fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// Ends it and removes its data. The log can still be read.
    ///
    /// # Errors
    ///
    /// If the data cannot be removed.
    pub fn discard(&mut self) -> Result<()> {
        self.kill9_all()?;
        let data = self.directory.join("data");
        remove_shared_memory(&data);
        std::fs::remove_dir_all(&data).with_context(|| format!("could not remove {}", data.display()))
    }

    /// Promotes a standby.
    ///
    /// # Errors
    ///
    /// If it is not a standby, or is not promoted in time.
    pub fn promote(&self) -> Result<()> {
        let mut client = self.connect("postgres")?;
        let promoted: bool =
            client.query_one("SELECT pg_promote()", &[]).context("could not promote the server")?.get(0);
        if !promoted {
            bail!("server {} was not promoted in time", self.name);
        }
        Ok(())
    }

    /// Moves a server to a new data directory with pg_upgrade, and starts it there. The old one is
    /// stopped.
    ///
    /// # Errors
    ///
    /// If pg_upgrade fails, or the new server does not start.
    pub fn upgrade(old: &mut Self, name: &str) -> Result<Self> {
        let tree = old.tree.clone();
        Self::upgrade_to(old, &tree, name)
    }

    /// Moves a server to another installation, of its own version or a later one, with pg_upgrade,
    /// and starts it there. The old server is stopped.
    ///
    /// # Errors
    ///
    /// If pg_upgrade fails, or the new server does not start.
    pub fn upgrade_to(old: &mut Self, tree: &InstallTree, name: &str) -> Result<Self> {
        // Both must agree on checksums, which are on by default from 18 on.
        let has_checksums: String = old
            .connect("postgres")?
            .query_one("SHOW data_checksums", &[])
            .context("could not ask for checksums")?
            .get(0);
        let checksums: &[&str] =
            if tree.major() >= 18 && has_checksums == "off" { &["--no-data-checksums"] } else { &[] };
        let directory = initialise(tree, name, checksums)?;
        old.stop()?;
        let output = tree
            .command("pg_upgrade")
            .args(["--username", SUPERUSER, "--link", "--no-sync"])
            .arg("--old-bindir")
            .arg(old.tree.bindir())
            .arg("--new-bindir")
            .arg(tree.bindir())
            .arg("--old-datadir")
            .arg(old.directory.join("data"))
            .arg("--new-datadir")
            .arg(directory.join("data"))
            .arg("--socketdir")
            .arg(&directory)
            .current_dir(&directory)
            .stdin(Stdio::null())
            .output()
            .context("could not run pg_upgrade")?;
        if !output.status.success() {
            bail!(
                "pg_upgrade failed: {}\n{}\n{}",
                String::from_utf8_lossy(&output.stdout).trim(),
                String::from_utf8_lossy(&output.stderr).trim(),
                upgrade_logs(&directory)
            );
        }
        let mut server = Self { tree: tree.clone(), name: name.to_owned(), directory, process: None };
        server.append_settings(&["port = 5432"])?;
        server.append_settings(COMMON)?;
        server.open_here()?;
        Ok(server)
    }

    /// Starts it with its socket in its own directory.
    fn open_here(&mut self) -> Result<()> {
        let socket = self.socket_setting();
        self.append_settings(&[socket.as_str()])?;
        self.launch()
    }

    fn socket_setting(&self) -> String {
        format!("unix_socket_directories = '{}'", self.directory.display())
    }

    /// The name of the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The installation that it runs from.
    #[must_use]
    pub fn tree(&self) -> &InstallTree {
        &self.tree
    }

    /// The directory of its socket, which is the host for libpq.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.directory
    }

    /// The libpq connection string to a database of this server, for a client or another server.
    #[must_use]
    pub fn conninfo(&self, database: &str) -> String {
        format!("host={} port={PORT} user={SUPERUSER} dbname={database}", self.directory.display())
    }

    /// The same over a line to this server.
    #[must_use]
    pub fn conninfo_over(&self, link: &Link, database: &str) -> String {
        format!("host={} port={PORT} user={SUPERUSER} dbname={database}", link.socket_dir().display())
    }

    /// The command that a person can use to connect.
    #[must_use]
    pub fn psql_command(&self, database: &str) -> String {
        format!("psql \"{}\"", self.conninfo(database))
    }

    /// Connects as another role.
    ///
    /// # Errors
    ///
    /// If the server returns an error.
    pub fn connect_as(&self, user: &str, database: &str) -> Result<Client> {
        Client::connect(&self.conninfo_of(user, database), NoTls).with_context(|| {
            format!("could not connect to database {database} of server {} as {user}", self.name)
        })
    }

    /// The libpq connection string for another role.
    #[must_use]
    pub fn conninfo_of(&self, user: &str, database: &str) -> String {
        format!("host={} port={PORT} user={user} dbname={database}", self.directory.display())
    }

    /// Connects as the superuser.
    ///
    /// # Errors
    ///
    /// If the server returns an error.
    pub fn connect(&self, database: &str) -> Result<Client> {
        Client::connect(&self.conninfo(database), NoTls)
            .with_context(|| format!("could not connect to database {database} of server {}", self.name))
    }

    /// The path of its log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The log so far.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn log(&self) -> Result<String> {
        let contents = std::fs::read(self.log_path()).context("could not read the server's log")?;
        Ok(String::from_utf8_lossy(&contents).into_owned())
    }

    /// Adds lines to postgresql.conf, which take effect at the next start.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn append_settings(&self, lines: &[&str]) -> Result<()> {
        let path = self.directory.join("data/postgresql.conf");
        let mut settings = std::fs::read_to_string(&path).context("could not read postgresql.conf")?;
        for line in lines {
            settings.push_str(line);
            settings.push('\n');
        }
        std::fs::write(&path, settings).context("could not write postgresql.conf")
    }

    /// Starts it after a stop or a crash.
    ///
    /// # Errors
    ///
    /// If it is running, or does not start; the error ends with its log.
    pub fn launch(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("server {} is running", self.name);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_launch(deadline)? {
                Launch::Ready => return Ok(()),
                // After a crash the old backends may need a moment to notice that their postmaster
                // is gone.
                Launch::Ended if Instant::now() < deadline && self.log_tail().contains("is still in use") => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                Launch::Ended => bail!("server {} did not start:\n{}", self.name, self.log_tail()),
            }
        }
    }

    fn try_launch(&mut self, deadline: Instant) -> Result<Launch> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path());
        let log = log.context("could not open the server's log")?;
        let mut command = self.tree.command("postgres");
        command
            .arg("-D")
            .arg(self.directory.join("data"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("could not open the server's log")?)
            .stderr(log);
        let mut process = self.tree.run().spawn_server(command)?;
        loop {
            if process.try_wait().context("could not wait for the server")?.is_some() {
                Run::server_ended(process.id());
                return Ok(Launch::Ended);
            }
            if self.connect(SUPERUSER).is_ok() {
                self.process = Some(process);
                return Ok(Launch::Ready);
            }
            if Instant::now() > deadline {
                self.process = Some(process);
                bail!(
                    "server {} was not ready after {} s:\n{}",
                    self.name,
                    PATIENCE.as_secs(),
                    self.log_tail()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it in order: clients are disconnected, their work is written.
    ///
    /// # Errors
    ///
    /// If it does not end in time.
    pub fn stop(&mut self) -> Result<()> {
        self.end(Signal::SIGINT)
    }

    /// Stops and starts it.
    ///
    /// # Errors
    ///
    /// Like `stop` and `launch`.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.launch()
    }

    /// Ends it and all its backends at once, without a checkpoint. It recovers at the next launch.
    ///
    /// # Errors
    ///
    /// If it does not end in time.
    pub fn crash(&mut self) -> Result<()> {
        self.end(Signal::SIGQUIT)
    }

    /// Kills the postmaster with `kill -9`. Its backends end when they notice.
    ///
    /// # Errors
    ///
    /// If it is not running.
    pub fn kill9(&mut self) -> Result<()> {
        self.end(Signal::SIGKILL)
    }

    /// Kills all its processes with `kill -9`, the postmaster first.
    ///
    /// # Errors
    ///
    /// If it is not running.
    pub fn kill9_all(&mut self) -> Result<()> {
        let Some(postmaster) = self.postmaster()? else { return Ok(()) };
        // Stopped, so that it forks no further processes.
        processes::signal(postmaster, Signal::SIGSTOP)?;
        let children = children(postmaster);
        self.end(Signal::SIGKILL)?;
        for child in &children {
            processes::signal(*child, Signal::SIGKILL)?;
        }
        self.wait_for_ends(&children)
    }

    /// Kills one of its processes with `kill -9`. The postmaster then ends all others and recovers.
    ///
    /// Returns once the postmaster has noticed, so that new connections find a recovered server.
    ///
    /// # Errors
    ///
    /// If the process does not belong to it, or the postmaster does not reap it.
    pub fn kill9_backend(&self, backend: i32) -> Result<()> {
        let backend = Pid::from_raw(backend);
        let is_ours = || {
            Ok::<_, anyhow::Error>(
                self.postmaster()?.is_some_and(|postmaster| children(postmaster).contains(&backend)),
            )
        };
        if !is_ours()? {
            bail!("process {backend} is none of server {}", self.name);
        }
        processes::signal(backend, Signal::SIGKILL)?;
        self.wait_for_processes(is_ours)
    }

    /// Pauses all its processes: connections stay open, and no process answers.
    ///
    /// # Errors
    ///
    /// If they cannot be signalled.
    pub fn pause(&self) -> Result<()> {
        let Some(postmaster) = self.postmaster()? else { bail!("server {} is not running", self.name) };
        processes::signal(postmaster, Signal::SIGSTOP)?;
        children(postmaster).into_iter().try_for_each(|child| processes::signal(child, Signal::SIGSTOP))
    }

    /// Resumes them.
    ///
    /// # Errors
    ///
    /// If they cannot be signalled.
    pub fn resume(&self) -> Result<()> {
        let Some(postmaster) = self.postmaster()? else { return Ok(()) };
        children(postmaster).into_iter().try_for_each(|child| processes::signal(child, Signal::SIGCONT))?;
        processes::signal(postmaster, Signal::SIGCONT)
    }

    /// Whether its postmaster runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    fn postmaster(&self) -> Result<Option<Pid>> {
        let Some(process) = &self.process else { return Ok(None) };
        Ok(Some(Pid::from_raw(i32::try_from(process.id()).context("a process id")?)))
    }

    fn wait_for_ends(&self, ids: &[Pid]) -> Result<()> {
        self.wait_for_processes(|| Ok(ids.iter().any(|id| is_alive(*id))))
    }

    fn wait_for_processes(&self, are_there: impl Fn() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while are_there()? {
            if Instant::now() > deadline {
                bail!("processes of server {} did not end within {} s", self.name, PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        let Some(id) = self.postmaster()? else { return Ok(()) };
        // A paused process handles no other signal.
        if signal != Signal::SIGKILL {
            self.resume()?;
        }
        let Some(mut process) = self.process.take() else { return Ok(()) };
        processes::signal(id, signal)?;
        let deadline = Instant::now() + PATIENCE;
        while process.try_wait().context("could not wait for the server")?.is_none() {
            if Instant::now() > deadline {
                self.process = Some(process);
                bail!("server {} did not stop within {} s", self.name, PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Run::server_ended(process.id());
        Ok(())
    }

    fn log_tail(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// Creates a data directory in a directory of its own.
fn initialise(tree: &InstallTree, name: &str, more: &[&str]) -> Result<PathBuf> {
    let directory = tree.run().make_directory(name)?;
    let output = tree
        .command("initdb")
        .args([
            "--username",
            SUPERUSER,
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--pgdata",
        ])
        .arg(directory.join("data"))
        .args(more)
        .stdin(Stdio::null())
        .output()
        .context("could not run initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(directory)
}

/// The errors in the logs that pg_upgrade left.
fn upgrade_logs(directory: &Path) -> String {
    let mut found = String::new();
    let mut waiting = vec![directory.join("data/pg_upgrade_output.d")];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                waiting.push(entry.path());
                continue;
            }
            let text = std::fs::read(entry.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let errors = text
                .lines()
                .filter(|line| ["error", "FATAL", "could not"].iter().any(|word| line.contains(word)));
            errors.take(5).for_each(|line| found.push_str(&format!("{line}\n")));
        }
    }
    found
}

enum Launch {
    Ready,
    Ended,
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.tree.run().is_kept() {
            // The data is removed, so an orderly shutdown is not needed.
            let _ = self.end(Signal::SIGQUIT);
            remove_shared_memory(&self.directory.join("data"));
        }
    }
}
