//! How a default draws from a sequence, by its expression as PostgreSQL has stored it
//! (`pg_node_tree`).
//!
//! A default draws if its value is that of `nextval` or `partitioned_nextval`, unchanged: casts
//! between the types of numbers keep it. The text is read from its beginning, without recursion.

use super::expression::{Words, bytes, number};
use crate::sequences::sequence::Draw;

/// How a default names a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByName {
    /// As a constant of type `regclass`.
    Oid(u32),
    /// As a text that is cast to `regclass` when the default is evaluated, also as what
    /// `pg_get_serial_sequence` returns for constants.
    Text,
}

/// Functions of PostgreSQL, by their OIDs in `pg_proc.dat`, which no version changes.
pub mod function {
    /// `nextval(regclass)`
    pub const NEXTVAL: u32 = 1574;
    /// `regclass(text)`
    pub const REGCLASS: u32 = 1079;
    /// `pg_get_serial_sequence(text, text)`
    pub const PG_GET_SERIAL_SEQUENCE: u32 = 1665;
    /// `numeric(numeric, integer)`, which applies a precision and a scale.
    pub const NUMERIC_WITH_SCALE: u32 = 1703;
    /// Casts between the types of numbers, none of which changes a value of a sequence (fault B26).
    /// First those to `smallint` from `integer`, `bigint` and `numeric`, then those to `integer`,
    /// `bigint` and `numeric` in the same order.
    pub const CASTS: [u32; 12] = [314, 714, 1783, 313, 480, 1744, 754, 481, 1779, 1782, 1740, 1781];
}

/// How the default `expression` draws from a sequence. `is_ours` tells whether a function is
/// `partitioned_nextval`.
pub fn draw(expression: &[u8], sequence: ByName, is_ours: impl Fn(u32) -> bool) -> Draw {
    value_drawn(expression, sequence, is_ours).unwrap_or(Draw::Other)
}

fn value_drawn(expression: &[u8], sequence: ByName, is_ours: impl Fn(u32) -> bool) -> Option<Draw> {
    let mut node = Node::first(Words::of(expression))?;
    loop {
        node = match node.tag {
            // CoerceViaIO: to text, and back.
            b"COERCETODOMAIN" | b"COERCEVIAIO" | b"RELABELTYPE" => Node::first(node.field(b":arg")?)?,
            b"FUNCEXPR" => {
                let function = node.function()?;
                let keeps_the_value = function::CASTS.contains(&function)
                    || function == function::NUMERIC_WITH_SCALE && keeps_integers(node);
                if !keeps_the_value {
                    return call_draws(node, function, sequence, is_ours);
                }
                node.argument(0)?
            }
            _ => return None,
        };
    }
}

/// Whether a cast to `numeric(p, s)` leaves whole numbers unchanged: a negative scale rounds them.
fn keeps_integers(call: Node<'_>) -> bool {
    let typmod = call.argument(1).and_then(Node::integer);
    // The same as numeric_typmod_scale() of utils/adt/numeric.c: 11 bits with a sign.
    typmod.is_some_and(|typmod| ((typmod.wrapping_sub(VARHDRSZ) & 0x7ff) ^ 1024) - 1024 >= 0)
}

/// The length of the header of a variable-length value.
const VARHDRSZ: i32 = 4;

fn call_draws(
    call: Node<'_>,
    function: u32,
    sequence: ByName,
    is_ours: impl Fn(u32) -> bool,
) -> Option<Draw> {
    let name = call.argument(0)?;
    let is_named = match sequence {
        ByName::Oid(oid) => name.integer().is_some_and(|value| value.cast_unsigned() == oid),
        ByName::Text => is_text_as_sequence(name),
    };
    if !is_named {
        return None;
    }
    if function == function::NEXTVAL {
        return Some(Draw::Nextval);
    }
    if !is_ours(function) {
        return None;
    }
    match call.argument(1) {
        None => Some(Draw::OfThisNode),
        Some(node) => Some(Draw::OfNode { node: node.integer()?, nodes: call.argument(2)?.integer()? }),
    }
}

/// Whether a node is a constant text that is cast to `regclass`, or the sequence that a column owns.
fn is_text_as_sequence(node: Node<'_>) -> bool {
    if node.function() != Some(function::REGCLASS) {
        return false;
    }
    let text = match node.argument(0) {
        Some(text) if text.tag == b"RELABELTYPE" => text.field(b":arg").and_then(Node::first),
        text => text,
    };
    text.is_some_and(|text| text.is_constant() || is_owned(text))
}

/// Whether a node is `pg_get_serial_sequence` of constants.
fn is_owned(node: Node<'_>) -> bool {
    node.function() == Some(function::PG_GET_SERIAL_SEQUENCE)
        && (0..2).all(|at| node.argument(at).is_some_and(Node::is_constant))
}

/// A node of the tree.
#[derive(Clone, Copy)]
struct Node<'a> {
    tag: &'a [u8],
    /// What follows the tag.
    words: Words<'a>,
}

impl<'a> Node<'a> {
    /// The node that begins with the next word.
    fn first(mut words: Words<'a>) -> Option<Self> {
        words.next().filter(|word| *word == b"{")?;
        Some(Self { tag: words.next()?, words })
    }

    /// What follows the name of a field of its own.
    fn field(self, name: &[u8]) -> Option<Words<'a>> {
        let mut words = self.words;
        let mut depth = 0_usize;
        while let Some(word) = words.next() {
            match word {
                b"{" => depth += 1,
                b"}" => depth = depth.checked_sub(1)?,
                word if depth == 0 && word == name => return Some(words),
                _ => {}
            }
        }
        None
    }

    /// The function that it calls, if it is a call.
    fn function(self) -> Option<u32> {
        if self.tag != b"FUNCEXPR" {
            return None;
        }
        self.field(b":funcid")?.next().and_then(number)?.try_into().ok()
    }

    /// An argument of a call.
    fn argument(self, at: usize) -> Option<Self> {
        let mut words = self.field(b":args")?;
        words.next().filter(|word| *word == b"(")?;
        for _ in 0..at {
            words.skip_node()?;
        }
        Self::first(words)
    }

    /// Its bytes, if it is a constant and not NULL.
    fn constant(self) -> Option<Vec<u8>> {
        if self.tag == b"CONST" { bytes(&mut self.field(b":constvalue")?) } else { None }
    }

    fn is_constant(self) -> bool {
        self.constant().is_some()
    }

    /// It as a constant of four bytes, which a word of the machine holds.
    fn integer(self) -> Option<i32> {
        let word: [u8; size_of::<usize>()] = self.constant()?.try_into().ok()?;
        u32::try_from(usize::from_ne_bytes(word) & 0xFFFF_FFFF).ok().map(u32::cast_signed)
    }
}

impl Words<'_> {
    /// Goes behind the next node.
    fn skip_node(&mut self) -> Option<()> {
        self.next().filter(|word| *word == b"{")?;
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next()? {
                b"{" => depth += 1,
                b"}" => depth -= 1,
                _ => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    const OURS: u32 = 20_000;
    const SEQUENCE: u32 = 0x00fe_401b;

    fn call(function: u32, arguments: &[String]) -> String {
        let arguments =
            if arguments.is_empty() { "<>".to_owned() } else { format!("({})", arguments.join(" ")) };
        format!(
            "{{FUNCEXPR :funcid {function} :funcresulttype 20 :funcretset false :funcvariadic false \
             :funcformat 0 :funccollid 0 :inputcollid 0 :args {arguments} :location 60}}"
        )
    }

    /// A constant, whose bytes have signs.
    fn integer(type_oid: u32, value: i32) -> String {
        let word = usize::try_from(value.cast_unsigned()).unwrap().to_ne_bytes();
        let bytes: Vec<String> = word.iter().map(|byte| byte.cast_signed().to_string()).collect();
        format!(
            "{{CONST :consttype {type_oid} :consttypmod -1 :constcollid 0 :constlen 4 :constbyval true \
             :constisnull false :location -1 :constvalue 4 [ {} ]}}",
            bytes.join(" ")
        )
    }

    fn sequence(oid: u32) -> String {
        integer(2205, oid.cast_signed())
    }

    fn text(text: &str) -> String {
        let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
        let length = text.len() + 4;
        format!(
            "{{CONST :consttype 25 :constisnull false :location 8 :constvalue {length} [ {} 0 0 0 {} ]}}",
            length * 4,
            bytes.join(" ")
        )
    }

    fn wrapped(tag: &str, node: &str) -> String {
        format!("{{{tag} :arg {node} :resulttype 23 :resulttypmod -1 :location -1}}")
    }

    fn by_oid(expression: &str) -> Draw {
        draw(expression.as_bytes(), ByName::Oid(SEQUENCE), |function| function == OURS)
    }

    fn by_text(expression: &str) -> Draw {
        draw(expression.as_bytes(), ByName::Text, |function| function == OURS)
    }

    #[test]
    fn fault_b26_casts_keep_the_value() {
        let plain = call(function::NEXTVAL, &[sequence(SEQUENCE)]);
        assert_eq!(by_oid(&plain), Draw::Nextval);
        let mut all = plain.clone();
        for cast in function::CASTS {
            all = call(cast, &[all]);
        }
        for tag in ["COERCETODOMAIN", "COERCEVIAIO", "RELABELTYPE"] {
            all = wrapped(tag, &all);
        }
        assert_eq!(by_oid(&all), Draw::Nextval);
        // numeric(10, 2), numeric(10, 0) and numeric(10, -2).
        for (scale, drawn) in [(2, Draw::Nextval), (0, Draw::Nextval), (-2, Draw::Other)] {
            let typmod = (10 << 16 | scale & 0x7ff) + VARHDRSZ;
            let cast = call(function::NUMERIC_WITH_SCALE, &[plain.clone(), integer(23, typmod)]);
            assert_eq!(by_oid(&cast), drawn, "{scale}");
        }
        // Another function, an operator, another sequence.
        assert_eq!(by_oid(&call(16_500, &[plain.clone()])), Draw::Other);
        assert_eq!(by_oid(&format!("{{OPEXPR :opno 684 :opfuncid 463 :args ({plain})}}")), Draw::Other);
        assert_eq!(by_oid(&call(function::NEXTVAL, &[sequence(SEQUENCE + 1)])), Draw::Other);
        assert_eq!(by_oid(&call(16_500, &[sequence(SEQUENCE)])), Draw::Other);
    }

    #[test]
    fn ours_draws_for_this_node_or_for_one_that_is_written_out() {
        let (node, nodes) = (integer(23, 2), integer(23, 3));
        assert_eq!(by_oid(&call(OURS, &[sequence(SEQUENCE)])), Draw::OfThisNode);
        let written = call(OURS, &[sequence(SEQUENCE), node.clone(), nodes]);
        assert_eq!(by_oid(&written), Draw::OfNode { node: 2, nodes: 3 });
        let computed = call(OURS, &[sequence(SEQUENCE), node, call(16_500, &[])]);
        assert_eq!(by_oid(&computed), Draw::Other);
        assert_eq!(by_oid(&call(OURS, &[])), Draw::Other);
    }

    #[test]
    fn a_text_names_the_sequence() {
        let of = |name: String| call(function::NEXTVAL, &[call(function::REGCLASS, &[name])]);
        assert_eq!(by_text(&of(text("public.s"))), Draw::Nextval);
        assert_eq!(by_text(&of(wrapped("RELABELTYPE", &text("s")))), Draw::Nextval);
        let owned = |names: &[String]| of(call(function::PG_GET_SERIAL_SEQUENCE, names));
        assert_eq!(by_text(&owned(&[text("t"), text("id")])), Draw::Nextval);
        assert_eq!(by_text(&owned(&[text("t"), call(16_500, &[])])), Draw::Other);
        assert_eq!(by_text(&of(call(16_500, &[]))), Draw::Other);
        let null = "{CONST :consttype 25 :constisnull true :location 8 :constvalue <>}".to_owned();
        assert_eq!(by_text(&of(null)), Draw::Other);
        // A constant of type regclass is no text, and a text no constant of that type.
        assert_eq!(by_text(&call(function::NEXTVAL, &[sequence(SEQUENCE)])), Draw::Other);
        assert_eq!(by_oid(&of(text("public.s"))), Draw::Other);
    }

    #[test]
    fn a_deep_expression_is_read_in_time_that_grows_with_its_length() {
        let plain = call(function::NEXTVAL, &[sequence(SEQUENCE)]);
        let depth = 20_000;
        let open = "{FUNCEXPR :funcid 480 :args (".repeat(depth);
        let deep = format!("{open}{plain}{}", ")}".repeat(depth));
        assert_eq!(by_oid(&deep), Draw::Nextval);
        assert_eq!(by_oid(&open), Draw::Other);
    }

    proptest! {
        #[test]
        fn a_text_that_is_cut_off_draws_nothing(end in 0..1_000_usize) {
            let whole = call(OURS, &[sequence(SEQUENCE), integer(23, 2), integer(23, 3)]);
            let part = whole.get(..end.min(whole.len() - 1)).unwrap();
            // Only where the words that matter are complete is the result that of the whole.
            let drawn = by_oid(part);
            let known = [Draw::Other, Draw::OfThisNode, Draw::OfNode { node: 2, nodes: 3 }];
            prop_assert!(known.contains(&drawn), "{drawn:?} of {part}");
        }

        #[test]
        fn every_text_has_an_end(text in "[{}() :a-zA-Z0-9\\\\\\[\\]-]{0,80}") {
            prop_assert_eq!(by_oid(&text), Draw::Other);
        }
    }
}
