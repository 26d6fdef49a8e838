//! A private copy of PostgreSQL's install tree, with the extension in it.
//!
//! PostgreSQL finds its libraries and share files relative to its programs. So a copy of the
//! programs next to links to the rest is a complete installation, and the system's own installation
//! is not changed.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::container::{self, Container};
use crate::{PgConfig, Run};

/// The programs of the server. If they are installed among those of the whole system, only they are
/// copied.
const PROGRAMS: [&str; 20] = [
    "postgres",
    "initdb",
    "pg_ctl",
    "psql",
    "pg_config",
    "pg_dump",
    "pg_dumpall",
    "pg_restore",
    "pg_basebackup",
    "pg_isready",
    "pg_controldata",
    "pg_resetwal",
    "pg_rewind",
    "pg_upgrade",
    "pg_amcheck",
    "pg_createsubscriber",
    "pg_waldump",
    "pgbench",
    "vacuumdb",
    // An extension's, which some tests use if it is installed.
    "pg_repack",
];

/// The files of the extension that are installed into a tree.
#[derive(Clone, Debug)]
pub struct Extension {
    /// The library, as cargo built it.
    pub library: PathBuf,
    /// `pg_keyspace.control`, with the version filled in.
    pub control: PathBuf,
    /// The version.
    pub version: String,
    /// Install and upgrade scripts.
    pub scripts: Vec<PathBuf>,
}

/// A private installation of PostgreSQL with the extension.
#[derive(Clone)]
pub struct InstallTree {
    run: Arc<Run>,
    major: u32,
    bindir: PathBuf,
    pkglibdir: PathBuf,
    extension_dir: PathBuf,
    pgxs: PathBuf,
}

impl InstallTree {
    /// Copies the installation that `pg` describes into the directory of `run`.
    ///
    /// # Errors
    ///
    /// If a file cannot be copied, or the copied server does not look for its files in the copy.
    pub fn new(run: &Arc<Run>, pg: &PgConfig) -> Result<Self> {
        let root = run.directory().join("install");
        let places = relocate(&[pg.bindir(), pg.pkglibdir(), pg.sharedir()], &root)?;
        let [bindir, pkglibdir, sharedir] =
            places.try_into().map_err(|_| anyhow::anyhow!("three directories"))?;
        for directory in [&bindir, &pkglibdir, &sharedir] {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("could not make {}", directory.display()))?;
        }
        for program in PROGRAMS {
            let original = pg.program(program);
            if original.is_file() {
                std::fs::copy(&original, bindir.join(program))
                    .with_context(|| format!("could not copy {}", original.display()))?;
            }
        }
        link_entries(pg.pkglibdir(), &pkglibdir, |_| true)?;
        link_entries(pg.sharedir(), &sharedir, |name| name != "extension")?;
        let extension_dir = sharedir.join("extension");
        std::fs::create_dir_all(&extension_dir).context("could not make the extension directory")?;
        link_entries(&pg.extension_dir(), &extension_dir, |_| true)?;
        let tree = Self {
            run: Arc::clone(run),
            major: pg.major(),
            bindir,
            pkglibdir,
            extension_dir,
            pgxs: pg.pkglibdir().join("pgxs"),
        };
        tree.check_relocation(&root)?;
        Ok(tree)
    }

    /// Copies the PostgreSQL of a container, with the extension that was built there, into the
    /// directory of `run`. It runs on this system. Debian's layout is assumed.
    ///
    /// # Errors
    ///
    /// If a file is missing or cannot be copied.
    pub fn of_container(run: &Arc<Run>, container: &Container) -> Result<Self> {
        let major = container.major;
        let root = run.make_directory(&format!("container-{major}"))?;
        let theirs = |path: &str| container.root.join("usr").join(path.replace("NN", &major.to_string()));
        let ours = |path: &str| root.join(path.replace("NN", &major.to_string()));
        let (bindir, pkglibdir) = (ours("lib/postgresql/NN/bin"), ours("lib/postgresql/NN/lib"));
        let sharedir = ours("share/postgresql/NN");
        copy_all(&theirs("lib/postgresql/NN/lib"), &pkglibdir, &["pgxs", "bitcode"])?;
        copy_all(&theirs("share/postgresql/NN"), &sharedir, &["man"])?;
        let loaded =
            ["libpqwalreceiver.so", "dict_snowball.so", "plpgsql.so"].map(|name| pkglibdir.join(name));
        container::adopt(
            &container.root,
            &theirs("lib/postgresql/NN/bin"),
            &PROGRAMS,
            &loaded,
            &bindir,
            &root.join("support"),
        )?;
        let tree = Self {
            run: Arc::clone(run),
            major,
            extension_dir: sharedir.join("extension"),
            pgxs: pkglibdir.join("pgxs"),
            bindir,
            pkglibdir,
        };
        tree.install(&Extension::of_checkout(container.library.clone())?)?;
        Ok(tree)
    }

    /// The tree for a test, built from what `cargo xtask test` passes in the environment.
    ///
    /// # Errors
    ///
    /// If a variable is missing, or the tree cannot be created.
    pub fn from_environment() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var(name)
                .with_context(|| format!("{name} is not set; run \"cargo xtask test --only cluster\""))
        };
        let pg = PgConfig::from_path(variable(PG_CONFIG_VARIABLE)?)?;
        let library = PathBuf::from(variable(LIBRARY_VARIABLE)?);
        let tree = Self::new(&Run::new(false)?, &pg)?;
        tree.install(&Extension::of_checkout(library)?)?;
        Ok(tree)
    }

    /// Installs the extension into the tree.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written.
    pub fn install(&self, extension: &Extension) -> Result<()> {
        // The functions by which tests change tables without the extension, as an extension of
        // their own.
        copy_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tools"), &self.extension_dir, &[])?;
        install_extension(extension, &self.pkglibdir, &self.extension_dir)
    }

    /// Installs a library under another name next to that of the extension.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written.
    pub fn install_library(&self, name: &str, library: &Path) -> Result<()> {
        let contents = std::fs::read(library).with_context(|| cannot("read", library))?;
        replace(&self.pkglibdir.join(format!("{name}{}", library_suffix(library))), &contents)
    }

    /// The run that the tree belongs to.
    #[must_use]
    pub fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// PostgreSQL's major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The directory of programs.
    #[must_use]
    pub fn bindir(&self) -> &Path {
        &self.bindir
    }

    /// The directory of control files and scripts, which belongs to this tree alone.
    #[must_use]
    pub fn extension_dir(&self) -> &Path {
        &self.extension_dir
    }

    /// Whether an extension can be created.
    #[must_use]
    pub fn has_extension(&self, name: &str) -> bool {
        self.extension_dir.join(format!("{name}.control")).exists()
    }

    /// A command that runs one of PostgreSQL's programs as the server's user.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.run.command(&self.bindir.join(program))
    }

    /// A command that runs a test program of PGXS, such as `src/test/regress/pg_regress`, as the
    /// server's user.
    #[must_use]
    pub fn pgxs_command(&self, program: &str) -> Command {
        self.run.command(&self.pgxs.join(program))
    }

    /// Asks the copied programs for their directories instead of relying on the rule.
    fn check_relocation(&self, root: &Path) -> Result<()> {
        let output = self.command("pg_config").arg("--sharedir").output().with_context(|| {
            format!(
                "could not run {} as the server's user; if that directory is closed to others or mounted \
                     noexec, set TMPDIR to one that is not",
                self.bindir.join("pg_config").display()
            )
        })?;
        let sharedir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let real_root = root.canonicalize().context("the install tree has gone")?;
        let found = Path::new(&sharedir).canonicalize().unwrap_or_default();
        if !found.starts_with(&real_root) {
            bail!("this PostgreSQL cannot be run from a copy: the copied programs look in {sharedir}");
        }
        Ok(())
    }
}

/// Names `pg_config` for the tests on clusters.
pub const PG_CONFIG_VARIABLE: &str = "PG_KEYSPACE_TEST_PG_CONFIG";
/// Names the client program for the tests on clusters.
pub const CLIENT_VARIABLE: &str = "PG_KEYSPACE_TEST_CLIENT";
/// Names the library for the tests on clusters.
pub const LIBRARY_VARIABLE: &str = "PG_KEYSPACE_TEST_LIBRARY";

impl Extension {
    /// The extension of this checkout, with a library that cargo has built.
    ///
    /// # Errors
    ///
    /// If the directory of scripts cannot be read.
    pub fn of_checkout(library: PathBuf) -> Result<Self> {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("pg_test lies in the workspace")?;
        let scripts = std::fs::read_dir(top.join("sql")).context("could not read the directory sql")?;
        let scripts = scripts.flatten().map(|entry| entry.path());
        Ok(Self {
            library,
            control: top.join("pg_keyspace.control"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scripts: scripts.filter(|path| path.extension() == Some(OsStr::new("sql"))).collect(),
        })
    }
}

/// Copies an extension into the directories of an installation.
///
/// # Errors
///
/// If a file cannot be read or written.
pub fn install_extension(extension: &Extension, pkglibdir: &Path, extension_dir: &Path) -> Result<()> {
    let library = pkglibdir.join(format!("pg_keyspace{}", library_suffix(&extension.library)));
    replace(
        &library,
        &std::fs::read(&extension.library).with_context(|| cannot("read", &extension.library))?,
    )?;
    let control =
        std::fs::read_to_string(&extension.control).with_context(|| cannot("read", &extension.control))?;
    let control = control.replace("@CARGO_VERSION@", &extension.version);
    replace(&extension_dir.join("pg_keyspace.control"), control.as_bytes())?;
    for script in &extension.scripts {
        let name = script.file_name().context("a script has a name")?;
        replace(&extension_dir.join(name), &std::fs::read(script).with_context(|| cannot("read", script))?)?;
    }
    Ok(())
}

fn library_suffix(library: &Path) -> String {
    library.extension().map(|suffix| format!(".{}", suffix.to_string_lossy())).unwrap_or_default()
}

fn cannot(what: &str, path: &Path) -> String {
    format!("could not {what} {}", path.display())
}

/// Writes a file under a temporary name and renames it, so that a server that has mapped the old
/// library keeps it.
fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    std::fs::write(&temporary, contents).with_context(|| cannot("write", path))?;
    std::fs::rename(&temporary, path).with_context(|| cannot("write", path))
}

/// Places directories below `root` so that each finds the others as before: their common prefix is
/// removed.
fn relocate(directories: &[&Path], root: &Path) -> Result<Vec<PathBuf>> {
    let components: Vec<Vec<Component<'_>>> =
        directories.iter().map(|directory| directory.components().collect()).collect();
    let shortest = components.iter().map(Vec::len).min().unwrap_or(0);
    let common = (0..shortest)
        .take_while(|&at| {
            components.iter().all(|parts| parts.get(at) == components.first().and_then(|parts| parts.get(at)))
        })
        .count();
    if common == 0 {
        bail!("the directories of PostgreSQL have no common root");
    }
    Ok(components.iter().map(|parts| root.join(parts.iter().skip(common).collect::<PathBuf>())).collect())
}

/// Copies a directory recursively, except for the given names at its top.
fn copy_all(from: &Path, to: &Path, unwanted: &[&str]) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| cannot("make", to))?;
    for entry in std::fs::read_dir(from).with_context(|| cannot("read", from))?.flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if unwanted.iter().any(|name| entry.file_name() == OsStr::new(name)) {
            continue;
        }
        if source.is_dir() {
            copy_all(&source, &target, &[])?;
        } else if source.is_file() {
            std::fs::copy(&source, &target).with_context(|| cannot("copy", &source))?;
        }
    }
    Ok(())
}

fn link_entries(from: &Path, to: &Path, wanted: impl Fn(&OsStr) -> bool) -> Result<()> {
    let entries = std::fs::read_dir(from).with_context(|| cannot("read", from))?;
    for entry in entries {
        let entry = entry.with_context(|| cannot("read", from))?;
        let name = entry.file_name();
        if wanted(&name) && !name.to_string_lossy().starts_with("pg_keyspace") {
            let link = to.join(&name);
            // Directories that belong to the tree itself exist already.
            if !link.exists() {
                std::os::unix::fs::symlink(entry.path(), &link).with_context(|| cannot("link", &link))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn relocated(directories: [&str; 3]) -> Vec<String> {
        let paths = directories.map(Path::new);
        let found = relocate(&paths, Path::new("/t")).expect("a common root");
        found.iter().map(|path| path.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn debians_layout_and_a_plain_prefix_keep_their_shape() {
        assert_eq!(
            relocated([
                "/usr/lib/postgresql/15/bin",
                "/usr/lib/postgresql/15/lib",
                "/usr/share/postgresql/15"
            ]),
            ["/t/lib/postgresql/15/bin", "/t/lib/postgresql/15/lib", "/t/share/postgresql/15"]
        );
        assert_eq!(
            relocated(["/usr/local/pgsql/bin", "/usr/local/pgsql/lib", "/usr/local/pgsql/share"]),
            ["/t/bin", "/t/lib", "/t/share"]
        );
    }

    #[test]
    fn the_version_is_filled_into_the_control_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str, contents: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, contents).expect("a file");
            path
        };
        let extension = Extension {
            library: file("libpg_keyspace.so", "code"),
            control: file("control", "default_version = '@CARGO_VERSION@'"),
            version: "1.2.3".to_owned(),
            scripts: vec![file("pg_keyspace--1.2.3.sql", "sql")],
        };
        let target = directory.path().join("target");
        std::fs::create_dir(&target).expect("a directory");
        install_extension(&extension, &target, &target).expect("installed");
        let read = |name: &str| std::fs::read_to_string(target.join(name)).expect("a file");
        assert_eq!(read("pg_keyspace.control"), "default_version = '1.2.3'");
        assert_eq!(
            (read("pg_keyspace.so"), read("pg_keyspace--1.2.3.sql")),
            ("code".to_owned(), "sql".to_owned())
        );
        assert_eq!(std::fs::read_dir(&target).expect("a directory").count(), 3, "nothing temporary is left");
    }
}
