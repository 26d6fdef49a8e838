//! What a value costs where eight sessions draw from one sequence.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use pg_test::{Server, load};
use postgres::{Client, Statement};
use xtask::statistics::quantile;

use crate::figures::{Figures, Unit};
use crate::measure::{WarmUp, interleave};
use crate::server;
use crate::suite::Plan;

/// Sessions that draw at once.
const SESSIONS: u32 = 8;

/// The compared calls: the name of the series, the call, and the sequence.
const DRAWS: [(&str, &str, &str); 3] = [
    ("nextval", "nextval('plain')", "plain"),
    ("2", "partitioned_nextval('of_2', 1, 2)", "of_2"),
    ("16", "partitioned_nextval('of_16', 1, 16)", "of_16"),
];

pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let mut client = server::create_database(server, "contention")?;
    client
        .batch_execute("CREATE SEQUENCE plain; CREATE SEQUENCE of_2; CREATE SEQUENCE of_16")
        .context("could not create the sequences")?;
    let (single, bulk) = (plan.count(10_000, 2_000), plan.count(50_000, 10_000));
    let mut figures = Figures::default();
    figures.count("calls a session and round, one by one", single);
    figures.count("calls a session and round, back to back", bulk);
    interleave(plan.rounds, WarmUp::Round, &DRAWS, &mut figures, |(name, call, sequence), figures| {
        let last_value = format!("SELECT last_value FROM {sequence}");
        // Each call a transaction, timed by the client; and all calls of a session in one statement, timed by the server.
        let one_by_one = |client: &mut Client, statement: &Statement| {
            let timed = (0..single).map(|_| {
                let started = Instant::now();
                client.query_one(statement, &[]).context("a call failed")?;
                Ok(started.elapsed().as_secs_f64())
            });
            timed.collect::<Result<Vec<f64>>>()
        };
        let back_to_back = |client: &mut Client, statement: &Statement| {
            Ok(client.query_one(statement, &[]).context("a call failed")?.get::<_, Vec<f64>>(0))
        };
        let all_in_one = format!(
            "SELECT array_agg(extract(epoch FROM ended - started)::float8)
             FROM (SELECT clock_timestamp() AS started, {call}, clock_timestamp() AS ended
                   FROM generate_series(1, {bulk}) OFFSET 0) AS c"
        );
        let before = pg_test::number(&mut client, &last_value)?;
        let latencies = in_sessions(server, &format!("SELECT {call}"), one_by_one)?;
        let between = pg_test::number(&mut client, &last_value)?;
        record(figures, &format!("{name}.single"), &latencies, between - before)?;
        let latencies = in_sessions(server, &all_in_one, back_to_back)?;
        let after = pg_test::number(&mut client, &last_value)?;
        record(figures, &format!("{name}.bulk"), &latencies, after - between)
    })?;
    Ok(figures)
}

/// Runs `work` with a prepared statement in every session, all at once. Returns the latencies, in seconds.
fn in_sessions(
    server: &Server,
    statement: &str,
    work: impl Fn(&mut Client, &Statement) -> Result<Vec<f64>> + Sync,
) -> Result<Vec<f64>> {
    let prepare = |_| {
        let mut client = server.connect("contention")?;
        let statement = client.prepare(statement).context("could not prepare the call")?;
        Ok((client, statement))
    };
    let all = load::at_once((0..SESSIONS).collect(), prepare, |(mut client, statement)| {
        work(&mut client, &statement)
    })?;
    Ok(all.results.concat())
}

/// Notes what was felt, and how many values the sequence went on by for each call.
fn record(figures: &mut Figures, name: &str, latencies: &[f64], used: i64) -> Result<()> {
    ensure!(used > 0, "nothing was drawn");
    figures.add(&format!("{name}.used"), Unit::Number, used as f64 / latencies.len() as f64);
    // Single calls back to back are too short for a clock of microseconds.
    let mean = latencies.iter().sum::<f64>() / latencies.len() as f64;
    figures.add(&format!("{name}.mean"), Unit::Seconds, mean);
    for (part, of_all) in [("p50", 0.5), ("p99.9", 0.999)] {
        let latency = quantile(latencies, of_all).context("no call was timed")?;
        figures.add(&format!("{name}.{part}"), Unit::Seconds, latency);
    }
    Ok(())
}
