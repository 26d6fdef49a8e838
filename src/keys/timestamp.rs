//! Converts instants between PostgreSQL and the pure crate.

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

/// The shift of a clock, as requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    months: i32,
    days: i32,
    micros: i64,
    /// The time zone in which months and days are added, if there are any. It is the address of the
    /// zone, which stays valid once the zone is loaded.
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

/// The shift of an interval, and the shifted clock, computed as PostgreSQL adds an interval to a
/// `timestamptz`.
pub(super) fn shifted_now(interval: Interval) -> (Shift, Tick) {
    let now = clock::nanosecond().unix_nanos();
    let shift = Shift::of(&interval);
    let micros = (now / NANOS_PER_MICRO).cast_signed();
    let shifted = Instant::from_unix_micros(micros).unwrap_or(Instant::MIN);
    // SAFETY: timestamptz_pl_interval takes a timestamptz and an interval and returns a
    // timestamptz.
    let shifted: Option<TimestampWithTimeZone> = unsafe {
        pgrx::direct_function_call(
            pg_sys::timestamptz_pl_interval,
            &[shifted.postgres_micros().into_datum(), interval.into_datum()],
        )
    };
    let micros = shifted.map_or(Instant::MIN, instant).unix_micros();
    // The shift has whole microseconds, so it leaves smaller fractions unchanged.
    let sub_second = micros % MICROS_PER_SECOND * NANOS_PER_MICRO + now % NANOS_PER_MICRO;
    (shift, Tick::from_unix_time(micros / MICROS_PER_SECOND, sub_second as u32))
}

/// Implements the forms for `timestamp` and `date`, which only raise an error. PostgreSQL would
/// cast them to `timestamptz` implicitly, in the session's time zone, so the key would depend on
/// the session.
#[pg_extern(sql = false)]
fn keys_need_an_instant() {
    raise(report(
        Error::new(
            SqlState::DatatypeMismatch,
            "a key needs an instant, not a date or time without time zone",
        )
        .hint("Specify the time zone: created_at AT TIME ZONE 'UTC', or for a date, created_on::timestamp AT TIME ZONE 'UTC'."),
    ))
}
