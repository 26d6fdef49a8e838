//! The orders' key moves from numbers to UUIDv7, with every table that refers to them, while orders are placed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pg_test::{InstallTree, Server};
use postgres::Client;

use super::pair::{DATABASE, SHOP};
use super::shoppers::{self, AUDIT, INVOICES, LINES, Order, READS_FOR, SHOPPERS};
use xtask::step::Step;
use xtask::table::{self, number};

/// What is asked for, in psql's words.
const CREATE: [&str; 3] = [
    "SELECT key_migration_create('shop.orders');",
    "SELECT key_migration_add_reference('shop.orders', 'shop.audit', '{order_id}');",
    "SELECT key_migration_add_reference('shop.orders', '\"Back Office\".\"Invoice\"', '{orderId}');",
];

/// The tables that refer to orders, and their columns.
const REFERENCES: [(&str, &str, i64); 3] = [
    ("shop.order_line", "order_id", LINES),
    ("shop.audit", "order_id", AUDIT),
    ("\"Back Office\".\"Invoice\"", "\"orderId\"", INVOICES),
];

/// What became of it.
#[derive(Default)]
pub struct Migrated {
    /// Rows of all tables that had a number before.
    pub rows: i64,
    /// Orders placed before, meanwhile and after.
    pub placed: i64,
    /// Acknowledged orders that are not there, or whose lines, audit rows and invoices are not.
    pub lost: i64,
    /// Rows without a key, or with another than that of their order, or than time and number give.
    pub wrong: i64,
    /// Whether the comparison has objected to nothing.
    pub is_verified: bool,
    /// Whether there were orders before and after the cut-over.
    pub both_sides: bool,
    /// From the plan to the end of the cut-over.
    pub took: Duration,
    /// How long the tables were locked.
    pub locked_ms: f64,
    /// The longest that an order took which was placed meanwhile.
    pub stall: Duration,
}

impl Migrated {
    /// Whether the key has moved, and nobody has noticed.
    pub fn holds(&self) -> bool {
        self.is_verified && self.both_sides && self.lost + self.wrong == 0
    }
}

/// A phase of the migration, or what is before and after it.
struct Phase {
    name: String,
    began: Instant,
    ended: Instant,
}

/// The phases one after the other. What comes under the name of the last one goes on with it.
#[derive(Default)]
struct Phases(Vec<Phase>);

impl Phases {
    fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let result = work()?;
        let ended = Instant::now();
        match self.0.last_mut() {
            Some(phase) if phase.name == name => phase.ended = ended,
            _ => self.0.push(Phase { name: name.to_owned(), began, ended }),
        }
        Ok(result)
    }

    /// What it is like without a migration.
    fn rest(&mut self, name: &str) -> Result<()> {
        self.run(name, || {
            std::thread::sleep(Duration::from_millis(500));
            Ok(())
        })
    }
}

/// Migrates the key of a shop of its own, which is kept running with the others.
pub fn show(tree: &InstallTree) -> Result<(Server, Migrated)> {
    let step = Step::quiet("Starting a server with the same shop");
    let server = Server::start(tree, "alone", &[])?;
    let mut client = server.connect(DATABASE)?;
    client.batch_execute("CREATE EXTENSION pg_keyspace").context("could not create the extension")?;
    client.batch_execute(SHOP).context("could not fill the shop")?;
    step.done();
    println!(
        "{SHOPPERS} connections place orders all the time, and one reads them in transactions of {} s.",
        READS_FOR.as_secs()
    );
    println!("shop.order_line refers to orders by a foreign key; two other tables have none:\n");
    for statement in CREATE {
        println!("shop=# {statement}");
    }
    println!("shop=# SELECT statement FROM key_migration_statements('shop.orders') \\gexec");
    println!("shop=# CALL key_migration_cutover('shop.orders');\n");
    let mut migrated = Migrated { rows: count_rows(&mut client)?, ..Migrated::default() };
    let (orders, phases) = shoppers::alongside(&server, || migrate(&mut client, &mut migrated))?;
    let [_, first, .., last, _] = &phases[..] else { bail!("there was nothing to migrate") };
    migrated.took = last.ended.duration_since(first.began);
    show_phases(&phases, &orders);
    check(&mut client, &orders, &mut migrated)?;
    show_examples(&mut client, &orders)?;
    client
        .batch_execute("CALL key_migration_finalize('shop.orders', confirm => 'orders')")
        .context("the migration could not be finalized")?;
    println!("\nWeeks later in real life, once nothing asks for numbers any more:\n");
    println!("shop=# CALL key_migration_finalize('shop.orders', confirm => 'orders');\n");
    println!("    {}", definition(&mut client)?);
    Ok((server, migrated))
}

fn count_rows(client: &mut Client) -> Result<i64> {
    let tables = REFERENCES.iter().map(|(table, ..)| *table).chain(["shop.orders"]);
    tables.map(|table| pg_test::number(client, &format!("SELECT count(*) FROM {table}"))).sum()
}

fn migrate(client: &mut Client, migrated: &mut Migrated) -> Result<Vec<Phase>> {
    let mut phases = Phases::default();
    let run = |client: &mut Client, statement: &str| {
        client.batch_execute(statement).with_context(|| format!("failed: {statement}"))
    };
    phases.rest("nothing yet")?;
    for statement in CREATE {
        run(client, statement)?;
    }
    let statements = client
        .query("SELECT phase, statement FROM key_migration_statements('shop.orders')", &[])
        .context("could not ask for the statements")?;
    for row in &statements {
        phases.run(row.get(0), || run(client, row.get(1)))?;
    }
    let objections = "SELECT count(*) FROM key_migration_verify('shop.orders') WHERE NOT ok";
    migrated.is_verified = phases.run("verified", || pg_test::number(client, objections))? == 0;
    phases.run("cut over", || run(client, "CALL key_migration_cutover('shop.orders')"))?;
    let log = "SELECT (extract(epoch FROM lock_held) * 1000)::float8 FROM key_migration_log
               WHERE action = 'cut over' ORDER BY step DESC LIMIT 1";
    migrated.locked_ms = client.query_one(log, &[]).context("could not read the log")?.get(0);
    phases.rest("afterwards")?;
    Ok(phases.0)
}

/// What each phase is.
fn explained(phase: &str) -> &str {
    match phase {
        "prepared" => "columns and triggers",
        "backfilled" => "keys for rows from before",
        "indexed" => "indexes, built next to the writers",
        "validated" => "NOT NULL and foreign keys",
        "verified" => "every value compared",
        "cut over" => "keys take the names of the numbers",
        "nothing yet" => "orders as ever",
        "afterwards" => "orders as ever, by UUID",
        other => other,
    }
}

fn show_phases(phases: &[Phase], orders: &[Order]) {
    let rows: Vec<Vec<String>> = phases
        .iter()
        .map(|phase| {
            let meanwhile = orders.iter().filter(|order| order.due >= phase.began && order.due < phase.ended);
            let longest = meanwhile.clone().map(|order| order.latency).max().unwrap_or_default();
            vec![
                phase.name.clone(),
                explained(&phase.name).to_owned(),
                format!("{:.1} s", phase.ended.duration_since(phase.began).as_secs_f64()),
                number(meanwhile.count()),
                milliseconds(longest),
            ]
        })
        .collect();
    table::print(&["phase", "what it is", "took", "orders placed", "longest wait"], &rows);
    println!();
}

/// As in 12.3 ms.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// The keys of the orders that were placed before the cut-over, and of those after it.
fn acked(orders: &[Order]) -> (Vec<i64>, Vec<&str>) {
    let numbers = orders.iter().filter_map(|order| order.result.parse().ok()).collect();
    let keys = orders.iter().map(|order| order.result.as_str()).filter(|key| key.contains('-')).collect();
    (numbers, keys)
}

/// Looks for every acknowledged order and what belongs to it, and at the key of every row.
fn check(client: &mut Client, orders: &[Order], migrated: &mut Migrated) -> Result<()> {
    let (numbers, keys) = acked(orders);
    migrated.placed = i64::try_from(orders.len()).context("a number of orders")?;
    migrated.both_sides = !numbers.is_empty() && !keys.is_empty();
    migrated.stall = orders.iter().map(|order| order.latency).max().unwrap_or_default();
    let mut query = "SELECT count(*) FROM (
             SELECT id FROM unnest($1::bigint[]) AS n LEFT JOIN shop.orders ON id_old = n
             UNION ALL SELECT id FROM unnest($2::text[]) AS k LEFT JOIN shop.orders ON id = k::uuid) AS acked"
        .to_owned();
    let mut incomplete = Vec::new();
    for (at, (table, column, rows)) in REFERENCES.iter().enumerate() {
        query.push_str(&format!(
            " LEFT JOIN (SELECT {column} AS id, count(*) AS rows FROM {table} GROUP BY 1) AS c{at} USING (id)"
        ));
        incomplete.push(format!("c{at}.rows IS DISTINCT FROM {rows}"));
    }
    query.push_str(&format!(" WHERE {}", incomplete.join(" OR ")));
    let row = client.query_one(&query, &[&numbers, &keys]);
    migrated.lost = row.context("could not look for the orders")?.get(0);
    // Those from after the cut-over have keys of their own.
    let derived = "SELECT count(*) FROM shop.orders
                   WHERE id <> uuidv7_from_timestamp(created_at, id_old, 'shop.orders') AND id <> ALL ($1::text[]::uuid[])";
    let row = client.query_one(derived, &[&keys]).context("could not look at the keys of the orders")?;
    migrated.wrong = row.get(0);
    for (table, column, _) in REFERENCES {
        let old =
            format!("{}_old{}", column.trim_end_matches('"'), if column.ends_with('"') { "\"" } else { "" });
        migrated.wrong += pg_test::number(
            client,
            &format!(
                "SELECT count(*) FROM {table} AS c LEFT JOIN shop.orders AS o ON o.id_old = c.{old}
                 WHERE (o.id = c.{column}) IS NOT TRUE"
            ),
        )?;
    }
    println!(
        "{} rows from before and {} orders placed meanwhile: {} of them lost, {} rows without the key of their",
        number(migrated.rows),
        number(migrated.placed),
        migrated.lost,
        migrated.wrong
    );
    println!(
        "order; the comparison of all values objected to {}.\n",
        if migrated.is_verified { "nothing" } else { "SOMETHING" }
    );
    Ok(())
}

/// An order of each time: the same row, before and after.
fn show_examples(client: &mut Client, orders: &[Order]) -> Result<()> {
    let (numbers, keys) = acked(orders);
    let (during, after) = (numbers.iter().max().copied().unwrap_or(0), keys.last().copied().unwrap_or(""));
    let query = "SELECT o.id_old::text, o.created_at::text, o.id::text,
                        (SELECT count(*) FROM shop.audit AS a WHERE a.order_id = o.id)::text
                 FROM shop.orders AS o WHERE o.id_old IN (3, 4, $1) OR o.id::text = $2 ORDER BY o.id";
    let found = client.query(query, &[&during, &after]).context("could not read the orders")?;
    let placed = ["before", "before", "during the migration", "after the cut-over"];
    let rows: Vec<Vec<String>> = found
        .iter()
        .zip(placed)
        .map(|(row, placed)| vec![placed.to_owned(), row.get(0), row.get(1), row.get(2), row.get(3)])
        .collect();
    table::print(&["placed", "id_old", "created_at", "id", "audit rows"], &rows);
    Ok(())
}

/// What the key has become.
fn definition(client: &mut Client) -> Result<String> {
    let row = client
        .query_one(
            "SELECT format('shop.orders: id %s NOT NULL DEFAULT %s, ..., %s', format_type(a.atttypid, a.atttypmod),
                           pg_get_expr(d.adbin, d.adrelid), pg_get_constraintdef(c.oid))
             FROM pg_attribute AS a JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             JOIN pg_constraint AS c ON c.conrelid = a.attrelid AND c.contype = 'p'
             WHERE a.attrelid = 'shop.orders'::regclass AND a.attname = 'id'",
            &[],
        )
        .context("could not read the definition of the orders")?;
    Ok(row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_only_where_all_is_seen_and_nothing_is_wrong() {
        assert!(!Migrated::default().holds());
        let good = || Migrated { is_verified: true, both_sides: true, ..Migrated::default() };
        assert!(good().holds());
        for bad in [
            Migrated { lost: 1, ..good() },
            Migrated { wrong: 1, ..good() },
            Migrated { is_verified: false, ..good() },
            Migrated { both_sides: false, ..good() },
        ] {
            assert!(!bad.holds());
        }
    }

    #[test]
    fn numbers_and_keys_are_told_apart() {
        let order =
            |key: &str| Order { result: key.to_owned(), due: Instant::now(), latency: Duration::ZERO };
        let orders = [order("17"), order("01a1fe03-1f6f-7f58-8000-001972862f33")];
        let (numbers, keys) = acked(&orders);
        assert_eq!((numbers, keys), (vec![17], vec!["01a1fe03-1f6f-7f58-8000-001972862f33"]));
    }
}
