//! The files by which others build packages, with the version filled in: `packaging/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::client;
use super::product::DESCRIPTION;
use super::tree::Tree;
use super::version::Date;

use xtask::cargo;

/// What stands for a value in the files.
const VERSION: &str = "@VERSION@";
const MAINTAINER: &str = "@MAINTAINER@";
const PLAIN_DESCRIPTION: &str = "@DESCRIPTION@";
const DEBIAN_DESCRIPTION: &str = "@DEBIAN_DESCRIPTION@";
const CLIENT_DESCRIPTION: &str = "@CLIENT_DESCRIPTION@";
const DEBIAN_CLIENT_DESCRIPTION: &str = "@DEBIAN_CLIENT_DESCRIPTION@";
/// The dates of the two changelogs.
const DEBIAN_DATE: &str = "@DEBIAN_DATE@";
const RPM_DATE: &str = "@RPM_DATE@";
const DAY: &str = "@DAY@";

/// Files that are run.
const PROGRAMS: [&str; 4] = ["/rules", "/least-server", "/tests/client", "/tests/create-extension"];

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
        if PROGRAMS.iter().any(|program| name.ends_with(program)) {
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
        (CLIENT_DESCRIPTION, client::DESCRIPTION.to_owned()),
        (DEBIAN_CLIENT_DESCRIPTION, client::DESCRIPTION.replace('\n', "\n ")),
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
    use crate::package::library::ADDED_BY_MINOR_RELEASES;

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
            let is_place =
                |word: &&str| word.len() > 2 && word.chars().all(|it| it.is_ascii_uppercase() || it == '_');
            let empty: Vec<&str> = text.split('@').skip(1).step_by(2).filter(is_place).collect();
            // The control file is made with the version when the library is built.
            assert!(empty.iter().all(|place| *place == "CARGO_VERSION"), "{name} has {empty:?}");
        }
    }

    /// Puts stand-ins for programs in front of those of the system.
    struct StandIns(tempfile::TempDir);

    impl StandIns {
        fn new(programs: &[(&str, &str)]) -> Self {
            use std::os::unix::fs::PermissionsExt;
            let directory = tempfile::tempdir().expect("a directory");
            for (name, script) in programs {
                let path = directory.path().join(name);
                std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
                let mode = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(&path, mode).expect("a program");
            }
            Self(directory)
        }

        fn run(&self, script: &str, arguments: &[&str]) -> std::process::Output {
            let path = cargo::workspace_root().join("packaging/debian").join(script);
            let before = std::env::var("PATH").expect("a path");
            let mut command = std::process::Command::new("sh");
            command.arg(path).args(arguments).env("PATH", format!("{}:{before}", self.0.path().display()));
            command.output().expect("sh")
        }
    }

    #[test]
    fn the_recipe_depends_on_the_minor_release_that_has_all_functions() {
        for (function, releases) in ADDED_BY_MINOR_RELEASES {
            let calls = StandIns::new(&[("nm", &format!("echo '                 U {function}'"))]);
            let least = |major: u32| {
                let output = calls.run("least-server", &[&major.to_string(), "library"]);
                assert!(output.status.success(), "{output:?}");
                String::from_utf8(output.stdout).expect("a text")
            };
            for (major, minor) in releases {
                assert_eq!(least(*major), format!("postgresql-{major} (>= {major}.{minor})\n"));
            }
            assert_eq!(least(19), "postgresql-19\n");
        }
        let other = StandIns::new(&[("nm", "echo '                 U palloc'")]);
        assert_eq!(other.run("least-server", &["15", "library"]).stdout, b"postgresql-15\n");
        assert!(!StandIns::new(&[("nm", "exit 1")]).run("least-server", &["15", "library"]).status.success());
        let rules = include_str!("../../../packaging/debian/rules");
        assert!(rules.contains("debian/least-server") && rules.contains("keyspace:Server="));
        assert!(include_str!("../../../packaging/debian/control.in").contains("${keyspace:Server}"));
    }

    #[test]
    fn the_test_of_debians_package_can_fail() {
        let installed = "echo 'ii  postgresql-16-pg-keyspace'; echo 'ii  postgresql-17-pg-keyspace'; echo 'un  postgresql-15-pg-keyspace'";
        let run = |packages: &str, result: &str| {
            let stand_ins = StandIns::new(&[("dpkg-query", packages), ("pg_virtualenv", result)]);
            stand_ins.run("tests/create-extension", &[])
        };
        let good = run(installed, "echo '10|10|t|26'");
        assert!(good.status.success(), "{good:?}");
        assert_eq!(good.stdout, b"PostgreSQL 16: ok\nPostgreSQL 17: ok\n");
        for (packages, result) in [
            (installed, "echo '10|10|f|26'"),
            (installed, "exit 3"),
            (installed, "[ $2 = 16 ] && echo '10|10|t|26'"),
            ("echo 'un  postgresql-15-pg-keyspace'", "echo '10|10|t|26'"),
            ("exit 1", "echo '10|10|t|26'"),
        ] {
            let output = run(packages, result);
            assert!(!output.status.success(), "{packages}; {result}: {output:?}");
        }
        let client = |script: &str| {
            StandIns::new(&[("pg_keyspace", script), ("man", "exit 0")]).run("tests/client", &[])
        };
        let refused = "[ $1 = --version ] || { echo 'could not connect: /nonexistent' >&2; exit 1; }";
        let output = client(refused);
        assert!(output.status.success(), "{output:?}");
        assert!(!client("exit 0").status.success() && !client("exit 1").status.success());
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
