//! `cargo xtask notices`: the licences of what is linked into the library.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use xtask::cargo;

/// The same list on every machine.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The beginnings of names of files that hold a licence, those first that ask for least: of several licences one is enough.
const LICENCE_FILES: [&str; 7] =
    ["LICENSE-MIT", "MIT", "LICENSE-ZLIB", "LICENSE", "LICENCE", "COPYING", "UNLICENSE"];

const PREAMBLE: &str = "# What is linked into the library

Written by `cargo xtask notices`; `cargo xtask test --only lint` says when it is out of date. The library `pg_keyspace` holds
code of the following packages, each under the licence that is named. Where an author leaves the choice between several,
the text below is of one of them.

";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    manifest_path: PathBuf,
    source: Option<String>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The file.
fn path() -> PathBuf {
    cargo::workspace_root().join("THIRD-PARTY.md")
}

/// Writes the list or, with `check`, compares it with the one that is checked in.
///
/// # Errors
///
/// When cargo does not tell what is linked, a package has no licence, or with `check` when the list is out of date.
pub fn run(check: bool) -> Result<()> {
    let text = notices()?;
    if !check {
        std::fs::write(path(), text).context("could not write THIRD-PARTY.md")?;
        println!("Wrote THIRD-PARTY.md");
        return Ok(());
    }
    if std::fs::read_to_string(path()).unwrap_or_default() != text {
        bail!("THIRD-PARTY.md is out of date; run \"cargo xtask notices\" and commit the result");
    }
    Ok(())
}

fn notices() -> Result<String> {
    let output = cargo::command()
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("could not run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed");
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo metadata is not understood")?;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::from(PREAMBLE);
    list.push_str("| package | version | licence | from |\n| --- | --- | --- | --- |\n");
    for package in linked(&metadata)? {
        let licence = package.license.as_deref();
        let licence = licence.with_context(|| format!("{} names no licence", package.name))?;
        let from = package.repository.as_deref().unwrap_or("crates.io");
        writeln!(list, "| {} | {} | {licence} | {from} |", package.name, package.version)?;
        let text = licence_text(package)?;
        texts.entry(text).or_default().push(package.name.clone());
    }
    let mut by_package: Vec<(Vec<String>, String)> =
        texts.into_iter().map(|(text, packages)| (packages, text)).collect();
    by_package.sort();
    for (packages, text) in by_package {
        write!(list, "\n## {}\n\n```\n{}\n```\n", packages.join(", "), text.trim_matches('\n'))?;
    }
    Ok(list)
}

/// What the library is linked from, without what only runs while it is built.
fn linked(metadata: &Metadata) -> Result<Vec<&Package>> {
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let top = metadata.packages.iter().find(|package| package.name == "pg_keyspace");
    let mut waiting = vec![top.context("the workspace has no package pg_keyspace")?.id.as_str()];
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let package = packages.get(id).context("an unknown package")?;
        let runs_at_build =
            package.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"));
        if runs_at_build || !seen.insert(id) {
            continue;
        }
        let node = nodes.get(id).context("a package that is not resolved")?;
        let links = |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
        waiting.extend(node.deps.iter().filter(links).map(|dependency| dependency.pkg.as_str()));
    }
    let mut linked: Vec<&Package> = seen.into_iter().filter_map(|id| packages.get(id).copied()).collect();
    // Ours are under the licence of the whole.
    linked.retain(|package| package.source.is_some());
    linked.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(linked)
}

fn licence_text(package: &Package) -> Result<String> {
    let directory = package.manifest_path.parent().unwrap_or(Path::new("."));
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("could not read {}", directory.display()))?;
    let mut files: Vec<(usize, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_str()?.to_ascii_uppercase();
            let rank = LICENCE_FILES.iter().position(|beginning| name.starts_with(beginning))?;
            entry.path().is_file().then(|| (rank, entry.path()))
        })
        .collect();
    files.sort();
    match files.first() {
        Some((_, path)) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("could not read {}", path.display()))?;
            let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
            Ok(lines.join("\n"))
        }
        None => Ok("(The package brings no text of its licence.)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn what_runs_while_building_is_not_linked() {
        let text = r#"{
            "packages": [
                {"id": "p", "name": "pg_keyspace", "version": "1.0.0", "license": "PostgreSQL", "repository": null,
                 "manifest_path": "/p/Cargo.toml", "source": null, "targets": [{"kind": ["cdylib"]}]},
                {"id": "l", "name": "linked", "version": "1.0.0", "license": "MIT", "repository": null,
                 "manifest_path": "/l/Cargo.toml", "source": "registry", "targets": [{"kind": ["lib"]}]},
                {"id": "m", "name": "macros", "version": "1.0.0", "license": "MIT", "repository": null,
                 "manifest_path": "/m/Cargo.toml", "source": "registry", "targets": [{"kind": ["proc-macro"]}]},
                {"id": "s", "name": "syntax", "version": "1.0.0", "license": "MIT", "repository": null,
                 "manifest_path": "/s/Cargo.toml", "source": "registry", "targets": [{"kind": ["lib"]}]},
                {"id": "b", "name": "build", "version": "1.0.0", "license": "MIT", "repository": null,
                 "manifest_path": "/b/Cargo.toml", "source": "registry", "targets": [{"kind": ["lib"]}]}
            ],
            "resolve": {"nodes": [
                {"id": "p", "deps": [{"pkg": "l", "dep_kinds": [{"kind": null}]}, {"pkg": "m", "dep_kinds": [{"kind": null}]},
                                      {"pkg": "b", "dep_kinds": [{"kind": "build"}]}]},
                {"id": "l", "deps": []}, {"id": "m", "deps": [{"pkg": "s", "dep_kinds": [{"kind": null}]}]},
                {"id": "s", "deps": []}, {"id": "b", "deps": []}
            ]}
        }"#;
        let metadata: Metadata = serde_json::from_str(text).expect("metadata");
        let names: Vec<&str> = linked(&metadata).expect("a list").iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["linked"]);
    }
}
