//! After: whether both sides hold the same, and all of it.

use anyhow::{Context, Result};
use pg_test::contents;

use super::pair::{DATABASE, MAKERS, Pair};
use super::table::{self, number};
use super::writers::{NUMBERED, TABLES, Written};

/// What was found on both sides.
pub struct Verdict {
    /// Tables that were compared.
    pub tables: usize,
    /// Rows of one side.
    pub rows: i64,
    /// Tables whose rows or checksums differ.
    pub different: usize,
    /// Acknowledged rows that a side does not hold.
    pub missing: i64,
    /// Keys of the wrong class.
    pub out_of_class: i64,
    /// Conflicts and errors that the servers reported.
    pub conflicts: u64,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.different == 0 && self.missing == 0 && self.out_of_class == 0 && self.conflicts == 0
    }
}

/// Compares every table of both sides.
pub fn reach(pair: &Pair, written: &Written) -> Result<Verdict> {
    let [one, two] = [contents(&pair.servers[0], DATABASE)?, contents(&pair.servers[1], DATABASE)?];
    let mut verdict =
        Verdict { tables: one.len(), rows: 0, different: 0, missing: 0, out_of_class: 0, conflicts: 0 };
    let mut rows = Vec::new();
    for (name, first) in &one {
        let second = two.get(name);
        let same = second == Some(first);
        verdict.different += usize::from(!same);
        verdict.rows += first.rows;
        let other = second.map_or_else(|| "-".to_owned(), |second| number(second.rows));
        rows.push(vec![
            name.clone(),
            number(first.rows),
            other,
            if same { "same" } else { "DIFFERENT" }.to_owned(),
        ]);
    }
    verdict.different += two.keys().filter(|name| !one.contains_key(*name)).count();
    table::print(&["table", "rows on node 1", "rows on node 2", "checksum"], &rows);
    for client in &mut pair.clients()? {
        for (name, per_transaction) in TABLES {
            for maker in MAKERS {
                let query = format!("SELECT count(*) FROM {name} WHERE made_by = $1");
                let held: i64 = client
                    .query_one(&query, &[&maker])
                    .with_context(|| format!("could not count {name}"))?
                    .get(0);
                verdict.missing += (written.transactions_per_node * per_transaction - held).abs();
            }
        }
        for (name, key) in NUMBERED {
            let query = format!(
                "SELECT count(*) FROM {name} WHERE made_by <> 'before' AND {key} % 2 <> right(made_by, 1)::integer % 2"
            );
            let found: i64 =
                client.query_one(&query, &[]).with_context(|| format!("could not check {name}"))?.get(0);
            verdict.out_of_class += found;
        }
    }
    for server in &pair.servers {
        let conflicts = pair.method.conflicts(server, DATABASE)?;
        verdict.conflicts += conflicts.logged + conflicts.counted;
    }
    Ok(verdict)
}

/// The keys derived from the orders' time and number.
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

/// Derives a key for every order on both sides.
pub fn derive_keys(pair: &Pair) -> Result<DerivedKeys> {
    let query = "
        SELECT count(*), coalesce(sum(hashtextextended(key::text, 0)::numeric), 0)::text,
               count(*) FILTER (WHERE key <= before), count(*) - count(DISTINCT key),
               count(*) FILTER (WHERE uuidv7_to_id(key) IS DISTINCT FROM id
                                   OR uuidv7_to_timestamp(key) IS DISTINCT FROM created_at)
        FROM (SELECT id, created_at, key, lag(key) OVER (ORDER BY created_at, id) AS before
              FROM (SELECT id, created_at, uuidv7_from_timestamp(created_at, id) AS key FROM shop.orders) AS derived) AS ordered";
    let mut sums = Vec::new();
    let mut keys = DerivedKeys { orders: 0, same: true, inversions: 0, duplicates: 0, wrong: 0 };
    for client in &mut pair.clients()? {
        let row = client.query_one(query, &[]).context("could not derive the keys")?;
        keys.orders = row.get(0);
        sums.push((keys.orders, row.get::<_, String>(1)));
        keys.inversions += row.get::<_, i64>(2);
        keys.duplicates += row.get::<_, i64>(3);
        keys.wrong += row.get::<_, i64>(4);
    }
    keys.same = sums.first() == sums.last();
    Ok(keys)
}
