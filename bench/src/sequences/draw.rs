//! What a value costs in one session.

use anyhow::{Context, Result};
use pg_test::Server;
use postgres::Client;

use super::super::chart::{Chart, Shape};
use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table, Target};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "draw",
    title: "Drawing in one session",
    about: "CPU time of the backend for each call in `SELECT count(CALL) FROM (SELECT generate_series(1, n)) AS g`, \
            in one session; written so, the rows are not stored. The bare loop is `count(1)` over as many rows, and \
            is taken off both sides of a ratio. `CACHE` is 1, so PostgreSQL writes one record of its log for 32 \
            values. The sequences of the set-up step by 2; the untouched one steps by 1, so that a call draws two \
            values from it. The loop in PL/pgSQL draws until `value % nodes = node % nodes`.",
    needs: &[],
    tables: &[Table {
        corner: "call",
        columns: &["CPU time of a call and its row"],
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("`nextval`, sequence set up", &["nextval"]),
            ("`partitioned_nextval`, sequence set up", &["in_class"]),
            ("`partitioned_nextval`, untouched sequence, 2 nodes", &["untouched"]),
            ("loop in PL/pgSQL, untouched sequence, 2 nodes", &["plpgsql"]),
        ],
    }],
    charts: &[Chart {
        name: "draw",
        title: "CPU time of a draw and its row",
        shape: Shape::Bars { others: 2 },
        rows: &[
            ("none (bare loop)", &["bare_loop"]),
            ("nextval", &["nextval"]),
            ("partitioned_nextval, sequence set up", &["in_class"]),
            ("partitioned_nextval, untouched", &["untouched"]),
            ("loop in PL/pgSQL, untouched", &["plpgsql"]),
        ],
    }],
    checks: &[
        Check {
            what: "`partitioned_nextval` to `nextval`, sequence set up",
            quantity: Quantity::Ratio { of: "in_class", to: "nextval", less: Some("bare_loop") },
            target: Some(Target::AtMost(1.1)),
        },
        Check {
            what: "`partitioned_nextval` on an untouched sequence to `nextval`",
            quantity: Quantity::Ratio { of: "untouched", to: "nextval", less: Some("bare_loop") },
            target: Some(Target::AtMost(2.1)),
        },
        Check {
            what: "loop in PL/pgSQL to `partitioned_nextval` on an untouched sequence",
            quantity: Quantity::Ratio { of: "plpgsql", to: "untouched", less: Some("bare_loop") },
            target: Some(Target::AtLeast(3.0)),
        },
    ],
};

/// How much slower the loop in PL/pgSQL may be taken to be: it gets so many fewer calls, to take about as long.
const FEWER: u32 = 10;

/// What people write by hand.
const BY_HAND: &str = "
CREATE FUNCTION nextval_by_hand(sequence regclass, node int, nodes int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    value bigint;
BEGIN
    LOOP
        value := nextval(sequence);
        IF value % nodes = node % nodes THEN
            RETURN value;
        END IF;
    END LOOP;
END $$";

struct Draw {
    name: &'static str,
    call: &'static str,
    fewer: u32,
}

const DRAWS: [Draw; 5] = [
    Draw { name: "bare_loop", call: "1", fewer: 1 },
    Draw { name: "nextval", call: "nextval('set_up')", fewer: 1 },
    Draw { name: "in_class", call: "partitioned_nextval('set_up')", fewer: 1 },
    Draw { name: "untouched", call: "partitioned_nextval('untouched')", fewer: 1 },
    Draw { name: "plpgsql", call: "nextval_by_hand('untouched', 1, 2)", fewer: FEWER },
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails.
pub fn measure(server: &Server, plan: &Plan) -> Result<Figures> {
    let mut client = prepare(server)?;
    let calls = plan.count(1_000_000, 200_000);
    let mut figures = Figures::default();
    figures.count("calls a round", calls);
    figures.count("calls a round of the loop in PL/pgSQL", calls / FEWER);
    interleave(plan.rounds, WarmUp::Round, &DRAWS, &mut figures, |draw, figures| {
        let calls = calls / draw.fewer;
        let sql = format!("SELECT count({}) FROM (SELECT generate_series(1, {calls})) AS g", draw.call);
        let (_, took) = time(&mut client, |client| server::number(client, &sql))?;
        figures.add(draw.name, Unit::Seconds, took.cpu.as_secs_f64() / f64::from(calls));
        Ok(())
    })?;
    Ok(figures)
}

fn prepare(server: &Server) -> Result<Client> {
    let mut client = server::create_database(server, "draw")?;
    client
        .batch_execute("CREATE SEQUENCE set_up; CREATE SEQUENCE untouched")
        .context("could not create the sequences")?;
    client.batch_execute(BY_HAND).context("could not create the function")?;
    server::number(
        &mut client,
        "SELECT count(*) FROM setup_interleaved_sequences(1, 2, sequences => '{set_up}')",
    )?;
    Ok(client)
}
