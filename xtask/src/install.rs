//! `cargo xtask install`: the extension in PostgreSQL's own directories, by a plain cargo build.

use anyhow::{Context, Result};
use pg_test::{Extension, PgConfig, install_extension};

use crate::cargo::{self, Build};

/// Builds the extension and copies library, control file and scripts to where `pg` looks for them.
///
/// # Errors
///
/// When it does not build, or a file cannot be written.
pub fn run(pg: &PgConfig) -> Result<()> {
    let library = cargo::build_extension(pg, Build::Release)?;
    install_extension(&Extension::of_checkout(library)?, pg.pkglibdir(), &pg.extension_dir()).with_context(|| {
        format!(
            "the extension is built, but could not be installed into {}; run the same command by a user who may write there",
            pg.sharedir().display()
        )
    })?;
    println!("Installed for {}. In a database: CREATE EXTENSION pg_keyspace;", pg.version());
    Ok(())
}
