//! The rows of the tables of a migration in a form that nodes can compare: the document of
//! `key_migration_digests()`.
//!
//! Each row belongs to one of a fixed number of *parts*, by a hash of its old id or primary key. A
//! part has a digest of its keys and one of its whole rows, which do not depend on the order of rows.
//! So tables of any size and with keys of any type can be compared, and what differs is narrowed down
//! to a few rows. All texts are UTF-8.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::error::{Error, SqlState};

/// The number of parts of a table.
pub const PARTS: u32 = 16_384;
/// The version of the document.
const VERSION: u32 = 1;
/// The maximum length of a document.
const LONGEST: usize = 256 * 1024 * 1024;

/// The rows of the tables of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    /// The version of the document.
    version: u32,
    /// The number of the node.
    pub node: i32,
    /// The digest of what must be the same on all nodes.
    pub agreement: String,
    /// The tables.
    pub tables: Vec<TableDigests>,
}

/// The rows of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableDigests {
    /// Its schema, not quoted.
    pub schema: String,
    /// Its name, not quoted.
    pub name: String,
    /// The digests of the parts that have rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<u32, Part>,
    /// The rows of some parts, if the document is about rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rows: BTreeMap<u32, Vec<Row>>,
}

/// The digests of a part: the number of its rows, and the digests of their keys and of whole rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, Hex, Hex)", into = "(u64, Hex, Hex)")]
pub struct Part {
    /// How many rows it has.
    pub rows: u64,
    /// The digest of their keys.
    pub keys: u64,
    /// The digest of the rows.
    pub whole: u64,
}

/// A row: its old id or primary key, its key, and the digest of the whole row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(String, Option<String>, Hex)", into = "(String, Option<String>, Hex)")]
pub struct Row {
    /// By what it is identified on all nodes.
    pub id: String,
    /// Its key, if the table has one of its own.
    pub key: Option<String>,
    /// The digest of the whole row.
    pub whole: u64,
}

/// A digest, which JSON would not keep as a number.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hex(u64);

impl From<Hex> for String {
    fn from(hex: Hex) -> Self {
        format!("{:x}", hex.0)
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        u64::from_str_radix(&text, 16).map(Hex).map_err(|_| format!("\"{text}\" is not a digest"))
    }
}

impl From<(u64, Hex, Hex)> for Part {
    fn from((rows, keys, whole): (u64, Hex, Hex)) -> Self {
        Self { rows, keys: keys.0, whole: whole.0 }
    }
}

impl From<Part> for (u64, Hex, Hex) {
    fn from(part: Part) -> Self {
        (part.rows, Hex(part.keys), Hex(part.whole))
    }
}

impl From<(String, Option<String>, Hex)> for Row {
    fn from((id, key, whole): (String, Option<String>, Hex)) -> Self {
        Self { id, key, whole: whole.0 }
    }
}

impl From<Row> for (String, Option<String>, Hex) {
    fn from(row: Row) -> Self {
        (row.id, row.key, Hex(row.whole))
    }
}

impl Row {
    /// A row from the texts of its old id or primary key, of its key, and of all its columns.
    pub fn new(id: String, key: Option<String>, all: &str) -> Self {
        let whole = digest(2, &[all]);
        Self { id, key, whole }
    }

    /// The same from the texts of columns: those by which it is identified, and all. NULL is `None`.
    pub fn of_columns(id: &[Option<&str>], key: Option<String>, all: &[Option<&str>]) -> Self {
        let list = |texts: &[Option<&str>]| serde_json::to_string(texts).unwrap_or_default();
        let id = match id {
            [Some(only)] => (*only).to_owned(),
            several => list(several),
        };
        Self::new(id, key, &list(all))
    }

    /// The part that it belongs to.
    pub fn part(&self) -> u32 {
        // Less than PARTS.
        u32::try_from(digest(0, &[&self.id]) % u64::from(PARTS)).unwrap_or_default()
    }
}

/// The digest of a list of texts.
fn digest(kind: u64, texts: &[&str]) -> u64 {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    SipHasher24::new_with_keys(kind, 0).hash(&bytes)
}

impl Part {
    /// Adds a row.
    fn add(&mut self, row: &Row) {
        let key = row.key.as_deref();
        let keys = digest(1, &[&row.id, key.map_or("-", |_| "+"), key.unwrap_or_default()]);
        self.rows += 1;
        self.keys = self.keys.wrapping_add(keys);
        self.whole = self.whole.wrapping_add(row.whole);
    }
}

impl TableDigests {
    /// A table without rows.
    pub fn new(schema: &str, name: &str) -> Self {
        Self { schema: schema.to_owned(), name: name.to_owned(), ..Self::default() }
    }

    /// Adds a row to the digests.
    pub fn add(&mut self, row: &Row) {
        self.parts.entry(row.part()).or_default().add(row);
    }

    /// Adds a row itself, if its part is one of those that are listed.
    pub fn add_row(&mut self, row: Row) {
        if let Some(rows) = self.rows.get_mut(&row.part()) {
            rows.push(row);
        }
    }

    /// Lists the rows of these parts.
    pub fn list(&mut self, parts: &[u32]) {
        self.rows = parts.iter().map(|part| (*part, Vec::new())).collect();
    }
}

impl Digests {
    /// The document of a node.
    pub fn new(node: i32, agreement: String, tables: Vec<TableDigests>) -> Self {
        Self { version: VERSION, node, agreement, tables }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// 22023 if it is not one, or is of another version.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let malformed = |detail: String| {
            Error::new(SqlState::InvalidParameterValue, "the digests of a node are malformed")
                .detail(detail)
                .hint("Pass the result of key_migration_digests() of the first node.")
        };
        if json.len() > LONGEST {
            return Err(malformed(format!("They are longer than {LONGEST} bytes.")));
        }
        let read: Self =
            serde_json::from_str(json).map_err(|error| malformed(format!("The parser says: {error}.")))?;
        if read.version != VERSION {
            let message = format!("unsupported version {} of the digests of a node", read.version);
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .hint("Update the extension on both nodes to the same version."));
        }
        Ok(read)
    }

    /// The document.
    pub fn to_json(&self) -> String {
        // There are only numbers, strings and maps with number keys, so this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A table by its name.
    pub fn table(&self, schema: &str, name: &str) -> Option<&TableDigests> {
        self.tables.iter().find(|table| (table.schema.as_str(), table.name.as_str()) == (schema, name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn row(id: &str, key: &str, all: &str) -> Row {
        Row::new(id.to_owned(), Some(key.to_owned()), all)
    }

    #[test]
    fn columns_are_told_apart() {
        let of = |id: &[Option<&str>], all: &[Option<&str>]| Row::of_columns(id, None, all);
        assert_eq!(of(&[Some("7")], &[]).id, "7");
        assert_eq!(of(&[Some("7"), Some("a\"")], &[]).id, r#"["7","a\""]"#);
        assert_ne!(of(&[Some("7")], &[None]), of(&[Some("7")], &[Some("")]));
        assert_ne!(of(&[Some("7")], &[Some("a,b")]), of(&[Some("7")], &[Some("a"), Some("b")]));
    }

    #[test]
    fn the_order_of_rows_does_not_matter() {
        let rows = [row("1", "a", "{1,a,x}"), row("2", "b", "{2,b,y}"), row("3", "c", "{3,c,z}")];
        let (mut forwards, mut backwards) = (TableDigests::new("s", "t"), TableDigests::new("s", "t"));
        rows.iter().for_each(|row| forwards.add(row));
        rows.iter().rev().for_each(|row| backwards.add(row));
        assert_eq!(forwards, backwards);
        assert_eq!(forwards.parts.values().map(|part| part.rows).sum::<u64>(), 3);
    }

    #[test]
    fn digests_are_those_of_every_other_node() {
        // Nodes of other versions and architectures compute them, too.
        let mut table = TableDigests::new("s", "t");
        table.add(&row("1", "a", "{1,a,x}"));
        let expected = r#"{"13556":[1,"b3ee4b149db0947b","feb85b08e0eb6f5e"]}"#;
        assert_eq!(serde_json::to_string(&table.parts).unwrap(), expected);
    }

    #[test]
    fn a_key_or_a_row_that_differs_shows_in_its_digest() {
        let of = |row: &Row| {
            let mut part = Part::default();
            part.add(row);
            part
        };
        let one = of(&row("1", "a", "{1,a,x}"));
        let other_key = of(&row("1", "b", "{1,b,x}"));
        let other_row = of(&row("1", "a", "{1,a,y}"));
        let none = of(&Row::new("1".to_owned(), None, "{1,NULL,x}"));
        assert!(one.keys != other_key.keys && one.whole != other_key.whole);
        assert!(one.keys == other_row.keys && one.whole != other_row.whole);
        assert!(none.keys != one.keys);
        // Where one text ends and the next begins counts.
        assert_ne!(of(&row("1", "12", "")).keys, of(&row("11", "2", "")).keys);
    }

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let mut whole = TableDigests::new("s", "t");
        whole.add(&row("1", "a", "{1,a,x}"));
        let mut listed = TableDigests::new("s", "t");
        listed.list(&[row("1", "a", "").part(), 5]);
        listed.add_row(row("1", "a", "{1,a,x}"));
        for table in [whole, listed] {
            let digests = Digests::new(1, "ab".to_owned(), vec![table]);
            assert_eq!(Digests::from_json(&digests.to_json()).unwrap(), digests);
        }
        let good = Digests::new(1, "ab".to_owned(), Vec::new()).to_json();
        let version = good.replacen("\"version\":1", "\"version\":2", 1);
        let digest = r#"{"version":1,"node":1,"agreement":"","tables":[{"schema":"s","name":"t","parts":{"1":[1,"x","0"]}}]}"#;
        for json in ["", "{}", "[]", &version, digest] {
            assert_eq!(Digests::from_json(json).unwrap_err().sqlstate, SqlState::InvalidParameterValue);
        }
    }
}
