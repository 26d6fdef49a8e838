//! How a column's default draws from a sequence, according to its expression tree.

use std::collections::HashMap;
use std::ffi::{CStr, CString};

use keyspace::sequences::Draw;
use keyspace::sequences::discovery::{Constant, constants, functions};
use pgrx::pg_sys::{self, NodeTag};
use pgrx::{PgMemoryContexts, is_a};

use crate::encoding::from_server;
use crate::server::extension::Extension;

/// Casts between the types of numbers, none of which changes a value of a sequence (fault B26).
const CASTS: [u32; 12] = [
    pg_sys::F_INT2_INT4,
    pg_sys::F_INT2_INT8,
    pg_sys::F_INT2_NUMERIC,
    pg_sys::F_INT4_INT2,
    pg_sys::F_INT4_INT8,
    pg_sys::F_INT4_NUMERIC,
    pg_sys::F_INT8_INT2,
    pg_sys::F_INT8_INT4,
    pg_sys::F_INT8_NUMERIC,
    pg_sys::F_NUMERIC_INT2,
    pg_sys::F_NUMERIC_INT4,
    pg_sys::F_NUMERIC_INT8,
];
/// Functions that take a sequence and hand out nothing new.
const LOOKS: [u32; 4] = [
    pg_sys::F_CURRVAL,
    pg_sys::F_SETVAL_REGCLASS_INT8,
    pg_sys::F_SETVAL_REGCLASS_INT8_BOOL,
    pg_sys::F_PG_SEQUENCE_LAST_VALUE,
];
/// The depth of a longer expression may exceed the stack.
const LONGEST: usize = 16_384;

/// How a default names a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByName {
    /// As a constant of type `regclass`.
    Oid(pg_sys::Oid),
    /// As a text that is cast to `regclass` when the default is evaluated, also as what
    /// `pg_get_serial_sequence` returns for constants.
    Text,
}

/// What an expression does with the name of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Draws from it, by `nextval` or `partitioned_nextval`.
    Draws,
    /// Passes it to this function, of which nothing is known.
    Passes(pg_sys::Oid),
    /// Hands out nothing new.
    Looks,
}

/// Reads expression trees in a memory context of its own, which is reset after each.
pub(crate) struct Defaults {
    context: PgMemoryContexts,
    /// What is known of expressions, and whether they name the sequence as text. In most databases,
    /// nearly all differ only in the sequence that they name.
    known: HashMap<(Vec<u8>, bool), Draw>,
    /// The extension of `partitioned_nextval`.
    extension: Extension,
}

impl Defaults {
    pub(crate) fn new(extension: Extension) -> Self {
        let context = PgMemoryContexts::new("defaults of pg_keyspace");
        Self { context, known: HashMap::new(), extension }
    }

    /// How the default `expression`, in the form of `pg_attrdef.adbin`, draws from a sequence.
    pub(crate) fn draw(&mut self, expression: &CStr, sequence: ByName) -> Draw {
        let extension = self.extension;
        if expression.is_empty() || expression.count_bytes() > LONGEST {
            return Draw::Other;
        }
        let general = match sequence {
            ByName::Oid(oid) => generalized(expression.to_bytes(), oid),
            ByName::Text => generalized(expression.to_bytes(), pg_sys::InvalidOid),
        };
        let key = (general, sequence == ByName::Text);
        if let Some(draw) = self.known.get(&key) {
            return *draw;
        }
        // SAFETY: the text comes from pg_attrdef, so it is an expression tree. The tree is used
        // before the context is reset.
        unsafe {
            let draw = self.context.switch_to(|_| {
                let tree = pg_sys::stringToNode(expression.as_ptr());
                value_drawn(tree.cast(), sequence, extension)
            });
            self.context.reset();
            self.known.insert(key, draw);
            draw
        }
    }

    /// What an expression does with a constant in it.
    pub(crate) fn role(&self, constant: &Constant) -> Role {
        for &function in &constant.calls {
            if function == pg_sys::F_NEXTVAL {
                return Role::Draws;
            }
            if LOOKS.contains(&function) {
                return Role::Looks;
            }
            // Functions of PostgreSQL itself, such as casts, pass on what they are given.
            if function >= pg_sys::FirstNormalObjectId {
                let is_ours = self.is_partitioned_nextval(function.into());
                return if is_ours { Role::Draws } else { Role::Passes(function.into()) };
            }
        }
        Role::Looks
    }

    /// What an expression does with a sequence that it names as a constant of type `regclass`: what
    /// is unknown takes precedence over what is known.
    pub(crate) fn role_of(&self, expression: &[u8], sequence: pg_sys::Oid) -> Role {
        let is_named = |constant: &Constant| {
            constant.type_oid == pg_sys::REGCLASSOID.to_u32() && constant.oid() == Some(sequence.to_u32())
        };
        let all = constants(expression).into_iter().filter(is_named).map(|constant| self.role(&constant));
        all.fold(Role::Looks, |known, role| match (known, role) {
            (Role::Passes(_), _) | (_, Role::Looks) => known,
            _ => role,
        })
    }

    /// The first function that an expression calls and that is neither PostgreSQL's nor ours.
    pub(crate) fn function_of_users(&self, expression: &[u8]) -> Option<pg_sys::Oid> {
        let is_of_users = |function: &u32| {
            *function >= pg_sys::FirstNormalObjectId && !self.is_partitioned_nextval((*function).into())
        };
        functions(expression).into_iter().find(is_of_users).map(pg_sys::Oid::from)
    }

    fn is_partitioned_nextval(&self, function: pg_sys::Oid) -> bool {
        // SAFETY: looks up a function by its OID. The name is NUL-terminated or null.
        let is_named = unsafe {
            let name = pg_sys::get_func_name(function);
            !name.is_null() && CStr::from_ptr(name) == c"partitioned_nextval"
        };
        is_named && Extension::of(function).is_ok_and(|of| of == self.extension)
    }
}

/// The text of an expression tree without what does not matter to how it draws from a sequence: its
/// places in the source, and which sequence that is. Two sequences draw in the same way if these texts
/// are the same.
fn generalized(expression: &[u8], sequence: pg_sys::Oid) -> Vec<u8> {
    let own = sequence.to_u32().to_ne_bytes();
    let mut text = Vec::with_capacity(expression.len());
    let mut words = expression.split(|byte| *byte == b' ');
    while let Some(word) = words.next() {
        text.extend_from_slice(word);
        text.push(b' ');
        match word {
            b":location" => {
                // What follows the number ends nodes and lists.
                let place = words.next().unwrap_or_default();
                let end = place.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'-');
                text.extend_from_slice(end.map_or(&[][..], |end| &place[end..]));
                text.push(b' ');
            }
            // A constant of four bytes, in a word of the machine.
            b":constvalue" if is_constant(words.clone(), own) => {
                let skipped = 2 + size_of::<pg_sys::Datum>();
                text.push(b'@');
                words.nth(skipped - 1);
            }
            _ => {}
        }
    }
    text
}

/// Whether these words are a constant of four bytes with this value: `4 [ 27 64 0 0 0 0 0 0 ]`.
fn is_constant<'a>(mut words: impl Iterator<Item = &'a [u8]>, value: [u8; 4]) -> bool {
    if words.next() != Some(b"4") || words.next() != Some(b"[") {
        return false;
    }
    // A byte is written with or without a sign, as the compiler of the server reads it.
    value.into_iter().all(|byte| {
        let number = words.next().and_then(|word| str::from_utf8(word).ok()?.parse::<i16>().ok());
        number.is_some_and(|number| number.rem_euclid(256) == i16::from(byte))
    })
}

/// `function schema.name(types)`, quoted if necessary, with the `search_path` of our own queries.
pub(crate) fn function_label(function: pg_sys::Oid) -> String {
    // SAFETY: looks up a function by its OID. The result is a NUL-terminated copy.
    let name = unsafe { from_server(CStr::from_ptr(pg_sys::format_procedure(function))) };
    format!("function {name}")
}

/// An expression as PostgreSQL's functions take it.
pub(crate) fn expression(text: &[u8]) -> CString {
    CString::new(text).unwrap_or_default()
}

/// # Safety
/// `node` must be an expression tree.
unsafe fn value_drawn(mut node: *mut pg_sys::Node, sequence: ByName, extension: Extension) -> Draw {
    // SAFETY: each node is read as the type that its tag names.
    unsafe {
        while !node.is_null() {
            if is_a(node, NodeTag::T_CoerceToDomain) {
                node = (*node.cast::<pg_sys::CoerceToDomain>()).arg.cast();
            } else if is_a(node, NodeTag::T_CoerceViaIO) {
                // To text, and back.
                node = (*node.cast::<pg_sys::CoerceViaIO>()).arg.cast();
            } else if is_a(node, NodeTag::T_RelabelType) {
                node = (*node.cast::<pg_sys::RelabelType>()).arg.cast();
            } else if is_a(node, NodeTag::T_FuncExpr) {
                let call = node.cast::<pg_sys::FuncExpr>();
                let function = (*call).funcid.to_u32();
                let keeps_the_value = CASTS.contains(&function)
                    || function == pg_sys::F_NUMERIC_NUMERIC_INT4 && keeps_integers(call);
                if !keeps_the_value {
                    return call_draws(call, sequence, extension);
                }
                node = argument(call, 0);
            } else {
                break;
            }
        }
    }
    Draw::Other
}

/// Whether a cast to `numeric(p, s)` leaves whole numbers unchanged: a negative scale rounds them.
///
/// # Safety
/// `call` must be a call of the cast in an expression tree.
unsafe fn keeps_integers(call: *mut pg_sys::FuncExpr) -> bool {
    // SAFETY: as above.
    let typmod = unsafe { constant(argument(call, 1)) };
    // The same as numeric_typmod_scale() of utils/adt/numeric.c: 11 bits with a sign.
    typmod.is_some_and(|typmod| {
        (((typmod.value() as i32 - pg_sys::VARHDRSZ as i32) & 0x7ff) ^ 1024) - 1024 >= 0
    })
}

/// # Safety
/// `call` must be a node of an expression tree.
unsafe fn call_draws(call: *mut pg_sys::FuncExpr, sequence: ByName, extension: Extension) -> Draw {
    // SAFETY: as above. The names are NUL-terminated or null.
    unsafe {
        let is_named = match sequence {
            ByName::Oid(oid) => {
                constant(argument(call, 0)).is_some_and(|value| value.value() as u32 == oid.to_u32())
            }
            ByName::Text => is_text_as_sequence(argument(call, 0)),
        };
        if !is_named {
            return Draw::Other;
        }
        let function = (*call).funcid;
        if function.to_u32() == pg_sys::F_NEXTVAL {
            return Draw::Nextval;
        }
        let name = pg_sys::get_func_name(function);
        let is_ours = !name.is_null()
            && CStr::from_ptr(name) == c"partitioned_nextval"
            && Extension::of(function).is_ok_and(|of| of == extension);
        if !is_ours {
            return Draw::Other;
        }
        match (argument(call, 1), argument(call, 2)) {
            (node, _) if node.is_null() => Draw::OfThisNode,
            (node, nodes) => match (constant(node), constant(nodes)) {
                (Some(node), Some(nodes)) => {
                    Draw::OfNode { node: node.value() as i32, nodes: nodes.value() as i32 }
                }
                _ => Draw::Other,
            },
        }
    }
}

/// Whether a node is a constant text that is cast to `regclass`, or the sequence that a column owns.
///
/// # Safety
/// `node` must be null or a node of an expression tree.
unsafe fn is_text_as_sequence(node: *mut pg_sys::Node) -> bool {
    // SAFETY: each node is read as the type that its tag names.
    unsafe {
        if node.is_null() || !is_a(node, NodeTag::T_FuncExpr) {
            return false;
        }
        let call = node.cast::<pg_sys::FuncExpr>();
        let mut text = argument(call, 0);
        if !text.is_null() && is_a(text, NodeTag::T_RelabelType) {
            text = (*text.cast::<pg_sys::RelabelType>()).arg.cast();
        }
        (*call).funcid.to_u32() == pg_sys::F_REGCLASS && (constant(text).is_some() || is_owned(text))
    }
}

/// Whether a node is `pg_get_serial_sequence` of constants.
///
/// # Safety
/// `node` must be null or a node of an expression tree.
unsafe fn is_owned(node: *mut pg_sys::Node) -> bool {
    // SAFETY: the node is read as a call only if its tag says that it is one.
    unsafe {
        if node.is_null() || !is_a(node, NodeTag::T_FuncExpr) {
            return false;
        }
        let call = node.cast::<pg_sys::FuncExpr>();
        (*call).funcid.to_u32() == pg_sys::F_PG_GET_SERIAL_SEQUENCE
            && constant(argument(call, 0)).is_some()
            && constant(argument(call, 1)).is_some()
    }
}

/// # Safety
/// `call` must be a node of an expression tree.
unsafe fn argument(call: *mut pg_sys::FuncExpr, at: i32) -> *mut pg_sys::Node {
    // SAFETY: the list of arguments is null or valid, and the index is checked against its length.
    unsafe {
        let arguments = (*call).args;
        if arguments.is_null() || at >= (*arguments).length {
            return std::ptr::null_mut();
        }
        pg_sys::list_nth(arguments, at).cast()
    }
}

/// # Safety
/// `node` must be null or a node of an expression tree.
unsafe fn constant(node: *mut pg_sys::Node) -> Option<pg_sys::Datum> {
    // SAFETY: the node is read as a constant only if its tag says that it is one.
    unsafe {
        if node.is_null() || !is_a(node, NodeTag::T_Const) {
            return None;
        }
        let constant = node.cast::<pg_sys::Const>();
        (!(*constant).constisnull).then_some((*constant).constvalue)
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::generalized;

    fn default(function: u32, bytes: &str, place: u32) -> String {
        format!(
            "{{FUNCEXPR :funcid {function} :args ({{CONST :consttype 2205 :constisnull false :location -1 \
             :constvalue 4 [ {bytes} 0 0 0 0 ]}}) :location {place}}}"
        )
    }

    #[pg_test]
    fn expressions_are_the_same_but_for_their_own_sequence_and_their_places() {
        let general = |text: &str, oid: u32| generalized(text.as_bytes(), pg_sys::Oid::from_u32(oid));
        // 0x00fe401b, with and without signs.
        let (signed, plain) = (default(480, "27 64 -2 0", 60), default(480, "27 64 254 0", 7));
        let other = default(480, "1 2 3 4", 1234);
        let all = [general(&signed, 0xfe_401b), general(&plain, 0xfe_401b), general(&other, 0x0403_0201)];
        assert!(all.iter().all(|text| *text == all[0]), "{all:?}");
        // Another sequence is named, another function is called, or there is more of it.
        assert_ne!(general(&other, 0xfe_401b), all[0]);
        assert_ne!(general(&default(481, "1 2 3 4", 1), 0x0403_0201), all[0]);
        assert_ne!(general(&format!("{other})"), 0x0403_0201), all[0]);
        assert_ne!(general(&other.replace(":constvalue 4 [", ":constvalue 8 ["), 0x0403_0201), all[0]);
        assert_eq!(general(":constvalue 4 [ 1", 1), b":constvalue 4 [ 1 ".to_vec(), "cut off");
    }
}
