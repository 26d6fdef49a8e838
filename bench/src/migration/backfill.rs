//! What it takes to give keys to rows that are there.

use anyhow::{Context, Result};

use super::super::chart::{Chart, Shape};
use super::super::figures::{Figures, Unit};
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};
use super::path::{Felt, Outcome, Way};
use super::shop::{CHILDREN, Size};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "backfill",
    title: "Rows from before",
    about: "By the statements that `key_migration_statements` gives, one after the other, with VACUUM where they have it. \
            Rates are those of the backfill itself, and beside them those with VACUUM between its parts; the recipe is \
            vacuumed once after each table, so that what follows finds no dead rows. CPU time is that of the backend \
            without VACUUM. Heap growth is the size of the table without its indexes for each row, after its backfill to \
            before; the new column alone takes what packed rows take. Index growth is that of the indexes from before. Of \
            the recipe's batches on audit tables no more than 60 are run on each, spread over the table. With a million \
            orders the planner joins such a batch with all of them; with five million (`--full`, once, with an earlier \
            backfill) it looks each order up, and then the recipe is quicker: 17 µs a row in the order of time and 23 µs in none, of which key migration, \
            in that same run, took 0.53 times. Memory is what the backend has for itself (`RssAnon`). In the charts a \
            thin line stands where a part begins: nothing but writers, columns, backfill of orders, backfill of audit \
            rows, indexes and comparison, cut-over.",
    needs: &[Need::Routine("key_migration_advance")],
    tables: &[
        Table {
            corner: "orders",
            columns: &["rows a second", "with VACUUM", "CPU time, a row", "heap growth", "index growth"],
            rows: &[
                (
                    "one UPDATE",
                    &[
                        "recipe.orders.rate",
                        "recipe.orders.rate_vacuumed",
                        "recipe.orders.cpu",
                        "recipe.growth",
                        "recipe.index_growth",
                    ],
                ),
                (
                    "key migration",
                    &[
                        "ours.orders.rate",
                        "ours.orders.rate_vacuumed",
                        "ours.orders.cpu",
                        "ours.growth",
                        "ours.index_growth",
                    ],
                ),
            ],
        },
        Table {
            corner: "packed rows with the new column",
            columns: &["heap growth"],
            rows: &[("orders", &["ours.packed"])],
        },
        Table {
            corner: "audit rows, CPU time of each",
            columns: &["in the order of time", "in no order"],
            rows: &[
                ("UPDATE ... FROM in batches", &["recipe.audit.cpu", "recipe.audit_shuffled.cpu"]),
                ("key migration", &["ours.audit.cpu", "ours.audit_shuffled.cpu"]),
            ],
        },
        Table {
            corner: "audit rows a second",
            columns: &["in the order of time", "in no order", "with VACUUM", "in no order, with VACUUM"],
            rows: &[
                (
                    "UPDATE ... FROM in batches",
                    &[
                        "recipe.audit.rate",
                        "recipe.audit_shuffled.rate",
                        "recipe.audit.rate_vacuumed",
                        "recipe.audit_shuffled.rate_vacuumed",
                    ],
                ),
                (
                    "key migration",
                    &[
                        "ours.audit.rate",
                        "ours.audit_shuffled.rate",
                        "ours.audit.rate_vacuumed",
                        "ours.audit_shuffled.rate_vacuumed",
                    ],
                ),
            ],
        },
        Table {
            corner: "rows written meanwhile",
            columns: &["rows", "without key, or with a wrong one"],
            rows: &[
                ("recipe", &["recipe.written", "recipe.without_key"]),
                ("key migration", &["ours.written", "ours.without_key"]),
            ],
        },
        Table {
            corner: "memory of the backend",
            columns: &["after orders", "after half of the audit rows", "at the end"],
            rows: &[("key migration", &["ours.memory.start", "ours.memory.middle", "ours.memory.end"])],
        },
        Table {
            corner: "transactions of the writers, unthrottled",
            columns: &["p99", "worst"],
            rows: &[
                ("recipe, nothing else going on", &["recipe.idle.p99", "recipe.idle.worst"]),
                ("recipe, orders", &["recipe.during_orders.p99", "recipe.during_orders.worst"]),
                ("recipe, audit rows", &["recipe.during_children.p99", "recipe.during_children.worst"]),
                ("key migration, nothing else going on", &["ours.idle.p99", "ours.idle.worst"]),
                ("key migration, orders", &["ours.during_orders.p99", "ours.during_orders.worst"]),
                ("key migration, audit rows", &["ours.during_children.p99", "ours.during_children.worst"]),
            ],
        },
    ],
    charts: &[
        course("latency", "Latency of the writers, p99 of each second", "latency, p99", true),
        course("throughput", "Transactions of the writers, each second", "transactions a second", false),
        course("size", "Size of orders, without indexes", "size of orders", false),
        course("locks", "Longest wait for a lock, each second", "longest wait for a lock", false),
    ],
    checks: &[
        Check {
            what: "orders, rows a second, to one UPDATE (by rounds in the next chapter)",
            quantity: Quantity::Ratio { of: "ours.orders.rate", to: "recipe.orders.rate", less: None },
            target: None,
        },
        Check {
            what: "audit rows in the order of time, CPU time, to UPDATE ... FROM in batches",
            quantity: Quantity::Ratio { of: "ours.audit.cpu", to: "recipe.audit.cpu", less: None },
            target: Some(Target::AtMost(0.4)),
        },
        Check {
            what: "audit rows in no order, CPU time, to UPDATE ... FROM in batches",
            quantity: Quantity::Ratio {
                of: "ours.audit_shuffled.cpu",
                to: "recipe.audit_shuffled.cpu",
                less: None,
            },
            target: Some(Target::AtMost(0.4)),
        },
        Check {
            what: "heap growth of orders",
            quantity: Quantity::Median("ours.growth"),
            target: Some(Target::AtMost(1.4)),
        },
        Check {
            what: "rows written meanwhile without key, or with a wrong one",
            quantity: Quantity::Worst("ours.without_key"),
            target: Some(Target::AtMost(0.0)),
        },
        Check {
            what: "memory of the backend at the end to that after orders, which are a seventh of the rows",
            quantity: Quantity::Ratio { of: "ours.memory.end", to: "ours.memory.start", less: None },
            target: Some(Target::AtMost(1.1)),
        },
    ],
};

/// How the run goes over its time.
const fn course(name: &'static str, title: &'static str, curve: &'static str, log: bool) -> Chart {
    const ROWS: &[(&str, &[&str])] = &[("the usual recipe", &["recipe"]), ("key migration", &["ours"])];
    Chart { name, title, shape: Shape::Course { curve, log }, rows: ROWS }
}

/// Figures without anything measured.
pub fn start(size: Size) -> Figures {
    let mut figures = Figures::default();
    figures.count("orders", size.orders);
    figures.count("of these in one transaction", size.at_once);
    figures.count("rows of each audit table", size.audit_rows());
    figures
}

/// Adds what one way has come to.
///
/// # Errors
///
/// When the system does not tell what memory a process has.
pub fn add(figures: &mut Figures, way: Way, outcome: &Outcome) -> Result<()> {
    let way_name = way.name();
    let mut add = |name: &str, unit, value| figures.add(&format!("{way_name}.{name}"), unit, value);
    let tables =
        std::iter::once(("orders", &outcome.orders)).chain(CHILDREN.into_iter().zip(&outcome.children));
    for (table, filled) in tables {
        add(&format!("{table}.rate"), Unit::Number, filled.rate());
        add(&format!("{table}.rate_vacuumed"), Unit::Number, filled.rate_vacuumed());
        add(&format!("{table}.cpu"), Unit::Seconds, filled.cpu_per_row());
    }
    add("growth", Unit::Number, outcome.growth);
    add("index_growth", Unit::Number, outcome.index_growth);
    add("packed", Unit::Number, outcome.packed);
    add("written", Unit::Number, outcome.written as f64);
    add("without_key", Unit::Number, outcome.without_key as f64);
    for (name, Felt { p99, worst }) in [
        ("idle", outcome.idle),
        ("during_orders", outcome.during_orders),
        ("during_children", outcome.during_children),
    ] {
        add(&format!("{name}.p99"), Unit::Seconds, p99);
        add(&format!("{name}.worst"), Unit::Seconds, worst);
    }
    let memory = outcome.memory.context("this system does not tell what memory a process has")?;
    for (point, bytes) in [("start", memory.start), ("middle", memory.middle), ("end", memory.end)] {
        add(&format!("memory.{point}"), Unit::Bytes, bytes);
    }
    figures.timelines.insert(way_name.to_owned(), outcome.timeline.clone());
    Ok(())
}
