//! Names of sequences and columns, split into their parts as the catalogs have them.
//!
//! Nodes compare names in this form. Text that was quoted for a statement differs between servers:
//! it depends on `quote_all_identifiers` and on the keywords of a version.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The parts of a name, unquoted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Name<const PARTS: usize>([String; PARTS]);

/// The schema and the name of a sequence.
pub type SequenceName = Name<2>;
/// The schema, the table and the name of a column.
pub type ColumnName = Name<3>;

impl<const PARTS: usize> Name<PARTS> {
    /// A name of these parts.
    pub const fn new(parts: [String; PARTS]) -> Self {
        Self(parts)
    }

    /// Reads a name as SQL does, quoted or not; `None` if it has another number of parts.
    pub fn of_quoted(text: &str) -> Option<Self> {
        Self::try_from(parts(text)?).ok()
    }

    /// The parts.
    pub const fn parts(&self) -> &[String; PARTS] {
        &self.0
    }
}

impl<const PARTS: usize> TryFrom<Vec<String>> for Name<PARTS> {
    type Error = String;

    fn try_from(parts: Vec<String>) -> Result<Self, String> {
        let found = parts.len();
        parts.try_into().map(Self).map_err(|_| format!("a name of {PARTS} parts has {found}"))
    }
}

impl<const PARTS: usize> From<Name<PARTS>> for Vec<String> {
    fn from(name: Name<PARTS>) -> Self {
        name.0.into()
    }
}

impl<const PARTS: usize> fmt::Display for Name<PARTS> {
    /// For messages: quoted if a part is not made of lower-case letters, digits and underscores.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            let is_plain = part.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
                && part.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '_');
            if is_plain {
                write!(f, "{dot}{part}")?;
            } else {
                write!(f, "{dot}\"{}\"", part.replace('"', "\"\""))?;
            }
        }
        Ok(())
    }
}

/// Splits a name at the dots outside quotation marks.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (mut part, mut quoted) = (String::new(), quoted);
                loop {
                    let (before, after) = quoted.split_once('"')?;
                    part.push_str(before);
                    match after.strip_prefix('"') {
                        Some(after) => {
                            part.push('"');
                            quoted = after;
                        }
                        None => break (part, after),
                    }
                }
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        parts.push(part);
        if after.is_empty() {
            return Some(parts);
        }
        rest = after.strip_prefix('.')?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn column(text: &str) -> Option<Vec<String>> {
        ColumnName::of_quoted(text).map(Vec::from)
    }

    #[test]
    fn fault_b24_a_name_is_the_same_however_it_is_quoted() {
        let plain = SequenceName::of_quoted("public.ord_id_seq");
        assert_eq!(plain, SequenceName::of_quoted("\"public\".\"ord_id_seq\""));
        assert_eq!(plain, SequenceName::of_quoted("\"public\".ord_id_seq"));
        assert_eq!(column("a.\"b.c\".\"d\"\"e\"").expect("a name"), ["a", "b.c", "d\"e"]);
        for text in ["", "a", "a.b", "a.b.c.d", "a.\"b.c", "a.\"b\"c.d", "a..b.c"] {
            assert_eq!(column(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn fault_b24_what_is_quoted_is_read_back(parts in prop::array::uniform3("[a-z._\" ]{1,8}|\\PC{1,8}")) {
            let name = Name::new(parts);
            prop_assert_eq!(ColumnName::of_quoted(&name.to_string()), Some(name));
        }
    }
}
