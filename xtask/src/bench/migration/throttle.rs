//! What writers feel of a backfill that takes its time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pg_test::Server;

use super::super::figures::{Figures, Unit};
use super::super::report::{Chapter, Check, Need, Quantity, Table, Target};
use super::super::statistics::quantile;
use super::super::{Plan, server};
use super::shop::{self, Size};
use super::traffic::{self, Company, Reader};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "throttle",
    title: "A throttled backfill",
    about: "The same writers, for some seconds with nothing else going on and for some seconds beside the backfill, in \
            turn. Throttled is `key_migration_set('orders', batch_pages => 16, pause => '20 ms')`; unthrottled is as it is \
            created, 64 pages without a pause.",
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

/// The pages that a call takes at most, so that it ends in time.
const PAGES: u32 = 256;

/// What is compared: name and batch, or nothing to be filled.
const LOADS: [(&str, Option<(i32, &str)>); 3] =
    [("idle", None), ("throttled", Some((16, "20 ms"))), ("flat_out", Some((64, "0")))];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan, size: Size) -> Result<Figures> {
    let turns = plan.count(4, 1);
    // A small shop is through with it soon.
    let seconds = plan.count(5, 2);
    let turn = Duration::from_secs(seconds.into());
    let mut figures = Figures::default();
    figures.count("turns of each", turns);
    figures.count("seconds a turn", seconds);
    let mut company = Company { edits: Some(size.orders), reader: Reader::None, seed: 0 };
    for round in 0..plan.rounds {
        print!(" {}", round + 1);
        let mut client = shop::copy(server, shop::SHOP, "throttle")?;
        client
            .batch_execute("SELECT key_migration_create('orders')")
            .context("could not create the migration")?;
        client
            .batch_execute("CALL key_migration_advance('orders', through => 'prepared')")
            .context("could not prepare the migration")?;
        let mut seen: [(Vec<f64>, i64, f64); LOADS.len()] = Default::default();
        for _ in 0..turns {
            for ((_, load), (latencies, rows, seconds)) in LOADS.iter().zip(&mut seen) {
                if let Some((pages, pause)) = load {
                    client
                        .batch_execute(&format!(
                            "SELECT key_migration_set('orders', batch_pages => {pages}, pause => '{pause}')"
                        ))
                        .context("could not throttle the migration")?;
                }
                let filled = "SELECT coalesce(sum(filled_rows), 0)::bigint FROM key_migration_progress";
                let before = server::number(&mut client, filled)?;
                company.seed += 1;
                let started = Instant::now();
                let (requests, ()) = traffic::beside(server, "throttle", started, company, || {
                    while started.elapsed() < turn {
                        if load.is_none() {
                            std::thread::sleep(turn.saturating_sub(started.elapsed()));
                            continue;
                        }
                        client
                            .batch_execute(&format!(
                                "CALL key_migration_advance('orders', through => 'backfilled', max_pages => {PAGES})"
                            ))
                            .context("the backfill failed")?;
                    }
                    Ok(())
                })?;
                *seconds += started.elapsed().as_secs_f64();
                *rows += server::number(&mut client, filled)? - before;
                latencies.extend(requests.iter().map(|request| request.latency));
            }
        }
        for ((name, _), (latencies, rows, seconds)) in LOADS.iter().zip(&seen) {
            figures.add(&format!("{name}.count"), Unit::Number, latencies.len() as f64);
            figures.add(&format!("{name}.rate"), Unit::Number, *rows as f64 / seconds);
            for (part, of_all) in [("p50", 0.5), ("p99", 0.99), ("worst", 1.0)] {
                let latency = quantile(latencies, of_all).context("nobody wrote")?;
                figures.add(&format!("{name}.{part}"), Unit::Seconds, latency);
            }
        }
        drop(client);
        shop::drop_copy(&mut server.connect("postgres")?, "throttle")?;
    }
    Ok(figures)
}
