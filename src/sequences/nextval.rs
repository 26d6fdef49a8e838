//! `partitioned_nextval`: the next value of a sequence that belongs to this node.
//!
//! A default calls it for every row, so the function manager calls the two functions like C
//! functions, and the code for every call runs without a guard: an error of core's `nextval` jumps
//! over their frames, as over those of C functions. That is sound as long as no value that has to
//! be dropped, and no `catch_unwind`, is alive in them while core is called. Everything else
//! happens behind `#[pg_guard]`.

use std::cell::Cell;

use keyspace::sequences::{Class, Progression};
use keyspace::{Error, SqlState};
use pgrx::{check_for_interrupts, pg_guard, pg_sys};

use crate::error::{or_raise, raise, report};
use crate::sequences::own::identity;
use crate::sequences::read::form;
use crate::server::by_version;
use crate::server::call::null;
use crate::server::extension::Extension;
use crate::server::relation::relation_name;

unsafe extern "C-unwind" {
    /// From commands/sequence.h: the implementation of core's `nextval(regclass)`.
    fn nextval_internal(relid: pg_sys::Oid, check_permissions: bool) -> i64;
}

thread_local! {
    /// The progression of the last sequence that was drawn from; discarded when any sequence is
    /// altered.
    static DEFINITION: Cell<Option<(pg_sys::Oid, Progression)>> = const { Cell::new(None) };
    static CALLBACK_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// The next value of `sequence` that belongs to this database's node.
///
/// On a sequence that `setup_interleaved_sequences` has set up, it costs as much as `nextval`. On
/// any other sequence it draws until the class matches. It is therefore also correct on a sequence
/// that was never set up, and after a restore, a `setval` or `TRUNCATE ... RESTART IDENTITY`.
/// `currval` and `lastval` return the same value.
///
/// Declared as `partitioned_nextval(sequence regclass)`.
///
/// # Errors
/// 22004 for NULL, 55000 if the database has no node or if the sequence never reaches the class,
/// and the errors of core's `nextval`.
///
/// # Safety
/// Only the function manager may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn partitioned_nextval(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: see the top of this file.
    unsafe {
        let Some(sequence) = argument(fcinfo, 0) else { return refuse_null(c"sequence".as_ptr()) };
        let sequence = pg_sys::Oid::from(sequence.value() as u32);
        // The first draw comes before the class is read. Its lock takes in invalidations, so that a
        // session that was open before a change of the node follows the change (trap S42).
        let value = nextval_internal(sequence, true);
        let class = match identity::cached() {
            Some(class) => class,
            None => unpack(class_of_node(fcinfo)),
        };
        draw_to_class(sequence, class, value)
    }
}

/// The next value of `sequence` that belongs to `node` of `nodes`, whatever this database's node
/// is.
///
/// Declared as `partitioned_nextval(sequence regclass, node integer, nodes integer)`.
///
/// # Errors
/// As for the form without a node, and 22023 if `node` of `nodes` is not a class.
///
/// # Safety
/// Only the function manager may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn partitioned_nextval_of_node(
    fcinfo: pg_sys::FunctionCallInfo,
) -> pg_sys::Datum {
    // SAFETY: see the top of this file.
    unsafe {
        let Some(sequence) = argument(fcinfo, 0) else { return refuse_null(c"sequence".as_ptr()) };
        let Some(node) = argument(fcinfo, 1) else { return refuse_null(c"node".as_ptr()) };
        let Some(nodes) = argument(fcinfo, 2) else { return refuse_null(c"nodes".as_ptr()) };
        let sequence = pg_sys::Oid::from(sequence.value() as u32);
        let class = unpack(class_of(node.value() as i32, nodes.value() as i32));
        draw_to_class(sequence, class, nextval_internal(sequence, true))
    }
}

/// Draws until a value of the class comes. While other sessions draw, too, no number of draws is
/// certain to be enough, but arithmetic shows for each value whether the class can still be reached
/// (trap S41).
///
/// # Safety
/// As for the functions above.
#[inline]
unsafe fn draw_to_class(sequence: pg_sys::Oid, class: Class, mut value: i64) -> pg_sys::Datum {
    // SAFETY: see the top of this file. The flag is set by signal handlers of this process.
    unsafe {
        while !class.contains(value) {
            let is_ahead = match DEFINITION.get() {
                Some((known, progression)) if known == sequence => class.is_ahead(value, &progression),
                _ => false,
            };
            if !is_ahead || (&raw const pg_sys::InterruptPending).read_volatile() != 0 {
                look_ahead(sequence, class.node(), class.nodes(), value);
            }
            // The first draw has checked the caller's privileges.
            value = nextval_internal(sequence, false);
        }
    }
    pg_sys::Datum::from(value)
}

/// Looks up the definition of a sequence, and refuses it if it never reaches the class.
#[cold]
#[pg_guard]
extern "C-unwind" fn look_ahead(sequence: pg_sys::Oid, node: i32, nodes: i32, value: i64) {
    check_for_interrupts!();
    if !CALLBACK_REGISTERED.replace(true) {
        // SAFETY: the callback stays valid, since libraries are never unloaded.
        unsafe {
            pg_sys::CacheRegisterSyscacheCallback(
                by_version::cache::SEQRELID,
                Some(definition_changed),
                pg_sys::Datum::null(),
            );
        }
    }
    let class = or_raise(Class::new(node, nodes));
    // If the sequence was dropped meanwhile, the next draw raises the error.
    let Some(definition) = form::definition(sequence) else { return };
    if !class.is_ahead(value, &definition.progression) {
        raise(report(unreachable_class(sequence, class, value, definition.progression.increment)));
    }
    DEFINITION.set(Some((sequence, definition.progression)));
}

/// Called when the definition of a sequence has changed.
#[pg_guard]
unsafe extern "C-unwind" fn definition_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    DEFINITION.set(None);
}

/// The class of this database's node, packed.
#[pg_guard]
extern "C-unwind" fn class_of_node(fcinfo: pg_sys::FunctionCallInfo) -> u64 {
    pack(or_raise(Extension::of_call(fcinfo).and_then(identity::class_to_draw)))
}

/// The class of `node` of `nodes`, packed.
#[inline]
fn class_of(node: i32, nodes: i32) -> u64 {
    // No error is created here: while another function raises one, nothing would drop it.
    if Class::is_one(node, nodes) {
        pack(Class::new_unchecked(node, nodes))
    } else {
        refuse_class(node, nodes)
    }
}

#[cold]
#[pg_guard]
extern "C-unwind" fn refuse_class(node: i32, nodes: i32) -> u64 {
    pack(or_raise(Class::new(node, nodes)))
}

#[cold]
#[pg_guard]
extern "C-unwind" fn refuse_null(argument: *const std::ffi::c_char) -> pg_sys::Datum {
    // SAFETY: one of our literals.
    let argument = unsafe { std::ffi::CStr::from_ptr(argument) };
    raise(report(null(&argument.to_string_lossy())))
}

/// A class in a form that can pass through a guarded function.
#[inline]
fn pack(class: Class) -> u64 {
    u64::from(class.node().unsigned_abs()) << 32 | u64::from(class.nodes().unsigned_abs())
}

/// The class that [`pack`] has packed.
#[inline]
fn unpack(packed: u64) -> Class {
    Class::new_unchecked((packed >> 32) as i32, packed as i32)
}

/// An argument of the call; `None` if it is NULL.
///
/// # Safety
/// `fcinfo` must come from the function manager.
#[inline]
unsafe fn argument(fcinfo: pg_sys::FunctionCallInfo, at: usize) -> Option<pg_sys::Datum> {
    // SAFETY: the function is declared with more than `at` arguments.
    let argument = unsafe { &*(*fcinfo).args.as_ptr().add(at) };
    (!argument.isnull).then_some(argument.value)
}

#[cold]
fn unreachable_class(sequence: pg_sys::Oid, class: Class, value: i64, increment: i64) -> Error {
    let name = relation_name(sequence);
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("sequence {name} never reaches the values of node {} of {}", class.node(), class.nodes()),
    )
    .detail(format!("Its last value is {value}, and its increment is {increment}."))
    .hint("Run setup_interleaved_sequences() to move the sequence into the class of its node.")
}

crate::fmgr::version_1!(partitioned_nextval, partitioned_nextval_of_node);
