//! Tests in SQL, run by PostgreSQL's own pg_regress and isolationtester.

use std::ffi::OsStr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, anyhow, bail};
use pg_test::{InstallTree, Server};

use super::tally::Tally;
use xtask::cargo;
use xtask::step::Step;

/// One kind of SQL tests.
#[derive(Clone, Copy)]
pub struct Suite {
    /// The directory below `pg_test`.
    directory: &'static str,
    /// The directory of the tests within it, and how their names end.
    tests: &'static str,
    suffix: &'static str,
    /// The program that runs them, within PGXS.
    program: &'static str,
    /// The number of servers that share its files.
    servers: usize,
    title: &'static str,
}

/// One session at a time.
pub const REGRESS: Suite = Suite {
    directory: "regress",
    tests: "sql",
    suffix: "sql",
    program: "src/test/regress/pg_regress",
    servers: 2,
    title: "Running pg_regress",
};

/// Several sessions at once.
pub const ISOLATION: Suite = Suite {
    directory: "isolation",
    tests: "specs",
    suffix: "spec",
    program: "src/test/isolation/pg_isolation_regress",
    // Its sessions wait for each other for a fixed time.
    servers: 1,
    title: "Running pg_isolation_regress",
};

/// How the server behaves while a suite runs. Results must not depend on it.
pub struct Circumstances {
    /// For the heading, after the name of the program.
    title: &'static str,
    /// For the directory.
    name: &'static str,
    settings: &'static [&'static str],
    /// Prefixes of the tests that are run; all, if it is empty.
    tests: &'static [&'static str],
}

impl Circumstances {
    /// The server's defaults.
    pub fn usual() -> Self {
        Self { title: "", name: "usual", settings: &[], tests: &[] }
    }

    /// Parallel workers and generic plans are forced, and row-level security raises an error.
    fn parallel(major: u32) -> Self {
        let settings: &[&str] = if major < 16 {
            &["force_parallel_mode = regress", "plan_cache_mode = force_generic_plan", "row_security = off"]
        } else {
            &["debug_parallel_query = regress", "plan_cache_mode = force_generic_plan", "row_security = off"]
        };
        let title = " with parallel workers, generic plans and row_security off";
        Self { title, name: "parallel", settings, tests: &[] }
    }

    /// JIT compiles every expression, for the functions that are called once for each row.
    fn compiled() -> Self {
        // Without optimization, which takes a second for each statement.
        let settings =
            &["jit = on", "jit_above_cost = 0", "jit_inline_above_cost = -1", "jit_optimize_above_cost = -1"];
        let tests = &["ulid", "uuidv7", "partitioned_nextval"];
        Self { title: " of keys with JIT", name: "compiled", settings, tests }
    }

    /// Caches are discarded whenever an invalidation could arrive.
    fn forgetful() -> Self {
        Self {
            title: " with caches discarded all the time",
            name: "forgetful",
            settings: &["debug_discard_caches = 1"],
            // The tests that use caches of catalogs and take only minutes.
            tests: &[
                "new_sequences",
                "node_identity",
                "partitioned_nextval",
                "sequences_reset",
                "sequences_setup",
                "sequences_split",
                "ulid_type",
                "uuidv7_bad_input",
            ],
        }
    }
}

/// Runs the SQL tests again with settings that must not change their output.
pub fn run_again(tree: &InstallTree, filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    run(tree, REGRESS, &Circumstances::parallel(tree.major()), filter, tally)?;
    run(tree, REGRESS, &Circumstances::compiled(), filter, tally)?;
    if !has_assertions(tree)? {
        tally.skip(
            "pg_regress with caches discarded all the time",
            "this PostgreSQL is built without --enable-cassert, which debug_discard_caches needs",
        );
        return Ok(());
    }
    run(tree, REGRESS, &Circumstances::forgetful(), filter, tally)
}

fn has_assertions(tree: &InstallTree) -> Result<bool> {
    let output = tree.command("pg_config").arg("--configure").output().context("could not run pg_config")?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("--enable-cassert"))
}

/// Runs a suite, with its files divided among as many servers as it names and the machine has
/// processors for, at the same time.
pub fn run(
    tree: &InstallTree,
    suite: Suite,
    circumstances: &Circumstances,
    filter: Option<&str>,
    tally: &mut Tally,
) -> Result<()> {
    let source = cargo::workspace_root().join("pg_test").join(suite.directory);
    let mut names = names(&source.join(suite.tests), suite.suffix, filter)?;
    names.retain(|name| {
        circumstances.tests.is_empty() || circumstances.tests.iter().any(|begin| name.starts_with(begin))
    });
    if names.is_empty() {
        return Ok(());
    }
    let step = Step::quiet(format!("{}{}", suite.title, circumstances.title));
    install_stand_ins(tree, &source)?;
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let source = source.as_path();
    let shares = shares(&names, suite.servers.min(processors));
    let outcomes: Vec<Result<Outcome>> = std::thread::scope(|scope| {
        let threads: Vec<_> = shares
            .iter()
            .enumerate()
            .map(|(number, names)| {
                scope.spawn(move || run_share(tree, suite, circumstances, source, number + 1, names))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
            .collect()
    });
    let mut found = Tally::default();
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>>>()?;
    for outcome in &outcomes {
        found.add(outcome.found);
    }
    step.done_with(&found.to_string());
    for outcome in outcomes.iter().filter(|outcome| !outcome.succeeded) {
        println!("{}\n{}", outcome.text, outcome.differences);
        println!("The output of these tests is kept in {}", results_directory(suite).display());
    }
    let ran = found.passed + found.failed;
    if usize::try_from(ran).is_ok_and(|ran| ran != names.len()) {
        bail!("{} of {} tests reported a result", ran, names.len());
    }
    tally.add(found);
    Ok(())
}

/// The names of the files for each server, as many as there are servers, in order. Neighbours have
/// similar subjects and take similar times, so they are dealt out in turn.
fn shares(names: &[String], servers: usize) -> Vec<Vec<&str>> {
    let servers = servers.clamp(1, names.len().max(1));
    (0..servers)
        .map(|first| names.iter().skip(first).step_by(servers).map(String::as_str).collect())
        .collect()
}

/// What one run of the program reported.
struct Outcome {
    found: Tally,
    succeeded: bool,
    /// What the program printed.
    text: String,
    differences: String,
}

/// Runs some files of a suite on a server of its own.
fn run_share(
    tree: &InstallTree,
    suite: Suite,
    circumstances: &Circumstances,
    source: &Path,
    number: usize,
    names: &[&str],
) -> Result<Outcome> {
    let directory = format!("{}-{}-{number}", suite.directory, circumstances.name);
    // A copy, since the server's user may not be allowed to read the checkout.
    let work = tree.run().make_directory(&format!("{directory}-files"))?;
    for directory in [suite.tests, "expected"] {
        copy_files(&source.join(directory), &work.join(directory))?;
    }
    tree.run().make_directory(&format!("{directory}-files/results"))?;
    // A concurrent ANALYZE would keep dead rows, and tables would grow more than expected.
    let settings: Vec<&str> = ["autovacuum = off"].iter().chain(circumstances.settings).copied().collect();
    let server = Server::start(tree, &directory, &settings)?;
    let output = tree
        .pgxs_command(suite.program)
        .arg(format!("--inputdir={}", work.display()))
        .arg(format!("--outputdir={}", work.display()))
        .arg(format!("--bindir={}", tree.bindir().display()))
        .arg(format!("--host={}", server.socket_dir().display()))
        .args(["--port=5432", "--user=postgres", "--dbname=pg_keyspace_regression"])
        .args(["--load-extension=pg_keyspace", "--load-extension=pg_keyspace_test"])
        .args(names)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not run {}", suite.program))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut outcome = Outcome {
        found: Tally::of_pg_regress(&text),
        succeeded: output.status.success(),
        text: format!("{text}{}", String::from_utf8_lossy(&output.stderr)),
        differences: String::new(),
    };
    if !outcome.succeeded {
        outcome.differences = std::fs::read_to_string(work.join("regression.diffs")).unwrap_or_default();
        // The directory of the run is removed, and the new output is needed to accept a change.
        copy_files(&work.join("results"), &results_directory(suite))?;
    }
    Ok(outcome)
}

fn results_directory(suite: Suite) -> PathBuf {
    cargo::results_directory().join(suite.directory)
}

/// Replaces other extensions in the tree by stand-ins.
fn install_stand_ins(tree: &InstallTree, source: &Path) -> Result<()> {
    let stand_ins = source.join("extensions");
    if !stand_ins.is_dir() {
        return Ok(());
    }
    // Replace a link to the file of the system, rather than the file.
    for entry in std::fs::read_dir(&stand_ins).context("could not read the stand-ins")?.flatten() {
        let place = tree.extension_dir().join(entry.file_name());
        if place.is_symlink() {
            std::fs::remove_file(&place).with_context(|| format!("could not remove {}", place.display()))?;
        }
    }
    copy_files(&stand_ins, tree.extension_dir())
}

fn names(directory: &Path, suffix: &str, filter: Option<&str>) -> Result<Vec<String>> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("could not read {}", directory.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some(OsStr::new(suffix)))
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .filter(|name| filter.is_none_or(|filter| name.contains(filter)))
        .collect();
    names.sort();
    Ok(names)
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
    let entries = std::fs::read_dir(from).with_context(|| format!("could not read {}", from.display()))?;
    for entry in entries.flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name()))
            .with_context(|| format!("could not copy {}", entry.path().display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn every_file_is_in_one_share() {
        let names: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        assert_eq!(shares(&names, 2), [vec!["a", "c", "e"], vec!["b", "d"]]);
        assert_eq!(shares(&names, 1), [vec!["a", "b", "c", "d", "e"]]);
        // No server without a file.
        assert_eq!(shares(&names[..1], 2), [vec!["a"]]);
    }
}
