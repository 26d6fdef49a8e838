//! Random keys that strictly increase whatever the clock does.

use std::marker::PhantomData;

use rand::Rng;

use super::instant::Tick;
use super::layout::Layout;

/// A step is at least 1 and at most 2^40, so that the key after a known one cannot be guessed in
/// practice, while a tick still has room for millions of keys.
const STEP_BITS: u32 = 40;

/// Generates random keys of one type, each greater than the one before.
///
/// While the clock advances, a key has the clock's tick and a fresh random tail. If the clock
/// stands still or goes back, the key keeps the last tick and its tail grows by a random step (the
/// ULID specification adds 1). If the tail has no room left, the key moves to the next tick, with a
/// fresh tail. Otherwise the key never runs ahead of the clock.
#[derive(Clone, Debug)]
pub struct Generator<L: Layout> {
    tick: Tick,
    tail: u128,
    spare: Spare,
    layout: PhantomData<L>,
}

impl<L: Layout> Default for Generator<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Layout> Generator<L> {
    /// A generator that has not generated a key yet.
    pub const fn new() -> Self {
        // A full tail makes the first key take a fresh one, even if the clock shows 1970.
        Self { tick: Tick::MIN, tail: L::TAIL_MAX, spare: Spare::NONE, layout: PhantomData }
    }

    /// The next key, with the clock at `now`.
    ///
    /// It cannot fail. Past the last tail of the last tick it would start over in that tick, which
    /// no clock below [`Tick::CLOCK_END`] shows.
    #[inline]
    pub fn next(&mut self, now: Tick, rng: &mut impl Rng) -> L::Key {
        let word = rng.next_u64();
        let more = if L::TAIL_BITS > u64::BITS { self.spare.four_bits(rng) } else { 0 };
        // If keys are generated at the speed of the clock's ticks, a branch on whether the clock
        // has advanced cannot be predicted. Both tails are therefore computed, without a branch.
        let fresh = L::tail_of(word, more);
        let stepped = self.tail + u128::from(word >> (u64::BITS - STEP_BITS)) + 1;
        self.tail = if now > self.tick { fresh } else { stepped };
        self.tick = self.tick.max(now);
        if self.tail > L::TAIL_MAX {
            self.move_on(rng);
        }
        L::pack(self.tick, self.tail)
    }

    /// Advances without the clock.
    #[cold]
    fn move_on(&mut self, rng: &mut impl Rng) {
        self.tick = self.tick.next().unwrap_or(Tick::MAX);
        self.tail = L::random_tail(rng);
    }
}

/// A word of random bits, which are used up four at a time.
#[derive(Clone, Debug)]
struct Spare {
    bits: u64,
    left: u32,
}

impl Spare {
    const NONE: Self = Self { bits: 0, left: 0 };

    #[inline]
    fn four_bits(&mut self, rng: &mut impl Rng) -> u64 {
        if self.left == 0 {
            *self = Self { bits: rng.next_u64(), left: u64::BITS };
        }
        let bits = self.bits & 0xf;
        self.bits >>= 4;
        self.left -= 4;
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::layout::{UlidLayout, UuidV7Layout};
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(7)
    }

    /// A clock this many nanoseconds after an instant in 2023.
    fn at(nanos: i64) -> Tick {
        let nanos = (1_700_000_000_000_000_000 + nanos).unsigned_abs();
        Tick::from_unix_time(nanos / 1_000_000_000, (nanos % 1_000_000_000) as u32)
    }

    #[test]
    fn trap_k02_a_clock_that_stands_still_or_goes_back_keeps_the_tick() {
        let (mut keys, mut rng) = (Generator::<UuidV7Layout>::new(), rng());
        let now = at(0);
        let mut last = keys.next(now, &mut rng);
        for back in 0..10_000 {
            let key = keys.next(at(-back), &mut rng);
            assert!(key > last, "{key} after {last}");
            assert_eq!(UuidV7Layout::unpack(key).map(|(tick, _)| tick), Some(now));
            last = key;
        }
    }

    #[test]
    fn trap_k02_a_key_never_runs_ahead_of_a_clock_that_moves_on() {
        let (mut keys, mut rng) = (Generator::<UlidLayout>::new(), rng());
        for n in 0..100_000 {
            let now = at(n * 50);
            assert_eq!(UlidLayout::unpack(keys.next(now, &mut rng)).map(|(tick, _)| tick), Some(now));
        }
    }

    fn full_tail_moves_on<L: Layout<Key: PartialOrd + std::fmt::Debug>>() {
        let now = at(0);
        let mut keys = Generator::<L> { tick: now, tail: L::TAIL_MAX, ..Generator::new() };
        let before = L::pack(keys.tick, keys.tail);
        let key = keys.next(now, &mut rng());
        assert!(key > before);
        assert_eq!(Some(keys.tick), now.next());
        assert_ne!(keys.tail, 0, "the tail is fresh");
    }

    #[test]
    fn trap_k08_a_full_tail_moves_one_tick_on() {
        full_tail_moves_on::<UuidV7Layout>();
        full_tail_moves_on::<UlidLayout>();
    }

    /// Keys of two sessions in the same tick can then differ in every bit.
    #[test]
    fn every_bit_of_a_fresh_tail_is_random() {
        fn differing<L: Layout>() -> u128 {
            let (mut keys, mut rng) = (Generator::<L>::new(), rng());
            let tails: Vec<u128> = (1..200)
                .filter_map(|n| L::unpack(keys.next(at(n * 1_000), &mut rng)).map(|(_, tail)| tail))
                .collect();
            let (ones, zeroes) =
                tails.iter().fold((0, 0), |(ones, zeroes), tail| (ones | tail, zeroes | !tail));
            ones & zeroes
        }
        assert_eq!(differing::<UuidV7Layout>(), UuidV7Layout::TAIL_MAX);
        assert_eq!(differing::<UlidLayout>(), UlidLayout::TAIL_MAX);
    }

    /// A session can start while the clock is at 1970, or before.
    #[test]
    fn the_first_tail_is_fresh_whatever_the_clock_shows() {
        let tails: Vec<u128> = (0..100)
            .filter_map(|seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                UuidV7Layout::unpack(Generator::<UuidV7Layout>::new().next(Tick::MIN, &mut rng))
            })
            .map(|(_, tail)| tail)
            .collect();
        assert!(tails.iter().any(|tail| *tail > UuidV7Layout::TAIL_MAX / 2));
    }

    #[test]
    fn trap_k08_the_end_of_time_does_not_panic() {
        let mut keys =
            Generator::<UlidLayout> { tick: Tick::MAX, tail: UlidLayout::TAIL_MAX, ..Generator::new() };
        assert_eq!(UlidLayout::unpack(keys.next(Tick::MAX, &mut rng())).map(|(t, _)| t), Some(Tick::MAX));
    }
}
