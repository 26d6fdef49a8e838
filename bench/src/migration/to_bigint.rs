//! Integer ids that become bigint: by the usual recipe, and by key migration, next to one to UUIDs.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::migrate::{BATCH, Filled};
use super::shop::{self, Size};
use crate::figures::{Figures, Unit};
use crate::measure::{Timed, WarmUp, interleave, time};
use crate::script::section;
use crate::server;
use crate::suite::Plan;

/// The database that the others are copies of.
const SHOP: &str = "shop_integers";

/// The tables, and the column by which the recipe divides each.
const TABLES: [(&str, &str, &str); 2] = [("orders", "id", "id"), ("audit", "no", "order_id")];

/// How often each way is measured where the command line does not ask for more.
const LEAST_ROUNDS: u32 = 3;

/// A way from ids to keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Recipe,
    Bigint,
    Uuid,
}

impl Way {
    const ALL: [Self; 3] = [Self::Recipe, Self::Bigint, Self::Uuid];

    /// In the names of figures and databases.
    const fn name(self) -> &'static str {
        match self {
            Self::Recipe => "recipe",
            Self::Bigint => "bigint",
            Self::Uuid => "uuid",
        }
    }
}

/// Measures all ways by rounds.
pub fn measure(server: &Server, plan: &Plan, size: Size) -> Result<Figures> {
    let mut client = shop::copy(server, shop::SHOP, SHOP)?;
    for statement in section("migration", "to_bigint", "do", &[])? {
        run(&mut client, &statement)?;
    }
    server::tidy(&mut client, &TABLES.map(|(table, ..)| table))?;
    drop(client);
    let rounds = plan.at_least(LEAST_ROUNDS, 1);
    let mut figures = Figures::default();
    figures.count("orders", size.orders);
    figures.count("audit rows", size.audit_rows());
    figures.count("rounds", rounds);
    interleave(rounds, WarmUp::None, &Way::ALL, &mut figures, |way, figures| {
        migrate(server, size, *way, figures).with_context(|| way.name())
    })?;
    shop::drop_copy(&mut server.connect("postgres")?, SHOP)?;
    Ok(figures)
}

fn migrate(server: &Server, size: Size, way: Way, figures: &mut Figures) -> Result<()> {
    let name = way.name();
    let mut client = shop::copy(server, SHOP, name)?;
    let bytes = "SELECT pg_relation_size('orders')";
    let before = pg_test::number(&mut client, bytes)?;
    let started = Instant::now();
    let (filled, held) = match way {
        Way::Recipe => by_recipe(&mut client, size)?,
        Way::Bigint | Way::Uuid => by_us(&mut client, name)?,
    };
    let whole = started.elapsed();
    for (filled, (table, ..)) in filled.into_iter().zip(TABLES) {
        filled.record(figures, &format!("{name}.{table}"));
    }
    figures.add_time(&format!("{name}.whole"), whole);
    figures.add(&format!("{name}.held"), Unit::Seconds, held);
    let growth = pg_test::number(&mut client, bytes)? as f64 / before as f64;
    figures.add(&format!("{name}.growth"), Unit::Number, growth);
    let wrong = pg_test::number(
        &mut client,
        "SELECT count(*) FROM audit AS a LEFT JOIN orders AS o ON o.id = a.order_id
         WHERE o.id IS NULL OR a.order_id_old <> o.id_old",
    )?;
    ensure!(wrong == 0, "{wrong} audit rows refer to another order than before");
    drop(client);
    shop::drop_copy(&mut server.connect("postgres")?, name)
}

fn run(client: &mut Client, statement: &str) -> Result<()> {
    client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
}

fn timed(client: &mut Client, statement: &str) -> Result<Timed> {
    Ok(time(client, |client| run(client, statement))?.1)
}

/// Returns what each table took, and for how many seconds they were locked in the end.
fn by_recipe(client: &mut Client, size: Size) -> Result<([Filled; TABLES.len()], f64)> {
    let part = |client: &mut Client, part: &str| -> Result<()> {
        section("migration", "to_bigint", part, &[])?.iter().try_for_each(|statement| run(client, statement))
    };
    part(client, "columns")?;
    let mut all = [Filled::default(); TABLES.len()];
    let rows = [size.orders, size.audit_rows()];
    for ((filled, (table, by, id)), rows) in all.iter_mut().zip(TABLES).zip(rows) {
        for from in (0..rows).step_by(BATCH as usize) {
            let to = from.saturating_add(BATCH).min(rows);
            let update = format!("UPDATE {table} SET {id}_new = {id} WHERE {by} > {from} AND {by} <= {to}");
            let took = timed(client, &update)?;
            filled.add(f64::from(to - from), took);
        }
        filled.vacuum = timed(client, &format!("VACUUM ANALYZE {table}"))?.wall;
    }
    part(client, "indexes")?;
    let exchange = section("migration", "to_bigint", "exchange", &[])?.concat();
    part(client, "lock")?;
    let locked = Instant::now();
    run(client, &exchange)?;
    let held = locked.elapsed();
    run(client, "COMMIT")?;
    Ok((all, held.as_secs_f64()))
}

/// The same, by key migration.
fn by_us(client: &mut Client, target: &str) -> Result<([Filled; TABLES.len()], f64)> {
    run(client, &format!("SELECT key_migration_create('orders', target => '{target}')"))?;
    let mut all = [Filled::default(); TABLES.len()];
    let mut before = filled_rows(client)?;
    for statement in left(client)? {
        let took = timed(client, &statement)?;
        let after = filled_rows(client)?;
        for (at, filled) in all.iter_mut().enumerate() {
            let rows = after[at] - before[at];
            if statement.ends_with(&format!("VACUUM public.{}", TABLES[at].0)) {
                filled.vacuum += took.wall;
            } else if rows > 0 {
                filled.add(rows as f64, took);
            }
        }
        before = after;
    }
    run(client, "CALL key_migration_cutover('orders')")?;
    let log = "SELECT extract(epoch FROM lock_held)::float8 FROM key_migration_log
               WHERE action = 'cut over' ORDER BY step DESC LIMIT 1";
    let held = client.query_one(log, &[]).context("could not read the log")?.get(0);
    Ok((all, held))
}

/// The statements up to the cut-over.
fn left(client: &mut Client) -> Result<Vec<String>> {
    let query = "SELECT statement FROM key_migration_statements('orders')";
    let rows = client.query(query, &[]).context("could not ask for the statements")?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn filled_rows(client: &mut Client) -> Result<[i64; TABLES.len()]> {
    let mut rows = [0; TABLES.len()];
    let query =
        "SELECT table_name::text, filled_rows FROM key_migration_progress WHERE table_name IS NOT NULL";
    for row in client.query(query, &[]).context("could not ask for the progress")? {
        let name: &str = row.get(0);
        if let Some(at) = TABLES.iter().position(|(known, ..)| *known == name) {
            rows[at] = row.get(1);
        }
    }
    Ok(rows)
}
