//! The client program, which works with every version of PostgreSQL and needs none on its machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::library::Binary;
use super::product::{Origin, architecture};
use super::tarball;
use super::tree::{Tree, gzip};

/// What it is, in half a line.
pub const SUMMARY: &str = "sets up and checks the nodes of a multi-writer PostgreSQL";

/// What it is, in lines that fit every format.
pub const DESCRIPTION: &str = "\
pg_keyspace is the client program of the extension of that name. It sets up,
checks and splits all nodes of a multi-writer PostgreSQL with one command each,
finds what has to be fixed before servers replicate to each other, and runs key
migrations. It connects to servers as psql does, and needs none on its machine.";

/// The program's name.
pub const PROGRAM: &str = "pg_keyspace";

/// The guide that is installed with it.
const GUIDE: &str = "docs/guides/fleet.md";

/// The program, with what it writes about itself.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where it comes from.
    pub origin: Origin,
    /// The program itself.
    pub binary: Binary,
    /// The man pages, compressed.
    manual: Tree,
    /// The completions of each shell.
    completions: Vec<(Shell, Vec<u8>)>,
}

/// A shell with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

impl Shell {
    const ALL: [Self; 3] = [Self::Bash, Self::Fish, Self::Zsh];

    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Fish => "fish",
            Self::Zsh => "zsh",
        }
    }
}

/// Where distributions have the completions of zsh; those of other shells are at the same place in all.
#[derive(Clone, Copy, Debug)]
pub enum System {
    /// Debian and Ubuntu.
    Debian,
    /// Systems with RPM.
    Rpm,
}

impl Client {
    /// The program that cargo has built from these sources.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or does not write its man pages and completions.
    pub fn new(origin: Origin, built: &Path) -> Result<Self> {
        let pages = tempfile::tempdir().context("could not create a temporary directory")?;
        output(Command::new(built).arg("man").arg(pages.path()))?;
        let mut manual = Tree::default();
        for entry in std::fs::read_dir(pages.path()).context("could not read the man pages")? {
            let entry = entry.context("could not read the man pages")?;
            let text = std::fs::read(entry.path()).context("could not read a man page")?;
            manual.add(format!("{}.gz", entry.file_name().to_string_lossy()), gzip(&text)?);
        }
        ensure!(manual.paths().any(|path| path == "pg_keyspace.1.gz"), "the program has no man page");
        let completions = Shell::ALL
            .into_iter()
            .map(|shell| Ok((shell, output(Command::new(built).arg("completions").arg(shell.name()))?)));
        Ok(Self {
            origin,
            binary: Binary::read(built)?,
            manual,
            completions: completions.collect::<Result<_>>()?,
        })
    }

    /// The files of a package of a system, without documents.
    pub fn files(&self, system: System) -> Tree {
        let mut tree = Tree::default();
        tree.add_program(format!("usr/bin/{PROGRAM}"), self.binary.contents.clone());
        tree.add_tree("usr/share/man/man1", self.manual.clone());
        for (shell, text) in &self.completions {
            let path = match (shell, system) {
                (Shell::Bash, _) => format!("usr/share/bash-completion/completions/{PROGRAM}"),
                (Shell::Fish, _) => format!("usr/share/fish/vendor_completions.d/{PROGRAM}.fish"),
                (Shell::Zsh, System::Debian) => format!("usr/share/zsh/vendor-completions/_{PROGRAM}"),
                (Shell::Zsh, System::Rpm) => format!("usr/share/zsh/site-functions/_{PROGRAM}"),
            };
            tree.add(path, text.clone());
        }
        tree
    }

    /// The guide.
    pub fn documents(&self) -> Result<Tree> {
        self.origin.some_documents(&[GUIDE])
    }

    /// The beginning of names of files that belong to no distribution.
    pub fn file_name(&self) -> Result<String> {
        Ok(format!("pg_keyspace-client-{}-{}", self.origin.version.plain(), architecture()?))
    }

    /// Writes the archive, and returns its path.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written.
    pub fn archive(&self, output: &Path) -> Result<PathBuf> {
        let mut tree = Tree::default();
        tree.add_program(format!("bin/{PROGRAM}"), self.binary.contents.clone());
        tree.add_tree("share/man/man1", self.manual.clone());
        for (shell, text) in &self.completions {
            tree.add(format!("completions/{PROGRAM}.{}", shell.name()), text.clone());
        }
        tree.add_tree("doc", self.documents()?);
        tree.add_tree("licenses", self.origin.licences()?);
        tarball::write(&tree, &self.file_name()?, &self.origin, output)
    }
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("could not run the client program")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the client program failed: {}", error.trim());
    Ok(output.stdout)
}

#[cfg(test)]
impl Client {
    /// A program that is none, for tests of formats.
    pub fn made_up() -> Self {
        let mut manual = Tree::default();
        manual.add("pg_keyspace.1.gz", "page");
        let completions = Shell::ALL.map(|shell| (shell, shell.name().as_bytes().to_vec())).to_vec();
        Self { origin: Origin::made_up(), binary: Binary::made_up(), manual, completions }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn each_system_has_its_place_for_the_completions_of_zsh() {
        let client = Client::made_up();
        let [debian, rpm] = [System::Debian, System::Rpm].map(|system| client.files(system));
        let of_zsh = |tree: &Tree| -> Vec<String> {
            tree.paths().filter(|path| path.contains("/zsh/")).map(str::to_owned).collect()
        };
        assert_eq!(of_zsh(&debian), ["usr/share/zsh/vendor-completions/_pg_keyspace"]);
        assert_eq!(of_zsh(&rpm), ["usr/share/zsh/site-functions/_pg_keyspace"]);
        assert!(debian.paths().any(|path| path == "usr/share/man/man1/pg_keyspace.1.gz"));
        assert!(DESCRIPTION.lines().all(|line| line.len() <= 79), "Debian puts a blank before each");
    }
}
