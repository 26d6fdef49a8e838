//! Clients in region B that insert, all at once.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use pg_test::Server;
use postgres::Client;

use super::super::figures::{Figures, Unit};
use super::link::Link;
use super::way::{Inserter, Way};
use xtask::statistics::quantile;

/// How fast they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Each inserts again as soon as it has inserted.
    FlatOut,
    /// So many inserts a second, of all together. An insert that is late counts from when it was due.
    Fixed(u32),
}

/// How long they go.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Before anything counts.
    pub warm_up: Duration,
    /// What counts.
    pub counted: Duration,
}

/// The connections of the clients: to the server beside them, and over the link.
pub struct Clients(Vec<(Client, Client)>);

impl Clients {
    /// Connects so many.
    ///
    /// # Errors
    ///
    /// When a server does not let us.
    pub fn connect(near: &Server, database: &str, link: &Link, number: usize) -> Result<Self> {
        (0..number).map(|_| Ok((near.connect(database)?, link.connect()?))).collect::<Result<_>>().map(Self)
    }
}

/// What one client has seen.
#[derive(Default)]
struct Seen {
    /// What each insert took, its key included, in seconds.
    latencies: Vec<f64>,
    /// The time in which it waited for keys.
    waited: Duration,
}

/// Lets the first so many clients insert in a way, and notes what came of it under `name`.
///
/// # Errors
///
/// When a statement fails, or nothing is inserted.
pub fn run(
    clients: &mut Clients,
    number: usize,
    way: &Way,
    pace: Pace,
    length: Length,
    figures: &mut Figures,
    name: &str,
) -> Result<()> {
    ensure!(number <= clients.0.len(), "there are {} clients", clients.0.len());
    let ready = Barrier::new(number);
    let seen = std::thread::scope(|scope| {
        let ready = &ready;
        let threads: Vec<_> = clients
            .0
            .iter_mut()
            .take(number)
            .enumerate()
            .map(|(at, (near, far))| {
                scope.spawn(move || {
                    client(Inserter::new(way, near, far, at as i32), at, number, pace, length, ready)
                })
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Seen>>| {
            thread.join().map_err(|_| anyhow!("a client's thread panicked"))?
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let latencies: Vec<f64> = seen.iter().flat_map(|seen| seen.latencies.iter().copied()).collect();
    let counted = length.counted.as_secs_f64();
    figures.add(&format!("{name}.rate"), Unit::Number, latencies.len() as f64 / counted);
    for (part, of_all) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        let latency = quantile(&latencies, of_all).context("nothing was inserted")?;
        figures.add(&format!("{name}.{part}"), Unit::Seconds, latency);
    }
    let waited: f64 = seen.iter().map(|seen| seen.waited.as_secs_f64()).sum();
    figures.add(&format!("{name}.waiting"), Unit::Number, waited / counted);
    Ok(())
}

fn client(
    inserter: Result<Inserter<'_>>,
    at: usize,
    number: usize,
    pace: Pace,
    length: Length,
    ready: &Barrier,
) -> Result<Seen> {
    // The others wait for it, whatever has become of it.
    ready.wait();
    let mut inserter = inserter?;
    let started = Instant::now();
    let counts_from = started + length.warm_up;
    let ends = counts_from + length.counted;
    let mut seen = Seen::default();
    let interval = match pace {
        Pace::FlatOut => Duration::ZERO,
        Pace::Fixed(rate) => Duration::from_secs(number as u64) / rate,
    };
    // Not all at the same moment.
    let mut due = started + interval * at as u32 / number as u32;
    loop {
        if pace == Pace::FlatOut {
            due = Instant::now();
        } else {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let asked = Instant::now();
        if asked >= ends {
            return Ok(seen);
        }
        let key = inserter.key()?;
        // Nobody waits for what the table makes.
        let waited = key.map_or(Duration::ZERO, |_| asked.elapsed());
        inserter.insert(key)?;
        let ended = Instant::now();
        if ended >= counts_from && ended < ends {
            seen.latencies.push((ended - due).as_secs_f64());
            seen.waited += waited;
        }
        due += interval;
    }
}
