//! The ways in which an insert in region B gets its key, and clients that insert in one of them.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use postgres::{Client, Statement};

/// One way.
#[derive(Debug)]
pub struct Way {
    /// Its name in the figures; its table is called so, too.
    pub name: &'static str,
    /// The sequence in region A that its keys are fetched from, and how many ids a fetched one stands for; otherwise the
    /// default of the column makes the key, in region B.
    central: Option<(&'static str, i64)>,
}

/// All of them.
pub const WAYS: [Way; 7] = [
    Way { name: "central", central: Some(("central_id", 1)) },
    Way { name: "cached", central: Some(("cached_id", 1)) },
    Way { name: "hi_lo", central: Some(("hi_lo_id", 1_000)) },
    Way { name: "uuidv7", central: None },
    Way { name: "ulid", central: None },
    Way { name: "interleaved", central: None },
    Way { name: "partitioned", central: None },
];

/// A client in region B, ready to insert in one way.
pub struct Inserter<'a> {
    near: &'a mut Client,
    insert: Statement,
    /// Where keys are fetched from, and how many ids each stands for.
    far: Option<(&'a mut Client, Statement, i64)>,
    /// The remaining ids of the block.
    ids: Range<i64>,
    customer: i32,
}

impl<'a> Inserter<'a> {
    /// Prepares its statements.
    pub fn new(way: &Way, near: &'a mut Client, far: &'a mut Client, customer: i32) -> Result<Self> {
        let columns = match way.central {
            None => "(customer, total) VALUES ($1, 19.99)",
            Some(_) => "(customer, total, id) VALUES ($1, 19.99, $2)",
        };
        let insert = near.prepare(&format!("INSERT INTO orders_{} {columns}", way.name));
        let insert = insert.context("could not prepare an insert")?;
        let far = match way.central {
            None => None,
            Some((sequence, ids)) => {
                let next = far.prepare(&format!("SELECT nextval('{sequence}')"));
                Some((far, next.context("could not prepare nextval")?, ids))
            }
        };
        Ok(Self { near, insert, far, ids: 0..0, customer })
    }

    /// Inserts a row. Returns how long it waited for the key; nobody waits for what the table makes.
    pub fn insert(&mut self) -> Result<Duration> {
        let asked = Instant::now();
        let (inserted, waited) = match &mut self.far {
            None => (self.near.execute(&self.insert, &[&self.customer]), Duration::ZERO),
            Some((far, next, ids)) => {
                if self.ids.is_empty() {
                    let row = far.query_one(&*next, &[]).context("nextval in region A failed")?;
                    let first: i64 = row.get(0);
                    self.ids = first..first + *ids;
                }
                let id = self.ids.next().context("no ids were fetched")?;
                let waited = asked.elapsed();
                (self.near.execute(&self.insert, &[&self.customer, &id]), waited)
            }
        };
        inserted.context("an insert in region B failed")?;
        Ok(waited)
    }
}
