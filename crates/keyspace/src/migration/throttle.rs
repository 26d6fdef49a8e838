//! When the backfill waits so that others keep up: data in, decision out.

use std::collections::VecDeque;
use std::time::Duration;

/// The limits of a migration; `None` for those that are not set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// How far behind a standby or a subscriber may be.
    pub standby_lag: Option<Duration>,
    /// How many bytes of WAL a replication slot may retain.
    pub slot_wal: Option<i64>,
    /// How many WAL files may wait to be archived.
    pub archive_files: Option<i64>,
    /// How many bytes of WAL all sessions together may write in a second.
    pub wal_rate: Option<i64>,
    /// How many bytes must stay free on each file system.
    pub free_disk: Option<i64>,
    /// How many tables of the database may be overdue for autovacuum.
    pub overdue_tables: Option<i64>,
    /// Whether there is a query that says when to wait.
    pub has_query: bool,
}

impl Limits {
    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A value that is read from the server; `Err` says why it could not be.
pub type Reading<T> = Result<T, String>;

/// A standby or a subscriber.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standby {
    /// Its `application_name`.
    pub name: String,
    /// The position in the WAL up to which it has replayed.
    pub replayed: i64,
    /// The lag that it has reported.
    pub reported: Duration,
}

/// Something that is limited, with its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: i64,
}

/// What was read. Only what a limit needs is read; the rest has its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readings {
    /// The time since some fixed moment.
    pub at: Duration,
    /// The position in the WAL up to which all sessions have written.
    pub written: i64,
    /// The standbys and subscribers.
    pub standbys: Reading<Vec<Standby>>,
    /// Replication slots, with the WAL that they retain.
    pub slots: Reading<Vec<Named>>,
    /// The number of WAL files that wait to be archived.
    pub archive_files: Reading<i64>,
    /// File systems, with their free bytes.
    pub disks: Reading<Vec<Named>>,
    /// The number of tables that are overdue for autovacuum.
    pub overdue_tables: Reading<i64>,
    /// Whether the user's query says to wait.
    pub query: Reading<bool>,
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            at: Duration::ZERO,
            written: 0,
            standbys: Ok(Vec::new()),
            slots: Ok(Vec::new()),
            archive_files: Ok(0),
            disks: Ok(Vec::new()),
            overdue_tables: Ok(0),
            query: Ok(false),
        }
    }
}

/// Why the backfill waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The limit's name in `key_migration_set`.
    pub limit: &'static str,
    /// What was found.
    pub found: String,
}

impl Reason {
    /// As the progress view shows it.
    pub fn text(&self) -> String {
        format!("{}: {}", self.limit, self.found)
    }
}

/// The maximum number of positions that are remembered.
const MOST: usize = 512;
/// The rate of WAL is taken over at least this time, and at most twice this time.
const RATE: Duration = Duration::from_secs(1);

/// The positions in the WAL that earlier readings have seen.
///
/// A standby that replays nothing does not report a growing lag. It is behind at least since the first
/// reading with a position that it has not replayed yet.
#[derive(Debug, Default)]
pub struct History {
    seen: VecDeque<(Duration, i64)>,
}

impl History {
    /// Why to wait now; the first limit that is exceeded, or that could not be checked.
    pub fn reason(&mut self, limits: &Limits, readings: &Readings) -> Option<Reason> {
        self.remember(readings);
        let checks = [
            check("max_standby_lag", limits.standby_lag, &readings.standbys, |limit, standbys| {
                let lag = |standby: &Standby| self.lag(standby, readings.at);
                let last = standbys.iter().max_by_key(|standby| lag(standby))?;
                let late = lag(last);
                (late > limit)
                    .then(|| format!("\"{}\" is {} behind, more than {}", last.name, time(late), time(limit)))
            }),
            check("max_slot_wal", limits.slot_wal, &readings.slots, |limit, slots| {
                let most = slots.iter().max_by_key(|slot| slot.value)?;
                (most.value > limit).then(|| {
                    format!(
                        "slot \"{}\" retains {}, more than {}",
                        most.name,
                        bytes(most.value),
                        bytes(limit)
                    )
                })
            }),
            check("max_archive_files", limits.archive_files, &readings.archive_files, |limit, files| {
                (*files > limit).then(|| format!("{files} files wait to be archived, more than {limit}"))
            }),
            check("max_wal_rate", limits.wal_rate, &Ok(self.rate(readings)), |limit, rate| {
                (*rate > limit).then(|| {
                    format!("{} of WAL were written in a second, more than {}", bytes(*rate), bytes(limit))
                })
            }),
            check("min_free_disk", limits.free_disk, &readings.disks, |limit, disks| {
                let least = disks.iter().min_by_key(|disk| disk.value)?;
                (least.value < limit).then(|| {
                    format!("{} has {} free, less than {}", least.name, bytes(least.value), bytes(limit))
                })
            }),
            check("max_overdue_tables", limits.overdue_tables, &readings.overdue_tables, |limit, tables| {
                (*tables > limit)
                    .then(|| format!("{tables} tables are overdue for autovacuum, more than {limit}"))
            }),
            check("throttle_query", limits.has_query.then_some(()), &readings.query, |(), waits| {
                waits.then(|| "the query returns true".to_owned())
            }),
        ];
        checks.into_iter().flatten().next()
    }

    fn remember(&mut self, readings: &Readings) {
        if self.seen.len() >= MOST {
            self.thin_out(readings.at);
        }
        self.seen.push_back((readings.at, readings.written));
        // Positions that all have replayed tell nothing more, except for the rate.
        let replayed = readings.standbys.iter().flatten().map(|standby| standby.replayed).min();
        let replayed = replayed.unwrap_or(i64::MAX);
        while self.seen.get(1).is_some_and(|(at, position)| {
            *position <= replayed && readings.at.saturating_sub(*at) >= RATE * 2
        }) {
            self.seen.pop_front();
        }
    }

    /// Drops positions: the older they are, the farther apart they may be.
    fn thin_out(&mut self, now: Duration) {
        let mut kept: VecDeque<(Duration, i64)> = VecDeque::new();
        while let Some((at, position)) = self.seen.pop_back() {
            let gap = now.saturating_sub(at) / 16;
            let is_far = |next: &(Duration, i64)| next.0.saturating_sub(at) >= gap;
            if self.seen.is_empty() || kept.front().is_none_or(is_far) {
                kept.push_front((at, position));
            }
        }
        self.seen = kept;
    }

    /// How far a standby is behind.
    fn lag(&self, standby: &Standby, now: Duration) -> Duration {
        let first = self.seen.iter().find(|(_, position)| *position > standby.replayed);
        let since = first.map_or(Duration::ZERO, |(at, _)| now.saturating_sub(*at));
        since.max(if first.is_some() { standby.reported } else { Duration::ZERO })
    }

    /// The WAL that was written in a second, over the last one or two.
    fn rate(&self, readings: &Readings) -> i64 {
        let is_recent = |at: Duration| readings.at.saturating_sub(at) <= RATE * 2;
        let Some((at, position)) = self.seen.iter().find(|(at, _)| is_recent(*at)) else { return 0 };
        let time = readings.at.saturating_sub(*at).max(RATE).as_millis();
        let written = u128::from(readings.written.saturating_sub(*position).max(0).unsigned_abs());
        i64::try_from(written * 1_000 / time.max(1)).unwrap_or(i64::MAX)
    }
}

/// The reason to wait because of one limit, if it is set.
fn check<L: Copy, T>(
    limit: &'static str,
    set: Option<L>,
    reading: &Reading<T>,
    exceeded: impl FnOnce(L, &T) -> Option<String>,
) -> Option<Reason> {
    let found = match reading {
        Ok(value) => exceeded(set?, value)?,
        Err(why) => {
            set?;
            why.clone()
        }
    };
    Some(Reason { limit, found })
}

fn time(time: Duration) -> String {
    format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100)
}

fn bytes(bytes: i64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} kB", bytes >> 10),
        _ => format!("{} MB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{History, Limits, Named, Readings, Standby};

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn reason(limits: &Limits, readings: &Readings) -> Option<String> {
        History::default().reason(limits, readings).map(|reason| reason.text())
    }

    #[test]
    fn nothing_is_limited_without_limits() {
        let readings = Readings {
            standbys: Err("no".to_owned()),
            query: Ok(true),
            archive_files: Ok(1_000_000),
            ..Readings::default()
        };
        assert!(Limits::default().is_empty());
        assert_eq!(reason(&Limits::default(), &readings), None);
    }

    #[test]
    fn trap_m10_each_limit_names_itself() {
        let named = |value| {
            Ok(vec![Named { name: "a".to_owned(), value }, Named { name: "b".to_owned(), value: 500 }])
        };
        let at = |limits: Limits, readings: Readings| reason(&limits, &readings);
        let slots = |value| {
            at(
                Limits { slot_wal: Some(1 << 30), ..Limits::default() },
                Readings { slots: named(value), ..Readings::default() },
            )
        };
        assert_eq!(slots(1 << 30), None);
        assert_eq!(
            slots(3 << 30).as_deref(),
            Some("max_slot_wal: slot \"a\" retains 3072 MB, more than 1024 MB")
        );
        let disks = |value| {
            at(
                Limits { free_disk: Some(400), ..Limits::default() },
                Readings { disks: named(value), ..Readings::default() },
            )
        };
        assert_eq!(disks(400), None);
        assert_eq!(disks(399).as_deref(), Some("min_free_disk: a has 399 bytes free, less than 400 bytes"));
        let archive = |files| {
            at(
                Limits { archive_files: Some(2), ..Limits::default() },
                Readings { archive_files: files, ..Readings::default() },
            )
        };
        assert_eq!(archive(Ok(2)), None);
        assert_eq!(
            archive(Ok(3)).as_deref(),
            Some("max_archive_files: 3 files wait to be archived, more than 2")
        );
        // What cannot be read is not taken for good.
        assert_eq!(
            archive(Err("permission denied".to_owned())).as_deref(),
            Some("max_archive_files: permission denied")
        );
        let overdue = |tables| {
            at(
                Limits { overdue_tables: Some(1), ..Limits::default() },
                Readings { overdue_tables: Ok(tables), ..Readings::default() },
            )
        };
        assert_eq!(overdue(1), None);
        assert!(overdue(2).is_some_and(|text| text.starts_with("max_overdue_tables: 2 tables")));
        let query = |waits| {
            at(
                Limits { has_query: true, ..Limits::default() },
                Readings { query: Ok(waits), ..Readings::default() },
            )
        };
        assert_eq!(query(false), None);
        assert_eq!(query(true).as_deref(), Some("throttle_query: the query returns true"));
    }

    fn behind(at: u64, written: i64, replayed: i64, reported: u64) -> Readings {
        let standby = Standby { name: "s1".to_owned(), replayed, reported: seconds(reported) };
        Readings { at: seconds(at), written, standbys: Ok(vec![standby]), ..Readings::default() }
    }

    #[test]
    fn a_standby_that_replays_nothing_falls_behind_whatever_it_reports() {
        let limits = Limits { standby_lag: Some(seconds(5)), ..Limits::default() };
        let mut history = History::default();
        assert_eq!(history.reason(&limits, &behind(100, 1_000, 1_000, 0)), None);
        assert_eq!(history.reason(&limits, &behind(101, 2_000, 1_000, 0)), None);
        assert_eq!(history.reason(&limits, &behind(106, 9_000, 1_000, 0)), None);
        let reason = history.reason(&limits, &behind(107, 9_000, 1_000, 0)).map(|reason| reason.text());
        assert_eq!(reason.as_deref(), Some("max_standby_lag: \"s1\" is 6.0 s behind, more than 5.0 s"));
        // Some of it is replayed: it is behind since a later position.
        assert_eq!(history.reason(&limits, &behind(108, 9_000, 2_000, 0)), None);
        // It has caught up, although it still reports the lag that it had.
        assert_eq!(history.reason(&limits, &behind(120, 9_000, 9_000, 60)), None);
        // A lag from before the first reading is that which it reports.
        assert!(History::default().reason(&limits, &behind(1, 9_000, 1, 60)).is_some());
    }

    #[test]
    fn the_history_stays_short() {
        let limits = Limits { standby_lag: Some(seconds(1_000_000)), ..Limits::default() };
        let mut history = History::default();
        for at in 0..20_000 {
            assert_eq!(history.reason(&limits, &behind(at, i64::try_from(at).unwrap_or(0), 0, 0)), None);
        }
        assert!(history.seen.len() <= super::MOST);
        let lag = history.lag(&Standby::default(), seconds(20_000));
        assert!(lag > seconds(16_000), "{lag:?}");
        assert_eq!(history.reason(&limits, &behind(20_001, 20_001, 20_001, 0)), None);
        assert!(history.seen.len() <= 4, "{}", history.seen.len());
    }

    #[test]
    fn the_rate_of_wal_is_that_of_the_last_seconds() {
        let limits = Limits { wal_rate: Some(1_000), ..Limits::default() };
        let mut history = History::default();
        let mut at = |milliseconds, written| {
            let readings =
                Readings { at: Duration::from_millis(milliseconds), written, ..Readings::default() };
            history.reason(&limits, &readings).is_some()
        };
        assert!(!at(0, 5_000));
        assert!(!at(100, 6_000));
        // 1,500 bytes in less than a second.
        assert!(at(200, 6_500));
        assert!(!at(1_600, 6_500));
        assert!(!at(5_000, 6_600));
        assert!(at(5_100, 9_000));
    }
}
