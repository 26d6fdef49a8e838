//! `cargo xtask release`: a release, as two commits and a tag. The workflow of the tag publishes it.

mod changelog;
pub mod scripts;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use pg_test::PgConfig;
use xshell::{Shell, cmd};

use xtask::workspace_version::{following, in_lock, in_manifest, numbers};
use xtask::{cargo, step::Step};

use crate::{notices, schema};

/// The branch of releases.
const BRANCH: &str = "main";

const CHANGELOG: &str = "CHANGELOG.md";

/// The options of the command.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Only say what prevents a release; change nothing
    #[arg(long)]
    check: bool,
    /// The version that is begun afterwards; the next patch release, unless it is given
    #[arg(long, value_name = "VERSION")]
    next: Option<String>,
    /// The date of the release; today in UTC, unless it is given
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

/// A checkout, and the release that is to be made of it.
struct Release<'a> {
    top: &'a Path,
    version: &'a str,
    next: String,
    sh: Shell,
}

/// Makes the release, after everything that can be checked here has been.
///
/// # Errors
///
/// If something prevents it, or git fails.
pub fn run(pg: &PgConfig, wanted: &Wanted) -> Result<()> {
    let release = Release::new(cargo::workspace_root(), cargo::VERSION, wanted.next.as_deref())?;
    let mut problems = release.problems()?;
    // The slow one last.
    let generated = [notices::run(true), schema::run(pg, true)];
    problems.extend(generated.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")));
    if !problems.is_empty() {
        bail!("version {} cannot be released:\n- {}", release.version, problems.join("\n- "));
    }
    if wanted.check {
        println!("Nothing prevents the release of version {}", release.version);
        return Ok(());
    }
    let date = match &wanted.date {
        Some(date) => date.clone(),
        None => cmd!(release.sh, "date --utc +%Y-%m-%d").quiet().read().context("could not read the date")?,
    };
    let step = Step::quiet(format!("Releasing version {}", release.version));
    release.make(&date)?;
    step.done();
    let (version, next) = (release.version, &release.next);
    println!("Tagged version {version}, and began version {next}. Nothing was pushed. To publish, run:");
    println!("    git push --atomic origin {BRANCH} v{version}");
    Ok(())
}

impl<'a> Release<'a> {
    fn new(top: &'a Path, version: &'a str, next: Option<&str>) -> Result<Self> {
        let next = next.map_or_else(|| following(version), |next| Ok(next.to_owned()))?;
        ensure!(numbers(&next)? > numbers(version)?, "version {next} does not follow version {version}");
        let sh = Shell::new().context("there is no working directory")?;
        sh.change_dir(top);
        Ok(Self { top, version, next, sh })
    }

    fn tag(&self) -> String {
        format!("v{}", self.version)
    }

    /// What prevents the release, as far as the files of the checkout say.
    fn problems(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let (sh, tag) = (&self.sh, self.tag());
        let branch = cmd!(sh, "git branch --show-current").quiet().read().context("this is no checkout")?;
        if branch != BRANCH {
            found.push(format!("releases are made on branch {BRANCH}, not on {branch:?}"));
        }
        let changes = cmd!(sh, "git status --porcelain --untracked-files=normal").quiet().read()?;
        if !changes.is_empty() {
            found.push(format!("files have been changed or added since the last commit:\n{changes}"));
        }
        if !cmd!(sh, "git tag --list {tag}").quiet().read()?.is_empty() {
            found.push(format!("tag {tag} exists already"));
        }
        found.extend(
            self.read(CHANGELOG)
                .and_then(|text| changelog::changes(&text, self.version).map(drop))
                .err()
                .map(|error| error.to_string()),
        );
        found.extend(scripts::problems(self.top, self.version)?);
        Ok(found)
    }

    /// Commits and tags the release, and commits the beginning of the next version.
    fn make(&self, date: &str) -> Result<()> {
        let before = cmd!(self.sh, "git rev-parse HEAD").quiet().read()?;
        self.commit(date).with_context(|| {
            let tag = self.tag();
            format!("to take back what was done: git reset --hard {before}; git tag --delete {tag}")
        })
    }

    fn commit(&self, date: &str) -> Result<()> {
        let (sh, version, next, tag) = (&self.sh, self.version, &self.next, self.tag());
        self.edit(CHANGELOG, |text| changelog::released(text, version, date))?;
        scripts::freeze(self.top, version)?;
        let (list, message) = (scripts::LIST, format!("Release {version}"));
        cmd!(sh, "git add {CHANGELOG} {list}").quiet().run()?;
        cmd!(sh, "git commit --quiet --message {message}").quiet().run()?;
        let message = format!("pg_keyspace {version}");
        cmd!(sh, "git tag --annotate --message {message} {tag}").quiet().run()?;
        self.edit("Cargo.toml", |text| in_manifest(text, version, next))?;
        self.edit("Cargo.lock", |text| in_lock(text, version, next))?;
        self.edit(CHANGELOG, |text| changelog::begun(text, version, next))?;
        let written = scripts::begin(self.top, version, next)?;
        cmd!(sh, "git add Cargo.toml Cargo.lock {CHANGELOG} {written...}").quiet().run()?;
        let message = format!("Begin version {next}");
        cmd!(sh, "git commit --quiet --message {message}").quiet().run()?;
        Ok(())
    }

    fn read(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.top.join(name)).with_context(|| format!("could not read {name}"))
    }

    fn edit(&self, name: &str, change: impl Fn(&str) -> Result<String>) -> Result<()> {
        let text = change(&self.read(name)?)?;
        std::fs::write(self.top.join(name), text).with_context(|| format!("could not write {name}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const FILES: [(&str, &str); 5] = [
        ("Cargo.toml", "[workspace.package]\nversion = \"1.2.3\"\n"),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"pg_keyspace\"\nversion = \"1.2.3\"\n"),
        (CHANGELOG, "# Changelog\n\n## Unreleased (1.2.3)\n\n- All.\n"),
        ("sql/pg_keyspace--1.2.3.sql", "SELECT 1;\n"),
        (".gitattributes", include_str!("../../../.gitattributes")),
    ];

    struct Checkout {
        directory: tempfile::TempDir,
        sh: Shell,
    }

    impl Checkout {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            std::fs::create_dir(directory.path().join("sql")).expect("a directory");
            let checkout = Self { directory, sh: Shell::new().expect("a shell") };
            checkout.sh.change_dir(checkout.top());
            FILES.iter().for_each(|(name, text)| checkout.write(name, text));
            checkout.git(&["init", "--quiet", "--initial-branch", BRANCH]);
            for (name, value) in
                [("user.name", "a"), ("user.email", "a@example.org"), ("commit.gpgsign", "false")]
            {
                checkout.git(&["config", name, value]);
            }
            checkout.git(&["add", "."]);
            checkout.git(&["commit", "--quiet", "--message=one"]);
            checkout
        }

        fn top(&self) -> &Path {
            self.directory.path()
        }

        fn git(&self, arguments: &[&str]) -> String {
            cmd!(self.sh, "git {arguments...}").quiet().read().expect("git")
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.top().join(name), text).expect("a file");
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.top().join(name)).expect("a file")
        }

        fn release<'a>(&'a self, version: &'a str) -> Release<'a> {
            Release::new(self.top(), version, None).expect("a release")
        }
    }

    #[test]
    fn a_release_is_a_tag_between_two_commits() {
        let checkout = Checkout::new();
        let release = checkout.release("1.2.3");
        assert!(release.problems().expect("problems").is_empty());
        release.make("2026-12-01").expect("released");
        assert_eq!(checkout.git(&["log", "--format=%s"]), "Begin version 1.2.4\nRelease 1.2.3\none");
        assert_eq!(checkout.git(&["status", "--porcelain"]), "");
        assert_eq!(checkout.git(&["rev-parse", "v1.2.3^{commit}"]), checkout.git(&["rev-parse", "HEAD^"]));
        let of_tag = |name: &str| checkout.git(&["show", &format!("v1.2.3:{name}")]);
        assert!(of_tag(CHANGELOG).contains("\n## 1.2.3 (2026-12-01)\n\n- All."));
        assert!(of_tag("Cargo.toml").contains("1.2.3"));
        assert!(of_tag(scripts::LIST).ends_with("  pg_keyspace--1.2.3.sql"));
        assert!(
            checkout.read("Cargo.toml").contains("\"1.2.4\"")
                && checkout.read("Cargo.lock").contains("\"1.2.4\"")
        );
        assert!(checkout.read(CHANGELOG).contains("\n## Unreleased (1.2.4)\n\n## 1.2.3 (2026-12-01)\n"));
        assert_eq!(checkout.read("sql/pg_keyspace--1.2.4.sql"), "SELECT 1;\n");
        let upgrade = checkout.read("sql/pg_keyspace--1.2.3--1.2.4.sql");
        assert!(
            upgrade.trim_end().ends_with("\nSELECT keyspace_internal.check_library_version();"),
            "{upgrade}"
        );
        // The next one needs changes first, and nothing else.
        let next = checkout.release("1.2.4");
        let found = next.problems().expect("problems");
        assert_eq!(found, ["the section of 1.2.4 in CHANGELOG.md has no changes"]);
        checkout.write(CHANGELOG, &checkout.read(CHANGELOG).replace("(1.2.4)\n", "(1.2.4)\n\n- More.\n"));
        checkout.git(&["commit", "--quiet", "--all", "--message=two"]);
        assert!(next.problems().expect("problems").is_empty());
        next.make("2026-12-02").expect("released");
        assert_eq!(checkout.git(&["tag"]), "v1.2.3\nv1.2.4");
        assert_eq!(scripts::released(checkout.top()).expect("a list").len(), 3);
    }

    #[test]
    fn what_prevents_a_release_is_named() {
        let checkout = Checkout::new();
        checkout.git(&["tag", "v1.2.3"]);
        checkout.git(&["switch", "--quiet", "--create", "other"]);
        checkout.write("new", "x");
        checkout.write(CHANGELOG, "# Changelog\n");
        std::fs::remove_file(checkout.top().join("sql/pg_keyspace--1.2.3.sql")).expect("removed");
        let found = checkout.release("1.2.3").problems().expect("problems");
        let expected = [
            "releases are made on branch main, not on \"other\"",
            "files have been changed or added since the last commit:\n",
            "tag v1.2.3 exists already",
            "CHANGELOG.md has no section \"## Unreleased (1.2.3)\"",
            "there is no install script of version 1.2.3",
        ];
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}");
        }
        for next in ["1.2.3", "1.2.2", "1.3", "x"] {
            assert!(Release::new(checkout.top(), "1.2.3", Some(next)).is_err(), "{next}");
        }
    }

    #[test]
    fn a_failure_says_how_to_go_back() {
        let checkout = Checkout::new();
        let before = checkout.git(&["rev-parse", "HEAD"]);
        checkout.write("Cargo.toml", "no version\n");
        let error = checkout.release("1.2.3").make("2026-12-01").expect_err("no version");
        assert!(error.to_string().ends_with(&format!("git reset --hard {before}; git tag --delete v1.2.3")));
        assert!(format!("{error:#}").contains("Cargo.toml does not name version 1.2.3 once"));
    }
}
