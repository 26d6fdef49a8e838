//! Random keys that strictly increase, whatever the clock does.

use std::marker::PhantomData;

use rand::Rng;

use super::instant::Tick;
use super::layout::Layout;

/// A step is at least 1 and at most 2^40, so that the key after a known one cannot be guessed in practice,
/// while a tick still has room for millions of keys.
const STEP_BITS: u32 = 40;

/// Makes random keys of one type, each greater than the one before.
///
/// While the clock moves on, a key has the clock's tick and a fresh random tail. When the clock stands
/// still, or went back, the key keeps the last tick and its tail grows by a random step (the ULID
/// specification adds 1). When the tail has no room left, the key moves one tick on, with a fresh tail.
/// Apart from that it never runs ahead of the clock.
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
    /// A generator that has made no key yet.
    pub const fn new() -> Self {
        // A full tail, so that the first key has a fresh one even where the clock shows 1970.
        Self { tick: Tick::MIN, tail: L::TAIL_MAX, spare: Spare::NONE, layout: PhantomData }
    }

    /// The next key, with the clock at `now`.
    ///
    /// It fails in no case. Past the last tail of the last tick, which no clock shows that is below [`Tick::CLOCK_END`],
    /// it would start over in that tick.
    #[inline]
    pub fn next(&mut self, now: Tick, rng: &mut impl Rng) -> L::Key {
        let word = rng.next_u64();
        let more = if L::TAIL_BITS > u64::BITS { self.spare.four_bits(rng) } else { 0 };
        // Whether the clock has moved on is as good as chance where keys are made at the speed of its ticks, so both
        // tails are made, and neither is jumped over.
        let fresh = L::tail_of(word, more);
        let stepped = self.tail + u128::from(word >> (u64::BITS - STEP_BITS)) + 1;
        self.tail = if now > self.tick { fresh } else { stepped };
        self.tick = self.tick.max(now);
        if self.tail > L::TAIL_MAX {
            self.move_on(rng);
        }
        L::pack(self.tick, self.tail)
    }

    /// Moves on without the clock's help.
    #[cold]
    fn move_on(&mut self, rng: &mut impl Rng) {
        self.tick = self.tick.next().unwrap_or(Tick::MAX);
        self.tail = L::random_tail(rng);
    }
}

/// A word of random bits of which four are used at a time, and are gone then.
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

    /// A clock so many nanoseconds after an instant of 2023.
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

    /// So that keys of two sessions on one tick differ in every bit by chance.
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

    /// As sessions do that start while the clock is at 1970, or before.
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
