//! The clock from which keys take their time.

use keyspace::keys::{Reading, Tick, clock_out_of_range};
use pgrx::pg_guard;

use crate::error::{raise, report};

/// Seconds and nanoseconds since 1970 of the precise real-time clock. If the clock cannot be read
/// or is before 1970, returns 0, and the generator continues from its last key. From the second
/// `end` on, raises an error, without a guard (see `call.rs`).
#[inline]
fn read(end: u64) -> (u64, u32) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for a write of a timespec, which stays 0 if the call fails.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    match (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
        (Ok(seconds), Ok(nanos)) => {
            if seconds >= end {
                refuse(seconds, end);
            }
            (seconds, nanos)
        }
        _ => (0, 0),
    }
}

#[cold]
#[inline(never)]
#[pg_guard]
extern "C-unwind" fn refuse(seconds: u64, end: u64) {
    raise(report(clock_out_of_range(seconds, end)));
}

/// The current tick.
#[inline]
pub(super) fn now() -> Tick {
    let (seconds, nanos) = read(Tick::CLOCK_END);
    Tick::from_unix_time(seconds, nanos)
}

/// The current nanosecond.
#[inline]
pub(super) fn nanosecond() -> Reading {
    let (seconds, nanos) = read(Reading::CLOCK_END);
    Reading::from_unix_time(seconds, nanos)
}
