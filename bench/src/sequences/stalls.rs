//! How long inserts stand still while sequences are set up in batches.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use pg_test::Server;
use postgres::Client;

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};
use super::filled::{CATALOGS, forget_set_up};
use xtask::statistics::quantile;

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "stalls",
    title: "Inserting during a set-up in batches",
    about: "Eight sessions insert single rows by defaults, in transactions of their own and in turn into eight tables \
            with serial keys, 100 rows a second each, while `CALL setup_interleaved_sequences_in_batches(1, 2)` sets \
            up the sequences of these tables among others. The latency of an insert counts from when it was due, so \
            that inserts which wait behind a stalled one count, too. The inserting sessions run with \
            `synchronous_commit = off`: no flush is taken for a stall. *Alone* is a period without the set-up just \
            before. *Beside open transactions*: another session inserts into one of the tables in transactions that \
            stay open for 300 ms, which keeps the sequence from being locked, with 100 ms in between.",
    needs: &[Need::Routine("setup_interleaved_sequences_in_batches")],
    tables: &[
        Table {
            corner: "inserts",
            columns: &["inserts", "p99", "p99.9", "worst"],
            rows: &[
                (
                    "alone",
                    &["short.alone.inserts", "short.alone.p99", "short.alone.p99.9", "short.alone.worst"],
                ),
                (
                    "during the set-up",
                    &["short.during.inserts", "short.during.p99", "short.during.p99.9", "short.during.worst"],
                ),
                (
                    "alone, beside open transactions",
                    &["open.alone.inserts", "open.alone.p99", "open.alone.p99.9", "open.alone.worst"],
                ),
                (
                    "during the set-up, beside open transactions",
                    &["open.during.inserts", "open.during.p99", "open.during.p99.9", "open.during.worst"],
                ),
            ],
        },
        Table {
            corner: "set-up",
            columns: &["time"],
            rows: &[
                ("in batches", &["short.set_up"]),
                ("in batches, beside open transactions", &["open.set_up"]),
            ],
        },
    ],
    charts: &[],
    checks: &[
        Check {
            what: "worst latency of an insert during the set-up",
            quantity: Quantity::Worst("short.during.worst"),
            target: Some(Target::AtMost(0.2)),
        },
        Check {
            what: "the same beside open transactions",
            quantity: Quantity::Worst("open.during.worst"),
            target: Some(Target::AtMost(0.2)),
        },
        Check {
            what: "the same without the set-up",
            quantity: Quantity::Worst("open.alone.worst"),
            target: None,
        },
    ],
};

/// Sessions that insert.
const SESSIONS: u32 = 8;

/// Tables that they insert into.
const BUSY: u32 = 8;

/// How often each of them does.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long a transaction of the other session stays open.
const OPEN: Duration = Duration::from_millis(300);

/// And how long it rests.
const REST: Duration = Duration::from_millis(100);

/// The database.
const DATABASE: &str = "stalls";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    Short,
    Open,
}

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails, or the set-up does not do its work.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let sequences = plan.count(500, 200);
    let alone = Duration::from_secs(u64::from(plan.count(3, 1)));
    let mut client = server::create_database(server, DATABASE)?;
    client
        .batch_execute(&format!(
            "DO $$ BEGIN FOR i IN 1..{sequences} LOOP
                 EXECUTE format('CREATE TABLE t%s (id bigserial PRIMARY KEY, v int)', i);
             END LOOP; END $$"
        ))
        .context("could not create the tables")?;
    let mut figures = Figures::default();
    figures.count("sequences", sequences);
    figures.count("tables inserted into", BUSY);
    interleave(
        plan.rounds,
        WarmUp::None,
        &[Company::Short, Company::Open],
        &mut figures,
        |company, figures| {
            restore(&mut client, sequences)?;
            let name = if *company == Company::Open { "open" } else { "short" };
            let latencies = beside_inserts(server, *company, || {
                std::thread::sleep(alone);
                Ok(())
            })?;
            record(figures, &format!("{name}.alone"), &latencies.0)?;
            let (latencies, took) = beside_inserts(server, *company, || {
                let started = Instant::now();
                client
                    .batch_execute("CALL setup_interleaved_sequences_in_batches(1, 2)")
                    .context("the set-up in batches failed")?;
                Ok(started.elapsed())
            })?;
            record(figures, &format!("{name}.during"), &latencies)?;
            figures.add_time(&format!("{name}.set_up"), took);
            let done = server::number(
                &mut client,
                "SELECT count(*) FROM pg_sequences WHERE schemaname = 'public' AND increment_by = 2",
            )?;
            ensure!(done == i64::from(sequences), "of {sequences} sequences {done} have been set up");
            Ok(())
        },
    )?;
    Ok(figures)
}

/// Brings the sequences back to steps of 1; their position stays above the rows that are there.
fn restore(client: &mut Client, sequences: u32) -> Result<()> {
    client
        .batch_execute(&format!(
            "DO $$ BEGIN FOR i IN 1..{sequences} LOOP
                 EXECUTE format('ALTER SEQUENCE t%s_id_seq INCREMENT BY 1 START WITH 1', i);
             END LOOP; END $$"
        ))
        .context("could not bring the sequences back")?;
    forget_set_up(client)?;
    server::tidy(client, &CATALOGS)
}

fn record(figures: &mut Figures, name: &str, latencies: &[f64]) -> Result<()> {
    figures.add(&format!("{name}.inserts"), Unit::Number, latencies.len() as f64);
    for (part, of_all) in [("p99", 0.99), ("p99.9", 0.999), ("worst", 1.0)] {
        let latency = quantile(latencies, of_all).context("nothing was inserted")?;
        figures.add(&format!("{name}.{part}"), Unit::Seconds, latency);
    }
    Ok(())
}

/// Does `work` while the sessions insert. Returns the latency of each insert that was due meanwhile, in seconds.
fn beside_inserts<T>(
    server: &Server,
    company: Company,
    work: impl FnOnce() -> Result<T>,
) -> Result<(Vec<f64>, T)> {
    let sessions = (0..SESSIONS).map(|_| Session::open(server)).collect::<Result<Vec<_>>>()?;
    let open = (company == Company::Open).then(|| Session::open(server)).transpose()?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        let open = open.map(|session| scope.spawn(move || session.hold_transactions(stop)));
        let threads: Vec<_> = (0..)
            .zip(sessions)
            .map(|(number, session)| scope.spawn(move || session.insert_steadily(number, stop)))
            .collect();
        let result = work();
        stop.store(true, Ordering::Relaxed);
        let mut latencies = Vec::new();
        for thread in threads {
            latencies.extend(thread.join().map_err(|_| anyhow!("a session's thread panicked"))??);
        }
        if let Some(open) = open {
            open.join().map_err(|_| anyhow!("a session's thread panicked"))??;
        }
        Ok((latencies, result?))
    })
}

/// A session that inserts.
struct Session {
    client: Client,
    inserts: Vec<postgres::Statement>,
}

impl Session {
    fn open(server: &Server) -> Result<Self> {
        let mut client = server.connect(DATABASE)?;
        client.batch_execute("SET synchronous_commit = off").context("could not set synchronous_commit")?;
        let inserts = (1..=BUSY)
            .map(|table| client.prepare(&format!("INSERT INTO t{table} (v) VALUES (1)")))
            .collect::<Result<Vec<_>, _>>()
            .context("could not prepare the inserts")?;
        // What a first insert loads is not what is measured.
        for insert in &inserts {
            client.execute(insert, &[]).context("an insert failed")?;
        }
        Ok(Self { client, inserts })
    }

    fn insert_steadily(mut self, number: u32, stop: &AtomicBool) -> Result<Vec<f64>> {
        let mut latencies = Vec::new();
        // Not all at the same moment.
        let mut due = Instant::now() + INTERVAL * number / SESSIONS;
        for table in number as usize.. {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let insert = self.inserts.get(table % self.inserts.len()).context("no table to insert into")?;
            self.client.execute(insert, &[]).context("an insert failed during the set-up")?;
            latencies.push(due.elapsed().as_secs_f64());
            due += INTERVAL;
        }
        Ok(latencies)
    }

    fn hold_transactions(mut self, stop: &AtomicBool) -> Result<()> {
        let insert = self.inserts.first().context("no table to insert into")?.clone();
        while !stop.load(Ordering::Relaxed) {
            let mut transaction = self.client.transaction().context("could not begin")?;
            transaction.execute(&insert, &[]).context("an insert failed during the set-up")?;
            std::thread::sleep(OPEN);
            transaction.commit().context("could not commit")?;
            std::thread::sleep(REST);
        }
        Ok(())
    }
}
