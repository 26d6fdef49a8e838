//! Chapters that time SQL: a file of statements next to the chapter's own, and one runner for all of them.
//!
//! The file is plain SQL, cut into parts by lines that begin with `--!`:
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
use std::io::Write;

use anyhow::{Context, Result, bail, ensure};
use pg_test::{Server, first_value};
use postgres::Client;
use serde::Deserialize;
use xtask::backend::Backend;
use xtask::statistics::Spread;

use crate::figures::{Figures, Unit};
use crate::measure::{Timed, WarmUp, interleave, time};
use crate::memory::{self, Memory};
use crate::server::{self, Traces};
use crate::suite::{Chapter, Plan, directory};

/// How a chapter is timed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// The file of statements, where it is not called as the chapter is.
    sql: Option<String>,
    /// The database, where it is not called as the chapter is; and the file that fills it, where it is not there yet.
    database: Option<String>,
    create: Option<String>,
    /// Numbers by their name; `rows` is what is timed, unless a part says otherwise.
    numbers: BTreeMap<String, Number>,
    /// What is compared, where the same statements are executed for each: names and what they stand for.
    #[serde(default)]
    variants: Vec<BTreeMap<String, String>>,
    /// Whether everything is executed for one of them before the next; otherwise what is compared comes together.
    #[serde(default)]
    variants_one_by_one: bool,
    /// Rounds, where the suite has too few or too many.
    rounds: Option<Limit>,
    /// Whether what comes first is run once for nothing.
    #[serde(default = "yes")]
    warm_up: bool,
    /// What is noted of each timed part, by what its series' name ends in.
    figures: BTreeMap<String, Cost>,
    /// What follows from figures by rounds.
    #[serde(default)]
    derived: BTreeMap<String, Formula>,
}

fn yes() -> bool {
    true
}

/// How much of something there is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    full: u32,
    quick: u32,
    /// What the page calls it.
    shown: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Limit {
    /// What takes long is alike sooner.
    AtMost(u32),
    /// What is short differs more.
    AtLeast { full: u32, quick: u32 },
}

/// What a timed part costs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Cost {
    Wall,
    WallPerRow,
    Cpu,
    CpuPerRow,
    /// Bytes of the server's log, and transaction ids that it has given.
    Log,
    Transactions,
    /// What the backend holds of its own after a tenth of the time, after half, at the end, and for each row of the
    /// second half.
    MemoryStart,
    MemoryMiddle,
    MemoryEnd,
    MemoryKeptPerRow,
}

/// A series that is made from others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Formula {
    /// Of each round.
    Difference { of: String, less: String },
    /// Of what is over the third, of the least values or of the medians: in one round a difference may be nothing.
    Ratio { of: String, to: String, less: String, by: By },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Least,
    Median,
}

/// A file of statements.
#[derive(Debug, Default, PartialEq)]
struct Script {
    prepare: Vec<Part>,
    runs: Vec<Vec<Part>>,
}

/// A part of it: the words of its line, and the statements.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    words: Vec<String>,
    sql: String,
}

impl Script {
    fn read(suite: &str, file: &str) -> Result<Self> {
        let path = directory(suite).join(format!("{file}.sql"));
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut script = Self::default();
        for line in text.lines() {
            let parts = script.runs.last_mut().unwrap_or(&mut script.prepare);
            match line.strip_prefix("--!") {
                Some("  run" | " run") => script.runs.push(Vec::new()),
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
    fn kind(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// With names replaced by what they stand for.
    fn with(&self, names: &BTreeMap<String, String>) -> Self {
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
    fn names<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> bool {
        let text = format!("{} {}", self.words.join(" "), self.sql);
        names.any(|name| replaced(&text, &[(name.clone(), String::new())].into()) != text)
    }

    /// For how many rows it is timed.
    fn rows(&self) -> Result<u32> {
        let rows = self.words.iter().find_map(|word| word.strip_prefix("rows="));
        rows.context("no number of rows")?.parse().context("a number of rows")
    }

    /// Its statements one by one: several in one message would be one transaction.
    fn statements(&self) -> Vec<String> {
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

impl Timing {
    /// That of a chapter, where it has one.
    pub fn of(chapter: &Chapter) -> Result<Option<Self>> {
        let timing = chapter.measure.clone().map(toml::Table::try_into).transpose();
        timing.with_context(|| format!("how chapter \"{}\" is measured is not understood", chapter.name))
    }

    /// Measures, round by round.
    pub fn measure(&self, server: &Server, suite: &str, chapter: &str, plan: &Plan) -> Result<Figures> {
        let mut figures = Figures::default();
        let (numbers, rounds) = self.numbers(plan, &mut figures);
        let (prepare, runs) = self.parts(suite, chapter, &numbers)?;
        let mut session = self.connect(server, suite, chapter, &numbers)?;
        for part in &prepare {
            session.execute(part, &self.figures, &mut figures)?;
        }
        let warm_up = if self.warm_up { WarmUp::Round } else { WarmUp::None };
        interleave(rounds, warm_up, &runs, &mut figures, |parts, figures| {
            parts.iter().try_for_each(|part| session.execute(part, &self.figures, figures))
        })?;
        self.derived.iter().try_for_each(|(name, formula)| formula.add_to(name, &mut figures))?;
        Ok(figures)
    }

    /// The names of all series that it measures.
    #[cfg(test)]
    pub fn series(&self, suite: &str, chapter: &str) -> Result<Vec<String>> {
        let plan = Plan { quick: true, full: false, rounds: 1, only: Vec::new() };
        let (numbers, _) = self.numbers(&plan, &mut Figures::default());
        let (prepare, runs) = self.parts(suite, chapter, &numbers)?;
        let mut series: Vec<String> = self.derived.keys().cloned().collect();
        for part in prepare.iter().chain(runs.iter().flatten()) {
            match &part.words[..] {
                [kind, name, ..] if kind == "note" => series.push(name.clone()),
                [kind, name, ..] if kind == "time" => {
                    series.extend(self.figures.keys().map(|ending| series_name(name, ending)))
                }
                _ => {}
            }
        }
        Ok(series)
    }

    /// What names of numbers stand for, and how many rounds there are; what a page shows of it is noted.
    fn numbers(&self, plan: &Plan, figures: &mut Figures) -> (BTreeMap<String, String>, u32) {
        let mut numbers = BTreeMap::new();
        for (name, number) in &self.numbers {
            let value = plan.count(number.full, number.quick);
            if let Some(shown) = &number.shown {
                figures.count(shown, value);
            }
            numbers.insert(name.clone(), value.to_string());
        }
        let rounds = match self.rounds {
            None => return (numbers, plan.rounds),
            Some(Limit::AtMost(most)) => plan.rounds.min(most),
            Some(Limit::AtLeast { full, quick }) => plan.at_least(full, quick),
        };
        figures.count("rounds", rounds);
        (numbers, rounds)
    }

    /// What is executed once, and what runs by rounds: for each variant what names it.
    fn parts(
        &self,
        suite: &str,
        chapter: &str,
        numbers: &BTreeMap<String, String>,
    ) -> Result<(Vec<Part>, Vec<Vec<Part>>)> {
        let script = Script::read(suite, self.sql.as_deref().unwrap_or(chapter))?;
        let variants: Vec<BTreeMap<String, String>> = self
            .variants
            .iter()
            .map(|variant| {
                let mut names = numbers.clone();
                // What a variant has may be the name of a number.
                let value = |text: &String| numbers.get(text).unwrap_or(text).clone();
                names.extend(variant.iter().map(|(name, text)| (name.clone(), value(text))));
                names
            })
            .collect();
        let keys = || self.variants.iter().flat_map(BTreeMap::keys).filter(|key| !numbers.contains_key(*key));
        let of_variants = |part: &Part| part.names(keys());
        let mut prepare = Vec::new();
        for part in &script.prepare {
            if of_variants(part) {
                prepare.extend(variants.iter().map(|names| part.with(names)));
            } else {
                prepare.push(part.with(numbers));
            }
        }
        let with = |parts: &[Part], names| parts.iter().map(|part| part.with(names)).collect::<Vec<_>>();
        let is_varied = |parts: &[Part]| parts.iter().any(of_variants);
        let mut runs = Vec::new();
        if self.variants_one_by_one {
            let varied = |names| script.runs.iter().map(move |parts| with(parts, names));
            runs.extend(variants.iter().flat_map(varied));
        } else {
            for parts in &script.runs {
                if is_varied(parts) {
                    runs.extend(variants.iter().map(|names| with(parts, names)));
                } else {
                    runs.push(with(parts, numbers));
                }
            }
        }
        Ok((prepare, runs))
    }

    /// Connects to the database, which is made where it is not there.
    fn connect<'a>(
        &self,
        server: &'a Server,
        suite: &str,
        chapter: &str,
        numbers: &BTreeMap<String, String>,
    ) -> Result<Session<'a>> {
        let database = self.database.clone().unwrap_or_else(|| chapter.to_owned());
        let query = format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'");
        if pg_test::number(&mut server.connect("postgres")?, &query)? == 0 {
            let mut client = server::create_database(server, &database)?;
            if let Some(file) = &self.create {
                let sql = std::fs::read_to_string(directory(suite).join(file))
                    .with_context(|| format!("could not read {file}"))?;
                let part = Part { words: Vec::new(), sql: replaced(&sql, numbers) };
                part.statements().iter().try_for_each(|sql| first_value(&mut client, sql).map(drop))?;
            }
        }
        let (client, observer) = (server.connect(&database)?, server.connect(&database)?);
        Ok(Session { server, database, client, observer })
    }
}

/// A session, and one more that looks on.
struct Session<'a> {
    server: &'a Server,
    database: String,
    client: Client,
    observer: Client,
}

impl Session<'_> {
    fn execute(&mut self, part: &Part, costs: &BTreeMap<String, Cost>, figures: &mut Figures) -> Result<()> {
        match part.kind() {
            "session" => self.client = self.server.connect(&self.database)?,
            "do" => {
                for statement in part.statements() {
                    first_value(&mut self.client, &statement)?;
                }
            }
            "check" => {
                for query in part.statements() {
                    ensure!(
                        first_value(&mut self.client, &query)?.as_deref() == Some("t"),
                        "it is not so: {query}"
                    );
                }
            }
            "note" => {
                let [_, name, unit, ..] = &part.words[..] else { bail!("a note has a name and a unit") };
                let value = first_value(&mut self.client, &part.sql)?.context("a query returned nothing")?;
                figures.add(name, Unit::of(unit)?, value.parse().with_context(|| part.sql.clone())?);
            }
            "time" => self.time(part, costs, figures)?,
            other => bail!("there is no part \"{other}\""),
        }
        Ok(())
    }

    fn time(&mut self, part: &Part, costs: &BTreeMap<String, Cost>, figures: &mut Figures) -> Result<()> {
        let name = part.words.get(1).context("what is timed has a name")?;
        let rows: u32 = part.rows()?;
        let watches_memory = costs.values().any(|cost| cost.is_memory());
        let before = Traces::now(&mut self.observer)?;
        let backend = Backend::of(&mut self.client)?;
        let mut work = || {
            time(&mut self.client, |client| match part.sql.contains("FROM STDIN") {
                true => copy(client, &part.sql, rows),
                false => first_value(client, &part.sql),
            })
        };
        let ((result, took), memory) =
            if watches_memory { memory::watch(backend, work)? } else { (work()?, None) };
        let after = Traces::now(&mut self.observer)?;
        if part.words.iter().any(|word| word == "counts") {
            ensure!(result == Some(rows.to_string()), "{result:?} rows instead of {rows}: {}", part.sql);
        }
        for (ending, cost) in costs {
            let (unit, value) = cost.of(took, before, after, memory, f64::from(rows))?;
            figures.add(&series_name(name, ending), unit, value);
        }
        Ok(())
    }
}

impl Cost {
    fn is_memory(self) -> bool {
        use Cost::{MemoryEnd, MemoryKeptPerRow, MemoryMiddle, MemoryStart};
        matches!(self, MemoryStart | MemoryMiddle | MemoryEnd | MemoryKeptPerRow)
    }

    fn of(
        self,
        took: Timed,
        before: Traces,
        after: Traces,
        memory: Option<Memory>,
        rows: f64,
    ) -> Result<(Unit, f64)> {
        let memory = || memory.context("this system does not report the memory of a process");
        Ok(match self {
            Self::Wall => (Unit::Seconds, took.wall.as_secs_f64()),
            Self::WallPerRow => (Unit::Seconds, took.wall.as_secs_f64() / rows),
            Self::Cpu => (Unit::Seconds, took.cpu.as_secs_f64()),
            Self::CpuPerRow => (Unit::Seconds, took.cpu.as_secs_f64() / rows),
            Self::Log => (Unit::Bytes, after.log_since(before)),
            Self::Transactions => (Unit::Number, after.transactions_since(before)),
            Self::MemoryStart => (Unit::Bytes, memory()?.start),
            Self::MemoryMiddle => (Unit::Bytes, memory()?.middle),
            Self::MemoryEnd => (Unit::Bytes, memory()?.end),
            Self::MemoryKeptPerRow => (Unit::Bytes, (memory()?.end - memory()?.middle) / (rows / 2.0)),
        })
    }
}

impl Formula {
    fn add_to(&self, name: &str, figures: &mut Figures) -> Result<()> {
        match self {
            Self::Difference { of, less } => {
                let (of, less) = (figures.series(of)?.clone(), figures.series(less)?.values.clone());
                for (value, less) in of.values.iter().zip(less) {
                    figures.add(name, of.unit, value - less);
                }
            }
            Self::Ratio { of, to, less, by } => {
                let value = |name: &str| {
                    let spread = Spread::of(&figures.series(name)?.values).context("a series is empty")?;
                    anyhow::Ok(if matches!(by, By::Least) { spread.min } else { spread.median })
                };
                let (of, to, less) = (value(of)?, value(to)?, value(less)?);
                figures.add(name, Unit::Number, (of - less) / (to - less));
            }
        }
        Ok(())
    }
}

fn series_name(name: &str, ending: &str) -> String {
    if ending.is_empty() { name.to_owned() } else { format!("{name}.{ending}") }
}

/// Copies the numbers from 1 on, one a row.
fn copy(client: &mut Client, sql: &str, rows: u32) -> Result<Option<String>> {
    let lines: Vec<u8> = (1..=rows).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let mut writer = client.copy_in(sql.trim().trim_end_matches(';')).context("could not copy")?;
    writer.write_all(&lines).context("could not send rows")?;
    Ok(Some(writer.finish().context("could not copy")?.to_string()))
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

    #[test]
    fn what_follows_from_rounds_is_computed_from_them() {
        let mut figures = Figures::default();
        for (ours, theirs, floor) in [(3.0, 9.0, 1.0), (4.0, 8.0, 2.0), (6.0, 11.0, 1.0)] {
            figures.add("ours", Unit::Seconds, ours);
            figures.add("theirs", Unit::Seconds, theirs);
            figures.add("floor", Unit::Seconds, floor);
        }
        let (of, to, less) = ("ours".to_owned(), "theirs".to_owned(), "floor".to_owned());
        let difference = Formula::Difference { of: of.clone(), less: less.clone() };
        difference.add_to("added", &mut figures).expect("a difference");
        assert_eq!(figures.series("added").expect("a series").values, [2.0, 2.0, 5.0]);
        Formula::Ratio { of, to, less, by: By::Least }.add_to("ratio", &mut figures).expect("a ratio");
        let ratio = figures.series("ratio").expect("a series");
        assert_eq!((ratio.unit, ratio.values.as_slice()), (Unit::Number, &[0.285714][..]));
    }
}
