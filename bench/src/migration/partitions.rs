//! A table that refers to a key, next to one that has the same rows in partitions.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::migrate::Filled;
use super::shop::{self, Size};
use crate::figures::{Figures, Unit};
use crate::measure::{Timed, WarmUp, interleave, time};
use crate::script::section;
use crate::server;
use crate::suite::Plan;

/// How many partitions have the rows; the default partition is empty.
pub(super) const PARTITIONS: u32 = 50;

/// How often each shape is measured where the command line does not ask for more.
pub(super) const LEAST_ROUNDS: u32 = 3;

/// What the table is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Plain,
    Partitioned,
}

impl Shape {
    pub(super) const ALL: [Self; 2] = [Self::Plain, Self::Partitioned];

    /// In the names of figures and databases.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Partitioned => "parts",
        }
    }

    /// The database that the measured ones are copies of.
    fn shop(self) -> String {
        format!("shop_{}", self.name())
    }
}

/// Measures both shapes by rounds.
pub fn measure(server: &Server, plan: &Plan, size: Size) -> Result<Figures> {
    let numbers = [("partitions", PARTITIONS), ("rows_of_each", size.audit_rows().div_ceil(PARTITIONS))];
    for shape in Shape::ALL {
        let mut client = shop::copy(server, shop::SHOP, &shape.shop())?;
        let parts = ["do", "partitions"];
        let parts = parts.iter().take(if shape == Shape::Plain { 1 } else { 2 });
        for statement in parts.map(|part| section("migration", "partitions", part, &numbers)) {
            statement?.iter().try_for_each(|statement| run(&mut client, statement))?;
        }
        server::tidy(&mut client, &["orders", "audit"])?;
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
        shop::drop_copy(&mut client, &shape.shop())?;
    }
    Ok(figures)
}

fn migrate(server: &Server, shape: Shape, figures: &mut Figures) -> Result<()> {
    let name = shape.name();
    let mut client = shop::copy(server, &shape.shop(), name)?;
    let rows = pg_test::number(&mut client, "SELECT count(*) FROM audit")?;
    let planned = timed(&mut client, "SELECT * FROM key_migration_plan('orders')")?;
    figures.add_time(&format!("{name}.plan"), planned.wall);
    let started = Instant::now();
    run(&mut client, "SELECT key_migration_create('orders')")?;
    let mut filled = Filled::default();
    let mut before = filled_rows(&mut client)?;
    for statement in left(&mut client, "backfilled")? {
        let took = timed(&mut client, &statement)?;
        let after = filled_rows(&mut client)?;
        if statement.contains("VACUUM public.audit") {
            filled.vacuum += took.wall;
        } else if after > before {
            filled.add((after - before) as f64, took);
        }
        before = after;
    }
    ensure!(before == rows, "{before} of {rows} audit rows were filled");
    filled.record(figures, &format!("{name}.audit"));
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
        "SELECT count(*) FROM audit AS a LEFT JOIN orders AS o ON o.id = a.order_id
         WHERE o.id IS NULL OR a.order_id_old <> o.id_old",
    )?;
    ensure!(wrong == 0, "{wrong} audit rows refer to another order than before");
    drop(client);
    shop::drop_copy(&mut server.connect("postgres")?, name)
}

pub(super) fn run(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
}

pub(super) fn timed(client: &mut Client, statement: &str) -> Result<Timed> {
    Ok(time(client, |client| run(client, statement))?.1)
}

/// The statements up to a phase.
pub(super) fn left(client: &mut Client, through: &str) -> Result<Vec<String>> {
    let query = "SELECT statement FROM key_migration_statements('orders', through => $1)";
    let rows = client.query(query, &[&through]).context("could not ask for the statements")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Of the audit table.
fn filled_rows(client: &mut Client) -> Result<i64> {
    let query = "SELECT coalesce(sum(filled_rows), 0)::bigint FROM key_migration_progress
                 WHERE table_name::text LIKE 'audit%'";
    pg_test::number(client, query)
}
