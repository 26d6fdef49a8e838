//! The version of the workspace, in the two files that hold it.

use anyhow::{Context, Result, ensure};

/// The version after this one, with the last number increased.
///
/// # Errors
///
/// If it is not a version.
pub fn following(version: &str) -> Result<String> {
    let (rest, patch) = version.rsplit_once('.').with_context(|| format!("not a version: {version}"))?;
    let patch: u32 = patch.parse().with_context(|| format!("not a version: {version}"))?;
    Ok(format!("{rest}.{}", patch + 1))
}

/// The three numbers of a version.
///
/// # Errors
///
/// If it is not a version of that form.
pub fn numbers(version: &str) -> Result<[u32; 3]> {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| <[u32; 3]>::try_from(numbers).ok());
    // Neither "+1" nor "01".
    let numbers = numbers.filter(|[a, b, c]| format!("{a}.{b}.{c}") == version);
    numbers.with_context(|| format!("not a version of three numbers: {version}"))
}

/// The manifest of the workspace with another version.
///
/// # Errors
///
/// If it does not name the version exactly once.
pub fn in_manifest(manifest: &str, from: &str, to: &str) -> Result<String> {
    let line = format!("\nversion = \"{from}\"\n");
    ensure!(manifest.matches(&line).count() == 1, "Cargo.toml does not name version {from} once");
    Ok(manifest.replace(&line, &format!("\nversion = \"{to}\"\n")))
}

/// `Cargo.lock` with another version of the members. They are the packages without a source.
///
/// # Errors
///
/// If no member has the version.
pub fn in_lock(lock: &str, from: &str, to: &str) -> Result<String> {
    const BEGINNING: &str = "[[package]]\n";
    let line = format!("\nversion = \"{from}\"\n");
    let mut is_changed = false;
    let packages = lock.split(BEGINNING).map(|package| {
        if package.contains("\nsource = ") || !package.contains(&line) {
            return package.to_owned();
        }
        is_changed = true;
        package.replacen(&line, &format!("\nversion = \"{to}\"\n"), 1)
    });
    let changed = packages.collect::<Vec<_>>().join(BEGINNING);
    ensure!(is_changed, "Cargo.lock has no member of version {from}");
    Ok(changed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::cargo;

    fn changed_lines(old: &str, new: &str) -> Vec<String> {
        assert_eq!(old.lines().count(), new.lines().count());
        let pairs = old.lines().zip(new.lines()).filter(|(old, new)| old != new);
        pairs.map(|(old, new)| format!("{old} {new}")).collect()
    }

    #[test]
    fn only_the_version_of_the_workspace_changes() {
        let read = |name: &str| std::fs::read_to_string(cargo::workspace_root().join(name)).expect(name);
        let (current, next) = (cargo::VERSION, following(cargo::VERSION).expect("a version"));
        let line = format!("version = \"{current}\" version = \"{next}\"");
        let manifest = read("Cargo.toml");
        let found = changed_lines(&manifest, &in_manifest(&manifest, current, &next).expect("a manifest"));
        assert_eq!(found, [line.as_str()]);
        // The members, of which Cargo.toml lists all but the extension itself.
        let (_, list) = manifest.split_once("\nmembers = [").expect("members");
        let members = list.split_once(']').map(|(list, _)| list.split(',').count()).expect("members");
        let lock = read("Cargo.lock");
        let found = changed_lines(&lock, &in_lock(&lock, current, &next).expect("a lock"));
        assert_eq!(found, vec![line; members + 1]);
        assert!(in_manifest(&manifest, "9.9.9", &next).is_err() && in_lock(&lock, "9.9.9", &next).is_err());
    }

    #[test]
    fn packages_of_others_with_the_same_version_stay() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"0.1.0\"\nsource = \"registry\"\n\n\
                    [[package]]\nname = \"b\"\nversion = \"0.1.0\"\n";
        let changed = in_lock(lock, "0.1.0", "0.2.0").expect("a lock");
        assert!(changed.ends_with("name = \"b\"\nversion = \"0.2.0\"\n") && changed.contains("0.1.0"));
    }

    #[test]
    fn versions_are_three_numbers() {
        assert_eq!(numbers("0.10.2").expect("a version"), [0, 10, 2]);
        for text in ["", "1", "1.2", "1.2.3.4", "1.2.x", "01.2.3", "+1.2.3", "v1.2.3"] {
            assert!(numbers(text).is_err(), "{text}");
        }
        assert!(following("0.1").is_ok_and(|version| version == "0.2") && following("x").is_err());
    }
}
