//! A whole migration from ids to keys next to writers: by key_migration_*(), and by the usual recipe.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use pg_test::load::Turn;
use postgres::Client;
use xtask::backend::Backend;

use super::shop::{self, CHILDREN, Size, TABLES};
use super::timeline;
use super::writers::{Others, latency};
use crate::figures::{Figures, Unit};
use crate::measure::{Timed, time};
use crate::memory::{self, Memory};
use crate::script::section;

/// How long there is nothing but the writers, before and after.
const QUIET: Duration = Duration::from_secs(3);

/// How long an occasional reader reads, and how long it rests; and one that reads nearly always.
const NOW_AND_THEN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(9));
const OFTEN: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(1));

/// Rows of a batch of the recipe.
pub const BATCH: u32 = 10_000;

/// Batches of the recipe that are measured, for each table; spread over it where it has more.
const MOST_BATCHES: u32 = 60;

/// How a table gets its keys.
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
    rows: f64,
    wall: Duration,
    cpu: Duration,
    /// VACUUM between its parts.
    pub vacuum: Duration,
}

impl Filled {
    /// Adds rows, and what they took.
    pub fn add(&mut self, rows: f64, took: Timed) {
        self.rows += rows;
        self.wall += took.wall;
        self.cpu += took.cpu;
    }

    /// Notes rows a second, without VACUUM and with it, and seconds on a CPU for each row.
    pub fn record(self, figures: &mut Figures, name: &str) {
        figures.add(&format!("{name}.rate"), Unit::Number, self.rows / self.wall.as_secs_f64());
        let with_vacuum = (self.wall + self.vacuum).as_secs_f64();
        figures.add(&format!("{name}.rate_vacuumed"), Unit::Number, self.rows / with_vacuum);
        figures.add(&format!("{name}.cpu"), Unit::Seconds, self.cpu.as_secs_f64() / self.rows);
    }
}

/// Migrates everything, and notes the figures of the backfill and of the cut-over.
pub fn migrate_all(
    server: &Server,
    size: Size,
    way: Way,
    backfill: &mut Figures,
    cut_over: &mut Figures,
) -> Result<()> {
    let mut migration = Migration::new(server, shop::SHOP, size, way)?;
    let (sights, bytes_per_row) =
        timeline::watch(server, way.name(), migration.start, || migration.run_all(backfill, cut_over))?;
    migration.check_references()?;
    let packed = migration.packed_bytes_per_row()? / bytes_per_row;
    backfill.add(&format!("{}.packed", way.name()), Unit::Number, packed);
    let phases = std::mem::take(&mut migration.phases);
    let timeline = timeline::timeline(&sights, migration.start, &migration.turns, phases);
    backfill.timelines.insert(way.name().to_owned(), timeline);
    migration.end()
}

/// Gives keys to orders where there are no audit rows, and notes the figures.
pub fn migrate_orders(server: &Server, size: Size, way: Way, figures: &mut Figures) -> Result<()> {
    let mut migration = Migration::new(server, shop::ORDERS, size, way)?;
    let (before, indexes_before) =
        (migration.bytes_per_row("relation")?, migration.bytes_per_row("indexes")?);
    migration.phase("columns", None, Migration::add_columns)?;
    let (orders, turns) =
        migration.phase("backfill of orders", Some(NOW_AND_THEN), Migration::fill_orders)?;
    orders.record(figures, way.name());
    for (of, before) in [("relation", before), ("indexes", indexes_before)] {
        let growth = migration.bytes_per_row(of)? / before;
        figures.add(&format!("{}.growth.{of}", way.name()), Unit::Number, growth);
    }
    figures.add(&format!("{}.p99", way.name()), Unit::Seconds, latency(&turns, 0.99)?);
    migration.end()
}

/// Gives keys to orders and to audit rows while nobody else writes, and notes the figures.
pub fn migrate_references(server: &Server, size: Size, way: Way, figures: &mut Figures) -> Result<()> {
    let mut migration = Migration::new(server, shop::SHOP, size, way)?;
    migration.add_columns()?;
    migration.fill_orders()?.record(figures, &format!("{}.orders", way.name()));
    let backend = Backend::of(&mut migration.client)?;
    let (children, memory) = memory::watch(backend, || migration.fill_children())?;
    for (child, filled) in CHILDREN.into_iter().zip(children) {
        filled.record(figures, &format!("{}.{child}", way.name()));
    }
    memory.context(NO_MEMORY)?.record(figures, way.name());
    migration.end()
}

/// Why there are no figures of memory.
const NO_MEMORY: &str = "this system does not report the memory of a process";

struct Migration<'a> {
    server: &'a Server,
    client: Client,
    size: Size,
    way: Way,
    start: Instant,
    /// When each phase began, in seconds from the start.
    phases: Vec<(f64, String)>,
    /// The transactions of the writers.
    turns: Vec<Turn<()>>,
    /// Whether an order is known by its old id.
    has_old_ids: bool,
}

impl<'a> Migration<'a> {
    /// At its beginning, in a copy of a shop.
    fn new(server: &'a Server, shop: &str, size: Size, way: Way) -> Result<Self> {
        let client = shop::copy(server, shop, way.name())?;
        let (phases, turns) = (Vec::new(), Vec::new());
        Ok(Self { server, client, size, way, start: Instant::now(), phases, turns, has_old_ids: true })
    }

    /// Drops the copy.
    fn end(self) -> Result<()> {
        drop(self.client);
        shop::drop_copy(&mut self.server.connect("postgres")?, self.way.name())
    }

    /// Returns the bytes for each order before.
    fn run_all(&mut self, backfill: &mut Figures, cut_over: &mut Figures) -> Result<f64> {
        let way = self.way.name();
        let (_, idle) = self.phase("nothing but writers", None, |_| {
            std::thread::sleep(QUIET);
            Ok(())
        })?;
        let (before, indexes_before) = (self.bytes_per_row("relation")?, self.bytes_per_row("indexes")?);
        self.phase("columns", None, Self::add_columns)?;
        let reader = Some(NOW_AND_THEN);
        let ((orders, first_memory), during_orders) =
            self.phase("backfill of orders", reader, |migration| {
                let backend = Backend::of(&mut migration.client)?;
                memory::watch(backend, || migration.fill_orders())
            })?;
        let (after, indexes_after) = (self.bytes_per_row("relation")?, self.bytes_per_row("indexes")?);
        let ((children, memory), during_children) =
            self.phase("backfill of audit rows", reader, |migration| {
                let backend = Backend::of(&mut migration.client)?;
                memory::watch(backend, || migration.fill_children())
            })?;
        let ((written, without_key), _) = self.phase("indexes and comparison", reader, |migration| {
            migration.build_indexes()?;
            migration.count_written()
        })?;
        orders.record(backfill, &format!("{way}.orders"));
        for (child, filled) in CHILDREN.into_iter().zip(children) {
            filled.record(backfill, &format!("{way}.{child}"));
        }
        // At the end of the work on orders, and later.
        let memory = memory.zip(first_memory).map(|(memory, first)| Memory { start: first.end, ..memory });
        let memory = memory.context(NO_MEMORY)?;
        let numbers = [
            ("growth", after / before),
            ("index_growth", indexes_after / indexes_before),
            ("written", written as f64),
            ("without_key", without_key as f64),
        ];
        for (name, value) in numbers {
            backfill.add(&format!("{way}.{name}"), Unit::Number, value);
        }
        memory.record(backfill, way);
        let felt = [("idle", idle), ("during_orders", during_orders), ("during_children", during_children)];
        for (name, turns) in felt {
            backfill.add(&format!("{way}.{name}.p99"), Unit::Seconds, latency(&turns, 0.99)?);
            backfill.add(&format!("{way}.{name}.worst"), Unit::Seconds, latency(&turns, 1.0)?);
        }
        self.cut_over(cut_over)?;
        Ok(before)
    }

    /// Does something next to writers and, with its times, a reader. Returns the transactions of the writers, too.
    fn phase<T>(
        &mut self,
        name: &str,
        reader: Option<(Duration, Duration)>,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Vec<Turn<()>>)> {
        let (server, database) = (self.server, self.way.name());
        self.phases.push((self.start.elapsed().as_secs_f64(), name.to_owned()));
        let edits = self.has_old_ids.then_some(self.size.orders);
        let others = Others { edits, reader, seed: self.phases.len() as u32 };
        let work = || work(self).with_context(|| format!("{database}: {name}"));
        let (turns, result) = others.alongside(server, database, work)?;
        self.turns.extend_from_slice(&turns);
        Ok((result, turns))
    }

    fn run(&mut self, statement: &str) -> Result<()> {
        self.client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
    }

    fn run_of_recipe(&mut self, part: &str) -> Result<()> {
        section("migration", "recipe", part, &[])?.iter().try_for_each(|statement| self.run(statement))
    }

    fn time(&mut self, statement: &str) -> Result<Timed> {
        let run = |client: &mut Client| {
            client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
        };
        Ok(time(&mut self.client, run)?.1)
    }

    fn number(&mut self, query: &str) -> Result<i64> {
        pg_test::number(&mut self.client, query)
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

    fn add_columns(&mut self) -> Result<()> {
        match self.way {
            Way::Recipe => self.run_of_recipe("columns"),
            Way::Ours => {
                self.run("SELECT key_migration_create('orders', include_columns => '{total}')")?;
                self.left("prepared")?.iter().try_for_each(|statement| self.run(statement))
            }
        }
    }

    /// What is left to do, up to a phase of key migration.
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
    fn fill(&mut self, statements: &[String]) -> Result<[Filled; TABLES.len()]> {
        let mut all = [Filled::default(); TABLES.len()];
        let mut before = self.filled_rows()?;
        for statement in statements {
            let took = self.time(statement)?;
            let after = self.filled_rows()?;
            for (at, filled) in all.iter_mut().enumerate() {
                let rows = (after[at] - before[at]) as f64;
                if statement.ends_with(&format!("VACUUM public.{}", TABLES[at])) {
                    filled.vacuum += took.wall;
                } else if rows > 0.0 {
                    filled.add(rows, took);
                }
            }
            before = after;
        }
        Ok(all)
    }

    fn filled_rows(&mut self) -> Result<[i64; TABLES.len()]> {
        let mut rows = [0; TABLES.len()];
        let query =
            "SELECT table_name::text, filled_rows FROM key_migration_progress WHERE table_name IS NOT NULL";
        for row in self.client.query(query, &[]).context("could not ask for the progress")? {
            let name: &str = row.get(0);
            if let Some(at) = TABLES.iter().position(|known| *known == name) {
                rows[at] = row.get(1);
            }
        }
        Ok(rows)
    }

    fn build_indexes(&mut self) -> Result<()> {
        match self.way {
            Way::Recipe => self.run_of_recipe("indexes"),
            Way::Ours => self.left("verified")?.iter().try_for_each(|statement| self.run(statement)),
        }
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

    /// Notes how long the exchange of names takes, how long it has the tables locked, how often it was tried in vain, and
    /// the longest that a transaction took meanwhile.
    fn cut_over(&mut self, figures: &mut Figures) -> Result<()> {
        self.has_old_ids = false;
        let ((took, held, tries), turns) = self.phase("cut-over", Some(OFTEN), |migration| {
            // Until the reader is there.
            std::thread::sleep(QUIET / 2);
            let started = Instant::now();
            let (held, tries) = match migration.way {
                Way::Recipe => migration.cut_over_by_recipe()?,
                Way::Ours => migration.cut_over_by_ours()?,
            };
            let took = started.elapsed();
            std::thread::sleep(QUIET);
            Ok((took, held, tries))
        })?;
        let way = self.way.name();
        figures.add_time(&format!("{way}.took"), took);
        figures.add(&format!("{way}.held"), Unit::Seconds, held);
        figures.add(&format!("{way}.tries"), Unit::Number, f64::from(tries));
        figures.add(&format!("{way}.stall"), Unit::Seconds, latency(&turns, 1.0)?);
        Ok(())
    }

    /// Returns how long the tables were locked, and how often it was tried in vain.
    fn cut_over_by_ours(&mut self) -> Result<(f64, i32)> {
        self.run("CALL key_migration_cutover('orders')")?;
        let log = "SELECT extract(epoch FROM lock_held)::float8, tries FROM key_migration_log
                   WHERE action = 'cut over' ORDER BY step DESC LIMIT 1";
        let row = self.client.query_one(log, &[]).context("could not read the log")?;
        Ok((row.get(0), row.get(1)))
    }

    fn cut_over_by_recipe(&mut self) -> Result<(f64, i32)> {
        let exchange = section("migration", "recipe", "exchange", &[])?.concat();
        self.run_of_recipe("lock")?;
        let locked = Instant::now();
        self.run(&exchange)?;
        let held = locked.elapsed();
        self.run("COMMIT")?;
        Ok((held.as_secs_f64(), 0))
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
