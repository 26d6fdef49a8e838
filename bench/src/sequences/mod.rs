//! The benchmark of interleaved sequences.

mod batches;
mod contention;
mod ddl;
mod draw;
mod filled;
mod guard;
mod set_up;
mod stalls;
mod view;

use std::collections::BTreeMap;

use anyhow::Result;
use pg_test::Server;

use super::figures::Figures;
use super::suite::{Plan, ROUNDS, Suite};
use filled::Filled;
use xtask::step::Step;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "sequences",
    title: "What interleaved sequences cost",
    about: "Everything that is compared runs in turn, round by round, in one run on one server. The ratios tell \
            something of the code; the times beside them tell as much of the machine.",
    // A flush for each commit, as in production. Without what would start by itself in the middle of a round:
    // catalogs are vacuumed, and checkpoints made, between what is measured.
    settings: &[
        "fsync = on",
        "synchronous_commit = on",
        "full_page_writes = on",
        "shared_buffers = 512MB",
        "max_locks_per_transaction = 512",
        "checkpoint_timeout = 1h",
        "max_wal_size = 16GB",
        "autovacuum = off",
        "jit = off",
    ],
    libraries: &[],
    rounds: ROUNDS,
    chapters: &[
        &draw::CHAPTER,
        &contention::CHAPTER,
        &set_up::CHAPTER,
        &batches::CHAPTER,
        &view::CHAPTER,
        &stalls::CHAPTER,
        &guard::CHAPTER,
        &ddl::CHAPTER,
    ],
    measure,
};

fn measure(server: &Server, plan: &Plan) -> Result<BTreeMap<String, Figures>> {
    let mut chapters = BTreeMap::new();
    let mut add = |name: &str, figures| chapters.insert(name.to_owned(), figures);
    if plan.wants(&draw::CHAPTER) {
        add(draw::CHAPTER.name, in_rounds("Drawing in one session", || draw::measure(server, plan))?);
    }
    if plan.wants(&contention::CHAPTER) {
        let title = "Drawing in eight sessions at once";
        add(contention::CHAPTER.name, in_rounds(title, || contention::measure(server, plan))?);
    }
    if [&set_up::CHAPTER, &view::CHAPTER, &batches::CHAPTER].into_iter().any(|chapter| plan.wants(chapter)) {
        let tables = plan.count(10_000, 1_000);
        let step = Step::quiet(format!("Creating {tables} tables"));
        let mut filled = Filled::create(server, tables)?;
        step.done();
        if plan.wants(&set_up::CHAPTER) {
            let title = "Setting up in one transaction";
            add(set_up::CHAPTER.name, in_rounds(title, || set_up::measure(&filled, plan))?);
        }
        if plan.wants(&view::CHAPTER) {
            add(view::CHAPTER.name, in_rounds("Looking at sequences", || view::measure(&filled, plan))?);
        }
        if plan.wants(&batches::CHAPTER) {
            filled.add_plain(plan.count(5_000, 500))?;
            let title = "Setting up in batches";
            add(batches::CHAPTER.name, in_rounds(title, || batches::measure(&filled, plan))?);
        }
    }
    if plan.wants(&stalls::CHAPTER) {
        let title = "Inserting during a set-up in batches";
        add(stalls::CHAPTER.name, in_rounds(title, || stalls::measure(server, plan))?);
    }
    if plan.wants(&guard::CHAPTER) {
        add(
            guard::CHAPTER.name,
            in_rounds("Inserting into guarded tables", || guard::measure(server, plan))?,
        );
    }
    if plan.wants(&ddl::CHAPTER) {
        let title = "Creating and altering tables";
        add(ddl::CHAPTER.name, in_rounds(title, || ddl::measure(server, plan))?);
    }
    Ok(chapters)
}

/// A step that shows its rounds.
fn in_rounds(title: &str, measure: impl FnOnce() -> Result<Figures>) -> Result<Figures> {
    let step = Step::quiet(format!("{title}, by rounds"));
    let figures = measure()?;
    step.done_with("done");
    Ok(figures)
}
