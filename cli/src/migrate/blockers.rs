//! Who is in the way: sessions that hold a lock that is waited for.

use serde::{Deserialize, Serialize};

use crate::failure::Result;
use crate::session::Session;

/// A session that holds a lock, or a prepared transaction, which has no process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Blocker {
    /// Its process; 0 for a prepared transaction.
    pub pid: i32,
    /// Its role.
    pub role: Option<String>,
    /// Its application.
    pub application: Option<String>,
    /// `active`, `idle in transaction` ...
    pub state: Option<String>,
    /// For how many seconds its transaction has been open.
    pub seconds: Option<f64>,
    /// Its last query, if the role may see it.
    pub query: Option<String>,
}

const COLUMNS: &str = "
    b.pid, a.usename AS role, nullif(a.application_name, '') AS application, coalesce(a.state, a.backend_type) AS state,
    extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
    nullif(left(regexp_replace(a.query, '\\s+', ' ', 'g'), 120), '') AS query";

/// Those for which a process waits.
///
/// # Errors
/// Those of the server.
pub fn of_process(session: &mut Session, pid: i32) -> Result<Vec<Blocker>> {
    let query = format!(
        "SELECT DISTINCT {COLUMNS} FROM unnest(pg_blocking_pids($1)) AS b (pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid"
    );
    session.rows(&query, &[&pid])
}

/// Those that hold a lock on one of these tables at this moment: every one of them is in the way of
/// an ACCESS EXCLUSIVE lock.
///
/// # Errors
/// Those of the server.
pub fn of_tables(session: &mut Session, tables: &[u32]) -> Result<Vec<Blocker>> {
    let query = format!(
        "SELECT DISTINCT {COLUMNS}
         FROM (SELECT DISTINCT coalesce(l.pid, 0) AS pid FROM pg_locks l
               WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1::oid[])
                 AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                 AND l.pid IS DISTINCT FROM pg_backend_pid()) b
         LEFT JOIN pg_stat_activity a ON a.pid = b.pid
         ORDER BY 5 DESC NULLS LAST"
    );
    session.rows(&query, &[&tables])
}

/// How many sessions wait for a process.
///
/// # Errors
/// Those of the server.
pub fn waiting_for(session: &mut Session, pid: i32) -> Result<i64> {
    let query = "SELECT count(*) FROM pg_stat_activity a
                 WHERE a.wait_event_type = 'Lock' AND $1 = ANY (pg_blocking_pids(a.pid))";
    Ok(session.query_one(query, &[&pid])?.try_get(0)?)
}

impl Blocker {
    /// The session in words.
    pub fn words(&self) -> String {
        if self.pid == 0 {
            return "a prepared transaction (pg_prepared_xacts)".to_owned();
        }
        let mut parts = Vec::new();
        parts.extend(self.role.as_ref().map(|role| format!("role {role}")));
        parts.extend(self.application.clone());
        let since = self.seconds.map(|seconds| format!(" for {}", duration(seconds))).unwrap_or_default();
        parts.extend(self.state.as_ref().map(|state| format!("{state}{since}")));
        let query = self.query.as_ref().map(|query| format!(": {query}")).unwrap_or_default();
        format!("process {} ({}{query})", self.pid, parts.join(", "))
    }
}

/// A time for people.
pub fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 7200.0 => format!("{:.1} h", seconds / 3600.0),
        seconds if seconds >= 120.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds >= 1.0 => format!("{seconds:.0} s"),
        seconds => format!("{:.0} ms", seconds.max(0.0) * 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_described_by_what_is_known() {
        let blocker = Blocker {
            pid: 7,
            role: Some("app".to_owned()),
            application: None,
            state: Some("idle in transaction".to_owned()),
            seconds: Some(200.0),
            query: Some("SELECT 1".to_owned()),
        };
        assert_eq!(blocker.words(), "process 7 (role app, idle in transaction for 3 min: SELECT 1)");
        let prepared = Blocker { pid: 0, ..blocker };
        assert_eq!(prepared.words(), "a prepared transaction (pg_prepared_xacts)");
        assert_eq!([0.0123, 5.0, 10_000.0].map(duration), ["12 ms", "5 s", "2.8 h"]);
    }
}
