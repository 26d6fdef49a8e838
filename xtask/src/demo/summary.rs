//! What came out, in a few lines.

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
    /// The whole story.
    pub took: Duration,
}

impl Summary {
    /// What the story shows, and whether each part of it held.
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
        let (losses, verdict, keys) = (&self.losses, &self.verdict, &self.keys);
        println!(
            "    before   {} acknowledged rows gone from their own node, {} not on the other, {} children of a wrong",
            number(losses.gone),
            number(losses.never_arrived),
            number(losses.misattached)
        );
        println!("             order, {} conflicts and errors", number(losses.reported));
        println!(
            "    after    {} rows acknowledged by both nodes within {:.1} s ({}/s): {} missing, {} conflicts,",
            number(self.written.rows()),
            self.written.took.as_secs_f64(),
            number(self.written.rows_per_second()),
            number(verdict.missing),
            number(verdict.conflicts)
        );
        println!(
            "             {} keys of the wrong class; {} tables with {} rows, {} of them different",
            verdict.out_of_class,
            verdict.tables,
            number(verdict.rows),
            verdict.different
        );
        println!(
            "    keys     {} derived on each node, {}, {} out of order",
            number(keys.orders),
            if keys.same { "all the same" } else { "NOT THE SAME" },
            keys.inversions
        );
        let migrated = &self.migrated;
        println!(
            "    moved    {} rows to UUIDv7 in {:.1} s, beside {} orders placed: {} lost, {} wrong; tables",
            number(migrated.rows),
            migrated.took.as_secs_f64(),
            number(migrated.placed),
            migrated.lost,
            migrated.wrong
        );
        println!(
            "             locked for {:.1} ms at the cut-over, longest wait of an order {}",
            migrated.locked_ms,
            milliseconds(migrated.stall)
        );
        println!("    took     {:.0} s in all\n", self.took.as_secs_f64());
        for (claim, holds) in self.claims() {
            println!("    {} {claim}", if holds { "[held]  " } else { "[FAILED]" });
        }
    }
}
