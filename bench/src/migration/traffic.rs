//! What goes on beside a migration: writers at a fixed rate, and a reader that stays long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use pg_test::Server;
use postgres::{Client, SimpleQueryMessage};

/// Sessions that write.
pub const WRITERS: u32 = 4;

/// How often each of them begins a transaction.
pub const INTERVAL: Duration = Duration::from_millis(40);

/// A transaction of a writer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// When it was due, in seconds from the start.
    pub due: f64,
    /// How long it took from then on, in seconds: one that waits behind a stalled one counts, too.
    pub latency: f64,
}

/// When somebody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Nobody.
    None,
    /// After a pause, with a snapshot and a lock that are kept for some time; then again.
    Long { pause: Duration, reads_for: Duration },
}

/// Who is at work beside.
#[derive(Clone, Copy, Debug)]
pub struct Company {
    /// Whether writers change rows from before, too, by their numbers.
    pub edits: Option<u32>,
    /// The long reader.
    pub reader: Reader,
}

/// Does `work` beside writers, and a reader where there is to be one. Returns what the writers did, by the time it was
/// due; times count from `start`.
///
/// `seed` says where writers begin with the rows that they change. Rows that have been changed before lie elsewhere, and
/// are not like others; so it is to be another one each time.
///
/// # Errors
///
/// When the work, a writer or the reader fails.
pub fn beside<T>(
    server: &Server,
    database: &str,
    start: Instant,
    company: Company,
    seed: u32,
    work: impl FnOnce() -> Result<T>,
) -> Result<(Vec<Request>, T)> {
    let writers = (0..WRITERS)
        .map(|number| Writer::open(server, database, number, company.edits, seed))
        .collect::<Result<Vec<_>>>()?;
    let reader = match company.reader {
        Reader::None => None,
        Reader::Long { pause, reads_for } => Some((server.connect(database)?, pause, reads_for)),
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        let reader = reader
            .map(|(client, pause, reads_for)| scope.spawn(move || read_long(client, pause, reads_for, stop)));
        let threads: Vec<_> =
            writers.into_iter().map(|writer| scope.spawn(move || writer.write(start, stop))).collect();
        let result = work();
        stop.store(true, Ordering::Relaxed);
        let mut requests = Vec::new();
        for thread in threads {
            requests.extend(thread.join().map_err(|_| anyhow!("a writer's thread panicked"))??);
        }
        if let Some(reader) = reader {
            reader.join().map_err(|_| anyhow!("the reader's thread panicked"))??;
        }
        requests.sort_by(|one, other| one.due.total_cmp(&other.due));
        Ok((requests, result?))
    })
}

/// A session that places orders. Every statement is text, so that one that was planned before the cut-over need not
/// fail after it: what a number was is a key then.
struct Writer {
    client: Client,
    number: u32,
    edits: Option<u32>,
    /// A generator of numbers, so that every run edits the same orders.
    state: u32,
}

impl Writer {
    fn open(server: &Server, database: &str, number: u32, edits: Option<u32>, seed: u32) -> Result<Self> {
        // Small numbers give small ones first.
        let state = (seed * WRITERS + number + 1).wrapping_mul(0x9E37_79B9);
        let mut writer = Self { client: server.connect(database)?, number, edits, state };
        // What a first transaction loads is not what is measured.
        writer.place_order()?;
        Ok(writer)
    }

    fn write(mut self, start: Instant, stop: &AtomicBool) -> Result<Vec<Request>> {
        let mut requests = Vec::new();
        // Not all at the same moment.
        let mut due = Instant::now() + INTERVAL * self.number / WRITERS;
        loop {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if stop.load(Ordering::Relaxed) {
                return Ok(requests);
            }
            self.place_order()?;
            requests.push(Request {
                due: due.saturating_duration_since(start).as_secs_f64(),
                latency: due.elapsed().as_secs_f64(),
            });
            due += INTERVAL;
        }
    }

    /// An order with its audit rows, and a change of one from before.
    fn place_order(&mut self) -> Result<()> {
        let customer = self.next();
        let placed = self
            .client
            .simple_query(&format!(
                "BEGIN; INSERT INTO orders (customer_id, total, address) VALUES ({}, 10, 'street {customer}') RETURNING id",
                customer % 50_000
            ))
            .context("a writer could not place an order")?;
        let row = placed.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let Some(id) = row else { bail!("an order has got no number") };
        let mut statements = format!(
            "INSERT INTO audit (order_id, what) VALUES ('{id}', 'placed'), ('{id}', 'paid'), ('{id}', 'packed'); "
        );
        if let Some(orders) = self.edits {
            let old = self.next() % orders + 1;
            statements.push_str(&format!("UPDATE orders SET status = 'returned' WHERE id = '{old}'; "));
        }
        statements.push_str("COMMIT");
        self.client.batch_execute(&statements).context("a writer could not write")
    }

    /// The next of Marsaglia's xorshift generator.
    fn next(&mut self) -> u32 {
        let mut x = self.state;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.state = x;
        x
    }
}

/// Keeps a snapshot, and with it a lock that lets others read and write but not alter the table.
fn read_long(mut client: Client, pause: Duration, reads_for: Duration, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let rested = Instant::now();
        while rested.elapsed() < pause && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20).min(pause));
        }
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT sum(total) FROM orders")
            .context("the reader could not read")?;
        std::thread::sleep(reads_for);
        client.batch_execute("COMMIT").context("the reader could not end")?;
    }
    Ok(())
}
