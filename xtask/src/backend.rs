//! A process of a server, as the operating system sees it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use postgres::Client;

/// How long a backend may take to sleep after its reply.
const PATIENCE: Duration = Duration::from_millis(200);

/// A process of the server, as the operating system sees it.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    id: u32,
}

impl Backend {
    /// The one that serves `client`.
    ///
    /// # Errors
    ///
    /// If the server does not return its process id.
    pub fn of(client: &mut Client) -> Result<Self> {
        let row =
            client.query_one("SELECT pg_backend_pid()", &[]).context("could not ask for the process id")?;
        Ok(Self { id: u32::try_from(row.get::<_, i32>(0)).context("a process id")? })
    }

    /// This process, to test whether the system reports CPU time.
    pub fn of_this_process() -> Self {
        Self { id: std::process::id() }
    }

    /// The time that it has spent on a CPU; `None` if the system does not report it.
    pub fn cpu(self) -> Option<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.id)).ok()?;
        Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
    }

    /// Its private memory, without files and shared memory; `None` if it is not reported.
    pub fn own_memory(self) -> Option<u64> {
        bytes_of("RssAnon", &std::fs::read_to_string(format!("/proc/{}/status", self.id)).ok()?)
    }

    /// Waits until it sleeps. Only then does the kernel update the CPU time, and the work after the
    /// reply is part of the statement.
    pub fn settle(self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let Ok(text) = std::fs::read_to_string(format!("/proc/{}/stat", self.id)) else { return };
            if is_sleeping(&text) {
                return;
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

/// The bytes after a name, as in `RssAnon:  604 kB`.
pub(crate) fn bytes_of(name: &str, text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Reads /proc/PID/stat; the name in parentheses can contain anything.
fn is_sleeping(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_process_follows_its_name() {
        assert!(is_sleeping("12 (postgres: a) R (x) S 1 2"));
        assert!(!is_sleeping("12 (postgres: S) R 1 2"));
    }

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        let status = "VmRSS:\t  900 kB\nRssAnon:\t     604 kB\nRssFile:\t 1 kB\n";
        assert_eq!(bytes_of("RssAnon", status), Some(604 * 1024));
        assert_eq!((bytes_of("Rss", status), bytes_of("RssAnon", "")), (None, None));
    }
}
