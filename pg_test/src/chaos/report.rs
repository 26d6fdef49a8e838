//! The result of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::Checked;
use super::faults::FaultKind;
use super::findings::Finding;
use super::schema::TABLES;
use crate::thousands;

/// The figures of a run, and its findings.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed of random choices.
    pub seed: u64,
    /// Number of nodes, of classes, and of writers on each node.
    pub nodes: usize,
    /// Number of classes.
    pub classes: i32,
    /// Number of writers on each node.
    pub writers: usize,
    /// The replication method.
    pub method: &'static str,
    /// PostgreSQL's version.
    pub version: String,
    /// The day, in UTC.
    pub day: String,
    /// How long writers wrote.
    pub duration: Duration,
    /// Rows that were acknowledged.
    pub inserts: u64,
    /// Changes that were acknowledged.
    pub updates: u64,
    /// Deletions that were acknowledged.
    pub deletes: u64,
    /// Transactions that were acknowledged, rolled back, and of unknown outcome.
    pub transactions: [u64; 3],
    /// Rejected statements, by SQLSTATE.
    pub rejected: BTreeMap<String, u64>,
    /// How long each recovery took.
    pub faults: BTreeMap<FaultKind, Vec<Duration>>,
    /// The amount that was compared.
    pub checked: Checked,
    /// The findings.
    pub findings: BTreeMap<Finding, (u64, Vec<String>)>,
}

impl Report {
    /// Whether there are no findings.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    /// The number of faults.
    #[must_use]
    pub fn fault_count(&self) -> usize {
        self.faults.values().map(Vec::len).sum()
    }

    /// Rows acknowledged per second, including the time of faults.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.inserts as f64 / self.duration.as_secs_f64().max(1e-9)
    }

    /// The report as tables of Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let result = if self.is_good() {
            "No row was lost, duplicated, out of its class or in conflict"
        } else {
            "FAILED"
        };
        let mut text = format!("**{result}.**\n");
        let [acknowledged, rolled_back, unknown] = self.transactions.map(number);
        let rejected: u64 = self.rejected.values().sum();
        table(
            &mut text,
            ["", ""],
            &[
                ["seed", &self.seed.to_string()],
                ["servers", &format!("{} nodes, {} classes; {}", self.nodes, self.classes, self.version)],
                ["replication, in every direction", self.method],
                ["writers on each node", &self.writers.to_string()],
                ["duration", &format!("{} s", number(self.duration.as_secs()))],
                [
                    "rows acknowledged",
                    &format!("{}, {} per second", number(self.inserts), number(self.rate() as u64)),
                ],
                [
                    "changes and deletions acknowledged",
                    &format!("{} and {}", number(self.updates), number(self.deletes)),
                ],
                [
                    "transactions",
                    &format!(
                        "{acknowledged} acknowledged, {rolled_back} rolled back, {unknown} interrupted at their commit"
                    ),
                ],
                ["statements rejected by a running server", &number(rejected)],
                ["faults", &self.fault_count().to_string()],
            ],
        );
        if self.fault_count() > 0 {
            self.add_faults(&mut text);
        }
        let checked = &self.checked;
        table(
            &mut text,
            ["checked", ""],
            &[
                ["rows on each node, each compared with the record of its writer", &number(checked.rows)],
                [
                    "rows of transactions interrupted at their commit, present completely or not at all",
                    &number(checked.in_doubt),
                ],
                ["generated keys: no duplicates, ids in the class of their node", &number(checked.keys)],
                ["indexes checked by amcheck against their tables", &number(checked.indexes)],
                [
                    "errors of `check_interleaved_sequences` with the states of all nodes",
                    &number(checked.errors),
                ],
                ["its warnings, which are expected for clones", &number(checked.warnings)],
            ],
        );
        let mut keys: Vec<&str> = TABLES.iter().map(|table| table.keys).collect();
        keys.dedup();
        text.push_str(&format!("\nKeys: {}.\n", keys.join("; ")));
        for (kind, (count, details)) in &self.findings {
            text.push_str(&format!("\n**{kind}: {}**\n\n", number(*count)));
            text.extend(details.iter().map(|detail| format!("- {detail}\n")));
        }
        text
    }

    fn add_faults(&self, text: &mut String) {
        let seconds = |took: Option<&Duration>| {
            took.map_or_else(String::new, |took| format!("{:.1} s", took.as_secs_f64()))
        };
        let mut rows = Vec::new();
        for (kind, took) in &self.faults {
            let mut took = took.clone();
            took.sort_unstable();
            let (median, longest) = (took.get(took.len() / 2), took.last());
            rows.push([kind.to_string(), took.len().to_string(), seconds(median), seconds(longest)]);
        }
        let rows: Vec<[&str; 4]> = rows.iter().map(|row| [&*row[0], &*row[1], &*row[2], &*row[3]]).collect();
        table(text, ["fault", "times", "until replication was complete, median", "longest"], &rows);
    }
}

fn table<const N: usize>(text: &mut String, heading: [&str; N], rows: &[[&str; N]]) {
    text.push_str(&format!("\n| {} |\n|{}\n", heading.join(" | "), " --- |".repeat(N)));
    text.extend(rows.iter().map(|row| format!("| {} |\n", row.join(" | "))));
}

/// A number with commas between thousands.
fn number(value: u64) -> String {
    thousands(&value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn tables_are_markdown() {
        let mut text = String::new();
        table(&mut text, ["fault", "times"], &[["link cut", "3"], ["fast stop", "1"]]);
        assert_eq!(text, "\n| fault | times |\n| --- | --- |\n| link cut | 3 |\n| fast stop | 1 |\n");
    }
}
