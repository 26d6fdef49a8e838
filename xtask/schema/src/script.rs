//! From the library's metadata to the text of the install script.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use object::{Object, ObjectSection};
use petgraph::stable_graph::StableGraph;
use petgraph::visit::{EdgeRef, IntoEdgeReferences};
use pgrx_sql_entity_graph::section::{ELF_SECTION_NAME, decode_entities};
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity};

/// psql stops here when somebody runs the script by hand; CREATE EXTENSION ignores the line.
const HEADER: &str = "\
-- Generated from the code by `cargo xtask schema`. Do not edit.
\\echo Use \"CREATE EXTENSION pg_keyspace\" to load this file. \\quit

";

/// The install script of `library`.
///
/// The same library always gives the same text, and a change that moves lines in the sources without changing
/// SQL leaves it as it is.
///
/// # Errors
///
/// When the library is no ELF file, holds no metadata, or the metadata names a source by an absolute path.
pub fn generate(library: &Path, control_file: &Path, version: &str) -> Result<String> {
    let library_name = library
        .file_stem()
        .and_then(|stem| stem.to_str())
        .and_then(|stem| stem.strip_prefix("lib"))
        .with_context(|| format!("{} is not named like a library", library.display()))?;
    let bytes = std::fs::read(library).with_context(|| format!("could not read {}", library.display()))?;
    let section = metadata(&bytes).with_context(|| format!("could not use {}", library.display()))?;

    let control = ControlFile::from_path_with_cargo_version(control_file, version)
        .with_context(|| format!("could not read {}", control_file.display()))?;
    let names_library = control.module_pathname.is_some();
    let mut entities = vec![SqlGraphEntity::ExtensionRoot(control)];
    entities.extend(
        decode_entities(section).map_err(|error| anyhow!("could not decode the metadata: {error:#}"))?,
    );

    let mut sql = PgrxSql::build(entities.into_iter(), library_name.to_owned(), !names_library)
        .map_err(|error| anyhow!("could not order the SQL objects: {error:#}"))?;
    sort_edges(&mut sql);
    let body = sql.to_sql().map_err(|error| anyhow!("could not write the SQL: {error:#}"))?;
    Ok(format!("{HEADER}{}", without_line_numbers(&body)?))
}

/// The bytes in which pgrx's macros describe every SQL object.
fn metadata(library: &[u8]) -> Result<&[u8]> {
    let file = object::File::parse(library)
        .context("the install script can be generated only from an ELF library, that is on Linux or a BSD")?;
    file.section_by_name(ELF_SECTION_NAME)
        .with_context(|| format!("there is no section \"{ELF_SECTION_NAME}\": was the library stripped?"))?
        .data()
        .with_context(|| format!("could not read section \"{ELF_SECTION_NAME}\""))
}

/// Puts the edges of the graph into a fixed order.
///
/// pgrx adds them while iterating over hash maps, and the order in which objects are written follows from the edges, so
/// without this the script could differ from run to run.
fn sort_edges(sql: &mut PgrxSql<'_>) {
    let mut edges: Vec<_> =
        sql.graph.edge_references().map(|edge| (edge.source(), edge.target(), *edge.weight())).collect();
    edges.sort_by(|left, right| left.partial_cmp(right).unwrap_or(std::cmp::Ordering::Equal));
    let mut sorted = StableGraph::with_capacity(sql.graph.node_count(), edges.len());
    // Nodes are never removed while the graph is built, so adding them in this order keeps their indices.
    for node in sql.graph.node_weights() {
        sorted.add_node(node.clone());
    }
    for (source, target, requires) in edges {
        sorted.add_edge(source, target, requires);
    }
    sql.graph = sorted;
}

/// Turns the comments `-- src/file.rs:12` into `-- src/file.rs`.
fn without_line_numbers(sql: &str) -> Result<String> {
    let mut result = String::with_capacity(sql.len());
    for line in sql.lines() {
        match source_of(line) {
            Some(path) if Path::new(path).is_absolute() => {
                bail!("a source is named by an absolute path: {path}; build from within the workspace")
            }
            Some(path) => {
                result.push_str("-- ");
                result.push_str(path);
            }
            None => result.push_str(line.trim_end()),
        }
        result.push('\n');
    }
    result.truncate(result.trim_end().len());
    result.push('\n');
    Ok(result)
}

/// The path in a comment of the form `-- path/to/file.rs:12`.
fn source_of(line: &str) -> Option<&str> {
    let (path, number) = line.trim().strip_prefix("-- ")?.rsplit_once(':')?;
    let is_source = path.ends_with(".rs") && !path.contains(' ');
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_source && is_number).then_some(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn line_numbers_of_sources_are_dropped_and_nothing_else() {
        let sql = "-- src/keys/uuid.rs:12\n-- pg_keyspace::keys::uuidv7\nSELECT '-- a.rs:1 b';   \n\n\n";
        assert_eq!(
            without_line_numbers(sql).unwrap(),
            "-- src/keys/uuid.rs\n-- pg_keyspace::keys::uuidv7\nSELECT '-- a.rs:1 b';\n"
        );
    }

    #[test]
    fn an_absolute_source_path_is_refused() {
        let error = without_line_numbers("-- /home/somebody/pg_keyspace/src/lib.rs:3\n").unwrap_err();
        assert!(error.to_string().contains("absolute path"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_library_is_refused() {
        let error = metadata(b"#!/bin/sh\n").unwrap_err();
        assert!(error.to_string().contains("ELF"), "{error}");
    }
}
