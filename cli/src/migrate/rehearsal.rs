//! The rehearsal of a cut-over: the tables are locked as it would lock them, and released at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::arguments::CutOverArguments;
use super::blockers::{self, Blocker, duration};
use super::table::Table;
use crate::failure::Result;
use crate::interrupt;
use crate::nodes::Node;
use crate::output::{count, section};
use crate::session::Session;
use crate::table::Table as Drawn;

/// A lock could not be acquired in time, the statement took too long, or one of two sessions that
/// waited for each other had to end.
const NOT_ACQUIRED: [&str; 3] = ["55P03", "57014", "40P01"];

/// What a rehearsal has shown.
#[derive(Debug, Default, Serialize)]
pub struct Rehearsal {
    /// The tables that a cut-over locks.
    pub tables: Vec<String>,
    /// Whether the locks were acquired.
    pub acquired: bool,
    /// Each try.
    pub tries: Vec<Try>,
    /// How long the tables would stay locked, as far as earlier steps tell, in milliseconds.
    pub estimated_ms: Option<f64>,
}

/// A try to lock all tables.
#[derive(Debug, Default, Serialize)]
pub struct Try {
    /// Whether all were locked.
    pub acquired: bool,
    /// How long it waited, in milliseconds.
    pub waited_ms: f64,
    /// For whom it waited.
    pub blockers: Vec<Blocker>,
    /// How many sessions waited for it, at most.
    pub waiting: i64,
}

/// The tables that a cut-over locks.
///
/// # Errors
/// Those of the server.
pub fn tables(session: &mut Session, table: &Table) -> Result<Vec<(u32, String)>> {
    let function = session.object("key_migration_plan")?;
    let query = format!(
        "SELECT DISTINCT p.table_name::oid, p.table_name::text FROM {function}({}) AS p
         WHERE p.step IS NOT NULL AND p.table_name IS NOT NULL ORDER BY 1",
        table.argument()
    );
    let rows = session.query(&query, &[])?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// A cut-over that was rolled back tells best. Otherwise, adding the columns took the same lock on the
/// same tables, and changed about as many rows of the catalogs.
const ESTIMATE: &str = "
    SELECT coalesce(
        (SELECT extract(epoch FROM l.lock_held) * 1000 FROM {log} l
         WHERE l.migration::oid = $1 AND l.action = 'cut over' ORDER BY l.step DESC LIMIT 1),
        (SELECT sum(extract(epoch FROM l.lock_held) * 1000) FROM {log} l
         WHERE l.migration::oid = $1 AND l.action LIKE 'add columns%'))::float8";

/// Rehearses a cut-over.
///
/// # Errors
/// Those of the server.
pub fn rehearse(
    session: &mut Session,
    node: &Node,
    table: &Table,
    arguments: &CutOverArguments,
) -> Result<Rehearsal> {
    let tables = tables(session, table)?;
    let log = session.object("key_migration_log")?;
    let estimate = session.query_one(&ESTIMATE.replace("{log}", &log), &[&table.oid])?;
    let mut rehearsal = Rehearsal {
        tables: tables.iter().map(|(_, name)| name.clone()).collect(),
        estimated_ms: estimate.try_get(0)?,
        ..Rehearsal::default()
    };
    let pid = session.process()?;
    let lock = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", rehearsal.tables.join(", "));
    let mut other = Session::open(node)?;
    for number in 0..arguments.tries {
        if number > 0 {
            // Others go on in between, as in the procedure.
            interrupt::sleep(
                Duration::from_millis(u64::from(arguments.lock_timeout)).max(Duration::from_millis(100)),
            )?;
        }
        let seen = Mutex::new(Try::default());
        let is_over = AtomicBool::new(false);
        let locked = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&mut other, pid, &seen, &is_over));
            let locked = once(session, &lock, arguments.lock_timeout);
            is_over.store(true, Ordering::SeqCst);
            // What could not be seen is missing from the report.
            let _ = watcher.join();
            locked
        });
        let mut tried = seen.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        (tried.acquired, tried.waited_ms) = locked?;
        rehearsal.acquired = tried.acquired;
        rehearsal.tries.push(tried);
        if rehearsal.acquired {
            break;
        }
    }
    Ok(rehearsal)
}

/// Locks the tables and releases them. Returns whether that went, and how long it took.
///
/// All of it is one message, so that the server releases the locks whatever happens to the connection.
/// The time is limited for all tables together: the first one is locked while the next one is waited
/// for.
fn once(session: &mut Session, lock: &str, timeout: u32) -> Result<(bool, f64)> {
    let message = format!(
        "BEGIN; SET LOCAL lock_timeout TO {timeout}; SET LOCAL statement_timeout TO {timeout};
         SET LOCAL idle_in_transaction_session_timeout TO '1s'; {lock}; ROLLBACK"
    );
    let began = Instant::now();
    let locked = session.batch_execute(&message);
    let waited = began.elapsed().as_secs_f64() * 1000.0;
    match locked {
        Ok(()) => Ok((true, waited)),
        // The error has released the locks, and the transaction is still to be ended.
        Err(failure) if NOT_ACQUIRED.iter().any(|sqlstate| failure.is(sqlstate)) => {
            session.batch_execute("ROLLBACK").map(|()| (false, waited))
        }
        Err(failure) => Err(failure),
    }
}

fn watch(session: &mut Session, pid: i32, seen: &Mutex<Try>, is_over: &AtomicBool) -> Result<()> {
    while !is_over.load(Ordering::SeqCst) {
        let blockers = blockers::of_process(session, pid)?;
        let waiting = blockers::waiting_for(session, pid)?;
        {
            let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            for blocker in blockers {
                if !seen.blockers.iter().any(|other| other.pid == blocker.pid) {
                    seen.blockers.push(blocker);
                }
            }
            seen.waiting = seen.waiting.max(waiting);
        }
        interrupt::sleep(Duration::from_millis(10))?;
    }
    Ok(())
}

impl Rehearsal {
    /// The rehearsal for people.
    pub fn text(&self, width: Option<u16>) -> String {
        let mut tries = Drawn::new(["#try", "locked", "#waited", "#others waiting", "waited for"]);
        for (at, one) in self.tries.iter().enumerate() {
            let blockers: Vec<String> = one.blockers.iter().map(Blocker::words).collect();
            tries.row([
                &(at + 1).to_string(),
                if one.acquired { "yes" } else { "no" },
                &duration(one.waited_ms / 1000.0),
                &one.waiting.to_string(),
                &blockers.join("; "),
            ]);
        }
        let mut text = section("Rehearsal", tries, width);
        text += &if self.acquired {
            format!("{} locked and released", count(self.tables.len(), "table"))
        } else {
            format!(
                "{} could not be locked in {}",
                count(self.tables.len(), "table"),
                if self.tries.len() == 1 {
                    "1 try".to_owned()
                } else {
                    format!("{} tries", self.tries.len())
                }
            )
        };
        if let Some(estimate) = self.estimated_ms {
            text += &format!("; the cut-over would hold the locks for about {}", duration(estimate / 1000.0));
        }
        text + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_is_shown() {
        let of = |acquired, waited_ms| Try { acquired, waited_ms, ..Try::default() };
        let rehearsal = Rehearsal {
            tables: vec!["public.a".to_owned(), "public.b".to_owned()],
            acquired: true,
            tries: vec![of(false, 100.0), of(true, 2.0)],
            estimated_ms: Some(4.0),
        };
        let text = rehearsal.text(None);
        assert!(text.contains("100 ms") && text.contains("2 ms"), "{text}");
        assert!(
            text.ends_with(
                "2 tables locked and released; the cut-over would hold the locks for about 4 ms\n"
            )
        );
        let failed =
            Rehearsal { acquired: false, estimated_ms: None, tries: vec![of(false, 100.0)], ..rehearsal };
        assert!(failed.text(None).ends_with("2 tables could not be locked in 1 try\n"));
    }
}
