//! SHA-256 sums.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The list of the sums of all packages, for `sha256sum --check`.
const LIST: &str = "SHA256SUMS";

/// The sum in hexadecimal digits.
pub fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the list of packages in a directory: those that were built now, and those of the list before
/// that are still the same. Other files in the directory are not ours to vouch for.
///
/// # Errors
///
/// If a file cannot be read or the list not written.
pub fn write_list(directory: &Path, built: &[PathBuf]) -> Result<()> {
    let sum_of = |path: &Path| -> Result<String> {
        let contents = std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(sha256(&contents))
    };
    let mut sums = BTreeMap::new();
    let former = std::fs::read_to_string(directory.join(LIST)).unwrap_or_default();
    for (sum, name) in former.lines().filter_map(|line| line.split_once("  ")) {
        let path = directory.join(name);
        if !name.contains('/') && path.is_file() && sum_of(&path)? == sum {
            sums.insert(name.to_owned(), sum.to_owned());
        }
    }
    for path in built {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        sums.insert(name, sum_of(path)?);
    }
    // Two blanks, as sha256sum writes them.
    let text: String = sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    std::fs::write(directory.join(LIST), text).context("could not write SHA256SUMS")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_list_has_a_line_for_each_package_and_for_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        for name in ["b", "a", "foreign"] {
            std::fs::write(path(name), "abc").expect("a file");
        }
        let list = |built: &[&str]| {
            let built: Vec<PathBuf> = built.iter().map(|name| path(name)).collect();
            write_list(directory.path(), &built).expect("a list");
            std::fs::read_to_string(path(LIST)).expect("the list")
        };
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(list(&["b"]), format!("{sum}  b\n"));
        assert_eq!(list(&["a"]), format!("{sum}  a\n{sum}  b\n"), "those of an earlier call stay");
        std::fs::write(path("b"), "changed by others").expect("a file");
        assert_eq!(list(&[]), format!("{sum}  a\n"));
        std::fs::remove_file(path("a")).expect("removed");
        assert_eq!(list(&[]), "");
    }
}
