//! The clock that leads a key.

/// Nanoseconds since 1970-01-01 00:00:00 UTC by the precise real-time clock, or 0 should it not be readable
/// or stand before 1970: a generator then goes on from its last key.
#[inline]
pub(super) fn unix_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for a write of a timespec. It stays 0 if the call fails.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
