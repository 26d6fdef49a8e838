//! The files by which others build packages, with the version filled in: `packaging/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::product::DESCRIPTION;
use super::tree::Tree;
use super::version::Date;

use xtask::cargo;

/// What stands for a value in the files.
const VERSION: &str = "@VERSION@";
const MAINTAINER: &str = "@MAINTAINER@";
const PLAIN_DESCRIPTION: &str = "@DESCRIPTION@";
const DEBIAN_DESCRIPTION: &str = "@DEBIAN_DESCRIPTION@";
/// The dates of the two changelogs.
const DEBIAN_DATE: &str = "@DEBIAN_DATE@";
const RPM_DATE: &str = "@RPM_DATE@";
const DAY: &str = "@DAY@";

/// Recipes that others ask for, below `packaging`.
const DIRECTORIES: [&str; 5] = ["cloudnative-pg", "debian", "pigsty", "rpm", "trunk"];

/// Writes the files below `recipes` of the directory, and returns that. Other directories in it are
/// left as they are.
///
/// # Errors
///
/// If a file cannot be read or written.
pub fn build(maintainer: &str, date: Date, output: &Path) -> Result<PathBuf> {
    let path = output.join("recipes");
    for former in DIRECTORIES.map(|name| path.join(name)).iter().filter(|former| former.exists()) {
        // Files that no longer exist must not be sent.
        std::fs::remove_dir_all(former).with_context(|| format!("could not remove {}", former.display()))?;
    }
    tree(maintainer, date)?.write(&path, date.0)?;
    Ok(path)
}

fn tree(maintainer: &str, date: Date) -> Result<Tree> {
    let mut tree = Tree::default();
    for directory in DIRECTORIES {
        add(&mut tree, directory, maintainer, date)?;
    }
    Ok(tree)
}

fn add(tree: &mut Tree, directory: &str, maintainer: &str, date: Date) -> Result<()> {
    let path = cargo::workspace_root().join("packaging").join(directory);
    let cannot = || format!("could not read {}", path.display());
    for entry in std::fs::read_dir(&path).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let name = format!("{directory}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            add(tree, &name, maintainer, date)?;
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).with_context(cannot)?;
        let text = filled(&text, maintainer, date)?;
        if name.ends_with("/rules") || name.ends_with("/create-extension") {
            tree.add_program(name, text);
        } else {
            tree.add(name, text);
        }
    }
    Ok(())
}

fn filled(text: &str, maintainer: &str, date: Date) -> Result<String> {
    let values = [
        (VERSION, cargo::VERSION.to_owned()),
        (MAINTAINER, maintainer.to_owned()),
        (PLAIN_DESCRIPTION, DESCRIPTION.to_owned()),
        // Each line of it begins with a blank.
        (DEBIAN_DESCRIPTION, DESCRIPTION.replace('\n', "\n ")),
        (DEBIAN_DATE, date.format("%a, %d %b %Y %T +0000")?),
        (RPM_DATE, date.format("%a %b %d %Y")?),
        (DAY, date.format("%Y-%m-%d")?),
    ];
    Ok(values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn recipes_name_this_version_and_leave_no_place_empty() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = build("A <a@example.org>", Date(1_700_000_000), directory.path()).expect("recipes");
        let read = |name: &str| std::fs::read_to_string(path.join(name)).expect(name);
        let version = cargo::VERSION;
        assert!(read("debian/changelog").starts_with(&format!("pg-keyspace ({version}-1) ")));
        assert!(read("rpm/pg_keyspace.spec").contains(&format!("\nVersion: {version}\n")));
        assert!(read("trunk/Trunk.toml").contains(&format!("\nversion = \"{version}\"\n")));
        let all = tree("A <a@example.org>", Date(0)).expect("recipes");
        for name in all.paths() {
            let text = read(name);
            let places =
                [VERSION, MAINTAINER, PLAIN_DESCRIPTION, DEBIAN_DESCRIPTION, DEBIAN_DATE, RPM_DATE, DAY];
            for place in places {
                assert!(!text.contains(place), "{name} has {place}");
            }
        }
    }

    /// Pigsty's catalog is one table; a line with other columns would be read wrongly.
    #[test]
    fn the_line_of_the_catalog_has_the_columns_of_its_head() {
        let text = include_str!("../../../packaging/pigsty/extension.csv");
        let columns = |line: &str| {
            let mut is_quoted = false;
            let commas = line.chars().filter(|letter| {
                is_quoted ^= *letter == '"';
                *letter == ',' && !is_quoted
            });
            commas.count() + 1
        };
        let counts: Vec<usize> = text.lines().map(columns).collect();
        assert_eq!(counts, [41, 41]);
    }
}
