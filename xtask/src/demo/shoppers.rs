//! Who goes on shopping while the orders' key is migrated.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use pg_test::Server;
use postgres::{Client, SimpleQueryMessage};

use super::pair::DATABASE;

/// How many connections place orders.
pub const SHOPPERS: u32 = 2;
/// How often each of them does.
const INTERVAL: Duration = Duration::from_millis(10);
/// How long the reader keeps its transaction open, and how long it rests.
pub const READS_FOR: Duration = Duration::from_secs(1);
const RESTS_FOR: Duration = Duration::from_millis(500);

/// What an order consists of beside its own row: lines, audit rows, invoices.
pub const LINES: i64 = 2;
pub const AUDIT: i64 = 2;
pub const INVOICES: i64 = 1;

/// An order that was acknowledged.
pub struct Order {
    /// Its key as the server has told it: a number at first, later a UUID.
    pub key: String,
    /// When it was to be placed.
    pub due: Instant,
    /// How long it took from then on.
    pub latency: Duration,
}

/// Does `work` while orders are placed, and somebody reads them in long transactions. Returns the orders.
pub fn beside<T>(server: &Server, work: impl FnOnce() -> Result<T>) -> Result<(Vec<Order>, T)> {
    let clients = (0..SHOPPERS).map(|_| server.connect(DATABASE)).collect::<Result<Vec<_>>>()?;
    let reader = server.connect(DATABASE)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        let reader = scope.spawn(move || read_long(reader, stop));
        let threads: Vec<_> = (0..)
            .zip(clients)
            .map(|(number, client)| scope.spawn(move || shop(client, number, stop)))
            .collect();
        let result = work();
        stop.store(true, Ordering::Relaxed);
        let mut orders = Vec::new();
        for thread in threads {
            orders.extend(thread.join().map_err(|_| anyhow!("a shopper panicked"))??);
        }
        reader.join().map_err(|_| anyhow!("the reader panicked"))??;
        Ok((orders, result?))
    })
}

fn shop(mut client: Client, number: u32, stop: &AtomicBool) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    let mut due = Instant::now() + INTERVAL * number / SHOPPERS;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let key = place_order(&mut client)?;
        orders.push(Order { key, due, latency: due.elapsed() });
        due += INTERVAL;
    }
    Ok(orders)
}

/// An order with what belongs to it. What the server calls it is passed on as it is, whether number or UUID.
fn place_order(client: &mut Client) -> Result<String> {
    let placed = client
        .simple_query(
            "BEGIN; INSERT INTO shop.orders (customer_id, total, made_by) VALUES (1, 5, 'shopper') RETURNING id",
        )
        .context("an order was refused")?;
    let key = placed.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let Some(key) = key else { bail!("an order has got no key") };
    client
        .batch_execute(&format!(
            "INSERT INTO shop.order_line (order_id, article) VALUES ('{key}', 'a'), ('{key}', 'b');
             INSERT INTO shop.audit (order_id, action) VALUES ('{key}', 'placed'), ('{key}', 'paid');
             INSERT INTO \"Back Office\".\"Invoice\" (\"orderId\") VALUES ('{key}');
             COMMIT"
        ))
        .context("what belongs to an order was refused")?;
    Ok(key.to_owned())
}

fn read_long(mut client: Client, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT sum(total) FROM shop.orders")
            .context("the orders could not be read")?;
        std::thread::sleep(READS_FOR);
        client.batch_execute("COMMIT").context("the reader could not end")?;
        std::thread::sleep(RESTS_FOR);
    }
    Ok(())
}
