//! Cases one after the other, until the time is over or one of them fails. Of a case that fails,
//! the events that do not matter are left out.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pg_test::{InstallTree, Server};
use rand::SeedableRng;
use rand::rngs::ChaCha12Rng;

use crate::definitions::Definitions;
use crate::event::Event;
use crate::world::{LeftOut, World};

/// The events of a case.
const EVENTS: usize = 60;

/// How long to look for a shorter list of events.
const SHRINK_FOR: Duration = Duration::from_secs(30);

const SETTINGS: [&str; 4] =
    ["max_connections = 30", "synchronous_commit = on", "autovacuum = off", "log_min_messages = panic"];

/// A case that failed.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub fault: String,
    pub statements: Vec<String>,
    /// As few as were found.
    pub events: Vec<Event>,
    /// How many there were.
    pub of: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nPG_KEYSPACE_TEST_SEED={}", self.fault, self.seed)?;
        self.statements.iter().try_for_each(|statement| writeln!(f, "{statement};"))?;
        writeln!(f, "{} of {} events:", self.events.len(), self.of)?;
        self.events.iter().try_for_each(|event| writeln!(f, "{event:?}"))
    }
}

/// What was done without a fault.
#[derive(Debug, Default)]
pub struct Done {
    pub cases: u64,
    pub events: usize,
    pub ids: usize,
    /// How many sequences were safe, at the end of each event.
    pub safe: usize,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, events, ids, safe } = self;
        write!(f, "{cases} cases, {events} events, {ids} ids; {safe} times a sequence was safe")
    }
}

/// A server for cases.
pub struct Fuzzer {
    server: Server,
    left_out: LeftOut,
    /// The number of the next case, for the names of databases.
    next: u64,
}

impl Fuzzer {
    pub fn start(left_out: LeftOut) -> Self {
        let tree = InstallTree::from_environment().unwrap();
        let server = Server::start(&tree, "fuzz", &SETTINGS).unwrap();
        server.connect("postgres").unwrap().batch_execute("CREATE DATABASE base").unwrap();
        server.connect("base").unwrap().batch_execute("CREATE EXTENSION pg_keyspace").unwrap();
        Self { server, left_out, next: 0 }
    }

    /// Runs cases with the seeds from `seed` on, for a time.
    pub fn run_for(&mut self, seed: u64, time: Duration) -> Result<Done, Box<Report>> {
        let end = Instant::now() + time;
        self.run_while(seed, |_| Instant::now() < end)
    }

    /// Runs a number of cases.
    pub fn run_cases(&mut self, seed: u64, cases: u64) -> Result<Done, Box<Report>> {
        self.run_while(seed, |done| done.cases < cases)
    }

    fn run_while(&mut self, seed: u64, more: impl Fn(&Done) -> bool) -> Result<Done, Box<Report>> {
        println!("PG_KEYSPACE_TEST_SEED={seed}");
        let mut done = Done::default();
        while more(&done) {
            let seed = seed.wrapping_add(done.cases);
            let definitions = Definitions::at_random(&mut ChaCha12Rng::seed_from_u64(seed));
            let mut random = ChaCha12Rng::seed_from_u64(seed ^ u64::from(u32::MAX));
            let mut events = Vec::new();
            let next = |world: &World<'_>, at| (at < EVENTS).then(|| Event::at_random(world, &mut random));
            if let Err(error) = self.play(&definitions, next, &mut events, &mut done) {
                return Err(Box::new(self.shrink(seed, definitions, events, &error)));
            }
            done.cases += 1;
        }
        Ok(done)
    }

    /// Plays a case. `next` chooses each event, which is added to `events`.
    fn play(
        &mut self,
        definitions: &Definitions,
        mut next: impl FnMut(&World<'_>, usize) -> Option<Event>,
        events: &mut Vec<Event>,
        done: &mut Done,
    ) -> Result<()> {
        self.next += 1;
        let prefix = format!("case_{}", self.next);
        let mut world = World::new(&mut self.server, definitions, self.left_out, prefix)?;
        let mut outcome = Ok(());
        while outcome.is_ok()
            && let Some(event) = next(&world, events.len())
        {
            outcome = event.apply(&mut world).and_then(|()| event.expect(&mut world));
            events.push(event);
            done.safe += world.is_safe.iter().filter(|is_safe| **is_safe).count();
        }
        done.events += events.len();
        done.ids += world.ledger.total();
        let end = world.end().context("could not remove the databases of a case");
        outcome.and(end)
    }

    /// Leaves out events as long as the case still fails in the same way.
    fn shrink(
        &mut self,
        seed: u64,
        definitions: Definitions,
        events: Vec<Event>,
        error: &anyhow::Error,
    ) -> Report {
        // A fault that was planted is found, and need not be understood.
        let is_planted = self.left_out != LeftOut::Nothing;
        let end = Instant::now() + if is_planted { Duration::ZERO } else { SHRINK_FOR };
        let (of, mut fault, mut events) = (events.len(), format!("{error:#}"), events);
        let mut chunk = events.len() / 2;
        while chunk > 0 && Instant::now() < end {
            let mut at = 0;
            while at < events.len() && Instant::now() < end {
                let mut fewer = events.clone();
                fewer.drain(at..(at + chunk).min(fewer.len()));
                match self.replay(&definitions, &fewer) {
                    Err((again, played)) if kind(&again) == kind(&fault) => (fault, events) = (again, played),
                    _ => at += chunk,
                }
            }
            chunk /= 2;
        }
        Report { seed, fault, statements: definitions.statements, events, of }
    }

    /// Plays a list of events. Returns the fault and the events up to it.
    fn replay(&mut self, definitions: &Definitions, events: &[Event]) -> Result<(), (String, Vec<Event>)> {
        let mut played = Vec::new();
        let next = |_: &World<'_>, at: usize| events.get(at).cloned();
        self.play(definitions, next, &mut played, &mut Done::default())
            .map_err(|error| (format!("{error:#}"), played))
    }
}

/// What comes before the colon, without what differs from case to case.
fn kind(fault: &str) -> &str {
    fault.split(':').next().unwrap_or_default()
}
