//! Scripts that use a package, and report what they check line by line.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use xtask::step::Step;

use crate::test::tally::Tally;

/// What the scripts share.
const USE: &str = include_str!("use.sh");

/// Runs a script that reports its checks in lines, and counts them.
pub fn run_script(title: &str, mut command: Command, tally: &mut Tally) -> Result<()> {
    let step = Step::verbose(title);
    let output = command.output().with_context(|| format!("could not run the script: {title}"))?;
    step.done();
    let text = String::from_utf8_lossy(&output.stdout);
    let (checks, is_complete) = results(&text);
    for (name, failure) in checks {
        match failure {
            None => tally.check(&name, Ok(())),
            Some(text) => tally.broken(&name, &anyhow::anyhow!(text)),
        }
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(is_complete, "the script has not come to its end: {}{}", text, errors);
    Ok(())
}

/// The checks that a script reports, those that failed with their output, and whether it came to
/// its end.
fn results(text: &str) -> (Vec<(String, Option<String>)>, bool) {
    let mut checks: Vec<(String, Option<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("ok: ") {
            checks.push((name.to_owned(), None));
        } else if let Some(name) = line.strip_prefix("FAILED: ") {
            checks.push((name.to_owned(), Some(String::new())));
        } else if let Some((_, Some(failure))) = checks.last_mut() {
            failure.push_str(line);
            failure.push('\n');
        }
    }
    (checks, text.lines().last() == Some("end"))
}

/// The script with what all scripts share.
pub fn with_shared(script: &str) -> String {
    format!("{USE}\n{script}")
}

/// The name of a file without its directory.
pub fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().context("a package has a name")?;
    Ok(name.to_string_lossy().into_owned())
}

/// The directory of a file.
pub fn directory_of(path: &Path) -> Result<&Path> {
    path.parent().context("a package is in a directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reports_checks_failures_and_its_end() {
        let text = "noise\nok: one\nFAILED: two\nwhy\nand how\nok: three\nend\n";
        let (checks, is_complete) = results(text);
        let expected = [("one", None), ("two", Some("why\nand how\n")), ("three", None)];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.map(str::to_owned)));
        assert_eq!(checks, expected);
        assert!(is_complete);
        assert!(!results("ok: one\n").1, "a script that was killed");
    }
}
