//! `cargo xtask chaos`: a long run of writers under random faults, with a report.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use pg_test::chaos::{Chaos, Classes, FaultKind, Options, Report};
use pg_test::{Extension, InstallTree, PgConfig, Run};
use rand::TryRng;
use rand::rngs::SysRng;

use xtask::cargo::{self, Build};
use xtask::machine::{Code, Machine};

/// The options on the command line.
#[derive(Args, Clone, Debug)]
pub struct Wanted {
    /// How long writers write
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// Number of nodes, 2 to 8
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// Seed of random choices; by default another one each time
    #[arg(long)]
    seed: Option<u64>,
    /// End after this many faults
    #[arg(long)]
    faults: Option<u64>,
    /// Only these kinds of faults: pause, cut, fail-over, ...
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<FaultKind>,
    /// Seconds between two faults, on average
    #[arg(long, default_value_t = 8.0)]
    quiet: f64,
    /// Writers on each node
    #[arg(long, default_value_t = 4)]
    writers: usize,
    /// Rows per second that all writers uncertain try to insert
    #[arg(long, default_value_t = 2_000.0)]
    rate: f64,
    /// Write the report to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Builds the extension and runs. Returns whether there are no findings.
pub fn run(pg: &PgConfig, wanted: &Wanted) -> Result<bool> {
    let seed = match wanted.seed {
        Some(seed) => seed,
        None => u64::from(SysRng.try_next_u32().context("could not read random bits")?),
    };
    let library = cargo::build_extension(pg, Build::Release)?;
    let tree = InstallTree::new(&Run::new(false)?, pg)?;
    tree.install(&Extension::of_checkout(library)?)?;
    let options = Options {
        seed,
        nodes: wanted.nodes,
        duration: Duration::try_from_secs_f64(wanted.minutes * 60.0).context("a number of minutes")?,
        max_faults: wanted.faults.unwrap_or(u64::MAX),
        kinds: if wanted.kinds.is_empty() { FaultKind::ALL.to_vec() } else { wanted.kinds.clone() },
        quiet: Duration::try_from_secs_f64(wanted.quiet).context("a number of seconds")?,
        writers: wanted.writers,
        rate: wanted.rate,
        classes: Classes::Own,
        logs: cargo::results_directory().join(format!("chaos-{seed}")),
    };
    let command = command(wanted, seed);
    println!("{command}");
    // Before the run, because the checkout may change during a long run.
    let place = match &wanted.report {
        Some(file) => Some((file, Machine::probe(tree.run().directory())?, Code::of_checkout()?)),
        None => None,
    };
    let report = Chaos::run(&tree, options, &mut |line| println!("{line}"))
        .with_context(|| format!("the run with seed {seed} was not completed"))?;
    println!("\n{}", report.markdown());
    if let Some((file, machine, code)) = place {
        std::fs::write(file, page(&command, &report, &machine, &code))
            .with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(report.is_good())
}

/// The report as a page of the documentation.
fn page(command: &str, report: &Report, machine: &Machine, code: &Code) -> String {
    format!(
        "# Load and faults

Writers on every node under random faults, and a checker that knows every acknowledged row. [How it is
tested](../how-it-is-tested.md) describes the runs and what they prove. Written by `cargo xtask chaos --report`.

- `{command}`, on {}
- Commit {code}; {machine}

{}",
        report.day,
        report.markdown()
    )
}

/// The command that repeats this run.
fn command(wanted: &Wanted, seed: u64) -> String {
    let mut command =
        format!("cargo xtask chaos --minutes {} --nodes {} --seed {seed}", wanted.minutes, wanted.nodes);
    if let Some(faults) = wanted.faults {
        command.push_str(&format!(" --faults {faults}"));
    }
    if !wanted.kinds.is_empty() {
        let kinds: Vec<&str> = wanted.kinds.iter().map(|kind| kind.name()).collect();
        command.push_str(&format!(" --kinds {}", kinds.join(",")));
    }
    for (name, value, default) in [
        ("quiet", wanted.quiet, 8.0),
        ("writers", wanted.writers as f64, 4.0),
        ("rate", wanted.rate, 2_000.0),
    ] {
        if value != default {
            command.push_str(&format!(" --{name} {value}"));
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        wanted: Wanted,
    }

    #[test]
    fn the_command_that_repeats_a_run_has_the_options_that_differ_from_the_defaults() {
        let of = |arguments: &[&str]| command(&Cli::parse_from([&["chaos"], arguments].concat()).wanted, 7);
        assert_eq!(of(&[]), "cargo xtask chaos --minutes 5 --nodes 3 --seed 7");
        assert_eq!(
            of(&["--minutes", "0.5", "--nodes", "4", "--faults", "9", "--rate", "900"]),
            "cargo xtask chaos --minutes 0.5 --nodes 4 --seed 7 --faults 9 --rate 900"
        );
    }
}
