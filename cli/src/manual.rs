//! Completions and man pages, made from the definition of the arguments.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::print;

/// Prints the completions for a shell.
///
/// # Errors
/// If stdout cannot be written to.
pub fn completions(shell: Shell) -> Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "pg_keyspace", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Fine)
}

/// Writes a page for the program, and one for each command.
///
/// # Errors
/// If a file cannot be written.
pub fn man(directory: &Path) -> Result<Exit> {
    clap_mangen::generate_to(Arguments::command(), directory).map_err(|error| {
        Failure::new(format!("could not write man pages to \"{}\": {error}", directory.display()))
    })?;
    Ok(Exit::Fine)
}
