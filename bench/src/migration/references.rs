//! The backfill of references to a table that is larger than the server's memory.

use anyhow::{Context, Result};
use pg_test::Server;

use super::migrate::{self, Way};
use super::shop::{self, Size};
use crate::figures::Figures;
use crate::measure::{WarmUp, interleave};
use crate::suite::Plan;

/// Sets another number of orders, and bounds the log, so that there is room for more of them: a million
/// takes up to 3 GB of disk space.
const ORDERS_VARIABLE: &str = "PG_KEYSPACE_BENCH_ORDERS";

/// Measures on a server of its own, whose shared buffers are smaller than orders.
pub fn measure(server: &Server, plan: &Plan, settings: &[String]) -> Result<Figures> {
    let asked = asked_orders()?;
    let size = Size::of_orders(asked.unwrap_or_else(|| usual_orders(plan)));
    let buffers = if plan.full { "shared_buffers = 2GB" } else { "shared_buffers = 128MB" };
    let log = asked.map(|_| "max_wal_size = 4GB");
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain([buffers]).chain(log).collect();
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

fn asked_orders() -> Result<Option<u32>> {
    match std::env::var(ORDERS_VARIABLE) {
        Ok(orders) => {
            Ok(Some(orders.parse().with_context(|| format!("{ORDERS_VARIABLE} is no number: {orders}"))?))
        }
        Err(_) => Ok(None),
    }
}

fn usual_orders(plan: &Plan) -> u32 {
    if plan.full { 10_000_000 } else { plan.count(2_000_000, 100_000) }
}
