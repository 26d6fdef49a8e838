//! Debian packages, with the names and the contents of those of the PostgreSQL project.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::product::{DESCRIPTION, Places, Product, SUMMARY};
use super::tree::{Tree, gzip};

/// Debian's name of the sources.
const SOURCE: &str = "pg-keyspace";

/// A package, independent of what it holds.
struct Package {
    name: String,
    /// Packages that it needs.
    depends: Vec<String>,
    /// In half a line.
    summary: String,
    /// The files, without those in the directory of documents.
    files: Tree,
}

/// Builds the package of the extension in a directory, and returns its path.
///
/// # Errors
///
/// If a file cannot be read or written, or dpkg-deb fails.
pub fn build(product: &Product, output: &Path) -> Result<PathBuf> {
    build_package(product, &extension(product)?, output)
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

fn extension(product: &Product) -> Result<Package> {
    let major = product.major;
    let least = product.least_server().map(|least| format!(" (>= {least})")).unwrap_or_default();
    let server = [format!("postgresql-{major}{least}")];
    Ok(Package {
        name: name(major),
        depends: server.into_iter().chain(product.library.debian_depends()).collect(),
        summary: format!("{SUMMARY} for PostgreSQL {major}"),
        files: product.extension(&places(major))?,
    })
}

fn build_package(product: &Product, package: &Package, output: &Path) -> Result<PathBuf> {
    let mut files = package.files.clone();
    files.add_tree(&format!("usr/share/doc/{}", package.name), documents(product, &package.name)?);
    let staged = tempfile::tempdir().context("could not create a temporary directory")?;
    let root = staged.path().join("root");
    files.write(&root, product.date.0)?;
    let mut control = Tree::default();
    control.add("DEBIAN/control", control_file(product, package, &files)?);
    control.add("DEBIAN/md5sums", sums(&root, &files)?);
    control.write(&root, product.date.0)?;
    let (version, architecture) = (product.version.debian(), Product::architecture()?);
    let path = output.join(format!("{}_{version}_{architecture}.deb", package.name));
    let sh = Shell::new().context("there is no working directory")?;
    // One thread, because the result of several depends on how many there are.
    cmd!(sh, "dpkg-deb --root-owner-group -Zxz --threads-max=1 --build {root} {path}")
        .env("SOURCE_DATE_EPOCH", product.date.0.to_string())
        .quiet()
        .ignore_stdout()
        .run()
        .context("could not build a Debian package")?;
    Ok(path)
}

fn control_file(product: &Product, package: &Package, files: &Tree) -> Result<String> {
    let description: Vec<String> = DESCRIPTION.lines().map(|line| format!(" {line}")).collect();
    Ok(format!(
        "Package: {name}\nSource: {SOURCE}\nVersion: {version}\nArchitecture: {architecture}\n\
         Maintainer: {maintainer}\nInstalled-Size: {size}\nDepends: {depends}\nSection: database\n\
         Priority: optional\nDescription: {summary}\n{description}\n",
        name = package.name,
        version = product.version.debian(),
        architecture = Product::architecture()?,
        maintainer = product.maintainer,
        size = files.installed_kib(),
        depends = package.depends.join(", "),
        summary = package.summary,
        description = description.join("\n"),
    ))
}

/// What is in the package's directory of documents: licences and changelogs, as Debian's policy
/// requires them, and the documents for users.
fn documents(product: &Product, name: &str) -> Result<Tree> {
    let mut tree = product.documents()?;
    tree.add("copyright", copyright(product)?);
    tree.add("changelog.gz", gzip(product.text("CHANGELOG.md")?.as_bytes())?);
    let changelog = format!(
        "{SOURCE} ({}) unstable; urgency=medium\n\n  * {name}: see changelog.gz.\n\n -- {}  {}\n",
        product.version.debian(),
        product.maintainer,
        product.date.format("%a, %d %b %Y %T +0000")?
    );
    tree.add("changelog.Debian.gz", gzip(changelog.as_bytes())?);
    Ok(tree)
}

/// The licences of the extension and of what is linked into it.
fn copyright(product: &Product) -> Result<String> {
    let (ours, theirs) = (product.text("LICENSE")?, product.text("THIRD-PARTY.md")?);
    Ok(format!(
        "pg_keyspace\n===========\n\n{ours}\nOn Debian systems, the complete text of the Apache License, \
         Version 2.0, is in\n/usr/share/common-licenses/Apache-2.0.\n\n{theirs}"
    ))
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
        let text = control_file(&product, &package, &package.files).expect("a control file");
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
}
