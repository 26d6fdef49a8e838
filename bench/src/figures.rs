//! The raw figures of a run, as JSON. The page computes ratios and results of checks.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use xtask::machine::{Code, Machine};
use xtask::statistics::rounded;

/// Everything that a page is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The name of the suite.
    pub suite: String,
    /// The day, in UTC.
    pub measured_on: String,
    /// The command that measures it again.
    pub command: String,
    /// Whether it was a short run.
    pub quick: bool,
    /// How many rounds.
    pub rounds: u32,
    /// Which code.
    pub code: Code,
    /// On which machine.
    pub machine: Machine,
    /// PostgreSQL's version.
    pub postgresql: String,
    /// Settings of the server that affect figures.
    pub settings: BTreeMap<String, String>,
    /// The figures of each chapter, by its name.
    pub chapters: BTreeMap<String, Figures>,
}

impl Results {
    /// The major version of PostgreSQL.
    pub fn major(&self) -> &str {
        self.postgresql.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
    }

    /// The name of the page and of its figures, for each version of PostgreSQL.
    pub fn file_stem(&self) -> String {
        format!("{}-{}", self.suite, self.major())
    }

    /// Writes JSON.
    pub fn to_json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).context("could not write the figures as JSON")?;
        text.push('\n');
        Ok(text)
    }

    /// Reads JSON.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("the figures are not those of this version")
    }
}

/// The figures of a chapter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Numbers of objects, as in "tables: 10,000".
    pub counts: BTreeMap<String, u32>,
    /// The series, with a value for each round.
    pub series: BTreeMap<String, Series>,
    /// Values over the time of the last round.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub timelines: BTreeMap<String, Timeline>,
}

impl Figures {
    /// Records a number of objects.
    pub fn count(&mut self, what: &str, number: u32) {
        self.counts.insert(what.to_owned(), number);
    }

    /// Adds a value to the series `name`.
    pub fn add(&mut self, name: &str, unit: Unit, value: f64) {
        let series =
            self.series.entry(name.to_owned()).or_insert_with(|| Series { unit, values: Vec::new() });
        series.values.push(rounded(value));
    }

    /// Adds a time to the series `name`.
    pub fn add_time(&mut self, name: &str, time: Duration) {
        self.add(name, Unit::Seconds, time.as_secs_f64());
    }

    /// The series `name`.
    pub fn series(&self, name: &str) -> Result<&Series> {
        self.series.get(name).with_context(|| format!("there are no figures \"{name}\""))
    }
}

/// A series of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The unit.
    pub unit: Unit,
    /// A value for each round, or for each interval of a timeline.
    pub values: Vec<f64>,
}

/// Values over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Seconds between two values of a curve; the first is at 0.
    pub interval: f64,
    /// The beginnings of phases, in seconds.
    pub marks: Vec<(f64, String)>,
    /// The values of each interval.
    pub curves: BTreeMap<String, Series>,
}

/// The unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Time.
    Seconds,
    /// Memory, or a volume of log.
    Bytes,
    /// A number.
    Number,
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// Results with the given figures in a chapter `name`.
    pub fn results(name: &str, figures: Figures) -> Results {
        Results {
            suite: "sequences".to_owned(),
            measured_on: "2025-01-31".to_owned(),
            command: "cargo xtask bench sequences".to_owned(),
            quick: false,
            rounds: 3,
            code: Code { commit: "0123456789abcdef".to_owned(), dirty: true },
            machine: Machine {
                cpu: "A CPU".to_owned(),
                cores: 2,
                memory_bytes: Some(8 << 30),
                system: "Linux 6.1".to_owned(),
                file_system: Some("ext4".to_owned()),
                flush_seconds: 0.0015,
                cpu_clock: true,
            },
            postgresql: "15.1".to_owned(),
            settings: BTreeMap::from([("fsync".to_owned(), "on".to_owned())]),
            chapters: BTreeMap::from([(name.to_owned(), figures)]),
        }
    }

    #[test]
    fn figures_come_back_from_json_as_they_were() {
        let mut figures = Figures::default();
        figures.count("calls", 1_000_000);
        for value in [1.25e-7, 0.1 + 0.2, 12_345_678.9] {
            figures.add("draw", Unit::Seconds, value);
        }
        figures.add("log", Unit::Bytes, 0.0);
        assert_eq!(figures.series("draw").expect("a series").values, [1.25e-7, 0.3, 12_345_700.0]);
        let results = results("draw", figures);
        let json = results.to_json().expect("JSON");
        assert_eq!(Results::from_json(&json).expect("results"), results);
        assert!(json.contains("\"unit\": \"seconds\""), "{json}");
    }

    #[test]
    fn what_is_missing_is_an_error() {
        assert!(Figures::default().series("draw").is_err());
        assert!(Results::from_json("{}").is_err());
    }
}
