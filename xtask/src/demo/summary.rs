//! The result, in a few lines.

use std::time::Duration;

use super::collisions::Losses;
use super::derived_keys::DerivedKeys;
use super::migration::{Migrated, milliseconds};
use super::verdict::Verdict;
use super::writers::Written;
use xtask::table::number;

/// Everything that was measured.
pub struct Summary {
    /// With sequences as they are.
    pub losses: Losses,
    /// With interleaved sequences.
    pub written: Written,
    /// Whether it all arrived.
    pub verdict: Verdict,
    /// Keys derived from rows.
    pub keys: DerivedKeys,
    /// The key of a table in use, moved.
    pub migrated: Migrated,
    /// The duration of the demo.
    pub took: Duration,
}

impl Summary {
    /// The claims, and whether each held.
    fn claims(&self) -> [(&'static str, bool); 5] {
        [
            ("without interleaving, acknowledged rows are lost", self.losses.are_shown()),
            ("both nodes wrote at the same time", !self.written.together.is_zero()),
            ("with interleaving, both hold everything and nothing collides", self.verdict.is_clean()),
            ("derived keys are the same on both, in the order of time and id", self.keys.hold()),
            ("the key of a table in use moves to UUIDv7, and no row is lost or wrong", self.migrated.holds()),
        ]
    }

    /// Whether all of it held.
    pub fn holds(&self) -> bool {
        self.claims().iter().all(|(_, holds)| *holds)
    }

    /// Prints it.
    pub fn print(&self) {
        let Self { losses, written, verdict, keys, migrated, .. } = self;
        let [gone, absent, children] = [losses.gone, losses.never_arrived, losses.misattached].map(number);
        let reported = number(losses.reported);
        println!(
            "    before   {gone} acknowledged rows gone from their own node, {absent} not on the other, {children} children of a wrong
             order, {reported} conflicts and errors"
        );
        let [rows, rate, missing] = [written.rows(), written.rows_per_second(), verdict.missing].map(number);
        let (took, conflicts) = (written.took.as_secs_f64(), number(verdict.conflicts));
        println!(
            "    after    {rows} rows acknowledged by both nodes within {took:.1} s ({rate}/s): {missing} missing, {conflicts} conflicts,
             {} keys of the wrong class; {} tables with {} rows, {} of them different",
            verdict.out_of_class,
            verdict.tables,
            number(verdict.rows),
            verdict.different
        );
        let same = if keys.same { "all the same" } else { "NOT THE SAME" };
        let (orders, inversions) = (number(keys.orders), keys.inversions);
        println!("    keys     {orders} derived on each node, {same}, {inversions} out of order");
        let [rows, placed] = [migrated.rows, migrated.placed].map(number);
        let (took, lost, wrong) = (migrated.took.as_secs_f64(), migrated.lost, migrated.wrong);
        println!(
            "    moved    {rows} rows to UUIDv7 in {took:.1} s, next to {placed} orders placed: {lost} lost, {wrong} wrong; tables
             locked for {:.1} ms at the cut-over, longest wait of an order {}",
            migrated.locked_ms,
            milliseconds(migrated.stall)
        );
        println!("    took     {:.0} s in all\n", self.took.as_secs_f64());
        for (claim, holds) in self.claims() {
            println!("    {} {claim}", if holds { "[held]  " } else { "[FAILED]" });
        }
    }
}
