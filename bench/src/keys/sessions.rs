//! What a key costs in many sessions at once.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use pg_test::Server;

use super::super::figures::{Figures, Unit};
use super::super::measure::{Timed, WarmUp, interleave, time};
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table, Target};
use super::{Call, create_database, statement};

const DATABASE: &str = "sessions";

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "sessions",
    title: "Making keys in many sessions at once",
    about: "*On the clock* is the time from the moment when all sessions begin to the end of the last, for each key of all \
            together: twice as many keys in the same time are half the value. *On a CPU* is the time of all backends \
            together for each key; a session that sleeps until a lock is free spends none. Each session makes its keys \
            in one statement as above, and the bare loop in as many sessions is taken off both sides of a ratio. Behind \
            a spinlock is a generator that all sessions share: clock, random bits and the last key within the lock, as \
            extensions with a shared generator have it; or, briefly, nothing but the comparison with the last key. Both \
            take random bits that cost next to nothing. Another one, in another run with two cores, million keys a \
            second in 1, 2 and 8 sessions: pgx_ulid `gen_monotonic_ulid()`, a lock in shared memory, 3.6, 2.3 and 4.5.",
    needs: &[],
    tables: &[
        Table {
            corner: "call, on the clock",
            columns: &["1 session", "2 sessions", "8 sessions"],
            rows: &[
                ("none (bare loop)", &["bare_loop.1", "bare_loop.2", "bare_loop.8"]),
                ("`uuidv7()`", &["uuidv7.1", "uuidv7.2", "uuidv7.8"]),
                ("`uuidv7_monotonic()`", &["monotonic.1", "monotonic.2", "monotonic.8"]),
                ("generator behind a spinlock", &["locked.1", "locked.2", "locked.8"]),
                ("generator behind a spinlock, briefly", &["brief.1", "brief.2", "brief.8"]),
            ],
        },
        Table {
            corner: "call, on a CPU",
            columns: &["1 session", "2 sessions", "8 sessions"],
            rows: &[
                ("none (bare loop)", &["bare_loop.cpu.1", "bare_loop.cpu.2", "bare_loop.cpu.8"]),
                ("`uuidv7()`", &["uuidv7.cpu.1", "uuidv7.cpu.2", "uuidv7.cpu.8"]),
                ("`uuidv7_monotonic()`", &["monotonic.cpu.1", "monotonic.cpu.2", "monotonic.cpu.8"]),
                ("generator behind a spinlock", &["locked.cpu.1", "locked.cpu.2", "locked.cpu.8"]),
                ("generator behind a spinlock, briefly", &["brief.cpu.1", "brief.cpu.2", "brief.cpu.8"]),
            ],
        },
    ],
    charts: &[],
    checks: &[
        Check {
            what: "generator behind a spinlock to `uuidv7_monotonic()`, 2 sessions, on the clock",
            quantity: Quantity::Ratio { of: "locked.2", to: "monotonic.2", less: Some("bare_loop.2") },
            target: Some(Target::AtLeast(4.0)),
        },
        Check {
            what: "generator behind a spinlock to `uuidv7_monotonic()`, 8 sessions, on the clock",
            quantity: Quantity::Ratio { of: "locked.8", to: "monotonic.8", less: Some("bare_loop.8") },
            target: Some(Target::AtLeast(2.0)),
        },
        Check {
            what: "the same to `uuidv7()`, which shares nothing, 2 sessions",
            quantity: Quantity::Ratio { of: "locked.2", to: "uuidv7.2", less: Some("bare_loop.2") },
            target: None,
        },
        Check {
            what: "the same to `uuidv7()`, which shares nothing, 8 sessions",
            quantity: Quantity::Ratio { of: "locked.8", to: "uuidv7.8", less: Some("bare_loop.8") },
            target: None,
        },
        Check {
            what: "generator behind a spinlock to `uuidv7_monotonic()`, 2 sessions, on a CPU",
            quantity: Quantity::Ratio {
                of: "locked.cpu.2",
                to: "monotonic.cpu.2",
                less: Some("bare_loop.cpu.2"),
            },
            target: None,
        },
        Check {
            what: "generator behind a spinlock to `uuidv7_monotonic()`, 8 sessions, on a CPU",
            quantity: Quantity::Ratio {
                of: "locked.cpu.8",
                to: "monotonic.cpu.8",
                less: Some("bare_loop.cpu.8"),
            },
            target: None,
        },
        Check {
            what: "the same, lock held briefly, 2 sessions",
            quantity: Quantity::Ratio { of: "brief.2", to: "monotonic.2", less: Some("bare_loop.2") },
            target: None,
        },
        Check {
            what: "the same, lock held briefly, 8 sessions",
            quantity: Quantity::Ratio { of: "brief.8", to: "monotonic.8", less: Some("bare_loop.8") },
            target: None,
        },
        Check {
            what: "`uuidv7_monotonic()` in 1 session to 2, with the loop",
            quantity: Quantity::Ratio { of: "monotonic.1", to: "monotonic.2", less: None },
            target: None,
        },
        Check {
            what: "`uuidv7_monotonic()` in 1 session to 8, with the loop",
            quantity: Quantity::Ratio { of: "monotonic.1", to: "monotonic.8", less: None },
            target: None,
        },
        Check {
            what: "`uuidv7()` in 1 session to 8, with the loop",
            quantity: Quantity::Ratio { of: "uuidv7.1", to: "uuidv7.8", less: None },
            target: None,
        },
    ],
};

const CALLS: [Call; 5] = [
    Call { name: "bare_loop", call: "1" },
    Call { name: "uuidv7", call: "public.uuidv7()" },
    Call { name: "monotonic", call: "uuidv7_monotonic()" },
    Call { name: "locked", call: "baseline_locked()" },
    Call { name: "brief", call: "baseline_locked_briefly()" },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    drop(create_database(server, DATABASE)?);
    let keys = plan.count(4_000_000, 800_000);
    let mut figures = Figures::default();
    figures.count("keys of all sessions, a round", keys);
    let compared: Vec<(u32, &Call)> =
        [1, 2, 8].into_iter().flat_map(|sessions| CALLS.iter().map(move |call| (sessions, call))).collect();
    interleave(plan.rounds, WarmUp::Round, &compared, &mut figures, |(sessions, call), figures| {
        let took = at_once(server, *sessions, &statement(call.call, keys / sessions))?;
        let mut add = |name: String, time: Duration| {
            figures.add(&name, Unit::Seconds, time.as_secs_f64() / f64::from(keys));
        };
        add(format!("{}.{sessions}", call.name), took.wall);
        add(format!("{}.cpu.{sessions}", call.name), took.cpu);
        Ok(())
    })?;
    Ok(figures)
}

/// How long it takes until the last of so many sessions has executed the statement, and the CPU time of all.
fn at_once(server: &Server, sessions: u32, statement: &str) -> Result<Timed> {
    let ready = Barrier::new(sessions as usize + 1);
    std::thread::scope(|scope| {
        let session = || -> Result<Duration> {
            let prepared = server.connect(DATABASE).and_then(|mut client| {
                // Loads the library, finds shared memory and draws random bits.
                client
                    .batch_execute("SELECT public.uuidv7(), uuidv7_monotonic()")
                    .context("a call failed")?;
                let statement = client.prepare(statement).context("could not prepare the calls")?;
                Ok((client, statement))
            });
            match prepared {
                Ok((mut client, statement)) => {
                    let (_, took) = time(&mut client, |client| {
                        ready.wait();
                        client.query_one(&statement, &[]).context("the calls failed")
                    })?;
                    Ok(took.cpu)
                }
                Err(error) => {
                    // The others wait for it.
                    ready.wait();
                    Err(error)
                }
            }
        };
        let threads: Vec<_> = (0..sessions).map(|_| scope.spawn(session)).collect();
        ready.wait();
        let started = Instant::now();
        let mut cpu = Duration::ZERO;
        for thread in threads {
            cpu += thread.join().map_err(|_| anyhow!("a session's thread panicked"))??;
        }
        Ok(Timed { wall: started.elapsed(), cpu })
    })
}
