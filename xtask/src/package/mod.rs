//! `cargo xtask package`: packages of the extension, for each version of PostgreSQL.

mod build;
mod checksums;
pub mod client;
pub mod deb;
mod documents;
mod image;
mod library;
mod oci;
mod pgxn;
mod product;
mod recipes;
pub mod rpm;
mod sbom;
mod tarball;
mod tree;
mod version;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use pg_test::PgConfig;

use xtask::cargo::{self, Profile};
use xtask::prerequisites::{self, Options, is_there};
use xtask::versions;
use xtask::workspace_version::following;

pub use checksums::sha256;
use client::Client;
pub use oci::FIRST as FIRST_WITH_IMAGE;
pub use product::architecture;
use product::{Origin, Product};
use version::{Date, Version};

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A Debian package
    Deb,
    /// An RPM
    Rpm,
    /// An archive, and the list of what is linked into the library
    Tar,
    /// An image for an image volume, from PostgreSQL 18 on
    Oci,
    /// An image with PostgreSQL: one more layer on the image that --base names
    Image,
    /// The sources for PGXN
    Pgxn,
    /// The files by which distributions build packages
    Recipes,
}

/// The options of the command.
#[derive(Args, Debug)]
pub struct Wanted {
    /// Only these kinds of packages
    #[arg(long, value_delimiter = ',')]
    kind: Vec<Kind>,
    /// The directory for the packages; target/packages, unless it is given
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
    /// The base of the image with PostgreSQL, as an OCI layout (directory or archive); NN in the path stands
    /// for the version of PostgreSQL
    #[arg(long, value_name = "PATH")]
    base: Option<PathBuf>,
    /// Build only the library, if this program calls itself in a container
    #[arg(long, hide = true)]
    pub only_library: bool,
    /// Build the library of the made-up next version, whose sources exist
    #[arg(long, hide = true, requires = "only_library")]
    next_version: bool,
}

/// Packages that were built.
pub struct Packages {
    /// PostgreSQL's major version, on which those of the client program do not depend.
    major: Option<u32>,
    /// The extension's version.
    pub version: String,
    /// Their files.
    pub files: Vec<(Kind, PathBuf)>,
}

impl Packages {
    /// PostgreSQL's major version.
    pub fn major(&self) -> Result<u32> {
        self.major.context("these packages are for no version of PostgreSQL")
    }

    /// The file of a kind.
    pub fn file(&self, kind: Kind) -> Result<&Path> {
        let found = self.files.iter().find(|(found, _)| *found == kind);
        found.map(|(_, path)| path.as_path()).with_context(|| format!("{kind:?} was not built"))
    }
}

/// Builds the packages for all versions that the options name.
///
/// # Errors
///
/// If the extension does not compile, or a package cannot be written.
pub fn run(options: &Options, wanted: &Wanted) -> Result<()> {
    let output = match &wanted.output {
        Some(path) => std::path::absolute(path).context("there is no working directory")?,
        None => directory(),
    };
    std::fs::create_dir_all(&output).with_context(|| format!("could not make {}", output.display()))?;
    // Without a base, there is nothing to add to.
    let is_wanted = |kind| match wanted.kind.is_empty() {
        true => kind != Kind::Image || wanted.base.is_some(),
        false => wanted.kind.contains(&kind),
    };
    ensure!(
        wanted.base.is_some() || !wanted.kind.contains(&Kind::Image),
        "an image with PostgreSQL needs a base: --base PATH (docs/packaging.md says how to get one)"
    );
    let kinds: Vec<Kind> = Kind::value_variants().iter().copied().filter(|kind| is_wanted(*kind)).collect();
    if kinds.contains(&Kind::Rpm) {
        install_tools(options)?;
    }
    let of_version = |kind: &Kind| ![Kind::Pgxn, Kind::Recipes].contains(kind);
    let mut built = Vec::new();
    if kinds.iter().any(of_version) {
        for options in versions::each(options) {
            built.extend(build_for(&options, &kinds, &output, Release::This)?.files);
            if let Some(base) = wanted.base.as_deref().filter(|_| kinds.contains(&Kind::Image)) {
                let path = build_image(&options, base, &output)?;
                print_built(&path)?;
                built.push((Kind::Image, path));
            }
        }
    }
    built.extend(build_client(&kinds, &output, Release::This)?.files);
    let mut built: Vec<PathBuf> = built.into_iter().map(|(_, path)| path).collect();
    built.extend(build_sources(&kinds, &output)?);
    checksums::write_list(&output, &built)?;
    println!("The packages are in {}, with SHA256SUMS", output.display());
    Ok(())
}

/// Installs the programs that build packages, if they are missing.
///
/// # Errors
///
/// If they cannot or must not be installed.
pub fn install_tools(options: &Options) -> Result<()> {
    if is_there(rpm::PROGRAM) {
        return Ok(());
    }
    println!("Missing on this machine: {} (for the RPM)", rpm::PROGRAM);
    let advice = "install rpmbuild (Debian's package rpm), or leave out the RPM by --kind";
    prerequisites::install_packages(options, advice, || vec!["rpm".to_owned()])
}

/// The directory that is used unless another one is named.
fn directory() -> PathBuf {
    cargo::target_directory().join("packages")
}

/// Which version of the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// That of the sources.
    This,
    /// A made-up one after it, for tests.
    Next,
}

/// Builds packages for one version of PostgreSQL.
///
/// # Errors
///
/// If the extension does not compile, or a package cannot be written.
pub fn build_for(options: &Options, kinds: &[Kind], output: &Path, release: Release) -> Result<Packages> {
    let (built, version) = match release {
        Release::This => (build::extension(options)?, Version::of_sources()?),
        Release::Next => {
            let built = build::next_version(options)?;
            let version = Version::release(&built.version);
            (built, version)
        }
    };
    let origin = Origin::new(version, Date::of_sources()?, &built.sources);
    let product = Product::new(built.major, origin, &built.library)?;
    if release == Release::This {
        print!("For PostgreSQL {}, {}", product.major, product.library.report());
    }
    let mut packages = Packages {
        major: Some(product.major),
        version: product.origin.version.extension.clone(),
        files: Vec::new(),
    };
    for kind in kinds {
        let paths = match kind {
            Kind::Deb => vec![deb::build(&product, output)?],
            Kind::Rpm => vec![rpm::build(&product, output)?],
            Kind::Tar => vec![tarball::build(&product, output)?, sbom::build(&product, output)?],
            Kind::Oci if product.major < oci::FIRST => {
                println!("    no image: image volumes are for PostgreSQL {} and later", oci::FIRST);
                Vec::new()
            }
            Kind::Oci => vec![oci::build(&product, output)?],
            Kind::Image | Kind::Pgxn | Kind::Recipes => Vec::new(),
        };
        for path in paths {
            print_built(&path)?;
            packages.files.push((*kind, path));
        }
    }
    Ok(packages)
}

/// Builds the image with PostgreSQL for one version of it, and returns its path.
///
/// # Errors
///
/// If the extension does not compile, or the base is not an image for this version and machine.
pub fn build_image(options: &Options, base: &Path, output: &Path) -> Result<PathBuf> {
    let built = build::extension(options)?;
    let origin = Origin::new(Version::of_sources()?, Date::of_sources()?, &built.sources);
    image::build(&Product::new(built.major, origin, &built.library)?, base, output)
}

/// Builds the packages of the client program, which depends on no version of PostgreSQL. That of the
/// next version has the program of this one.
///
/// # Errors
///
/// If the program does not compile, or a package cannot be written.
pub fn build_client(kinds: &[Kind], output: &Path, release: Release) -> Result<Packages> {
    let version = match release {
        Release::This => Version::of_sources()?,
        Release::Next => Version::release(&following(cargo::VERSION)?),
    };
    let mut packages = Packages { major: None, version: version.extension.clone(), files: Vec::new() };
    if ![Kind::Deb, Kind::Rpm, Kind::Tar].iter().any(|kind| kinds.contains(kind)) {
        return Ok(packages);
    }
    let program = cargo::build_client(Profile::Release)?;
    let client = Client::new(Origin::new(version, Date::of_sources()?, cargo::workspace_root()), &program)?;
    for kind in kinds {
        let paths = match kind {
            Kind::Deb => vec![deb::build_client(&client, output)?],
            Kind::Rpm => vec![rpm::build_client(&client, output)?],
            Kind::Tar => vec![client.archive(output)?, sbom::build_for_client(&client, output)?],
            Kind::Oci | Kind::Image | Kind::Pgxn | Kind::Recipes => Vec::new(),
        };
        for path in paths {
            print_built(&path)?;
            packages.files.push((*kind, path));
        }
    }
    Ok(packages)
}

/// What has no code that was compiled. Returns the files, without those of the recipes.
fn build_sources(kinds: &[Kind], output: &Path) -> Result<Vec<PathBuf>> {
    let maintainer = product::maintainer();
    let mut built = Vec::new();
    if kinds.contains(&Kind::Pgxn) {
        built = pgxn::build(&maintainer, output)?;
        built.iter().try_for_each(|path| print_built(path))?;
    }
    if kinds.contains(&Kind::Recipes) {
        let path = recipes::build(&maintainer, Date::of_sources()?, output)?;
        println!("    {}", path.display());
    }
    Ok(built)
}

fn print_built(path: &Path) -> Result<()> {
    let size = std::fs::metadata(path).with_context(|| format!("{} was not written", path.display()))?.len();
    println!("    {} ({:.2} MB)", path.display(), size as f64 / 1e6);
    Ok(())
}

/// Builds the library alone, for the call in a container.
///
/// # Errors
///
/// If it does not compile.
pub fn only_library(pg: &PgConfig, wanted: &Wanted) -> Result<()> {
    let library = if wanted.next_version { build::next_version_here(pg) } else { build::here(pg) }?;
    ensure!(library.is_file(), "cargo has not built {}", library.display());
    Ok(())
}
