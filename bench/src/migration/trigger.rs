//! What the triggers cost a row that is inserted.

use anyhow::{Context, Result, ensure};
use pg_test::Server;
use postgres::Client;

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};
use xtask::statistics::Spread;

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "trigger",
    title: "Inserting while the migration is on",
    about: "CPU time of the backend for each row of `INSERT ... SELECT`, in one transaction: orders, and audit rows that \
            refer to orders from before, in the order of time and in none. One schema is prepared for a key migration, and \
            one has triggers in PL/pgSQL that do the same: `NEW.id_new := key_migration_uuid(NEW.created_at, NEW.id, \
            'salt')`, and for audit rows `SELECT coalesce(o.id_new, key_migration_uuid(...)) INTO NEW.order_id_new FROM \
            orders AS o WHERE o.id = NEW.order_id`, both where there is no key yet. What a trigger adds is its time less \
            that of a schema with neither columns nor triggers, in the same round. What of it no trigger can save show two \
            more: one with the column, where the INSERT gives all rows the same key, and one with a trigger that does \
            nothing; and what a query takes to look up the order of each row by its number, which either trigger has to. \
            In no order that is most of what is added, and no trigger can save it: `perf` finds 49 % of the time of such \
            an INSERT with the trigger of key migration in the descent of that index and the row behind it, 9 % in \
            opening and closing it, and little in all else that the trigger does. \
            The references are no foreign keys: their checks would cost all the same. Tables are rewritten before, so \
            that no room is looked for between rows. Compared are the least values of all rounds, since whatever else \
            the machine does only adds to them.",
    needs: &[Need::Routine("key_migration_add_reference")],
    tables: &[TIMES, LOOKUPS, RATIOS],
    charts: &[],
    checks: &[
        Check {
            what: "orders, what key migration adds, by what PL/pgSQL adds",
            quantity: Quantity::Median("ratio.orders"),
            target: Some(Target::AtMost(0.3)),
        },
        Check {
            what: "audit rows in the order of time, the same",
            quantity: Quantity::Median("ratio.audit"),
            target: Some(Target::AtMost(0.3)),
        },
        Check {
            what: "audit rows in no order, the same",
            quantity: Quantity::Median("ratio.shuffled"),
            target: Some(Target::AtMost(0.3)),
        },
    ],
};

const COLUMNS: &[&str] = &["orders", "audit rows in the order of time", "audit rows in no order"];

const TIMES: Table = Table {
    corner: "CPU time, a row",
    columns: COLUMNS,
    rows: &[
        ("no trigger", &["plain.orders", "plain.audit", "plain.shuffled"]),
        ("no trigger, a key in the INSERT", &["given.orders", "given.audit", "given.shuffled"]),
        ("empty trigger in PL/pgSQL", &["empty.orders", "empty.audit", "empty.shuffled"]),
        ("key migration", &["ours.orders", "ours.audit", "ours.shuffled"]),
        ("trigger in PL/pgSQL", &["by_hand.orders", "by_hand.audit", "by_hand.shuffled"]),
        ("what key migration adds", &["added.orders", "added.audit", "added.shuffled"]),
        ("what PL/pgSQL adds", &["added_by_hand.orders", "added_by_hand.audit", "added_by_hand.shuffled"]),
    ],
};

const LOOKUPS: Table = Table {
    corner: "looking up the order, in a query",
    columns: &["in the order of time", "in no order"],
    rows: &[("CPU time, a row", &["lookup.audit", "lookup.shuffled"])],
};

/// Of the least values and of medians: in a single round a difference of times may be nothing.
const RATIOS: Table = Table {
    corner: "what key migration adds, by what PL/pgSQL adds",
    columns: COLUMNS,
    rows: &[
        ("of the least values", &["ratio.orders", "ratio.audit", "ratio.shuffled"]),
        (
            "of the medians",
            &["ratio_of_medians.orders", "ratio_of_medians.audit", "ratio_of_medians.shuffled"],
        ),
    ],
};

/// Rounds where the command line does not ask for more. What is compared is what is least of all, and many short ones
/// are more likely to hit a moment in which the machine has nothing else to do than a few long ones.
const LEAST_ROUNDS: u32 = 150;

const SCHEMAS: [&str; 5] = ["plain", "given", "empty", "ours", "by_hand"];

/// What the schema without triggers that has the columns is given.
const KEY: &str = "'018cc251-f400-7000-8000-000000000000'::uuid";

/// What any trigger costs.
const EMPTY: &str = "
CREATE FUNCTION empty.empty() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER empty BEFORE INSERT ON empty.orders FOR EACH ROW EXECUTE FUNCTION empty.empty();
CREATE TRIGGER empty BEFORE INSERT ON empty.audit FOR EACH ROW EXECUTE FUNCTION empty.empty()";

/// What people write by hand.
const BY_HAND: &str = "
ALTER TABLE by_hand.orders ADD COLUMN id_new uuid;
ALTER TABLE by_hand.audit ADD COLUMN order_id_new uuid;
UPDATE by_hand.orders SET id_new = uuidv7_from_timestamp(created_at, id, 'by_hand.orders');
CREATE FUNCTION by_hand.fill_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id_new IS NULL THEN
        NEW.id_new := public.key_migration_uuid(NEW.created_at, NEW.id, 'by_hand.orders');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fill_key BEFORE INSERT ON by_hand.orders FOR EACH ROW EXECUTE FUNCTION by_hand.fill_key();
CREATE FUNCTION by_hand.fill_reference() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.order_id_new IS NULL AND NEW.order_id IS NOT NULL THEN
        SELECT coalesce(o.id_new, public.key_migration_uuid(o.created_at, o.id, 'by_hand.orders'))
        INTO NEW.order_id_new FROM by_hand.orders AS o WHERE o.id = NEW.order_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER fill_reference BEFORE INSERT ON by_hand.audit FOR EACH ROW EXECUTE FUNCTION by_hand.fill_reference()";

/// How much there is.
#[derive(Clone, Copy)]
struct Size {
    /// Orders from before.
    orders: u32,
    /// Rows that an INSERT brings.
    rows: u32,
}

/// What is inserted.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    table: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind { name: "orders", table: "orders" },
    Kind { name: "audit", table: "audit" },
    Kind { name: "shuffled", table: "audit" },
];

impl Kind {
    /// Inserts rows; those of audit refer to orders from before.
    fn insert(self, schema: &str, size: Size) -> String {
        let rows = size.rows;
        let is_given = schema == "given";
        let column = |name: &str| if is_given { format!(", {name}") } else { String::new() };
        let key = if is_given { format!(", {KEY}") } else { String::new() };
        match self.name {
            "orders" => format!(
                "INSERT INTO {schema}.orders (customer_id, created_at, total, address{})
                 SELECT i, '2025-01-01 00:00:00+00'::timestamptz + i * interval '1 ms', 10, 'a street'{key}
                 FROM generate_series(1, {rows}) AS i",
                column("id_new")
            ),
            _ => format!(
                "INSERT INTO {schema}.audit (order_id, what{}) SELECT {}, 'placed'{key}
                 FROM generate_series(1, {rows}) AS i",
                column("order_id_new"),
                self.order(size)
            ),
        }
    }

    /// The order that an audit row refers to.
    fn order(self, size: Size) -> String {
        match self.name {
            "audit" => "(i - 1) / 3 + 1".to_owned(),
            // A prime, and so no divisor of the number of orders.
            _ => format!("i::bigint * 7919 % {} + 1", size.orders),
        }
    }
}

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails, or rows have no keys.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let size = Size { orders: plan.count(200_000, 50_000), rows: 4_000 };
    let rounds = plan.at_least(LEAST_ROUNDS, 5);
    let mut client = prepare(server, size)?;
    let mut figures = Figures::default();
    figures.count("rows a round", size.rows);
    figures.count("orders from before", size.orders);
    figures.count("rounds", rounds);
    let compared: Vec<_> = KINDS.into_iter().flat_map(|kind| SCHEMAS.map(|schema| (kind, schema))).collect();
    interleave(rounds, WarmUp::Round, &compared, &mut figures, |(kind, schema), figures| {
        let took = insert(&mut client, schema, *kind, size)?;
        figures.add(&format!("{schema}.{}", kind.name), Unit::Seconds, took / f64::from(size.rows));
        Ok(())
    })?;
    look_up(&mut client, size, rounds, &mut figures)?;
    for kind in KINDS.map(|kind| kind.name) {
        let values = |schema: &str| Ok(figures.series(&format!("{schema}.{kind}"))?.values.clone());
        let [plain, _, _, ours, by_hand]: [Result<Vec<f64>>; SCHEMAS.len()] = SCHEMAS.map(values);
        let (plain, ours, by_hand) = (plain?, ours?, by_hand?);
        let all = [&plain, &ours, &by_hand].map(|values| Spread::of(values).context("no rounds"));
        let [plain_spread, ours_spread, by_hand_spread] = all;
        let (floor, ours_spread, by_hand_spread) = (plain_spread?, ours_spread?, by_hand_spread?);
        let ratio =
            |of: fn(&Spread) -> f64| (of(&ours_spread) - of(&floor)) / (of(&by_hand_spread) - of(&floor));
        figures.add(&format!("ratio.{kind}"), Unit::Number, ratio(|spread| spread.min));
        figures.add(&format!("ratio_of_medians.{kind}"), Unit::Number, ratio(|spread| spread.median));
        for (plain, (ours, by_hand)) in plain.into_iter().zip(ours.into_iter().zip(by_hand)) {
            figures.add(&format!("added.{kind}"), Unit::Seconds, ours - plain);
            figures.add(&format!("added_by_hand.{kind}"), Unit::Seconds, by_hand - plain);
        }
    }
    Ok(figures)
}

/// What a query takes to find the orders that audit rows refer to.
fn look_up(client: &mut Client, size: Size, rounds: u32, figures: &mut Figures) -> Result<()> {
    let rows = size.rows;
    let compared: Vec<_> = KINDS.into_iter().filter(|kind| kind.table == "audit").collect();
    interleave(rounds, WarmUp::Round, &compared, figures, |kind, figures| {
        let mut cost = |of: &str| {
            let query = format!(
                "SELECT count({of}) FROM (SELECT {} AS order_id FROM generate_series(1, {rows}) AS i OFFSET 0) AS x",
                kind.order(size)
            );
            time(client, |client| server::number(client, &query)).map(|(_, took)| took.cpu.as_secs_f64())
        };
        let found = cost("(SELECT o.created_at FROM ours.orders AS o WHERE o.id = x.order_id)")?;
        let none = cost("x.order_id")?;
        figures.add(&format!("lookup.{}", kind.name), Unit::Seconds, (found - none) / f64::from(rows));
        Ok(())
    })
}

/// What an INSERT takes, of which nothing is left once it is seen that its rows have keys.
fn insert(client: &mut Client, schema: &str, kind: Kind, size: Size) -> Result<f64> {
    let table = format!("{schema}.{}", kind.table);
    // Each time, although rows of the last one are few.
    client
        .batch_execute(&format!("VACUUM (INDEX_CLEANUP ON) {table}"))
        .with_context(|| format!("could not vacuum {table}"))?;
    client.batch_execute("BEGIN").context("could not begin")?;
    let statement = kind.insert(schema, size);
    let (inserted, took) =
        time(client, |client| client.execute(&statement, &[]).context("could not insert"))?;
    ensure!(inserted == u64::from(size.rows), "{inserted} rows came into {table}");
    if schema != "plain" && schema != "empty" {
        let query = match kind.table {
            "orders" => format!("SELECT count(id_new) FROM {table} WHERE id > {}", size.orders),
            _ => format!("SELECT count(order_id_new) FROM {table}"),
        };
        let keys = server::number(client, &query)?;
        ensure!(keys == i64::from(size.rows), "{keys} rows of {table} have keys");
    }
    client.batch_execute("ROLLBACK").context("could not take the rows away")?;
    Ok(took.cpu.as_secs_f64())
}

fn prepare(server: &Server, size: Size) -> Result<Client> {
    let mut client = server::create_database(server, "trigger")?;
    for schema in SCHEMAS {
        let create = format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {schema}.orders (
                 id bigserial PRIMARY KEY,
                 customer_id bigint NOT NULL,
                 created_at timestamptz NOT NULL DEFAULT now(),
                 status text NOT NULL DEFAULT 'placed',
                 total numeric(10, 2) NOT NULL,
                 address text NOT NULL
             );
             CREATE TABLE {schema}.audit (no bigserial PRIMARY KEY, order_id bigint NOT NULL, what text);
             {}",
            KINDS[0]
                .insert("plain", Size { rows: size.orders, ..size })
                .replace("INSERT INTO plain", &format!("INSERT INTO {schema}"))
        );
        client.batch_execute(&create).context("could not create the tables")?;
    }
    client
        .batch_execute(
            "ALTER TABLE given.orders ADD COLUMN id_new uuid; ALTER TABLE given.audit ADD COLUMN order_id_new uuid",
        )
        .context("could not add columns")?;
    client.batch_execute(EMPTY).context("could not create empty triggers")?;
    client.batch_execute(BY_HAND).context("could not create the triggers")?;
    for statement in [
        "SELECT key_migration_create('ours.orders')",
        "SELECT key_migration_add_reference('ours.orders', 'ours.audit', '{order_id}')",
        "CALL key_migration_advance('ours.orders', through => 'backfilled')",
    ] {
        client.batch_execute(statement).with_context(|| format!("failed: {statement}"))?;
    }
    let tables: Vec<String> = SCHEMAS.iter().map(|schema| format!("{schema}.orders")).collect();
    // Where rows have been updated there is room between others, and to look for it is no matter of triggers.
    for table in &tables {
        let statement = format!("VACUUM FULL {table}");
        client.batch_execute(&statement).with_context(|| format!("failed: {statement}"))?;
    }
    server::tidy(&mut client, &tables.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(client)
}
