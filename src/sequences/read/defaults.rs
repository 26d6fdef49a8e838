//! How a column's default draws from a sequence, according to its expression tree.

use std::ffi::CStr;

use keyspace::sequences::Draw;
use pgrx::pg_sys::{self, NodeTag};
use pgrx::{PgMemoryContexts, is_a};

use crate::server::extension::Extension;

/// Casts in a default that do not change the value: to smallint, to integer, to numeric.
const CASTS: [u32; 3] = [pg_sys::F_INT2_INT8, pg_sys::F_INT4_INT8, pg_sys::F_NUMERIC_INT8];

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

    /// How the default `expression`, in the form of `pg_attrdef.adbin`, draws from `sequence`.
    pub(crate) fn draw(&mut self, expression: &CStr, sequence: pg_sys::Oid) -> Draw {
        let extension = self.extension;
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
}

/// # Safety
/// `node` must be an expression tree.
unsafe fn value_drawn(mut node: *mut pg_sys::Node, sequence: pg_sys::Oid, extension: Extension) -> Draw {
    // SAFETY: each node is read as the type that its tag names.
    unsafe {
        while !node.is_null() {
            if is_a(node, NodeTag::T_CoerceToDomain) {
                node = (*node.cast::<pg_sys::CoerceToDomain>()).arg.cast();
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
unsafe fn call_draws(call: *mut pg_sys::FuncExpr, sequence: pg_sys::Oid, extension: Extension) -> Draw {
    // SAFETY: as above. The names are NUL-terminated or null.
    unsafe {
        let drawn = constant(argument(call, 0)).map(|value| value.value() as u32);
        if drawn != Some(sequence.to_u32()) {
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
