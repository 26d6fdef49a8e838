//! How long the exchange of names keeps others waiting.

use super::super::figures::{Figures, Unit};
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};
use super::path::{CutOver, Outcome, Way};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "cut_over",
    title: "Cut-over beside a long reader",
    about: "Writers go on, and one session reads orders in transactions of three seconds with a second between. \
            `CALL key_migration_cutover('orders')` waits 100 ms for its locks, gives them back and tries again; the \
            recipe takes its locks without a limit, as one does by hand, and whoever comes after it waits, too. How long \
            the tables were locked is without the commit. The stall is the worst latency of a writer's transaction from \
            1.5 seconds before to three seconds after.",
    needs: &[Need::Routine("key_migration_cutover")],
    tables: &[Table {
        corner: "cut-over",
        columns: &["from call to end", "tries in vain", "tables locked for", "worst stall of a writer"],
        rows: &[
            ("recipe", &["recipe.took", "recipe.tries", "recipe.held", "recipe.stall"]),
            ("key migration", &["ours.took", "ours.tries", "ours.held", "ours.stall"]),
        ],
    }],
    charts: &[],
    checks: &[
        Check {
            what: "tables locked",
            quantity: Quantity::Worst("ours.held"),
            target: Some(Target::AtMost(0.005)),
        },
        Check {
            what: "worst stall of a writer",
            quantity: Quantity::Worst("ours.stall"),
            target: Some(Target::AtMost(0.3)),
        },
        Check { what: "worst stall, by the recipe", quantity: Quantity::Worst("recipe.stall"), target: None },
    ],
};

/// Adds what one way has come to.
pub fn add(figures: &mut Figures, way: Way, outcome: &Outcome) {
    let CutOver { took, held, tries, stall } = outcome.cut_over;
    let mut add = |name: &str, unit, value| figures.add(&format!("{}.{name}", way.name()), unit, value);
    add("took", Unit::Seconds, took.as_secs_f64());
    add("held", Unit::Seconds, held);
    add("tries", Unit::Number, f64::from(tries));
    add("stall", Unit::Seconds, stall);
}
