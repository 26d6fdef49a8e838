//! The clock that leads a key.

use keyspace::keys::Tick;

/// The tick of the precise real-time clock. The first tick of all, should the clock not be readable or stand before
/// 1970: a generator then goes on from its last key.
#[inline]
pub(super) fn now() -> Tick {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for a write of a timespec, which stays 0 if the call fails.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    match (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
        (Ok(seconds), Ok(nanos)) => Tick::from_unix_time(seconds, nanos),
        _ => Tick::MIN,
    }
}
