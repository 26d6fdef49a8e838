//! `cargo xtask bench`: costs, as ratios between items that are measured in turn in one run.
//!
//! Absolute times depend on the machine, so a page shows ratios, and no run fails because it is
//! slow. A [`Suite`] has chapters. SQL files define most of them ([`timing`]), code the others.

mod chart;
mod edge;
mod figures;
mod keys;
mod measure;
mod memory;
mod migration;
mod report;
mod scale;
mod script;
mod sequences;
mod server;
mod suite;
mod timing;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use pg_test::{Extension, InstallTree, Run, Server};
use xtask::cargo::{self, Build};
use xtask::container;
use xtask::machine::{Code, Machine};
use xtask::prerequisites::{self, Purpose};
use xtask::step::Step;
use xtask::versions::{self, Place};

use figures::Results;
use suite::{Chapter, Measured, NAMES, Plan, Suite};
use timing::Timing;

/// Stands for every suite on the command line.
const ALL: &str = "all";

/// Measure what pg_keyspace costs, and write docs/benchmarks
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    /// Time-ordered keys; interleaved sequences; keys from 40 ms away and keys generated locally; key migration next to
    /// the usual recipe; or all of these, one after the other
    #[arg(value_parser = [NAMES[0], NAMES[1], NAMES[2], NAMES[3], ALL])]
    suite: String,
    #[command(flatten)]
    prerequisites: prerequisites::Options,
    /// A short run of about two minutes with smaller counts; writes to the target directory only
    #[arg(long)]
    quick: bool,
    /// Measure nothing; write the pages again from the figures of the last run on each version
    #[arg(long)]
    from_json: bool,
    /// Rounds, in each of which every compared item runs once [default: 7, quick: 3; edge: 3; migration: 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: Option<u32>,
    /// Only these chapters; writes to the target directory only
    #[arg(long, value_delimiter = ',', value_name = "CHAPTER")]
    only: Vec<String>,
    /// For migration: five times as many rows, 5,000,000 orders and 15,000,000 audit rows, and the chapter "references"
    /// with 10,000,000 and 30,000,000; takes one to two hours and 50 GB
    #[arg(long, conflicts_with = "quick")]
    full: bool,
}

fn main() -> ExitCode {
    xtask::exit_code(run(&Cli::parse()))
}

/// Measures on this machine or in a container. Returns whether that succeeded.
fn run(cli: &Cli) -> Result<bool> {
    // Find errors in all plans before the first run.
    let plans = plans(cli)?;
    match versions::place(&cli.prerequisites)? {
        Place::Here => {
            plans.iter().try_for_each(|(suite, plan)| run_suite(suite, plan, cli))?;
            Ok(true)
        }
        Place::Container(release) => {
            let arguments = [OsString::from("bench")].into_iter().chain(std::env::args_os().skip(1));
            container::run(&cli.prerequisites, release, arguments.collect())
        }
    }
}

/// The suites, and the plan of each.
fn plans(cli: &Cli) -> Result<Vec<(Suite, Plan)>> {
    ensure!(!cli.full || cli.suite == "migration", "--full is for migration");
    ensure!(cli.only.is_empty() || cli.suite != ALL, "--only is for one suite");
    let names = NAMES.into_iter().filter(|name| cli.suite == ALL || cli.suite == *name);
    let plan = |name| {
        let suite = Suite::load(name)?;
        let rounds = cli.rounds.unwrap_or(suite.rounds.of(cli.quick));
        let plan = Plan { quick: cli.quick, full: cli.full, rounds, only: cli.only.clone() };
        plan.check(&suite)?;
        Ok((suite, plan))
    };
    names.map(plan).collect()
}

/// Measures, or writes the pages again from existing figures.
fn run_suite(suite: &Suite, plan: &Plan, cli: &Cli) -> Result<()> {
    let directory = directory(plan);
    let measured = if cli.from_json {
        let kept = kept(suite, &directory)?;
        ensure!(!kept.is_empty(), "there are no figures of \"{}\" in {}", suite.name, shown(&directory));
        kept
    } else {
        let results = measure(suite, plan, cli)?;
        save(&results, &directory)?;
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
        let version = stem.strip_prefix(&suite.name).and_then(|rest| rest.strip_prefix('-'));
        if version.is_none() || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("could not read the figures in {}", shown(&path)))?;
        kept.push(Results::from_json(&text).with_context(|| format!("{} is not understood", shown(&path)))?);
    }
    Ok(kept)
}

/// The directory of the page. Only complete runs change the documentation.
fn directory(plan: &Plan) -> PathBuf {
    if plan.is_complete() { cargo::workspace_root().join("docs/benchmarks") } else { unfinished() }
}

/// The directory of figures that are not for the documentation.
fn unfinished() -> PathBuf {
    cargo::target_directory().join("bench")
}

/// Writes figures, from which pages can be written with `--from-json`.
fn save(results: &Results, directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("could not make {}", shown(directory)))?;
    write(&directory.join(format!("{}.json", results.file_stem())), &results.to_json()?)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("could not write {}", shown(path)))?;
    println!("Wrote {}", shown(path));
    Ok(())
}

/// A path relative to the checkout.
fn shown(path: &Path) -> String {
    path.strip_prefix(cargo::workspace_root()).unwrap_or(path).display().to_string()
}

fn measure(suite: &Suite, plan: &Plan, cli: &Cli) -> Result<Results> {
    let pg = prerequisites::ensure(&cli.prerequisites, Purpose::Build)?;
    // Before the build, because the checkout may change during the run.
    let code = Code::of_checkout()?;
    let library = cargo::build_extension(&pg, Build::Release)?;
    let run = Run::new(false)?;
    let tree = InstallTree::new(&run, &pg)?;
    tree.install(&Extension::of_checkout(library)?)?;
    for package in &suite.libraries {
        let title = format!("Building {package} for PostgreSQL {}", pg.major());
        tree.install_library(package, &cargo::build_library(&pg, package, &pg.feature(), &title)?)?;
    }
    let step = Step::quiet("Starting a server");
    let settings: Vec<&str> = suite.settings.iter().map(String::as_str).collect();
    let server = Server::start(&tree, "bench", &settings)?;
    let mut client = server::create_database(&server, "probe")?;
    step.done();
    let chapters: Vec<_> = suite
        .chapters
        .iter()
        .filter(|chapter| plan.wants(&chapter.name) && chapter.is_for(pg.major()))
        .collect();
    // Before the other chapters, which take up to an hour.
    chapters.iter().try_for_each(|chapter| chapter.check_needs(&mut client))?;
    let machine = Machine::probe(run.directory())?;
    let postgresql = server::text(&mut client, "SHOW server_version")?;
    let settings = server::settings(&mut client)?;
    let measured_on = server::text(&mut client, "SELECT current_date")?;
    drop(client);
    let mut measured = Measured::new(suite, plan);
    let outcome = measure_chapters(&server, suite, &chapters, &mut measured);
    let results = Results {
        suite: suite.name.clone(),
        measured_on,
        command: plan.command(suite),
        quick: plan.quick,
        rounds: plan.rounds,
        code,
        machine,
        postgresql,
        settings,
        chapters: measured.chapters,
    };
    if outcome.is_err() && !results.chapters.is_empty() {
        // A run can take hours.
        println!("\nNot all was measured.");
        save(&results, &unfinished())?;
    }
    outcome.map(|()| results)
}

fn measure_chapters(
    server: &Server,
    suite: &Suite,
    chapters: &[&Chapter],
    measured: &mut Measured<'_>,
) -> Result<()> {
    for chapter in chapters {
        if let Some(timing) = Timing::of(chapter)? {
            let name = &chapter.name;
            measured.chapter(name, |plan| timing.measure(server, &suite.name, name, plan))?;
        }
    }
    match suite.name.as_str() {
        "keys" => keys::measure(server, measured),
        "sequences" => sequences::measure(server, measured),
        "edge" => edge::measure(server, suite, measured),
        "migration" => migration::measure(server, suite, measured),
        name => bail!("nothing measures \"{name}\""),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::figures::{Figures, Unit};
    use super::suite::{Quantity, Shape};
    use super::*;

    fn plan(quick: bool, rounds: u32, only: &[&str]) -> Plan {
        Plan { quick, full: false, rounds, only: only.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn suites() -> Vec<Suite> {
        NAMES.map(|name| Suite::load(name).expect("a suite")).into()
    }

    #[test]
    fn the_command_on_the_page_is_the_one_that_measures_it_again() {
        let suite = Suite::load("sequences").expect("a suite");
        assert_eq!(plan(false, 7, &[]).command(&suite), "cargo xtask bench sequences");
        assert_eq!(
            plan(true, 5, &["draw", "view"]).command(&suite),
            "cargo xtask bench sequences --quick --rounds 5 --only draw,view"
        );
        let full = Plan { full: true, ..plan(false, 1, &[]) };
        let migration = Suite::load("migration").expect("a suite");
        assert_eq!(full.command(&migration), "cargo xtask bench migration --full");
        for plan in [plan(false, 7, &["draw"]), full] {
            let command = plan.command(&suite);
            let parsed = Cli::try_parse_from(["bench"].into_iter().chain(command.split(' ').skip(3)));
            assert_eq!(parsed.expect("a command line").only, plan.only);
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        // Names of options may clash with those of other commands only where they meet.
        <Cli as clap::CommandFactory>::command().debug_assert();
        let parse = |arguments: &[&str]| plans(&Cli::parse_from([&["bench"], arguments].concat()));
        assert_eq!(parse(&["all"]).expect("plans").len(), NAMES.len());
        for wrong in [&["keys", "--full"][..], &["all", "--only", "draw"], &["sequences", "--only", "make"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_a_complete_run_changes_the_documentation() {
        assert!(directory(&plan(false, 9, &[])).ends_with("docs/benchmarks"));
        for plan in [plan(true, 7, &[]), plan(false, 7, &["draw"])] {
            assert_eq!(directory(&plan), cargo::target_directory().join("bench"));
        }
    }

    #[test]
    fn committed_pages_agree_with_their_figures() {
        for suite in suites() {
            let directory = cargo::workspace_root().join("docs/benchmarks");
            let kept = kept(&suite, &directory).expect("figures");
            assert!(!kept.is_empty(), "{}", suite.name);
            for results in kept {
                let page = std::fs::read_to_string(directory.join(format!("{}.md", results.file_stem())));
                assert_eq!(
                    report::page(&suite, &results).expect("a page"),
                    page.expect("a page next to the figures"),
                    "run: cargo xtask bench {} --from-json",
                    suite.name
                );
                for (file, svg) in report::charts(&suite, &results).expect("charts") {
                    let kept = std::fs::read_to_string(directory.join(&file));
                    assert!(
                        kept.expect("a chart next to the page") == svg,
                        "{file} differs from its figures"
                    );
                }
            }
        }
    }

    #[test]
    fn checks_are_made_of_series_that_the_tables_show() {
        for suite in suites() {
            for chapter in &suite.chapters {
                let shown: Vec<&String> =
                    chapter.tables.iter().flat_map(|table| &table.rows).flat_map(|row| &row.names).collect();
                for check in &chapter.checks {
                    let used = match &check.value {
                        Quantity::Ratio { of, to, less } => vec![Some(of), Some(to), less.as_ref()],
                        Quantity::Median(name) | Quantity::Worst(name) => vec![Some(name)],
                    };
                    for name in used.into_iter().flatten() {
                        assert!(shown.contains(&name), "{}: {name}", chapter.name);
                    }
                }
            }
        }
    }

    #[test]
    fn every_row_has_a_figure_for_each_column() {
        for suite in suites() {
            for chapter in &suite.chapters {
                let mut figures = Figures::default();
                let names = chapter.tables.iter().flat_map(|table| &table.rows).flat_map(|row| &row.names);
                for (at, name) in names.enumerate() {
                    // Different, so that nothing is divided by nothing.
                    figures.add(name, Unit::Seconds, 1.0 + at as f64);
                }
                // Courses are of timelines, of which there are none.
                let is_course = |chart: &&suite::Chart| matches!(chart.shape, Shape::Course { .. });
                for chart in chapter.charts.iter().filter(|chart| !is_course(chart)) {
                    chart::svg(chart, &figures).expect(&chart.name);
                }
                for table in &chapter.tables {
                    for row in &table.rows {
                        assert_eq!(row.names.len(), table.columns.len(), "{}", row.label);
                    }
                }
                let results = figures::tests::results(&chapter.name, figures);
                report::page(&suite, &Results { suite: suite.name.clone(), ..results }).expect("a page");
            }
        }
    }

    #[test]
    fn every_chapter_that_files_time_has_series_for_its_tables() {
        for suite in suites() {
            for chapter in &suite.chapters {
                let Some(timing) = Timing::of(chapter).expect("a way to measure") else { continue };
                let series = timing.series(&suite.name, &chapter.name).expect("a file of statements");
                for name in chapter.tables.iter().flat_map(|table| &table.rows).flat_map(|row| &row.names) {
                    assert!(series.contains(name), "{}: {name} is not measured", chapter.name);
                }
            }
        }
    }
}
