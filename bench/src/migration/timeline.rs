//! How a run goes over its time: throughput, size, locks and latency, second by second.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pg_test::Server;
use pg_test::load::{self, Session, Turn};
use xtask::statistics::{quantile, rounded};

use super::shop::TABLES;
use crate::figures::{Series, Timeline, Unit};

/// The length of an interval of a timeline.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often the server is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// What was seen at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sight {
    /// When, in seconds from the start.
    at: f64,
    /// The size of each table, without indexes.
    sizes: [f64; TABLES.len()],
    /// How long the session that has waited longest for a lock has been waiting.
    lock_wait: f64,
}

/// Runs `work` and looks at the server meanwhile; times count from `start`.
pub fn watch<T>(
    server: &Server,
    database: &str,
    start: Instant,
    work: impl FnOnce() -> Result<T>,
) -> Result<(Vec<Sight>, T)> {
    let mut client = server.connect(database)?;
    let mut files: [PathBuf; TABLES.len()] = Default::default();
    for (file, table) in files.iter_mut().zip(TABLES) {
        let row = client.query_one("SELECT pg_relation_filepath($1::text::regclass)", &[&table]);
        let path: String = row.context("could not ask for the file of a table")?.get(0);
        *file = server.socket_dir().join("data").join(path);
    }
    // Takes no lock on a table, which it would have to wait for where it matters most.
    let waits = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8
                 FROM pg_locks WHERE NOT granted";
    let session: Session<'_, Sight> = Box::new(move |stop| {
        let mut sights = Vec::new();
        loop {
            let row = client.query_one(waits, &[]).context("could not look at the locks")?;
            let sizes = files.each_ref().map(|file| size(file));
            sights.push(Sight { at: start.elapsed().as_secs_f64(), sizes, lock_wait: row.get(0) });
            if stop.wait(EVERY) {
                return Ok(sights);
            }
        }
    });
    load::alongside(vec![session], work)
}

/// The size of a table, whose file is cut into segments.
fn size(file: &Path) -> f64 {
    let mut bytes = 0;
    for segment in 0_u32.. {
        let mut path = file.as_os_str().to_owned();
        if segment > 0 {
            path.push(format!(".{segment}"));
        }
        match std::fs::metadata(path) {
            Ok(found) => bytes += found.len(),
            Err(_) => break,
        }
    }
    bytes as f64
}

/// Puts together what was seen from `start` on, what writers did, and when phases began.
pub fn timeline(
    sights: &[Sight],
    start: Instant,
    turns: &[Turn<()>],
    phases: Vec<(f64, String)>,
) -> Timeline {
    let interval = INTERVAL.as_secs_f64();
    let last = sights.last().map_or(0.0, |sight| sight.at);
    let count = (last / interval).floor() as usize + 1;
    let at = |seconds: f64| ((seconds / interval).max(0.0) as usize).min(count - 1);
    let (mut latencies, mut done) = (vec![Vec::new(); count], vec![0.0; count]);
    for turn in turns {
        let (due, latency) = ((turn.due - start).as_secs_f64(), turn.latency.as_secs_f64());
        // Not before the end of the last interval: those of the last transactions of a run.
        latencies[at(due)].push(latency);
        done[at(due + latency)] += 1.0 / interval;
    }
    let (mut waits, mut sizes) = (vec![0.0_f64; count], vec![[0.0; TABLES.len()]; count]);
    for sight in sights {
        let index = at(sight.at);
        waits[index] = waits[index].max(sight.lock_wait);
        sizes[index] = sight.sizes;
    }
    // A second in which nobody looked is like the one before.
    for index in 1..count {
        if sizes[index] == [0.0; TABLES.len()] {
            sizes[index] = sizes[index - 1];
        }
    }
    let series = |unit, values: Vec<f64>| Series { unit, values: values.into_iter().map(rounded).collect() };
    let quantiles = latencies.iter().map(|of_second| quantile(of_second, 0.99).unwrap_or(0.0)).collect();
    let mut curves = BTreeMap::from([
        ("transactions a second".to_owned(), series(Unit::Number, done)),
        ("longest wait for a lock".to_owned(), series(Unit::Seconds, waits)),
        ("latency, p99".to_owned(), series(Unit::Seconds, quantiles)),
    ]);
    for (number, table) in TABLES.iter().enumerate() {
        let values = sizes.iter().map(|sizes| sizes[number]).collect();
        curves.insert(format!("size of {table}"), series(Unit::Bytes, values));
    }
    let marks = phases.into_iter().map(|(at, what)| (rounded(at), what)).collect();
    Timeline { interval, marks, curves }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_timeline_has_a_value_for_each_second() {
        let sight = |at, size, lock_wait| Sight { at, sizes: [size; 3], lock_wait };
        let sights = [sight(0.1, 8.0, 0.0), sight(0.6, 16.0, 0.2), sight(2.1, 24.0, 0.0)];
        let start = Instant::now();
        let turn = |due, latency| {
            let (due, latency) = (start + Duration::from_millis(due), Duration::from_millis(latency));
            Turn { due, latency, result: () }
        };
        let turns = [turn(500, 100), turn(900, 1_300)];
        let timeline = timeline(&sights, start, &turns, vec![(0.5, "backfill".to_owned())]);
        let values = |name: &str| timeline.curves.get(name).expect("a curve").values.clone();
        assert_eq!(
            values("size of orders"),
            [16.0, 16.0, 24.0],
            "the last of a second, or of the one before"
        );
        assert_eq!(values("longest wait for a lock"), [0.2, 0.0, 0.0], "the longest of a second");
        assert_eq!(values("latency, p99"), [1.3, 0.0, 0.0], "by the second in which they were due");
        assert_eq!(values("transactions a second"), [1.0, 0.0, 1.0], "by the second in which they were done");
        assert_eq!(timeline.marks, [(0.5, "backfill".to_owned())]);
    }
}
