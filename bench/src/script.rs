//! Files of SQL that are cut into parts.
//!
//! They are plain SQL, and lines that begin with `--!` name the parts. Of chapters that are timed ([`crate::timing`]):
//!
//! | line | what follows it |
//! | --- | --- |
//! | `--! do` | statements that are not timed; those before the first run are executed once |
//! | `--! run` | the next of what is compared: it runs once a round, in turn with the others |
//! | `--! time SERIES [rows=NUMBER] [counts]` | what is timed, for so many rows; `counts`: it returns their number |
//! | `--! note SERIES UNIT` | a query for one more figure |
//! | `--! check` | queries that must return true, for what was measured to be what is told |
//! | `--! session` | nothing: what comes next has a session of its own |
//!
//! `:name` stands for a number or for what the variant at hand has for `name`. A part that names what variants have is
//! repeated for each.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::suite::directory;

/// A file of statements.
#[derive(Debug, Default, PartialEq)]
pub struct Script {
    /// What is executed once.
    pub prepare: Vec<Part>,
    /// What is compared, by rounds.
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
        let path = directory(suite).join(format!("{file}.sql"));
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
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
                    None => ensure!(line.is_empty() || line.starts_with("--"), "of no part: {line}"),
                },
            }
        }
        Ok(script)
    }
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

    /// With names replaced by what they stand for.
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

    /// Whether it names something.
    pub fn names<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> bool {
        let text = format!("{} {}", self.words.join(" "), self.sql);
        names.any(|name| replaced(&text, &[(name.clone(), String::new())].into()) != text)
    }

    /// For how many rows it is timed.
    pub fn rows(&self) -> Result<u32> {
        let rows = self.words.iter().find_map(|word| word.strip_prefix("rows="));
        rows.context("no number of rows")?.parse().context("a number of rows")
    }

    /// Its statements one by one: several in one message would be one transaction.
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

/// Replaces `:name` by what the name stands for; `::type` and names that stand for nothing stay.
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
    fn names_are_replaced_and_types_times_and_other_names_stay() {
        let names = names(&[("rows", "10"), ("call", "ulid()"), ("type", "uuid")]);
        assert_eq!(
            replaced("SELECT count(:call), '00:00+00'::type, :rows/2 FROM :rowset; :rows", &names),
            "SELECT count(ulid()), '00:00+00'::type, 10/2 FROM :rowset; 10"
        );
    }

    #[test]
    fn a_file_is_cut_into_parts_and_parts_into_statements() {
        let script = Script::parse(
            "-- What it is.\n--! do\nCREATE TABLE t ();\nDO $$ BEGIN\nNULL;\nEND $$;\n\n--! run\n--! time :name rows=few counts\nSELECT :rows;\n",
        )
        .expect("a script");
        assert_eq!(script.prepare.len(), 1);
        assert_eq!(script.prepare[0].statements(), ["CREATE TABLE t ();\n", "DO $$ BEGIN\nNULL;\nEND $$;\n"]);
        let timed = script.runs[0][0].with(&names(&[("name", "a"), ("rows", "10"), ("few", "3")]));
        assert_eq!(timed.words, ["time", "a", "counts", "rows=3"]);
        assert_eq!((timed.sql.as_str(), timed.rows().expect("rows")), ("SELECT 3;\n", 3));
        assert!(Script::parse("SELECT 1;").is_err(), "a statement of no part");
    }
}
