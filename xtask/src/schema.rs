//! `cargo xtask schema`: the install script that is checked in.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use pg_test::PgConfig;
use xshell::{Shell, cmd};

use xtask::cargo::{self, Build};
use xtask::step::Step;

/// The script that `CREATE EXTENSION` runs.
pub fn script_path() -> PathBuf {
    cargo::workspace_root().join(format!("sql/pg_keyspace--{}.sql", cargo::VERSION))
}

/// Writes the script from the code or, with `check`, compares it with the one that is checked in.
///
/// # Errors
///
/// When the library does not build, or with `check` when the two differ.
pub fn run(pg: &PgConfig, check: bool) -> Result<()> {
    let library = cargo::build_extension(pg, Build::Release)?;
    if check {
        check_against(&library)?;
        println!("sql/pg_keyspace--{}.sql is what the code generates", cargo::VERSION);
        return Ok(());
    }
    let path = script_path();
    generate(&library, &path)?;
    println!("Wrote sql/pg_keyspace--{}.sql", cargo::VERSION);
    Ok(())
}

/// Compares the script that is checked in with what `library` describes.
///
/// # Errors
///
/// When they differ, with the first lines that do.
pub fn check_against(library: &Path) -> Result<()> {
    let directory = tempfile::tempdir().context("could not create a temporary directory")?;
    let generated = directory.path().join("generated.sql");
    generate(library, &generated)?;
    let path = script_path();
    let expected = std::fs::read_to_string(&generated).context("could not read the generated script")?;
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    match first_difference(&found, &expected) {
        None => Ok(()),
        Some(difference) => bail!(
            "sql/pg_keyspace--{}.sql is not what the code generates; run \"cargo xtask schema\" and commit the result\n\
             {difference}",
            cargo::VERSION
        ),
    }
}

/// Writes the install script of `library` to `output`.
///
/// # Errors
///
/// When the generator cannot be built or the library holds no SQL metadata.
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

/// The first line in which two texts differ, as a diff would show it.
fn first_difference(found: &str, expected: &str) -> Option<String> {
    if found == expected {
        return None;
    }
    let (mut old, mut new) = (found.lines(), expected.lines());
    let mut number = 1;
    loop {
        match (old.next(), new.next()) {
            (None, None) => return Some("the line ends differ".to_owned()),
            (left, right) if left == right => number += 1,
            (left, right) => {
                let show = |sign: char, line: Option<&str>| match line {
                    Some(line) => format!("{sign}{line}"),
                    None => format!("{sign}(end of the script)"),
                };
                return Some(format!("line {number}:\n{}\n{}", show('-', left), show('+', right)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_differing_line_is_shown() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n").as_deref(), Some("line 2:\n-b\n+c"));
        assert_eq!(first_difference("a\n", "a\nb\n").as_deref(), Some("line 2:\n-(end of the script)\n+b"));
        assert_eq!(first_difference("a\n", "a").as_deref(), Some("the line ends differ"));
    }
}
