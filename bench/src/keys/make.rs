//! What a key costs in one session.

use anyhow::Result;
use pg_test::Server;

use super::super::chart::{Chart, Shape};
use super::super::figures::Figures;
use super::super::measure::{WarmUp, interleave};
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table, Target};
use super::{Call, call, create_database};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "make",
    title: "Making a key in one session",
    about: "CPU time of the backend for each call in `SELECT count(CALL) FROM (SELECT generate_series(1, n) AS n) AS g`, \
            in one session; written so, the rows are not stored. The bare loop is `count(1)` over as many rows, and is \
            taken off both sides of a ratio. The floor is a function that reads the precise clock and packs 16 bytes on \
            fresh memory, which every key of now has to. Derived keys are made of one instant and the row's number. \
            Others, in another run, ns for each key less the bare loop, on PostgreSQL 15: pg_uuidv7 1.6 \
            `uuid_generate_v7()` 1,592 and `uuid_timestamptz_to_v7(ts)` 1,475, pgx_ulid `gen_ulid()` 106 and \
            `gen_monotonic_ulid()` 152, pg-ferroid `gen_ulid()` 38 to 69, whose clock a thread ticks, pg_idkit 580 for a \
            UUIDv7; the floor was 43 to 48 there.",
    needs: &[],
    tables: &[Table {
        corner: "call",
        columns: &["CPU time of a call and its row"],
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("the floor", &["floor"]),
            ("`uuidv7()`", &["uuidv7"]),
            ("`ulid()`", &["ulid"]),
            ("`uuidv7_monotonic()`", &["uuidv7_monotonic"]),
            ("`ulid_monotonic()`", &["ulid_monotonic"]),
            ("`uuidv7('-1 hour')`", &["shifted"]),
            ("`uuidv7_from_timestamp(ts)`", &["uuidv7_at"]),
            ("`ulid_from_timestamp(ts)`", &["ulid_at"]),
            ("`uuidv7_from_timestamp(ts, id)`", &["uuidv7_derived"]),
            ("`ulid_from_timestamp(ts, id)`", &["ulid_derived"]),
            ("`uuidv7_from_timestamp(ts, id, salt)`", &["uuidv7_salted"]),
            ("`uuidv7_from_timestamp_hashed(ts, id)`", &["uuidv7_hashed"]),
            ("`uuidv7_boundary(ts)`", &["boundary"]),
            ("`uuidv7_to_timestamp(key)`, key by `uuidv7_boundary(ts)`", &["to_timestamp"]),
        ],
    }],
    charts: &[Chart {
        name: "cost",
        title: "CPU time of a key and its row",
        shape: Shape::Bars { others: 2 },
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("the floor: clock and 16 bytes", &["floor"]),
            ("uuidv7()", &["uuidv7"]),
            ("ulid()", &["ulid"]),
            ("uuidv7_monotonic()", &["uuidv7_monotonic"]),
            ("uuidv7_from_timestamp(ts)", &["uuidv7_at"]),
            ("uuidv7_from_timestamp(ts, id)", &["uuidv7_derived"]),
        ],
    }],
    checks: &[
        Check {
            what: "`uuidv7()` to the floor",
            quantity: Quantity::Ratio { of: "uuidv7", to: "floor", less: Some("bare_loop") },
            target: Some(Target::AtMost(1.3)),
        },
        Check {
            what: "`ulid()` to the floor",
            quantity: Quantity::Ratio { of: "ulid", to: "floor", less: Some("bare_loop") },
            target: Some(Target::AtMost(1.3)),
        },
        Check {
            what: "`uuidv7_monotonic()` to the floor",
            quantity: Quantity::Ratio { of: "uuidv7_monotonic", to: "floor", less: Some("bare_loop") },
            target: None,
        },
        Check {
            what: "`uuidv7_from_timestamp(ts)` to `uuidv7()`",
            quantity: Quantity::Ratio { of: "uuidv7_at", to: "uuidv7", less: Some("bare_loop") },
            target: Some(Target::AtMost(0.6)),
        },
        Check {
            what: "`uuidv7_from_timestamp(ts, id)` to `uuidv7()`",
            quantity: Quantity::Ratio { of: "uuidv7_derived", to: "uuidv7", less: Some("bare_loop") },
            target: Some(Target::AtMost(1.0)),
        },
        Check {
            what: "`ulid_from_timestamp(ts, id)` to `ulid()`",
            quantity: Quantity::Ratio { of: "ulid_derived", to: "ulid", less: Some("bare_loop") },
            target: Some(Target::AtMost(1.0)),
        },
    ],
};

const CALLS: [Call; 15] = [
    Call { name: "bare_loop", call: "1" },
    Call { name: "floor", call: "baseline_floor()" },
    Call { name: "uuidv7", call: "public.uuidv7()" },
    Call { name: "ulid", call: "ulid()" },
    Call { name: "uuidv7_monotonic", call: "uuidv7_monotonic()" },
    Call { name: "ulid_monotonic", call: "ulid_monotonic()" },
    Call { name: "shifted", call: "public.uuidv7('-1 hour')" },
    Call { name: "uuidv7_at", call: "uuidv7_from_timestamp(timestamptz '2024-01-01 00:00+00')" },
    Call { name: "ulid_at", call: "ulid_from_timestamp(timestamptz '2024-01-01 00:00+00')" },
    Call { name: "uuidv7_derived", call: "uuidv7_from_timestamp(timestamptz '2024-01-01 00:00+00', n)" },
    Call { name: "ulid_derived", call: "ulid_from_timestamp(timestamptz '2024-01-01 00:00+00', n)" },
    Call {
        name: "uuidv7_salted",
        call: "uuidv7_from_timestamp(timestamptz '2024-01-01 00:00+00', n, 'public.orders')",
    },
    Call {
        name: "uuidv7_hashed",
        call: "uuidv7_from_timestamp_hashed(timestamptz '2024-01-01 00:00+00', n)",
    },
    // Of the transaction's time, so that the planner cannot compute it once.
    Call { name: "boundary", call: "uuidv7_boundary(now())" },
    Call { name: "to_timestamp", call: "uuidv7_to_timestamp(uuidv7_boundary(now()))" },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let mut client = create_database(server, "make")?;
    let calls = plan.count(2_000_000, 500_000);
    let mut figures = Figures::default();
    figures.count("calls a round", calls);
    interleave(plan.rounds, WarmUp::Round, &CALLS, &mut figures, |one, figures| {
        call(&mut client, one, calls, figures)
    })?;
    Ok(figures)
}
