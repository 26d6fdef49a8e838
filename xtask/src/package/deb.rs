//! Debian packages, with the names and the contents of those of the PostgreSQL project.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::client::{self, Client};
use super::product::{DESCRIPTION, Origin, Places, Product, SUMMARY, architecture};
use super::tree::{Tree, gzip};
use super::version::Date;

/// Debian's name of the sources.
const SOURCE: &str = "pg-keyspace";

/// The package of the client program.
pub const CLIENT: &str = "pg-keyspace-client";

/// A package, independent of what it holds.
struct Package<'a> {
    name: String,
    origin: &'a Origin,
    /// Packages that it needs.
    depends: Vec<String>,
    /// In half a line.
    summary: String,
    /// In several lines.
    description: &'static str,
    /// The files, without those in the directory of documents.
    files: Tree,
    /// Documents for users.
    documents: Tree,
}

/// Builds the package of the extension in a directory, and returns its path.
///
/// # Errors
///
/// If a file cannot be read or written, or dpkg-deb fails.
pub fn build(product: &Product, output: &Path) -> Result<PathBuf> {
    extension(product)?.build(output)
}

/// Builds the package of the client program in a directory, and returns its path.
///
/// # Errors
///
/// If a file cannot be read or written, or dpkg-deb fails.
pub fn build_client(client: &Client, output: &Path) -> Result<PathBuf> {
    package_of_client(client)?.build(output)
}

/// Debian's directories of extensions.
pub fn places(major: u32) -> Places {
    Places {
        library: format!("usr/lib/postgresql/{major}/lib"),
        extension: format!("usr/share/postgresql/{major}/extension"),
    }
}

/// The name of the package of the extension.
pub fn name(major: u32) -> String {
    format!("postgresql-{major}-{SOURCE}")
}

fn extension(product: &Product) -> Result<Package<'_>> {
    let major = product.major;
    let least = product.least_server().map(|least| format!(" (>= {least})")).unwrap_or_default();
    let server = [format!("postgresql-{major}{least}")];
    Ok(Package {
        name: name(major),
        origin: &product.origin,
        depends: server.into_iter().chain(product.library.binary.debian_depends()).collect(),
        summary: format!("{SUMMARY} for PostgreSQL {major}"),
        description: DESCRIPTION,
        files: product.extension(&places(major))?,
        documents: product.origin.documents()?,
    })
}

fn package_of_client(client: &Client) -> Result<Package<'_>> {
    Ok(Package {
        name: CLIENT.to_owned(),
        origin: &client.origin,
        depends: client.binary.debian_depends(),
        summary: client::SUMMARY.to_owned(),
        description: client::DESCRIPTION,
        files: client.files(client::System::Debian),
        documents: client.documents()?,
    })
}

impl Package<'_> {
    fn build(&self, output: &Path) -> Result<PathBuf> {
        let mut files = self.files.clone();
        files.add_tree(&format!("usr/share/doc/{}", self.name), self.all_documents()?);
        let staged = tempfile::tempdir().context("could not create a temporary directory")?;
        let (root, date) = (staged.path().join("root"), self.origin.date);
        files.write(&root, date.0)?;
        let mut control = Tree::default();
        control.add("DEBIAN/control", self.control_file(&files)?);
        control.add("DEBIAN/md5sums", sums(&root, &files)?);
        control.write(&root, date.0)?;
        let (version, architecture) = (self.origin.version.debian(), architecture()?);
        let path = output.join(format!("{}_{version}_{architecture}.deb", self.name));
        let sh = Shell::new().context("there is no working directory")?;
        archive(&sh, &root, &path, date)?;
        Ok(path)
    }

    fn control_file(&self, files: &Tree) -> Result<String> {
        let description: Vec<String> = self.description.lines().map(|line| format!(" {line}")).collect();
        Ok(format!(
            "Package: {name}\nSource: {SOURCE}\nVersion: {version}\nArchitecture: {architecture}\n\
             Maintainer: {maintainer}\nInstalled-Size: {size}\nDepends: {depends}\nSection: database\n\
             Priority: optional\nDescription: {summary}\n{description}\n",
            name = self.name,
            version = self.origin.version.debian(),
            architecture = architecture()?,
            maintainer = self.origin.maintainer,
            size = files.installed_kib(),
            depends = self.depends.join(", "),
            summary = self.summary,
            description = description.join("\n"),
        ))
    }

    /// What is in the package's directory of documents: licences and changelogs, as Debian's policy
    /// requires them, and the documents for users.
    fn all_documents(&self) -> Result<Tree> {
        let mut tree = self.documents.clone();
        tree.add("copyright", copyright(self.origin)?);
        tree.add("changelog.gz", gzip(self.origin.text("CHANGELOG.md")?.as_bytes())?);
        let changelog = format!(
            "{SOURCE} ({}) unstable; urgency=medium\n\n  * {}: see changelog.gz.\n\n -- {}  {}\n",
            self.origin.version.debian(),
            self.name,
            self.origin.maintainer,
            self.origin.date.format("%a, %d %b %Y %T +0000")?
        );
        tree.add("changelog.Debian.gz", gzip(changelog.as_bytes())?);
        Ok(tree)
    }
}

/// Makes the archive of what is below `root`.
fn archive(sh: &Shell, root: &Path, path: &Path, date: Date) -> Result<()> {
    // One thread, because the result of several depends on how many there are. By a variable, because
    // the dpkg of Ubuntu 22.04 has no option for it; it compresses with one thread anyway.
    cmd!(sh, "dpkg-deb --root-owner-group -Zxz --build {root} {path}")
        .env("DPKG_DEB_THREADS_MAX", "1")
        .env("SOURCE_DATE_EPOCH", date.0.to_string())
        .quiet()
        .ignore_stdout()
        .run()
        .context("could not build a Debian package")
}

/// The licences of the sources and of what is linked into library and program.
fn copyright(origin: &Origin) -> Result<String> {
    let (ours, theirs) = (origin.text("LICENSE")?, origin.text("THIRD-PARTY.md")?);
    Ok(format!(
        "pg_keyspace\n===========\n\n{ours}\nOn Debian systems, the complete text of the Apache License, \
         Version 2.0, is in\n/usr/share/common-licenses/Apache-2.0.\n\n{}",
        without_apache(&theirs)
    ))
}

/// Without the text of the Apache License, which Debian's policy wants to be named and not quoted.
fn without_apache(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_within = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_title = line.trim() == "Apache License"
            && lines.peek().is_some_and(|next| next.trim() == "Version 2.0, January 2004");
        if is_title {
            kept.push(
                "(The text of the Apache License, Version 2.0, is in /usr/share/common-licenses/Apache-2.0.)",
            );
        }
        is_within |= is_title;
        if !is_within {
            kept.push(line);
        }
        is_within &= line.trim() != "END OF TERMS AND CONDITIONS";
    }
    kept.join("\n") + "\n"
}

/// The MD5 sums by which dpkg verifies installed files.
fn sums(root: &Path, files: &Tree) -> Result<String> {
    let sh = Shell::new().context("there is no working directory")?;
    sh.change_dir(root);
    let paths: Vec<&str> = files.paths().collect();
    let sums = cmd!(sh, "md5sum {paths...}").quiet().read().context("could not compute checksums")?;
    Ok(format!("{sums}\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_control_file_names_what_the_library_needs() {
        let product = Product::made_up(17);
        let package = extension(&product).expect("a package");
        let text = package.control_file(&package.files).expect("a control file");
        for line in [
            "Package: postgresql-17-pg-keyspace",
            "Depends: postgresql-17 (>= 17.12), libc6 (>= 2.34), libgcc-s1 (>= 4.2)",
            "Section: database",
            "Description: interleaved sequences, UUIDv7 and ULID for PostgreSQL 17",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.lines().all(|line| !line.trim().is_empty() && line.len() <= 80), "{text}");
    }

    #[test]
    fn the_same_sources_give_the_same_package() {
        let directory = tempfile::tempdir().expect("a directory");
        let [one, two] = ["one", "two"].map(|name| directory.path().join(name));
        for output in [&one, &two] {
            std::fs::create_dir(output).expect("a directory");
        }
        let build =
            |output| std::fs::read(build(&Product::made_up(15), output).expect("built")).expect("read");
        assert_eq!(build(&one), build(&two));
    }

    #[test]
    fn the_client_needs_no_server() {
        let client = Client::made_up();
        let package = package_of_client(&client).expect("a package");
        let text = package.control_file(&package.files).expect("a control file");
        assert!(text.starts_with("Package: pg-keyspace-client\nSource: pg-keyspace\n"), "{text}");
        assert!(text.contains("\nDepends: libc6 (>= 2.34), libgcc-s1 (>= 4.2)\n"), "{text}");
        assert!(text.lines().all(|line| !line.trim().is_empty() && line.len() <= 80), "{text}");
    }

    #[test]
    fn licences_of_all_that_is_linked_are_in_the_package() {
        let text = copyright(&Origin::made_up()).expect("a text");
        for words in [
            "pg_keyspace contributors",
            "Portions Copyright 2019-2021 ZomboDB",
            "The Rust Project Developers",
        ] {
            assert!(text.contains(words), "{words}");
        }
        assert!(!text.contains("brings no text of its licence"));
        assert!(!text.contains("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION"));
        let quoted = "a\n  Apache License\n Version 2.0, January 2004\nb\nEND OF TERMS AND CONDITIONS\nc\n";
        let named =
            "(The text of the Apache License, Version 2.0, is in /usr/share/common-licenses/Apache-2.0.)";
        assert_eq!(without_apache(quoted), format!("a\n{named}\nc\n"));
        assert_eq!(without_apache("Apache License\nb\n"), "Apache License\nb\n");
    }

    /// The dpkg of Ubuntu 22.04, which refuses options that came later.
    #[test]
    fn dpkg_of_older_systems_builds_the_package() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let program = directory.path().join("dpkg-deb");
        let script = "#!/bin/sh\nfor option; do\n    case $option in\n\
                      --root-owner-group | -Zxz | --build | /*) ;;\n        *) exit 2 ;;\n    esac\ndone\n\
                      [ \"$DPKG_DEB_THREADS_MAX\" = 1 ]\n";
        std::fs::write(&program, script).expect("a script");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a program");
        let sh = Shell::new().expect("a shell");
        let path = std::env::var("PATH").expect("a path");
        sh.set_var("PATH", format!("{}:{path}", directory.path().display()));
        archive(&sh, Path::new("/root"), Path::new("/package.deb"), Date(0)).expect("built");
    }
}
