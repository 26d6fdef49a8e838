//! RPMs, with the names and the directories of those of the PostgreSQL project.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use super::client::{self, Client};
use super::product::{self, DESCRIPTION, Origin, Places, Product, SUMMARY};
use super::tree::Tree;

/// The program that builds packages; in Debian, of the package `rpm`.
pub const PROGRAM: &str = "rpmbuild";

/// The package of the client program.
pub const CLIENT: &str = "pg_keyspace-client";

/// A package, independent of what it holds.
struct Package<'a> {
    name: String,
    origin: &'a Origin,
    /// Packages that it needs, besides those whose libraries it uses.
    requires: Option<String>,
    /// In half a line.
    summary: String,
    /// In several lines.
    description: &'static str,
    /// All files.
    files: Tree,
}

/// Builds the package of the extension, and returns its path.
///
/// # Errors
///
/// If a file cannot be read or written, or rpmbuild fails.
pub fn build(product: &Product, output: &Path) -> Result<PathBuf> {
    extension(product)?.build(output)
}

/// Builds the package of the client program, and returns its path.
///
/// # Errors
///
/// If a file cannot be read or written, or rpmbuild fails.
pub fn build_client(client: &Client, output: &Path) -> Result<PathBuf> {
    package_of_client(client)?.build(output)
}

/// The name of the package of the extension.
pub fn name(major: u32) -> String {
    format!("pg_keyspace_{major}")
}

/// The PostgreSQL project's directories of extensions.
pub fn places(major: u32) -> Places {
    let root = format!("usr/pgsql-{major}");
    Places { library: format!("{root}/lib"), extension: format!("{root}/share/extension") }
}

/// The architecture as RPM names it.
fn architecture() -> Result<&'static str> {
    product::architecture().map(|_| std::env::consts::ARCH)
}

fn extension(product: &Product) -> Result<Package<'_>> {
    let major = product.major;
    let places = places(major);
    let mut files = product.extension(&places)?;
    // RPM looks for requirements in executable files only, libraries too.
    files.make_executable(&format!("{}/pg_keyspace.so", places.library));
    let least = product.least_server().map(|least| format!(" >= {least}")).unwrap_or_default();
    let package = Package {
        name: name(major),
        origin: &product.origin,
        requires: Some(format!("postgresql{major}-server{least}")),
        summary: format!("{} for PostgreSQL {major}", capitalized(SUMMARY)),
        description: DESCRIPTION,
        files,
    };
    package.with_documents(product.origin.documents()?)
}

fn package_of_client(client: &Client) -> Result<Package<'_>> {
    let package = Package {
        name: CLIENT.to_owned(),
        origin: &client.origin,
        requires: None,
        summary: capitalized(client::SUMMARY),
        description: client::DESCRIPTION,
        files: client.files(client::System::Rpm),
    };
    package.with_documents(client.documents()?)
}

impl Package<'_> {
    /// With documents for users, and licences.
    fn with_documents(mut self, documents: Tree) -> Result<Self> {
        self.files.add_tree(&format!("usr/share/doc/{}", self.name), documents);
        self.files.add_tree(&format!("usr/share/licenses/{}", self.name), self.origin.licences()?);
        Ok(self)
    }

    fn build(&self, output: &Path) -> Result<PathBuf> {
        let staged = tempfile::tempdir().context("could not create a temporary directory")?;
        let (root, top) = (staged.path().join("root"), staged.path().join("rpmbuild"));
        let date = self.origin.date;
        self.files.write(&root, date.0)?;
        let spec = staged.path().join("pg_keyspace.spec");
        std::fs::write(&spec, self.specification(&root)?).context("could not write the spec file")?;
        let (version, release) = (&self.origin.version.extension, self.origin.version.rpm_release());
        let target = architecture()?;
        let file = format!("{}-{version}-{release}.{target}.rpm", self.name);
        let sh = Shell::new().context("there is no working directory")?;
        let definition = format!("_topdir {}", top.display());
        let built = cmd!(sh, "{PROGRAM} -bb --target {target} --define {definition} {spec}")
            .env("SOURCE_DATE_EPOCH", date.0.to_string())
            .env("LC_ALL", "C")
            .quiet()
            .ignore_status()
            .output()
            .context("could not run rpmbuild")?;
        ensure!(built.status.success(), "rpmbuild failed:\n{}", String::from_utf8_lossy(&built.stderr));
        let path = output.join(&file);
        let made = top.join("RPMS").join(target).join(&file);
        std::fs::copy(&made, &path).with_context(|| format!("rpmbuild has not built {file}"))?;
        Ok(path)
    }

    /// The spec file of a package whose files are complete below `root`.
    fn specification(&self, root: &Path) -> Result<String> {
        let (name, maintainer, description) = (&self.name, &self.origin.maintainer, self.description);
        let version = &self.origin.version.extension;
        let release = self.origin.version.rpm_release();
        let day = self.origin.date.format("%a %b %d %Y")?;
        let list: Vec<String> = self
            .files
            .paths()
            .map(|path| match path.split('/').nth(2) {
                Some("doc" | "man") => format!("%doc /{path}"),
                Some("licenses") => format!("%license /{path}"),
                _ => format!("/{path}"),
            })
            .collect();
        let own = self.files.directories();
        // Those of documents and licences; the others belong to PostgreSQL or to the system.
        let own: Vec<String> =
            own.iter().filter(|path| path.contains(name)).map(|path| format!("%dir /{path}")).collect();
        Ok(format!(
            "\
# The files are stripped already, and nothing is compiled here.
%global debug_package %{{nil}}
%global __os_install_post %{{nil}}
%global _build_id_links none
# The same files give the same package on every machine.
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
%global _buildhost localhost
%global _binary_payload w9.xzdio

Name: {name}
Version: {version}
Release: {release}
Summary: {summary}
License: PostgreSQL
Vendor: pg_keyspace
Packager: {maintainer}
{requires}
%description
{description}

%install
mkdir -p %{{buildroot}}
cp -a '{root}'/. %{{buildroot}}/

%files
{own}
{list}

%changelog
* {day} {maintainer} - {version}-{release}
- See the changelog of pg_keyspace {version}.
",
            requires = self.requires.as_ref().map(|it| format!("Requires: {it}\n")).unwrap_or_default(),
            summary = self.summary,
            root = root.display(),
            own = own.join("\n"),
            list = list.join("\n"),
        ))
    }
}

/// RPM wants summaries to begin with a capital letter, Debian does not.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_spec_lists_every_file_and_owns_no_directory_of_others() {
        let product = Product::made_up(17);
        let package = extension(&product).expect("a package");
        let text = package.specification(Path::new("/staged")).expect("a spec file");
        let (_, list) = text.split_once("%files\n").expect("a list");
        let (list, _) = list.split_once("\n%changelog").expect("a list");
        for path in package.files.paths() {
            assert!(list.lines().any(|line| line.ends_with(&format!("/{path}"))), "{path}");
        }
        let directories: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("%dir ")).collect();
        assert!(directories.contains(&"/usr/share/licenses/pg_keyspace_17"));
        assert!(directories.iter().all(|path| path.contains("/pg_keyspace_17")), "{directories:?}");
        assert!(list.contains("\n%license /usr/share/licenses/pg_keyspace_17/LICENSE"));
        assert!(text.contains("\nSummary: Interleaved sequences, UUIDv7 and ULID for PostgreSQL 17\n"));
        assert!(text.contains("\nRequires: postgresql17-server >= 17.12\n"));
    }

    #[test]
    fn the_client_needs_no_server() {
        let client = Client::made_up();
        let package = package_of_client(&client).expect("a package");
        let text = package.specification(Path::new("/staged")).expect("a spec file");
        assert!(
            text.contains("\nName: pg_keyspace-client\n") && !text.contains("Requires: postgresql"),
            "{text}"
        );
        assert!(text.contains("\n%dir /usr/share/doc/pg_keyspace-client\n"), "{text}");
        assert!(text.contains("\n/usr/bin/pg_keyspace\n") && !text.contains("%dir /usr/bin"), "{text}");
    }
}
