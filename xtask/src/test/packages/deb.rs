//! The Debian package, in a fresh system of the release that has this version of PostgreSQL.

use std::ffi::OsStr;

use anyhow::{Context, Result};

use xtask::container::Release;
use xtask::fresh_system::FreshSystem;
use xtask::prerequisites::Options;

use super::client::Client;
use super::script::{directory_of, file_name, run_script, with_shared};
use crate::package::{self, Kind, Packages};
use crate::test::tally::Tally;

const SCRIPT: &str = include_str!("deb.sh");

/// Installs, uses, upgrades and removes it.
pub fn run(
    options: &Options,
    this: &Packages,
    next: &Packages,
    client: &Client,
    tally: &mut Tally,
) -> Result<()> {
    let major = this.major()?;
    let title = "the Debian package in a fresh system";
    let Some(release) = Release::with(major).filter(|release| release.is_released()) else {
        tally.skip(title, &format!("no release of Debian has PostgreSQL {major} yet"));
        return Ok(());
    };
    let system = FreshSystem::new(options, release)?;
    let (file, next_file) = (this.file(Kind::Deb)?, next.file(Kind::Deb)?);
    let arguments = [
        major.to_string(),
        package::deb::name(major),
        format!("/mnt/packages/{}", file_name(file)?),
        format!("/mnt/next/{}", file_name(next_file)?),
        this.version.clone(),
        next.version.clone(),
        package::deb::CLIENT.to_owned(),
        format!("/mnt/packages/{}", file_name(client.this.file(Kind::Deb)?)?),
        format!("/mnt/next/{}", file_name(client.next.file(Kind::Deb)?)?),
    ];
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let mounts = [(directory_of(file)?, "/mnt/packages"), (directory_of(next_file)?, "/mnt/next")];
    let command =
        system.shell(&with_shared(SCRIPT), &arguments, &mounts).context("could not enter the system")?;
    let title = format!("Installing the package into a fresh Debian {}", release.codename());
    run_script(&title, command, tally)
}
