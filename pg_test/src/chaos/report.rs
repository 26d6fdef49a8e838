//! What came of a run.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::check::Looked;
use super::faults::Kind;
use super::findings::Fault;
use super::schema::TABLES;

/// The figures of a run, and what was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where chance came from.
    pub seed: u64,
    /// Number of nodes, of classes, and of writers on each node.
    pub nodes: usize,
    /// Number of classes.
    pub classes: i32,
    /// Number of writers on each node.
    pub writers: usize,
    /// What replicated.
    pub method: &'static str,
    /// PostgreSQL's version.
    pub version: String,
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
    /// What servers refused, by SQLSTATE.
    pub refused: BTreeMap<String, u64>,
    /// How long it took each time until all was well again.
    pub faults: BTreeMap<Kind, Vec<Duration>>,
    /// How much was compared.
    pub looked: Looked,
    /// What is wrong.
    pub findings: BTreeMap<Fault, (u64, Vec<String>)>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    /// How many faults struck.
    #[must_use]
    pub fn struck(&self) -> usize {
        self.faults.values().map(Vec::len).sum()
    }

    /// Rows acknowledged per second, faults and all.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.inserts as f64 / self.lasted.as_secs_f64().max(1e-9)
    }

    /// The report as Markdown; `command` is what was run.
    #[must_use]
    pub fn markdown(&self, command: &str) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text, command);
        text
    }

    fn write(&self, to: &mut String, command: &str) -> std::fmt::Result {
        let [acknowledged, undone, unknown] = self.transactions.map(number);
        let result =
            if self.is_good() { "Nothing was lost, doubled or in conflict" } else { "IT DID NOT HOLD" };
        writeln!(to, "`{command}`: **{result}.**\n")?;
        writeln!(to, "| | |\n| --- | --- |")?;
        let mut line = |name: &str, value: &str| writeln!(to, "| {name} | {value} |");
        line("seed", &self.seed.to_string())?;
        line("servers", &format!("{} nodes, {} classes; {}", self.nodes, self.classes, self.version))?;
        line("replication, in every direction", self.method)?;
        line("writers", &format!("{} on each node", self.writers))?;
        line("lasted", &format!("{} s", number(self.lasted.as_secs())))?;
        line(
            "rows acknowledged",
            &format!("{}, {} a second", number(self.inserts), number(self.rate() as u64)),
        )?;
        line(
            "changes and deletions acknowledged",
            &format!("{} and {}", number(self.updates), number(self.deletes)),
        )?;
        line(
            "transactions",
            &format!("{acknowledged} acknowledged, {undone} undone, {unknown} cut off at their commit"),
        )?;
        let refused: u64 = self.refused.values().sum();
        line("refused by a server that went on", &number(refused))?;
        line("faults", &self.struck().to_string())?;
        writeln!(
            to,
            "\n| fault | times | until all replicated again: median, longest |\n| --- | --- | --- |"
        )?;
        for (kind, took) in &self.faults {
            let mut took = took.clone();
            took.sort_unstable();
            let [median, longest] =
                [took.get(took.len() / 2), took.last()].map(|took| took.map_or(0.0, Duration::as_secs_f64));
            writeln!(to, "| {kind} | {} | {median:.1} s, {longest:.1} s |", took.len())?;
        }
        writeln!(to, "\n| looked at | |\n| --- | --- |")?;
        let mut line = |name: &str, value: u64| writeln!(to, "| {name} | {} |", number(value));
        line("rows on each node, each compared with what its writer was told", self.looked.rows)?;
        line(
            "rows of transactions cut off at their commit, there wholly or not at all",
            self.looked.in_doubt,
        )?;
        line("keys given, none twice, numbers of their node's class", self.looked.keys)?;
        line("indexes checked by amcheck against their tables", self.looked.indexes)?;
        line("errors of check_interleaved_sequences with the states of all", self.looked.errors)?;
        line("warnings of it", self.looked.warnings)?;
        let keys: Vec<&str> = TABLES.iter().map(|table| table.keys).collect();
        writeln!(to, "\nKeys: {}.", keys.join("; "))?;
        for (fault, (count, told)) in &self.findings {
            writeln!(to, "\n**{fault}: {count}**\n")?;
            for told in told {
                writeln!(to, "- {told}")?;
            }
        }
        Ok(())
    }
}

/// With commas between thousands.
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
}
