//! What a key costs in many sessions at once.

use anyhow::{Context, Result};
use pg_test::{Server, load};
use postgres::Client;

use crate::figures::{Figures, Unit};
use crate::measure::{CpuClock, Timed, WarmUp, interleave};
use crate::server::create_database;
use crate::suite::{Plan, directory};

const DATABASE: &str = "sessions";

/// The series, and the call for each row.
const CALLS: [(&str, &str); 5] = [
    ("bare_loop", "1"),
    ("uuidv7", "public.uuidv7()"),
    ("monotonic", "uuidv7_monotonic()"),
    ("locked", "baseline_locked()"),
    ("brief", "baseline_locked_briefly()"),
];

pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let baseline = std::fs::read_to_string(directory("keys").join("baseline.sql"));
    create_database(server, DATABASE)?
        .batch_execute(&baseline.context("could not read baseline.sql")?)
        .context("could not create the baseline")?;
    let keys = plan.count(4_000_000, 800_000);
    let mut figures = Figures::default();
    figures.count("keys of all sessions, a round", keys);
    let compared: Vec<_> =
        [1, 2, 8].into_iter().flat_map(|sessions| CALLS.map(move |call| (sessions, call))).collect();
    interleave(plan.rounds, WarmUp::Round, &compared, &mut figures, |(sessions, (name, call)), figures| {
        let rows = keys / sessions;
        let statement = format!("SELECT count({call}) FROM (SELECT generate_series(1, {rows}) AS n) AS g");
        let took = at_once(server, *sessions, &statement)?;
        for (series, time) in
            [(format!("{name}.{sessions}"), took.wall), (format!("{name}.cpu.{sessions}"), took.cpu)]
        {
            figures.add(&series, Unit::Seconds, time.as_secs_f64() / f64::from(keys));
        }
        Ok(())
    })?;
    Ok(figures)
}

/// How long it takes until the last of so many sessions has executed the statement, and the CPU time of all.
fn at_once(server: &Server, sessions: u32, statement: &str) -> Result<Timed> {
    let prepare = |_| {
        let mut client = server.connect(DATABASE)?;
        // Loads the library, finds shared memory and draws random bits.
        client.batch_execute("SELECT public.uuidv7(), uuidv7_monotonic()").context("a call failed")?;
        let statement = client.prepare(statement).context("could not prepare the calls")?;
        let clock = CpuClock::start(&mut client)?;
        Ok((client, statement, clock))
    };
    let done = load::at_once((0..sessions).collect(), prepare, |(mut client, statement, clock)| {
        client.query_one(&statement, &[]).context("the calls failed")?;
        Ok((client, clock))
    })?;
    let cpu = |(_client, clock): (Client, CpuClock)| clock.stop(done.took).cpu;
    Ok(Timed { wall: done.took, cpu: done.results.into_iter().map(cpu).sum() })
}
