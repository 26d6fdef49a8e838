//! The benchmark of key migration: the article's case, beside its own recipe.

mod backfill;
mod cut_over;
mod orders;
mod path;
mod shop;
mod throttle;
mod traffic;
mod trigger;
mod watch;

use std::collections::BTreeMap;

use anyhow::Result;
use pg_test::Server;

use super::figures::Figures;
use super::measure::{WarmUp, interleave};
use super::suite::{Plan, Rounds, Suite};
use path::Way;
use shop::Size;
use xtask::step::Step;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "migration",
    title: "What it takes to migrate a key",
    about: "Orders with a `bigserial` key and a time, three for each but for one transaction of a fifth of them, and \
            two audit tables with three rows for each order, a `bigint` reference and no time: in one the rows are in \
            the order of time, in the other in none. The recipe that is usual is run on a copy of the same tables on \
            the same server, before or after: a column beside the number, one UPDATE of orders, `UPDATE ... FROM` in \
            batches of 10,000 rows for each audit table, indexes built concurrently, and an exchange of names in one \
            transaction. All the while four sessions place 25 orders a second each, with three audit rows, and change \
            an order from before, and somebody reads for a second in one transaction every ten seconds. Latency counts \
            from when a transaction was due, so that those which wait behind a stalled one count, too.",
    // As in production, but for what would start by itself in the middle of what is measured.
    settings: &[
        "fsync = on",
        "synchronous_commit = on",
        "full_page_writes = on",
        "shared_buffers = 1GB",
        "maintenance_work_mem = 256MB",
        "checkpoint_timeout = 1h",
        "max_wal_size = 32GB",
        "autovacuum = off",
        "jit = off",
        "max_parallel_workers_per_gather = 0",
        "max_parallel_maintenance_workers = 0",
    ],
    libraries: &[],
    rounds: Rounds { usual: 1, quick: 1 },
    chapters: &[
        &backfill::CHAPTER,
        &orders::CHAPTER,
        &cut_over::CHAPTER,
        &throttle::CHAPTER,
        &trigger::CHAPTER,
    ],
    measure,
};

fn measure(server: &Server, plan: &Plan) -> Result<BTreeMap<String, Figures>> {
    let mut chapters = BTreeMap::new();
    let size = Size::of(plan);
    if [&backfill::CHAPTER, &orders::CHAPTER, &cut_over::CHAPTER, &throttle::CHAPTER]
        .into_iter()
        .any(|chapter| plan.wants(chapter))
    {
        let step =
            Step::quiet(format!("Making {} orders and twice {} audit rows", size.orders, size.audit_rows()));
        shop::create(server, size)?;
        step.done();
    }
    if plan.wants(&backfill::CHAPTER) || plan.wants(&cut_over::CHAPTER) {
        let mut backfill = backfill::start(size);
        let mut cut_over = Figures::default();
        interleave(plan.rounds, WarmUp::None, &Way::ALL, &mut Figures::default(), |way, _| {
            println!();
            let step = Step::verbose(format!("From numbers to keys: {}", way.title()));
            let outcome = path::go(server, size, *way)?;
            step.done();
            backfill::add(&mut backfill, *way, &outcome)?;
            cut_over::add(&mut cut_over, *way, &outcome);
            Ok(())
        })?;
        for (chapter, figures) in [(&backfill::CHAPTER, backfill), (&cut_over::CHAPTER, cut_over)] {
            if plan.wants(chapter) {
                chapters.insert(chapter.name.to_owned(), figures);
            }
        }
    }
    if plan.wants(&orders::CHAPTER) {
        let step = Step::quiet("Orders, by rounds");
        chapters.insert(orders::CHAPTER.name.to_owned(), orders::measure(server, plan, size)?);
        step.done_with("done");
    }
    if plan.wants(&throttle::CHAPTER) {
        let step = Step::quiet("A throttled backfill, by rounds");
        chapters.insert(throttle::CHAPTER.name.to_owned(), throttle::measure(server, plan, size)?);
        step.done_with("done");
    }
    if plan.wants(&trigger::CHAPTER) {
        let step = Step::quiet("Inserting with triggers, by rounds");
        chapters.insert(trigger::CHAPTER.name.to_owned(), trigger::measure(server, plan)?);
        step.done_with("done");
    }
    Ok(chapters)
}
