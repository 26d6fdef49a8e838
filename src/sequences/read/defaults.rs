//! How a column's default draws from a sequence, according to its expression tree.

use std::ffi::{CStr, CString};

use keyspace::sequences::Draw;
use keyspace::sequences::discovery::{Constant, constants};
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

/// The sequence that a default names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// As a constant of type `regclass`.
    ByOid(pg_sys::Oid),
    /// As a text that is cast to `regclass` when the default is evaluated.
    ByText,
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
    /// The extension of `partitioned_nextval`.
    extension: Extension,
}

impl Defaults {
    pub(crate) fn new(extension: Extension) -> Self {
        Self { context: PgMemoryContexts::new("defaults of pg_keyspace"), extension }
    }

    /// How the default `expression`, in the form of `pg_attrdef.adbin`, draws from a sequence.
    pub(crate) fn draw(&mut self, expression: &CStr, sequence: Named) -> Draw {
        let extension = self.extension;
        if expression.is_empty() || expression.count_bytes() > LONGEST {
            return Draw::Other;
        }
        // SAFETY: the text comes from pg_attrdef, so it is an expression tree. The tree is used
        // before the context is reset.
        unsafe {
            let draw = self.context.switch_to(|_| {
                let tree = pg_sys::stringToNode(expression.as_ptr());
                value_drawn(tree.cast(), sequence, extension)
            });
            self.context.reset();
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

    fn is_partitioned_nextval(&self, function: pg_sys::Oid) -> bool {
        // SAFETY: looks up a function by its OID. The name is NUL-terminated or null.
        let is_named = unsafe {
            let name = pg_sys::get_func_name(function);
            !name.is_null() && CStr::from_ptr(name) == c"partitioned_nextval"
        };
        is_named && Extension::of(function).is_ok_and(|of| of == self.extension)
    }
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
unsafe fn value_drawn(mut node: *mut pg_sys::Node, sequence: Named, extension: Extension) -> Draw {
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
unsafe fn call_draws(call: *mut pg_sys::FuncExpr, sequence: Named, extension: Extension) -> Draw {
    // SAFETY: as above. The names are NUL-terminated or null.
    unsafe {
        let is_named = match sequence {
            Named::ByOid(oid) => {
                constant(argument(call, 0)).is_some_and(|value| value.value() as u32 == oid.to_u32())
            }
            Named::ByText => is_text_as_sequence(argument(call, 0)),
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

/// Whether a node is a constant text that is cast to `regclass`.
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
        (*call).funcid.to_u32() == pg_sys::F_REGCLASS && constant(text).is_some()
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
