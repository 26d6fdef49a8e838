//! Random keys of a shifted clock, strictly increasing for every shift that a session uses.

use rand::Rng;

use super::generator::Generator;
use super::instant::Tick;
use super::layout::Layout;

/// The number of shifts that are kept. A further one replaces the one that was new first.
pub const SHIFTS: usize = 8;

/// A generator for each of the last [`SHIFTS`] shifts.
///
/// Shifts are distinguished by the caller's argument, not by how far they move the clock: months
/// and days differ in length, and keys keep increasing if one becomes shorter.
#[derive(Clone, Debug)]
pub struct Shifted<S, L: Layout> {
    generators: [Option<(S, Generator<L>)>; SHIFTS],
    /// The place of the next new shift.
    next: usize,
}

impl<S: PartialEq, L: Layout> Default for Shifted<S, L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: PartialEq, L: Layout> Shifted<S, L> {
    /// A generator that knows no shift yet.
    pub const fn new() -> Self {
        Self { generators: [const { None }; SHIFTS], next: 0 }
    }

    /// The next key of a shift, with the shifted clock at `now`.
    pub fn next(&mut self, shift: S, now: Tick, rng: &mut impl Rng) -> L::Key {
        if let Some((_, generator)) = self.generators.iter_mut().flatten().find(|(known, _)| *known == shift)
        {
            return generator.next(now, rng);
        }
        let mut generator = Generator::new();
        let key = generator.next(now, rng);
        if let Some(place) = self.generators.get_mut(self.next) {
            *place = Some((shift, generator));
        }
        self.next = (self.next + 1) % SHIFTS;
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::layout::UuidV7Layout;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    fn at(micros: u64) -> Tick {
        Tick::from_unix_time(1_700_000_000 + micros / 1_000_000, (micros % 1_000_000) as u32 * 1_000)
    }

    #[test]
    fn trap_k02_shifts_in_turn_and_shifts_that_become_shorter_keep_their_order() {
        let (mut keys, mut rng) = (Shifted::<u64, UuidV7Layout>::new(), ChaCha8Rng::seed_from_u64(5));
        let mut last = [None; SHIFTS];
        for n in 0..10_000 {
            for (shift, last) in last.iter_mut().enumerate() {
                // One of them jumps back an hour halfway, as on a day that is 23 hours long.
                let back = if shift == 3 && n > 5_000 { 3_600_000_000 } else { 0 };
                let now = at(7_200_000_000 + n * 50 + shift as u64 * 60_000_000 - back);
                let key = Some(keys.next(shift as u64, now, &mut rng));
                assert!(*last < key);
                *last = key;
            }
        }
    }

    #[test]
    fn a_further_shift_replaces_another() {
        let (mut keys, mut rng) = (Shifted::<usize, UuidV7Layout>::new(), ChaCha8Rng::seed_from_u64(6));
        for shift in 0..3 * SHIFTS {
            let first = keys.next(shift, at(10), &mut rng);
            assert!(first < keys.next(shift, at(5), &mut rng));
        }
        assert_eq!(keys.generators.iter().flatten().count(), SHIFTS);
    }
}
