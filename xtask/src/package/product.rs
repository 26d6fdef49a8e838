//! What is packaged: the extension for one version of PostgreSQL, and what every format says of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::documents;
use super::library::Library;
use super::tree::Tree;
use super::version::{Date, Version};

/// What the packages are, in half a line.
pub const SUMMARY: &str = "interleaved sequences, UUIDv7 and ULID";

/// What they are, in lines that fit every format.
pub const DESCRIPTION: &str = "\
pg_keyspace lets several PostgreSQL servers accept writes to the same tables
without ever generating the same primary key. It interleaves the sequences of
a whole database (server 1 gets the odd values, server 2 the even ones),
generates time-ordered keys (uuidv7() and a 16-byte ulid type), and migrates
live tables from bigint keys to either one.";

/// Documents for users, below the top of the sources.
const DOCUMENTS: [&str; 2] = ["docs/guides", "docs/reference"];

/// What all packages that are built together have in common.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The version of the packages.
    pub version: Version,
    /// The date of all files.
    pub date: Date,
    /// Name and address of the packager.
    pub maintainer: String,
    /// The top of the sources.
    top: PathBuf,
}

/// The extension for one version of PostgreSQL.
#[derive(Clone, Debug)]
pub struct Product {
    /// PostgreSQL's major version.
    pub major: u32,
    /// Where it comes from.
    pub origin: Origin,
    /// The library.
    pub library: Library,
}

/// Where the files of a package go.
#[derive(Clone, Debug)]
pub struct Places {
    /// The library.
    pub library: String,
    /// Control file and scripts.
    pub extension: String,
}

impl Product {
    /// The extension of these sources, with the library that was built from them.
    pub fn new(major: u32, origin: Origin, library: &Path) -> Result<Self> {
        Ok(Self { major, origin, library: Library::read(library, major)? })
    }

    /// The least version of PostgreSQL, if not every release of the major version will do.
    pub fn least_server(&self) -> Option<String> {
        self.library.minor.map(|minor| format!("{}.{minor}", self.major))
    }

    /// The beginning of names of files that belong to no distribution.
    pub fn file_name(&self) -> Result<String> {
        let (version, architecture) = (self.origin.version.plain(), architecture()?);
        Ok(format!("pg_keyspace-{version}-pg{}-{architecture}", self.major))
    }

    /// The files that PostgreSQL loads: library, control file, install and upgrade scripts.
    pub fn extension(&self, places: &Places) -> Result<Tree> {
        let mut tree = Tree::default();
        tree.add(format!("{}/pg_keyspace.so", places.library), self.library.binary.contents.clone());
        let origin = &self.origin;
        let control = origin.text("pg_keyspace.control")?;
        ensure!(control.contains("@CARGO_VERSION@"), "the control file has no place for the version");
        let control = control.replace("@CARGO_VERSION@", &origin.version.extension);
        tree.add(format!("{}/pg_keyspace.control", places.extension), control);
        for path in entries(&origin.top.join("sql"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("pg_keyspace--") && name.ends_with(".sql") {
                tree.add(format!("{}/{name}", places.extension), read(&path)?);
            }
        }
        let script = format!("{}/pg_keyspace--{}.sql", places.extension, origin.version.extension);
        ensure!(tree.paths().any(|path| path == script), "there is no install script of this version");
        Ok(tree)
    }
}

impl Origin {
    /// These sources.
    pub fn new(version: Version, date: Date, top: &Path) -> Self {
        Self { version, date, maintainer: maintainer(), top: top.to_owned() }
    }

    /// The documents for users, with the README at the top.
    pub fn documents(&self) -> Result<Tree> {
        let mut names = vec!["README.md".to_owned()];
        for directory in DOCUMENTS {
            for path in entries(&self.top.join(directory))? {
                names.push(format!("{directory}/{}", path.file_name().unwrap_or_default().to_string_lossy()));
            }
        }
        self.some_documents(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// These documents. Links lead to others of them.
    pub fn some_documents(&self, names: &[&str]) -> Result<Tree> {
        let texts = names.iter().map(|name| Ok(((*name).to_owned(), self.text(name)?)));
        Ok(documents::linked(&texts.collect::<Result<Vec<_>>>()?))
    }

    /// The licence, and those of what is linked into the library.
    pub fn licences(&self) -> Result<Tree> {
        let mut tree = Tree::default();
        for name in ["LICENSE", "THIRD-PARTY.md"] {
            tree.add(name, self.text(name)?);
        }
        Ok(tree)
    }

    /// A text file of the sources.
    pub fn text(&self, path: &str) -> Result<String> {
        let path = self.top.join(path);
        std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
    }
}

/// The architecture as Debian and OCI name it.
pub fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => anyhow::bail!("packages are built for x86_64 and aarch64, not for {other}"),
    }
}

/// Name and address as Debian's tools take them from the environment.
pub fn maintainer() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let name = variable("DEBFULLNAME").unwrap_or_else(|| "pg_keyspace contributors".to_owned());
    let address = variable("DEBEMAIL").unwrap_or_else(|| "pg_keyspace@packages.invalid".to_owned());
    format!("{name} <{address}>")
}

/// The files of a directory, in the order of their names.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("could not read {}", directory.display());
    let entries = std::fs::read_dir(directory).with_context(cannot)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(cannot)?.path();
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("could not read {}", path.display()))
}

#[cfg(test)]
impl Origin {
    /// This checkout as a release, for tests of formats.
    pub fn made_up() -> Self {
        Self {
            version: Version::release(xtask::cargo::VERSION),
            date: Date(1_700_000_000),
            maintainer: "A Packager <packager@example.org>".to_owned(),
            top: xtask::cargo::workspace_root().to_owned(),
        }
    }
}

#[cfg(test)]
impl Product {
    /// This checkout's extension with a library that is none, for tests of formats.
    pub fn made_up(major: u32) -> Self {
        Self { major, origin: Origin::made_up(), library: Library::made_up() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_extension_is_its_library_control_file_and_scripts() {
        let places = Places { library: "l".to_owned(), extension: "e".to_owned() };
        let tree = Product::made_up(18).extension(&places).expect("files");
        let paths: Vec<&str> = tree.paths().collect();
        assert!(paths.contains(&"l/pg_keyspace.so") && paths.contains(&"e/pg_keyspace.control"));
        let others: Vec<&&str> = paths.iter().filter(|path| path.ends_with(".sql")).collect();
        assert!(!others.is_empty());
        assert!(others.iter().all(|path| path.starts_with("e/pg_keyspace--")), "{others:?}");
    }

    #[test]
    fn lines_of_the_description_fit_every_format() {
        assert!(DESCRIPTION.lines().all(|line| line.len() <= 79), "Debian puts a blank before each");
        assert!(!DESCRIPTION.ends_with('\n'));
    }
}
