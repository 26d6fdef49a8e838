//! Before: two writers with ordinary sequences.

use anyhow::{Context, Result};
use pg_test::{Acknowledged, Insert};
use postgres::{Client, Transaction};

use super::pair::{DATABASE, MAKERS, Pair};
use xtask::table::{self, number};

/// How many orders each side places.
const ORDERS: i64 = 500;
/// The orders' total, by which an example shows whose order it is.
const TOTALS: [&str; 2] = ["10.00", "20.00"];
/// How many lines and audit rows an order has on either node: unlike numbers, as in real life, so that their own
/// keys drift away from the orders'.
const LINES: [i64; 2] = [1, 2];
const AUDIT: [i64; 2] = [3, 2];

/// The fate of acknowledged rows.
#[derive(Default)]
pub struct Losses {
    /// Rows that the very node which acknowledged them does not hold any more.
    pub gone: i64,
    /// Rows that never reached the other node, or were replaced there.
    pub never_arrived: i64,
    /// Lines and audit rows that refer to an order of the other node.
    pub misattached: i64,
    /// Conflicts and errors that the servers reported.
    pub reported: u64,
}

impl Losses {
    /// Whether there is a problem to be solved; otherwise what comes after proves nothing.
    pub fn are_shown(&self) -> bool {
        self.gone + self.never_arrived > 0 && self.reported > 0
    }
}

/// Lets both sides write at once, and counts.
pub fn show(pair: &Pair) -> Result<Losses> {
    pair.replicate()?;
    let [mut one, mut two] = pair.clients()?;
    // Neither sees the other's transaction: both are open until both have placed their orders.
    let (mut first, mut second) = (one.transaction()?, two.transaction()?);
    let mut acked = [place_orders(&mut first, 0)?, place_orders(&mut second, 1)?];
    first.commit().context("node 1 could not commit")?;
    second.commit().context("node 2 could not commit")?;
    let insert = "INSERT INTO shop.campaign (made_by) VALUES ($1)";
    let campaign = Insert::prepare(&mut one, insert, "campaign_no")?;
    acked[0].insert(&mut one, &campaign, &[&MAKERS[0]])?;
    let applied = pair.method.wait_until_applied_or_stopped(&pair.both(), DATABASE)?;
    let orders = number(ORDERS);
    println!("Each node takes {orders} orders with their lines, audit rows and stock moves, in one");
    println!("transaction that overlaps the other's. Both commit: every row is acknowledged.");
    println!("Then node 1 opens a campaign, under a number that node 2 has not given out.\n");

    let mut clients = [one, two];
    let mut losses = count_rows(&acked, &mut clients)?;
    println!();
    show_example(&acked, &mut clients)?;
    println!();
    let misattached = clients.iter_mut().map(count_misattached).collect::<Result<Vec<_>>>()?;
    losses.misattached = misattached.iter().sum();
    if losses.misattached > 0 {
        let counts: Vec<String> = misattached.iter().map(|found| number(*found)).collect();
        println!("Lines and audit rows that refer to an order of the other node: {}.", each(&counts));
    }
    let doubled = "SELECT count(*) - count(DISTINCT move_no) FROM shop.stock_move";
    let doubled = pg_test::number(&mut clients[0], doubled)?;
    if doubled > 0 {
        println!("shop.stock_move has no primary key to object: {} numbers occur twice.", number(doubled));
    }
    if !applied {
        println!(
            "Replication has stopped at the first collision; what comes behind it does not arrive either."
        );
    }
    losses.reported = show_reports(pair)?;
    Ok(losses)
}

/// Prints the conflicts and errors that the servers report. Returns their number.
fn show_reports(pair: &Pair) -> Result<u64> {
    let (mut states, mut counts, mut total, mut first) = (Vec::new(), Vec::new(), 0, None);
    for server in &pair.servers {
        states.push(pair.method.status(server, DATABASE)?);
        let conflicts = pair.method.conflicts(server, DATABASE)?;
        let reported = conflicts.logged.max(conflicts.counted);
        total += reported;
        counts.push(number(reported));
        first = first.or(conflicts.first);
    }
    println!("State of replication: {}.", each(&states));
    println!("Conflicts and errors: {}. The first:", each(&counts));
    println!("    {}", first.as_deref().unwrap_or("none"));
    Ok(total)
}

/// Something of each node, as in `5 on node 1, 7 on node 2`.
fn each(values: &[String]) -> String {
    let parts: Vec<String> =
        values.iter().zip(MAKERS).map(|(value, maker)| format!("{value} on {maker}")).collect();
    parts.join(", ")
}

fn place_orders(client: &mut Transaction<'_>, node: usize) -> Result<Acknowledged> {
    let mut acked = Acknowledged::default();
    let maker = MAKERS[node];
    let orders = Insert::prepare(
        client,
        "INSERT INTO shop.orders (customer_id, total, made_by)
         SELECT 1, $1::text::numeric, $2 FROM generate_series(1, $3::bigint)",
        "id",
    )?;
    let numbers = acked.insert(client, &orders, &[&TOTALS[node], &maker, &ORDERS])?;
    let of_orders = [
        (
            "INSERT INTO shop.order_line (order_id, article, made_by)
             SELECT id::bigint, 'article', $1 FROM unnest($2::text[]) AS id, generate_series(1, $3::bigint)",
            "line_no",
            LINES[node],
        ),
        (
            "INSERT INTO shop.audit (order_id, action, made_by)
             SELECT id::bigint, 'placed', $1 FROM unnest($2::text[]) AS id, generate_series(1, $3::bigint)",
            "audit_id",
            AUDIT[node],
        ),
        (
            "INSERT INTO shop.stock_move (article, made_by)
             SELECT 'article of ' || id, $1 FROM unnest($2::text[]) AS id, generate_series(1, $3::bigint)",
            "move_no",
            1,
        ),
    ];
    for (insert, key, rows) in of_orders {
        let insert = Insert::prepare(client, insert, key)?;
        acked.insert(client, &insert, &[&maker, &numbers, &rows])?;
    }
    Ok(acked)
}

/// Looks for every acknowledged row on both nodes.
fn count_rows(acked: &[Acknowledged; 2], clients: &mut [Client; 2]) -> Result<Losses> {
    let (mut losses, mut rows) = (Losses::default(), Vec::new());
    for (node, acked) in acked.iter().enumerate() {
        for table in acked.tables() {
            let gone = acked.missing(&mut clients[node], table)?;
            let elsewhere = acked.missing(&mut clients[1 - node], table)?;
            losses.gone += gone;
            losses.never_arrived += elsewhere;
            rows.push(vec![
                MAKERS[node].to_owned(),
                table.to_owned(),
                number(acked.rows(table)),
                number(gone),
                number(elsewhere),
            ]);
        }
    }
    let headings = ["acknowledged by", "table", "rows", "gone from that node", "not on the other node"];
    table::print(&headings, &rows);
    Ok(losses)
}

/// One number that was handed out twice: the acknowledged rows, and the rows of the nodes.
fn show_example(acked: &[Acknowledged; 2], clients: &mut [Client; 2]) -> Result<()> {
    let [one, two] = [acked[0].keys("shop.orders"), acked[1].keys("shop.orders")];
    let Some(order) = one.iter().find(|key| two.contains(key)) else { return Ok(()) };
    println!("Order {order}, which was acknowledged to two customers:");
    let row = |place: String, maker: &str, total: &str| vec![place, maker.to_owned(), total.to_owned()];
    let mut rows = Vec::new();
    for (maker, total) in MAKERS.into_iter().zip(TOTALS) {
        rows.push(row(format!("acknowledged by {maker}"), maker, total));
    }
    for (maker, client) in MAKERS.into_iter().zip(clients) {
        let query = "SELECT made_by, total::text FROM shop.orders WHERE id = $1::text::bigint";
        let held = client.query_one(query, &[order]).context("could not read an order")?;
        rows.push(row(format!("held on {maker}"), held.get(0), held.get(1)));
    }
    table::print(&["", "placed on", "total"], &rows);
    Ok(())
}

fn count_misattached(client: &mut Client) -> Result<i64> {
    let query = "SELECT (SELECT count(*) FROM shop.order_line c JOIN shop.orders o ON o.id = c.order_id
                         WHERE c.made_by <> o.made_by)
                      + (SELECT count(*) FROM shop.audit c JOIN shop.orders o ON o.id = c.order_id
                         WHERE c.made_by <> o.made_by)";
    pg_test::number(client, query)
}
