//! `cargo xtask install`: the extension in PostgreSQL's own directories, by a plain cargo build.

use std::fmt::Write;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use pg_test::{Extension, PgConfig, install_extension};

use xtask::cargo::{self, Build};

/// Builds and installs the extension for `pg`. If only the permission to write is missing, the
/// error contains the commands that complete the installation.
pub fn run(pg: &PgConfig) -> Result<()> {
    let library = cargo::build_extension(pg, Build::Release)?;
    let extension = Extension::of_checkout(library)?;
    match install_extension(&extension, pg.pkglibdir(), &pg.extension_dir()) {
        Ok(()) => {
            println!("Installed for {}. In a database: CREATE EXTENSION pg_keyspace;", pg.version());
            Ok(())
        }
        Err(error) if is_permission_denied(&error) => Err(anyhow!("{error:#}\n{}", stage(pg, &extension)?)),
        Err(error) => Err(error),
    }
}

fn is_permission_denied(error: &Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == ErrorKind::PermissionDenied)
}

/// Copies the files to the target directory, and returns the commands that install them from there.
/// Another user's cargo would build everything again.
fn stage(pg: &PgConfig, extension: &Extension) -> Result<String> {
    let staged = cargo::target_directory().join(format!("install-{}", pg.feature()));
    let (libraries, scripts) = (staged.join("lib"), staged.join("extension"));
    for directory in [&libraries, &scripts] {
        // Files of an earlier version must not be installed.
        if directory.exists() {
            std::fs::remove_dir_all(directory).context("could not clear the staging directory")?;
        }
        std::fs::create_dir_all(directory).context("could not make the staging directory")?;
    }
    install_extension(extension, &libraries, &scripts)?;
    commands(&[(&libraries, pg.pkglibdir()), (&scripts, &pg.extension_dir())])
}

fn commands(copies: &[(&Path, &Path)]) -> Result<String> {
    let mut text = "The extension is built. To install it as a user with the permission to write:".to_owned();
    for (from, to) in copies {
        write!(text, "\n    sudo install -m 644 '{}'/* '{}'", from.display(), to.display())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn only_a_missing_permission_leads_to_the_commands() {
        let error = |kind: ErrorKind| Error::from(std::io::Error::from(kind)).context("could not write x");
        assert!(is_permission_denied(&error(ErrorKind::PermissionDenied)));
        assert!(!is_permission_denied(&error(ErrorKind::StorageFull)));
    }

    #[test]
    fn the_commands_name_both_directories() {
        let text = commands(&[(Path::new("/t/lib"), Path::new("/usr/lib/postgresql/15/lib"))]).unwrap();
        assert!(
            text.ends_with("\n    sudo install -m 644 '/t/lib'/* '/usr/lib/postgresql/15/lib'"),
            "{text}"
        );
    }
}
