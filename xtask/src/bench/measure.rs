//! Time that a backend takes, and rounds in which what is compared takes turns.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use postgres::Client;

use super::figures::Figures;

/// How long a backend may take to go to sleep once it has answered.
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
    /// When it does not say.
    pub fn of(client: &mut Client) -> Result<Self> {
        let row =
            client.query_one("SELECT pg_backend_pid()", &[]).context("could not ask for the process id")?;
        Ok(Self { id: u32::try_from(row.get::<_, i32>(0)).context("a process id")? })
    }

    /// This process, to see what the system tells.
    pub fn of_this_process() -> Self {
        Self { id: std::process::id() }
    }

    /// The time that it has spent on a CPU; `None` where the system does not say.
    pub fn cpu(self) -> Option<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.id)).ok()?;
        Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
    }

    /// The memory that is its own, without files and shared memory; `None` where the system does not say.
    pub fn own_memory(self) -> Option<u64> {
        own_memory(&std::fs::read_to_string(format!("/proc/{}/status", self.id)).ok()?)
    }

    /// Waits until it sleeps: the kernel brings the CPU time up to date only then, and what a backend does after
    /// its answer is part of the statement.
    fn settle(self) {
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

fn own_memory(status: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Whether /proc/PID/stat says so; the name in parentheses may hold anything.
fn is_sleeping(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

/// What a statement took.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// On the clock, as the client sees it.
    pub wall: Duration,
    /// On a CPU in the backend; on the clock, where that is not known.
    pub cpu: Duration,
}

/// Runs `work` on `client` and says what it took.
///
/// # Errors
///
/// When the work fails.
pub fn time<T>(client: &mut Client, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<(T, Timed)> {
    let backend = Backend::of(client)?;
    backend.settle();
    let before = backend.cpu();
    let started = Instant::now();
    let result = work(client)?;
    let wall = started.elapsed();
    backend.settle();
    let cpu = before.zip(backend.cpu()).map_or(wall, |(before, after)| after.saturating_sub(before));
    Ok((result, Timed { wall, cpu }))
}

/// Whether what comes first is run once for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// A round whose figures are thrown away.
    Round,
    /// None: every run starts from the same state by itself.
    None,
}

/// Runs everything that is compared once in each of `rounds`, one after the other, beginning with another one each
/// time, so that neither the machine's mood nor the order favours one of them.
///
/// # Errors
///
/// When a run fails.
pub fn interleave<C>(
    rounds: u32,
    warm_up: WarmUp,
    compared: &[C],
    figures: &mut Figures,
    mut run: impl FnMut(&C, &mut Figures) -> Result<()>,
) -> Result<()> {
    if warm_up == WarmUp::Round {
        let mut thrown_away = Figures::default();
        compared.iter().try_for_each(|one| run(one, &mut thrown_away))?;
    }
    for round in 0..rounds {
        print!(" {}", round + 1);
        // Progress that cannot be shown is no reason to stop.
        let _ = std::io::stdout().flush();
        for at in 0..compared.len() {
            let turn = (at + round as usize) % compared.len();
            if let Some(one) = compared.get(turn) {
                run(one, figures)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::super::figures::Unit;
    use super::*;

    #[test]
    fn what_is_compared_takes_turns_and_the_warm_up_leaves_no_figures() {
        let mut order = String::new();
        let mut figures = Figures::default();
        interleave(3, WarmUp::Round, &["a", "b"], &mut figures, |name, figures| {
            order.push_str(name);
            figures.add(name, Unit::Number, 1.0);
            Ok(())
        })
        .expect("rounds");
        assert_eq!(order, "ababbaab");
        assert_eq!(figures.series("a").expect("a series").values.len(), 3);
    }

    #[test]
    fn the_state_of_a_process_is_read_behind_its_name() {
        assert!(is_sleeping("12 (postgres: a) R (x) S 1 2"));
        assert!(!is_sleeping("12 (postgres: S) R 1 2"));
    }

    #[test]
    fn own_memory_is_read_as_linux_writes_it() {
        assert_eq!(
            own_memory("VmRSS:\t  900 kB\nRssAnon:\t     604 kB\nRssFile:\t 1 kB\n"),
            Some(604 * 1024)
        );
        assert_eq!(own_memory(""), None);
    }
}
