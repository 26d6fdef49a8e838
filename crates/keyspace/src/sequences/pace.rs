//! How fast other nodes use ids, from their states at different times.

use super::class::Class;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// The shortest time between two states that shows how fast a node draws.
const SHORTEST: i64 = SECOND;

/// A sequence of another node, as one of its states describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The class of the node at that time.
    pub class: Option<Class>,
    /// When the state was taken, by the clock of that node, in microseconds since 1970.
    pub taken_at: i64,
    /// The next value of the sequence.
    pub position: i64,
    /// Where the last set-up there restarted it.
    pub restart: Option<i64>,
}

/// What is remembered of a sequence of another node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The class of the node in its last state.
    pub class: Option<Class>,
    /// When that state was taken, by the clock of that node.
    pub taken_at: i64,
    /// When this node first got that state, by its own clock.
    pub seen_at: i64,
    /// The next value in that state.
    pub position: i64,
    /// How many ids the node used in a second, if two states have shown it.
    pub rate: Option<f64>,
}

impl Pace {
    /// The pace after one more state, which this node got at `seen_at`. `earlier` is what the
    /// states before it showed.
    pub fn after(earlier: Option<Self>, now: Observation, seen_at: i64) -> Self {
        let mut rate = None;
        if let Some(earlier) = earlier {
            let elapsed = now.taken_at.saturating_sub(earlier.taken_at);
            // An older state, or one too close to the last one, shows nothing new; but a class that was
            // given or taken in between does count.
            if elapsed < 0 || (elapsed < SHORTEST && earlier.class == now.class) {
                return earlier;
            }
            rate = earlier.rate;
            if !earlier.was_moved(now) {
                let used = i128::from(now.position) - i128::from(earlier.position);
                rate = Some(used.unsigned_abs() as f64 * SECOND as f64 / elapsed as f64);
            }
        }
        Self { class: now.class, taken_at: now.taken_at, seen_at, position: now.position, rate }
    }

    /// Whether a set-up has moved the sequence since, so that its position does not show how
    /// much was drawn.
    fn was_moved(self, now: Observation) -> bool {
        let (low, high) = (self.position.min(now.position), self.position.max(now.position));
        self.class != now.class
            || now.restart.is_some_and(|restart| restart != self.position && (low..=high).contains(&restart))
    }

    /// How many ids the node has used since a state, at its rate; `None` if that is not known.
    pub fn used_since(self, state: Observation, now: i64) -> Option<i64> {
        let used = self.rate? * self.age(state.taken_at, now) as f64 / SECOND as f64;
        // A conversion from floating point ends at the limits of the type.
        Some(used.ceil() as i64)
    }

    /// How long ago a state was taken: never less than 0, and if the other node's clock is known to
    /// be ahead, by that much longer.
    fn age(self, taken_at: i64, now: i64) -> i64 {
        let ahead = self.taken_at.saturating_sub(self.seen_at).max(0);
        now.saturating_sub(taken_at).saturating_add(ahead).max(0)
    }
}

/// Reads a time as `interleaved_node_state()` writes it, `2026-01-31T12:00:00.000000Z`, as
/// microseconds since 1970.
pub fn moment(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let numbers = |text: &str, separators: &[char]| -> Option<Vec<i64>> {
        text.split(separators)
            .map(|part| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?)
            .collect()
    };
    let [year, month, day] = numbers(date, &['-'])?.try_into().ok()?;
    let [hour, minute, second, micros] = numbers(time, &[':', '.'])?.try_into().ok()?;
    let is_valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second)
        && (0..SECOND).contains(&micros);
    // Years begin in March, so that a leap day is the last day of a year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    is_valid.then(|| (((days * 24 + hour) * 60 + minute) * 60 + second) * SECOND + micros)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn at(seconds: i64, position: i64) -> Observation {
        Observation { class: None, taken_at: seconds * SECOND, position, restart: None }
    }

    #[test]
    fn fault_b16_two_states_show_how_many_ids_a_node_uses() {
        let first = Pace::after(None, at(100, 1_000), 100 * SECOND);
        assert_eq!(first.used_since(at(100, 1_000), 160 * SECOND), None);
        let second = Pace::after(Some(first), at(110, 1_500), 110 * SECOND);
        assert_eq!(second.rate, Some(50.0));
        assert_eq!(second.used_since(at(110, 1_500), 170 * SECOND), Some(3_000));
        // The same state again, an older one, and one at nearly the same time.
        for again in [at(110, 1_500), at(105, 1_200), at(110, 9_000)] {
            assert_eq!(Pace::after(Some(second), again, 500 * SECOND), second);
        }
        let down = Pace::after(Some(Pace::after(None, at(100, -10), 0)), at(101, -30), 0);
        assert_eq!(down.rate, Some(20.0));
    }

    #[test]
    fn fault_b16_a_set_up_of_the_peer_is_no_draw() {
        let first = Pace::after(None, at(100, 1_000), 0);
        let second = Pace::after(Some(first), at(110, 1_100), 0);
        let moved = Observation { restart: Some(900_001), ..at(120, 900_101) };
        assert_eq!(Pace::after(Some(second), moved, 0).rate, Some(10.0), "the rate before");
        let class = Class::new(1, 2).ok();
        assert_eq!(Pace::after(Some(second), Observation { class, ..at(120, 900_101) }, 0).rate, Some(10.0));
        let earlier = Observation { restart: Some(7), ..at(120, 1_300) };
        assert_eq!(Pace::after(Some(second), earlier, 0).rate, Some(20.0));
    }

    #[test]
    fn a_class_that_is_given_shortly_after_the_last_state_is_remembered() {
        let shortly_after =
            |observation: Observation| Observation { taken_at: 110 * SECOND + 1, ..observation };
        let first = Pace::after(None, at(100, 1_000), 0);
        let second = Pace::after(Some(first), at(110, 1_100), 0);
        let class = Class::new(1, 2).ok();
        let set_up = shortly_after(Observation { class, ..at(110, 1_201) });
        let third = Pace::after(Some(second), set_up, 0);
        assert_eq!((third.class, third.position, third.rate), (class, 1_201, Some(10.0)));
        // The next rate is that since then.
        let later = Observation { class, ..at(120, 1_301) };
        assert_eq!(Pace::after(Some(third), later, 0).rate.map(f64::round), Some(10.0));
        // A state from before does not take the class back.
        assert_eq!(Pace::after(Some(third), at(110, 1_100), 0), third);
    }

    #[test]
    fn fault_b16_clocks_that_are_apart_do_not_make_an_age_negative() {
        let pace = Pace { rate: Some(1.0), ..Pace::after(None, at(100, 1), 100 * SECOND) };
        assert_eq!(pace.used_since(at(100, 1), 40 * SECOND), Some(0));
        // The state came a minute before it was taken, so that clock is at least a minute ahead.
        let ahead = Pace { rate: Some(1.0), ..Pace::after(None, at(100, 1), 40 * SECOND) };
        assert_eq!(ahead.used_since(at(100, 1), 50 * SECOND), Some(10));
        let fast = Pace { rate: Some(f64::MAX), ..pace };
        assert_eq!(fast.used_since(at(0, 1), i64::MAX), Some(i64::MAX));
    }

    #[test]
    fn a_time_is_read_as_it_is_written() {
        assert_eq!(moment("1970-01-01T00:00:00.000000Z"), Some(0));
        assert_eq!(moment("2000-02-29T23:59:59.000001Z"), Some(951_868_799_000_001));
        assert_eq!(moment("2026-11-29T17:42:45.250000Z"), Some(1_795_974_165_250_000));
        for text in ["now", "", "2026-11-29", "2026-13-29T17:42:45.000000Z", "2026-11-29T17:42:45Z"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
