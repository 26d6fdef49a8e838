//! Counts of passed, failed and skipped tests.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result};

/// The results so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
}

impl Tally {
    /// Counts one check and prints its result.
    pub fn check(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                println!("    ok: {name}");
                self.passed += 1;
            }
            Err(error) => self.broken(name, &error),
        }
    }

    /// Counts a failure and prints the error.
    pub fn broken(&mut self, name: &str, error: &Error) {
        println!("    FAILED: {name}\n{error:#}");
        self.failed += 1;
    }

    /// Counts a skipped test and prints the reason.
    pub fn skip(&mut self, name: &str, reason: &str) {
        println!("    skipped: {name}: {reason}");
        self.skipped += 1;
    }

    /// Runs a stage; an error counts as a failure.
    pub fn attempt(&mut self, name: &str, stage: impl FnOnce(&mut Self) -> Result<()>) {
        if let Err(error) = stage(self) {
            self.broken(name, &error);
        }
    }

    /// Adds the results of a stage.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Whether at least one test passed, and none failed.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// What cargo's test harness reports, summed over its binaries.
    pub fn of_libtest(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines() {
            let Some(results) = line.trim().strip_prefix("test result: ") else { continue };
            for part in results.split(['.', ';']) {
                let mut words = part.split_whitespace();
                if let (Some(Ok(count)), Some(kind)) = (words.next().map(str::parse::<u32>), words.next()) {
                    match kind {
                        "passed" => tally.passed += count,
                        "failed" => tally.failed += count,
                        "ignored" => tally.skipped += count,
                        _ => {}
                    }
                }
            }
        }
        tally
    }

    /// What pg_regress reports: `test name ... ok` up to PostgreSQL 15, TAP from 16 on.
    pub fn of_pg_regress(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines().map(str::trim) {
            let tap = line.starts_with("ok ") || line.starts_with("not ok ");
            let old = line.starts_with("test ") && line.contains(" ... ");
            if tap && line.starts_with("ok") || old && line.contains(" ... ok") {
                tally.passed += 1;
            } else if tap || old {
                tally.failed += 1;
            }
        }
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

impl FromStr for Tally {
    type Err = Error;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self> {
        let mut tally = Self::default();
        for part in text.split(", ") {
            let (count, kind) = part.split_once(' ').context("no count")?;
            let count = count.parse().context("no number")?;
            match kind {
                "passed" => tally.passed = count,
                "failed" => tally.failed = count,
                "skipped" => tally.skipped = count,
                _ => anyhow::bail!("unknown count: {kind}"),
            }
        }
        Ok(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_is_summed_over_its_binaries() {
        let output = "test result: ok. 17 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.43s\n\
                      noise\n\
                      test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n";
        assert_eq!(Tally::of_libtest(output), Tally { passed: 19, failed: 1, skipped: 1 });
    }

    #[test]
    fn pg_regress_is_read_in_both_forms() {
        let old = "test one   ... ok   68 ms\ntest two  ... FAILED  81 ms\n 1 of 2 tests failed.";
        let tap =
            "# using\nok 1         - one    10 ms\nnot ok 2     - two    11 ms\n1..2\n# 1 of 2 tests failed.";
        assert_eq!(Tally::of_pg_regress(old), Tally { passed: 1, failed: 1, skipped: 0 });
        assert_eq!(Tally::of_pg_regress(tap), Tally { passed: 1, failed: 1, skipped: 0 });
    }

    #[test]
    fn the_closing_line_is_plain() {
        assert_eq!(Tally { passed: 3, failed: 0, skipped: 0 }.to_string(), "3 passed, 0 failed");
        assert_eq!(Tally { passed: 3, failed: 1, skipped: 2 }.to_string(), "3 passed, 1 failed, 2 skipped");
        assert!(!Tally::default().is_good(), "nothing ran");
    }

    #[test]
    fn counts_are_read_as_they_are_written() {
        for skipped in [0, 2] {
            let tally = Tally { passed: 3, failed: 1, skipped };
            assert_eq!(tally.to_string().parse::<Tally>().ok(), Some(tally));
        }
        assert!("".parse::<Tally>().is_err() && "3 passes".parse::<Tally>().is_err());
    }
}
