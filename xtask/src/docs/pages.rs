//! The pages of the documentation, as they lie in the checkout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The pages outside of the directory `docs`.
const OTHERS: [&str; 7] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "THIRD-PARTY.md",
    "clients/README.md",
    "crates/keyspace/vectors/README.md",
];

/// The table of contents, whose paths are relative to `docs`.
pub const CONTENTS: &str = "docs/SUMMARY.md";

/// All pages, with their texts, and the pictures.
pub struct Pages {
    /// The texts by their paths in the checkout, which have slashes.
    texts: BTreeMap<String, String>,
    /// The paths of pictures.
    pictures: Vec<String>,
    top: PathBuf,
}

impl Pages {
    /// Reads the pages of a checkout.
    pub fn of(top: &Path) -> Result<Self> {
        let mut found = Self { texts: BTreeMap::new(), pictures: Vec::new(), top: top.to_owned() };
        for name in OTHERS {
            found.read(name.to_owned())?;
        }
        let mut waiting = vec!["docs".to_owned()];
        while let Some(directory) = waiting.pop() {
            let entries = std::fs::read_dir(top.join(&directory))
                .with_context(|| format!("could not read {directory}"))?;
            for entry in entries {
                let entry = entry?;
                let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
                match entry.path().extension().and_then(|it| it.to_str()) {
                    _ if entry.path().is_dir() => waiting.push(path),
                    Some("md") => found.read(path)?,
                    Some("svg" | "png") => found.pictures.push(path),
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    fn read(&mut self, path: String) -> Result<()> {
        let text = std::fs::read_to_string(self.top.join(&path))
            .with_context(|| format!("could not read {path}"))?;
        self.texts.insert(path, text);
        Ok(())
    }

    /// The texts by their paths.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of a page.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether the path is one of a picture.
    pub fn has_picture(&self, path: &str) -> bool {
        self.pictures.iter().any(|picture| picture == path)
    }

    /// Copies everything to a directory in which mdBook finds it: its table of contents has to lie
    /// above all pages.
    pub fn stage(&self, to: &Path) -> Result<()> {
        if to.exists() {
            std::fs::remove_dir_all(to).with_context(|| format!("could not empty {}", to.display()))?;
        }
        for (path, text) in self.texts() {
            if path == CONTENTS {
                write(&to.join("SUMMARY.md"), &contents_from_above(text))?;
            } else {
                write(&to.join(path), text)?;
            }
        }
        for picture in &self.pictures {
            let copy = to.join(picture);
            std::fs::copy(self.top.join(picture), &copy)
                .with_context(|| format!("could not write {}", copy.display()))?;
        }
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("could not make {}", directory.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

/// The table of contents with paths relative to the directory above `docs`.
fn contents_from_above(text: &str) -> String {
    text.replace("](", "](docs/").replace("](docs/../", "](")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contents_are_relative_to_the_directory_above() {
        let text = "- [Home](../README.md)\n- [Demo](demo.md)\n";
        assert_eq!(contents_from_above(text), "- [Home](README.md)\n- [Demo](docs/demo.md)\n");
    }
}
