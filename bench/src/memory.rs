//! The memory of a backend over time.

use std::time::Duration;

use anyhow::Result;
use pg_test::load::{self, Session};
use xtask::backend::Backend;

use crate::figures::{Figures, Unit};

/// How often it is read.
const INTERVAL: Duration = Duration::from_millis(100);

/// Private memory of a backend during a statement, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// After a tenth of the time, when one-time allocations are done.
    pub start: f64,
    /// After half of the time.
    pub middle: f64,
    /// At the end.
    pub end: f64,
}

/// Runs `work` and samples the memory of `backend`; `None` if the system does not report it.
pub fn watch<T>(backend: Backend, work: impl FnOnce() -> Result<T>) -> Result<(T, Option<Memory>)> {
    let watcher: Session<'_, u64> = Box::new(move |stop| {
        let mut samples = Vec::new();
        loop {
            samples.extend(backend.own_memory());
            if stop.wait(INTERVAL) {
                samples.extend(backend.own_memory());
                return Ok(samples);
            }
        }
    });
    let (samples, result) = load::alongside(vec![watcher], work)?;
    Ok((result, Memory::of(&samples)))
}

impl Memory {
    /// Notes it.
    pub fn record(self, figures: &mut Figures, name: &str) {
        for (point, bytes) in [("start", self.start), ("middle", self.middle), ("end", self.end)] {
            figures.add(&format!("{name}.memory.{point}"), Unit::Bytes, bytes);
        }
    }

    fn of(samples: &[u64]) -> Option<Self> {
        let last = samples.len().checked_sub(1)?;
        let at = |index: usize| samples.get(index).map(|bytes| *bytes as f64);
        Some(Self { start: at(last / 10)?, middle: at(last / 2)?, end: at(last)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_middle_and_end_of_the_samples() {
        let samples: Vec<u64> = (0..=20).collect();
        assert_eq!(Memory::of(&samples), Some(Memory { start: 2.0, middle: 10.0, end: 20.0 }));
        assert_eq!(Memory::of(&[7]), Some(Memory { start: 7.0, middle: 7.0, end: 7.0 }));
        assert_eq!(Memory::of(&[]), None);
    }
}
