//! An archive for systems without packages, whose `lib` and `share` are as in an image volume.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::product::{Origin, Places, Product};
use super::tree::{Tree, gzip};

/// What the archive says of itself.
const INSTALL: &str = include_str!("../../../packaging/INSTALL.md");

/// The directories of an installation that is found by `extension_control_path` and
/// `dynamic_library_path`.
pub fn places() -> Places {
    Places { library: "lib".to_owned(), extension: "share/extension".to_owned() }
}

/// Writes the archive, and returns its path.
///
/// # Errors
///
/// If a file cannot be read or written.
pub fn build(product: &Product, output: &Path) -> Result<PathBuf> {
    write(&files(product)?, &product.file_name()?, &product.origin, output)
}

/// Writes an archive whose files are in one directory, and returns its path.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(files: &Tree, top: &str, origin: &Origin, output: &Path) -> Result<PathBuf> {
    let path = output.join(format!("{top}.tar.gz"));
    let archive = gzip(&files.tar(top, origin.date.0)?)?;
    std::fs::write(&path, archive).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

fn files(product: &Product) -> Result<Tree> {
    let mut tree = product.extension(&places())?;
    tree.add_tree("doc", product.origin.documents()?);
    let licences = product.origin.licences()?;
    tree.add_tree("licenses", licences);
    tree.add("INSTALL.md", install(product));
    Ok(tree)
}

fn install(product: &Product) -> String {
    let glibc = product.library.binary.glibc.to_string();
    let server = product.least_server();
    let server =
        server.map_or(product.major.to_string(), |least| format!("{least} or a later {}", product.major));
    INSTALL.replace("@SERVER@", &server).replace("@GLIBC@", &glibc)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_archive_says_for_what_it_is() {
        let text = install(&Product::made_up(18));
        assert!(text.contains("PostgreSQL 18.12 or a later 18 ") && text.contains("glibc 2.34"), "{text}");
        assert!(!text.contains('@'), "a place is not filled in: {text}");
        let paths: Vec<String> =
            files(&Product::made_up(18)).expect("files").paths().map(str::to_owned).collect();
        for path in ["lib/pg_keyspace.so", "share/extension/pg_keyspace.control", "licenses/LICENSE"] {
            assert!(paths.iter().any(|found| found == path), "{path}");
        }
    }
}
