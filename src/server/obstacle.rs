//! Who keeps a lock from being acquired: a process with its query, or a prepared transaction.

use keyspace::Error;
use keyspace::sql::literal;
use pgrx::prelude::*;
use pgrx::spi::{SpiHeapTupleData, SpiResult};

use super::settings::with_own_settings;
use crate::encoding::from_server_bytes;

/// How many characters of a query are shown.
const SHOWN: usize = 100;

/// The lock modes from the weakest to the strongest, by their numbers and as pg_locks names them,
/// each with the numbers of those that conflict with it: table "Conflicting Lock Modes" of the
/// manual.
const MODES: [(&str, &[usize]); 8] = [
    ("AccessShareLock", &[8]),
    ("RowShareLock", &[7, 8]),
    ("RowExclusiveLock", &[5, 6, 7, 8]),
    ("ShareUpdateExclusiveLock", &[4, 5, 6, 7, 8]),
    ("ShareLock", &[3, 4, 6, 7, 8]),
    ("ShareRowExclusiveLock", &[3, 4, 5, 6, 7, 8]),
    ("ExclusiveLock", &[2, 3, 4, 5, 6, 7, 8]),
    ("AccessExclusiveLock", &[1, 2, 3, 4, 5, 6, 7, 8]),
];

/// The locks on relation $1 with one of the modes $2 that other transactions hold or wait for; those
/// held first, and of these the one of the oldest transaction. A prepared transaction has no process.
/// Its locks have the virtual transaction id that it had before, and so has the lock on its own id.
const OBSTACLES: &str = "SELECT l.pid, l.mode, l.granted, a.state, date_trunc('second', a.xact_start)::text, \
            convert_to(a.query, 'SQL_ASCII'), convert_to(p.gid, 'SQL_ASCII'), convert_to(p.owner::text, 'SQL_ASCII'), \
            date_trunc('second', p.prepared)::text, \
            count(*) FILTER (WHERE l.granted) OVER () \
     FROM (SELECT DISTINCT ON (o.virtualtransaction) o.* FROM pg_locks o \
           WHERE o.locktype = 'relation' AND o.relation = $1 AND o.mode = ANY ($2) \
             AND o.database IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) \
             AND o.pid IS DISTINCT FROM pg_backend_pid() \
           ORDER BY o.virtualtransaction, o.granted DESC) AS l \
     LEFT JOIN pg_stat_activity a ON a.pid = l.pid \
     LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' \
                         AND x.virtualtransaction = l.virtualtransaction \
     LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid \
     ORDER BY l.granted DESC, coalesce(a.xact_start, p.prepared), l.pid LIMIT 1";

/// A lock that was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) relation: pg_sys::Oid,
    pub(crate) lock: u32,
}

/// A transaction that holds a conflicting lock, or waits for one and comes first.
pub(crate) struct Obstacle {
    holder: Holder,
    mode: String,
    /// Whether it holds the lock.
    granted: bool,
    /// How many transactions hold such locks.
    count: i64,
}

enum Holder {
    Process {
        pid: i32,
        /// Its state, the start of its transaction and its query, if the caller may see them.
        activity: Option<Activity>,
    },
    Prepared {
        gid: String,
        owner: String,
        prepared: String,
    },
}

struct Activity {
    state: String,
    since: Option<String>,
    query: String,
}

impl Obstacle {
    /// Who keeps a lock from being acquired at this moment; `None` if nobody does any more. Shows the
    /// caller what pg_stat_activity and pg_prepared_xacts show, and no more.
    pub(crate) fn to(missed: Missed) -> SpiResult<Option<Self>> {
        let modes: Vec<&str> = conflicting(missed.lock).collect();
        with_own_settings(|| {
            Spi::connect(|client| {
                let mut rows = client.select(OBSTACLES, Some(1), &[missed.relation.into(), modes.into()])?;
                rows.next().map(|row| Self::read(&row)).transpose().map(Option::flatten)
            })
        })
    }

    fn read(row: &SpiHeapTupleData<'_>) -> SpiResult<Option<Self>> {
        let text = |at: usize| Ok(row.get::<Vec<u8>>(at)?.map(from_server_bytes));
        let holder = match (row.get::<i32>(1)?, text(7)?) {
            (Some(pid), _) => {
                let (state, query): (_, SpiResult<_>) = (row.get::<String>(4)?, text(6));
                let (since, query) = (row.get(5)?, query?.unwrap_or_default());
                Holder::Process { pid, activity: state.map(|state| Activity { state, since, query }) }
            }
            (None, Some(gid)) => Holder::Prepared {
                gid,
                owner: text(8)?.unwrap_or_default(),
                prepared: row.get(9)?.unwrap_or_default(),
            },
            (None, None) => return Ok(None),
        };
        Ok(Some(Self {
            holder,
            mode: row.get(2)?.unwrap_or_default(),
            granted: row.get(3)?.unwrap_or(false),
            count: row.get(10)?.unwrap_or(0),
        }))
    }

    /// A sentence or more about it.
    pub(crate) fn detail(&self) -> String {
        let (mode, granted) = (&self.mode, self.granted);
        let does = if granted { "holds" } else { "waits for" };
        let mut detail = match &self.holder {
            Holder::Process { pid, activity } => {
                let who = format!("Process {pid} {does} {mode} on it");
                activity.as_ref().map_or_else(|| format!("{who}."), |activity| activity.told(&who))
            }
            Holder::Prepared { gid, owner, prepared } => {
                let gid = literal(gid);
                format!("Prepared transaction {gid} of role \"{owner}\" holds {mode} on it since {prepared}.")
            }
        };
        match self.count - 1 {
            ..=0 => {}
            1 => detail.push_str(" Another transaction is in the way, too."),
            others => detail.push_str(&format!(" {others} other transactions are in the way, too.")),
        }
        detail
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match &self.holder {
            Holder::Process { pid, .. } => format!(
                "Try again when its transaction has ended, or end it by SELECT pg_terminate_backend({pid})."
            ),
            Holder::Prepared { gid, .. } => {
                let gid = literal(gid);
                format!("Run COMMIT PREPARED {gid} or ROLLBACK PREPARED {gid}, and try again.")
            }
        }
    }
}

impl Activity {
    fn told(&self, who: &str) -> String {
        let (state, query) = (&self.state, shortened(&self.query));
        let since = self.since.as_ref().map_or_else(String::new, |since| format!(" since {since}"));
        let its = if state == "active" { "its query" } else { "its last query" };
        format!("{who}. It is in a transaction{since}; its state is \"{state}\", {its}: {query}")
    }
}

/// The error, with who is in the way.
pub(crate) fn explained(error: Error, missed: Missed) -> Error {
    // What cannot be read must not hide the error itself.
    let Ok(Some(obstacle)) = Obstacle::to(missed) else { return error };
    let detail = match &error.detail {
        Some(detail) => format!("{detail} {}", obstacle.detail()),
        None => obstacle.detail(),
    };
    error.detail(detail).hint(obstacle.hint())
}

/// The names of the modes that conflict with a lock.
fn conflicting(lock: u32) -> impl Iterator<Item = &'static str> {
    let numbers = MODES.get((lock as usize).wrapping_sub(1)).map_or(&[][..], |(_, numbers)| numbers);
    numbers.iter().filter_map(|number| Some(MODES.get(number - 1)?.0))
}

/// The beginning of a query, on one line.
fn shortened(query: &str) -> String {
    let words: Vec<&str> = query.split_whitespace().collect();
    let query = words.join(" ");
    match query.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} ...", query[..end].trim_end()),
        None => query,
    }
}
