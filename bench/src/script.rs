//! SQL files that are divided into parts.
//!
//! Lines that begin with `--!` divide them. In chapters that are timed ([`crate::timing`]):
//!
//! | line | meaning |
//! | --- | --- |
//! | `--! do` | statements that are not timed; those before the first run are executed once |
//! | `--! run` | begins a run; all runs alternate, each once in a round |
//! | `--! time SERIES [rows=NUMBER] [counts]` | a timed statement; `counts`: returns its number of rows |
//! | `--! note SERIES UNIT` | a query for one more figure |
//! | `--! check` | queries that must return true, or the measurement is invalid |
//! | `--! session` | the next part begins in a new session |
//! | `--! include FILE` | inserts the lines of another file of the suite |
//!
//! `:name` stands for a number or for the current variant's value of `name`. A part that contains a
//! name of the variants is repeated for each.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::suite::directory;

/// A file of statements.
#[derive(Debug, Default, PartialEq)]
pub struct Script {
    /// Executed once.
    pub prepare: Vec<Part>,
    /// Compared by rounds.
    pub runs: Vec<Vec<Part>>,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The words of its line.
    pub words: Vec<String>,
    /// The statements.
    pub sql: String,
}

impl Script {
    /// Reads a file of a suite.
    pub fn read(suite: &str, file: &str) -> Result<Self> {
        Self::parse(&text(suite, file)?).with_context(|| format!("{suite}/{file}.sql"))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut script = Self::default();
        for line in text.lines() {
            let parts = script.runs.last_mut().unwrap_or(&mut script.prepare);
            match line.strip_prefix("--!").map(str::trim) {
                Some("run") => script.runs.push(Vec::new()),
                Some(words) => {
                    let words = words.split_whitespace().map(str::to_owned).collect();
                    parts.push(Part { words, sql: String::new() });
                }
                None => match parts.last_mut() {
                    Some(part) => part.sql.extend([line, "\n"]),
                    None => {
                        ensure!(line.is_empty() || line.starts_with("--"), "before the first part: {line}")
                    }
                },
            }
        }
        Ok(script)
    }
}

/// The text of a file, including the files that it includes.
fn text(suite: &str, file: &str) -> Result<String> {
    let path = directory(suite).join(format!("{file}.sql"));
    let content =
        std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let line = |line: &str| match line.strip_prefix("--! include ") {
        Some(included) => text(suite, included),
        None => Ok(format!("{line}\n")),
    };
    content.lines().map(line).collect()
}

/// The statements of a part of a file, with numbers put in for their names.
pub fn section(suite: &str, file: &str, part: &str, numbers: &[(&str, u32)]) -> Result<Vec<String>> {
    let names = numbers.iter().map(|(name, number)| ((*name).to_owned(), number.to_string())).collect();
    let found = Script::read(suite, file)?.prepare.into_iter().find(|found| found.kind() == part);
    Ok(found.with_context(|| format!("{file}.sql has no part \"{part}\""))?.with(&names).statements())
}

impl Part {
    /// Its first word.
    pub fn kind(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Replaces names by their values.
    pub fn with(&self, names: &BTreeMap<String, String>) -> Self {
        let mut part = self.clone();
        // Before names are replaced, since `rows` may stand for another number here.
        let rows = part.words.iter().find_map(|word| word.strip_prefix("rows=")).unwrap_or("rows");
        let rows = names.get(rows).cloned().unwrap_or_default();
        let names: BTreeMap<String, String> =
            names.clone().into_iter().chain([("rows".to_owned(), rows.clone())]).collect();
        part.words.retain(|word| !word.starts_with("rows="));
        part.words = part.words.iter().map(|word| replaced(word, &names)).collect();
        part.words.push(format!("rows={rows}"));
        part.sql = replaced(&part.sql, &names);
        part
    }

    /// Whether it contains one of the names.
    pub fn names<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> bool {
        let text = format!("{} {}", self.words.join(" "), self.sql);
        names.any(|name| replaced(&text, &[(name.clone(), String::new())].into()) != text)
    }

    /// The number of rows for which it is timed.
    pub fn rows(&self) -> Result<u32> {
        let rows = self.words.iter().find_map(|word| word.strip_prefix("rows="));
        rows.context("no number of rows")?.parse().context("a number of rows")
    }

    /// Its statements, one at a time: several in one message would be one transaction.
    pub fn statements(&self) -> Vec<String> {
        let (mut statements, mut statement) = (Vec::new(), String::new());
        for line in self.sql.lines() {
            statement.extend([line, "\n"]);
            let is_quoted = !statement.matches("$$").count().is_multiple_of(2);
            if line.trim_end().ends_with(';') && !is_quoted {
                statements.push(std::mem::take(&mut statement));
            }
        }
        let is_comment = |line: &str| line.is_empty() || line.starts_with("--");
        statements.extend((!statement.lines().all(is_comment)).then_some(statement));
        statements
    }
}

/// Replaces `:name` by its value; keeps `::type` and unknown names.
fn replaced(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(':') {
        let (before, after) = rest.split_at(at);
        let end =
            after[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(after.len(), |n| n + 1);
        let is_type = before.ends_with(':') || (before.is_empty() && result.ends_with(':'));
        let (value, end) = match names.get(&after[1..end]) {
            Some(value) if !is_type => (value.as_str(), end),
            _ => (":", 1),
        };
        result.extend([before, value]);
        rest = &after[end..];
    }
    result + rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn names(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn names_are_replaced_but_not_types_times_and_other_names() {
        let names = names(&[("rows", "10"), ("call", "ulid()"), ("type", "uuid")]);
        assert_eq!(
            replaced("SELECT count(:call), '00:00+00'::type, :rows/2 FROM :rowset; :rows", &names),
            "SELECT count(ulid()), '00:00+00'::type, 10/2 FROM :rowset; 10"
        );
    }

    #[test]
    fn included_lines_are_part_of_the_file() {
        let view = Script::read("sequences", "view").expect("a script");
        assert_eq!(view.prepare[0].statements().last().map(String::as_str), Some("CHECKPOINT;\n"));
    }

    #[test]
    fn a_file_is_divided_into_parts_and_parts_into_statements() {
        let script = Script::parse(
            "-- A title.\n--! do\nCREATE TABLE t ();\nDO $$ BEGIN\nNULL;\nEND $$;\n\n--! run\n--! time :name rows=few counts\nSELECT :rows;\n",
        )
        .expect("a script");
        assert_eq!(script.prepare.len(), 1);
        assert_eq!(script.prepare[0].statements(), ["CREATE TABLE t ();\n", "DO $$ BEGIN\nNULL;\nEND $$;\n"]);
        let timed = script.runs[0][0].with(&names(&[("name", "a"), ("rows", "10"), ("few", "3")]));
        assert_eq!(timed.words, ["time", "a", "counts", "rows=3"]);
        assert_eq!((timed.sql.as_str(), timed.rows().expect("rows")), ("SELECT 3;\n", 3));
        assert!(Script::parse("SELECT 1;").is_err(), "a statement before the first part");
    }
}
