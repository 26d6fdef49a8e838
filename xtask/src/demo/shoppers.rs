//! Customers who place orders while the orders' key is migrated.

use std::time::Duration;

use anyhow::Result;
use pg_test::Server;
use pg_test::load::{self, Session, Turn};

use super::pair::DATABASE;

/// How many connections place orders.
pub const SHOPPERS: u32 = 2;
/// How often each of them does.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long the reader keeps its transaction open, and how long it rests.
pub const READS_FOR: Duration = Duration::from_secs(1);
const RESTS_FOR: Duration = Duration::from_millis(500);

/// The rows of an order in addition to its own: lines, audit rows, invoices.
pub const LINES: i64 = 2;
pub const AUDIT: i64 = 2;
pub const INVOICES: i64 = 1;

/// An order that was acknowledged: its key as the server returned it, a number at first, later a UUID.
pub type Order = Turn<String>;

/// Does `work` while orders are placed and read in long transactions. Returns the orders.
pub fn alongside<T>(server: &Server, work: impl FnOnce() -> Result<T>) -> Result<(Vec<Order>, T)> {
    let mut sessions: Vec<Session<'_, Order>> = Vec::new();
    for place in 0..SHOPPERS {
        let mut client = server.connect(DATABASE)?;
        sessions.push(Box::new(move |stop| {
            let order =
                "INSERT INTO shop.orders (customer_id, total, made_by) VALUES (1, 5, 'shopper') RETURNING id";
            load::paced(stop, INTERVAL, (place, SHOPPERS), || {
                load::insert_with_children(&mut client, order, OF_ORDER)
            })
        }));
    }
    let reader = server.connect(DATABASE)?;
    let read = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT sum(total) FROM shop.orders";
    sessions.push(Box::new(move |stop| load::keep_open(stop, reader, read, READS_FOR, RESTS_FOR)));
    load::alongside(sessions, work)
}

/// The rows that belong to an order. The key is passed as text, whether it is a bigint or a UUID.
const OF_ORDER: &str = "
    INSERT INTO shop.order_line (order_id, article) VALUES (':key', 'a'), (':key', 'b');
    INSERT INTO shop.audit (order_id, action) VALUES (':key', 'placed'), (':key', 'paid');
    INSERT INTO \"Back Office\".\"Invoice\" (\"orderId\") VALUES (':key')";
