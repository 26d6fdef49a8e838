//! Bills of materials: what is linked into the library and the program, in CycloneDX 1.6.
//!
//! <https://cyclonedx.org/docs/1.6/json/>

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Metadata, Package};
use serde_json::{Value, json};

use super::checksums::sha256;
use super::client::{self, Client};
use super::library::Binary;
use super::product::{DESCRIPTION, Origin, Product, architecture};
use crate::notices;

use xtask::cargo;

/// What a list is of.
struct Subject<'a> {
    origin: &'a Origin,
    /// Its name, and cargo's name of its package.
    name: &'static str,
    package: &'static str,
    kind: &'static str,
    description: &'static str,
    binary: &'a Binary,
    /// PostgreSQL's major version, if it depends on one.
    major: Option<u32>,
}

/// Writes the list of the library, and returns its path.
///
/// # Errors
///
/// If cargo does not tell the packages, or the list cannot be written.
pub fn build(product: &Product, output: &Path) -> Result<PathBuf> {
    of_library(product).write(&product.file_name()?, output)
}

/// Writes the list of the client program, and returns its path.
///
/// # Errors
///
/// If cargo does not tell the packages, or the list cannot be written.
pub fn build_for_client(client: &Client, output: &Path) -> Result<PathBuf> {
    of_client(client).write(&client.file_name()?, output)
}

fn of_library(product: &Product) -> Subject<'_> {
    Subject {
        origin: &product.origin,
        name: "pg_keyspace",
        package: "pg_keyspace",
        kind: "library",
        description: DESCRIPTION,
        binary: &product.library.binary,
        major: Some(product.major),
    }
}

fn of_client(client: &Client) -> Subject<'_> {
    Subject {
        origin: &client.origin,
        name: "pg_keyspace-client",
        package: "cli",
        kind: "application",
        description: client::DESCRIPTION,
        binary: &client.binary,
        major: None,
    }
}

impl Subject<'_> {
    fn write(&self, name: &str, output: &Path) -> Result<PathBuf> {
        let metadata = notices::metadata(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH))?;
        let lock = std::fs::read_to_string(cargo::workspace_root().join("Cargo.lock"));
        let lock = lock.context("could not read Cargo.lock")?;
        let list = list(self, &metadata, &checksums(&lock), &compiler()?)?;
        let path = output.join(format!("{name}.cdx.json"));
        let text = serde_json::to_string_pretty(&list).context("could not write JSON")?;
        std::fs::write(&path, text + "\n").with_context(|| format!("could not write {}", path.display()))?;
        Ok(path)
    }
}

/// The version of the compiler, whose standard library is linked, too.
fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("could not run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.split_whitespace().nth(1).map(str::to_owned);
    version.context("rustc does not tell its version")
}

/// The checksums of the registry's packages, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]").skip(1);
    let found = blocks.filter_map(|block| {
        Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?))
    });
    found.collect()
}

fn list(
    subject: &Subject<'_>,
    metadata: &Metadata,
    checksums: &BTreeMap<(String, String), String>,
    compiler: &str,
) -> Result<Value> {
    let linked = notices::linked(metadata, &[subject.package])?;
    ensure!(!linked.is_empty(), "nothing is linked");
    let version = &subject.origin.version.extension;
    let mut own = format!("pkg:generic/{}@{version}", subject.name);
    let mut properties = vec![
        json!({"name": "pg_keyspace:architecture", "value": architecture()?}),
        json!({"name": "pg_keyspace:glibc", "value": subject.binary.glibc.to_string()}),
    ];
    if let Some(major) = subject.major {
        own.push_str(&format!("?postgresql={major}"));
        properties.push(json!({"name": "pg_keyspace:postgresql", "value": major.to_string()}));
    }
    let standard_library = format!("pkg:generic/rust-std@{compiler}");
    let mut components: Vec<Value> =
        linked.iter().map(|package| component(package, checksums)).collect::<Result<_>>()?;
    components.push(json!({
        "type": "library", "bom-ref": standard_library, "name": "rust-std", "version": compiler,
        "description": "the standard library of Rust", "purl": standard_library,
        "licenses": [{"expression": "(MIT OR Apache-2.0) AND Unicode-3.0"}],
    }));
    let mut direct = direct(metadata, subject.package, &linked)?;
    direct.push(standard_library.clone());
    direct.sort();
    let mut dependencies = vec![json!({"ref": own, "dependsOn": direct})];
    dependencies.extend(
        linked
            .iter()
            .map(|package| dependencies_of(package, metadata, &linked))
            .collect::<Result<Vec<_>>>()?,
    );
    let mut list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": subject.origin.date.format("%Y-%m-%dT%H:%M:%SZ")?,
            "tools": {"components": [{"type": "application", "name": "cargo xtask package", "version": cargo::VERSION}]},
            "component": {
                "type": subject.kind, "bom-ref": own, "name": subject.name, "version": version, "purl": own,
                "description": subject.description.replace('\n', " "),
                "hashes": [{"alg": "SHA-256", "content": sha256(&subject.binary.contents)}],
                "licenses": [{"license": {"id": "PostgreSQL"}}],
                "properties": properties,
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    let number = serial_number(&list.to_string());
    if let Some(fields) = list.as_object_mut() {
        fields.insert("serialNumber".to_owned(), number.into());
    }
    Ok(list)
}

fn component(package: &Package, checksums: &BTreeMap<(String, String), String>) -> Result<Value> {
    let (name, version) = (package.name.to_string(), package.version.to_string());
    let licence = package.license.as_deref().with_context(|| format!("{name} names no licence"))?;
    let mut component = json!({
        "type": "library", "bom-ref": reference(package), "name": name, "version": version,
        "purl": reference(package),
        // The form that Cargo allowed before it took over the expressions of SPDX.
        "licenses": [{"expression": licence.replace('/', " OR ")}],
    });
    if let (Some(fields), Some(sum)) = (component.as_object_mut(), checksums.get(&(name, version))) {
        fields.insert("hashes".to_owned(), json!([{"alg": "SHA-256", "content": sum}]));
    }
    Ok(component)
}

fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

/// The linked packages that the packages of this workspace name.
fn direct(metadata: &Metadata, top: &str, linked: &[&Package]) -> Result<Vec<String>> {
    let own = |name: &str| [top, "keyspace"].contains(&name);
    let packages = metadata.packages.iter().filter(|package| package.source.is_none() && own(&package.name));
    let mut found = BTreeSet::new();
    for package in packages {
        found.extend(references_of(package, metadata, linked)?);
    }
    Ok(found.into_iter().collect())
}

fn dependencies_of(package: &Package, metadata: &Metadata, linked: &[&Package]) -> Result<Value> {
    Ok(json!({"ref": reference(package), "dependsOn": references_of(package, metadata, linked)?}))
}

fn references_of(package: &Package, metadata: &Metadata, linked: &[&Package]) -> Result<BTreeSet<String>> {
    let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    let node = resolve.nodes.iter().find(|node| node.id == package.id);
    let node = node.with_context(|| format!("{} is not resolved", package.name))?;
    let needed =
        node.deps.iter().filter_map(|dependency| linked.iter().find(|package| package.id == dependency.pkg));
    Ok(needed.map(|package| reference(package)).collect())
}

/// A UUID that depends on the contents alone.
fn serial_number(contents: &str) -> String {
    let digits = sha256(contents.as_bytes());
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    // Version 8, whose contents are free.
    format!("urn:uuid:{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn lists() -> [Value; 2] {
        let (product, client) = (Product::made_up(15), Client::made_up());
        let metadata = notices::metadata("x86_64-unknown-linux-gnu").expect("metadata");
        let lock = std::fs::read_to_string(cargo::workspace_root().join("Cargo.lock")).expect("Cargo.lock");
        let list =
            |subject: Subject<'_>| list(&subject, &metadata, &checksums(&lock), "1.95.0").expect("a list");
        [list(of_library(&product)), list(of_client(&client))]
    }

    /// The rules of the format that a list can break.
    #[test]
    fn every_reference_leads_to_one_component() {
        lists().iter().for_each(check_references);
    }

    fn check_references(list: &Value) {
        let texts = |value: &Value, key: &str| -> Vec<String> {
            let array = value.as_array().expect("an array").iter();
            array.map(|item| item[key].as_str().expect("a text").to_owned()).collect()
        };
        let components = texts(&list["components"], "bom-ref");
        let mut known: BTreeSet<String> = components.iter().cloned().collect();
        assert_eq!(known.len(), components.len(), "a reference is not unique");
        known.insert(list["metadata"]["component"]["bom-ref"].as_str().expect("a reference").to_owned());
        let described: BTreeSet<String> = texts(&list["dependencies"], "ref").into_iter().collect();
        let mut reached = BTreeSet::new();
        for dependency in list["dependencies"].as_array().expect("an array") {
            for reference in dependency["dependsOn"].as_array().expect("an array") {
                let reference = reference.as_str().expect("a text").to_owned();
                assert!(known.contains(&reference), "{reference} is no component");
                reached.insert(reference);
            }
        }
        assert!(described.is_subset(&known));
        let unreached: Vec<&String> = components.iter().filter(|name| !reached.contains(*name)).collect();
        assert!(unreached.is_empty(), "nothing depends on {unreached:?}");
    }

    #[test]
    fn components_have_a_licence_and_those_of_the_registry_a_checksum() {
        for list in lists() {
            let components = list["components"].as_array().expect("an array");
            assert!(components.len() > 40, "{}", components.len());
            for component in components {
                let licence = component["licenses"][0]["expression"].as_str().expect("an expression");
                assert!(!licence.contains('/'), "{licence}");
                let is_of_registry = component["purl"].as_str().expect("a text").starts_with("pkg:cargo/");
                assert_eq!(component["hashes"].is_array(), is_of_registry, "{component}");
            }
        }
    }

    #[test]
    fn the_serial_number_is_a_uuid_of_the_contents() {
        let number = serial_number("x");
        assert_eq!(number.len(), "urn:uuid:".len() + 36);
        assert_eq!(number, serial_number("x"));
        assert_ne!(number, serial_number("y"));
        let lengths: Vec<usize> = number.trim_start_matches("urn:uuid:").split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
    }
}
