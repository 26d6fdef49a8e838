//! `uuidv7()` beside what PostgreSQL itself has.

use anyhow::Result;
use pg_test::Server;

use super::super::chart::{Chart, Shape};
use super::super::figures::Figures;
use super::super::measure::{WarmUp, interleave};
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table, Target};
use super::{Call, call, create_database};

const ABOUT: &str = "As above, with fewer calls. PostgreSQL asks for strong random bits once for each key.";

/// The chapter where PostgreSQL has `gen_random_uuid()` alone.
pub const BEFORE_18: Chapter = Chapter {
    name: "core",
    title: "Beside PostgreSQL's own keys",
    about: ABOUT,
    needs: &[],
    tables: &[Table {
        corner: "call",
        columns: &["CPU time of a call and its row"],
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("`uuidv7()`", &["uuidv7"]),
            ("`gen_random_uuid()`", &["random"]),
        ],
    }],
    charts: &[Chart {
        name: "core",
        title: "CPU time of a key and its row, beside PostgreSQL's",
        shape: Shape::Bars { others: 2 },
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("gen_random_uuid()", &["random"]),
            ("uuidv7()", &["uuidv7"]),
        ],
    }],
    checks: &[Check {
        what: "`gen_random_uuid()` to `uuidv7()`",
        quantity: Quantity::Ratio { of: "random", to: "uuidv7", less: Some("bare_loop") },
        target: Some(Target::AtLeast(20.0)),
    }],
};

/// The chapter where it has a `uuidv7()`, too.
pub const FROM_18: Chapter = Chapter {
    name: "core_18",
    title: "Beside PostgreSQL's own keys",
    about: ABOUT,
    needs: &[],
    tables: &[Table {
        corner: "call",
        columns: &["CPU time of a call and its row"],
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("`uuidv7()`, ours", &["uuidv7"]),
            ("`uuidv7()`, PostgreSQL's", &["core_uuidv7"]),
            ("`gen_random_uuid()`", &["random"]),
        ],
    }],
    charts: &[Chart {
        name: "core",
        title: "CPU time of a key and its row, beside PostgreSQL's",
        shape: Shape::Bars { others: 3 },
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("gen_random_uuid()", &["random"]),
            ("uuidv7() of PostgreSQL", &["core_uuidv7"]),
            ("uuidv7() of pg_keyspace", &["uuidv7"]),
        ],
    }],
    checks: &[
        Check {
            what: "PostgreSQL's `uuidv7()` to ours",
            quantity: Quantity::Ratio { of: "core_uuidv7", to: "uuidv7", less: Some("bare_loop") },
            target: Some(Target::AtLeast(12.0)),
        },
        Check {
            what: "`gen_random_uuid()` to `uuidv7()`",
            quantity: Quantity::Ratio { of: "random", to: "uuidv7", less: Some("bare_loop") },
            target: None,
        },
    ],
};

const CALLS: [Call; 4] = [
    Call { name: "bare_loop", call: "1" },
    Call { name: "uuidv7", call: "public.uuidv7()" },
    Call { name: "random", call: "gen_random_uuid()" },
    Call { name: "core_uuidv7", call: "pg_catalog.uuidv7()" },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan, has_uuidv7: bool) -> Result<Figures> {
    let mut client = create_database(server, "core")?;
    let calls = plan.count(1_000_000, 200_000);
    let mut figures = Figures::default();
    figures.count("calls a round", calls);
    let compared = if has_uuidv7 { &CALLS[..] } else { &CALLS[..3] };
    interleave(plan.rounds, WarmUp::Round, compared, &mut figures, |one, figures| {
        call(&mut client, one, calls, figures)
    })?;
    Ok(figures)
}
