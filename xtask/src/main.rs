//! Set-up and orchestration: `cargo xtask --help`.

fn main() {}
