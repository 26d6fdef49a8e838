//! `cargo xtask test --only packages`: packages are built, checked, installed, used, upgraded and
//! removed.

mod checks;
mod client;
mod deb;
mod directory;
mod image;
mod oci_layout;
mod rpm;
mod script;

use anyhow::{Context, Result};

use xtask::prerequisites::Options;
use xtask::versions;

use super::tally::Tally;
use crate::package::{self, Kind, Release};

/// Tests the packages of each version that the options name.
pub fn run(options: &Options, filter: Option<&str>) -> Tally {
    let mut tally = Tally::default();
    for options in versions::each(options) {
        tally.attempt("packages", |tally| test_version(&options, filter, tally));
    }
    tally
}

fn test_version(options: &Options, filter: Option<&str>, tally: &mut Tally) -> Result<()> {
    package::install_tools(options)?;
    let directory = tempfile::tempdir().context("could not create a temporary directory")?;
    let [this, next] = ["this", "next"].map(|name| directory.path().join(name));
    for path in [&this, &next] {
        std::fs::create_dir(path).context("could not make a directory for packages")?;
    }
    let is_wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    let needs_client = ["checks", "deb", "rpm"].into_iter().any(is_wanted);
    let client = needs_client.then(|| client::build(&this, &next)).transpose()?;
    let this =
        package::build_for(options, &[Kind::Deb, Kind::Rpm, Kind::Tar, Kind::Oci], &this, Release::This)?;
    let needs_next = is_wanted("deb") || is_wanted("rpm");
    let next = needs_next.then(|| package::build_for(options, &[Kind::Deb, Kind::Rpm], &next, Release::Next));
    let next = next.transpose()?;
    if let Some(client) = client.as_ref().filter(|_| is_wanted("checks")) {
        checks::run("the extension's package", &this, tally);
        checks::run("the client's package", &client.this, tally);
    }
    if let (Some(next), Some(client)) = (&next, &client) {
        if is_wanted("deb") {
            tally.attempt("the Debian packages in a fresh system", |tally| {
                deb::run(options, &this, next, client, tally)
            });
        }
        if is_wanted("rpm") {
            tally.attempt("the RPMs in an empty root", |tally| rpm::run(&this, next, client, tally));
        }
    }
    if is_wanted("image") {
        tally.attempt("an image with PostgreSQL", |tally| image::run(options, &this, tally));
    }
    if is_wanted("directory") {
        tally.attempt("a directory outside of PostgreSQL's", |tally| directory::run(options, &this, tally));
    }
    Ok(())
}
