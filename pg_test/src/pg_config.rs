//! The location and version of a PostgreSQL installation.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The directory under which Debian and Ubuntu install each major version.
const DEBIAN_ROOT: &str = "/usr/lib/postgresql";

/// What `pg_config` reports of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgConfig {
    path: PathBuf,
    major: u32,
    version: String,
    bindir: PathBuf,
    pkglibdir: PathBuf,
    sharedir: PathBuf,
    includedir_server: PathBuf,
}

impl PgConfig {
    /// Runs the given `pg_config`.
    ///
    /// # Errors
    ///
    /// If it cannot be run or does not answer as PostgreSQL's does.
    pub fn from_path(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let version = ask(&path, "--version")?;
        let major = major_version(&version)
            .with_context(|| format!("{} --version gave \"{version}\"", path.display()))?;
        let bindir = PathBuf::from(ask(&path, "--bindir")?);
        let includedir_server = ask(&path, "--includedir-server")?;
        // Debian's program in /usr/bin only calls the real one. One name for both keeps pgrx from
        // rebuilding its bindings when the name changes.
        let real = Some(bindir.join("pg_config"))
            .filter(|real| ask(real, "--includedir-server").is_ok_and(|found| found == includedir_server));
        Ok(Self {
            major,
            version,
            pkglibdir: ask(&path, "--pkglibdir")?.into(),
            sharedir: ask(&path, "--sharedir")?.into(),
            includedir_server: includedir_server.into(),
            path: real.unwrap_or(path),
            bindir,
        })
    }

    /// The installation to use if the caller names none: `PG_CONFIG`, else the newest of Debian's
    /// that has both the server and its headers, else the `pg_config` in the `PATH`.
    ///
    /// `None` if no installation has a server and its headers.
    ///
    /// # Errors
    ///
    /// If `PG_CONFIG` names a program that is not `pg_config`.
    pub fn discover() -> Result<Option<Self>> {
        if let Some(path) = std::env::var_os("PG_CONFIG").filter(|path| !path.is_empty()) {
            return Self::from_path(PathBuf::from(path))
                .context("PG_CONFIG is set, but cannot be used")
                .map(Some);
        }
        let mut installed: Vec<Self> = debian_candidates()
            .into_iter()
            .filter_map(|path| Self::from_path(path).ok())
            .filter(Self::is_complete)
            .collect();
        installed.sort_by_key(Self::major);
        if let Some(newest) = installed.pop() {
            return Ok(Some(newest));
        }
        Ok(Self::from_path("pg_config").ok().filter(Self::is_complete))
    }

    /// Debian's or Ubuntu's package of a major version, if it has the server and its headers.
    #[must_use]
    pub fn of_package(major: u32) -> Option<Self> {
        let path = Path::new(DEBIAN_ROOT).join(major.to_string()).join("bin/pg_config");
        Self::from_path(path).ok().filter(|pg| pg.major() == major && pg.is_complete())
    }

    /// Whether the installation comes from Debian's or Ubuntu's packages, so that they can complete
    /// it.
    #[must_use]
    pub fn is_packaged(&self) -> bool {
        self.bindir.starts_with(DEBIAN_ROOT)
    }

    /// Whether it has the server's programs and headers, which building and testing need.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.has_server() && self.has_headers()
    }

    /// Whether it has the server's programs.
    #[must_use]
    pub fn has_server(&self) -> bool {
        self.program("postgres").is_file() && self.program("initdb").is_file()
    }

    /// Whether it has the server's headers (Debian: package `postgresql-server-dev-NN`).
    #[must_use]
    pub fn has_headers(&self) -> bool {
        self.includedir_server.join("postgres.h").is_file()
    }

    /// Whether the server's headers include those of ICU, and these are missing. They include them
    /// up to PostgreSQL 17, and Debian's package does not depend on that of ICU.
    #[must_use]
    pub fn lacks_headers_of_icu(&self) -> bool {
        let includes = |header: &str, text: &str| {
            std::fs::read_to_string(self.includedir_server.join(header))
                .is_ok_and(|found| found.contains(text))
        };
        self.is_packaged()
            && includes("utils/pg_locale.h", "unicode/ucol.h")
            && includes("pg_config.h", "#define USE_ICU 1")
            && !Path::new("/usr/include/unicode/ucol.h").is_file()
    }

    /// The `pg_config` program itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The major version, 15 for 15.4.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The version as `pg_config` reports it, `PostgreSQL 15.4`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The cargo feature of this major version, `pg15`.
    #[must_use]
    pub fn feature(&self) -> String {
        format!("pg{}", self.major)
    }

    /// The directory of the programs.
    #[must_use]
    pub fn bindir(&self) -> &Path {
        &self.bindir
    }

    /// The directory of loadable libraries.
    #[must_use]
    pub fn pkglibdir(&self) -> &Path {
        &self.pkglibdir
    }

    /// The directory of architecture-independent files.
    #[must_use]
    pub fn sharedir(&self) -> &Path {
        &self.sharedir
    }

    /// The directory of control files and SQL scripts.
    #[must_use]
    pub fn extension_dir(&self) -> PathBuf {
        self.sharedir.join("extension")
    }

    /// The path of one of PostgreSQL's programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bindir.join(name)
    }

    /// The path of a test program of PGXS, such as `src/test/regress/pg_regress`.
    #[must_use]
    pub fn pgxs_program(&self, name: &str) -> PathBuf {
        self.pkglibdir.join("pgxs").join(name)
    }
}

fn debian_candidates() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(DEBIAN_ROOT) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.path().join("bin/pg_config")).filter(|path| path.is_file()).collect()
}

fn ask(pg_config: &Path, option: &str) -> Result<String> {
    let output = Command::new(pg_config)
        .arg(option)
        .output()
        .with_context(|| format!("could not run {}", pg_config.display()))?;
    if !output.status.success() {
        bail!("{} {option}: {}", pg_config.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// 15 for `PostgreSQL 15.4 (Debian ...)`, 19 for `PostgreSQL 19beta1`.
fn major_version(version: &str) -> Option<u32> {
    let number = version.strip_prefix("PostgreSQL ")?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn major_versions_of_releases_betas_and_packages() {
        assert_eq!(major_version("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)"), Some(15));
        assert_eq!(major_version("PostgreSQL 19beta1"), Some(19));
        assert_eq!(major_version("PostgreSQL 18devel"), Some(18));
        assert_eq!(major_version("psql 15.20"), None);
        assert_eq!(major_version("PostgreSQL devel"), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_named_in_the_error() {
        let error = PgConfig::from_path("/nowhere/pg_config").unwrap_err();
        assert!(error.to_string().contains("/nowhere/pg_config"), "{error}");
    }
}
