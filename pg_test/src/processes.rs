//! The processes of a server, as the kernel reports them.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The child processes. Those of PostgreSQL start no processes themselves, so no grandchildren
/// survive.
pub(crate) fn children(parent: Pid) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return children_by_ps(parent) };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |id: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        parent_in_stat(&stat) == Some(parent.as_raw())
    };
    ids.filter(is_child).map(Pid::from_raw).collect()
}

/// The name of a program may contain anything, including blanks and parentheses. What follows the
/// last parenthesis is regular.
fn parent_in_stat(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// If there is no `/proc`.
fn children_by_ps(parent: Pid) -> Vec<Pid> {
    let Ok(output) = std::process::Command::new("ps").args(["-axo", "pid=,ppid="]).output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pairs = text.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<i32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    pairs.filter(|(_, of)| *of == parent.as_raw()).map(|(id, _)| Pid::from_raw(id)).collect()
}

/// Signals a process. It is not an error if the process no longer exists.
pub(crate) fn signal(id: Pid, signal: Signal) -> Result<()> {
    match kill(id, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("could not signal process {id}")),
    }
}

/// Whether a process runs, and is not only an entry that its parent has not reaped yet.
pub(crate) fn is_alive(id: Pid) -> bool {
    if kill(id, None) == Err(Errno::ESRCH) {
        return false;
    }
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| !rest.starts_with('Z'))
}

/// Kills processes whose programs are in a directory, and waits briefly until they are gone.
pub(crate) fn kill_all_of(directory: &Path) {
    let found = running_from(directory);
    for id in &found {
        // Processes that have ended meanwhile, or belong to another user, are left alone.
        let _ = kill(*id, Signal::SIGKILL);
    }
    let deadline = Instant::now() + Duration::from_secs(5);
    while found.iter().any(|id| is_alive(*id)) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn running_from(directory: &Path) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let runs_there = |entry: &std::fs::DirEntry| {
        std::fs::read_link(entry.path().join("exe")).is_ok_and(|program| program.starts_with(directory))
    };
    let ids = entries.filter(runs_there).filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.map(Pid::from_raw).collect()
}

/// Removes the System V segment by which a server locks its data directory. A killed server leaves
/// it for the next start on that directory, but a directory that is removed has no next start.
pub(crate) fn remove_shared_memory(data: &Path) {
    let Ok(lines) = std::fs::read_to_string(data.join("postmaster.pid")) else { return };
    let Some(id) = shared_memory_in(&lines) else { return };
    // SAFETY: without a buffer the call takes only numbers. A wrong number is refused, and a
    // segment in use exists until its last process ends.
    unsafe {
        nix::libc::shmctl(id, nix::libc::IPC_RMID, std::ptr::null_mut());
    }
}

/// The seventh line contains key and number of the segment.
fn shared_memory_in(lines: &str) -> Option<i32> {
    lines.lines().nth(6)?.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_parent_is_found_after_any_name() {
        assert_eq!(parent_in_stat("12 (postgres) S 7 7 7 0 -1"), Some(7));
        assert_eq!(parent_in_stat("12 (a) S 3) R 8 7 7 0 -1"), Some(8));
        assert_eq!(parent_in_stat(""), None);
    }

    #[test]
    fn the_shared_memory_is_on_the_seventh_line() {
        let lines = "8361\n/tmp/data\n1700000000\n5432\n/tmp\n\n 10449943   7602186\nready\n";
        assert_eq!(shared_memory_in(lines), Some(7_602_186));
        assert_eq!(shared_memory_in("8361\n/tmp/data\n"), None);
    }

    #[test]
    fn children_are_found_and_their_end_is_seen() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a process");
        let id = Pid::from_raw(i32::try_from(child.id()).unwrap());
        assert!(children(nix::unistd::getpid()).contains(&id));
        assert!(is_alive(id));
        signal(id, Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(!is_alive(id));
        signal(id, Signal::SIGKILL).unwrap();
    }
}
