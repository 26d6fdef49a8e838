//! `cargo xtask bench`: what things cost, as ratios between what is compared in turn in one run.
//!
//! Absolute times say more of the machine than of the code, so a page is made of ratios; nothing fails for being
//! slow. What is measured is a [`Suite`]: chapters of the page, and the function that comes by their figures.

mod chart;
mod edge;
mod figures;
mod keys;
mod measure;
mod memory;
mod migration;
mod report;
mod scale;
mod sequences;
mod server;
mod suite;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use pg_test::{Extension, InstallTree, Run, Server};
use postgres::Client;
use xtask::beside;
use xtask::cargo::{self, Build};
use xtask::machine::{Code, Machine};
use xtask::prerequisites::{self, Purpose};
use xtask::step::Step;
use xtask::versions::{self, Place};

use figures::Results;
use suite::{Plan, Suite};

#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", about = "What pg_keyspace costs")]
struct Cli {
    #[command(subcommand)]
    benchmark: Benchmark,
}

/// What there is to measure.
#[derive(Subcommand)]
enum Benchmark {
    /// Interleaved sequences: drawing, setting up, looking at them
    Sequences(BenchOptions),
    /// Time-ordered keys: making them, in many sessions, inserting them; the type ulid
    Keys(BenchOptions),
    /// Writers far from each other: keys from a central sequence over a link of 40 ms, and keys made on the spot
    Edge(BenchOptions),
    /// Key migration: a live table and those that refer to it, beside the usual recipe
    Migration(MigrationOptions),
    /// All of these, one after the other
    All(Manner),
}

impl Benchmark {
    /// The suites, and what of each.
    fn runs(&self) -> Vec<(&'static Suite, Extent)> {
        let of = |options: &BenchOptions, full| Extent {
            rounds: options.rounds,
            only: options.only.clone(),
            full,
        };
        match self {
            Self::Sequences(options) => vec![(&sequences::SUITE, of(options, false))],
            Self::Keys(options) => vec![(&keys::SUITE, of(options, false))],
            Self::Edge(options) => vec![(&edge::SUITE, of(options, false))],
            Self::Migration(MigrationOptions { options, full }) => {
                vec![(&migration::SUITE, of(options, *full))]
            }
            Self::All(_) => SUITES.iter().map(|suite| (*suite, Extent::default())).collect(),
        }
    }

    fn manner(&self) -> &Manner {
        match self {
            Self::Sequences(options) | Self::Keys(options) | Self::Edge(options) => &options.manner,
            Self::Migration(MigrationOptions { options, .. }) => &options.manner,
            Self::All(manner) => manner,
        }
    }

    /// How to come by PostgreSQL.
    pub fn prerequisites(&self) -> &prerequisites::Options {
        &self.manner().prerequisites
    }
}

/// All that there is to measure.
const SUITES: [&Suite; 4] = [&keys::SUITE, &sequences::SUITE, &edge::SUITE, &migration::SUITE];

/// How much of a suite, as the command line says it.
#[derive(Default)]
struct Extent {
    rounds: Option<u32>,
    only: Vec<String>,
    full: bool,
}

/// How to measure key migration.
#[derive(Args)]
pub struct MigrationOptions {
    #[command(flatten)]
    options: BenchOptions,
    /// Five times as many rows: 5,000,000 orders, 15,000,000 audit rows
    #[arg(long, conflicts_with = "quick")]
    full: bool,
}

/// How to measure; the same for every suite.
#[derive(Args)]
pub struct Manner {
    #[command(flatten)]
    prerequisites: prerequisites::Options,
    /// A rough look in about two minutes: smaller counts; the page is printed and kept below target only
    #[arg(long)]
    quick: bool,
    /// Measure nothing; make the pages again from the figures of the last run on each version of PostgreSQL
    #[arg(long)]
    from_json: bool,
}

/// What to measure of one suite, and how.
#[derive(Args)]
pub struct BenchOptions {
    #[command(flatten)]
    manner: Manner,
    /// Rounds, in each of which everything that is compared runs once [default: 7, quick: 3; migration: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: Option<u32>,
    /// Only these chapters; the page is printed and kept below target only
    #[arg(long, value_delimiter = ',', value_name = "CHAPTER")]
    only: Vec<String>,
}

fn main() -> ExitCode {
    match start(&Cli::parse().benchmark) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures where the PostgreSQL is that the options name. Returns whether it came to a good end.
fn start(benchmark: &Benchmark) -> Result<bool> {
    let options = benchmark.prerequisites();
    match versions::place(options)? {
        Place::Here => run(benchmark).map(|()| true),
        Place::Beside(release) => {
            let arguments = std::env::args_os().skip(1);
            beside::run(options, release, [OsString::from("bench")].into_iter().chain(arguments).collect())
        }
    }
}

/// Measures, or makes the page again from figures that are there.
///
/// # Errors
///
/// When a server, a statement or a file fails, or the extension lacks what is to be measured.
fn run(benchmark: &Benchmark) -> Result<()> {
    let manner = benchmark.manner();
    // All of them before the first, which takes its time.
    let runs: Result<Vec<_>> = benchmark
        .runs()
        .into_iter()
        .map(|(suite, extent)| Ok((suite, plan(suite, manner, extent)?)))
        .collect();
    runs?.into_iter().try_for_each(|(suite, plan)| run_suite(suite, &plan, manner))
}

fn run_suite(suite: &Suite, plan: &Plan, manner: &Manner) -> Result<()> {
    let directory = directory(plan);
    let measured = if manner.from_json {
        let kept = kept(suite, &directory)?;
        if kept.is_empty() {
            bail!("there are no figures of \"{}\" in {}", suite.name, shown(&directory));
        }
        kept
    } else {
        let results = measure(suite, plan, manner)?;
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("could not make {}", shown(&directory)))?;
        write(&directory.join(format!("{}.json", results.file_stem())), &results.to_json()?)?;
        vec![results]
    };
    for results in measured {
        let page = report::page(suite, &results)?;
        write(&directory.join(format!("{}.md", results.file_stem())), &page)?;
        for (file, svg) in report::charts(suite, &results)? {
            write(&directory.join(file), &svg)?;
        }
        if !plan.is_complete() {
            println!("\n{page}");
        }
    }
    Ok(())
}

/// The figures of the last run on each version of PostgreSQL.
fn kept(suite: &Suite, directory: &Path) -> Result<Vec<Results>> {
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.with_context(|| format!("could not read {}", shown(directory)))?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let version = stem.strip_prefix(suite.name).and_then(|rest| rest.strip_prefix('-'));
        if version.is_none() || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("could not read the figures in {}", shown(&path)))?;
        kept.push(Results::from_json(&text).with_context(|| format!("{} is not understood", shown(&path)))?);
    }
    Ok(kept)
}

fn plan(suite: &Suite, manner: &Manner, extent: Extent) -> Result<Plan> {
    let names: Vec<&str> = suite.chapters.iter().map(|chapter| chapter.name).collect();
    if let Some(unknown) = extent.only.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no chapter \"{unknown}\"; there are {}", names.join(", "));
    }
    Ok(Plan {
        quick: manner.quick,
        full: extent.full,
        rounds: extent.rounds.unwrap_or(suite.rounds.of(manner.quick)),
        only: extent.only,
    })
}

/// Where the page goes: what is not complete must not pass for the page of the documentation.
fn directory(plan: &Plan) -> PathBuf {
    if plan.is_complete() {
        cargo::workspace_root().join("docs/benchmarks")
    } else {
        cargo::target_directory().join("bench")
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("could not write {}", shown(path)))?;
    println!("Wrote {}", shown(path));
    Ok(())
}

/// A path as it is called within the checkout.
fn shown(path: &Path) -> String {
    path.strip_prefix(cargo::workspace_root()).unwrap_or(path).display().to_string()
}

fn measure(suite: &Suite, plan: &Plan, manner: &Manner) -> Result<Results> {
    let pg = prerequisites::ensure(&manner.prerequisites, Purpose::Build)?;
    // Before the build, so that a change during the run does not pass unseen.
    let code = Code::of_checkout()?;
    let library = cargo::build_extension(&pg, Build::Release)?;
    let run = Run::new(false)?;
    let tree = InstallTree::new(&run, &pg)?;
    tree.install(&Extension::of_checkout(library)?)?;
    for package in suite.libraries {
        let title = format!("Building {package} for PostgreSQL {}", pg.major());
        tree.install_library(package, &cargo::build_library(&pg, package, &pg.feature(), &title)?)?;
    }
    let step = Step::quiet("Starting a server");
    let server = Server::start(&tree, "bench", suite.settings)?;
    let mut client = server::create_database(&server, "probe")?;
    step.done();
    // Now rather than after an hour of other chapters.
    check_needs(&mut client, suite, plan)?;
    let machine = Machine::probe(run.directory())?;
    let postgresql = server::setting(&mut client, "server_version")?;
    let settings = server::settings(&mut client)?;
    let measured_on = server::today(&mut client)?;
    drop(client);
    let chapters = (suite.measure)(&server, plan)?;
    Ok(Results {
        suite: suite.name.to_owned(),
        measured_on,
        command: plan.command(suite),
        quick: plan.quick,
        rounds: plan.rounds,
        code,
        machine,
        postgresql,
        settings,
        chapters,
    })
}

/// Fails where the extension lacks what a chapter measures: a page without it would look complete.
fn check_needs(client: &mut Client, suite: &Suite, plan: &Plan) -> Result<()> {
    for chapter in suite.chapters.iter().filter(|chapter| plan.wants(chapter)) {
        for need in chapter.needs {
            if !need.is_met(client)? {
                bail!(
                    "chapter \"{}\" measures {need}, which this version of the extension does not have; measure \
                     others by --only CHAPTER,...",
                    chapter.name
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::figures::{Figures, Unit};
    use super::suite::{Quantity, ROUNDS};
    use super::*;

    fn plan(quick: bool, rounds: u32, only: &[&str]) -> Plan {
        Plan { quick, full: false, rounds, only: only.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn the_command_on_the_page_is_the_one_that_measures_it_again() {
        let suite = &sequences::SUITE;
        assert_eq!(plan(false, ROUNDS.usual, &[]).command(suite), "cargo xtask bench sequences");
        assert_eq!(
            plan(true, 5, &["draw", "view"]).command(suite),
            "cargo xtask bench sequences --quick --rounds 5 --only draw,view"
        );
        let full = Plan { full: true, ..plan(false, 1, &[]) };
        assert_eq!(full.command(&migration::SUITE), "cargo xtask bench migration --full");
    }

    #[test]
    fn the_command_line_is_consistent() {
        // Names of options may clash with those of other commands only where they meet.
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn only_a_complete_run_changes_the_documentation() {
        assert!(directory(&plan(false, 9, &[])).ends_with("docs/benchmarks"));
        for plan in [plan(true, 7, &[]), plan(false, 7, &["draw"])] {
            assert_eq!(directory(&plan), cargo::target_directory().join("bench"));
        }
    }

    #[test]
    fn a_page_that_is_checked_in_is_what_its_figures_give() {
        for suite in SUITES {
            let directory = cargo::workspace_root().join("docs/benchmarks");
            let kept = kept(suite, &directory).expect("figures");
            for results in kept {
                let page = std::fs::read_to_string(directory.join(format!("{}.md", results.file_stem())));
                assert_eq!(
                    report::page(suite, &results).expect("a page"),
                    page.expect("a page beside the figures"),
                    "run: cargo xtask bench {} --from-json",
                    suite.name
                );
                for (file, svg) in report::charts(suite, &results).expect("charts") {
                    let kept = std::fs::read_to_string(directory.join(&file));
                    assert!(
                        kept.expect("a chart beside the page") == svg,
                        "{file} is not what its figures give"
                    );
                }
            }
        }
    }

    #[test]
    fn checks_are_made_of_series_that_the_tables_show() {
        for chapter in SUITES.iter().flat_map(|suite| suite.chapters) {
            let shown: Vec<&str> = chapter
                .tables
                .iter()
                .flat_map(|table| table.rows)
                .flat_map(|(_, names)| names.iter().copied())
                .collect();
            for check in chapter.checks {
                let used = match check.quantity {
                    Quantity::Ratio { of, to, less } => vec![Some(of), Some(to), less],
                    Quantity::Median(name) | Quantity::Worst(name) => vec![Some(name)],
                };
                for name in used.into_iter().flatten() {
                    assert!(shown.contains(&name), "{}: {name}", chapter.name);
                }
            }
        }
    }

    #[test]
    fn every_row_has_a_figure_for_each_column() {
        for (suite, chapter) in SUITES.iter().flat_map(|suite| suite.chapters.iter().map(move |c| (suite, c)))
        {
            let mut figures = Figures::default();
            for (at, name) in
                chapter.tables.iter().flat_map(|t| t.rows).flat_map(|(_, names)| *names).enumerate()
            {
                // Different, so that nothing is divided by nothing.
                figures.add(name, Unit::Seconds, 1.0 + at as f64);
            }
            // Courses are of timelines, of which there are none.
            let is_course = |chart: &&chart::Chart| matches!(chart.shape, chart::Shape::Course { .. });
            for chart in chapter.charts.iter().filter(|chart| !is_course(chart)) {
                chart::svg(chart, &figures).expect(chart.name);
            }
            for (table, (label, names)) in
                chapter.tables.iter().flat_map(|table| table.rows.iter().map(move |row| (table, row)))
            {
                assert_eq!(names.len(), table.columns.len(), "{label}");
            }
            let results =
                Results { suite: suite.name.to_owned(), ..figures::tests::results(chapter.name, figures) };
            report::page(suite, &results).expect("a page");
        }
    }
}
