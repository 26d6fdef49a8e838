//! Instants between PostgreSQL and the pure crate.

use keyspace::keys::{Instant, Tick};
use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::clock;
use crate::error::{or_raise, raise, report};

const NANOS_PER_MICRO: u64 = 1_000;
const MICROS_PER_SECOND: u64 = 1_000_000;

/// The instant of a `timestamptz`.
#[inline]
pub(super) fn instant(ts: TimestampWithTimeZone) -> Instant {
    or_raise(Instant::from_postgres_micros(ts.into()))
}

/// What a clock is shifted by, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    months: i32,
    days: i32,
    micros: i64,
    /// Where the months and days are those of a time zone, which. Its address: a zone stays once it is loaded.
    zone: usize,
}

impl Shift {
    fn of(interval: &Interval) -> Self {
        let (months, days, micros) = (interval.months(), interval.days(), interval.micros());
        // SAFETY: reads a variable of this backend.
        let zone = if months == 0 && days == 0 { 0 } else { unsafe { pg_sys::session_timezone as usize } };
        Self { months, days, micros, zone }
    }
}

/// The shift of an interval, and the clock so shifted, as PostgreSQL adds an interval to a `timestamptz`.
pub(super) fn shifted_now(interval: Interval) -> (Shift, Tick) {
    let now = clock::nanosecond().unix_nanos();
    let shift = Shift::of(&interval);
    let micros = (now / NANOS_PER_MICRO).cast_signed();
    let shifted = Instant::from_unix_micros(micros).unwrap_or(Instant::MIN);
    // SAFETY: timestamptz_pl_interval takes a timestamptz and an interval and returns a timestamptz.
    let shifted: Option<TimestampWithTimeZone> = unsafe {
        pgrx::direct_function_call(
            pg_sys::timestamptz_pl_interval,
            &[shifted.postgres_micros().into_datum(), interval.into_datum()],
        )
    };
    let micros = shifted.map_or(Instant::MIN, instant).unix_micros();
    // The shift is one of whole microseconds, so what the clock shows below them stays.
    let sub_second = micros % MICROS_PER_SECOND * NANOS_PER_MICRO + now % NANOS_PER_MICRO;
    (shift, Tick::from_unix_time(micros / MICROS_PER_SECOND, sub_second as u32))
}

/// What the forms for `timestamp` and `date` call. A `timestamp` is cast to `timestamptz` implicitly, in the
/// session's time zone, so that the key would depend on who asks; these forms say so instead.
#[pg_extern(sql = false)]
fn keys_need_an_instant() {
    raise(report(
        Error::new(
            SqlState::DatatypeMismatch,
            "a key needs an instant, not a date or time without time zone",
        )
        .hint("Say which time zone it is in: created_at AT TIME ZONE 'UTC', or, of a date, created_on::timestamp AT TIME ZONE 'UTC'."),
    ))
}
