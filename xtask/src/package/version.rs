//! The version of packages, and the date of their files.

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use xtask::cargo;

/// The variable that sets the date of all files (<https://reproducible-builds.org>).
const DATE_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// A version as each format writes it. A package that was not built from the commit of a release
/// has a version before that release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The version of the extension.
    pub extension: String,
    /// Date and commit, if it is not a release.
    snapshot: Option<String>,
}

impl Version {
    /// A release.
    pub fn release(extension: &str) -> Self {
        Self { extension: extension.to_owned(), snapshot: None }
    }

    /// The version of this checkout: a release if its commit has the tag of one, or if this is no
    /// checkout but the unpacked archive of a release.
    pub fn of_checkout() -> Result<Self> {
        let Some(commit) = git(&["rev-parse", "--short=9", "HEAD"])? else {
            return Ok(Self::release(cargo::VERSION));
        };
        let tag = format!("v{}", cargo::VERSION);
        let tags = git(&["tag", "--points-at", "HEAD"])?.unwrap_or_default();
        if tags.lines().any(|found| found == tag) {
            return Ok(Self::release(cargo::VERSION));
        }
        let day = git(&["log", "-1", "--format=%cd", "--date=format-local:%Y%m%d"])?;
        let day = day.context("git does not say when the commit was made")?;
        Ok(Self { extension: cargo::VERSION.to_owned(), snapshot: Some(format!("{day}.{commit}")) })
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
        let text = match std::env::var(DATE_VARIABLE) {
            Ok(text) => text,
            Err(_) => {
                let of_commit = git(&["log", "-1", "--format=%ct"])?;
                of_commit.with_context(|| format!("outside of a git checkout, set {DATE_VARIABLE}"))?
            }
        };
        let seconds = text.trim().parse();
        Ok(Self(seconds.with_context(|| format!("not a number of seconds: {text:?}"))?))
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

/// What git prints, or `None` outside of a checkout.
pub fn git(arguments: &[&str]) -> Result<Option<String>> {
    let sh = Shell::new().context("there is no working directory")?;
    sh.change_dir(cargo::workspace_root());
    // The date of a snapshot must not depend on the time zone.
    let command = cmd!(sh, "git {arguments...}").env("TZ", "UTC").ignore_status().ignore_stderr().quiet();
    let output = command.output().context("could not run git")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success().then_some(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_snapshot_comes_before_its_release() {
        let release = Version::release("0.1.0");
        let snapshot =
            Version { extension: "0.1.0".to_owned(), snapshot: Some("20261130.302fe75b1".to_owned()) };
        assert_eq!((release.debian(), release.rpm_release()), ("0.1.0-1".to_owned(), "1".to_owned()));
        assert_eq!(snapshot.debian(), "0.1.0~git20261130.302fe75b1-1");
        assert_eq!(snapshot.rpm_release(), "0.git20261130.302fe75b1");
        assert_eq!(snapshot.plain(), "0.1.0-git20261130.302fe75b1");
    }

    #[test]
    fn dates_are_those_of_utc() {
        let date = Date(1_000_000_000);
        assert_eq!(date.format("%a, %d %b %Y %T +0000").expect("a date"), "Sun, 09 Sep 2001 01:46:40 +0000");
    }
}
