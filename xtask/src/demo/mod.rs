//! `cargo xtask demo`: the story of two servers that both write, told by real servers.

mod collisions;
mod pair;
mod table;
mod verdict;
mod writers;

use std::time::Instant;

use anyhow::{Context, Result};
use pg_test::{Extension, InstallTree, PgConfig};

use crate::cargo::{self, Build};
use crate::step::Step;
use pair::{DATABASE, Pair};
use table::number;

/// Builds the extension and tells the story. Returns whether all of it held.
///
/// # Errors
///
/// When a server or a statement fails.
pub fn run(pg: &PgConfig, keep: bool) -> Result<bool> {
    let started = Instant::now();
    let library = cargo::build_extension(pg, Build::Release)?;
    let run = pair::run(keep)?;
    let tree = InstallTree::new(&run, pg)?;
    tree.install(&Extension::of_checkout(library)?)?;

    heading(1, "A shop, on two servers");
    let step = Step::quiet("Starting two servers and filling both: 100,000 orders, 300,000 audit rows");
    let before = Pair::start(&tree, ["before1", "before2"])?;
    step.done();
    println!(
        "Serial and identity keys, keys not called id, quoted names, two schemas, a renamed table, a sequence"
    );
    println!("for two tables, a partitioned table. Replication both ways: {}.", before.method.name());

    heading(2, "Before: both servers write, with sequences as they are");
    let losses = collisions::show(&before)?;
    // Kept servers outlive us; otherwise the first two make room for the next.
    let before = keep.then_some(before);

    heading(3, "After: each server has its class, on fresh servers");
    let step = Step::quiet("Starting two fresh servers and filling both");
    let after = Pair::start(&tree, ["node1", "node2"])?;
    step.done();
    set_up(&after)?;
    after.replicate()?;
    for client in &mut after.clients()? {
        client.batch_execute(include_str!("new_tables.sql")).context("could not create the new tables")?;
    }
    after.method.add_tables(&after.both(), DATABASE, &["shop.page_view", "shop.payment", "shop.ticket"])?;
    println!();
    println!(
        "New tables: page_view (DEFAULT uuidv7()), payment (DEFAULT ulid()), ticket (DEFAULT partitioned_nextval)."
    );
    let step = Step::quiet("Writing on both servers at once, by plain INSERTs");
    let written = writers::run(&after)?;
    step.done_with(&format!("{} rows acknowledged", number(written.rows)));
    let step = Step::quiet("Waiting until both have applied everything");
    after.method.wait_until_applied(&after.both(), DATABASE)?;
    step.done();
    let verdict = verdict::reach(&after, &written)?;

    heading(4, "Keys for a later move to UUIDv7: derived, so equal on both servers");
    let keys = verdict::derive_keys(&after)?;
    println!("uuidv7_from_timestamp(created_at, id) over the orders, most of them three to a timestamp:");
    println!(
        "    {} keys on each server; {}; {} out of the order of (created_at, id), {} duplicates, {} not decoded",
        number(keys.orders),
        if keys.same { "the same on both" } else { "DIFFERENT" },
        keys.inversions,
        keys.duplicates,
        keys.wrong
    );

    let lost = losses.orders > 0 && losses.reported > 0;
    let held = lost && verdict.is_clean() && keys.same && keys.inversions + keys.duplicates + keys.wrong == 0;
    heading(5, if held { "Summary: it held" } else { "Summary: IT DID NOT HOLD" });
    println!(
        "    before   {} acknowledged orders lost or never arrived, {} lines on a wrong order, {} conflicts",
        number(losses.orders),
        number(losses.misattached),
        losses.reported
    );
    println!(
        "    after    {} rows acknowledged ({}/s on both together), {} conflicts, {} missing, {} of the wrong class",
        number(written.rows),
        number(written.rows_per_second()),
        verdict.conflicts,
        verdict.missing,
        verdict.out_of_class
    );
    println!(
        "             {} tables compared, {} rows on each server, {} different",
        verdict.tables,
        number(verdict.rows),
        verdict.different
    );
    println!("    took     {:.0} s in all", started.elapsed().as_secs_f64());
    if keep {
        println!("\nThe servers are left running. To connect, and to end them:");
        for server in before.iter().chain([&after]).flat_map(Pair::both) {
            println!("    {}", server.psql_command(DATABASE));
        }
        println!("    pkill -QUIT -f {} ; rm -r {}", run.directory().display(), run.directory().display());
    }
    Ok(held)
}

fn heading(number: u32, title: &str) {
    println!("\n{number}. {title}\n{}", "-".repeat(title.len() + 3));
}

/// Calls the set-up on both servers, and shows what it returns.
fn set_up(pair: &Pair) -> Result<()> {
    for (node, client) in (1..).zip(&mut pair.clients()?) {
        println!("\nOn node {node}: SELECT * FROM setup_interleaved_sequences({node}, 2);");
        let rows = client
            .query(
                "SELECT sequence::text, action, in_use::text, restart::text, values_left::text, detail
                 FROM setup_interleaved_sequences($1, 2)",
                &[&node],
            )
            .with_context(|| format!("could not set up node {node}"))?;
        let cells: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                (0..6).map(|column| row.get::<_, Option<String>>(column).unwrap_or_default()).collect()
            })
            .collect();
        table::print(&["sequence", "action", "in_use", "restart", "values_left", "detail"], &cells);
    }
    Ok(())
}
