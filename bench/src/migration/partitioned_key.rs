//! A table whose key is migrated, next to one that has the same rows in partitions. References are
//! composite there.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::migrate::Filled;
use super::partitions::{LEAST_ROUNDS, PARTITIONS, Shape, left, run, timed};
use super::shop::{self, Size};
use crate::figures::{Figures, Unit};
use crate::measure::{WarmUp, interleave};
use crate::script::section;
use crate::server;
use crate::suite::Plan;

/// The tables, of which orders are partitioned.
const TABLES: [&str; 2] = ["orders", "audit"];

/// The database that the measured ones are copies of.
fn shop_of(shape: Shape) -> String {
    format!("shop_key_{}", shape.name())
}

/// Measures both shapes by rounds.
pub fn measure(server: &Server, plan: &Plan, size: Size) -> Result<Figures> {
    for shape in Shape::ALL {
        let mut client = shop::copy(server, shop::SHOP, &shop_of(shape))?;
        for part in ["do", shape.name()] {
            for statement in section("migration", "partitioned_key", part, &[("partitions", PARTITIONS)])? {
                run(&mut client, &statement)?;
            }
        }
        server::tidy(&mut client, &TABLES)?;
    }
    let rounds = plan.at_least(LEAST_ROUNDS, 1);
    let mut figures = Figures::default();
    figures.count("orders", size.orders);
    figures.count("audit rows", size.audit_rows());
    figures.count("partitions", PARTITIONS);
    figures.count("rounds", rounds);
    interleave(rounds, WarmUp::None, &Shape::ALL, &mut figures, |shape, figures| {
        migrate(server, *shape, figures).with_context(|| shape.name())
    })?;
    let mut client = server.connect("postgres")?;
    for shape in Shape::ALL {
        shop::drop_copy(&mut client, &shop_of(shape))?;
    }
    Ok(figures)
}

fn migrate(server: &Server, shape: Shape, figures: &mut Figures) -> Result<()> {
    let name = shape.name();
    let mut client = shop::copy(server, &shop_of(shape), name)?;
    let planned = timed(&mut client, "SELECT * FROM key_migration_plan('orders')")?;
    figures.add_time(&format!("{name}.plan"), planned.wall);
    let started = Instant::now();
    run(&mut client, "SELECT key_migration_create('orders')")?;
    let mut filled = [Filled::default(); TABLES.len()];
    let mut before = filled_rows(&mut client)?;
    for statement in left(&mut client, "backfilled")? {
        let took = timed(&mut client, &statement)?;
        let after = filled_rows(&mut client)?;
        for (at, table) in TABLES.into_iter().enumerate() {
            if statement.contains(&format!("VACUUM public.{table}")) {
                filled[at].vacuum += took.wall;
            } else if after[at] > before[at] {
                filled[at].add((after[at] - before[at]) as f64, took);
            }
        }
        before = after;
    }
    for (at, table) in TABLES.into_iter().enumerate() {
        let rows = pg_test::number(&mut client, &format!("SELECT count(*) FROM {table}"))?;
        ensure!(before[at] == rows, "{} of {rows} rows of {table} were filled", before[at]);
        filled[at].record(figures, &format!("{name}.{table}"));
    }
    let rest = Instant::now();
    for statement in left(&mut client, "verified")? {
        run(&mut client, &statement)?;
    }
    figures.add_time(&format!("{name}.rest"), rest.elapsed());
    run(&mut client, "CALL key_migration_cutover('orders')")?;
    figures.add_time(&format!("{name}.whole"), started.elapsed());
    let log = "SELECT extract(epoch FROM lock_held)::float8 FROM key_migration_log
               WHERE action = 'cut over' ORDER BY step DESC LIMIT 1";
    let held = client.query_one(log, &[]).context("could not read the log")?.get(0);
    figures.add(&format!("{name}.held"), Unit::Seconds, held);
    let wrong = pg_test::number(
        &mut client,
        "SELECT count(*) FROM audit AS a LEFT JOIN orders AS o ON o.id = a.order_id AND o.created_at = a.order_at
         WHERE o.id IS NULL OR a.order_id_old <> o.id_old",
    )?;
    ensure!(wrong == 0, "{wrong} audit rows refer to another order than before");
    drop(client);
    shop::drop_copy(&mut server.connect("postgres")?, name)
}

/// Of each table, with its partitions.
fn filled_rows(client: &mut Client) -> Result<[i64; TABLES.len()]> {
    let mut rows = [0; TABLES.len()];
    for (rows, table) in rows.iter_mut().zip(TABLES) {
        let query = format!(
            "SELECT coalesce(sum(filled_rows), 0)::bigint FROM key_migration_progress
             WHERE table_name::text LIKE '{table}%'"
        );
        *rows = pg_test::number(client, &query)?;
    }
    Ok(rows)
}
