//! After: writers on both sides at once, through plain INSERTs.

use std::time::Duration;

use anyhow::{Context, Result};
use pg_test::load::{self, AtOnce};
use pg_test::{Acknowledged, Insert};
use postgres::Client;
use postgres::error::SqlState;

use super::pair::{DATABASE, MAKERS, Pair};

/// How many connections write on each side.
pub const CONNECTIONS: usize = 2;
/// How many transactions each connection commits.
const TRANSACTIONS: u32 = 1_000;

/// The tables, and the generators of their keys.
pub const KEYS: [(&str, &str); 14] = [
    ("shop.customer", "serial"),
    ("shop.orders", "bigserial"),
    ("shop.order_line", "identity, ALWAYS"),
    ("shop.audit", "identity, BY DEFAULT"),
    ("shop.cart", "serial of a renamed table"),
    ("shop.shipment_north", "bigserial, partitioned"),
    ("shop.shipment_south", "bigserial, partitioned"),
    ("shop.stock_move", "bigserial, no primary key"),
    ("\"Back Office\".\"Invoice\"", "serial, quoted names"),
    ("\"Back Office\".letter", "a shared sequence"),
    ("\"Back Office\".contract", "a shared sequence"),
    ("shop.ticket", "partitioned_nextval()"),
    ("shop.page_view", "uuidv7()"),
    ("shop.payment", "ulid()"),
];

/// What was written.
pub struct Written {
    /// The rows that each node has acknowledged.
    pub acked: [Acknowledged; 2],
    /// Transactions that failed because a key existed already.
    pub refused: u64,
    /// How long it took.
    pub took: Duration,
    /// How long every connection of both nodes was writing.
    pub together: Duration,
}

impl Written {
    /// Rows acknowledged, both sides together.
    pub fn rows(&self) -> i64 {
        self.acked.iter().map(Acknowledged::total).sum()
    }

    /// Rows acknowledged in a second, both sides together.
    pub fn rows_per_second(&self) -> i64 {
        self.rows() * 1_000 / i64::try_from(self.took.as_millis()).unwrap_or(i64::MAX).max(1)
    }
}

/// What one connection has written.
struct Share {
    node: usize,
    acked: Acknowledged,
    refused: u64,
}

/// Writes on both sides at once, and returns what was acknowledged.
pub fn run(pair: &Pair) -> Result<Written> {
    let prepare = |node: usize| Ok((node, Writer::prepare(pair.servers[node].connect(DATABASE)?)?));
    let nodes = (0..2 * CONNECTIONS).map(|number| number % 2).collect();
    let AtOnce { results, took, together } =
        load::at_once(nodes, prepare, |(node, writer)| writer.write(node))?;
    let (mut acked, mut refused) = ([Acknowledged::default(), Acknowledged::default()], 0);
    for share in results {
        refused += share.refused;
        acked[share.node].merge(share.acked);
    }
    Ok(Written { acked, refused, took, together })
}

/// One connection with its statements.
struct Writer {
    client: Client,
    customer: Insert,
    order: Insert,
    /// Rows that belong to the order; $1 is its id, $2 who writes.
    of_order: Vec<Insert>,
    /// Rows on their own; $1 is who writes.
    alone: Vec<Insert>,
}

impl Writer {
    fn prepare(mut client: Client) -> Result<Self> {
        let mut prepare = |insert: &str, key: &str| Insert::prepare(&mut client, insert, key);
        let customer =
            prepare("INSERT INTO shop.customer (name, made_by) VALUES ('new', $1)", "customer_id")?;
        let order = prepare(
            "INSERT INTO shop.orders (customer_id, total, made_by) VALUES ($1::text::integer, 5, $2)",
            "id",
        )?;
        let of_order = [
            (
                "INSERT INTO shop.order_line (order_id, article, made_by)
                 VALUES ($1::text::bigint, 'a', $2), ($1::text::bigint, 'b', $2)",
                "line_no",
            ),
            (
                "INSERT INTO shop.audit (order_id, action, made_by)
                 VALUES ($1::text::bigint, 'placed', $2), ($1::text::bigint, 'paid', $2)",
                "audit_id",
            ),
            (
                "INSERT INTO \"Back Office\".\"Invoice\" (\"orderId\", made_by) VALUES ($1::text::bigint, $2)",
                "\"InvoiceNo\"",
            ),
        ];
        let of_order =
            of_order.into_iter().map(|(insert, key)| prepare(insert, key)).collect::<Result<_>>()?;
        let alone = [
            ("INSERT INTO shop.cart (made_by) VALUES ($1)", "id"),
            (
                "INSERT INTO shop.shipment (region, made_by) VALUES ('north', $1), ('south', $1)",
                "shipment_id",
            ),
            ("INSERT INTO shop.stock_move (article, made_by) VALUES ('a', $1)", "move_no"),
            ("INSERT INTO \"Back Office\".letter (made_by) VALUES ($1)", "no"),
            ("INSERT INTO \"Back Office\".contract (made_by) VALUES ($1)", "no"),
            ("INSERT INTO shop.ticket (made_by) VALUES ($1)", "id"),
            ("INSERT INTO shop.page_view (made_by) VALUES ($1)", "id"),
            ("INSERT INTO shop.payment (made_by) VALUES ($1)", "id"),
        ];
        let alone = alone.into_iter().map(|(insert, key)| prepare(insert, key)).collect::<Result<_>>()?;
        Ok(Self { client, customer, order, of_order, alone })
    }

    /// In each transaction a customer, an order with what belongs to it, and a row of every other table.
    fn write(mut self, node: usize) -> Result<Share> {
        let maker = MAKERS[node];
        let (mut acked, mut refused) = (Acknowledged::default(), 0);
        for _ in 0..TRANSACTIONS {
            match self.write_once(maker) {
                Ok(new) => acked.merge(new),
                // The row of the other node was first.
                Err(error) if is_taken(&error) => refused += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(Share { node, acked, refused })
    }

    /// One transaction: a customer, an order with what belongs to it, and a row of every other table.
    fn write_once(&mut self, maker: &str) -> Result<Acknowledged> {
        let mut transaction = self.client.transaction()?;
        let mut new = Acknowledged::default();
        let customer = new.insert(&mut transaction, &self.customer, &[&maker])?;
        let customer = customer.first().context("no customer")?;
        let order = new.insert(&mut transaction, &self.order, &[customer, &maker])?;
        let order = order.first().context("no order")?;
        for insert in &self.of_order {
            new.insert(&mut transaction, insert, &[order, &maker])?;
        }
        for insert in &self.alone {
            new.insert(&mut transaction, insert, &[&maker])?;
        }
        transaction.commit().with_context(|| format!("{maker} could not commit"))?;
        Ok(new)
    }
}

/// Whether a transaction failed because its key existed already.
fn is_taken(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<postgres::Error>().and_then(postgres::Error::code);
    code == Some(&SqlState::UNIQUE_VIOLATION)
}
