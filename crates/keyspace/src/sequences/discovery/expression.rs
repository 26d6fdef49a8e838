//! The constants in an expression that PostgreSQL has stored as text (`pg_node_tree`), and the
//! functions whose arguments they are.
//!
//! It goes through the text once, without recursion, so neither its depth nor its length matters.

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// The OID of its type.
    pub type_oid: u32,
    /// Its bytes, as the server keeps them in memory.
    pub bytes: Vec<u8>,
    /// The functions in whose arguments it is, the nearest first.
    pub calls: Vec<u32>,
}

impl Constant {
    /// It as an OID.
    pub fn oid(&self) -> Option<u32> {
        let bytes: [u8; size_of::<usize>()] = self.bytes.as_slice().try_into().ok()?;
        u32::try_from(usize::from_ne_bytes(bytes) & 0xFFFF_FFFF).ok()
    }

    /// It as a `text`, `varchar` or `bpchar`.
    pub fn text(&self) -> Option<&[u8]> {
        // Constants have the long header of a variable-length value.
        self.bytes.get(4..)
    }
}

/// The constants that are not NULL.
pub fn constants(expression: &[u8]) -> Vec<Constant> {
    let mut found = Vec::new();
    // For each node that is open: the function, if it is a call.
    let mut open: Vec<Option<u32>> = Vec::new();
    let mut type_oid = 0;
    let mut words = Words::of(expression);
    while let Some(word) = words.next() {
        match word {
            b"{" => open.push(None),
            b"}" => {
                open.pop();
            }
            b":funcid" => {
                let function = words.next().and_then(number);
                if let Some(node) = open.last_mut() {
                    *node = function.and_then(|function| u32::try_from(function).ok());
                }
            }
            b":consttype" => {
                let value = words.next().and_then(number);
                type_oid = value.and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
            }
            b":constvalue" => {
                let Some(bytes) = bytes(&mut words) else { continue };
                let calls = open.iter().rev().copied().flatten().collect();
                found.push(Constant { type_oid, bytes, calls });
            }
            _ => {}
        }
    }
    found
}

/// The functions that an expression calls, also as operators.
pub fn functions(expression: &[u8]) -> Vec<u32> {
    let mut words = Words::of(expression);
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if matches!(word, b":funcid" | b":opfuncid") {
            let function = words.next().and_then(number);
            found.extend(function.and_then(|function| u32::try_from(function).ok()));
        }
    }
    found
}

/// The bytes of a constant, `4 [ 27 64 0 0 0 0 0 0 ]`; `None` for NULL.
pub(super) fn bytes(words: &mut Words<'_>) -> Option<Vec<u8>> {
    // The length, or <> for NULL.
    words.next().and_then(number)?;
    // A byte is written with or without a sign, as the compiler of the server reads it.
    Some(words.skip(1).map_while(number).map(|byte| byte as u8).collect())
}

pub(super) fn number(word: &[u8]) -> Option<i64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The words of the text; braces and parentheses are words of their own.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) const fn of(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        let begin = self.at;
        while let Some(byte) = self.text.get(self.at) {
            match byte {
                // A character of a name that would otherwise end it.
                b'\\' => self.at += 2,
                b'{' | b'}' | b'(' | b')' => {
                    if self.at == begin {
                        self.at += 1;
                    }
                    break;
                }
                byte if byte.is_ascii_whitespace() => break,
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.text.len());
        self.text.get(begin..self.at).filter(|word| !word.is_empty())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fault_b04_constants_are_found_with_the_functions_around_them() {
        // lower(f('s'::text)) || nextval('public.s'::regclass), where the sequence is 16400.
        let expression = b"{OPEXPR :opno 2779 :args ({FUNCEXPR :funcid 870 :args ({FUNCEXPR :funcid 20000 \
            :args ({CONST :consttype 25 :consttypmod -1 :constlen -1 :constbyval false :constisnull false \
            :location 20 :constvalue 5 [ 20 0 0 0 115 ]})})} {FUNCEXPR :funcid 1574 :args ({CONST :consttype 2205 \
            :constbyval true :constisnull false :constvalue 4 [ 16 64 0 0 0 0 0 0 ]} {CONST :consttype 23 \
            :constisnull true :constvalue <>}) :location 1} {CONST :consttype 25 :constvalue 5 [ 20 0 0 0 -61 ]})}";
        let found = constants(expression);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!((found[0].text(), found[0].calls.as_slice()), (Some(b"s".as_slice()), &[20_000, 870][..]));
        assert_eq!((found[1].oid(), found[1].calls.as_slice()), (Some(16_400), &[1_574][..]));
        assert_eq!((found[2].text(), found[2].calls.len()), (Some(b"\xc3".as_slice()), 0));
        assert_eq!(functions(expression), [870, 20_000, 1_574]);
    }

    proptest! {
        #[test]
        fn every_text_has_an_end(text in "[{}() :a-z0-9\\\\\\[\\]-]{0,80}") {
            prop_assert!(constants(text.as_bytes()).len() <= text.len());
        }
    }
}
