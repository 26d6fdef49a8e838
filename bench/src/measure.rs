//! The time that a backend takes, and rounds in which the compared statements alternate.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use postgres::Client;
use serde::Deserialize;
use xtask::backend::Backend;

use super::figures::Figures;

/// The time of a statement.
#[derive(Clone, Copy, Debug)]
pub struct Timed {
    /// Wall-clock time of the client.
    pub wall: Duration,
    /// CPU time of the backend, or wall-clock time if it is unknown.
    pub cpu: Duration,
}

/// The time that a backend spends on a CPU from now on.
pub struct CpuClock {
    backend: Backend,
    before: Option<Duration>,
}

impl CpuClock {
    /// Of the backend that serves `client`.
    pub fn start(client: &mut Client) -> Result<Self> {
        let backend = Backend::of(client)?;
        backend.settle();
        Ok(Self { backend, before: backend.cpu() })
    }

    /// The CPU time of work with this wall-clock time.
    pub fn stop(self, wall: Duration) -> Timed {
        self.backend.settle();
        let taken = self.before.zip(self.backend.cpu()).map(|(before, after)| after.saturating_sub(before));
        Timed { wall, cpu: taken.unwrap_or(wall) }
    }
}

/// Runs `work` on `client` and measures its time.
pub fn time<T>(client: &mut Client, work: impl FnOnce(&mut Client) -> Result<T>) -> Result<(T, Timed)> {
    let clock = CpuClock::start(client)?;
    let started = Instant::now();
    let result = work(client)?;
    Ok((result, clock.stop(started.elapsed())))
}

/// Whether there is a warm-up.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WarmUp {
    /// A round whose figures are discarded.
    #[default]
    Round,
    /// None: every run starts from the same state by itself.
    None,
}

/// Runs all compared items once in each round. The first item of a round alternates, so that
/// neither the load of the machine nor the order favours one of them.
pub fn interleave<C>(
    rounds: u32,
    warm_up: WarmUp,
    compared: &[C],
    figures: &mut Figures,
    mut run: impl FnMut(&C, &mut Figures) -> Result<()>,
) -> Result<()> {
    if warm_up == WarmUp::Round {
        let mut discarded = Figures::default();
        compared.iter().try_for_each(|one| run(one, &mut discarded))?;
    }
    for round in 0..rounds {
        print!(" {}", round + 1);
        // An error here must not stop the measurement.
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
    fn items_alternate_and_the_warm_up_leaves_no_figures() {
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
}
