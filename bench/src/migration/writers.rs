//! Sessions next to a migration: writers at a fixed rate, and a reader with long transactions.

use std::time::Duration;

use anyhow::{Context, Result};
use pg_test::Server;
use pg_test::load::{self, Session, Turn};
use postgres::Client;
use rand::rngs::ChaCha12Rng;
use rand::{RngExt, SeedableRng};
use xtask::statistics::quantile;

/// Sessions that write, and how often each of them begins a transaction.
const WRITERS: u32 = 4;
const INTERVAL: Duration = Duration::from_millis(40);

/// The sessions at work.
#[derive(Clone, Copy, Debug)]
pub struct Others {
    /// Whether writers also update existing rows, by their old ids.
    pub edits: Option<u32>,
    /// How long a reader keeps its transactions open, and how long it rests.
    pub reader: Option<(Duration, Duration)>,
    /// The seed of the updated rows. Use another one each time, because updated rows have moved.
    pub seed: u32,
}

impl Others {
    /// Does `work` next to them. Returns the transactions of the writers, and the result of the work.
    pub fn alongside<T>(
        self,
        server: &Server,
        database: &str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<(Vec<Turn<()>>, T)> {
        let mut sessions: Vec<Session<'_, Turn<()>>> = Vec::new();
        for place in 0..WRITERS {
            let chance = ChaCha12Rng::seed_from_u64(u64::from(self.seed * WRITERS + place));
            let mut writer = Writer { client: server.connect(database)?, edits: self.edits, chance };
            // The first transaction, which loads the library, is not measured.
            writer.place_order()?;
            sessions.push(Box::new(move |stop| {
                load::paced(stop, INTERVAL, (place, WRITERS), || writer.place_order())
            }));
        }
        if let Some((open, rest)) = self.reader {
            let client = server.connect(database)?;
            // A snapshot, and with it a lock that lets others read and write but not alter the table.
            let read = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT sum(total) FROM orders";
            sessions.push(Box::new(move |stop| load::keep_open(stop, client, read, open, rest)));
        }
        load::alongside(sessions, work)
    }
}

/// The latency that this fraction of the transactions did not exceed, in seconds.
pub fn latency(turns: &[Turn<()>], of_all: f64) -> Result<f64> {
    let latencies: Vec<f64> = turns.iter().map(|turn| turn.latency.as_secs_f64()).collect();
    quantile(&latencies, of_all).context("no transactions were measured")
}

/// A session that places orders. No statement is prepared, because ids become keys at the cut-over.
struct Writer {
    client: Client,
    edits: Option<u32>,
    chance: ChaCha12Rng,
}

impl Writer {
    /// An order with its audit rows, and a change of one from before.
    fn place_order(&mut self) -> Result<()> {
        let customer: u32 = self.chance.random();
        let order = format!(
            "INSERT INTO orders (customer_id, total, address) VALUES ({}, 10, 'street {customer}') RETURNING id",
            customer % 50_000
        );
        let mut rest =
            "INSERT INTO audit (order_id, what) VALUES (':key', 'placed'), (':key', 'paid'), (':key', 'packed')"
                .to_owned();
        if let Some(orders) = self.edits {
            let old = self.chance.random_range(1..=orders);
            rest.push_str(&format!("; UPDATE orders SET status = 'returned' WHERE id = '{old}'"));
        }
        load::insert_with_children(&mut self.client, &order, &rest).context("a writer could not write")?;
        Ok(())
    }
}
