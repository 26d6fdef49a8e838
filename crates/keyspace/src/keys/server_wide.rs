//! Keys that strictly increase over all sessions of a server.
//!
//! The sessions share one word, the nanosecond since 1970 that was handed out last. A session takes
//! the next one with [`claim`]: the clock's, or the one after the last if the clock stands still or
//! went back. No nanosecond is handed out twice, so the keys need no other state: the head of a key
//! is the tick of its nanosecond, the place of the nanosecond within the tick leads the tail, and
//! the rest of the tail is random.
//!
//! To run ahead of the clock, a server would have to generate more than a key per nanosecond.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;

use super::instant::Tick;
use super::layout::Layout;

/// Bits of the place within a tick, of which there are 244 or 245.
const PLACE_BITS: u32 = 8;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MS: u64 = 1_000_000;

/// Nanoseconds since 1970, up to the year 2554.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reading(u64);

impl Reading {
    /// The first reading, which a clock that cannot be read shows.
    pub const MIN: Self = Self(0);
    /// The last reading, in the year 2554, at which clocks stand still.
    pub const MAX: Self = Self(u64::MAX);
    /// The second since 1970 in which readings end. A clock is not read from then on.
    pub const CLOCK_END: u64 = u64::MAX / NANOS_PER_SECOND;

    /// The reading of a clock that shows these seconds, and nanoseconds below 1,000,000,000, since
    /// 1970.
    #[inline]
    pub const fn from_unix_time(seconds: u64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos as u64))
    }

    /// Nanoseconds since 1970.
    #[inline]
    pub const fn unix_nanos(self) -> u64 {
        self.0
    }

    /// The reading after `self`, with the clock at `now`: the later of the clock and the next
    /// nanosecond.
    #[inline]
    pub const fn after(self, now: Self) -> Self {
        let next = self.0.saturating_add(1);
        if now.0 > next { now } else { Self(next) }
    }

    /// The key of a claimed nanosecond.
    #[inline]
    pub fn key<L: Layout>(self, rng: &mut impl Rng) -> L::Key {
        let tick = Tick::from_unix_time(self.0 / NANOS_PER_SECOND, (self.0 % NANOS_PER_SECOND) as u32);
        let random_bits = L::TAIL_BITS - PLACE_BITS;
        let random = L::random_tail(rng) & ((1 << random_bits) - 1);
        L::pack(tick, u128::from(self.place_in_tick()) << random_bits | random)
    }

    /// How many nanoseconds of its tick come before it.
    #[inline]
    const fn place_in_tick(self) -> u64 {
        Tick::place_in_tick(self.0 % NANOS_PER_MS)
    }
}

/// Takes the next nanosecond from the word that all sessions share, with the clock at `now`: one
/// compare-and-swap, repeated if another session has changed the word in between.
#[inline]
pub fn claim(word: &AtomicU64, now: Reading) -> Reading {
    // The word orders no other memory access.
    let mut last = word.load(Ordering::Relaxed);
    loop {
        let next = Reading(last).after(now);
        match word.compare_exchange_weak(last, next.0, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return next,
            Err(seen) => last = seen,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::keys::layout::{UlidLayout, UuidV7Layout};
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    /// 2023-11-14 22:13:20 UTC.
    const SOME: u64 = 1_700_000_000_000_000_000;

    #[test]
    fn trap_k02_the_word_goes_on_whatever_the_clock_does() {
        for (last, now, next) in [
            (SOME, SOME + 7, SOME + 7),
            (SOME, SOME + 1, SOME + 1),
            (SOME, SOME, SOME + 1),
            (SOME, SOME - 86_400_000_000_000, SOME + 1),
            (SOME, 0, SOME + 1),
            (0, 0, 1),
            (0, SOME, SOME),
            (u64::MAX - 1, SOME, u64::MAX),
            (u64::MAX, SOME, u64::MAX),
        ] {
            assert_eq!(Reading(last).after(Reading(now)), Reading(next), "{last} at {now}");
        }
        assert_eq!(Reading::from_unix_time(u64::MAX, 999_999_999), Reading::MAX);
        assert_eq!(Reading::from_unix_time(1_700_000_000, 5), Reading(SOME + 5));
    }

    #[test]
    fn trap_k02_every_nanosecond_of_a_millisecond_gives_a_greater_key() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let (mut uuid, mut ulid) = (None, None);
        // From the last nanosecond of one millisecond to the first of the next but one.
        for nanos in SOME - 1..=SOME + 1_000_000 {
            let reading = Reading(nanos);
            assert!(reading.place_in_tick() <= 244, "{nanos}");
            let next = Some(reading.key::<UuidV7Layout>(&mut rng));
            assert!(uuid < next, "{nanos}");
            uuid = next;
            let next = Some(reading.key::<UlidLayout>(&mut rng));
            assert!(ulid < next, "{nanos}");
            ulid = next;
        }
    }

    #[test]
    fn the_head_is_that_of_the_keys_of_one_session() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (seconds, nanos) in [(0, 0), (1_700_000_000, 123_456_789), (18_446_744_072, 999_999_999)] {
            let key = Reading::from_unix_time(seconds, nanos).key::<UuidV7Layout>(&mut rng);
            let head = UuidV7Layout::unpack(key).unwrap().0;
            assert_eq!(head, Tick::from_unix_time(seconds, nanos));
            assert_eq!(key.get_version_num(), 7);
        }
    }

    #[test]
    fn the_rest_of_the_tail_is_random() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let reading = Reading(SOME + 17);
        let random_bits = UlidLayout::TAIL_BITS - PLACE_BITS;
        let (mut ones, mut zeroes) = (0, u128::MAX);
        for _ in 0..200 {
            let (_, tail) = UlidLayout::unpack(reading.key::<UlidLayout>(&mut rng)).unwrap();
            let (place, random) = (tail >> random_bits, tail & ((1 << random_bits) - 1));
            assert_eq!(place, 17);
            ones |= random;
            zeroes &= random;
        }
        assert_eq!((ones, zeroes), ((1 << 60) - 1, 0), "every bit of the rest changes");
    }

    #[test]
    fn trap_k02_sessions_at_once_never_take_the_same_and_see_a_common_order() {
        let (word, latest) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut taken: Vec<u64> = std::thread::scope(|scope| {
            let session = |seed: u64| {
                let (word, latest) = (&word, &latest);
                move || {
                    let mut taken = Vec::new();
                    for n in 0..100_000 {
                        // Clocks that disagree, stand still and jump.
                        let now = Reading(SOME + (n / 7) * 3 + seed * 1_000 - (n % 5) * 400);
                        let before = latest.load(Ordering::SeqCst);
                        let claimed = claim(word, now).0;
                        assert!(claimed > before, "{claimed} after {before} was taken");
                        latest.fetch_max(claimed, Ordering::SeqCst);
                        taken.push(claimed);
                    }
                    assert!(taken.windows(2).all(|pair| pair[0] < pair[1]));
                    taken
                }
            };
            let threads: Vec<_> = (0..4).map(|seed| scope.spawn(session(seed))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        taken.sort_unstable();
        assert_eq!(taken.len(), 400_000);
        assert!(taken.windows(2).all(|pair| pair[0] < pair[1]), "one was taken twice");
    }
}
