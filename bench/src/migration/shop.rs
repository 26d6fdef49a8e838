//! The tables of the article's case, and copies of them.

use anyhow::{Context, Result};
use pg_test::Server;
use postgres::Client;

use crate::script::section;
use crate::server;
use crate::suite::Plan;

/// The database that the others are copies of.
pub const SHOP: &str = "shop";

/// The same without audit rows, where orders are all that matters.
pub const ORDERS: &str = "shop_orders";

/// Audit rows of an order, in each of the tables.
const AUDIT_ROWS: u32 = 3;

/// The tables that refer to orders: the rows of one are in the order of time, those of the other in none.
pub const CHILDREN: [&str; 2] = ["audit", "audit_shuffled"];

/// All tables.
pub const TABLES: [&str; 3] = ["orders", CHILDREN[0], CHILDREN[1]];

/// How much there is in the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Orders.
    pub orders: u32,
    /// Of these, those of one transaction, which all have one time.
    pub at_once: u32,
}

impl Size {
    /// That of a plan.
    pub fn of(plan: &Plan) -> Self {
        Self::of_orders(if plan.full { 5_000_000 } else { plan.count(1_000_000, 100_000) })
    }

    /// That of a number of orders.
    pub const fn of_orders(orders: u32) -> Self {
        Self { orders, at_once: orders / 5 }
    }

    /// Rows of each audit table.
    pub fn audit_rows(self) -> u32 {
        self.orders * AUDIT_ROWS
    }

    /// The orders of the one transaction: above the first number, up to the second.
    fn import(self) -> (u32, u32) {
        let first = (self.orders - self.at_once) / 2;
        (first, first + self.at_once)
    }

    /// A number that has no divisor in common with the number of orders: its multiples reach each of them. The golden
    /// section keeps those that follow one another far apart, however many they are.
    fn stride(self) -> u32 {
        let start = (u64::from(self.orders) * 618_034 / 1_000_000) as u32;
        (start..).find(|stride| greatest_common_divisor(*stride, self.orders) == 1).unwrap_or(1)
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Makes the shop, from which others are copied.
pub fn create(server: &Server, size: Size) -> Result<()> {
    let mut client = server::create_database(server, SHOP)?;
    let (first, last) = size.import();
    let numbers = [
        ("orders", size.orders),
        ("first", first),
        ("last", last),
        ("stride", size.stride()),
        ("rows_of_each", AUDIT_ROWS),
        ("audit_rows", size.audit_rows()),
    ];
    for statement in section("migration", "shop", "do", &numbers)? {
        client.batch_execute(&statement).with_context(|| format!("could not make the shop: {statement}"))?;
    }
    server::tidy(&mut client, &TABLES)
}

/// Makes the shop without audit rows from that with them.
pub fn create_orders(server: &Server) -> Result<()> {
    let mut client = copy(server, SHOP, ORDERS)?;
    client.batch_execute(&format!("TRUNCATE {}", CHILDREN.join(", "))).context("could not empty audit tables")
}

/// A copy of a shop.
pub fn copy(server: &Server, shop: &str, name: &str) -> Result<Client> {
    let mut client = server.connect("postgres")?;
    drop_copy(&mut client, name)?;
    client
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {shop}"))
        .with_context(|| format!("could not copy {shop} to {name}"))?;
    client.batch_execute("CHECKPOINT").context("could not make a checkpoint")?;
    server.connect(name)
}

/// Makes room for the next.
pub fn drop_copy(client: &mut Client, name: &str) -> Result<()> {
    client
        .batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        .with_context(|| format!("could not drop {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_those_of_the_article_at_scale() {
        let plan = |quick, full| Plan { quick, full, rounds: 1, only: Vec::new() };
        let size = Size::of(&plan(false, false));
        assert_eq!((size.orders, size.at_once, size.audit_rows()), (1_000_000, 200_000, 3_000_000));
        assert_eq!(size.import(), (400_000, 600_000));
        let full = Size::of(&plan(false, true));
        assert_eq!((full.orders, full.at_once, full.audit_rows()), (5_000_000, 1_000_000, 15_000_000));
        assert!(Size::of(&plan(true, false)).orders < size.orders);
    }

    #[test]
    fn rows_that_follow_one_another_refer_to_orders_far_apart() {
        let size = Size::of_orders(1_000_000);
        let order = |i: u64| i * u64::from(size.stride()) % u64::from(size.orders);
        // As many as a batch writes.
        let mut batch: Vec<u64> = (1..=6_400).map(order).collect();
        batch.sort_unstable();
        let nearest = batch.iter().zip(batch.iter().skip(1)).map(|(one, next)| next - one).min();
        assert!(nearest.is_some_and(|nearest| nearest >= 50), "{nearest:?}");
    }

    #[test]
    fn shuffled_rows_refer_to_every_order_as_often() {
        let size = Size { orders: 1_000, at_once: 200 };
        let mut seen = vec![0; 1_000];
        for i in 1..=u64::from(size.audit_rows()) {
            let order = i * u64::from(size.stride()) % u64::from(size.orders);
            seen[usize::try_from(order).unwrap_or(0)] += 1;
        }
        assert!(seen.iter().all(|rows| *rows == AUDIT_ROWS));
    }
}
