//! How long inserts stand still while sequences are set up in batches.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use pg_test::load::{self, Session, Turn};
use postgres::Client;
use xtask::statistics::quantile;

use super::CATALOGS;
use crate::figures::{Figures, Unit};
use crate::measure::{WarmUp, interleave};
use crate::server;
use crate::suite::Plan;

/// Sessions that insert, the tables that each inserts into in turn, and how often it does.
const SESSIONS: u32 = 8;
const BUSY: u32 = 8;
const INTERVAL: Duration = Duration::from_millis(10);

/// How long a transaction of one more session stays open, and how long it rests.
const OPEN: Duration = Duration::from_millis(300);
const REST: Duration = Duration::from_millis(100);

const DATABASE: &str = "stalls";

pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let sequences = plan.count(500, 200);
    let alone = Duration::from_secs(u64::from(plan.count(3, 1)));
    let mut client = server::create_database(server, DATABASE)?;
    let for_each = |statement: &str| {
        format!("DO $$ BEGIN FOR i IN 1..{sequences} LOOP EXECUTE format('{statement}', i); END LOOP; END $$")
    };
    client
        .batch_execute(&for_each("CREATE TABLE t%s (id bigserial PRIMARY KEY, v int)"))
        .context("could not create the tables")?;
    client.batch_execute("CREATE EXTENSION pg_keyspace_test").context("could not create pg_keyspace_test")?;
    let mut figures = Figures::default();
    figures.count("sequences", sequences);
    figures.count("tables inserted into", BUSY);
    let compared = [("short", false), ("open", true)];
    interleave(plan.rounds, WarmUp::None, &compared, &mut figures, |(name, has_open), figures| {
        // Back to steps of 1; the position stays above the existing rows.
        client
            .batch_execute(&for_each("ALTER SEQUENCE t%s_id_seq INCREMENT BY 1 START WITH 1"))
            .context("could not bring the sequences back")?;
        client
            .batch_execute(
                "CALL keyspace_test.forget_node();
                 CALL keyspace_test.by_hand('DELETE FROM keyspace_internal.interleaved_sequence')",
            )
            .context("could not take away what the set-up noted")?;
        server::tidy(&mut client, &CATALOGS)?;
        let (turns, ()) = load::alongside(sessions(server, *has_open)?, || {
            std::thread::sleep(alone);
            Ok(())
        })?;
        record(figures, &format!("{name}.alone"), &turns)?;
        let (turns, took) = load::alongside(sessions(server, *has_open)?, || {
            let started = Instant::now();
            client
                .batch_execute("CALL setup_interleaved_sequences_in_batches(1, 2)")
                .context("the set-up in batches failed")?;
            Ok(started.elapsed())
        })?;
        record(figures, &format!("{name}.during"), &turns)?;
        figures.add_time(&format!("{name}.set_up"), took);
        let done = pg_test::number(
            &mut client,
            "SELECT count(*) FROM pg_sequences WHERE schemaname = 'public' AND increment_by = 2",
        )?;
        ensure!(done == i64::from(sequences), "of {sequences} sequences {done} have been set up");
        Ok(())
    })?;
    Ok(figures)
}

/// Sessions that insert at an even pace, and optionally one that keeps transactions open.
fn sessions(server: &Server, has_open: bool) -> Result<Vec<Session<'static, Turn<()>>>> {
    let mut sessions: Vec<Session<'_, _>> = Vec::new();
    for number in 0..SESSIONS {
        let (mut client, inserts) = connect(server)?;
        let mut tables = inserts.into_iter().cycle().skip(number as usize);
        sessions.push(Box::new(move |stop| {
            load::paced(stop, INTERVAL, (number, SESSIONS), || {
                let insert = tables.next().context("no table to insert into")?;
                client.execute(&insert, &[]).context("an insert failed during the set-up")?;
                Ok(())
            })
        }));
    }
    if has_open {
        let (client, _) = connect(server)?;
        let insert = "BEGIN; INSERT INTO t1 (v) VALUES (1)";
        sessions.push(Box::new(move |stop| load::keep_open(stop, client, insert, OPEN, REST)));
    }
    Ok(sessions)
}

fn connect(server: &Server) -> Result<(Client, Vec<postgres::Statement>)> {
    let mut client = server.connect(DATABASE)?;
    client.batch_execute("SET synchronous_commit = off").context("could not set synchronous_commit")?;
    let inserts = (1..=BUSY)
        .map(|table| client.prepare(&format!("INSERT INTO t{table} (v) VALUES (1)")))
        .collect::<Result<Vec<_>, _>>()
        .context("could not prepare the inserts")?;
    // The first insert, which loads the library, is not measured.
    for insert in &inserts {
        client.execute(insert, &[]).context("an insert failed")?;
    }
    Ok((client, inserts))
}

fn record(figures: &mut Figures, name: &str, turns: &[Turn<()>]) -> Result<()> {
    let latencies: Vec<f64> = turns.iter().map(|turn| turn.latency.as_secs_f64()).collect();
    figures.add(&format!("{name}.inserts"), Unit::Number, latencies.len() as f64);
    for (part, of_all) in [("p99", 0.99), ("p99.9", 0.999), ("worst", 1.0)] {
        let latency = quantile(&latencies, of_all).context("nothing was inserted")?;
        figures.add(&format!("{name}.{part}"), Unit::Seconds, latency);
    }
    Ok(())
}
