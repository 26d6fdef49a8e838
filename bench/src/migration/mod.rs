//! Key migration, measured by code: the article's case, next to its own recipe.

mod migrate;
mod partitions;
mod references;
mod shop;
mod throttle;
mod timeline;
mod to_bigint;
mod writers;

use anyhow::Result;
use pg_test::Server;
use xtask::step::Step;

use crate::figures::Figures;
use crate::measure::{WarmUp, interleave};
use crate::suite::{Measured, Plan, Suite};
use migrate::Way;
use partitions::Case;
use shop::Size;

/// Measures these chapters.
pub fn measure(server: &Server, suite: &Suite, measured: &mut Measured<'_>) -> Result<()> {
    let plan = measured.plan;
    // It takes as long as all others, so that a usual run leaves it out.
    if plan.full || !plan.only.is_empty() {
        measured.chapter("references", |plan| references::measure(server, plan, &suite.settings))?;
    }
    if !["backfill", "orders", "cut_over", "throttle", "to_bigint", "partitions", "partitioned_key"]
        .into_iter()
        .any(|chapter| plan.wants(chapter))
    {
        return Ok(());
    }
    let size = Size::of(plan);
    let step =
        Step::quiet(format!("Making {} orders and twice {} audit rows", size.orders, size.audit_rows()));
    shop::create(server, size)?;
    step.done();
    if plan.wants("backfill") || plan.wants("cut_over") {
        let (backfill, cut_over) = measure_all(server, plan, size)?;
        measured.add("backfill", backfill);
        measured.add("cut_over", cut_over);
    }
    measured.chapter("orders", |plan| measure_orders(server, plan, size))?;
    measured.chapter("throttle", |plan| throttle::measure(server, plan, size))?;
    measured.chapter("to_bigint", |plan| to_bigint::measure(server, plan, size))?;
    measured.chapter("partitions", |plan| Case::Reference.measure(server, plan, size))?;
    measured.chapter("partitioned_key", |plan| Case::Key.measure(server, plan, size))
}

/// The figures of the backfill, and of the cut-over at its end.
fn measure_all(server: &Server, plan: &Plan, size: Size) -> Result<(Figures, Figures)> {
    let (mut backfill, mut cut_over) = (Figures::default(), Figures::default());
    backfill.count("orders", size.orders);
    backfill.count("of these in one transaction", size.at_once);
    backfill.count("rows of each audit table", size.audit_rows());
    interleave(plan.rounds, WarmUp::None, &Way::ALL, &mut Figures::default(), |way, _| {
        println!();
        let step = Step::verbose(format!("From ids to keys: {}", way.name()));
        migrate::migrate_all(server, size, *way, &mut backfill, &mut cut_over)?;
        step.done();
        Ok(())
    })?;
    Ok((backfill, cut_over))
}

/// Rounds of the next where the command line does not ask for more.
const LEAST_ROUNDS: u32 = 5;

/// Orders alone, by rounds.
fn measure_orders(server: &Server, plan: &Plan, size: Size) -> Result<Figures> {
    let rounds = plan.at_least(LEAST_ROUNDS, 2);
    shop::create_orders(server)?;
    let mut figures = Figures::default();
    figures.count("orders", size.orders);
    figures.count("rounds", rounds);
    interleave(rounds, WarmUp::None, &Way::ALL, &mut figures, |way, figures| {
        migrate::migrate_orders(server, size, *way, figures)
    })?;
    shop::drop_copy(&mut server.connect("postgres")?, shop::ORDERS)?;
    Ok(figures)
}
