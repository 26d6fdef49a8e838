//! The latency of writers next to a throttled backfill.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pg_test::Server;
use pg_test::load::{self, Session};
use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::shop::{self, Size};
use super::writers::{Others, latency};
use crate::figures::{Figures, Unit};
use crate::measure::{WarmUp, interleave};
use crate::suite::Plan;

const DATABASE: &str = "throttle";

/// The rest of the backfill. A call outlasts the turn, and is cancelled at its end.
const BACKFILL: &str = "CALL key_migration_advance('orders', through => 'backfilled')";

/// The loads that are compared: name and batch, or no backfill.
const LOADS: [(&str, Option<(i32, &str)>); 3] =
    [("idle", None), ("throttled", Some((16, "20 ms"))), ("flat_out", Some((64, "0")))];

pub fn measure(server: &Server, plan: &Plan, size: Size) -> Result<Figures> {
    let turns = plan.count(8, 2);
    // A small shop is filled within a few seconds.
    let seconds = plan.count(3, 2);
    let mut figures = Figures::default();
    figures.count("turns of each", turns);
    figures.count("seconds a turn", seconds);
    let time = Duration::from_secs(seconds.into());
    let mut others = Others { edits: Some(size.orders), reader: None, seed: 0 };
    for _ in 0..plan.rounds {
        let mut client = shop::copy(server, shop::SHOP, DATABASE)?;
        run(&mut client, "SELECT key_migration_create('orders')")?;
        run(&mut client, "CALL key_migration_advance('orders', through => 'prepared')")?;
        interleave(turns, WarmUp::None, &LOADS, &mut figures, |(name, load), figures| {
            others.seed += 1;
            if let Some((pages, pause)) = load {
                let batch = format!("batch_pages => {pages}, pause => '{pause}'");
                run(&mut client, &format!("SELECT key_migration_set('orders', {batch})"))?;
            }
            let advancing = load.is_some().then(|| server.connect(DATABASE)).transpose()?;
            let filled = "SELECT coalesce(sum(filled_rows), 0)::bigint FROM key_migration_progress";
            let before = pg_test::number(&mut client, filled)?;
            let started = Instant::now();
            let (transactions, ()) = others.alongside(server, DATABASE, || {
                if let Some(client) = advancing {
                    advance(client, time)?;
                }
                std::thread::sleep(time.saturating_sub(started.elapsed()));
                Ok(())
            })?;
            let rows = pg_test::number(&mut client, filled)? - before;
            let mut add = |part: &str, unit, value| figures.add(&format!("{name}.{part}"), unit, value);
            add("count", Unit::Number, transactions.len() as f64);
            add("rate", Unit::Number, rows as f64 / started.elapsed().as_secs_f64());
            for (part, of_all) in [("p50", 0.5), ("p99", 0.99), ("worst", 1.0)] {
                add(part, Unit::Seconds, latency(&transactions, of_all)?);
            }
            Ok(())
        })?;
        drop(client);
        shop::drop_copy(&mut server.connect("postgres")?, DATABASE)?;
    }
    Ok(figures)
}

/// Continues the backfill for some time, or until it is complete.
fn advance(mut client: Client, time: Duration) -> Result<()> {
    let token = client.cancel_token();
    let timer: Session<'_, ()> = Box::new(move |stop| {
        if !stop.wait(time) {
            token.cancel_query(NoTls).context("could not cancel the backfill")?;
        }
        Ok(Vec::new())
    });
    let (_, advanced) = load::alongside(vec![timer], || Ok(client.batch_execute(BACKFILL)))?;
    match advanced {
        Err(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => Ok(()),
        advanced => advanced.with_context(|| format!("failed: {BACKFILL}")),
    }
}

fn run(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
}
