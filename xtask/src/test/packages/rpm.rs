//! The RPM, in an empty root: this machine need not be one that has such packages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use super::client::Client;
use crate::package::{self, Kind, Packages};
use crate::test::tally::Tally;

/// An empty root with a database of packages.
struct Root {
    directory: PathBuf,
    sh: Shell,
}

impl Root {
    fn new(directory: &Path) -> Result<Self> {
        std::fs::create_dir(directory).context("could not make a root")?;
        let root =
            Self { directory: directory.to_owned(), sh: Shell::new().context("no working directory")? };
        root.rpm(&["--initdb"])?;
        Ok(root)
    }

    /// What rpm prints. Nothing that the package requires is in the root.
    fn rpm(&self, arguments: &[&str]) -> Result<String> {
        let root = &self.directory;
        let command =
            cmd!(self.sh, "rpm --root {root} --dbpath /var/lib/rpm {arguments...}").env("LC_ALL", "C");
        command.quiet().read().with_context(|| format!("rpm {} failed", arguments.join(" ")))
    }

    /// The files below the root, without those of rpm itself.
    fn files(&self) -> Result<BTreeSet<String>> {
        let root = &self.directory;
        let files =
            cmd!(self.sh, "find {root} -not -type d -not -path */var/lib/rpm/* -printf /%P\\n").quiet();
        Ok(files.read().context("could not list files")?.lines().map(str::to_owned).collect())
    }
}

/// Installs, verifies, upgrades and removes it.
pub fn run(this: &Packages, next: &Packages, client: &Client, tally: &mut Tally) -> Result<()> {
    let directory = tempfile::tempdir().context("could not create a temporary directory")?;
    let root = Root::new(&directory.path().join("root"))?;
    let name = package::rpm::name(this.major()?);
    let path =
        |packages: &Packages| -> Result<String> { Ok(packages.file(Kind::Rpm)?.display().to_string()) };
    let (file, next_file) = (path(this)?, path(next)?);
    tally.check(
        "the RPM requires the server and the symbols of the system",
        requires(&root, &file, this.major()?),
    );
    tally.check("rpm installs it into an empty root", root.rpm(&["--install", "--nodeps", &file]).map(drop));
    tally.check(
        "what is installed is what was packaged",
        root.rpm(&["--verify", "--nodeps", &name]).map(drop),
    );
    tally.check("library and scripts are where PostgreSQL looks for them", places(&root, this));
    tally.check("rpm upgrades it", upgrade(&root, &name, &next_file, next));
    tally.check("rpm removes it, and nothing is left", remove(&root, &name));
    tally.check(
        "the RPM of the client is installed, runs, is upgraded and removed",
        client_program(&root, client),
    );
    Ok(())
}

/// The client program needs nothing but the system, so it runs outside of its root.
fn client_program(root: &Root, client: &Client) -> Result<()> {
    let path =
        |packages: &Packages| -> Result<String> { Ok(packages.file(Kind::Rpm)?.display().to_string()) };
    let (file, name) = (path(&client.this)?, package::rpm::CLIENT);
    let requires = root.rpm(&["--query", "--requires", "--package", &file])?;
    ensure!(!requires.contains("postgresql") && requires.contains("libc.so.6(GLIBC_"), "{requires}");
    root.rpm(&["--install", "--nodeps", &file])?;
    root.rpm(&["--verify", "--nodeps", name])?;
    let files = root.files()?;
    for path in ["/usr/bin/pg_keyspace", "/usr/share/man/man1/pg_keyspace.1.gz"] {
        ensure!(files.contains(path), "{path} is not among {files:?}");
    }
    let program = root.directory.join("usr/bin/pg_keyspace");
    let version = cmd!(root.sh, "{program} --version").quiet().read()?;
    ensure!(version == format!("pg_keyspace {}", client.this.version), "{version}");
    root.rpm(&["--upgrade", "--nodeps", &path(&client.next)?])?;
    let version = root.rpm(&["--query", "--queryformat", "%{VERSION}", name])?;
    ensure!(version == client.next.version, "{version} is installed");
    root.rpm(&["--verify", "--nodeps", name])?;
    remove(root, name)
}

fn requires(root: &Root, file: &str, major: u32) -> Result<()> {
    let text = root.rpm(&["--query", "--requires", "--package", file])?;
    let server = format!("postgresql{major}-server");
    ensure!(
        text.lines().any(|line| line.split(' ').next() == Some(server.as_str())),
        "no {server} in\n{text}"
    );
    ensure!(text.lines().any(|line| line.starts_with("libc.so.6(GLIBC_")), "no version of glibc in\n{text}");
    Ok(())
}

fn places(root: &Root, packages: &Packages) -> Result<()> {
    let files = root.files()?;
    let (version, places) = (&packages.version, package::rpm::places(packages.major()?));
    for path in [
        format!("/{}/pg_keyspace.so", places.library),
        format!("/{}/pg_keyspace.control", places.extension),
        format!("/{}/pg_keyspace--{version}.sql", places.extension),
    ] {
        ensure!(files.contains(&path), "{path} is not among {files:?}");
    }
    Ok(())
}

fn upgrade(root: &Root, name: &str, file: &str, next: &Packages) -> Result<()> {
    root.rpm(&["--upgrade", "--nodeps", file])?;
    let version = root.rpm(&["--query", "--queryformat", "%{VERSION}", name])?;
    ensure!(version == next.version, "{version} is installed");
    root.rpm(&["--verify", "--nodeps", name])?;
    places(root, next)
}

fn remove(root: &Root, name: &str) -> Result<()> {
    root.rpm(&["--erase", "--nodeps", name])?;
    let left = root.files()?;
    ensure!(left.is_empty(), "left: {left:?}");
    // Directories of the package, too; those of PostgreSQL were made for it in the empty root.
    let directory = &root.directory;
    let left = cmd!(root.sh, "find {directory} -name *pg_keyspace*").quiet().read()?;
    ensure!(left.is_empty(), "left: {left}");
    Ok(())
}
