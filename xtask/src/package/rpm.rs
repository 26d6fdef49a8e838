//! RPMs, with the names and the directories of those of the PostgreSQL project.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use super::product::{DESCRIPTION, Places, Product, SUMMARY};
use super::tree::Tree;

/// The program that builds packages; in Debian, of the package `rpm`.
pub const PROGRAM: &str = "rpmbuild";

/// Builds the package, and returns its path.
///
/// # Errors
///
/// If a file cannot be read or written, or rpmbuild fails.
pub fn build(product: &Product, output: &Path) -> Result<PathBuf> {
    let staged = tempfile::tempdir().context("could not create a temporary directory")?;
    let (root, top) = (staged.path().join("root"), staged.path().join("rpmbuild"));
    let files = files(product)?;
    files.write(&root, product.date.0)?;
    let spec = staged.path().join("pg_keyspace.spec");
    std::fs::write(&spec, specification(product, &files, &root)?).context("could not write the spec file")?;
    let (version, release) = (&product.version.extension, product.version.rpm_release());
    let file = format!("{}-{version}-{release}.{}.rpm", name(product.major), architecture()?);
    let sh = Shell::new().context("there is no working directory")?;
    let target = architecture()?;
    let definition = format!("_topdir {}", top.display());
    let built = cmd!(sh, "{PROGRAM} -bb --target {target} --define {definition} {spec}")
        .env("SOURCE_DATE_EPOCH", product.date.0.to_string())
        .env("LC_ALL", "C")
        .quiet()
        .ignore_status()
        .output()
        .context("could not run rpmbuild")?;
    ensure!(built.status.success(), "rpmbuild failed:\n{}", String::from_utf8_lossy(&built.stderr));
    let path = output.join(&file);
    let made = top.join("RPMS").join(architecture()?).join(&file);
    std::fs::copy(&made, &path).with_context(|| format!("rpmbuild has not built {file}"))?;
    Ok(path)
}

/// The name of the package.
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
    Product::architecture().map(|_| std::env::consts::ARCH)
}

fn files(product: &Product) -> Result<Tree> {
    let places = places(product.major);
    let mut tree = product.extension(&places)?;
    // RPM looks for requirements in executable files only, libraries too.
    tree.make_executable(&format!("{}/pg_keyspace.so", places.library));
    let name = name(product.major);
    tree.add_tree(&format!("usr/share/doc/{name}"), product.documents()?);
    tree.add_tree(&format!("usr/share/licenses/{name}"), product.licences()?);
    Ok(tree)
}

/// The spec file of a package whose files are complete below `root`.
fn specification(product: &Product, files: &Tree, root: &Path) -> Result<String> {
    let (major, name) = (product.major, name(product.major));
    let version = &product.version.extension;
    let release = product.version.rpm_release();
    let day = product.date.format("%a %b %d %Y")?;
    let list: Vec<String> = files
        .paths()
        .map(|path| match path.split('/').nth(2) {
            Some("doc") => format!("%doc /{path}"),
            Some("licenses") => format!("%license /{path}"),
            _ => format!("/{path}"),
        })
        .collect();
    let own = files.directories();
    // Those of documents and licences; the others belong to PostgreSQL.
    let own: Vec<String> =
        own.iter().filter(|path| path.contains(&name)).map(|path| format!("%dir /{path}")).collect();
    Ok(format!(
        "\
# The library is stripped already, and nothing is compiled here.
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
Summary: {summary} for PostgreSQL {major}
License: PostgreSQL
Vendor: pg_keyspace
Packager: {maintainer}
Requires: postgresql{major}-server{least}

%description
{DESCRIPTION}

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
        least = product.least_server().map(|least| format!(" >= {least}")).unwrap_or_default(),
        summary = capitalized(SUMMARY),
        maintainer = product.maintainer,
        root = root.display(),
        own = own.join("\n"),
        list = list.join("\n"),
    ))
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
        let files = files(&product).expect("files");
        let text = specification(&product, &files, Path::new("/staged")).expect("a spec file");
        let (_, list) = text.split_once("%files\n").expect("a list");
        let (list, _) = list.split_once("\n%changelog").expect("a list");
        for path in files.paths() {
            assert!(list.lines().any(|line| line.ends_with(&format!("/{path}"))), "{path}");
        }
        let directories: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("%dir ")).collect();
        assert!(directories.contains(&"/usr/share/licenses/pg_keyspace_17"));
        assert!(directories.iter().all(|path| path.contains("/pg_keyspace_17")), "{directories:?}");
        assert!(list.contains("\n%license /usr/share/licenses/pg_keyspace_17/LICENSE"));
        assert!(text.contains("\nSummary: Interleaved sequences, UUIDv7 and ULID for PostgreSQL 17\n"));
        assert!(text.contains("\nRequires: postgresql17-server >= 17.12\n"));
    }
}
