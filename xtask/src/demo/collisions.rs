//! Before: what two writers do to each other with sequences as people have them.

use anyhow::{Context, Result};
use postgres::Client;

use super::pair::{DATABASE, MAKERS, Pair};
use super::table;

/// How many orders each side places.
const ORDERS: i64 = 500;
/// How many lines an order has on either node: unlike numbers, as in real life, so that the lines' own keys
/// drift apart.
const LINES: [i64; 2] = [1, 2];

/// What became of the rows that were acknowledged.
pub struct Losses {
    /// Acknowledged orders that a node does not hold any more, or that never reached the other.
    pub orders: i64,
    /// Lines that hang on an order of the other node.
    pub misattached: i64,
    /// Conflicts and errors that the servers reported.
    pub reported: u64,
}

/// Lets both sides write at once, and counts.
pub fn show(pair: &Pair) -> Result<Losses> {
    pair.replicate()?;
    let [mut one, mut two] = pair.clients()?;
    // Neither sees the other's transaction: both are open until both have placed their orders.
    let mut first = one.transaction()?;
    let mut second = two.transaction()?;
    place_orders(&mut first, 0)?;
    place_orders(&mut second, 1)?;
    first.commit().context("node 1 could not commit")?;
    second.commit().context("node 2 could not commit")?;
    let applied = pair.method.wait_until_applied_or_stopped(&pair.both(), DATABASE)?;
    println!(
        "Both nodes placed {} orders at the same time, and every one was acknowledged.",
        table::number(ORDERS)
    );
    if applied {
        println!("Replication looks healthy: everything is applied, and its workers run.");
    } else {
        println!(
            "Replication has stopped: the other side's rows meet keys that are taken, and it tries again for ever."
        );
    }
    let mut losses = Losses { orders: 0, misattached: 0, reported: 0 };
    let mut rows = Vec::new();
    for (at, client) in [&mut one, &mut two].into_iter().enumerate() {
        let held = |client: &mut Client, maker: &str| -> Result<i64> {
            let query = "SELECT count(*) FROM shop.orders WHERE made_by = $1";
            Ok(client.query_one(query, &[&maker]).context("could not count the orders")?.get(0))
        };
        let own = held(client, MAKERS[at])?;
        let others = held(client, MAKERS[1 - at])?;
        let query = "SELECT count(*) FROM shop.order_line l JOIN shop.orders o ON o.id = l.order_id \
                     WHERE l.made_by <> o.made_by";
        let misattached: i64 = client.query_one(query, &[]).context("could not count the lines")?.get(0);
        let conflicts = pair.method.conflicts(&pair.servers[at], DATABASE)?;
        let reported = conflicts.logged.max(conflicts.counted);
        losses.orders += (ORDERS - own) + (ORDERS - others);
        losses.misattached += misattached;
        losses.reported += reported;
        rows.push(vec![
            MAKERS[at].to_owned(),
            table::number(ORDERS),
            table::number(own),
            table::number(others),
            table::number(misattached),
            reported.to_string(),
        ]);
    }
    table::print(
        &[
            "on",
            "acknowledged",
            "own orders still there",
            "the other's orders there",
            "lines on a wrong order",
            "conflicts",
        ],
        &rows,
    );
    Ok(losses)
}

fn place_orders(client: &mut postgres::Transaction<'_>, node: usize) -> Result<()> {
    client
        .query(
            "WITH placed AS (
                 INSERT INTO shop.orders (customer_id, total, made_by)
                 SELECT 1, 10, $1 FROM generate_series(1, $2::bigint) RETURNING id
             ), lines AS (
                 INSERT INTO shop.order_line (order_id, article, made_by)
                 SELECT id, 'article', $1 FROM placed, generate_series(1, $3::bigint)
             )
             SELECT id FROM placed",
            &[&MAKERS[node], &ORDERS, &LINES[node]],
        )
        .with_context(|| format!("{} could not place orders", MAKERS[node]))?;
    Ok(())
}
