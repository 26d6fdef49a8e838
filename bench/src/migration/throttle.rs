//! What writers feel of a backfill that takes its time.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use pg_test::Server;
use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};
use super::shop::{self, Size};
use super::traffic::{self, Company, Reader};
use xtask::statistics::quantile;

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "throttle",
    title: "A throttled backfill",
    about: "The same writers, for some seconds with nothing else going on and for some seconds beside the backfill, in \
            turn; every figure is that of one turn. Throttled is `key_migration_set('orders', batch_pages => 16, \
            pause => '20 ms')`, and where there is a pause, others who wait for the CPU go first within a batch, too: a \
            kernel may let a batch go on for some milliseconds, which is longer than these transactions take. And the \
            batch flushes its log every 256 KiB and at its end, which whoever commits would have to otherwise. \
            Unthrottled is as it is created, 64 pages without a pause.",
    needs: &[Need::Routine("key_migration_set")],
    tables: &[Table {
        corner: "transactions of the writers",
        columns: &["transactions", "median", "p99", "worst", "rows filled a second"],
        rows: &[
            ("nothing else going on", &["idle.count", "idle.p50", "idle.p99", "idle.worst", "idle.rate"]),
            (
                "throttled backfill",
                &["throttled.count", "throttled.p50", "throttled.p99", "throttled.worst", "throttled.rate"],
            ),
            (
                "unthrottled backfill",
                &["flat_out.count", "flat_out.p50", "flat_out.p99", "flat_out.worst", "flat_out.rate"],
            ),
        ],
    }],
    charts: &[],
    checks: &[
        Check {
            what: "p99 beside a throttled backfill to nothing else going on",
            quantity: Quantity::Ratio { of: "throttled.p99", to: "idle.p99", less: None },
            target: Some(Target::AtMost(2.0)),
        },
        Check {
            what: "p99 beside an unthrottled backfill to nothing else going on",
            quantity: Quantity::Ratio { of: "flat_out.p99", to: "idle.p99", less: None },
            target: None,
        },
    ],
};

const DATABASE: &str = "throttle";

/// The backfill of all that is left: a call outlasts the turn, as those of a large table do, and is cancelled at its end.
const BACKFILL: &str = "CALL key_migration_advance('orders', through => 'backfilled')";

/// What is compared: name and batch, or nothing to be filled.
const LOADS: [(&str, Option<(i32, &str)>); 3] =
    [("idle", None), ("throttled", Some((16, "20 ms"))), ("flat_out", Some((64, "0")))];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan, size: Size) -> Result<Figures> {
    let turns = plan.count(8, 2);
    // A small shop is through with it soon.
    let seconds = plan.count(3, 2);
    let mut figures = Figures::default();
    figures.count("turns of each", turns);
    figures.count("seconds a turn", seconds);
    let company = Company { edits: Some(size.orders), reader: Reader::None };
    let mut seed = 0;
    for _ in 0..plan.rounds {
        let mut client = shop::copy(server, shop::SHOP, DATABASE)?;
        run(&mut client, "SELECT key_migration_create('orders')")?;
        run(&mut client, "CALL key_migration_advance('orders', through => 'prepared')")?;
        interleave(turns, WarmUp::None, &LOADS, &mut figures, |(name, load), figures| {
            seed += 1;
            let turn = Turn { load: *load, company, seed, time: Duration::from_secs(seconds.into()) };
            turn.take(server, &mut client, name, figures)
        })?;
        drop(client);
        shop::drop_copy(&mut server.connect("postgres")?, DATABASE)?;
    }
    Ok(figures)
}

/// Some seconds of one load.
struct Turn {
    load: Option<(i32, &'static str)>,
    company: Company,
    seed: u32,
    time: Duration,
}

impl Turn {
    fn take(&self, server: &Server, client: &mut Client, name: &str, figures: &mut Figures) -> Result<()> {
        if let Some((pages, pause)) = self.load {
            let set =
                format!("SELECT key_migration_set('orders', batch_pages => {pages}, pause => '{pause}')");
            run(client, &set)?;
        }
        let advancing = self.load.is_some().then(|| server.connect(DATABASE)).transpose()?;
        let filled = "SELECT coalesce(sum(filled_rows), 0)::bigint FROM key_migration_progress";
        let before = server::number(client, filled)?;
        let started = Instant::now();
        let (requests, ()) = traffic::beside(server, DATABASE, started, self.company, self.seed, || {
            if let Some(client) = advancing {
                advance(client, self.time)?;
            }
            std::thread::sleep(self.time.saturating_sub(started.elapsed()));
            Ok(())
        })?;
        let rows = server::number(client, filled)? - before;
        let latencies: Vec<f64> = requests.iter().map(|request| request.latency).collect();
        let mut add = |part: &str, unit, value| figures.add(&format!("{name}.{part}"), unit, value);
        add("count", Unit::Number, latencies.len() as f64);
        add("rate", Unit::Number, rows as f64 / started.elapsed().as_secs_f64());
        for (part, of_all) in [("p50", 0.5), ("p99", 0.99), ("worst", 1.0)] {
            add(part, Unit::Seconds, quantile(&latencies, of_all).context("nobody wrote")?);
        }
        Ok(())
    }
}

/// Goes on with the backfill for some time, or until there is nothing left to do.
fn advance(mut client: Client, time: Duration) -> Result<()> {
    let token = client.cancel_token();
    let (done, is_done) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let timer = scope.spawn(move || match is_done.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => token.cancel_query(NoTls),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
        });
        let advanced = client.batch_execute(BACKFILL);
        drop(done);
        timer
            .join()
            .map_err(|_| anyhow!("the timer's thread panicked"))?
            .context("could not end the backfill")?;
        match advanced {
            Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => Ok(()),
            advanced => advanced.with_context(|| format!("failed: {BACKFILL}")),
        }
    })
}

fn run(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
}
