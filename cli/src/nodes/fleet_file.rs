//! The file that describes a fleet.
//!
//! ```toml
//! classes = 8
//!
//! [[node]]
//! name = "berlin"
//! connection = "host=berlin dbname=shop sslmode=verify-full"
//!
//! [[node]]
//! name = "lisbon"
//! connection = "service=lisbon"
//! class = 2
//! ```

use std::path::Path;

use serde::Deserialize;

use crate::failure::{Failure, Result};

/// The content of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetFile {
    /// The number of classes into which a set-up of fresh nodes splits the values.
    pub classes: Option<i32>,
    /// The nodes, in order.
    #[serde(default, rename = "node")]
    pub nodes: Vec<FleetNode>,
}

/// A node of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetNode {
    /// Its name in all output.
    pub name: String,
    /// How to connect to it.
    pub connection: String,
    /// The class that a set-up gives it.
    pub class: Option<i32>,
}

impl FleetFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or is not such a file.
    pub fn read(path: &Path) -> Result<Self> {
        let failed =
            |message: &str| Failure::new(format!("could not read \"{}\": {message}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error.to_string()))?;
        Self::parse(&text).map_err(|message| failed(&message))
    }

    /// Reads the text of a file. The error names the line, but does not quote it.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let line =
                error.span().map(|span| 1 + text.get(..span.start).unwrap_or(text).matches('\n').count());
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            // What has the wrong type is quoted by the message, and may be a connection string.
            let message = error
                .message()
                .split(": ")
                .next()
                .filter(|kind| kind.starts_with("invalid "))
                .unwrap_or(error.message());
            format!("{line}{message}")
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nodes_stay_in_the_order_of_the_file() {
        let text = "classes = 8\n[[node]]\nname = \"b\"\nconnection = \"host=b\"\n\
                    [[node]]\nname = \"a\"\nconnection = \"host=a\"\nclass = 5\n";
        let file = FleetFile::parse(text).unwrap();
        assert_eq!(file.classes, Some(8));
        let nodes: Vec<_> = file.nodes.iter().map(|node| (node.name.as_str(), node.class)).collect();
        assert_eq!(nodes, [("b", None), ("a", Some(5))]);
    }

    #[test]
    fn an_error_names_the_line_and_quotes_nothing() {
        for (text, message) in [
            ("[[node]]\nname = \"b\"\npassword = \"secret\"\n", "line 3: unknown field `password`"),
            ("classes = \"x", "line 1:"),
            ("node = \"postgres://u:secret@h\"", "invalid type"),
            ("[[node]]\nname = \"b\"\n", "missing field `connection`"),
        ] {
            let found = FleetFile::parse(text).unwrap_err();
            assert!(found.contains(message) && !found.contains("secret"), "{found}");
        }
    }
}
