//! SHA-256 sums.

use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The list of the sums of all packages, for `sha256sum --check`.
const LIST: &str = "SHA256SUMS";

/// The sum in hexadecimal digits.
pub fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the list of the files of a directory.
///
/// # Errors
///
/// If a file cannot be read or the list not written.
pub fn write_list(directory: &Path) -> Result<()> {
    let cannot = || format!("could not read {}", directory.display());
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && name != LIST {
            let contents =
                std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
            // Two blanks, as sha256sum writes them.
            lines.push((name.clone(), format!("{}  {name}\n", sha256(&contents))));
        }
    }
    lines.sort();
    let text: String = lines.into_iter().map(|(_, line)| line).collect();
    std::fs::write(directory.join(LIST), text).context("could not write SHA256SUMS")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn the_list_has_a_line_for_each_file_but_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["b", "a", LIST] {
            std::fs::write(directory.path().join(name), "abc").expect("a file");
        }
        write_list(directory.path()).expect("a list");
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let text = std::fs::read_to_string(directory.path().join(LIST)).expect("the list");
        assert_eq!(text, format!("{sum}  a\n{sum}  b\n"));
    }
}
