//! Keys derived from the orders' time and number, on both sides.

use anyhow::{Context, Result};
use postgres::Client;

use super::pair::Pair;
use xtask::table::{self, number};

/// What was found of the derived keys.
#[derive(Default)]
pub struct DerivedKeys {
    /// Orders on each side.
    pub orders: i64,
    /// Whether both sides derive the same keys.
    pub same: bool,
    /// Neighbours by `(created_at, id)` whose keys are not in that order, both sides together.
    pub inversions: i64,
    /// Keys that occur more than once.
    pub duplicates: i64,
    /// Keys that do not give back the order's id and time.
    pub wrong: i64,
}

impl DerivedKeys {
    /// Whether the keys are what they are meant to be.
    pub fn hold(&self) -> bool {
        self.same && self.inversions + self.duplicates + self.wrong == 0
    }
}

/// Derives a key for every order on both sides.
pub fn derive(pair: &Pair) -> Result<DerivedKeys> {
    let query = "
        SELECT count(*), coalesce(sum(hashtextextended(id || ' ' || key, 0)::numeric), 0)::text,
               count(*) FILTER (WHERE key <= before), count(*) - count(DISTINCT key),
               count(*) FILTER (WHERE public.uuidv7_to_id(key) IS DISTINCT FROM id
                                   OR public.uuidv7_to_timestamp(key) IS DISTINCT FROM created_at),
               count(DISTINCT created_at)
        FROM (SELECT id, created_at, key, lag(key) OVER (ORDER BY created_at, id) AS before
              FROM (SELECT id, created_at, public.uuidv7_from_timestamp(created_at, id) AS key
                    FROM shop.orders) AS derived) AS ordered";
    let (mut sums, mut times) = (Vec::new(), 0_i64);
    let mut keys = DerivedKeys::default();
    let mut clients = pair.clients()?;
    for client in &mut clients {
        let row = client.query_one(query, &[]).context("could not derive the keys")?;
        keys.orders = row.get(0);
        sums.push((keys.orders, row.get::<_, String>(1)));
        keys.inversions += row.get::<_, i64>(2);
        keys.duplicates += row.get::<_, i64>(3);
        keys.wrong += row.get::<_, i64>(4);
        times = row.get(5);
    }
    keys.same = sums.first() == sums.last();

    println!(
        "uuidv7_from_timestamp(created_at, id) depends on the row alone, so both nodes derive the same key:"
    );
    show_example(&mut clients)?;
    println!(
        "{} orders on each node, made at {} different times: the keys are {} on both;",
        number(keys.orders),
        number(times),
        if keys.same { "the same" } else { "NOT THE SAME" }
    );
    println!(
        "{} out of the order of (created_at, id), {} duplicates, {} that do not give back id and time.",
        keys.inversions, keys.duplicates, keys.wrong
    );
    Ok(keys)
}

/// Orders that share their timestamp, with the keys of either node.
fn show_example(clients: &mut [Client; 2]) -> Result<()> {
    let query = "SELECT id::text, created_at::text, public.uuidv7_from_timestamp(created_at, id)::text
                 FROM shop.orders WHERE id BETWEEN 3 AND 6 ORDER BY created_at, id";
    let mut sides = Vec::new();
    for client in clients {
        sides.push(client.query(query, &[]).context("could not derive a key")?);
    }
    let [one, two] = &sides[..] else { return Ok(()) };
    let rows: Vec<Vec<String>> =
        one.iter().zip(two).map(|(one, two)| vec![one.get(0), one.get(1), one.get(2), two.get(2)]).collect();
    table::print(&["id", "created_at", "key on node 1", "key on node 2"], &rows);
    Ok(())
}
