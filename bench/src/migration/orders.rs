//! Giving keys to orders beside writers, by rounds.

use anyhow::Result;
use pg_test::Server;

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave};
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};
use super::path::{self, Way};
use super::shop::{self, Size};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "orders",
    title: "Orders, by rounds",
    about: "The backfill of orders once more, beside the same writers, on a copy of the shop without audit rows for each \
            time: the two ways take seconds each, one after the other, and a machine may well be half as quick for some \
            seconds, so that one pair says little. In each round the two run one right after the other, and another one \
            first each time. A writer that changes an order which the UPDATE has changed waits until it ends, so that the \
            UPDATE soon has the machine for itself; what the writers felt stands beside it.",
    needs: &[Need::Routine("key_migration_advance")],
    tables: &[Table {
        corner: "orders",
        columns: &["rows a second", "with VACUUM", "CPU time, a row", "p99 of the writers"],
        rows: &[
            ("one UPDATE", &["recipe.rate", "recipe.rate_vacuumed", "recipe.cpu", "recipe.p99"]),
            ("key migration", &["ours.rate", "ours.rate_vacuumed", "ours.cpu", "ours.p99"]),
        ],
    }],
    charts: &[],
    checks: &[
        Check {
            what: "orders, rows a second, to one UPDATE",
            quantity: Quantity::Ratio { of: "ours.rate", to: "recipe.rate", less: None },
            target: Some(Target::AtLeast(1.3)),
        },
        Check {
            what: "orders, CPU time, to one UPDATE",
            quantity: Quantity::Ratio { of: "ours.cpu", to: "recipe.cpu", less: None },
            target: None,
        },
    ],
};

/// Rounds where the command line does not ask for more.
const LEAST_ROUNDS: u32 = 5;

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan, size: Size) -> Result<Figures> {
    let rounds = plan.at_least(LEAST_ROUNDS, 2);
    shop::create_orders(server)?;
    let mut figures = Figures::default();
    figures.count("orders", size.orders);
    figures.count("rounds", rounds);
    interleave(rounds, WarmUp::None, &Way::ALL, &mut figures, |way, figures| {
        let (filled, felt) = path::go_to_orders(server, size, *way)?;
        let mut add = |name: &str, unit, value| figures.add(&format!("{}.{name}", way.name()), unit, value);
        add("rate", Unit::Number, filled.rate());
        add("rate_vacuumed", Unit::Number, filled.rate_vacuumed());
        add("cpu", Unit::Seconds, filled.cpu_per_row());
        add("p99", Unit::Seconds, felt.p99);
        Ok(())
    })?;
    shop::drop_copy(&mut server.connect("postgres")?, shop::ORDERS)?;
    Ok(figures)
}
