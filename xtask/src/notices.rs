//! `cargo xtask notices`: the licences of all linked packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, NodeDep, Package};

use xtask::cargo;

/// One platform, so that the list is the same on every machine.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Prefixes of the names of licence files, the least restrictive first: one licence is enough.
const LICENCE_FILES: [&str; 7] =
    ["LICENSE-MIT", "MIT", "LICENSE-ZLIB", "LICENSE", "LICENCE", "COPYING", "UNLICENSE"];

/// Of a choice between licences, the last one to take.
const ALTERNATIVES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-BOOST"];

/// The texts of packages that bring none with the names of their authors, from their repositories. A
/// name stands for all packages that begin with it.
const KEPT: [(&str, &str); 3] = [
    ("enum-map", include_str!("licences/enum-map.txt")),
    ("pgrx", include_str!("licences/pgrx.txt")),
    ("seahash", include_str!("licences/seahash.txt")),
];

/// The standard library, which is no package. Version 1.95 of Rust says in COPYRIGHT-library.html what
/// it holds.
const STANDARD_LIBRARY: (&str, &str) =
    ("the standard library of Rust", include_str!("licences/rust-std.txt"));

/// The packages that are distributed.
const DISTRIBUTED: [&str; 2] = ["pg_keyspace", "cli"];

const PREAMBLE: &str = "# What is linked into the library and the client program

Written by `cargo xtask notices`; `cargo xtask test --only lint` says when it is out of date. The
library and the client program `pg_keyspace` hold code of the following packages, each under the
licence that is named. If an author leaves the choice between several (OR), one of them follows
below; if several apply together (AND), all of them.

";

/// The file.
fn path() -> PathBuf {
    cargo::workspace_root().join("THIRD-PARTY.md")
}

/// Writes the list or, with `check`, compares it with the committed one.
pub fn run(check: bool) -> Result<()> {
    let text = notices()?;
    if !check {
        std::fs::write(path(), text).context("could not write THIRD-PARTY.md")?;
        println!("Wrote THIRD-PARTY.md");
        return Ok(());
    }
    if std::fs::read_to_string(path()).unwrap_or_default() != text {
        bail!("THIRD-PARTY.md is out of date; run \"cargo xtask lint --fix\" and commit the result");
    }
    Ok(())
}

fn notices() -> Result<String> {
    let metadata = metadata(PLATFORM)?;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::from(PREAMBLE);
    list.push_str("| package | version | licence | from |\n| --- | --- | --- | --- |\n");
    for package in linked(&metadata, &DISTRIBUTED)? {
        let licence = package.license.as_deref();
        let licence = licence.with_context(|| format!("{} names no licence", package.name))?;
        let from = package.repository.as_deref().unwrap_or("crates.io");
        writeln!(list, "| {} | {} | {licence} | {from} |", package.name, package.version)?;
        let text = licence_text(package.name.as_str(), licence, package.manifest_path.as_std_path())?;
        texts.entry(text).or_default().push(package.name.to_string());
    }
    let (name, text) = STANDARD_LIBRARY;
    writeln!(list, "| {name} | | (MIT OR Apache-2.0) AND Unicode-3.0 | https://github.com/rust-lang/rust |")?;
    texts.entry(text.to_owned()).or_default().push(name.to_owned());
    let mut by_package: Vec<(Vec<String>, String)> =
        texts.into_iter().map(|(text, packages)| (packages, text)).collect();
    by_package.sort();
    for (packages, text) in by_package {
        write!(list, "\n## {}\n\n```\n{}\n```\n", packages.join(", "), text.trim_matches('\n'))?;
    }
    Ok(list)
}

/// What cargo says of the packages for a platform.
pub fn metadata(platform: &str) -> Result<Metadata> {
    let mut command = MetadataCommand::new();
    command.current_dir(cargo::workspace_root());
    command.other_options(["--locked", "--filter-platform", platform].map(str::to_owned).to_vec());
    command.exec().context("cargo metadata failed")
}

/// The packages that are linked into these of the workspace, without those that only run during the
/// build.
pub fn linked<'a>(metadata: &'a Metadata, into: &[&str]) -> Result<Vec<&'a Package>> {
    let packages: BTreeMap<_, _> = metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let tops = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_none() && into.contains(&package.name.as_str()));
    let mut waiting: Vec<_> = tops.map(|package| &package.id).collect();
    if waiting.len() < into.len() {
        bail!("the workspace does not have all of {}", into.join(", "));
    }
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let package = packages.get(id).context("an unknown package")?;
        if package.targets.iter().any(|target| target.is_proc_macro()) || !seen.insert(id) {
            continue;
        }
        let node = nodes.get(id).context("a package that is not resolved")?;
        let is_linked = |dependency: &&NodeDep| {
            dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
        };
        waiting.extend(node.deps.iter().filter(is_linked).map(|dependency| &dependency.pkg));
    }
    let mut linked: Vec<&Package> = seen.into_iter().filter_map(|id| packages.get(id).copied()).collect();
    // Packages of this workspace have its licence.
    linked.retain(|package| package.source.is_some());
    linked.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    Ok(linked)
}

/// The text of the licence of the package with this manifest. Of a choice it is one; where several
/// licences apply together, it is that one with the texts of all others.
fn licence_text(name: &str, licence: &str, manifest: &Path) -> Result<String> {
    let directory = manifest.parent().unwrap_or(Path::new("."));
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("could not read {}", directory.display()))?;
    let mut files: Vec<(usize, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_str()?.to_ascii_uppercase().replace('_', "-");
            let rank = LICENCE_FILES.iter().position(|beginning| name.starts_with(beginning))?;
            let is_left_out = ALTERNATIVES.iter().any(|beginning| name.starts_with(beginning));
            let rank = if is_left_out { LICENCE_FILES.len() } else { rank };
            entry.path().is_file().then(|| (rank, entry.path()))
        })
        .collect();
    files.sort();
    let mut paths: Vec<&PathBuf> = files.iter().take(1).map(|(_, path)| path).collect();
    if licence.contains(" AND ") {
        let others = files.iter().skip(1).filter(|(rank, _)| *rank < LICENCE_FILES.len());
        paths.extend(others.map(|(_, path)| path));
    }
    let mut texts = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path);
        texts.push(text.with_context(|| format!("could not read {}", path.display()))?);
    }
    if texts.is_empty() {
        let kept = KEPT.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, text)| *text);
        let kept = kept
            .with_context(|| format!("{name} brings no text of its licence; add it to xtask/src/licences"))?;
        texts.push(kept.to_owned());
    }
    let texts = texts.iter().map(|text| {
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n")
    });
    Ok(texts.collect::<Vec<_>>().join("\n\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn packages_that_run_during_the_build_are_not_linked() {
        let package = |id: &str, kind: &str, source: Option<&str>| {
            let target = json!({"name": id, "kind": [kind], "src_path": "/lib.rs"});
            json!({"id": id, "name": id, "version": "1.0.0", "license": "MIT", "manifest_path": "/Cargo.toml",
                   "source": source, "targets": [target], "dependencies": [], "features": {}})
        };
        let registry = Some("registry");
        let depends =
            |on: &str, kind: Option<&str>| json!({"name": on, "pkg": on, "dep_kinds": [{"kind": kind}]});
        let node = |id: &str, deps: Vec<Value>| json!({"id": id, "deps": deps, "dependencies": []});
        let metadata = json!({
            "packages": [
                package("pg_keyspace", "cdylib", None), package("linked", "lib", registry),
                package("cli", "bin", None), package("of_client", "lib", registry),
                package("macros", "proc-macro", registry), package("syntax", "lib", registry),
                package("build", "lib", registry),
            ],
            "resolve": {"nodes": [
                node("pg_keyspace", vec![
                    depends("linked", None), depends("macros", None), depends("build", Some("build")),
                ]),
                node("cli", vec![depends("of_client", None)]), node("of_client", vec![]),
                node("linked", vec![]), node("macros", vec![depends("syntax", None)]), node("syntax", vec![]),
                node("build", vec![]),
            ]},
            "workspace_members": [], "workspace_root": "/", "target_directory": "/target", "version": 1,
        });
        let metadata: Metadata = serde_json::from_value(metadata).expect("metadata");
        let names = |into: &[&str]| -> Vec<String> {
            let linked = linked(&metadata, into).expect("a list");
            linked.iter().map(|package| package.name.to_string()).collect()
        };
        assert_eq!(names(&DISTRIBUTED), ["linked", "of_client"]);
        assert_eq!(names(&["pg_keyspace"]), ["linked"]);
    }

    #[test]
    fn a_package_without_a_text_of_its_licence_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let manifest = directory.path().join("Cargo.toml");
        let text = |name: &str| licence_text(name, "MIT OR Apache-2.0", &manifest);
        assert!(text("other").is_err_and(|error| error.to_string().contains("other brings no text")));
        assert!(text("pgrx-pg-sys").expect("a text").contains("PgCentral Foundation"));
        std::fs::write(directory.path().join("LICENSE-MIT"), "of its own").expect("a file");
        assert_eq!(text("pgrx").expect("a text"), "of its own");
        for (name, contents) in [("LICENSE_APACHE", "not taken"), ("LICENSE-UNICODE", "of its tables")] {
            std::fs::write(directory.path().join(name), contents).expect("a file");
        }
        assert_eq!(text("other").expect("a text"), "of its own");
        let both = licence_text("other", "(MIT OR Apache-2.0) AND Unicode-3.0", &manifest);
        assert_eq!(both.expect("texts"), "of its own\n\nof its tables");
        std::fs::remove_file(directory.path().join("LICENSE-MIT")).expect("removed");
        std::fs::remove_file(directory.path().join("LICENSE-UNICODE")).expect("removed");
        assert_eq!(text("other").expect("a text"), "not taken");
        // All that is distributed has one.
        let list = notices().expect("a list");
        assert!(list.contains("Portions Copyright 2019-2021 ZomboDB") && list.contains("UNICODE LICENSE V3"));
        assert!(!list.contains("<copyright holders>"));
        // What ring took from BoringSSL, which its own file only mentions.
        assert!(list.contains("Parts of the TLS test suite are under the Go license"));
    }
}
