//! `cargo xtask schema`: the install script.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pg_test::PgConfig;
use xshell::{Shell, cmd};

use xtask::cargo::{self, Build};
use xtask::step::Step;

use crate::release::scripts;

/// The script that `CREATE EXTENSION` runs.
pub fn script_path() -> PathBuf {
    cargo::workspace_root().join(format!("sql/pg_keyspace--{}.sql", cargo::VERSION))
}

/// Writes the script from the code or, with `check`, compares it with the committed one.
pub fn run(pg: &PgConfig, check: bool) -> Result<()> {
    let library = cargo::build_extension(pg, Build::Release)?;
    if check {
        check_against(&library)?;
        println!("sql/pg_keyspace--{}.sql is the script that the code generates", cargo::VERSION);
        return Ok(());
    }
    let path = script_path();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ensure!(
        !scripts::released(cargo::workspace_root())?.contains_key(&*name),
        "sql/{name} was released and never changes; begin the next version"
    );
    generate(&library, &path)?;
    println!("Wrote sql/pg_keyspace--{}.sql", cargo::VERSION);
    Ok(())
}

/// Compares the committed script with the one of `library`.
pub fn check_against(library: &Path) -> Result<()> {
    let directory = tempfile::tempdir().context("could not create a temporary directory")?;
    let generated = directory.path().join("generated.sql");
    generate(library, &generated)?;
    let (sh, checked_in) = (Shell::new().context("there is no working directory")?, script_path());
    let difference = cmd!(sh, "diff --unified {checked_in} {generated}").ignore_status().read()?;
    ensure!(
        difference.is_empty(),
        "sql/pg_keyspace--{}.sql is not the script that the code generates; run \"cargo xtask schema\" and commit the result\n\
         {difference}",
        cargo::VERSION
    );
    Ok(())
}

/// Writes the install script of `library` to `output`.
pub fn generate(library: &Path, output: &Path) -> Result<()> {
    let mut build = cargo::command_for_extension("build");
    build.args(["--package", "xtask_schema"]);
    cargo::run(build, "Building the generator of the install script")?;
    let step = Step::quiet("Generating the install script");
    let sh = Shell::new().context("there is no working directory")?;
    let generator = cargo::target_directory().join("debug/xtask_schema");
    let (control, version) = (cargo::workspace_root().join("pg_keyspace.control"), cargo::VERSION);
    cmd!(sh, "{generator} {library} {control} {version} {output}").quiet().run()?;
    step.done();
    Ok(())
}
