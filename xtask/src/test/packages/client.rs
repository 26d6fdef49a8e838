//! The packages of the client program.

use std::path::Path;

use anyhow::Result;

use crate::package::{self, Kind, Packages, Release};

/// Those of this version and of the made-up next one.
pub struct Client {
    /// Of this version.
    pub this: Packages,
    /// Of the next one.
    pub next: Packages,
}

/// Builds them in two directories.
pub fn build(this: &Path, next: &Path) -> Result<Client> {
    let kinds = [Kind::Deb, Kind::Rpm];
    let build = |directory, release| package::build_client(&kinds, directory, release);
    Ok(Client { this: build(this, Release::This)?, next: build(next, Release::Next)? })
}
