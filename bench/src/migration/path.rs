//! The whole path from numbers to keys beside writers: by key_migration_*(), and by the usual recipe.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::super::figures::Timeline;
use super::super::measure::{Timed, time};
use xtask::backend::Backend;

use super::super::memory::{self, Memory};
use super::super::server;
use super::shop::{self, CHILDREN, Size};
use super::traffic::{self, Company, Reader, Request};
use super::watch;
use xtask::statistics::quantile;

/// How long there is nothing but the writers, before and after.
const QUIET: Duration = Duration::from_secs(3);

/// Somebody who reads a while now and then, and somebody who nearly always does.
const NOW_AND_THEN: Reader =
    Reader::Long { pause: Duration::from_secs(9), reads_for: Duration::from_secs(1) };
const OFTEN: Reader = Reader::Long { pause: Duration::from_secs(1), reads_for: Duration::from_secs(3) };

/// Where a stage should have been long enough.
const SILENCE: &str = "nobody wrote";

/// Rows of a batch of the recipe.
const BATCH: u32 = 10_000;

/// Batches of the recipe that are measured, for each table; spread over it where it has more.
const MOST_BATCHES: u32 = 60;

/// How a table comes to its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As it is usually done.
    Recipe,
    /// As we do it.
    Ours,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Recipe, Self::Ours];

    /// For a person who waits.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Recipe => "the recipe",
            Self::Ours => "key migration",
        }
    }

    /// In the names of figures and databases.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recipe => "recipe",
            Self::Ours => "ours",
        }
    }
}

/// What it took to give keys to rows of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filled {
    pub rows: f64,
    pub wall: Duration,
    pub cpu: Duration,
    /// VACUUM between its parts.
    pub vacuum: Duration,
}

impl Filled {
    /// Rows a second, without VACUUM.
    pub fn rate(self) -> f64 {
        self.rows / self.wall.as_secs_f64()
    }

    /// The same with VACUUM.
    pub fn rate_vacuumed(self) -> f64 {
        self.rows / (self.wall + self.vacuum).as_secs_f64()
    }

    /// Seconds on a CPU, without VACUUM.
    pub fn cpu_per_row(self) -> f64 {
        self.cpu.as_secs_f64() / self.rows
    }

    fn add(&mut self, rows: f64, took: Timed) {
        self.rows += rows;
        self.wall += took.wall;
        self.cpu += took.cpu;
    }
}

/// What a client feels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Felt {
    pub p99: f64,
    pub worst: f64,
}

/// What one way has come to.
pub struct Outcome {
    pub orders: Filled,
    pub children: [Filled; CHILDREN.len()],
    /// The heap of orders, by row: after the backfill to before.
    pub growth: f64,
    /// The same of its indexes.
    pub index_growth: f64,
    /// The bytes for each row before.
    before: f64,
    /// As `growth`, for rows that are packed: what the new column alone takes.
    pub packed: f64,
    pub memory: Option<Memory>,
    pub idle: Felt,
    pub during_orders: Felt,
    pub during_children: Felt,
    pub cut_over: CutOver,
    /// Rows that were written meanwhile.
    pub written: i64,
    /// Of these, those that have no key or a wrong one before the cut-over.
    pub without_key: i64,
    pub timeline: Timeline,
}

/// The exchange of names.
#[derive(Clone, Copy, Debug, Default)]
pub struct CutOver {
    /// From the call to its end.
    pub took: Duration,
    /// How long the tables were locked.
    pub held: f64,
    /// How often it was tried in vain.
    pub tries: i32,
    /// The longest that a transaction took which was due meanwhile.
    pub stall: f64,
}

/// Goes all the way.
///
/// # Errors
///
/// When a statement fails, or a row is wrong at the end.
pub fn go(server: &Server, size: Size, way: Way) -> Result<Outcome> {
    let mut path = Path::new(server, shop::SHOP, size, way)?;
    let (sights, mut outcome) = watch::watch(server, way.name(), path.start, || path.go())?;
    path.check_references()?;
    outcome.packed = path.packed_bytes_per_row()? / outcome.before;
    outcome.timeline = watch::timeline(&sights, &path.requests, std::mem::take(&mut path.marks));
    path.leave()?;
    Ok(outcome)
}

/// Goes as far as orders have their keys, where there are no audit rows. Returns what it took, and what the writers
/// felt.
///
/// # Errors
///
/// When a statement fails.
pub fn go_to_orders(server: &Server, size: Size, way: Way) -> Result<(Filled, Felt)> {
    let mut path = Path::new(server, shop::ORDERS, size, way)?;
    path.stage("columns", path.editors(), Path::prepare)?;
    let (orders, felt) = path.stage("backfill of orders", path.company(), Path::fill_orders)?;
    path.leave()?;
    Ok((orders, felt.context(SILENCE)?))
}

struct Path<'a> {
    server: &'a Server,
    client: Client,
    size: Size,
    way: Way,
    start: Instant,
    marks: Vec<(f64, String)>,
    requests: Vec<Request>,
}

impl<'a> Path<'a> {
    /// At its beginning, in a copy of a shop.
    fn new(server: &'a Server, shop: &str, size: Size, way: Way) -> Result<Self> {
        let client = shop::copy(server, shop, way.name())?;
        Ok(Self { server, client, size, way, start: Instant::now(), marks: Vec::new(), requests: Vec::new() })
    }

    /// Drops the copy.
    fn leave(self) -> Result<()> {
        drop(self.client);
        shop::drop_copy(&mut self.server.connect("postgres")?, self.way.name())
    }

    /// Writers who change old orders, too.
    fn editors(&self) -> Company {
        Company { edits: Some(self.size.orders), reader: Reader::None }
    }

    /// These, and somebody who reads.
    fn company(&self) -> Company {
        Company { reader: NOW_AND_THEN, ..self.editors() }
    }

    fn go(&mut self) -> Result<Outcome> {
        let (editors, company) = (self.editors(), self.company());
        let ((), idle) = self.stage("nothing but writers", editors, |_| {
            std::thread::sleep(QUIET);
            Ok(())
        })?;
        let (before, indexes_before) = (self.bytes_per_row("relation")?, self.bytes_per_row("indexes")?);
        self.stage("columns", editors, Self::prepare)?;
        let ((orders, first_memory), during_orders) = self.stage("backfill of orders", company, |path| {
            let backend = Backend::of(&mut path.client)?;
            memory::watch(backend, || path.fill_orders())
        })?;
        let (after, indexes_after) = (self.bytes_per_row("relation")?, self.bytes_per_row("indexes")?);
        let ((children, memory), during_children) =
            self.stage("backfill of audit rows", company, |path| {
                let backend = Backend::of(&mut path.client)?;
                memory::watch(backend, || path.fill_children())
            })?;
        let ((written, without_key), _) = self.stage("indexes and comparison", company, |path| {
            path.index()?;
            path.count_written()
        })?;
        let cut_over = self.cut_over()?;
        // At the end of the work on orders, and later.
        let memory = memory.zip(first_memory).map(|(memory, first)| Memory { start: first.end, ..memory });
        Ok(Outcome {
            orders,
            children,
            growth: after / before,
            index_growth: indexes_after / indexes_before,
            before,
            packed: 0.0,
            memory,
            idle: idle.context(SILENCE)?,
            during_orders: during_orders.context(SILENCE)?,
            during_children: during_children.context(SILENCE)?,
            cut_over,
            written,
            without_key,
            timeline: Timeline::default(),
        })
    }

    /// Does something beside others. Returns what the writers felt.
    fn stage<T>(
        &mut self,
        what: &str,
        company: Company,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Option<Felt>)> {
        let (server, database, start) = (self.server, self.way.name(), self.start);
        self.marks.push((start.elapsed().as_secs_f64(), what.to_owned()));
        let seed = self.marks.len() as u32;
        let work = || work(self).with_context(|| format!("{database}: {what}"));
        let (requests, result) = traffic::beside(server, database, start, company, seed, work)?;
        let felt = felt(&requests);
        self.requests.extend(requests);
        Ok((result, felt))
    }

    fn run(&mut self, statement: &str) -> Result<()> {
        self.client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
    }

    fn time(&mut self, statement: &str) -> Result<Timed> {
        let run = |client: &mut Client| {
            client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
        };
        Ok(time(&mut self.client, run)?.1)
    }

    fn number(&mut self, query: &str) -> Result<i64> {
        server::number(&mut self.client, query)
    }

    fn bytes_per_row(&mut self, of: &str) -> Result<f64> {
        let bytes = self.number(&format!("SELECT pg_{of}_size('orders')"))?;
        Ok(bytes as f64 / self.number("SELECT count(*) FROM orders")? as f64)
    }

    /// What the rows take that there are now, once there is nothing between them.
    fn packed_bytes_per_row(&mut self) -> Result<f64> {
        self.run("CREATE TABLE packed AS TABLE orders")?;
        let bytes = self.number("SELECT pg_relation_size('packed')")?;
        Ok(bytes as f64 / self.number("SELECT count(*) FROM packed")? as f64)
    }

    fn prepare(&mut self) -> Result<()> {
        match self.way {
            Way::Recipe => {
                self.run("ALTER TABLE orders ADD COLUMN id_new uuid")?;
                CHILDREN.iter().try_for_each(|child| {
                    self.run(&format!("ALTER TABLE {child} ADD COLUMN order_id_new uuid"))
                })
            }
            Way::Ours => {
                self.run("SELECT key_migration_create('orders', include_columns => '{total}')")?;
                self.left("prepared")?.iter().try_for_each(|statement| self.run(statement))
            }
        }
    }

    /// What is left to do, up to a phase.
    fn left(&mut self, through: &str) -> Result<Vec<String>> {
        let rows = self
            .client
            .query("SELECT statement FROM key_migration_statements('orders', through => $1)", &[&through])
            .context("could not ask for the statements")?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    fn fill_orders(&mut self) -> Result<Filled> {
        if self.way == Way::Ours {
            let statements = self.left("backfilled")?;
            let own = statements.iter().rposition(|statement| statement == "VACUUM public.orders");
            let own = own.context("no VACUUM of orders is advised")?;
            let [orders, ..] = self.fill(&statements[..=own])?;
            return Ok(orders);
        }
        let mut filled = Filled::default();
        let rows = self.number("SELECT count(*) FROM orders")?;
        filled.add(rows as f64, self.time("UPDATE orders SET id_new = uuidv7_from_timestamp(created_at)")?);
        // Autovacuum would; without it, what comes next goes through the dead rows.
        filled.vacuum = self.time("VACUUM ANALYZE orders")?.wall;
        Ok(filled)
    }

    fn fill_children(&mut self) -> Result<[Filled; CHILDREN.len()]> {
        let mut all = [Filled::default(); CHILDREN.len()];
        if self.way == Way::Ours {
            let statements = self.left("backfilled")?;
            let [_, children @ ..] = self.fill(&statements)?;
            let left = self.left("backfilled")?;
            ensure!(left.is_empty(), "rows are left: {}", left.join("; "));
            return Ok(children);
        }
        for (filled, child) in all.iter_mut().zip(CHILDREN) {
            for from in batches(self.size.audit_rows(), BATCH, MOST_BATCHES) {
                let to = from + BATCH;
                let took = self.time(&format!(
                    "UPDATE {child} AS a SET order_id_new = o.id_new FROM orders AS o
                     WHERE o.id = a.order_id AND a.no > {from} AND a.no <= {to}"
                ))?;
                filled.add(f64::from(BATCH.min(self.size.audit_rows() - from)), took);
            }
            filled.vacuum = self.time(&format!("VACUUM ANALYZE {child}"))?.wall;
        }
        Ok(all)
    }

    /// Runs statements of a backfill. Returns what each table took, orders first.
    fn fill(&mut self, statements: &[String]) -> Result<[Filled; CHILDREN.len() + 1]> {
        let mut all = [Filled::default(); CHILDREN.len() + 1];
        let mut before = self.filled_rows()?;
        for statement in statements {
            let took = self.time(statement)?;
            let after = self.filled_rows()?;
            for (at, filled) in all.iter_mut().enumerate() {
                let rows = (after[at] - before[at]) as f64;
                if statement.ends_with(&format!("VACUUM public.{}", NAMES[at])) {
                    filled.vacuum += took.wall;
                } else if rows > 0.0 {
                    filled.add(rows, took);
                }
            }
            before = after;
        }
        Ok(all)
    }

    fn filled_rows(&mut self) -> Result<[i64; NAMES.len()]> {
        let mut rows = [0; NAMES.len()];
        let found = self
            .client
            .query("SELECT table_name::text, filled_rows FROM key_migration_progress WHERE table_name IS NOT NULL", &[])
            .context("could not ask for the progress")?;
        for row in found {
            let name: &str = row.get(0);
            if let Some(at) = NAMES.iter().position(|known| *known == name) {
                rows[at] = row.get(1);
            }
        }
        Ok(rows)
    }

    fn index(&mut self) -> Result<()> {
        if self.way == Way::Ours {
            return self.left("verified")?.iter().try_for_each(|statement| self.run(statement));
        }
        self.run("CREATE UNIQUE INDEX CONCURRENTLY orders_pkey_new ON orders (id_new) INCLUDE (total)")?;
        CHILDREN.iter().try_for_each(|child| {
            self.run(&format!("CREATE INDEX CONCURRENTLY {child}_order_id_idx_new ON {child} (order_id_new)"))
        })
    }

    /// Rows that were written since the beginning, and how many of these have no key, or another than the order.
    fn count_written(&mut self) -> Result<(i64, i64)> {
        let (orders, audit) = (self.size.orders, self.size.audit_rows());
        let written = self.number(&format!(
            "SELECT (SELECT count(*) FROM orders WHERE id > {orders}) + (SELECT count(*) FROM audit WHERE no > {audit})"
        ))?;
        let without = self.number(&format!(
            "SELECT (SELECT count(*) FROM orders WHERE id > {orders} AND id_new IS NULL)
                  + (SELECT count(*) FROM audit AS a JOIN orders AS o ON o.id = a.order_id
                     WHERE a.no > {audit} AND (a.order_id_new = o.id_new) IS NOT TRUE)"
        ))?;
        Ok((written, without))
    }

    fn cut_over(&mut self) -> Result<CutOver> {
        // Edits by number end where the number is not the key any more.
        let company = Company { edits: None, reader: OFTEN };
        let (mut cut_over, felt) = self.stage("cut-over", company, |path| {
            // Until the reader is there.
            std::thread::sleep(Duration::from_millis(1_500));
            let started = Instant::now();
            let mut cut_over = match path.way {
                Way::Recipe => path.cut_over_by_recipe()?,
                Way::Ours => path.cut_over_by_ours()?,
            };
            cut_over.took = started.elapsed();
            std::thread::sleep(QUIET);
            Ok(cut_over)
        })?;
        cut_over.stall = felt.context(SILENCE)?.worst;
        Ok(cut_over)
    }

    /// Whether what referred to an order still does.
    fn check_references(&mut self) -> Result<()> {
        let wrong = self.number(
            // The recipe leaves rows without key behind, which are counted elsewhere.
            "SELECT count(*) FROM audit AS a LEFT JOIN orders AS o ON o.id = a.order_id
             WHERE a.order_id IS NOT NULL AND (o.id IS NULL OR a.order_id_old <> o.id_old)",
        )?;
        ensure!(wrong == 0, "{wrong} audit rows refer to another order than before");
        Ok(())
    }

    fn cut_over_by_ours(&mut self) -> Result<CutOver> {
        self.run("CALL key_migration_cutover('orders')")?;
        let row = self
            .client
            .query_one(
                "SELECT extract(epoch FROM lock_held)::float8, tries FROM key_migration_log
                 WHERE action = 'cut over' ORDER BY step DESC LIMIT 1",
                &[],
            )
            .context("could not read the log")?;
        Ok(CutOver { held: row.get(0), tries: row.get(1), ..CutOver::default() })
    }

    /// One short transaction, as it is told of: without a limit to what it waits.
    fn cut_over_by_recipe(&mut self) -> Result<CutOver> {
        self.run("BEGIN")?;
        self.run("LOCK TABLE orders, audit, audit_shuffled IN ACCESS EXCLUSIVE MODE")?;
        let locked = Instant::now();
        self.run(
            "ALTER TABLE orders RENAME COLUMN id TO id_old;
             ALTER TABLE orders RENAME COLUMN id_new TO id;
             ALTER TABLE orders ALTER COLUMN id SET DEFAULT uuidv7()",
        )?;
        for child in CHILDREN {
            self.run(&format!(
                "ALTER TABLE {child} RENAME COLUMN order_id TO order_id_old;
                 ALTER TABLE {child} RENAME COLUMN order_id_new TO order_id;
                 ALTER TABLE {child} ALTER COLUMN order_id_old DROP NOT NULL"
            ))?;
        }
        let held = locked.elapsed();
        self.run("COMMIT")?;
        Ok(CutOver { held: held.as_secs_f64(), ..CutOver::default() })
    }
}

/// All tables.
const NAMES: [&str; CHILDREN.len() + 1] = ["orders", CHILDREN[0], CHILDREN[1]];

/// What the writers felt; `None` where none was due.
fn felt(requests: &[Request]) -> Option<Felt> {
    let latencies: Vec<f64> = requests.iter().map(|request| request.latency).collect();
    Some(Felt { p99: quantile(&latencies, 0.99)?, worst: quantile(&latencies, 1.0)? })
}

/// The numbers above which batches begin: all of them, or so many, spread over the rows.
fn batches(rows: u32, batch: u32, most: u32) -> Vec<u32> {
    let all = rows.div_ceil(batch);
    let taken = all.min(most);
    (0..taken).map(|at| (u64::from(at) * u64::from(all) / u64::from(taken)) as u32 * batch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_all_or_spread_over_the_rows() {
        assert_eq!(batches(35, 10, 60), [0, 10, 20, 30]);
        assert_eq!(batches(100, 10, 4), [0, 20, 50, 70]);
        assert!(batches(0, 10, 4).is_empty());
    }
}
