//! Time zones: the instant of a local time.

use std::ffi::c_long;

use keyspace::keys::Instant;
use keyspace::{Error, SqlState};
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::{ServerText, from_utf8, to_server};
use crate::server::failure::Failure;
use crate::server::settings::with_own_settings;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// More than the offset of any time zone.
const MOST_OFFSET: i64 = 31 * 86_400 * MICROS_PER_SECOND;

/// A time zone that the server knows. Plain data, because it is stored in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub(super) struct Zone {
    /// Loaded once for each session.
    zone: *mut pg_sys::pg_tz,
    /// The offset in microseconds east of UTC, if it never changes.
    fixed: Option<i64>,
}

impl Zone {
    /// The zone with this name; `None` if the server does not know it any more.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = to_server(name);
        let mut offset: c_long = 0;
        // SAFETY: the name is NUL-terminated. A zone that was loaded is never released.
        unsafe {
            let zone = pg_sys::pg_tzset(name.as_ptr());
            if zone.is_null() {
                return None;
            }
            let is_fixed = pg_sys::pg_get_timezone_offset(zone, &mut offset);
            Some(Self { zone, fixed: is_fixed.then_some(offset * MICROS_PER_SECOND) })
        }
    }

    /// The instant of a local time, both in PostgreSQL's microseconds, as `AT TIME ZONE` computes
    /// it; `None` if no key can hold it.
    pub(super) fn instant(self, local: i64) -> Option<i64> {
        let (least, most) = (Instant::MIN.postgres_micros(), Instant::MAX.postgres_micros());
        if !(least - MOST_OFFSET..=most + MOST_OFFSET).contains(&local) {
            return None;
        }
        if let Some(offset) = self.fixed {
            return Some(local - offset);
        }
        let (mut parts, mut fraction) = (pg_sys::pg_tm::default(), 0);
        let null = std::ptr::null_mut();
        // SAFETY: writes to the two variables; the zone is valid as long as the session.
        let seconds_west = unsafe {
            if pg_sys::timestamp2tm(local, null, &mut parts, &mut fraction, std::ptr::null_mut(), null.cast())
                != 0
            {
                return None;
            }
            pg_sys::DetermineTimeZoneOffset(&mut parts, self.zone)
        };
        Some(local + i64::from(seconds_west) * MICROS_PER_SECOND)
    }
}

/// The name of a zone as the time zone database of the server spells it.
///
/// # Errors
/// 22023 for any other name: the meaning of an abbreviation depends on a setting of the session, and
/// the sign of an offset in POSIX notation is not what it seems.
pub(super) fn canonical_name(given: &str) -> Result<String, Failure> {
    let query = "SELECT convert_to(name, 'UTF8') FROM pg_timezone_names WHERE lower(name) = lower($1) ORDER BY name <> $1 LIMIT 1";
    let read = || {
        Spi::connect(|client| -> SpiResult<Option<Vec<u8>>> {
            let arguments = [ServerText(given.to_owned()).into()];
            client.select(query, Some(1), &arguments)?.next().map_or(Ok(None), |row| row.get(1))
        })
    };
    let found = with_own_settings(read)?.map(from_utf8);
    Ok(found.ok_or_else(|| {
        Error::new(SqlState::InvalidParameterValue, format!("time zone \"{given}\" not recognized"))
            .detail("Abbreviations are not accepted, because a setting decides what they mean, and neither are offsets, because PostgreSQL reads them with the opposite sign.")
            .hint("Use a name from the view pg_timezone_names, for example \"UTC\" or \"Europe/Berlin\". For a constant offset, use a name such as \"Etc/GMT-2\", which is two hours ahead of UTC.")
    })?)
}

#[cfg(any(test, feature = "pg_test"))]
#[allow(clippy::unwrap_used)]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::Zone;

    /// Local times at every quarter of an hour around changes of the offset, in zones with and
    /// without them, and far from now.
    #[pg_test]
    fn instants_are_those_of_at_time_zone() {
        let mut compared = 0;
        for name in [
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kolkata",
            "Pacific/Apia",
            "Etc/GMT-2",
        ] {
            let zone = Zone::named(name).unwrap();
            for start in [
                "1970-01-01",
                "1987-10-25",
                "2011-12-28",
                "2024-03-10",
                "2024-03-30 12:00",
                "2024-10-26",
                "2024-11-02 12:00",
                "2037-12-31",
                "2500-06-01",
                "10889-07-31",
            ] {
                let rows = Spi::connect(|client| {
                    let query = "SELECT (extract(epoch FROM l) * 1000000)::bigint - 946684800000000, \
                                        (extract(epoch FROM l AT TIME ZONE $1) * 1000000)::bigint - 946684800000000 \
                                 FROM generate_series($2::timestamp, $2::timestamp + '3 days', '15 minutes') AS l";
                    let rows = client.select(query, None, &[name.into(), start.into()]).unwrap();
                    rows.map(|row| (row.get::<i64>(1).unwrap().unwrap(), row.get::<i64>(2).unwrap().unwrap()))
                        .collect::<Vec<_>>()
                });
                for (local, instant) in rows {
                    assert_eq!(zone.instant(local), Some(instant), "{name} {local}");
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 7 * 10 * (3 * 96 + 1));
    }

    #[pg_test]
    fn times_beyond_those_of_keys_have_no_instant() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        for local in [i64::MIN, i64::MAX, i64::MIN + 1, -9_223_371_331_200_000_000] {
            assert_eq!(zone.instant(local), None);
        }
        assert!(Zone::named("Nowhere/Land").is_none());
    }
}
