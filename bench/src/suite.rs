//! The contents of a page, from the files in `bench/suites`, and the plan of a run.
//!
//! What a page says lies in these files, and what was measured in the figures, so that a page can be worded anew
//! without measuring.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use postgres::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use xtask::cargo::workspace_root;
use xtask::step::Step;

use crate::figures::Figures;

/// The names of all suites.
pub const NAMES: [&str; 4] = ["keys", "sequences", "edge", "migration"];

/// A page of measurements.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The name on the command line, of the files and of the directory.
    #[serde(skip)]
    pub name: String,
    /// The heading of the page.
    pub title: String,
    /// The subject, for the top of the page.
    pub about: String,
    /// Settings in addition to those of every server of [`pg_test`]; later lines win.
    pub settings: Vec<String>,
    /// Packages of the workspace whose libraries the server finds next to the extension.
    #[serde(default)]
    pub libraries: Vec<String>,
    /// The default number of rounds.
    #[serde(default)]
    pub rounds: Rounds,
    /// The names of the chapters in the order of the page.
    #[serde(rename = "chapters")]
    order: Vec<String>,
    /// The chapters themselves.
    #[serde(skip)]
    pub chapters: Vec<Chapter>,
}

/// The default number of rounds.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rounds {
    /// In a complete run.
    pub usual: u32,
    /// In a quick one.
    pub quick: u32,
}

impl Default for Rounds {
    /// Odd, so that a median is a round that took place.
    fn default() -> Self {
        Self { usual: 7, quick: 3 }
    }
}

impl Rounds {
    /// Those of a run.
    pub fn of(self, quick: bool) -> u32 {
        if quick { self.quick } else { self.usual }
    }
}

/// A part of a page.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chapter {
    /// The name on the command line, of the file and in the figures.
    #[serde(skip)]
    pub name: String,
    /// Its heading.
    pub title: String,
    /// How it was measured.
    pub about: String,
    /// What it needs of the extension: functions and procedures as `name()`, tables and views as `name`.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The first and the last version of PostgreSQL that it is for.
    from: Option<u32>,
    until: Option<u32>,
    /// How SQL is timed for it, unless code of its own measures.
    pub measure: Option<toml::Table>,
    /// What was measured.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// The charts.
    #[serde(default)]
    pub charts: Vec<Chart>,
    /// What follows from it.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// Medians with their spread.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The heading above the labels of the rows.
    pub corner: String,
    /// The headings of the figures; none: those of the table before.
    #[serde(default)]
    pub columns: Vec<String>,
    /// How the names of the series of each column end, where those of a row begin alike.
    #[serde(default)]
    series: Vec<String>,
    /// The rows; none: those of the table before.
    #[serde(default)]
    pub rows: Vec<Row>,
}

/// A picture of some of the figures of a chapter.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// What its file's name ends in.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// How it shows it.
    pub shape: Shape,
    /// As in a table.
    #[serde(default)]
    pub series: Vec<String>,
    /// The series that are shown; timelines for a course.
    pub rows: Vec<Row>,
}

/// A row of a table or of a chart.
#[derive(Clone, Deserialize)]
#[serde(from = "Vec<String>")]
pub struct Row {
    /// Its label.
    pub label: String,
    /// The name of a series for each column; in the file also how the names of all of them begin.
    pub names: Vec<String>,
}

impl From<Vec<String>> for Row {
    fn from(mut texts: Vec<String>) -> Self {
        let names = texts.split_off(1.min(texts.len()));
        Self { label: texts.concat(), names }
    }
}

/// How figures are shown.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Shape {
    /// A bar for each row, as long as the median of its one series.
    Bars {
        /// How many of them, the first ones, are not ours.
        others: usize,
    },
    /// A line for each row, through the medians of its series.
    Lines {
        /// What the series stand for, one after the other.
        places: Vec<String>,
        /// What these places are of.
        along: String,
        /// Whether each line up is ten times the one below.
        log: bool,
    },
    /// A line for each row, through one of the curves of its timeline, and thin ones where a phase of it begins.
    Course {
        /// The name of the curve.
        curve: String,
        /// As above.
        log: bool,
    },
}

/// Something that follows from the figures, with a target or without.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What it is.
    pub what: String,
    /// How it is computed.
    pub value: Quantity,
    /// What it should be.
    pub target: Option<Target>,
}

/// A value that is compared with a target.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Quantity {
    /// The median of the ratios of each round: what a whole round had to bear cancels out.
    Ratio {
        /// The series that is divided.
        of: String,
        /// By which.
        to: String,
        /// What both contain that is not theirs, and is taken off first.
        less: Option<String>,
    },
    /// The median of a series.
    Median(String),
    /// The greatest value of a series.
    Worst(String),
}

/// What a quantity should be, in the unit of its series.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Target {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Suite {
    /// Reads the files of a suite.
    pub fn load(name: &str) -> Result<Self> {
        let mut suite: Self = read(name, "suite")?;
        name.clone_into(&mut suite.name);
        for chapter in &suite.order {
            let read: Chapter = read(name, chapter)?;
            suite.chapters.push(Chapter { name: chapter.clone(), ..read }.complete());
        }
        Ok(suite)
    }
}

/// The directory of the files of a suite.
pub fn directory(suite: &str) -> PathBuf {
    workspace_root().join("bench/suites").join(suite)
}

fn read<T: DeserializeOwned>(suite: &str, file: &str) -> Result<T> {
    let path = directory(suite).join(format!("{file}.toml"));
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not understood", path.display()))
}

impl Chapter {
    /// Fills in what tables and charts leave out.
    fn complete(mut self) -> Self {
        let mut before: (Vec<String>, Vec<Row>) = Default::default();
        for Table { columns, rows, series, .. } in &mut self.tables {
            if columns.is_empty() {
                *columns = before.0;
            }
            if rows.is_empty() {
                *rows = before.1;
            }
            before = (columns.clone(), rows.clone());
            name_series(series, rows);
        }
        self.charts.iter_mut().for_each(|chart| name_series(&chart.series, &mut chart.rows));
        self
    }

    /// Whether it is for a version of PostgreSQL.
    pub fn is_for(&self, major: u32) -> bool {
        self.from.is_none_or(|from| major >= from) && self.until.is_none_or(|until| major <= until)
    }

    /// Fails if the extension lacks a measured object, because a page without it would look complete.
    pub fn check_needs(&self, client: &mut Client) -> Result<()> {
        for need in &self.needs {
            let (sql, name) = match need.strip_suffix("()") {
                Some(name) => ("SELECT EXISTS (SELECT FROM pg_proc WHERE proname = $1)", name),
                None => ("SELECT to_regclass($1::text) IS NOT NULL", need.as_str()),
            };
            let found =
                client.query_one(sql, &[&name]).with_context(|| format!("could not look for {need}"))?;
            ensure!(
                found.get::<_, bool>(0),
                "chapter \"{}\" measures {need}, which this version of the extension does not have; measure others \
                 by --only CHAPTER,...",
                self.name
            );
        }
        Ok(())
    }
}

/// Completes the names of series that begin alike in each row.
fn name_series(endings: &[String], rows: &mut [Row]) {
    for row in rows.iter_mut().filter(|_| !endings.is_empty()) {
        if let [beginning] = &row.names[..] {
            row.names = endings.iter().map(|ending| format!("{beginning}.{ending}")).collect();
        }
    }
}

impl Target {
    /// Whether a value meets it.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

/// How much of a suite to run.
pub struct Plan {
    /// Whether a rough look is enough.
    pub quick: bool,
    /// Whether it is to be as large as it gets.
    pub full: bool,
    /// How many rounds.
    pub rounds: u32,
    /// The names of the chapters; none: all.
    pub only: Vec<String>,
}

impl Plan {
    /// Whether a chapter is to be measured.
    pub fn wants(&self, chapter: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == chapter)
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

    /// Fails where a chapter is wanted that there is not.
    pub fn check(&self, suite: &Suite) -> Result<()> {
        match self.only.iter().find(|name| !suite.order.contains(name)) {
            Some(unknown) => bail!("there is no chapter \"{unknown}\"; there are {}", suite.order.join(", ")),
            None => Ok(()),
        }
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

/// Figures by the name of their chapter, as they are measured.
pub struct Measured<'a> {
    /// How much is measured.
    pub plan: &'a Plan,
    suite: &'a Suite,
    /// What there is so far.
    pub chapters: BTreeMap<String, Figures>,
}

impl<'a> Measured<'a> {
    /// Nothing yet.
    pub fn new(suite: &'a Suite, plan: &'a Plan) -> Self {
        Self { plan, suite, chapters: BTreeMap::new() }
    }

    /// Adds what has been measured together with something else, where it is wanted.
    pub fn add(&mut self, chapter: &str, figures: Figures) {
        if self.plan.wants(chapter) {
            self.chapters.insert(chapter.to_owned(), figures);
        }
    }

    /// Measures a chapter, where it is wanted, and shows that.
    pub fn chapter(&mut self, name: &str, measure: impl FnOnce(&Plan) -> Result<Figures>) -> Result<()> {
        let found = self.suite.chapters.iter().find(|chapter| chapter.name == name);
        let chapter = found.with_context(|| format!("the suite has no chapter \"{name}\""))?;
        if self.plan.wants(name) {
            let step = Step::quiet(&chapter.title);
            self.chapters.insert(name.to_owned(), measure(self.plan)?);
            step.done_with("done");
        }
        Ok(())
    }
}
