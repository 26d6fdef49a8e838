//! Instants between PostgreSQL and the pure crate.

use keyspace::keys::{Instant, Tick};
use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::clock;
use crate::error::{or_raise, raise, report};

/// The instant of a `timestamptz`.
#[inline]
pub(super) fn instant(ts: TimestampWithTimeZone) -> Instant {
    or_raise(Instant::from_postgres_micros(ts.into()))
}

/// The `timestamptz` of a tick, to the microsecond.
#[inline]
pub(super) fn timestamptz(tick: Tick) -> Option<TimestampWithTimeZone> {
    // Every instant of a key lies within the range of timestamptz.
    TimestampWithTimeZone::try_from(tick.instant().postgres_micros()).ok()
}

/// The clock's instant shifted by an interval, and by how many microseconds that shifted it.
pub(super) fn shifted_now(shift: Interval) -> (Instant, i64) {
    let now = clock::now().instant();
    // SAFETY: timestamptz_pl_interval takes a timestamptz and an interval and returns a timestamptz.
    let shifted: Option<TimestampWithTimeZone> = unsafe {
        pgrx::direct_function_call(
            pg_sys::timestamptz_pl_interval,
            &[now.postgres_micros().into_datum(), shift.into_datum()],
        )
    };
    let shifted = match shifted {
        Some(shifted) => instant(shifted),
        None => now,
    };
    (shifted, shifted.postgres_micros() - now.postgres_micros())
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
        .hint("Say which time zone it is in, as in: created_at AT TIME ZONE 'UTC'."),
    ))
}
