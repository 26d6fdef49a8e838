//! The page: tables of medians with their spread, ratios, and which targets were met.

use anyhow::{Context, Result, ensure};
use xtask::statistics::Spread;
use xtask::table::markdown;

use crate::chart;
use crate::figures::{Figures, Results, Series, Unit};
use crate::scale::{Scale, three_digits};
use crate::suite::{Chapter, Chart, Check, Quantity, Row, Suite, Target};

/// Lines of text are as long as elsewhere in the documentation.
const WIDTH: usize = 116;

/// The page of a suite in Markdown, with tables that read well in a terminal, too.
pub fn page(suite: &Suite, results: &Results) -> Result<String> {
    ensure!(results.suite == suite.name, "these are figures of \"{}\"", results.suite);
    let title = format!("# {}, on PostgreSQL {}", suite.title, results.major());
    let mut blocks = vec![title, wrapped(&suite.about), circumstances(results)];
    for chapter in &suite.chapters {
        // A run of some chapters only.
        let Some(figures) = results.chapters.get(&chapter.name) else { continue };
        blocks.extend(
            chapter_blocks(chapter, figures, &results.file_stem())
                .with_context(|| format!("the figures of chapter \"{}\" are not complete", chapter.name))?,
        );
    }
    Ok(format!("{}\n", blocks.join("\n\n")))
}

/// The pictures of a page, each with the name of its file.
pub fn charts(suite: &Suite, results: &Results) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for chapter in &suite.chapters {
        let Some(figures) = results.chapters.get(&chapter.name) else { continue };
        for chart in chapter.charts.iter().filter(|chart| chart::is_measured(chart, figures)) {
            let svg = chart::svg(chart, figures)
                .with_context(|| format!("the chart \"{}\" cannot be drawn", chart.name))?;
            files.push((chart_file(&results.file_stem(), chart), svg));
        }
    }
    Ok(files)
}

fn chart_file(stem: &str, chart: &Chart) -> String {
    format!("{stem}-{}.svg", chart.name)
}

fn circumstances(results: &Results) -> String {
    let machine = &results.machine;
    let flush = Scale::of(Unit::Seconds, machine.flush_seconds).with_unit(machine.flush_seconds);
    let settings: Vec<String> =
        results.settings.iter().map(|(name, value)| format!("`{name} = {value}`")).collect();
    let rounds = match results.rounds {
        1 => "1 round".to_owned(),
        n => format!("{n} rounds; medians, with the least and the greatest value in parentheses"),
    };
    let quick = if results.quick { ". **A rough look only**" } else { "" };
    let clock = if machine.cpu_clock {
        "time of the backend on a CPU, as the kernel counts it"
    } else {
        "time on the clock: this system does not tell how long a process was on a CPU"
    };
    [
        format!("- Measured on {} by `{}`, {rounds}{quick}", results.measured_on, results.command),
        format!("- Commit {}; PostgreSQL {}", results.code, results.postgresql),
        format!(
            "- {machine}; {}, on which a flush of 8 KiB takes {flush}",
            machine.file_system.as_deref().unwrap_or("file system unknown")
        ),
        format!("- Settings: {}", settings.join(", ")),
        format!("- CPU time is {clock}"),
    ]
    .map(|item| wrapped(&item))
    .join("\n")
}

/// A paragraph in lines, of which all but the first stand below the text where it is an item of a list.
fn wrapped(text: &str) -> String {
    let indent = if text.starts_with("- ") { "  " } else { "" };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{indent}{word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

fn chapter_blocks(chapter: &Chapter, figures: &Figures, stem: &str) -> Result<Vec<String>> {
    let mut blocks = vec![format!("## {}", chapter.title), wrapped(&chapter.about)];
    if !figures.counts.is_empty() {
        let counts: Vec<String> = figures
            .counts
            .iter()
            .map(|(what, n)| format!("{what}: {}", Scale::of(Unit::Number, 1.0).bare(f64::from(*n))))
            .collect();
        blocks.push(wrapped(&format!("{}.", sentence(&counts.join("; ")))));
    }
    for chart in chapter.charts.iter().filter(|chart| chart::is_measured(chart, figures)) {
        blocks.push(format!("![{}]({})", chart.title, chart_file(stem, chart)));
    }
    for table in &chapter.tables {
        let headings: Vec<&str> =
            std::iter::once(&table.corner).chain(&table.columns).map(String::as_str).collect();
        let row = |row: &Row| {
            let cells = row.names.iter().map(|name| cell(figures.series(name)?));
            std::iter::once(Ok(row.label.clone())).chain(cells).collect()
        };
        let rows: Result<Vec<Vec<String>>> = table.rows.iter().map(row).collect();
        blocks.push(markdown(&headings, &rows?));
    }
    if !chapter.checks.is_empty() {
        let rows: Result<Vec<Vec<String>>> =
            chapter.checks.iter().map(|check| check_row(check, figures)).collect();
        blocks.push(markdown(&["compared", "value", "target", "met"], &rows?));
    }
    Ok(blocks)
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// The median of a series, and its spread where there is more than one value.
fn cell(series: &Series) -> Result<String> {
    let spread = Spread::of(&series.values).context("a series is empty")?;
    let scale = Scale::of(series.unit, spread.median);
    Ok(with_spread(scale.with_unit(spread.median), spread, &series.values, |value| scale.bare(value)))
}

fn with_spread(median: String, spread: Spread, values: &[f64], write: impl Fn(f64) -> String) -> String {
    let (min, max) = (write(spread.min), write(spread.max));
    if values.len() < 2 || min == max { median } else { format!("{median} ({min} to {max})") }
}

fn check_row(check: &Check, figures: &Figures) -> Result<Vec<String>> {
    let (value, text, unit) = match &check.value {
        Quantity::Ratio { of, to, less } => {
            let ratios = ratios(figures, of, to, less.as_deref())?;
            let spread = Spread::of(&ratios).context("a series is empty")?;
            let text = with_spread(times(spread.median), spread, &ratios, three_digits);
            (spread.median, text, None)
        }
        Quantity::Median(name) | Quantity::Worst(name) => {
            let series = figures.series(name)?;
            let spread = Spread::of(&series.values).context("a series is empty")?;
            let value = if matches!(check.value, Quantity::Worst(_)) { spread.max } else { spread.median };
            (value, Scale::of(series.unit, value).with_unit(value), Some(series.unit))
        }
    };
    let limit = |value: f64| match unit {
        None => times(value),
        Some(unit) => Scale::of(unit, value).with_unit(value),
    };
    let (target, met) = match check.target {
        None => ("none".to_owned(), String::new()),
        Some(target) => {
            let met = if target.is_met(value) { "yes" } else { "**no**" };
            let text = match target {
                Target::AtMost(value) => format!("at most {}", limit(value)),
                Target::AtLeast(value) => format!("at least {}", limit(value)),
            };
            (text, met.to_owned())
        }
    };
    Ok(vec![check.what.clone(), text, target, met])
}

fn times(ratio: f64) -> String {
    format!("{} times", three_digits(ratio))
}

/// The ratio of each round. Without limit where nothing is left to divide by, which noise does to what costs next to
/// nothing; the ratio of most rounds must have one.
fn ratios(figures: &Figures, of: &str, to: &str, less: Option<&str>) -> Result<Vec<f64>> {
    let (of, to) = (&figures.series(of)?.values, &figures.series(to)?.values);
    let zeroes = vec![0.0; of.len()];
    let less = less.map_or(Ok(&zeroes), |name| figures.series(name).map(|series| &series.values))?;
    ensure!(of.len() == to.len() && of.len() == less.len(), "series of different numbers of rounds");
    let ratio = |((of, to), less): ((&f64, &f64), &f64)| {
        if to > less { (of - less) / (to - less) } else { f64::INFINITY }
    };
    let ratios: Vec<f64> = of.iter().zip(to).zip(less).map(ratio).collect();
    let limited = ratios.iter().filter(|ratio| ratio.is_finite()).count();
    ensure!(2 * limited > ratios.len(), "nothing is left of a series to divide by");
    Ok(ratios)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::figures::tests::results;

    const CHAPTER: &str = r#"
        title = "Drawing"
        about = "How it was measured."

        [[tables]]
        corner = "drawn by"
        columns = ["CPU time"]
        rows = [["`theirs`", "theirs"], ["`ours`", "ours"]]

        [[checks]]
        what = "`ours` to `theirs`"
        value = { ratio = { of = "ours", to = "theirs", less = "loop" } }
        target = { at_most = 1.1 }

        [[checks]]
        what = "worst"
        value = { worst = "ours" }
        target = { at_most = 200e-9 }

        [[checks]]
        what = "middle"
        value = { median = "ours" }"#;

    fn suite() -> Suite {
        let text = "title = \"A title\"\nabout = \"What it is about.\"\nsettings = []\nchapters = []";
        let mut suite: Suite = toml::from_str(text).expect("a suite");
        "sequences".clone_into(&mut suite.name);
        let mut chapter: Chapter = toml::from_str(CHAPTER).expect("a chapter");
        "draw".clone_into(&mut chapter.name);
        suite.chapters.push(chapter);
        suite
    }

    fn figures() -> Figures {
        let mut figures = Figures::default();
        figures.count("calls", 1_000_000);
        for (theirs, ours) in [(100e-9, 120e-9), (110e-9, 130e-9), (105e-9, 160e-9)] {
            figures.add("theirs", Unit::Seconds, theirs);
            figures.add("ours", Unit::Seconds, ours);
            figures.add("loop", Unit::Seconds, 50e-9);
        }
        figures
    }

    #[test]
    fn a_page_has_circumstances_medians_spread_ratios_and_verdicts() {
        let page = page(&suite(), &results("draw", figures())).expect("a page");
        assert_eq!(
            page,
            "# A title, on PostgreSQL 15\n\nWhat it is about.\n\n\
             - Measured on 2025-01-31 by `cargo xtask bench sequences`, 3 rounds; medians, with the least and the \
             greatest value\n  in parentheses\n\
             - Commit 0123456789ab, with uncommitted changes; PostgreSQL 15.1\n\
             - A CPU, 2 cores, 8 GiB of memory; Linux 6.1; ext4, on which a flush of 8 KiB takes 1.50 ms\n\
             - Settings: `fsync = on`\n\
             - CPU time is time of the backend on a CPU, as the kernel counts it\n\n\
             ## Drawing\n\nHow it was measured.\n\nCalls: 1,000,000.\n\n\
             | drawn by | CPU time            |\n\
             | -------- | ------------------- |\n\
             | `theirs` | 105 ns (100 to 110) |\n\
             | `ours`   | 130 ns (120 to 160) |\n\n\
             | compared           | value                     | target             | met    |\n\
             | ------------------ | ------------------------- | ------------------ | ------ |\n\
             | `ours` to `theirs` | 1.40 times (1.33 to 2.00) | at most 1.10 times | **no** |\n\
             | worst              | 160 ns                    | at most 200 ns     | yes    |\n\
             | middle             | 130 ns                    | none               |        |\n"
        );
    }

    #[test]
    fn figures_that_are_missing_are_an_error_and_a_chapter_that_was_not_run_is_left_out() {
        let mut incomplete = figures();
        incomplete.series.remove("ours");
        assert!(page(&suite(), &results("draw", incomplete)).is_err());
        let other = page(&suite(), &results("other", figures())).expect("a page");
        assert!(!other.contains("## Drawing"));
    }

    #[test]
    fn ratios_are_those_of_the_rounds() {
        let figures = figures();
        let found = ratios(&figures, "ours", "theirs", None).expect("ratios");
        assert_eq!(
            found.iter().map(|ratio| three_digits(*ratio)).collect::<Vec<_>>(),
            ["1.20", "1.18", "1.52"]
        );
        assert!(ratios(&figures, "ours", "loop", Some("loop")).is_err(), "a division by nothing");
        let mut noisy = Figures::default();
        for (ours, floor) in [(3.0, 1.0), (3.0, 2.0), (3.0, 3.0)] {
            noisy.add("ours", Unit::Number, ours);
            noisy.add("floor", Unit::Number, floor);
            noisy.add("much", Unit::Number, 5.0);
        }
        let found = ratios(&noisy, "much", "ours", Some("floor")).expect("ratios");
        assert_eq!(found.iter().map(|ratio| three_digits(*ratio)).collect::<Vec<_>>(), ["2.00", "3.00", "∞"]);
    }

    #[test]
    fn targets_include_their_limit() {
        assert!(Target::AtMost(1.1).is_met(1.1) && !Target::AtMost(1.1).is_met(1.11));
        assert!(Target::AtLeast(3.0).is_met(3.0) && !Target::AtLeast(3.0).is_met(2.9));
    }

    #[test]
    fn text_is_wrapped_and_items_of_a_list_are_indented() {
        let text = "word ".repeat(30);
        assert_eq!(wrapped(&text), format!("{}\n{}", ["word"; 23].join(" "), ["word"; 7].join(" ")));
        assert!(wrapped(&format!("- {text}")).contains("word\n  word"));
    }

    #[test]
    fn a_single_round_has_no_spread() {
        let series = Series { unit: Unit::Number, values: vec![2.0] };
        assert_eq!(cell(&series).expect("a cell"), "2");
    }
}
