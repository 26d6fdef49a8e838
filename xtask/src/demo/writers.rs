//! Writers on both sides at once, through plain INSERTs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use postgres::Client;

use super::pair::{DATABASE, MAKERS, Pair};

/// How many connections write on each side.
const CONNECTIONS: usize = 2;
/// How many transactions each connection commits.
const TRANSACTIONS: i64 = 1_000;

/// The tables that are written to, and the number of rows that one transaction adds to each.
pub const TABLES: [(&str, i64); 12] = [
    ("shop.customer", 1),
    ("shop.orders", 1),
    ("shop.order_line", 2),
    ("shop.audit", 3),
    ("shop.cart", 1),
    ("shop.shipment", 1),
    ("\"Back Office\".\"Invoice\"", 1),
    ("\"Back Office\".letter", 1),
    ("\"Back Office\".contract", 1),
    ("shop.page_view", 1),
    ("shop.payment", 1),
    ("shop.ticket", 1),
];

/// Keys whose class tells the node, by table.
pub const NUMBERED: [(&str, &str); 10] = [
    ("shop.customer", "customer_id"),
    ("shop.orders", "id"),
    ("shop.order_line", "line_no"),
    ("shop.audit", "audit_id"),
    ("shop.cart", "id"),
    ("shop.shipment", "shipment_id"),
    ("\"Back Office\".\"Invoice\"", "\"InvoiceNo\""),
    ("\"Back Office\".letter", "no"),
    ("\"Back Office\".contract", "no"),
    ("shop.ticket", "id"),
];

/// What was written.
pub struct Written {
    /// Transactions that each side has committed.
    pub transactions_per_node: i64,
    /// Rows acknowledged, both sides together.
    pub rows: i64,
    /// How long it took.
    pub took: Duration,
}

impl Written {
    /// Rows acknowledged in a second, both sides together.
    pub fn rows_per_second(&self) -> i64 {
        self.rows * 1_000 / i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX).max(1)
    }
}

/// Writes on both sides at once, and returns what was acknowledged.
pub fn run(pair: &Pair) -> Result<Written> {
    let started = Instant::now();
    let committed: Vec<(usize, Result<i64>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2 * CONNECTIONS)
            .map(|number| {
                let node = number % 2;
                (node, scope.spawn(move || write(pair.servers[node].connect(DATABASE)?, MAKERS[node])))
            })
            .collect();
        threads
            .into_iter()
            .map(|(node, thread)| {
                (node, thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a writer panicked"))))
            })
            .collect()
    });
    let mut per_node = [0_i64; 2];
    for (node, transactions) in committed {
        per_node[node] += transactions?;
    }
    anyhow::ensure!(
        per_node[0] == per_node[1],
        "the nodes committed {} and {} transactions",
        per_node[0],
        per_node[1]
    );
    let rows_per_transaction: i64 = TABLES.iter().map(|(_, rows)| rows).sum();
    Ok(Written {
        transactions_per_node: per_node[0],
        rows: (per_node[0] + per_node[1]) * rows_per_transaction,
        took: started.elapsed(),
    })
}

/// One connection: a customer, an order with its lines, its audit, its papers, and the new tables.
fn write(mut client: Client, maker: &str) -> Result<i64> {
    let customer = client
        .prepare("INSERT INTO shop.customer (name, made_by) VALUES ('new', $1) RETURNING customer_id")?;
    let order = client
        .prepare("INSERT INTO shop.orders (customer_id, total, made_by) VALUES ($1, 5, $2) RETURNING id")?;
    let with_order = [
        "INSERT INTO shop.order_line (order_id, article, made_by) VALUES ($1, 'a', $2), ($1, 'b', $2)",
        "INSERT INTO shop.audit (order_id, action, made_by) VALUES ($1, 'placed', $2), ($1, 'paid', $2), ($1, 'shipped', $2)",
        "INSERT INTO \"Back Office\".\"Invoice\" (\"orderId\", made_by) VALUES ($1, $2)",
    ]
    .map(|insert| client.prepare(insert));
    let alone = [
        "INSERT INTO shop.cart (made_by) VALUES ($1)",
        "INSERT INTO shop.shipment (region, made_by) VALUES ('north', $1)",
        "INSERT INTO \"Back Office\".letter (made_by) VALUES ($1)",
        "INSERT INTO \"Back Office\".contract (made_by) VALUES ($1)",
        "INSERT INTO shop.page_view (made_by) VALUES ($1)",
        "INSERT INTO shop.payment (made_by) VALUES ($1)",
        "INSERT INTO shop.ticket (made_by) VALUES ($1)",
    ]
    .map(|insert| client.prepare(insert));
    let with_order = with_order.into_iter().collect::<Result<Vec<_>, _>>()?;
    let alone = alone.into_iter().collect::<Result<Vec<_>, _>>()?;
    for _ in 0..TRANSACTIONS {
        let mut transaction = client.transaction()?;
        let customer_id: i32 = transaction.query_one(&customer, &[&maker])?.get(0);
        let order_id: i64 = transaction.query_one(&order, &[&customer_id, &maker])?.get(0);
        for insert in &with_order {
            transaction.execute(insert, &[&order_id, &maker])?;
        }
        for insert in &alone {
            transaction.execute(insert, &[&maker])?;
        }
        transaction.commit().with_context(|| format!("{maker} could not commit"))?;
    }
    Ok(TRANSACTIONS)
}
