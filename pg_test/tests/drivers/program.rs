//! Runs a program and reports which version of a driver it has tested.

use std::process::{Command, Stdio};

use pg_test::tested;

/// Runs it, and returns what it prints.
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("could not run {command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// Runs a program that prints `tested: DRIVER VERSION`.
pub fn run(command: &mut Command) {
    let text = output(command);
    let versions: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("tested: ")).collect();
    assert!(!versions.is_empty(), "it does not say what it has tested:\n{text}");
    versions.iter().for_each(|version| tested(version));
}
