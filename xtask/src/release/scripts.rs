//! The scripts of released versions, which never change: databases were made by them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::package::sha256;

/// The list of released scripts with their checksums, below the top of the sources.
pub const LIST: &str = "sql/released.sha256";

/// The versions between which a script leads, or the one that it installs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Script {
    Install(String),
    Upgrade(String, String),
}

impl Script {
    fn parse(name: &str) -> Option<Self> {
        let versions = name.strip_prefix("pg_keyspace--")?.strip_suffix(".sql")?;
        Some(match versions.split_once("--") {
            Some((from, to)) => Self::Upgrade(from.to_owned(), to.to_owned()),
            None => Self::Install(versions.to_owned()),
        })
    }

    /// The version that a database has after it.
    fn to(&self) -> &str {
        match self {
            Self::Install(version) | Self::Upgrade(_, version) => version,
        }
    }
}

/// The released scripts, by their names, with their checksums.
pub fn released(top: &Path) -> Result<BTreeMap<String, String>> {
    let path = top.join(LIST);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {LIST}"))?;
    let lines = text.lines().map(|line| {
        let (sum, name) = line.split_once("  ").with_context(|| format!("{LIST}: not a checksum: {line}"))?;
        Ok((name.to_owned(), sum.to_owned()))
    });
    lines.collect()
}

/// What is wrong with the scripts: a released one has changed, or a release has no way to `version`.
pub fn problems(top: &Path, version: &str) -> Result<Vec<String>> {
    let released = released(top)?;
    let mut found = Vec::new();
    for (name, sum) in &released {
        match std::fs::read(path(top, name)) {
            Ok(contents) if sha256(&contents) == *sum => {}
            Ok(_) => found.push(format!("sql/{name} was released and has changed since; restore it")),
            Err(_) => found.push(format!("sql/{name} was released and is missing; restore it")),
        }
    }
    let scripts = scripts(top)?;
    if !scripts.iter().any(|script| *script == Script::Install(version.to_owned())) {
        found.push(format!("there is no install script of version {version}"));
    }
    for name in released.keys() {
        if let Some(Script::Install(from)) = Script::parse(name)
            && !leads(&scripts, &from, version)
        {
            found.push(format!("no upgrade scripts lead from version {from} to {version}"));
        }
    }
    Ok(found)
}

/// Adds the scripts that lead to a version to the list of released ones.
pub fn freeze(top: &Path, version: &str) -> Result<()> {
    let mut list = released(top)?;
    for script in scripts(top)?.iter().filter(|script| script.to() == version) {
        let name = name(script);
        let contents =
            std::fs::read(path(top, &name)).with_context(|| format!("could not read sql/{name}"))?;
        list.entry(name).or_insert_with(|| sha256(&contents));
    }
    ensure!(!list.is_empty(), "there are no scripts of version {version}");
    let text: String = list.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    std::fs::write(top.join(LIST), text).with_context(|| format!("could not write {LIST}"))
}

/// Writes the scripts of the version after a released one: the same objects under the next number, and
/// an upgrade that changes none yet. Returns their paths from the top.
pub fn begin(top: &Path, released: &str, next: &str) -> Result<Vec<String>> {
    let install = std::fs::read_to_string(path(top, &name(&Script::Install(released.to_owned()))));
    let upgrade = format!(
        "-- Changes the objects of version {released} into those of version {next}.\n\n\
         SELECT keyspace_internal.check_library_version();\n"
    );
    let scripts = [
        (Script::Install(next.to_owned()), install.context("could not read the install script")?),
        (Script::Upgrade(released.to_owned(), next.to_owned()), upgrade),
    ];
    let written = scripts.iter().map(|(script, text)| {
        let name = name(script);
        std::fs::write(path(top, &name), text).with_context(|| format!("could not write sql/{name}"))?;
        Ok(format!("sql/{name}"))
    });
    written.collect()
}

fn path(top: &Path, name: &str) -> PathBuf {
    top.join("sql").join(name)
}

fn name(script: &Script) -> String {
    match script {
        Script::Install(version) => format!("pg_keyspace--{version}.sql"),
        Script::Upgrade(from, to) => format!("pg_keyspace--{from}--{to}.sql"),
    }
}

fn scripts(top: &Path) -> Result<BTreeSet<Script>> {
    let mut scripts = BTreeSet::new();
    for entry in std::fs::read_dir(top.join("sql")).context("could not read sql")? {
        scripts.extend(Script::parse(&entry.context("could not read sql")?.file_name().to_string_lossy()));
    }
    Ok(scripts)
}

/// Whether `ALTER EXTENSION UPDATE` finds a way, over one or several scripts.
fn leads(scripts: &BTreeSet<Script>, from: &str, to: &str) -> bool {
    let mut reached = BTreeSet::from([from]);
    loop {
        let further = scripts.iter().filter_map(|script| match script {
            Script::Upgrade(from, to) if reached.contains(from.as_str()) => Some(to.as_str()),
            _ => None,
        });
        let more: BTreeSet<&str> = further.filter(|version| !reached.contains(version)).collect();
        if more.is_empty() {
            return reached.contains(to);
        }
        reached.extend(more);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    use xtask::cargo;

    #[test]
    fn released_scripts_are_unchanged_and_lead_to_this_version() {
        let found = problems(cargo::workspace_root(), cargo::VERSION).expect("scripts");
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn a_released_script_that_changes_or_leads_nowhere_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let top = directory.path();
        std::fs::create_dir(top.join("sql")).expect("a directory");
        let write = |name: &str, text: &str| std::fs::write(path(top, name), text).expect("a script");
        let found = |version: &str| problems(top, version).expect("scripts");
        assert_eq!(found("1.0.0"), ["there is no install script of version 1.0.0"]);
        write("pg_keyspace--1.0.0.sql", "one");
        write("versions.sql", "a part, and no script of a version");
        assert!(found("1.0.0").is_empty());
        freeze(top, "1.0.0").expect("frozen");
        assert!(found("1.0.0").is_empty());
        assert_eq!(begin(top, "1.0.0", "1.0.1").expect("begun").len(), 2);
        assert!(found("1.0.1").is_empty());
        freeze(top, "1.0.1").expect("frozen");
        begin(top, "1.0.1", "1.1.0").expect("begun");
        assert!(found("1.1.0").is_empty(), "two scripts lead from the first version to this one");
        // That of the version in work may change.
        write("pg_keyspace--1.1.0.sql", "more");
        write("pg_keyspace--1.0.1--1.1.0.sql", "more");
        assert!(found("1.1.0").is_empty());
        let upgrade = path(top, "pg_keyspace--1.0.0--1.0.1.sql");
        let text = std::fs::read_to_string(&upgrade).expect("a script");
        std::fs::write(&upgrade, "changed").expect("a script");
        assert_eq!(
            found("1.1.0"),
            ["sql/pg_keyspace--1.0.0--1.0.1.sql was released and has changed since; restore it"]
        );
        // Another release does not hide it.
        freeze(top, "1.1.0").expect("frozen");
        assert_eq!(found("1.1.0").len(), 1);
        std::fs::remove_file(&upgrade).expect("removed");
        assert_eq!(
            found("1.1.0"),
            [
                "sql/pg_keyspace--1.0.0--1.0.1.sql was released and is missing; restore it",
                "no upgrade scripts lead from version 1.0.0 to 1.1.0",
            ]
        );
        std::fs::write(&upgrade, text).expect("a script");
        assert!(found("1.1.0").is_empty());
    }
}
