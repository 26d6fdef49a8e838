//! What a page of measurements consists of, and how much of it a run measures.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use pg_test::Server;
use postgres::Client;

use crate::chart::Chart;
use crate::figures::Figures;

/// Rounds of a run, unless a suite says otherwise; odd, so that a median is a round that took place.
pub const ROUNDS: Rounds = Rounds { usual: 7, quick: 3 };

/// How many rounds there are where the command line does not say.
#[derive(Clone, Copy)]
pub struct Rounds {
    pub usual: u32,
    pub quick: u32,
}

/// A page of measurements.
pub struct Suite {
    /// The name on the command line and of the files.
    pub name: &'static str,
    /// The heading of the page.
    pub title: &'static str,
    /// What is measured, for the top of the page.
    pub about: &'static str,
    /// What the server runs with beside what every server of [`pg_test`] does; later lines win.
    pub settings: &'static [&'static str],
    /// Packages of the workspace whose libraries the server finds beside the extension.
    pub libraries: &'static [&'static str],
    /// How many rounds there are where the command line does not say.
    pub rounds: Rounds,
    /// The chapters in the order of the page.
    pub chapters: &'static [&'static Chapter],
    /// Comes by the figures of the chapters that the plan wants.
    pub measure: fn(&Server, &Plan) -> Result<BTreeMap<String, Figures>>,
}

/// How much of a suite to run.
pub struct Plan {
    /// Whether a rough look is enough.
    pub quick: bool,
    /// Whether it is to be as large as it gets.
    pub full: bool,
    /// How many rounds.
    pub rounds: u32,
    pub only: Vec<String>,
}

impl Rounds {
    pub fn of(self, quick: bool) -> u32 {
        if quick { self.quick } else { self.usual }
    }
}

impl Plan {
    /// Whether a chapter is to be measured.
    pub fn wants(&self, chapter: &Chapter) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == chapter.name)
    }

    /// The count of a complete run, or that of a quick one.
    pub fn count(&self, complete: u32, quick: u32) -> u32 {
        if self.quick { quick } else { complete }
    }

    /// The rounds of a chapter that needs more than its suite: at least so many, or those of a quick run.
    pub fn at_least(&self, rounds: u32, quick: u32) -> u32 {
        if self.quick { quick } else { self.rounds.max(rounds) }
    }

    /// Whether the figures stand for the code and belong into the documentation.
    pub fn is_complete(&self) -> bool {
        !self.quick && self.only.is_empty()
    }

    /// The command that measures the same again. What says where PostgreSQL is stays out: it is another on every
    /// machine.
    pub fn command(&self, suite: &Suite) -> String {
        let mut command = format!("cargo xtask bench {}", suite.name);
        if self.quick {
            command.push_str(" --quick");
        }
        if self.full {
            command.push_str(" --full");
        }
        if self.rounds != suite.rounds.of(self.quick) {
            command.push_str(&format!(" --rounds {}", self.rounds));
        }
        if !self.only.is_empty() {
            command.push_str(&format!(" --only {}", self.only.join(",")));
        }
        command
    }
}

/// A part of a page. What it says lies in the code, and what was measured in the figures, so that a page can be
/// worded anew without measuring.
pub struct Chapter {
    /// The name on the command line and in the figures.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// How it was measured.
    pub about: &'static str,
    /// What it needs of the extension.
    pub needs: &'static [Need],
    /// What was measured.
    pub tables: &'static [Table],
    /// What is also drawn.
    pub charts: &'static [Chart],
    /// What follows from it.
    pub checks: &'static [Check],
}

/// An object of the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A function or procedure.
    Routine(&'static str),
    /// A table or view.
    Relation(&'static str),
}

impl Need {
    /// Whether the extension has it.
    ///
    /// # Errors
    ///
    /// When the server does not say.
    pub fn is_met(self, client: &mut Client) -> Result<bool> {
        let (sql, name) = match self {
            Self::Routine(name) => ("SELECT EXISTS (SELECT FROM pg_proc WHERE proname = $1)", name),
            Self::Relation(name) => ("SELECT to_regclass($1::text) IS NOT NULL", name),
        };
        Ok(client.query_one(sql, &[&name]).with_context(|| format!("could not look for {self}"))?.get(0))
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Routine(name) => write!(f, "{name}()"),
            Self::Relation(name) => f.write_str(name),
        }
    }
}

/// Medians with their spread.
pub struct Table {
    /// The heading above the labels of the rows.
    pub corner: &'static str,
    /// The headings of the figures.
    pub columns: &'static [&'static str],
    /// The rows: a label, and the name of a series for each column.
    pub rows: &'static [(&'static str, &'static [&'static str])],
}

/// Something that follows from the figures, with a target or without.
pub struct Check {
    /// What it is.
    pub what: &'static str,
    /// How it is computed.
    pub quantity: Quantity,
    /// What it should be.
    pub target: Option<Target>,
}

/// What is compared with a target.
#[derive(Clone, Copy, Debug)]
pub enum Quantity {
    /// The median of the ratios of each round: what a whole round had to bear cancels out.
    Ratio {
        /// The series that is divided.
        of: &'static str,
        /// By which.
        to: &'static str,
        /// What both contain that is not theirs, and is taken off first.
        less: Option<&'static str>,
    },
    /// The median of a series.
    Median(&'static str),
    /// The greatest value of a series.
    Worst(&'static str),
}

/// What a quantity should be, in the unit of its series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Target {
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}
