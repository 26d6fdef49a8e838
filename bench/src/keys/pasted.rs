//! `uuidv7()` and `ulid()` beside functions in SQL and PL/pgSQL.

use anyhow::{Context, Result};
use pg_test::Server;

use super::super::chart::{Chart, Shape};
use super::super::figures::Figures;
use super::super::measure::{WarmUp, interleave};
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table};
use super::{Call, call, create_database};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "pasted",
    title: "Beside functions from the web",
    about: "As above, beside functions as they are pasted into migrations where no extension is to be had, written for \
            this page in their manner: the milliseconds and random bits of `gen_random_uuid()`, put together as text in \
            SQL, and byte by byte in PL/pgSQL. None of them keeps keys of one millisecond in order.",
    needs: &[],
    tables: &[Table {
        corner: "call",
        columns: &["CPU time of a call and its row"],
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("`uuidv7()`", &["uuidv7"]),
            ("`ulid()`", &["ulid"]),
            ("UUIDv7 in SQL", &["uuidv7_sql"]),
            ("UUIDv7 in PL/pgSQL", &["uuidv7_plpgsql"]),
            ("ULID in PL/pgSQL, as text", &["ulid_plpgsql"]),
        ],
    }],
    charts: &[Chart {
        name: "pasted",
        title: "CPU time of a key and its row, beside functions from the web",
        shape: Shape::Bars { others: 4 },
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("UUIDv7 in SQL", &["uuidv7_sql"]),
            ("UUIDv7 in PL/pgSQL", &["uuidv7_plpgsql"]),
            ("ULID in PL/pgSQL, as text", &["ulid_plpgsql"]),
            ("uuidv7()", &["uuidv7"]),
            ("ulid()", &["ulid"]),
        ],
    }],
    checks: &[
        Check {
            what: "UUIDv7 in SQL to `uuidv7()`",
            quantity: Quantity::Ratio { of: "uuidv7_sql", to: "uuidv7", less: Some("bare_loop") },
            target: None,
        },
        Check {
            what: "UUIDv7 in PL/pgSQL to `uuidv7()`",
            quantity: Quantity::Ratio { of: "uuidv7_plpgsql", to: "uuidv7", less: Some("bare_loop") },
            target: None,
        },
        Check {
            what: "ULID in PL/pgSQL to `ulid()`",
            quantity: Quantity::Ratio { of: "ulid_plpgsql", to: "ulid", less: Some("bare_loop") },
            target: None,
        },
    ],
};

const CALLS: [Call; 6] = [
    Call { name: "bare_loop", call: "1" },
    Call { name: "uuidv7", call: "public.uuidv7()" },
    Call { name: "ulid", call: "ulid()" },
    Call { name: "uuidv7_sql", call: "pasted_uuidv7_sql()" },
    Call { name: "uuidv7_plpgsql", call: "pasted_uuidv7_plpgsql()" },
    Call { name: "ulid_plpgsql", call: "pasted_ulid_plpgsql()" },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let mut client = create_database(server, "pasted")?;
    client.batch_execute(include_str!("pasted.sql")).context("could not create functions from the web")?;
    let calls = plan.count(200_000, 50_000);
    let mut figures = Figures::default();
    figures.count("calls a round", calls);
    interleave(plan.rounds, WarmUp::Round, &CALLS, &mut figures, |one, figures| {
        call(&mut client, one, calls, figures)
    })?;
    Ok(figures)
}
