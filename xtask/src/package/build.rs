//! The library of each version of PostgreSQL, built on this machine or in a container.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use pg_test::PgConfig;

use xtask::cargo::{self, Build};
use xtask::container;
use xtask::prerequisites::{self, Options, Purpose};
use xtask::versions::{self, Place};
use xtask::workspace_version::{following, in_lock, in_manifest};

use super::version::git;

/// The directory of a made-up next version, below the target directory: its sources, and what is
/// built from them.
const NEXT: &str = "next-version";

/// A library, and the sources that it was built from.
pub struct Built {
    /// PostgreSQL's major version.
    pub major: u32,
    /// The library.
    pub library: PathBuf,
    /// The top of the sources.
    pub sources: PathBuf,
    /// The extension's version.
    pub version: String,
}

/// Builds the extension for the version of PostgreSQL that the options name, wherever that is.
///
/// # Errors
///
/// If it does not compile, or the container cannot be created.
pub fn extension(options: &Options) -> Result<Built> {
    let sources = cargo::workspace_root().to_owned();
    let version = cargo::VERSION.to_owned();
    match versions::place(options)? {
        Place::Here => {
            let pg = prerequisites::ensure(options, Purpose::Build)?;
            let library = here(&pg)?;
            Ok(Built { major: pg.major(), library, sources, version })
        }
        Place::Container(release) => {
            within(options, release, &[])?;
            let library = release.target().join("release/libpg_keyspace.so");
            Ok(Built { major: release.major, library, sources, version })
        }
    }
}

/// Builds the extension with the version number after this one, with an upgrade script and a
/// function that this version lacks. For tests of upgrades.
///
/// # Errors
///
/// If it does not compile, or this is no git checkout.
pub fn next_version(options: &Options) -> Result<Built> {
    let version = following(cargo::VERSION)?;
    match versions::place(options)? {
        Place::Here => {
            let pg = prerequisites::ensure(options, Purpose::Build)?;
            let directory = cargo::target_directory().join(NEXT);
            let sources = make_sources(&directory, &version)?;
            let library = next_version_here(&pg)?;
            Ok(Built { major: pg.major(), library, sources, version })
        }
        Place::Container(release) => {
            let directory = release.target().join(NEXT);
            // Here, because a container has no access to the repository of a linked worktree.
            let sources = make_sources(&directory, &version)?;
            within(options, release, &["--next-version"])?;
            let library = directory.join("target/release/libpg_keyspace.so");
            Ok(Built { major: release.major, library, sources, version })
        }
    }
}

/// Builds the library for PostgreSQL on this machine.
pub fn here(pg: &PgConfig) -> Result<PathBuf> {
    cargo::build_extension(pg, Build::Release)
}

/// Builds the library of the next version, whose sources exist already.
pub fn next_version_here(pg: &PgConfig) -> Result<PathBuf> {
    let directory = cargo::target_directory().join(NEXT);
    let target = directory.join("target");
    adopt_dependencies(&target)?;
    let mut command = cargo::command_for_extension("build");
    command
        .current_dir(directory.join("sources"))
        .args(["--locked", "--release", "--lib", "--package", "pg_keyspace"])
        .args(["--no-default-features", "--features"])
        .arg(pg.feature())
        // It has to work, but not to be fast; so it takes less than half of the time to compile.
        .args(["--config", "profile.release.package.pg_keyspace.opt-level=0"])
        .args(["--config", "profile.release.package.keyspace.opt-level=0"])
        .env("PGRX_PG_CONFIG_PATH", pg.path())
        // Not the same one: both libraries have the same name there.
        .env("CARGO_TARGET_DIR", &target);
    cargo::run(command, &format!("Building a made-up next version for PostgreSQL {}", pg.major()))?;
    Ok(target.join("release/libpg_keyspace.so"))
}

/// Calls this program in the container of a release, to build the library alone.
fn within(options: &Options, release: container::Release, more: &[&str]) -> Result<()> {
    let major = release.major.to_string();
    let arguments = ["--pg", &major, "package", "--only-library"];
    let arguments = arguments.iter().chain(more).map(OsString::from).collect();
    ensure!(
        container::run(options, release, arguments)?,
        "could not build the library for PostgreSQL {major}"
    );
    Ok(())
}

/// Copies the sources, and makes the next version of them. Files that have not changed keep their
/// times, so that cargo need not compile them again.
fn make_sources(directory: &Path, version: &str) -> Result<PathBuf> {
    let sources = directory.join("sources");
    let files = git(&["ls-files", "-z"])?.context("a made-up next version needs a git checkout")?;
    let current = cargo::VERSION;
    for name in files.split('\0').filter(|name| !name.is_empty()) {
        let from = cargo::workspace_root().join(name);
        // A file that was deleted, but not committed.
        if !from.is_file() {
            continue;
        }
        let mut contents =
            std::fs::read(&from).with_context(|| format!("could not read {}", from.display()))?;
        let changed = match name {
            "Cargo.toml" => Some(in_manifest as fn(&str, &str, &str) -> Result<String>),
            "Cargo.lock" => Some(in_lock as fn(&str, &str, &str) -> Result<String>),
            _ => None,
        };
        if let Some(changed) = changed {
            let text = String::from_utf8(contents).with_context(|| format!("{name} is no text"))?;
            contents = changed(&text, current, version)?.into_bytes();
        }
        replace_if_changed(&sources.join(name), &contents)?;
    }
    let addition = format!(
        "CREATE FUNCTION keyspace_internal.made_up_release() RETURNS text\n    LANGUAGE sql IMMUTABLE AS $$ SELECT '{version}' $$;\n\
         SELECT keyspace_internal.check_library_version();\n"
    );
    let script =
        std::fs::read_to_string(cargo::workspace_root().join(format!("sql/pg_keyspace--{current}.sql")));
    let script = script.context("could not read the install script")?;
    let sql = |name: String| sources.join("sql").join(name);
    replace_if_changed(&sql(format!("pg_keyspace--{version}.sql")), (script + &addition).as_bytes())?;
    replace_if_changed(&sql(format!("pg_keyspace--{current}--{version}.sql")), addition.as_bytes())?;
    Ok(sources)
}

fn replace_if_changed(path: &Path, contents: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|found| found == contents) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("could not make {}", directory.display()))?;
    }
    std::fs::write(path, contents).with_context(|| format!("could not write {}", path.display()))
}

/// Copies what is compiled already, which is nearly all, to a target directory that does not exist.
fn adopt_dependencies(target: &Path) -> Result<()> {
    let compiled = cargo::target_directory().join("release");
    if target.join("release").exists() || !compiled.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(target).with_context(|| format!("could not make {}", target.display()))?;
    let status = Command::new("cp").arg("--archive").arg(&compiled).arg(target).status();
    ensure!(status.context("could not run cp")?.success(), "could not copy {}", compiled.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_file_without_changes_keeps_its_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a/b");
        let time = || std::fs::metadata(&path).expect("a file").modified().expect("a time");
        replace_if_changed(&path, b"x").expect("written");
        let old = time();
        replace_if_changed(&path, b"x").expect("written");
        assert_eq!(time(), old);
        replace_if_changed(&path, b"y").expect("written");
        assert_eq!(std::fs::read(&path).expect("a file"), b"y");
    }
}
