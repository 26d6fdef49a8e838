//! The version of packages, and the date of their files.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use xtask::cargo;

/// The variable that sets the date of all files (<https://reproducible-builds.org>).
const DATE_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// Commit, time and references.
const FORMAT: &str = "--format=%H %ct %D";

/// The same in an archive, into which git writes it (`export-subst` in `.gitattributes`).
const ARCHIVED: &str = include_str!("../../../packaging/commit.txt");

/// A version as each format writes it. A package that was not built from the commit of a release
/// has a version before that release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The version of the extension.
    pub extension: String,
    /// Date, time and commit, if it is not a release.
    snapshot: Option<String>,
}

impl Version {
    /// A release.
    pub fn release(extension: &str) -> Self {
        Self { extension: extension.to_owned(), snapshot: None }
    }

    /// The version of these sources: a release if their commit has the tag of one and nothing has been
    /// changed since.
    ///
    /// # Errors
    ///
    /// If git fails in a checkout, or if these sources are neither a checkout nor made by
    /// `git archive`: they are no release, and nothing tells which commit they are.
    pub fn of_sources() -> Result<Self> {
        Sources::here()?.version(cargo::VERSION)
    }

    /// Debian's version, with the revision of the packaging.
    pub fn debian(&self) -> String {
        match &self.snapshot {
            Some(snapshot) => format!("{}~git{snapshot}-1", self.extension),
            None => format!("{}-1", self.extension),
        }
    }

    /// The release of an RPM, whose version is the extension's.
    pub fn rpm_release(&self) -> String {
        self.snapshot.as_ref().map_or("1".to_owned(), |snapshot| format!("0.git{snapshot}"))
    }

    /// The form in names of files and in tags of images.
    pub fn plain(&self) -> String {
        match &self.snapshot {
            Some(snapshot) => format!("{}-git{snapshot}", self.extension),
            None => self.extension.clone(),
        }
    }
}

/// A point in time, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date(pub u64);

impl Date {
    /// That of the environment or of the commit, so that the same sources give the same packages.
    pub fn of_sources() -> Result<Self> {
        match std::env::var(DATE_VARIABLE) {
            Ok(text) => {
                let seconds = text.trim().parse();
                Ok(Self(seconds.with_context(|| format!("not a number of seconds: {text:?}"))?))
            }
            Err(_) => Ok(Self(Sources::here()?.seconds)),
        }
    }

    /// The date in UTC, in a format of strftime.
    pub fn format(self, format: &str) -> Result<String> {
        let sh = Shell::new().context("there is no working directory")?;
        let (at, format) = (format!("--date=@{}", self.0), format!("+{format}"));
        cmd!(sh, "date --utc {at} {format}")
            .env("LC_ALL", "C")
            .quiet()
            .read()
            .context("could not format a date")
    }
}

/// Which commit the sources are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sources {
    /// The name of the commit.
    commit: String,
    /// When it was made, in seconds since 1970.
    seconds: u64,
    /// Its tags.
    tags: Vec<String>,
    /// Whether files have been changed or added since.
    is_changed: bool,
}

impl Sources {
    /// Those of this checkout, or of the archive that was unpacked here.
    fn here() -> Result<Self> {
        Self::of(cargo::workspace_root())
    }

    fn of(top: &Path) -> Result<Self> {
        let git = |arguments: &[&str]| git_in(top, arguments);
        match git(&["log", "-1", FORMAT])? {
            Some(line) => {
                let mut sources = Self::parse(&line)?;
                // The names of branches and tags can be hidden by a setting of log.
                let tags = git(&["tag", "--points-at", "HEAD"])?.unwrap_or_default();
                sources.tags = tags.lines().map(str::to_owned).collect();
                let changes = git(&["status", "--porcelain", "--untracked-files=normal"])?;
                sources.is_changed = changes.is_none_or(|changes| !changes.is_empty());
                Ok(sources)
            }
            None => Self::parse(ARCHIVED),
        }
    }

    /// A line with the commit, its time and its references, as git writes it.
    fn parse(line: &str) -> Result<Self> {
        let cannot = || {
            format!(
                "{} is no checkout of git, and not made by \"git archive\", so nothing tells which version it is",
                cargo::workspace_root().display()
            )
        };
        let mut words = line.trim().splitn(3, ' ');
        let commit = words.next().filter(|word| word.len() >= 40).with_context(cannot)?;
        ensure!(commit.bytes().all(|byte| byte.is_ascii_hexdigit()), cannot());
        let seconds = words.next().and_then(|word| word.parse().ok()).with_context(cannot)?;
        let references = words.next().unwrap_or_default().split(", ");
        let tags = references.filter_map(|reference| reference.strip_prefix("tag: ")).map(str::to_owned);
        Ok(Self { commit: commit.to_owned(), seconds, tags: tags.collect(), is_changed: false })
    }

    fn version(&self, extension: &str) -> Result<Version> {
        let is_release = self.tags.contains(&format!("v{extension}")) && !self.is_changed;
        if is_release {
            return Ok(Version::release(extension));
        }
        // The time orders the commits of a day, and nothing depends on the time zone. Names of Debian
        // packages have at most 80 characters, so they have no room for the commit next to a change.
        let commit = self.commit.get(..7).unwrap_or(&self.commit);
        let last = if self.is_changed { "changed" } else { commit };
        let snapshot = format!("{}.{last}", Date(self.seconds).format("%Y%m%d.%H%M%S")?);
        Ok(Version { extension: extension.to_owned(), snapshot: Some(snapshot) })
    }
}

/// What git prints, or `None` if this is no checkout.
///
/// # Errors
///
/// If this is a checkout and git fails: it is not installed, or refuses the directory of another user.
pub fn git(arguments: &[&str]) -> Result<Option<String>> {
    git_in(cargo::workspace_root(), arguments)
}

fn git_in(top: &Path, arguments: &[&str]) -> Result<Option<String>> {
    // Not a repository that has the sources in one of its directories.
    if !top.join(".git").exists() {
        return Ok(None);
    }
    let sh = Shell::new().context("there is no working directory")?;
    sh.change_dir(top);
    let command = cmd!(sh, "git {arguments...}").env("TZ", "UTC").env("LC_ALL", "C").ignore_status().quiet();
    let output = command.output().context("could not run git")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {} failed: {}", arguments.join(" "), error.trim());
    Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_snapshot_comes_before_its_release() {
        let release = Version::release("0.1.0");
        let snapshot =
            Version { extension: "0.1.0".to_owned(), snapshot: Some("20261130.210405.302fe75".to_owned()) };
        assert_eq!((release.debian(), release.rpm_release()), ("0.1.0-1".to_owned(), "1".to_owned()));
        assert_eq!(snapshot.debian(), "0.1.0~git20261130.210405.302fe75-1");
        assert_eq!(snapshot.rpm_release(), "0.git20261130.210405.302fe75");
        assert_eq!(snapshot.plain(), "0.1.0-git20261130.210405.302fe75");
    }

    #[test]
    fn dates_are_those_of_utc() {
        let date = Date(1_000_000_000);
        assert_eq!(date.format("%a, %d %b %Y %T +0000").expect("a date"), "Sun, 09 Sep 2001 01:46:40 +0000");
    }

    const COMMIT: &str = "302fe75b1c0ffee302fe75b1c0ffee302fe75b1c0";

    fn version(sources: &Sources) -> Version {
        sources.version("1.2.3").expect("a version")
    }

    #[test]
    fn only_an_unchanged_tag_is_a_release() {
        let of =
            |references: &str| Sources::parse(&format!("{COMMIT} 1796072645 {references}")).expect("sources");
        let release = Version::release("1.2.3");
        let tagged = of("HEAD -> main, tag: v1.2.3, origin/main");
        assert_eq!(version(&tagged), release);
        let other = tagged.version("1.2.4").expect("a version");
        assert_eq!(other.plain(), "1.2.4-git20261130.210405.302fe75");
        let changed = Sources { is_changed: true, ..tagged };
        assert_eq!(version(&changed).plain(), "1.2.3-git20261130.210405.changed");
        assert_eq!(version(&of("")).debian(), "1.2.3~git20261130.210405.302fe75-1");
        // A branch with the name of a tag is none.
        assert_ne!(version(&of("HEAD -> v1.2.3")), release);
        // What git has not filled in.
        for line in ["$Format:%H %ct %D$", "", "302fe75b1 1 tag: v1.2.3"] {
            assert!(Sources::parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn snapshots_of_a_day_are_ordered() {
        let of = |seconds: u64, commit: &str| {
            Sources::parse(&format!("{commit}{COMMIT} {seconds} ")).map(|sources| version(&sources).debian())
        };
        let versions = [of(1_796_072_645, "f"), of(1_796_072_646, "0"), of(1_796_083_200, "0")];
        let versions = versions.map(|version| version.expect("a version"));
        assert!(versions.is_sorted() && versions[0][..18] == versions[1][..18], "{versions:?}");
    }

    #[test]
    fn a_git_that_fails_gives_no_version() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(git_in(directory.path(), &["log"]).expect("no checkout"), None);
        std::fs::write(directory.path().join(".git"), "gitdir: /nowhere\n").expect("a file");
        let failed = git_in(directory.path(), &["log", "-1"]);
        assert!(failed.is_err_and(|error| error.to_string().contains("git log -1 failed")));
    }

    #[test]
    fn checkouts_and_archives_know_their_commit() {
        let directory = tempfile::tempdir().expect("a directory");
        let top = directory.path();
        let git = |arguments: &[&str]| {
            let settings = ["user.name=a", "user.email=a@example.org", "commit.gpgsign=false"];
            let settings = settings.iter().flat_map(|setting| ["-c", *setting]);
            let mut command = std::process::Command::new("git");
            let output = command.args(settings).args(arguments).current_dir(top).output().expect("git");
            assert!(output.status.success(), "git {arguments:?}: {output:?}");
            output.stdout
        };
        std::fs::create_dir(top.join("packaging")).expect("a directory");
        let attributes = include_str!("../../../.gitattributes");
        std::fs::write(top.join(".gitattributes"), attributes).expect("a file");
        std::fs::write(top.join("packaging/commit.txt"), "$Format:%H %ct %D$\n").expect("a file");
        git(&["init", "--quiet"]);
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message=one"]);
        git(&["tag", "v1.2.3"]);
        let archived = |commit: &str| {
            let archive = git(&["archive", commit, "packaging/commit.txt"]);
            let mut text = String::new();
            for entry in tar::Archive::new(&archive[..]).entries().expect("entries") {
                let mut entry = entry.expect("an entry");
                if entry.header().entry_type().is_file() {
                    std::io::Read::read_to_string(&mut entry, &mut text).expect("a text");
                }
            }
            Sources::parse(&text).expect("an archive")
        };
        let release = Version::release("1.2.3");
        assert_eq!(version(&archived("HEAD")), release);
        let here = Sources::of(top).expect("a checkout");
        assert_eq!((version(&here), here.seconds), (release.clone(), archived("HEAD").seconds));
        // A new file changes it as much as a changed one.
        std::fs::write(top.join("new"), "x").expect("a file");
        assert!(version(&Sources::of(top).expect("a checkout")).plain().ends_with(".changed"));
        git(&["add", "new"]);
        git(&["commit", "--quiet", "--message=two"]);
        assert_ne!(version(&archived("HEAD")), release);
        let here = Sources::of(top).expect("a checkout");
        assert_eq!(version(&here), version(&archived("HEAD")));
    }
}
