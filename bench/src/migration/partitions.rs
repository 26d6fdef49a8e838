//! A table next to one that has the same rows in partitions: one that refers to a key, and one whose key is
//! migrated.

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
const PARTITIONS: u32 = 50;

/// How often each shape is measured where the command line does not ask for more.
const LEAST_ROUNDS: u32 = 3;

/// What the table is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Plain,
    Partitioned,
}

impl Shape {
    const ALL: [Self; 2] = [Self::Plain, Self::Partitioned];

    /// In the names of figures, of databases, and of the part of the script that makes it.
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Partitioned => "parts",
        }
    }
}

/// Which table is partitioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Audit rows, which refer to orders.
    Reference,
    /// Orders, whose key is migrated.
    Key,
}

impl Case {
    /// The script that makes its tables.
    const fn script(self) -> &'static str {
        match self {
            Self::Reference => "partitions",
            Self::Key => "partitioned_key",
        }
    }

    /// The tables whose backfill is measured.
    const fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Reference => &["audit"],
            Self::Key => &["orders", "audit"],
        }
    }

    /// How an audit row is joined with its order after the cut-over.
    const fn joined(self) -> &'static str {
        match self {
            Self::Reference => "o.id = a.order_id",
            Self::Key => "o.id = a.order_id AND o.created_at = a.order_at",
        }
    }

    /// The database that the measured ones are copies of.
    fn shop(self, shape: Shape) -> String {
        format!("shop_{}_{}", self.script(), shape.name())
    }

    /// Measures both shapes by rounds.
    pub fn measure(self, server: &Server, plan: &Plan, size: Size) -> Result<Figures> {
        let numbers = [("partitions", PARTITIONS), ("rows_of_each", size.audit_rows().div_ceil(PARTITIONS))];
        for shape in Shape::ALL {
            let mut client = shop::copy(server, shop::SHOP, &self.shop(shape))?;
            for part in ["do", shape.name()] {
                let statements = section("migration", self.script(), part, &numbers)?;
                statements.iter().try_for_each(|statement| run(&mut client, statement))?;
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
            self.migrate(server, *shape, figures).with_context(|| shape.name())
        })?;
        let mut client = server.connect("postgres")?;
        Shape::ALL.into_iter().try_for_each(|shape| shop::drop_copy(&mut client, &self.shop(shape)))?;
        Ok(figures)
    }

    fn migrate(self, server: &Server, shape: Shape, figures: &mut Figures) -> Result<()> {
        let name = shape.name();
        let mut client = shop::copy(server, &self.shop(shape), name)?;
        let planned = timed(&mut client, "SELECT * FROM key_migration_plan('orders')")?;
        figures.add_time(&format!("{name}.plan"), planned.wall);
        let started = Instant::now();
        run(&mut client, "SELECT key_migration_create('orders')")?;
        for (table, filled) in self.fill(&mut client)? {
            filled.record(figures, &format!("{name}.{table}"));
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
            &format!(
                "SELECT count(*) FROM audit AS a LEFT JOIN orders AS o ON {}
                 WHERE o.id IS NULL OR a.order_id_old <> o.id_old",
                self.joined()
            ),
        )?;
        ensure!(wrong == 0, "{wrong} audit rows refer to another order than before");
        drop(client);
        shop::drop_copy(&mut server.connect("postgres")?, name)
    }

    /// Runs the backfill. Returns what each table took, with its partitions.
    fn fill(self, client: &mut Client) -> Result<Vec<(&'static str, Filled)>> {
        let mut all: Vec<_> = self.tables().iter().map(|table| (*table, Filled::default(), 0)).collect();
        for statement in left(client, "backfilled")? {
            let took = timed(client, &statement)?;
            for (table, filled, before) in &mut all {
                let after = filled_rows(client, table)?;
                if statement.contains(&format!("VACUUM public.{table}")) {
                    filled.vacuum += took.wall;
                } else if after > *before {
                    filled.add((after - *before) as f64, took);
                }
                *before = after;
            }
        }
        for (table, _, filled) in &all {
            let rows = pg_test::number(client, &format!("SELECT count(*) FROM {table}"))?;
            ensure!(*filled == rows, "{filled} of {rows} rows of {table} were filled");
        }
        Ok(all.into_iter().map(|(table, filled, _)| (table, filled)).collect())
    }
}

fn run(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
}

fn timed(client: &mut Client, statement: &str) -> Result<Timed> {
    Ok(time(client, |client| run(client, statement))?.1)
}

/// The statements up to a phase.
fn left(client: &mut Client, through: &str) -> Result<Vec<String>> {
    let query = "SELECT statement FROM key_migration_statements('orders', through => $1)";
    let rows = client.query(query, &[&through]).context("could not ask for the statements")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Of a table, with its partitions.
fn filled_rows(client: &mut Client, table: &str) -> Result<i64> {
    let query = format!(
        "SELECT coalesce(sum(filled_rows), 0)::bigint FROM key_migration_progress
         WHERE table_name::text LIKE '{table}%'"
    );
    pg_test::number(client, &query)
}
