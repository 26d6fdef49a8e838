//! Chapters that time SQL: each has a file of statements, and one runner executes all of them.

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
use crate::script::{Part, Script};
use crate::server::{self, Traces};
use crate::suite::{Chapter, Plan, directory};

/// How a chapter is timed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// The file of statements; by default the name of the chapter.
    sql: Option<String>,
    /// The database, by default the name of the chapter, and the file that fills it if it is new.
    database: Option<String>,
    create: Option<String>,
    /// Numbers by name; parts are timed for `rows` rows unless they name another number.
    numbers: BTreeMap<String, Number>,
    /// The variants for which the same statements are executed: values by name.
    #[serde(default)]
    variants: Vec<BTreeMap<String, String>>,
    /// Whether all runs of a variant come before the next; otherwise each run is repeated for all.
    #[serde(default)]
    variants_one_by_one: bool,
    /// The rounds, if not those of the suite.
    rounds: Option<Limit>,
    /// Whether there is a warm-up.
    #[serde(default)]
    warm_up: WarmUp,
    /// The costs of each timed part, by suffixes of its series.
    figures: BTreeMap<String, Cost>,
    /// Series that are computed from others.
    #[serde(default)]
    derived: BTreeMap<String, Formula>,
}

/// A number for full and quick runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    full: u32,
    quick: u32,
    /// Its name on the page.
    shown: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Limit {
    /// Long statements need fewer rounds.
    AtMost(u32),
    /// Short statements vary more.
    AtLeast { full: u32, quick: u32 },
}

/// A cost of a timed part.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Cost {
    Wall,
    WallPerRow,
    Cpu,
    CpuPerRow,
    /// Bytes of WAL, and transaction ids.
    Log,
    Transactions,
    /// Private memory after a tenth of the time, after half, at the end, and for each row of the
    /// second half.
    MemoryStart,
    MemoryMiddle,
    MemoryEnd,
    MemoryKeptPerRow,
}

/// The computation of a series.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Formula {
    /// Computed for each round.
    Difference { of: String, less: String },
    /// (of - less) / (to - less), of minimums or medians: a difference may be zero in one round.
    Ratio { of: String, to: String, less: String, by: By },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum By {
    Least,
    Median,
}

impl Timing {
    /// Reads the table `measure` of a chapter, if there is one.
    pub fn of(chapter: &Chapter) -> Result<Option<Self>> {
        let timing = chapter.measure.clone().map(toml::Table::try_into).transpose();
        timing.with_context(|| format!("could not read \"measure\" of chapter \"{}\"", chapter.name))
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
        interleave(rounds, self.warm_up, &runs, &mut figures, |parts, figures| {
            parts.iter().try_for_each(|part| session.execute(part, &self.figures, figures))
        })?;
        self.derived.iter().try_for_each(|(name, formula)| formula.add_to(name, &mut figures))?;
        Ok(figures)
    }

    /// The names of all measured series.
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

    /// The numbers by name, and the number of rounds. Adds those that the page shows.
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

    /// The parts that are executed once, and the runs, repeated for each variant that they name.
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
                // The value of a variant may be the name of a number.
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

    /// Connects to the database, and creates it if needed.
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
                let part = Part { words: Vec::new(), sql }.with(numbers);
                part.statements().iter().try_for_each(|sql| first_value(&mut client, sql).map(drop))?;
            }
        }
        let (client, observer) = (server.connect(&database)?, server.connect(&database)?);
        Ok(Session { server, database, client, observer })
    }
}

/// A session, and another one that observes it.
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
                        "the check failed: {query}"
                    );
                }
            }
            "note" => {
                let [_, name, unit, ..] = &part.words[..] else { bail!("a note needs a name and a unit") };
                let value = first_value(&mut self.client, &part.sql)?.context("a query returned nothing")?;
                let unit: Unit = toml::Value::from(unit.as_str()).try_into()?;
                figures.add(name, unit, value.parse().with_context(|| part.sql.clone())?);
            }
            "time" => self.time(part, costs, figures)?,
            other => bail!("unknown part: {other}"),
        }
        Ok(())
    }

    fn time(&mut self, part: &Part, costs: &BTreeMap<String, Cost>, figures: &mut Figures) -> Result<()> {
        let name = part.words.get(1).context("a timed part has no name")?;
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

/// Copies the numbers from 1 on, one in each row.
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

    #[test]
    fn derived_series_are_computed() {
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
