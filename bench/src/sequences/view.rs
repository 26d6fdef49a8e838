//! What it costs to look at every sequence.

use anyhow::{Context, Result, ensure};

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::server;
use super::super::suite::Plan;
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};
use super::filled::{CATALOGS, Filled};
use super::set_up;

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "view",
    title: "Looking at sequences",
    about: "All columns of the view `interleaved_sequences`, as in \
            `SELECT count(*) FROM (SELECT * FROM interleaved_sequences OFFSET 0) AS v`, after a set-up, against \
            `SELECT count(*), max(last_value) FROM pg_sequences`, each in a new session. Locks are those that the \
            transaction holds afterwards, counted in it by `pg_locks`, which adds its own.",
    needs: &[Need::Relation("interleaved_sequences")],
    tables: &[Table {
        corner: "view",
        columns: &["time", "CPU time of the backend", "locks held"],
        rows: &[
            ("`pg_sequences`", &["core.wall", "core.cpu", "core.locks"]),
            ("`interleaved_sequences`", &["ours.wall", "ours.cpu", "ours.locks"]),
        ],
    }],
    charts: &[],
    checks: &[
        Check {
            what: "`interleaved_sequences` to `pg_sequences`, time",
            quantity: Quantity::Ratio { of: "ours.wall", to: "core.wall", less: None },
            target: Some(Target::AtMost(3.0)),
        },
        Check {
            what: "`interleaved_sequences` to `pg_sequences`, locks held",
            quantity: Quantity::Ratio { of: "ours.locks", to: "core.locks", less: None },
            target: None,
        },
    ],
};

const COMPARED: [(&str, &str); 2] = [
    ("core", "SELECT count(*), max(last_value) FROM pg_sequences"),
    ("ours", "SELECT count(*) FROM (SELECT * FROM interleaved_sequences OFFSET 0) AS v"),
];

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails or leaves out sequences.
pub fn measure(filled: &Filled<'_>, plan: &Plan) -> Result<Figures> {
    filled.restore()?;
    set_up::once(filled)?;
    server::tidy(&mut filled.connect()?, &CATALOGS)?;
    let mut figures = Figures::default();
    figures.count("sequences", filled.sequences());
    interleave(plan.rounds, WarmUp::Round, &COMPARED, &mut figures, |(name, statement), figures| {
        let mut client = filled.connect()?;
        client.batch_execute("BEGIN").context("could not begin")?;
        let (seen, took) = time(&mut client, |client| {
            let row = client.query_one(*statement, &[]).with_context(|| format!("failed: {statement}"))?;
            Ok(row.get::<_, i64>(0))
        })?;
        ensure!(seen == i64::from(filled.sequences()), "{statement} saw {seen} sequences");
        let locks = client
            .query_one("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()", &[])
            .context("could not count locks")?;
        figures.add_time(&format!("{name}.wall"), took.wall);
        figures.add_time(&format!("{name}.cpu"), took.cpu);
        figures.add(&format!("{name}.locks"), Unit::Number, locks.get::<_, i64>(0) as f64);
        Ok(())
    })?;
    Ok(figures)
}
