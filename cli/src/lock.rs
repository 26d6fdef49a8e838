//! The right to change nodes, which one run of the program has at a time.
//!
//! A run reads the classes of all nodes, and then gives a class away. Two administrators who do so at
//! the same moment, each with a log of their own, could give one class away twice. So a run holds a
//! lock on every node that it names, from before it reads the classes until it ends.

use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::nodes::Fleet;
use crate::session::{Facts, Session};

/// How long a lock is asked for again: the session of a program that was killed ends in a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// The locks. Each is held by a transaction that stays open and does nothing else, in a session of its
/// own. It has no snapshot and no id, so that nothing waits for it, and VACUUM is not held back.
pub struct Locks(Vec<Session>);

impl Locks {
    /// The process that has the lock on a node.
    ///
    /// # Errors
    /// Those of the server.
    pub fn process(&mut self, node: &str) -> Result<Option<i32>> {
        self.0.iter_mut().find(|session| session.name() == node).map(Session::process).transpose()
    }
}

/// A session that has the lock.
#[derive(Deserialize)]
struct Holder {
    pid: i32,
    role: Option<String>,
    application: Option<String>,
}

const HOLDER: &str = "
    SELECT l.pid, a.usename::text AS role, a.application_name AS application
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'object' AND l.granted AND l.classid = 'keyspace_internal.interleaved_node'::regclass AND l.objid = l.classid
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())";

/// Locks all nodes, in an order that is the same for everybody: of two runs that meet, one goes on.
///
/// # Errors
/// If another run has one of them, or those of the servers.
pub fn take(fleet: &Fleet, facts: &[&Facts], command: &str) -> Result<Locks> {
    let mut ordered = facts.to_vec();
    ordered.sort_by_key(|facts| (facts.identity(), facts.timeline, facts.started_at.clone()));
    let mut sessions = Vec::new();
    for facts in ordered {
        let mut session = Session::open(fleet.node(&facts.name)?)?;
        // Of several hosts, another one may answer.
        if session.facts.identity() != facts.identity() || session.facts.started_at != facts.started_at {
            return Err(Failure::new("another server has answered than before")
                .of_node(&facts.name)
                .hint("Let its connection string lead to one server only."));
        }
        session.query_one("SELECT set_config('application_name', $1, false)", &[&application(command)])?;
        session.batch_execute("BEGIN")?;
        lock(&mut session)?;
        sessions.push(session);
    }
    Ok(Locks(sessions))
}

/// What others see of this run.
fn application(command: &str) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    match user.zip(host) {
        Some((user, host)) => format!("pg_keyspace {command}, {user}@{host}"),
        None => format!("pg_keyspace {command}"),
    }
}

fn lock(session: &mut Session) -> Result<()> {
    let began = Instant::now();
    while !session.query_one("SELECT keyspace_internal.lock_node()", &[])?.try_get::<_, bool>(0)? {
        if began.elapsed() > PATIENCE {
            let holder: Option<Holder> = session.rows(HOLDER, &[])?.pop();
            return Err(refusal(session.name(), holder));
        }
        interrupt::sleep(Duration::from_millis(100))?;
    }
    Ok(())
}

fn refusal(node: &str, holder: Option<Holder>) -> Failure {
    let failure = Failure::new("another run of pg_keyspace changes this node").of_node(node);
    let Some(Holder { pid, role, application }) = holder else {
        return failure.hint("It has just ended: call the command again.");
    };
    let role = role.map(|role| format!(" of role \"{role}\"")).unwrap_or_default();
    let application = application.filter(|name| !name.is_empty());
    let application = application.map(|name| format!(" ({name})")).unwrap_or_default();
    failure.detail(format!("Process {pid}{role}{application} on the server has its lock.")).hint(format!(
        "Wait until that run has ended, and call the command again. If its program is gone, end the session: SELECT pg_terminate_backend({pid})."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_named() {
        let holder = Holder {
            pid: 7,
            role: Some("dba".to_owned()),
            application: Some("pg_keyspace setup, anna@berlin".to_owned()),
        };
        let failure = refusal("one", Some(holder));
        assert_eq!(
            failure.detail.as_deref(),
            Some("Process 7 of role \"dba\" (pg_keyspace setup, anna@berlin) on the server has its lock.")
        );
        assert!(failure.hint.is_some_and(|hint| hint.ends_with("pg_terminate_backend(7).")));
        let gone = refusal("one", None);
        assert_eq!((gone.node.as_deref(), gone.detail), (Some("one"), None));
        assert!(application("split").starts_with("pg_keyspace split"));
    }
}
