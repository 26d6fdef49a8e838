//! The comparison of all nodes with the first one, and the rows that take its keys.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::watch::Display;
use super::group::{Exchange, Group, Member};
use super::step::when_allowed;
use crate::failure::{Failure, Result};
use crate::output::count;

/// How often all rows are compared. Each correction makes another comparison necessary.
const ROUNDS: usize = 5;
/// How often the rows of a part are compared, before those whose keys differ are corrected: a row that
/// is on its way is no difference.
const TRIES: usize = 3;
/// The parts whose rows are read at once.
const PARTS: usize = 100;
/// How long what is on its way is waited for.
const ARRIVAL: Duration = Duration::from_secs(300);

/// Parts of tables, by the name of the table.
type Parts = BTreeMap<String, Vec<i32>>;

/// Compares all nodes with the first one, until no key differs. Returns how many parts were corrected.
///
/// # Errors
/// Those of the servers; if keys still differ.
pub fn compare(group: &mut Group<'_>, display: &Display) -> Result<usize> {
    let mut corrected = 0;
    for _ in 0..ROUNDS {
        // What a node knows of the others is part of what the first one decides by.
        group.exchange.pass()?;
        let states = group.exchange.pass()?;
        if states.iter().flatten().all(|state| state.progress.compared) {
            return Ok(corrected);
        }
        let exchange = &group.exchange;
        let Some((first, others)) = group.members.split_first_mut() else { return Ok(corrected) };
        let is_compared = |number: i32| {
            states.iter().flatten().any(|state| state.node == number && state.progress.compared)
        };
        let others: Vec<&mut Member<'_>> =
            others.iter_mut().filter(|member| !is_compared(member.number)).collect();
        if others.is_empty() {
            // The first node finds that all are the same as soon as it knows of it and nothing is on
            // its way.
            exchange.arrive(ARRIVAL)?;
            continue;
        }
        display.say("comparing the keys of all nodes");
        let digests = digests(first, "")?;
        for other in others {
            let parts = when_allowed(other, exchange, display, |other| differing(other, &digests))?;
            corrected += parts_of(first, other, exchange, display, parts)?;
        }
    }
    exchange_and_check(&group.exchange)?;
    Ok(corrected)
}

fn exchange_and_check(exchange: &Exchange<'_>) -> Result<()> {
    exchange.pass()?;
    if exchange.pass()?.iter().flatten().all(|state| state.progress.compared) {
        return Ok(());
    }
    Err(Failure::new("keys still differ between nodes")
        .detail(format!("All rows were compared {ROUNDS} times."))
        .hint(
            "Look at key_migration_compare() on the nodes: see the guide on key migration on several nodes.",
        ))
}

/// Compares the rows of parts that differ. Returns how many parts had to be corrected.
fn parts_of(
    first: &mut Member<'_>,
    other: &mut Member<'_>,
    exchange: &Exchange<'_>,
    display: &Display,
    mut parts: Parts,
) -> Result<usize> {
    for last in [false; TRIES - 1].into_iter().chain([true]) {
        if parts.is_empty() {
            return Ok(0);
        }
        exchange.arrive(ARRIVAL)?;
        let mut left = Parts::new();
        let mut corrected = 0;
        for (table, parts) in &parts {
            for chunk in parts.chunks(PARTS) {
                let rows = digests(first, &rows_of(table, chunk))?;
                let differing = when_allowed(other, exchange, display, |other| differing(other, &rows))?;
                let differing = differing.into_values().flatten().collect::<Vec<_>>();
                if differing.is_empty() {
                    continue;
                }
                if last {
                    let rows = digests(first, &rows_of(table, &differing))?;
                    correct(other, &rows)?;
                    corrected += differing.len();
                } else {
                    left.entry(table.clone()).or_default().extend(differing);
                }
            }
        }
        if last && corrected > 0 {
            display.say(&format!(
                "node \"{}\": rows of {} took the keys of node \"{}\"",
                other.node.name,
                count(corrected, "part"),
                first.node.name
            ));
            return Ok(corrected);
        }
        parts = left;
    }
    Ok(0)
}

fn rows_of(table: &str, parts: &[i32]) -> String {
    let parts: Vec<String> = parts.iter().map(i32::to_string).collect();
    format!(
        ", table_name => {}::pg_catalog.regclass, parts => '{{{}}}'::pg_catalog.int4[]",
        keyspace::sql::literal(table),
        parts.join(",")
    )
}

/// The digests of the first node: of all tables, or the rows of some parts of one.
fn digests(first: &mut Member<'_>, arguments: &str) -> Result<String> {
    let function = first.session.object("key_migration_digests")?;
    let query = format!("SELECT {function}({}{arguments})::text", first.table.argument());
    Ok(first.session.query_one(&query, &[])?.try_get(0)?)
}

/// Compares, and returns the parts whose keys differ.
fn differing(other: &mut Member<'_>, digests: &str) -> Result<Parts> {
    let function = other.session.object("key_migration_compare")?;
    let query = format!(
        "SELECT DISTINCT format('%I.%I', n.nspname, t.relname), c.part
         FROM {function}({}, $1::text::jsonb) AS c
         JOIN pg_class t ON t.oid = c.table_name JOIN pg_namespace n ON n.oid = t.relnamespace
         WHERE c.finding = 'keys differ' ORDER BY 1, 2",
        other.table.argument()
    );
    let mut parts = Parts::new();
    for row in other.session.query(&query, &[&digests])? {
        parts.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
    }
    Ok(parts)
}

/// Gives rows the keys of the first node.
fn correct(other: &mut Member<'_>, rows: &str) -> Result<()> {
    let procedure = other.session.object("key_migration_correct")?;
    // A procedure that commits takes no parameter of a prepared statement on all versions.
    let call = format!(
        "CALL {procedure}({}, {}::pg_catalog.jsonb)",
        other.table.argument(),
        keyspace::sql::literal(rows)
    );
    other.session.batch_execute(&call)
}
