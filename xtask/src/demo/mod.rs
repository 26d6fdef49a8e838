//! `cargo xtask demo`: two writers without and with the extension, shown on real servers.

mod collisions;
mod derived_keys;
mod migration;
mod pair;
mod shoppers;
mod summary;
mod verdict;
mod writers;

use std::time::Instant;

use anyhow::{Context, Result};
use pg_test::{Extension, InstallTree, PgConfig, Run, Server};

use pair::{DATABASE, Pair};
use summary::Summary;
use xtask::cargo::{self, Build};
use xtask::step::Step;
use xtask::table::{self, number};

/// Builds the extension and shows it. Returns whether all claims held.
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
        "Serial and identity keys, keys not called id, quoted names, two schemas, a renamed table, a sequence for"
    );
    println!(
        "two tables, a partitioned table, a table without primary key. The same rows on both, made by rule."
    );
    println!("Replication both ways: {}.", before.method.name());

    heading(2, "Before: both servers write, with sequences as they are");
    let losses = collisions::show(&before)?;
    // With --keep, servers outlive this program; otherwise the first two are stopped here.
    let before = keep.then_some(before);

    heading(3, "After: each server has its class, on fresh servers");
    let step = Step::quiet("Starting two fresh servers and filling both");
    let after = Pair::start(&tree, ["node1", "node2"])?;
    step.done();
    set_up(&after)?;
    println!();
    let step = Step::quiet("Replicating both ways");
    after.replicate()?;
    step.done();
    add_new_tables(&after)?;
    let step = Step::quiet(format!(
        "Writing by plain INSERTs, {} connections on each server at once",
        writers::CONNECTIONS
    ));
    let written = writers::run(&after)?;
    step.done_with(&format!("{} rows acknowledged, {} refused", number(written.rows()), written.refused));
    println!("All of them were at it at the same time for {:.1} s.", written.together.as_secs_f64());
    let step = Step::quiet("Waiting until both have applied everything");
    let applied = after.method.wait_until_applied_or_stopped(&after.both(), DATABASE)?;
    if applied {
        step.done()
    } else {
        step.done_with("REPLICATION HAS STOPPED")
    }
    println!();
    let verdict = verdict::reach(&after, &written)?;

    heading(4, "Keys for a later move to UUIDv7");
    let keys = derived_keys::derive(&after)?;
    // As above.
    let after = keep.then_some(after);

    heading(5, "The move itself: a shop with one server, in use");
    let (alone, migrated) = migration::show(&tree)?;

    let summary = Summary { losses, written, verdict, keys, migrated, took: started.elapsed() };
    let held = summary.holds();
    heading(6, if held { "Summary: it held" } else { "Summary: IT DID NOT HOLD" });
    summary.print();
    if keep {
        let pairs = before.iter().chain(&after).flat_map(Pair::both);
        print_kept(&run, pairs.chain([&alone]));
    }
    Ok(held)
}

fn heading(number: u32, title: &str) {
    println!("\n{number}. {title}\n{}", "-".repeat(title.len() + 3));
}

/// Calls the set-up on both servers, and shows what it returns.
fn set_up(pair: &Pair) -> Result<()> {
    for (node, client) in (1..).zip(&mut pair.clients()?) {
        println!("\nnode{node}=# SELECT * FROM setup_interleaved_sequences({node}, 2);");
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

/// Creates on both servers what came after the set-up; data definitions are not replicated.
fn add_new_tables(pair: &Pair) -> Result<()> {
    for client in &mut pair.clients()? {
        client.batch_execute(include_str!("new_tables.sql")).context("could not create the new tables")?;
    }
    let tables = ["shop.page_view", "shop.payment", "shop.ticket"];
    pair.method.add_tables(&pair.both(), DATABASE, &tables)?;
    println!(
        "New tables, made on both servers and added to what is replicated: shop.page_view, DEFAULT uuidv7();"
    );
    println!("shop.payment, DEFAULT ulid(); shop.ticket, DEFAULT partitioned_nextval('shop.ticket_no').");
    Ok(())
}

fn print_kept<'a>(run: &Run, servers: impl Iterator<Item = &'a Server>) {
    println!("\nThe servers are left running. To connect:");
    for server in servers {
        println!("    {}", server.psql_command(DATABASE));
    }
    let directory = run.directory().display();
    println!("To end them and remove what they hold:");
    println!("    kill -QUIT $(head -qn1 {directory}/*/data/postmaster.pid) && sleep 1 && rm -r {directory}");
}
