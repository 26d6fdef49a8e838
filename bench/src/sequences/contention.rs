//! What a value costs where eight sessions draw from one sequence.

use std::sync::Barrier;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use pg_test::Server;
use postgres::{Client, Statement};

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table};
use xtask::statistics::quantile;

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "contention",
    title: "Drawing in eight sessions at once",
    about: "Eight sessions draw from one untouched sequence that steps by 1. *One by one*: each call is a prepared \
            statement in a transaction of its own, timed by the client; a commit whose call wrote to the log waits for \
            the flush. *Back to back*: each session makes all its calls in one statement, each timed in the server to \
            the microsecond. Values used up are the advance of `last_value` for each call, a mean. As all sessions \
            want the same class, whoever draws a value of it keeps it, and the mean is the number of nodes at any \
            load; a call that others keep taking the values from shows in the latency alone. With more sessions than \
            cores the latency contains waiting for a core, too, and back to back it does so the more often the longer \
            a call takes.",
    needs: &[],
    tables: &[
        Table {
            corner: "call, one by one",
            columns: &["values used up", "latency, median", "latency, p99.9"],
            rows: &[
                ("`nextval(s)`", &["nextval.single.used", "nextval.single.p50", "nextval.single.p99.9"]),
                ("`partitioned_nextval(s, 1, 2)`", &["2.single.used", "2.single.p50", "2.single.p99.9"]),
                ("`partitioned_nextval(s, 1, 16)`", &["16.single.used", "16.single.p50", "16.single.p99.9"]),
            ],
        },
        Table {
            corner: "call, back to back",
            columns: &["values used up", "latency, mean", "latency, p99.9"],
            rows: &[
                ("`nextval(s)`", &["nextval.bulk.used", "nextval.bulk.mean", "nextval.bulk.p99.9"]),
                ("`partitioned_nextval(s, 1, 2)`", &["2.bulk.used", "2.bulk.mean", "2.bulk.p99.9"]),
                ("`partitioned_nextval(s, 1, 16)`", &["16.bulk.used", "16.bulk.mean", "16.bulk.p99.9"]),
            ],
        },
    ],
    charts: &[],
    checks: &[
        Check {
            what: "latency p99.9 one by one, 2 nodes to `nextval`",
            quantity: Quantity::Ratio { of: "2.single.p99.9", to: "nextval.single.p99.9", less: None },
            target: None,
        },
        Check {
            what: "latency p99.9 one by one, 16 nodes to `nextval`",
            quantity: Quantity::Ratio { of: "16.single.p99.9", to: "nextval.single.p99.9", less: None },
            target: None,
        },
    ],
};

/// Sessions that draw at once.
const SESSIONS: u32 = 8;

struct Draw {
    name: &'static str,
    call: &'static str,
    sequence: &'static str,
}

const DRAWS: [Draw; 3] = [
    Draw { name: "nextval", call: "nextval('plain')", sequence: "plain" },
    Draw { name: "2", call: "partitioned_nextval('of_2', 1, 2)", sequence: "of_2" },
    Draw { name: "16", call: "partitioned_nextval('of_16', 1, 16)", sequence: "of_16" },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let mut client = server::create_database(server, "contention")?;
    client
        .batch_execute("CREATE SEQUENCE plain; CREATE SEQUENCE of_2; CREATE SEQUENCE of_16")
        .context("could not create the sequences")?;
    let (single, bulk) = (plan.count(10_000, 2_000), plan.count(50_000, 10_000));
    let mut figures = Figures::default();
    figures.count("calls a session and round, one by one", single);
    figures.count("calls a session and round, back to back", bulk);
    interleave(plan.rounds, WarmUp::Round, &DRAWS, &mut figures, |draw, figures| {
        let drawn = one_by_one(server, draw, single)?;
        record(figures, &format!("{}.single", draw.name), &drawn)?;
        let drawn = back_to_back(server, draw, bulk)?;
        record(figures, &format!("{}.bulk", draw.name), &drawn)
    })?;
    Ok(figures)
}

/// What all sessions together have drawn.
struct Drawn {
    /// Of each call, in seconds.
    latencies: Vec<f64>,
    /// How many values the sequence went on by.
    used: f64,
}

fn record(figures: &mut Figures, name: &str, drawn: &Drawn) -> Result<()> {
    figures.add(&format!("{name}.used"), Unit::Number, drawn.used / drawn.latencies.len() as f64);
    // Single calls back to back are too short for a clock of microseconds.
    let mean = drawn.latencies.iter().sum::<f64>() / drawn.latencies.len() as f64;
    figures.add(&format!("{name}.mean"), Unit::Seconds, mean);
    for (part, of_all) in [("p50", 0.5), ("p99.9", 0.999)] {
        let latency = quantile(&drawn.latencies, of_all).context("no call was timed")?;
        figures.add(&format!("{name}.{part}"), Unit::Seconds, latency);
    }
    Ok(())
}

/// Each call a transaction, timed by the client.
fn one_by_one(server: &Server, draw: &Draw, calls: u32) -> Result<Drawn> {
    in_sessions(server, draw, &format!("SELECT {}", draw.call), |client, statement| {
        let mut latencies = Vec::with_capacity(calls as usize);
        for _ in 0..calls {
            let started = Instant::now();
            client.query_one(statement, &[]).context("a call failed")?;
            latencies.push(started.elapsed().as_secs_f64());
        }
        Ok(latencies)
    })
}

/// All calls of a session in one statement, timed by the server.
fn back_to_back(server: &Server, draw: &Draw, calls: u32) -> Result<Drawn> {
    let statement = format!(
        "SELECT array_agg(extract(epoch FROM ended - started)::float8)
         FROM (SELECT clock_timestamp() AS started, {}, clock_timestamp() AS ended
               FROM generate_series(1, {calls}) OFFSET 0) AS c",
        draw.call
    );
    in_sessions(server, draw, &statement, |client, statement| {
        Ok(client.query_one(statement, &[]).context("a call failed")?.get(0))
    })
}

/// Runs `work` with a prepared statement in every session, all at once.
fn in_sessions(
    server: &Server,
    draw: &Draw,
    statement: &str,
    work: impl Fn(&mut Client, &Statement) -> Result<Vec<f64>> + Sync,
) -> Result<Drawn> {
    let mut client = server.connect("contention")?;
    let last_value = format!("SELECT last_value FROM {}", draw.sequence);
    let before = server::number(&mut client, &last_value)?;
    let ready = Barrier::new(SESSIONS as usize);
    let latencies = std::thread::scope(|scope| {
        let session = || -> Result<Vec<f64>> {
            let prepared = server.connect("contention").and_then(|mut client| {
                let statement = client.prepare(statement).context("could not prepare the call")?;
                Ok((client, statement))
            });
            // Also where this session has failed: the others wait for it.
            ready.wait();
            let (mut client, statement) = prepared?;
            work(&mut client, &statement)
        };
        let threads: Vec<_> = (0..SESSIONS).map(|_| scope.spawn(session)).collect();
        let mut latencies = Vec::new();
        for thread in threads {
            latencies.extend(thread.join().map_err(|_| anyhow!("a session's thread panicked"))??);
        }
        Ok::<_, anyhow::Error>(latencies)
    })?;
    let after = server::number(&mut client, &last_value)?;
    ensure!(after > before, "nothing was drawn from {}", draw.sequence);
    Ok(Drawn { latencies, used: (after - before) as f64 })
}
