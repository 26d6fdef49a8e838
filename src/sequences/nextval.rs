//! `partitioned_nextval`: the next value of a sequence that belongs to this node.

use keyspace::sequences::Class;
use keyspace::{Error, SqlState};
use pgrx::{check_for_interrupts, pg_extern, pg_sys};

use super::{identity, stored};
use crate::error::or_raise;

unsafe extern "C-unwind" {
    /// Of commands/sequence.h: what core's `nextval(regclass)` is made of.
    fn nextval_internal(relid: pg_sys::Oid, check_permissions: bool) -> i64;
}

/// The next value of `sequence` that belongs to this database's node.
///
/// On a sequence that `setup_interleaved_sequences` has set up it costs what `nextval` costs. On any
/// other it draws until the class matches, so it is correct on an untouched sequence, too, and after
/// a restore, a `setval` or `TRUNCATE ... RESTART IDENTITY`. `currval` and `lastval` give the same value.
///
/// # Errors
/// 22004 for NULL, 55000 where the database has no node or where the sequence never comes to the
/// class, and whatever core's `nextval` raises.
#[pg_extern(sql = false)]
fn partitioned_nextval(sequence: Option<pg_sys::Oid>, fcinfo: pg_sys::FunctionCallInfo) -> i64 {
    let sequence = or_raise(sequence.ok_or_else(|| null("sequence")));
    // The first draw comes before the class is read: its lock takes in invalidations, so that a
    // session that was open before a change of the node follows it.
    let value = nextval(sequence);
    // SAFETY: called by the function manager, which fills in flinfo.
    let function = unsafe { (*(*fcinfo).flinfo).fn_oid };
    let class = or_raise(identity::class(function));
    if class.contains(value) {
        return value;
    }
    or_raise(draw_on(sequence, class, value))
}

/// The next value of `sequence` that belongs to `node` of `nodes`, whatever this database's node is.
///
/// # Errors
/// As the form without a node, and 22023 where `node` of `nodes` is no class.
#[pg_extern(sql = false)]
fn partitioned_nextval_of_node(sequence: Option<pg_sys::Oid>, node: Option<i32>, nodes: Option<i32>) -> i64 {
    let sequence = or_raise(sequence.ok_or_else(|| null("sequence")));
    let node = or_raise(node.ok_or_else(|| null("node")));
    let nodes = or_raise(nodes.ok_or_else(|| null("nodes")));
    let class = or_raise(Class::new(node, nodes));
    let value = nextval(sequence);
    if class.contains(value) {
        return value;
    }
    or_raise(draw_on(sequence, class, value))
}

/// An argument that must not be NULL is.
pub(super) fn null(argument: &str) -> Error {
    Error::new(SqlState::NullValueNotAllowed, format!("{argument} must not be null"))
}

/// Core's `nextval`, with its privilege checks.
#[inline]
fn nextval(sequence: pg_sys::Oid) -> i64 {
    // SAFETY: nextval_internal checks that the OID is that of a sequence; the guard turns its errors
    // into Rust's unwinding.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| nextval_internal(sequence, true)) }
}

/// Draws until a value of the class comes. Beside other sessions no number of draws is enough for
/// sure, but whether the class can be reached at all is known from each value by arithmetic.
fn draw_on(sequence: pg_sys::Oid, class: Class, mut value: i64) -> Result<i64, Error> {
    loop {
        // Where the sequence was dropped under us, the next draw says so. It may be altered between two
        // draws, and its definition comes from a cache.
        if let Some(definition) = stored::definition(sequence)
            && !class.is_ahead(value, &definition.progression)
        {
            return Err(unreachable_class(sequence, class, value, definition.progression.increment));
        }
        check_for_interrupts!();
        value = nextval(sequence);
        if class.contains(value) {
            return Ok(value);
        }
    }
}

#[cold]
fn unreachable_class(sequence: pg_sys::Oid, class: Class, value: i64, increment: i64) -> Error {
    let name = super::catalog::relation_name(sequence);
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("sequence {name} never comes to the values of node {} of {}", class.node(), class.nodes()),
    )
    .detail(format!("It gave {value}, and steps by {increment}."))
    .hint("Run setup_interleaved_sequences(), which brings a sequence into the class of its node.")
}
