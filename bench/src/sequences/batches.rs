//! The set-up of many sequences, each in a transaction of its own.

use anyhow::{Context, Result};

use super::super::figures::{Figures, Unit};
use super::super::measure::{WarmUp, interleave, time};
use super::super::suite::Plan;
use xtask::backend::Backend;

use super::super::memory;
use super::super::suite::{Chapter, Check, Need, Quantity, Table, Target};
use super::filled::{Filled, bare_loop_in_transactions};

/// The chapter.
pub const CHAPTER: Chapter = Chapter {
    name: "batches",
    title: "Setting up in batches",
    about: "`CALL setup_interleaved_sequences_in_batches(1, 2)` over the same tables and half as many sequences more \
            that feed no table. The bare loop is a DO block that runs one `ALTER SEQUENCE` and `COMMIT` for each. \
            Memory is what the backend has for itself (`RssAnon`), seen every 100 ms, after a tenth and half of the \
            time and at the end; what core's own caches keep of every sequence grows with the bare loop, too.",
    needs: &[Need::Routine("setup_interleaved_sequences_in_batches")],
    tables: &[
        Table {
            corner: "statement",
            columns: &["time", "time for each sequence", "CPU time of the backend"],
            rows: &[
                ("bare loop with commits", &["bare_loop.wall", "bare_loop.each", "bare_loop.cpu"]),
                ("set-up in batches", &["batches.wall", "batches.each", "batches.cpu"]),
            ],
        },
        Table {
            corner: "memory of the backend",
            columns: &[
                "after a tenth",
                "after half",
                "at the end",
                "kept for each sequence of the second half",
            ],
            rows: &[
                (
                    "bare loop with commits",
                    &["bare_loop.start", "bare_loop.middle", "bare_loop.end", "bare_loop.kept"],
                ),
                ("set-up in batches", &["batches.start", "batches.middle", "batches.end", "batches.kept"]),
            ],
        },
    ],
    charts: &[],
    checks: &[
        Check {
            what: "set-up in batches to bare loop with commits, time",
            quantity: Quantity::Ratio { of: "batches.wall", to: "bare_loop.wall", less: None },
            target: None,
        },
        // Flat but for what the caches of core keep; whatever is not freed for each sequence is more.
        Check {
            what: "memory that the set-up in batches keeps for each sequence of the second half",
            quantity: Quantity::Median("batches.kept"),
            target: Some(Target::AtMost(1024.0)),
        },
    ],
};

/// A flush for each sequence makes rounds long and alike.
const MOST_ROUNDS: u32 = 3;

/// Comes by the figures.
///
/// # Errors
///
/// When a statement fails, the set-up does not do its work, or the system does not tell what memory a process has.
pub fn measure(filled: &Filled<'_>, plan: &Plan) -> Result<Figures> {
    let bare_loop = bare_loop_in_transactions();
    let compared =
        [("bare_loop", bare_loop.as_str()), ("batches", "CALL setup_interleaved_sequences_in_batches(1, 2)")];
    let rounds = plan.rounds.min(MOST_ROUNDS);
    let mut figures = Figures::default();
    figures.count("sequences", filled.sequences());
    figures.count("rounds", rounds);
    interleave(rounds, WarmUp::None, &compared, &mut figures, |(name, statement), figures| {
        filled.restore()?;
        let mut client = filled.connect()?;
        let backend = Backend::of(&mut client)?;
        let (((), took), memory) = memory::watch(backend, || {
            time(&mut client, |client| {
                client.batch_execute(statement).context("the set-up in batches failed")
            })
        })?;
        filled.check_is_set_up()?;
        figures.add_time(&format!("{name}.wall"), took.wall);
        figures.add_time(&format!("{name}.each"), took.wall / filled.sequences());
        figures.add_time(&format!("{name}.cpu"), took.cpu);
        let memory = memory.context("this system does not tell what memory a process has")?;
        let second_half = f64::from(filled.sequences()) / 2.0;
        let kept = (memory.end - memory.middle) / second_half;
        figures.add(&format!("{name}.kept"), Unit::Bytes, kept);
        for (point, bytes) in [("start", memory.start), ("middle", memory.middle), ("end", memory.end)] {
            figures.add(&format!("{name}.{point}"), Unit::Bytes, bytes);
        }
        Ok(())
    })?;
    Ok(figures)
}
