//! Bodies of the functions without a guard, for both types of key.
//!
//! Only functions of [`super::call::as_in_c!`] may call them, and the rules stated there apply.

use keyspace::keys::{Instant, Layout, TagKey, Tick, derived};
use pgrx::{pg_guard, pg_sys};

use super::call::{Call, bytes};
use super::salt::tag_key_of_datum;
use super::{generate, shared_word};
use crate::error::or_raise;

/// Returns a key.
///
/// # Safety
/// See the top of this file.
#[inline]
pub(super) unsafe fn result<L: Layout>(key: L::Key) -> pg_sys::Datum {
    // SAFETY: the caller's promise.
    unsafe { bytes(L::to_bytes(key)) }
}

/// Generates a key greater than all keys that any session of this server has generated in this way.
///
/// # Safety
/// See the top of this file.
#[inline]
pub(super) unsafe fn monotonic<L: Layout>() -> pg_sys::Datum {
    // SAFETY: the caller's promise.
    unsafe { result::<L>(generate::server_wide::<L>(shared_word::nanosecond())) }
}

/// A random key of the instant in the first argument.
///
/// # Safety
/// See the top of this file. The argument must be a `timestamptz`.
#[inline]
pub(super) unsafe fn random<L: Layout>(call: Call) -> pg_sys::Datum {
    // SAFETY: the caller's promise.
    unsafe {
        match Instant::of_postgres_micros(call.int8(0)) {
            Some(instant) => result::<L>(generate::random_at::<L>(instant)),
            None => refuse_instant(call.int8(0)),
        }
    }
}

/// The least key of the instant in the first argument.
///
/// # Safety
/// As above.
#[inline]
pub(super) unsafe fn boundary<L: Layout>(call: Call) -> pg_sys::Datum {
    // SAFETY: the caller's promise.
    unsafe {
        match Instant::of_postgres_micros(call.int8(0)) {
            Some(instant) => result::<L>(L::boundary(Tick::from_instant(instant))),
            None => refuse_instant(call.int8(0)),
        }
    }
}

/// The key derived from an instant and an id.
///
/// # Safety
/// See the top of this file. The first two arguments must be a `timestamptz` and a `bigint`.
#[inline]
pub(super) unsafe fn derived<L: Layout>(call: Call, key: &TagKey) -> pg_sys::Datum {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(instant) = Instant::of_postgres_micros(call.int8(0)) else {
            return refuse_instant(call.int8(0));
        };
        match derived::key_of::<L>(instant, call.int8(1), key) {
            Some(key) => result::<L>(key),
            None => refuse_id::<L>(call),
        }
    }
}

/// The same with a salt.
///
/// # Safety
/// As above. The third argument must be a `text`.
#[inline]
pub(super) unsafe fn salted<L: Layout>(call: Call) -> pg_sys::Datum {
    // SAFETY: the caller's promise.
    unsafe { derived::<L>(call, &tag_key_of_datum(call.datum(2))) }
}

/// The instant of a key, to the microsecond; NULL if the key is of another kind.
///
/// # Safety
/// See the top of this file. The argument must have the type of `L`.
#[inline]
pub(super) unsafe fn instant<L: Layout>(call: Call) -> pg_sys::Datum {
    // SAFETY: the caller's promise.
    match L::unpack(L::from_bytes(unsafe { call.key(0) })) {
        // The instant of a key is always within the range of timestamptz.
        Some((tick, _)) => pg_sys::Datum::from(tick.instant().postgres_micros()),
        None => call.null(),
    }
}

/// Raises the error for an instant that no key can hold.
#[cold]
#[inline(never)]
#[pg_guard]
extern "C-unwind" fn refuse_instant(postgres_micros: i64) -> pg_sys::Datum {
    or_raise(Instant::from_postgres_micros(postgres_micros));
    pg_sys::Datum::null()
}

/// Raises the error for an id that no derived key can hold.
///
/// # Safety
/// See the top of this file. The second argument must be a `bigint`.
#[cold]
#[inline(never)]
unsafe fn refuse_id<L: Layout>(call: Call) -> pg_sys::Datum {
    // SAFETY: the same as `#[pg_guard]` would generate; it does not accept generic functions.
    // Nothing here has to be dropped.
    unsafe {
        pgrx::pgrx_extern_c_guard(|| {
            or_raise(derived::encode::<L>(Instant::MIN, call.int8(1), &TagKey::UNSALTED));
            pg_sys::Datum::null()
        })
    }
}
