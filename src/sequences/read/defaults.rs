//! How a column's default draws from a sequence, and which functions an expression calls.

use std::ffi::CStr;

use keyspace::sequences::Draw;
use keyspace::sequences::discovery::{self, ByName, Constant, constants, functions};
use pgrx::pg_sys;

use crate::encoding::from_server;
use crate::server::extension::Extension;

/// Functions that take a sequence and hand out nothing new.
const LOOKS: [u32; 4] = [
    pg_sys::F_CURRVAL,
    pg_sys::F_SETVAL_REGCLASS_INT8,
    pg_sys::F_SETVAL_REGCLASS_INT8_BOOL,
    pg_sys::F_PG_SEQUENCE_LAST_VALUE,
];
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

/// Reads expressions in the form of `pg_attrdef.adbin`.
#[derive(Clone, Copy)]
pub(crate) struct Defaults {
    /// The extension of `partitioned_nextval`.
    extension: Extension,
}

impl Defaults {
    pub(crate) const fn new(extension: Extension) -> Self {
        Self { extension }
    }

    /// How the default `expression` draws from a sequence.
    pub(crate) fn draw(self, expression: &[u8], sequence: ByName) -> Draw {
        discovery::draw(expression, sequence, |function| self.is_partitioned_nextval(function.into()))
    }

    /// What an expression does with a constant in it.
    pub(crate) fn role(self, constant: &Constant) -> Role {
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
    pub(crate) fn role_of(self, expression: &[u8], sequence: pg_sys::Oid) -> Role {
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
    pub(crate) fn function_of_users(self, expression: &[u8]) -> Option<pg_sys::Oid> {
        let is_of_users = |function: &u32| {
            *function >= pg_sys::FirstNormalObjectId && !self.is_partitioned_nextval((*function).into())
        };
        functions(expression).into_iter().find(is_of_users).map(pg_sys::Oid::from)
    }

    fn is_partitioned_nextval(self, function: pg_sys::Oid) -> bool {
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
