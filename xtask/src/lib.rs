//! The parts that `cargo xtask` and `cargo xtask bench` share: calls of cargo, prerequisites, the
//! choice of PostgreSQL, and figures of the machine and its backends.

use std::process::ExitCode;

pub mod backend;
pub mod cargo;
pub mod container;
pub mod fresh_system;
pub mod machine;
pub mod prerequisites;
pub mod statistics;
pub mod step;
pub mod table;
pub mod versions;
pub mod workspace_version;

/// Prints the error, if there is one. Only `true` is a success.
pub fn exit_code(outcome: anyhow::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => eprintln!("error: {error:#}"),
    }
    ExitCode::FAILURE
}
