//! The result of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check::Looked;
use super::faults::Kind;
use super::findings::Fault;
use super::schema::TABLES;

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
    pub lasted: Duration,
    /// Rows that were acknowledged.
    pub inserts: u64,
    /// Changes that were acknowledged.
    pub updates: u64,
    /// Deletions that were acknowledged.
    pub deletes: u64,
    /// Transactions that were acknowledged, undone, and of unknown outcome.
    pub transactions: [u64; 3],
    /// Refused statements, by SQLSTATE.
    pub refused: BTreeMap<String, u64>,
    /// How long each recovery took.
    pub faults: BTreeMap<Kind, Vec<Duration>>,
    /// The amount that was compared.
    pub looked: Looked,
    /// The findings.
    pub findings: BTreeMap<Fault, (u64, Vec<String>)>,
}

impl Report {
    /// Whether there are no findings.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    /// The number of faults.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.faults.values().map(Vec::len).sum()
    }

    /// Rows acknowledged per second, including the time of faults.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.inserts as f64 / self.lasted.as_secs_f64().max(1e-9)
    }

    /// The report as tables of Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let result = if self.is_good() {
            "Nothing was lost, doubled, out of its class or in conflict"
        } else {
            "IT DID NOT HOLD"
        };
        let mut text = format!("**{result}.**\n");
        let [acknowledged, undone, unknown] = self.transactions.map(number);
        let refused: u64 = self.refused.values().sum();
        table(
            &mut text,
            ["", ""],
            &[
                ["seed", &self.seed.to_string()],
                ["servers", &format!("{} nodes, {} classes; {}", self.nodes, self.classes, self.version)],
                ["replication, in every direction", self.method],
                ["writers on each node", &self.writers.to_string()],
                ["they wrote for", &format!("{} s", number(self.lasted.as_secs()))],
                [
                    "rows acknowledged",
                    &format!("{}, {} a second", number(self.inserts), number(self.rate() as u64)),
                ],
                [
                    "changes and deletions acknowledged",
                    &format!("{} and {}", number(self.updates), number(self.deletes)),
                ],
                [
                    "transactions",
                    &format!(
                        "{acknowledged} acknowledged, {undone} undone, {unknown} cut off at their commit"
                    ),
                ],
                ["refused by a server that went on", &number(refused)],
                ["faults", &self.struck().to_string()],
            ],
        );
        if self.struck() > 0 {
            self.add_faults(&mut text);
        }
        let looked = &self.looked;
        table(
            &mut text,
            ["looked at", ""],
            &[
                ["rows on each node, each compared with what its writer was told", &number(looked.rows)],
                [
                    "rows of transactions cut off at their commit, there wholly or not at all",
                    &number(looked.in_doubt),
                ],
                ["keys given, none twice, numbers of their node's class", &number(looked.keys)],
                ["indexes checked by amcheck against their tables", &number(looked.indexes)],
                ["errors of `check_interleaved_sequences` with the states of all", &number(looked.errors)],
                ["warnings of it, which clones raise by their nature", &number(looked.warnings)],
            ],
        );
        let mut keys: Vec<&str> = TABLES.iter().map(|table| table.keys).collect();
        keys.dedup();
        text.push_str(&format!("\nKeys: {}.\n", keys.join("; ")));
        for (fault, (count, told)) in &self.findings {
            text.push_str(&format!("\n**{fault}: {}**\n\n", number(*count)));
            text.extend(told.iter().map(|told| format!("- {told}\n")));
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
        table(text, ["fault", "times", "until all replicated again, median", "longest"], &rows);
    }
}

fn table<const N: usize>(text: &mut String, heading: [&str; N], rows: &[[&str; N]]) {
    text.push_str(&format!("\n| {} |\n|{}\n", heading.join(" | "), " --- |".repeat(N)));
    text.extend(rows.iter().map(|row| format!("| {} |\n", row.join(" | "))));
}

/// A number with commas between thousands.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_marked() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn tables_are_those_of_markdown() {
        let mut text = String::new();
        table(&mut text, ["fault", "times"], &[["line cut", "3"], ["fast stop", "1"]]);
        assert_eq!(text, "\n| fault | times |\n| --- | --- |\n| line cut | 3 |\n| fast stop | 1 |\n");
    }
}
