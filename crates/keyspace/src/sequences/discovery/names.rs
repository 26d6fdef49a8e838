//! Names of sequences in texts.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::tokens::{Token, tokens};

/// The longest name that PostgreSQL stores.
const NAME_BYTES: usize = 63;
/// A longer text is not looked at: it is no name.
const TEXT_BYTES: usize = 512;
/// How deep a statement within a string within a string is read.
pub(super) const NESTED: usize = 4;

/// A name, perhaps with its schema, in the encoding of the database and unquoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedName {
    /// The schema, if it is given.
    pub schema: Option<Vec<u8>>,
    /// The name.
    pub name: Vec<u8>,
}

impl QualifiedName {
    /// Reads a name as `regclass` does: in lower case where it is not quoted, and cut at 63 bytes.
    /// `None` if the text is no name of one, two or three parts.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_BYTES {
            return None;
        }
        let tokens = tokens(text.trim_ascii());
        let mut parts = Vec::new();
        for (at, token) in tokens.iter().enumerate() {
            match at % 2 {
                0 => parts.push(cut(token.identifier()?)),
                _ if token.is_symbol(b'.') => {}
                _ => return None,
            }
        }
        if tokens.len().is_multiple_of(2) || parts.len() > 3 {
            return None;
        }
        let name = parts.pop()?;
        Some(Self { schema: parts.pop(), name })
    }
}

/// A name as PostgreSQL cuts it.
fn cut(name: &[u8]) -> Vec<u8> {
    let mut end = name.len().min(NAME_BYTES);
    // Not within a character of UTF-8.
    while end > 0 && end < name.len() && name.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default().to_vec()
}

/// The strings in a source, and those in the statements within strings.
pub(super) fn strings(source: &[Token]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    add_strings(source, NESTED, &mut found);
    found
}

fn add_strings(source: &[Token], depth: usize, found: &mut Vec<Vec<u8>>) {
    for token in source {
        if let Token::Literal(text) = token {
            if depth > 0 && text.contains(&b'\'') {
                add_strings(&tokens(text), depth - 1, found);
            }
            found.push(text.clone());
        }
    }
}

/// The parts of a string that a name can be made of: what is between the placeholders of
/// `format`, dots and quotation marks. A string with white space is no part of a name.
pub fn pieces(text: &[u8]) -> Vec<Vec<u8>> {
    if text.len() > TEXT_BYTES || text.iter().any(u8::is_ascii_whitespace) {
        return Vec::new();
    }
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'.' | b'"' => pieces.push(std::mem::take(&mut piece)),
            b'%' => {
                pieces.push(std::mem::take(&mut piece));
                // %I, %s, %L, also as %1$I and %-10s.
                while text.get(at).is_some_and(|byte| !byte.is_ascii_alphabetic()) {
                    at += 1;
                }
                at += 1;
            }
            byte => piece.push(*byte),
        }
    }
    pieces.push(piece);
    pieces.retain(|piece| !piece.is_empty());
    // In quotation marks, a name is as it is written, and otherwise in lower case.
    let lower: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_ascii_lowercase()).collect();
    pieces.extend(lower);
    pieces.sort();
    pieces.dedup();
    pieces
}

/// The names that a function can make of its arguments and of the strings in its source.
#[derive(Clone, Debug)]
pub struct Composition<'a> {
    /// Of the arguments: at least one of them must be in the name.
    pub arguments: &'a [Vec<u8>],
    /// Of the source.
    pub strings: &'a [Vec<u8>],
}

impl Composition<'_> {
    /// Which of these names, which are in order, can be made of the pieces.
    pub fn find<'n, T>(&self, names: &'n BTreeMap<Vec<u8>, T>) -> Vec<&'n T> {
        let mut candidates: BTreeMap<&[u8], &T> = BTreeMap::new();
        for first in self.arguments.iter().chain(self.strings) {
            let from = (Bound::Included(first.as_slice()), Bound::Unbounded);
            let names = names.range::<[u8], _>(from).take_while(|(name, _)| name.starts_with(first));
            candidates.extend(names.map(|(name, value)| (name.as_slice(), value)));
        }
        candidates.retain(|name, _| self.makes(name));
        candidates.into_values().collect()
    }

    /// Whether a name can be made of the pieces.
    fn makes(&self, name: &[u8]) -> bool {
        // For each length: whether pieces make it up, without and with an argument.
        let mut reached = vec![(false, false); name.len() + 1];
        if let Some(begin) = reached.first_mut() {
            begin.0 = true;
        }
        for at in 0..name.len() {
            let (without, with) = reached.get(at).copied().unwrap_or_default();
            if !without && !with {
                continue;
            }
            let rest = name.get(at..).unwrap_or_default();
            for (piece, is_argument) in self
                .arguments
                .iter()
                .map(|piece| (piece, true))
                .chain(self.strings.iter().map(|piece| (piece, false)))
            {
                if !piece.is_empty()
                    && rest.starts_with(piece)
                    && let Some(end) = reached.get_mut(at + piece.len())
                {
                    end.0 |= without && !is_argument;
                    end.1 |= with || is_argument;
                }
            }
        }
        reached.last().is_some_and(|(_, with)| *with)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn of(text: &str) -> Option<(Option<String>, String)> {
        let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        QualifiedName::parse(text.as_bytes()).map(|name| (name.schema.map(text_of), text_of(name.name)))
    }

    #[test]
    fn a_name_is_read_as_regclass_reads_it() {
        let named = |schema: Option<&str>, name: &str| Some((schema.map(str::to_owned), name.to_owned()));
        assert_eq!(of("Ord_Seq"), named(None, "ord_seq"));
        assert_eq!(of(" shop.\"Ord.Seq\" "), named(Some("shop"), "Ord.Seq"));
        assert_eq!(of("db.shop.s"), named(Some("shop"), "s"));
        assert_eq!(of(&"a".repeat(70)), named(None, &"a".repeat(63)));
        assert_eq!(of(&"é".repeat(40)), named(None, &"é".repeat(31)));
        for text in ["", "a b", "a.", ".a", "a.b.c.d", "a-b", "nextval('a')", "%s"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn fault_b04_a_name_is_made_of_arguments_and_strings() {
        let names = ["statuses_id_seq", "media_id_seq", "statuses_id_seq2", "x"];
        let names: BTreeMap<Vec<u8>, &str> =
            names.iter().map(|name| (name.as_bytes().to_vec(), *name)).collect();
        let find = |arguments: &[&str], strings: &[&str]| -> Vec<&str> {
            let split = |texts: &[&str]| -> Vec<Vec<u8>> {
                texts.iter().flat_map(|text| pieces(text.as_bytes())).collect()
            };
            let composition = Composition { arguments: &split(arguments), strings: &split(strings) };
            composition.find(&names).into_iter().copied().collect()
        };
        assert_eq!(find(&["statuses"], &["_id_seq", "epoch"]), ["statuses_id_seq"]);
        assert_eq!(find(&["public", "media"], &["%I.%I_id_seq"]), ["media_id_seq"]);
        assert_eq!(find(&["public.media_id_seq"], &[]), ["media_id_seq"]);
        assert!(find(&[], &["statuses", "_id_seq"]).is_empty(), "nothing says for which table");
        assert!(find(&["status"], &["_id_seq", "es of"]).is_empty());
    }
}
