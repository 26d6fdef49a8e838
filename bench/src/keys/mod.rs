//! The benchmark of time-ordered keys.

mod beside_core;
mod insert;
mod make;
mod pasted;
mod reading;
mod sessions;
mod ulid_type;
mod volume;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use pg_test::Server;
use postgres::Client;

use super::figures::{Figures, Unit};
use super::measure::time;
use super::server;
use super::suite::Chapter;
use super::suite::{Plan, ROUNDS, Suite};
use xtask::step::Step;

/// From here on PostgreSQL has a `uuidv7()` of its own.
const FIRST_WITH_UUIDV7: u32 = 18;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "keys",
    title: "What time-ordered keys cost",
    about: "Everything that is compared runs in turn, round by round, in one run on one server. The ratios tell \
            something of the code; the times beside them tell as much of the machine. What other extensions cost is \
            said as it was measured by their releases in another run, on another machine of two cores, and is no part \
            of this one.",
    settings: &[
        "shared_preload_libraries = 'pg_keyspace, keyspace_baseline'",
        "fsync = on",
        "synchronous_commit = on",
        "full_page_writes = on",
        "shared_buffers = 1GB",
        "work_mem = 256MB",
        "maintenance_work_mem = 512MB",
        "checkpoint_timeout = 1h",
        "max_wal_size = 16GB",
        "autovacuum = off",
        "jit = off",
        // What workers do is no part of a backend's time.
        "max_parallel_workers_per_gather = 0",
        "max_parallel_maintenance_workers = 0",
    ],
    libraries: &["keyspace_baseline"],
    rounds: ROUNDS,
    chapters: &[
        &make::CHAPTER,
        &beside_core::BEFORE_18,
        &beside_core::FROM_18,
        &pasted::CHAPTER,
        &sessions::CHAPTER,
        &insert::BEFORE_18,
        &insert::FROM_18,
        &volume::CHAPTER,
        &reading::CHAPTER,
        &ulid_type::CHAPTER,
    ],
    measure,
};

fn measure(server: &Server, plan: &Plan) -> Result<BTreeMap<String, Figures>> {
    let has_uuidv7 = server.tree().major() >= FIRST_WITH_UUIDV7;
    // Where targets differ by version, the same is measured for another chapter.
    let (core_chapter, insert_chapter) = if has_uuidv7 {
        (&beside_core::FROM_18, &insert::FROM_18)
    } else {
        (&beside_core::BEFORE_18, &insert::BEFORE_18)
    };
    let mut chapters = BTreeMap::new();
    let mut measure = |chapter: &Chapter, work: &dyn Fn() -> Result<Figures>| -> Result<()> {
        if plan.wants(chapter) {
            let step = Step::quiet(format!("{}, by rounds", chapter.title));
            chapters.insert(chapter.name.to_owned(), work()?);
            step.done_with("done");
        }
        Ok(())
    };
    measure(&make::CHAPTER, &|| make::measure(server, plan))?;
    measure(core_chapter, &|| beside_core::measure(server, plan, has_uuidv7))?;
    measure(&pasted::CHAPTER, &|| pasted::measure(server, plan))?;
    measure(&sessions::CHAPTER, &|| sessions::measure(server, plan))?;
    measure(insert_chapter, &|| insert::measure(server, plan, has_uuidv7))?;
    measure(&volume::CHAPTER, &|| volume::measure(server, plan))?;
    measure(&reading::CHAPTER, &|| reading::measure(server, plan))?;
    measure(&ulid_type::CHAPTER, &|| ulid_type::measure(server, plan))?;
    Ok(chapters)
}

/// A database with the extension and with what it is measured against.
fn create_database(server: &Server, name: &str) -> Result<Client> {
    let mut client = server::create_database(server, name)?;
    for function in ["baseline_floor", "baseline_locked", "baseline_locked_briefly"] {
        client
            .batch_execute(&format!(
                "CREATE FUNCTION {function}() RETURNS uuid LANGUAGE c VOLATILE STRICT PARALLEL SAFE \
                 AS 'keyspace_baseline', '{function}'"
            ))
            .context("could not create what is measured against")?;
    }
    Ok(client)
}

/// What is called once for each row, and the name of its series.
struct Call {
    name: &'static str,
    call: &'static str,
}

/// A statement that makes so many calls, on rows that are not stored.
fn statement(call: &str, calls: u32) -> String {
    format!("SELECT count({call}) FROM (SELECT generate_series(1, {calls}) AS n) AS g")
}

/// Notes the time of the backend on a CPU for each call and its row.
fn call(client: &mut Client, call: &Call, calls: u32, figures: &mut Figures) -> Result<()> {
    let sql = statement(call.call, calls);
    let (_, took) = time(client, |client| server::number(client, &sql))?;
    figures.add(call.name, Unit::Seconds, took.cpu.as_secs_f64() / f64::from(calls));
    Ok(())
}
