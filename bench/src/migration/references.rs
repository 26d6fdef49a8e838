//! The backfill of references to a table that is larger than the server's memory.

use anyhow::{Context, Result};
use pg_test::Server;

use super::migrate::{self, Way};
use super::shop::{self, Size};
use crate::figures::Figures;
use crate::measure::{WarmUp, interleave};
use crate::suite::Plan;

/// Sets another number of orders. A million of them takes up to 4 GB of disk space.
const ORDERS_VARIABLE: &str = "PG_KEYSPACE_BENCH_ORDERS";

/// Measures on a server of its own, whose shared buffers are smaller than orders.
pub fn measure(server: &Server, plan: &Plan, settings: &[String]) -> Result<Figures> {
    let size = Size::of_orders(orders(plan)?);
    let buffers = if plan.full { "shared_buffers = 2GB" } else { "shared_buffers = 128MB" };
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain([buffers]).collect();
    let mut server = Server::start(server.tree(), "references", &settings)?;
    shop::create(&server, size)?;
    let mut figures = Figures::default();
    figures.count("orders", size.orders);
    figures.count("rows of each audit table", size.audit_rows());
    interleave(plan.rounds, WarmUp::None, &Way::ALL, &mut figures, |way, figures| {
        migrate::migrate_references(&server, size, *way, figures)
    })?;
    // The next chapters need the space.
    server.discard()?;
    Ok(figures)
}

fn orders(plan: &Plan) -> Result<u32> {
    match std::env::var(ORDERS_VARIABLE) {
        Ok(orders) => orders.parse().with_context(|| format!("{ORDERS_VARIABLE} is no number: {orders}")),
        Err(_) if plan.full => Ok(10_000_000),
        Err(_) => Ok(plan.count(2_000_000, 100_000)),
    }
}
