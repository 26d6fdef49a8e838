//! One run: its directory, the user that its servers run as, and their removal when it is
//! interrupted.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, geteuid};
use tempfile::TempDir;

use crate::processes::{children, kill_all_of, remove_shared_memory};

/// The prefix of the names of our directories. The process id of the run follows.
const PREFIX: &str = "pg_keyspace-";

/// The longest directory that leaves room for a Unix socket's name within its 107 bytes.
const LONGEST_DIRECTORY: usize = 60;

/// The directory of one run with its contents. It is removed with the last server and install tree
/// of the run, unless it is kept.
pub struct Run {
    directory: PathBuf,
    /// Removes the directory; `None` if it is kept.
    _guard: Option<TempDir>,
    user: Option<(Uid, Gid)>,
}

impl Run {
    /// Creates a directory for a run, and removes those of runs that died before they could. With
    /// `keep`, the directory and its servers outlive this process.
    ///
    /// # Errors
    ///
    /// If the directory cannot be created, or if we are root and there is no other user to run
    /// servers as.
    pub fn new(keep: bool) -> Result<Arc<Self>> {
        handle_signals()?;
        let parent = parent_directory();
        sweep(&parent);
        let user = server_user()?;
        let directory = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir_in(&parent)
            .with_context(|| format!("could not make a directory in {}", parent.display()))?;
        let path = directory.path().to_owned();
        let guard = if keep {
            let _ = directory.keep();
            None
        } else {
            registry().directories.push(path.clone());
            Some(directory)
        };
        let run = Self { directory: path, _guard: guard, user };
        run.give_to_server(&run.directory)?;
        Ok(Arc::new(run))
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether directory and servers outlive this process.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self._guard.is_none()
    }

    /// Creates a directory within that of the run that the server's user may write to.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub fn make_directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("could not make {}", path.display()))?;
        self.give_to_server(&path)?;
        Ok(path)
    }

    /// Gives a file or a directory to the server's user.
    ///
    /// # Errors
    ///
    /// If its owner cannot be changed.
    pub fn give_to_server(&self, path: &Path) -> Result<()> {
        let Some((uid, gid)) = self.user else { return Ok(()) };
        chown(path, Some(uid.as_raw()), Some(gid.as_raw()))
            .with_context(|| format!("could not give away {}", path.display()))
    }

    /// A command that runs `program` as the user of the servers, without those variables of our
    /// environment that would mislead PostgreSQL's programs.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if (name.starts_with("PG") && !name.starts_with("PG_KEYSPACE_")) || name == "RUST_BACKTRACE" {
                command.env_remove(name.as_ref());
            }
        }
        command.env("LC_ALL", "C").current_dir(&self.directory);
        if let Some((uid, gid)) = self.user {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    /// Starts a server. Unless the run is kept, it ends when this process ends, for whatever
    /// reason.
    pub(crate) fn spawn_server(&self, mut command: Command) -> Result<Child> {
        // A process group of its own: an interrupt from the terminal reaches only us, and we stop
        // the server in order.
        command.process_group(0);
        if !self.is_kept() {
            end_with_parent(&mut command);
        }
        let child = spawn_from_lasting_thread(command)?;
        if !self.is_kept() {
            registry().servers.push(child.id());
        }
        Ok(child)
    }

    /// Removes a server that has ended from the registry.
    pub(crate) fn server_ended(id: u32) {
        registry().servers.retain(|server| *server != id);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        registry().directories.retain(|directory| *directory != self.directory);
    }
}

/// What must be removed when a signal ends this process.
#[derive(Default)]
struct Registry {
    servers: Vec<u32>,
    directories: Vec<PathBuf>,
}

fn registry() -> MutexGuard<'static, Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The temporary directory, or `/tmp` if its name is too long for a socket below it.
fn parent_directory() -> PathBuf {
    let directory = std::env::temp_dir();
    if directory.as_os_str().len() > LONGEST_DIRECTORY { PathBuf::from("/tmp") } else { directory }
}

/// The user to run servers as. PostgreSQL refuses root.
fn server_user() -> Result<Option<(Uid, Gid)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) =
            User::from_name(name).with_context(|| format!("could not look up the user {name}"))?
        {
            return Ok(Some((user.uid, user.gid)));
        }
    }
    bail!(
        "PostgreSQL does not run as root, and there is neither a user \"postgres\" nor \"nobody\" to run it as"
    )
}

/// Removes the directories of runs whose process no longer exists.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if let Some(owner) = name.to_str().and_then(owner_of)
            && kill(Pid::from_raw(owner), None) == Err(Errno::ESRCH)
            && !entry.path().join("kept").exists()
        {
            // Servers end with their run, except those that it had paused: the kernel wakes them
            // only if their new parent is in another session, which is not so in every container.
            kill_all_of(&entry.path());
            remove_shared_memory_in(&entry.path());
            // Directories that cannot be removed belong to another user.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes the kernel's objects of servers that were killed.
fn remove_shared_memory_in(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        remove_shared_memory(&entry.path().join("data"));
    }
}

/// The process that one of our directories belongs to.
fn owner_of(name: &str) -> Option<i32> {
    let (id, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    id.parse().ok().filter(|id| *id > 0)
}

/// Makes the kernel stop the server at once if this process dies before it has stopped the server.
#[cfg(target_os = "linux")]
fn end_with_parent(command: &mut Command) {
    // SAFETY: only async-signal-safe calls are allowed between fork and exec, and prctl is one. It
    // is called after the change of user, which would reset it.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGQUIT)?));
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent(_command: &mut Command) {}

type Spawned = std::io::Result<Child>;

/// The command to spawn, and the channel for the result.
type Order = (Command, mpsc::Sender<Spawned>);

/// Spawns from a thread that lives as long as the process. For the kernel the parent is a thread,
/// and those of tests are short-lived.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let program = command.get_program().to_string_lossy().into_owned();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in receiver {
                // A caller that has gone does not need the answer.
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    let sent = spawner.lock().unwrap_or_else(PoisonError::into_inner).send((command, reply));
    sent.context("the thread that starts servers has ended")?;
    answer
        .recv()
        .context("the thread that starts servers has ended")?
        .with_context(|| format!("could not run {program}"))
}

/// Stops servers and removes directories when a signal ends this process.
fn handle_signals() -> Result<()> {
    static HANDLED: OnceLock<()> = OnceLock::new();
    if HANDLED.set(()).is_err() {
        return Ok(());
    }
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].map(|signal| signal as i32);
    let mut signals = signal_hook::iterator::Signals::new(signals).context("could not handle signals")?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            eprintln!("\ninterrupted; stopping the servers");
            let registry = registry();
            stop_at_once(&registry.servers);
            for directory in &registry.directories {
                remove_shared_memory_in(directory);
                let _ = std::fs::remove_dir_all(directory);
            }
            // The exit code is that of a shell for a process that was ended by a signal. The
            // registry stays locked, so that nothing new is started meanwhile.
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

fn stop_at_once(servers: &[u32]) {
    let ids: Vec<Pid> = servers.iter().filter_map(|id| i32::try_from(*id).ok()).map(Pid::from_raw).collect();
    for id in &ids {
        let _ = kill(*id, Signal::SIGQUIT);
        // A test may have paused it, and a paused process handles no signal.
        for process in children(*id).into_iter().chain([*id]) {
            let _ = kill(process, Signal::SIGCONT);
        }
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    for id in ids {
        while Instant::now() < deadline
            && nix::sys::wait::waitpid(id, Some(nix::sys::wait::WaitPidFlag::WNOHANG))
                == Ok(nix::sys::wait::WaitStatus::StillAlive)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn only_directories_of_ours_have_an_owner() {
        assert_eq!(owner_of("pg_keyspace-123-aBc"), Some(123));
        for name in
            ["pg_keyspace-123", "pg_keyspace-x-aBc", "pg_keyspace--1-aBc", "pg_keyspace-0-a", "other-1-a"]
        {
            assert_eq!(owner_of(name), None, "{name}");
        }
    }

    #[test]
    fn files_of_dead_runs_are_removed_and_those_of_live_or_kept_runs_stay() {
        let mut child = Command::new("true").spawn().expect("a process");
        child.wait().expect("its end");
        let parent = tempfile::tempdir().expect("a directory");
        let make = |id: u32, kept: bool| {
            let path = parent.path().join(format!("{PREFIX}{id}-abc{kept}"));
            std::fs::create_dir(&path).expect("a directory");
            if kept {
                std::fs::write(path.join("kept"), "").expect("a file");
            }
            path
        };
        let (dead, kept, alive) =
            (make(child.id(), false), make(child.id(), true), make(std::process::id(), false));
        sweep(parent.path());
        assert!(!dead.exists());
        assert!(kept.exists() && alive.exists());
    }
}
