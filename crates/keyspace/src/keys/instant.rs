//! Instants as integers: Unix microseconds, PostgreSQL's microseconds, and the ticks that lead
//! keys.

use super::instant_text::UtcText;
use crate::{Error, SqlState};

/// Microseconds from 1970-01-01 to 2000-01-01, the epoch of PostgreSQL's timestamps.
const POSTGRES_EPOCH_IN_UNIX_MICROS: i64 = 946_684_800_000_000;

/// Bits of the sub-millisecond fraction.
const FRACTION_BITS: u32 = 12;
/// Steps of the fraction in one millisecond.
const STEPS_PER_MS: u64 = 1 << FRACTION_BITS;
const MICROS_PER_MS: u64 = 1_000;
const NANOS_PER_MS: u64 = 1_000_000;
const MS_PER_SECOND: u64 = 1_000;
/// The largest number of milliseconds that 48 bits hold.
const MAX_MS: u64 = (1 << 48) - 1;

/// An instant that a key can hold: microseconds since 1970-01-01 00:00:00 UTC, from 0 to the last
/// microsecond of millisecond 2^48 - 1, in the year 10889.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// 1970-01-01 00:00:00 UTC.
    pub const MIN: Self = Self(0);
    /// 10889-08-02 05:31:50.655999 UTC.
    pub const MAX: Self = Self(MAX_MS * MICROS_PER_MS + MICROS_PER_MS - 1);

    /// The instant of a `timestamptz`: microseconds since 2000-01-01 00:00:00 UTC, of which the
    /// smallest and the largest `i64` are minus and plus infinity. `None` if it is before 1970,
    /// beyond 48 bits of milliseconds, or infinite.
    #[inline]
    pub const fn of_postgres_micros(micros: i64) -> Option<Self> {
        // A sum below 0, by overflow or not, is greater than any instant as an unsigned number.
        let unix = micros.wrapping_add(POSTGRES_EPOCH_IN_UNIX_MICROS).cast_unsigned();
        if unix <= Self::MAX.0 { Some(Self(unix)) } else { None }
    }

    /// The same, with an error if no key can hold the instant.
    ///
    /// # Errors
    /// 22008 if the instant is before 1970, beyond 48 bits of milliseconds, or infinite.
    #[inline]
    pub fn from_postgres_micros(micros: i64) -> Result<Self, Error> {
        Self::of_postgres_micros(micros).ok_or_else(|| out_of_range(micros))
    }

    /// The instant this many microseconds after 1970-01-01 00:00:00 UTC, if a key can hold it.
    pub const fn from_unix_micros(micros: i64) -> Option<Self> {
        if micros >= 0 && micros.unsigned_abs() <= Self::MAX.0 {
            Some(Self(micros.unsigned_abs()))
        } else {
            None
        }
    }

    /// Microseconds since 1970-01-01 00:00:00 UTC.
    #[inline]
    pub const fn unix_micros(self) -> u64 {
        self.0
    }

    /// Microseconds since 2000-01-01 00:00:00 UTC, as a `timestamptz` counts.
    #[inline]
    pub const fn postgres_micros(self) -> i64 {
        // At most 2^48 * 1000, far below the range of i64.
        self.0.cast_signed() - POSTGRES_EPOCH_IN_UNIX_MICROS
    }
}

/// The error for a clock that shows the second `end` since 1970 or a later one.
#[cold]
pub fn clock_out_of_range(seconds: u64, end: u64) -> Error {
    let text = |seconds: u64| {
        let micros = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        UtcText(micros.saturating_sub(POSTGRES_EPOCH_IN_UNIX_MICROS)).to_string()
    };
    Error::new(SqlState::DatetimeFieldOverflow, format!("clock out of range: \"{}\"", text(seconds)))
        .detail(format!("Keys of this type can be generated until \"{}\".", text(end)))
}

#[cold]
fn out_of_range(micros: i64) -> Error {
    Error::new(SqlState::DatetimeFieldOverflow, format!("timestamp out of range: \"{}\"", UtcText(micros)))
        .detail(format!(
            "A key can hold timestamps from \"{}\" to \"{}\".",
            UtcText(Instant::MIN.postgres_micros()),
            UtcText(Instant::MAX.postgres_micros())
        ))
}

/// The head of a key: 48 bits of Unix milliseconds and 12 bits of their fraction, so one tick is
/// 1/4096 ms, about 244 ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// The first tick of 1970-01-01 00:00:00 UTC.
    pub const MIN: Self = Self(0);
    /// The last tick that 60 bits hold.
    pub const MAX: Self = Self((1 << (48 + FRACTION_BITS)) - 1);

    /// The second since 1970 in which ticks end, in the year 10889. A clock is not read from then
    /// on.
    pub const CLOCK_END: u64 = MAX_MS / MS_PER_SECOND;

    /// The tick of a clock that shows these seconds, below [`Self::CLOCK_END`], and nanoseconds,
    /// below 1,000,000,000, since 1970. Its fraction is PostgreSQL 18's:
    /// `sub_ms_ns * 4096 / 1_000_000`, rounded down.
    #[inline]
    pub const fn from_unix_time(seconds: u64, nanos: u32) -> Self {
        // These numbers are below 2^32, where a division costs least.
        let sub_second_ms = nanos / NANOS_PER_MS as u32;
        let sub_ms = (nanos - sub_second_ms * NANOS_PER_MS as u32) as u64;
        let ms = seconds.wrapping_mul(MS_PER_SECOND).wrapping_add(sub_second_ms as u64);
        Self::from_bits((ms << FRACTION_BITS) | (sub_ms * STEPS_PER_MS / NANOS_PER_MS))
    }

    /// The distance of a nanosecond of a millisecond from the start of its tick: from 0 to 244.
    #[inline]
    pub(super) const fn place_in_tick(sub_ms_nanos: u64) -> u64 {
        let fraction = sub_ms_nanos * STEPS_PER_MS / NANOS_PER_MS;
        sub_ms_nanos - (fraction * NANOS_PER_MS).div_ceil(STEPS_PER_MS)
    }

    /// The tick of an instant. Its fraction is `floor(us * 4096 / 1000)`, which distinguishes all
    /// 1,000 microseconds of a millisecond.
    #[inline]
    pub const fn from_instant(instant: Instant) -> Self {
        let ms = instant.0 / MICROS_PER_MS;
        let sub_ms = instant.0 - ms * MICROS_PER_MS;
        Self((ms << FRACTION_BITS) | (sub_ms * STEPS_PER_MS / MICROS_PER_MS))
    }

    /// The tick of these 60 bits; higher bits are ignored.
    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::MAX.0)
    }

    /// The 60 bits, milliseconds first.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970.
    #[inline]
    pub const fn unix_ms(self) -> u64 {
        self.0 >> FRACTION_BITS
    }

    /// The instant that this tick was made from or, if no microsecond has this tick, the
    /// microsecond that contains it. So `from_instant(i).instant() == i` for every instant, and a
    /// later tick never gives an earlier instant.
    #[inline]
    pub const fn instant(self) -> Instant {
        let fraction = self.0 & (STEPS_PER_MS - 1);
        let base = self.unix_ms() * MICROS_PER_MS;
        // The first microsecond that starts at or after the tick is the only one that can have this
        // fraction.
        let micros = (fraction * MICROS_PER_MS).div_ceil(STEPS_PER_MS);
        if micros * STEPS_PER_MS / MICROS_PER_MS == fraction {
            Instant(base + micros)
        } else {
            Instant(base + micros - 1)
        }
    }

    /// The instant that this tick was made from; `None` if no microsecond has this tick.
    #[inline]
    pub const fn exact_instant(self) -> Option<Instant> {
        let instant = self.instant();
        if Self::from_instant(instant).0 == self.0 { Some(instant) } else { None }
    }

    /// The tick after this one; `None` after the last one.
    #[inline]
    pub const fn next(self) -> Option<Self> {
        if self.0 < Self::MAX.0 { Some(Self(self.0 + 1)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_out_of_range_is_reported_with_the_last_valid_second() {
        let error = clock_out_of_range(Tick::CLOCK_END, Tick::CLOCK_END);
        assert_eq!(error.sqlstate, SqlState::DatetimeFieldOverflow);
        assert_eq!(error.message, "clock out of range: \"10889-08-02 05:31:50+00\"");
        assert_eq!(
            error.detail.as_deref(),
            Some("Keys of this type can be generated until \"10889-08-02 05:31:50+00\".")
        );
        assert!(clock_out_of_range(u64::MAX, 0).message.starts_with("clock out of range: \""));
        // The last second that is read is in range.
        let last = Tick::from_unix_time(Tick::CLOCK_END - 1, 999_999_999);
        assert!(last < Tick::MAX && last > Tick::from_unix_time(Tick::CLOCK_END - 2, 0));
    }
}
