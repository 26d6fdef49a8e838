//! The clock that leads a key.

use keyspace::keys::{Reading, Tick};

/// Seconds and nanoseconds since 1970 of the precise real-time clock. 1970, should the clock not be readable or stand
/// before: a generator then goes on from its last key.
#[inline]
fn read() -> (u64, u32) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for a write of a timespec, which stays 0 if the call fails.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    match (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
        (Ok(seconds), Ok(nanos)) => (seconds, nanos),
        _ => (0, 0),
    }
}

/// The clock's tick.
#[inline]
pub(super) fn now() -> Tick {
    let (seconds, nanos) = read();
    Tick::from_unix_time(seconds, nanos)
}

/// The clock's nanosecond.
#[inline]
pub(super) fn nanosecond() -> Reading {
    let (seconds, nanos) = read();
    Reading::from_unix_time(seconds, nanos)
}
