//! The set-up of many sequences in one transaction.

use anyhow::{Context, Result};
use postgres::Client;

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::server;
use super::super::server::Traces;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Quantity, Table, Target};
use super::filled::{CATALOGS, Filled, bare_loop_in_one_transaction};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "set_up",
    title: "Setting up in one transaction",
    about: "`SELECT count(*) FROM setup_interleaved_sequences(1, 2)` with its commit, over as many tables \
            `(id bigserial PRIMARY KEY, v int)` of 20 rows each. The bare loop is one DO block that only runs \
            `ALTER SEQUENCE %I.%I INCREMENT BY 2 START WITH 1 RESTART WITH 21` for each sequence, which is less than \
            the set-up has to do: it does not look at a single row. Each statement has a new session. In between, \
            untimed, the sequences are brought back, catalogs vacuumed and a checkpoint made; before the second run \
            the same without bringing back, since whoever reads a catalog prunes dead rows, which writes to the log. \
            Log and transaction ids are those of the whole server.",
    needs: &[],
    tables: &[Table {
        corner: "statement",
        columns: &["time", "CPU time of the backend", "log written", "transaction ids taken"],
        rows: &[
            ("bare loop", &["bare_loop.wall", "bare_loop.cpu", "bare_loop.log", "bare_loop.ids"]),
            ("set-up", &["set_up.wall", "set_up.cpu", "set_up.log", "set_up.ids"]),
            ("set-up, second run", &["again.wall", "again.cpu", "again.log", "again.ids"]),
        ],
    }],
    charts: &[],
    checks: &[
        Check {
            what: "set-up to bare loop, time",
            quantity: Quantity::Ratio { of: "set_up.wall", to: "bare_loop.wall", less: None },
            target: Some(Target::AtMost(1.2)),
        },
        Check {
            what: "second run to set-up, time",
            quantity: Quantity::Ratio { of: "again.wall", to: "set_up.wall", less: None },
            target: Some(Target::AtMost(0.2)),
        },
        // A median, because the server writes to its log by itself from time to time.
        Check {
            what: "log written by a second run",
            quantity: Quantity::Median("again.log"),
            target: Some(Target::AtMost(0.0)),
        },
        Check {
            what: "transaction ids taken by a second run",
            quantity: Quantity::Worst("again.ids"),
            target: Some(Target::AtMost(0.0)),
        },
    ],
};

#[derive(Clone, Copy)]
enum Way {
    BareLoop,
    SetUp,
}

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails, or the set-up does not do its work.
pub fn measure(filled: &Filled<'_>, plan: &Plan) -> Result<Figures> {
    let mut observer = filled.connect()?;
    let mut figures = Figures::default();
    figures.count("sequences", filled.sequences());
    // The bringing back before the first round is a warm-up already.
    interleave(plan.rounds, WarmUp::None, &[Way::BareLoop, Way::SetUp], &mut figures, |way, figures| {
        filled.restore()?;
        match way {
            Way::BareLoop => {
                let statement = bare_loop_in_one_transaction();
                statement_alone(filled, &mut observer, &statement, "bare_loop", figures)?;
                filled.check_is_set_up()
            }
            Way::SetUp => {
                let statement = "SELECT count(*) FROM setup_interleaved_sequences(1, 2)";
                statement_alone(filled, &mut observer, statement, "set_up", figures)?;
                filled.check_is_set_up()?;
                server::tidy(&mut observer, &CATALOGS)?;
                statement_alone(filled, &mut observer, statement, "again", figures)
            }
        }
    })?;
    Ok(figures)
}

/// Times a statement with its commit in a session of its own.
fn statement_alone(
    filled: &Filled<'_>,
    observer: &mut Client,
    statement: &str,
    name: &str,
    figures: &mut Figures,
) -> Result<()> {
    let mut client = filled.connect()?;
    let before = Traces::now(observer)?;
    let ((), took) =
        time(&mut client, |client| client.batch_execute(statement).context("the set-up failed"))?;
    let after = Traces::now(observer)?;
    figures.add_time(&format!("{name}.wall"), took.wall);
    figures.add_time(&format!("{name}.cpu"), took.cpu);
    figures.add(&format!("{name}.log"), Unit::Bytes, after.log_since(before));
    figures.add(&format!("{name}.ids"), Unit::Number, after.transactions_since(before));
    Ok(())
}

/// Sets up once where that has not been measured just now.
///
/// # Errors
///
/// When it fails.
pub fn once(filled: &Filled<'_>) -> Result<()> {
    server::number(&mut filled.connect()?, "SELECT count(*) FROM setup_interleaved_sequences(1, 2)")?;
    filled.check_is_set_up()
}
