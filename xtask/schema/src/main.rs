//! Writes the extension's install script from the SQL metadata that pgrx embeds in the library.
//!
//! `cargo xtask schema` runs it, so that neither building nor installing needs cargo-pgrx. It is a package of its own
//! because nothing else in `xtask` needs pgrx's SQL generator, which takes its time to compile.

mod script;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "usage: xtask_schema LIBRARY CONTROL_FILE VERSION OUTPUT";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, control_file, version, output] = arguments.as_slice() else {
        bail!(USAGE);
    };
    let script = script::generate(Path::new(library), Path::new(control_file), version)?;
    std::fs::write(output, script).with_context(|| format!("could not write {output}"))
}
