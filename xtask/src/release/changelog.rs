//! The changelog: a section for the version in work becomes that of a release.

use anyhow::{Context, Result, ensure};

/// The heading of the version in work.
fn unreleased(version: &str) -> String {
    format!("\n## Unreleased ({version})\n")
}

/// The changes of the version in work.
///
/// # Errors
///
/// If there is no such section, or it is empty.
pub fn changes<'a>(text: &'a str, version: &str) -> Result<&'a str> {
    let heading = unreleased(version);
    let (_, section) = text
        .split_once(&heading)
        .with_context(|| format!("CHANGELOG.md has no section \"{}\"", heading.trim()))?;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    ensure!(
        section.lines().any(|line| line.starts_with("- ")),
        "the section of {version} in CHANGELOG.md has no changes"
    );
    Ok(section)
}

/// The changelog with the date of a release.
///
/// # Errors
///
/// As [`changes`].
pub fn released(text: &str, version: &str, date: &str) -> Result<String> {
    changes(text, version)?;
    Ok(text.replacen(&unreleased(version), &format!("\n## {version} ({date})\n"), 1))
}

/// The changelog with an empty section of the next version above that of a release.
///
/// # Errors
///
/// If it has no section of that release.
pub fn begun(text: &str, released: &str, next: &str) -> Result<String> {
    let heading = format!("\n## {released} (");
    ensure!(text.contains(&heading), "CHANGELOG.md has no section of {released}");
    Ok(text.replacen(&heading, &format!("{}{heading}", unreleased(next)), 1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const OLD: &str =
        "# Changelog\n\n## Unreleased (1.1.0)\n\n### Keys\n\n- More.\n\n## 1.0.0 (2026-01-02)\n\n- All.\n";

    #[test]
    fn a_release_gets_its_date_and_the_next_version_a_section() {
        let dated = released(OLD, "1.1.0", "2026-12-01").expect("a changelog");
        assert_eq!(dated, OLD.replace("Unreleased (1.1.0)", "1.1.0 (2026-12-01)"));
        let next = begun(&dated, "1.1.0", "1.1.1").expect("a changelog");
        assert_eq!(next, dated.replace("## 1.1.0", "## Unreleased (1.1.1)\n\n## 1.1.0"));
        let error = changes(&next, "1.1.1").expect_err("no changes").to_string();
        assert_eq!(error, "the section of 1.1.1 in CHANGELOG.md has no changes");
        assert!(
            changes(OLD, "1.1.0").expect("changes").contains("- More.") && changes(OLD, "1.0.0").is_err()
        );
    }

    /// What the workflow of releases takes as its notes.
    #[test]
    fn the_workflow_finds_the_section_of_a_release() {
        let workflow = include_str!("../../../.github/workflows/release.yml");
        let program =
            workflow.lines().find_map(|line| line.trim().strip_prefix("awk -v version=\"$version\" '"));
        let (program, _) = program.expect("awk").split_once('\'').expect("a program");
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("CHANGELOG.md");
        let dated = released(OLD, "1.1.0", "2026-12-01").expect("a changelog");
        std::fs::write(&file, begun(&dated, "1.1.0", "1.1.1").expect("a changelog")).expect("a file");
        let notes = |version: &str| {
            let mut command = std::process::Command::new("awk");
            let output = command.args(["-v", &format!("version={version}"), program]).arg(&file).output();
            String::from_utf8(output.expect("awk").stdout).expect("a text")
        };
        assert_eq!(notes("1.1.0"), "\n### Keys\n\n- More.\n\n");
        assert_eq!(notes("1.0.0"), "\n- All.\n");
        assert_eq!(notes("1.1"), "", "not that of 1.1.0");
    }
}
