//! `pg_keyspace leave`: the last state of a node, taken after its writers have stopped.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keyspace::sequences::NodeState;
use serde::{Deserialize, Serialize};

use crate::arguments::LeaveArguments;
use crate::classes::written;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::left::marked;
use crate::nodes::Fleet;
use crate::observe::{SHORT, moved};
use crate::output::{Output, say};
use crate::printable::printable;
use crate::runs::{self, usual_log};
use crate::session::Session;
use crate::table::Table;

const COMMAND: &str = "leave";

/// The result of the command.
#[derive(Serialize)]
struct Left {
    command: &'static str,
    dry_run: bool,
    node: String,
    class: String,
    /// The file with its last state; none in a dry run.
    state: Option<PathBuf>,
    sessions: Vec<Connected>,
    slots: Vec<Slot>,
    next: Vec<String>,
}

/// A session or a background worker that may write.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Connected {
    pid: i32,
    role: Option<String>,
    application: Option<String>,
    /// What it is, if it is no session of a client.
    kind: Option<String>,
    /// Whether a transaction is open that has written.
    writes: bool,
}

/// A slot by which the rows of the node reach another one.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Slot {
    slot: String,
    active: bool,
    /// Bytes that it has not confirmed yet.
    behind: i64,
}

// A background worker writes as a client does: one that runs jobs, for example. Workers of
// replication bring rows of other nodes, and generate no ids; autovacuum and parallel workers do
// nothing of their own. A session that sends changes can also run statements: it counts if it writes.
//
// Of sessions of other roles, a role without their privileges sees the process, the role and the locks
// only, among them the lock on the id of a transaction that has written.
const SESSIONS: &str = "
    SELECT s.pid, s.role, s.application, nullif(s.kind, 'client backend') AS kind, s.writes
    FROM (SELECT a.pid, a.usename::text AS role, a.application_name AS application, a.backend_type AS kind,
                 EXISTS (SELECT FROM pg_catalog.pg_locks l
                         WHERE l.pid = a.pid AND l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted) AS writes
          FROM pg_catalog.pg_stat_activity a
          WHERE a.datname = pg_catalog.current_database() AND a.pid <> ALL ($1::int4[]) AND a.leader_pid IS NULL
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_subscription u WHERE u.pid = a.pid)) s
    WHERE coalesce(s.kind, 'client backend') NOT IN ('autovacuum worker', 'parallel worker')
      AND coalesce(s.kind, '') !~ '^(logical replication|pglogical|spock|pgactive|bdr)'
      AND (s.writes OR coalesce(s.kind, '') <> 'walsender')
    UNION ALL
    SELECT 0, p.owner::text, 'prepared transaction ' || p.gid, NULL, true
    FROM pg_catalog.pg_prepared_xacts p WHERE p.database = pg_catalog.current_database()
    ORDER BY 1";

const SLOTS: &str = "
    SELECT s.slot_name::text AS slot, s.active,
           greatest(pg_catalog.pg_wal_lsn_diff($1::text::pg_lsn, s.confirmed_flush_lsn), 0)::int8 AS behind
    FROM pg_catalog.pg_replication_slots s
    WHERE s.slot_type = 'logical' AND s.database = pg_catalog.current_database() AND NOT s.temporary
      AND s.confirmed_flush_lsn IS NOT NULL
    ORDER BY 1";

// A record that subscribers confirm, also if nothing else is written any more.
const MARK: &str = "SELECT pg_catalog.pg_logical_emit_message(true, 'pg_keyspace', 'leave')::text";
const POSITION: &str = "SELECT pg_catalog.pg_current_wal_insert_lsn()::text";

/// How long two states are apart that show whether a node is still used.
const APART: Duration = SHORT;

/// Takes the last state of a node.
///
/// # Errors
/// If the node is still written to, or its rows have not arrived.
pub fn run(fleet: &Fleet, output: Output, arguments: &LeaveArguments) -> Result<Exit> {
    let node = fleet.node(&arguments.node)?;
    let (mut sessions, mut locks) = runs::open(fleet, COMMAND, arguments.dry_run)?;
    let session = runs::session(&mut sessions, &node.name)?;
    let class =
        session.facts.class.ok_or_else(|| Failure::new("this node is not set up").of_node(&node.name))?;
    let path = match &arguments.state {
        Some(path) => path.clone(),
        None => usual_log(fleet)?.with_file_name(format!("{}.left.json", node.name)),
    };
    if path.exists() && !arguments.dry_run {
        // Before anything is waited for.
        return Err(exists(&path));
    }
    let lock = locks.as_mut().map(|locks| locks.process(&node.name)).transpose()?.flatten();
    let ours: Vec<i32> = lock.into_iter().chain([session.process()?]).collect();
    let connected: Vec<Connected> = session.rows(SESSIONS, &[&ours])?;
    let position: String = session.query_one(POSITION, &[])?.try_get(0)?;
    let slots: Vec<Slot> = session.rows(SLOTS, &[&position])?;
    let mut result = Left {
        command: COMMAND,
        dry_run: arguments.dry_run,
        node: node.name.clone(),
        class: written(class),
        state: None,
        sessions: connected.clone(),
        slots,
        next: Vec::new(),
    };
    if !arguments.dry_run {
        let state = last_state(session, arguments, &ours, &connected, &result.slots, fleet.nodes.len() - 1)?;
        store(&path, &marked(&state))?;
        result.state = Some(path.clone());
    }
    result.next = vec![
        format!("remove node \"{}\" from replication, and from the list of nodes.", node.name),
        format!(
            "keep \"{}\": with it, \"add-node --class {} --left FILE\" gives the class to another node.",
            path.display(),
            class.node()
        ),
    ];
    output.result(&result, |width| text(&result, width))?;
    let would_fail = nobody_writes(&connected, arguments).is_err()
        || (result.slots.len() < fleet.nodes.len() - 1 && !arguments.rows_arrived);
    Ok(if arguments.dry_run && would_fail { Exit::Findings } else { Exit::Fine })
}

fn last_state(
    session: &mut Session,
    arguments: &LeaveArguments,
    ours: &[i32],
    connected: &[Connected],
    slots: &[Slot],
    others: usize,
) -> Result<NodeState> {
    let node = arguments.node.as_str();
    let patience = Duration::from_secs(arguments.timeout);
    nobody_writes(connected, arguments)?;
    // A slot may be that of another consumer, and a node may be replicated to in another way.
    if slots.len() < others && !arguments.rows_arrived {
        let named: Vec<&str> = slots.iter().map(|slot| slot.slot.as_str()).collect();
        let detail = if named.is_empty() {
            "The database has no logical replication slot whose position would tell.".to_owned()
        } else {
            format!("There are {others} other nodes, and only these slots: {}.", named.join(", "))
        };
        return Err(Failure::new("it is not known whether the rows of the node have arrived on the others")
            .of_node(node)
            .detail(detail)
            .hint("Compare the tables. If all rows have arrived, pass --rows-arrived."));
    }
    wait_for_slots(session, node, patience)?;
    let before = NodeState::parse(&session.state()?)?;
    interrupt::sleep(APART)?;
    // Again, for what has come meanwhile: changes of rows move no sequence.
    nobody_writes(&session.rows(SESSIONS, &[&ours])?, arguments)?;
    wait_for_slots(session, node, patience)?;
    let last = NodeState::parse(&session.state()?)?;
    let moved = moved(&before, &last);
    if let Some(first) = moved.first() {
        return Err(Failure::new("the node is still used")
            .of_node(node)
            .detail(format!(
                "{} of its sequences moved while it was watched, among them {first}.",
                moved.len()
            ))
            .hint("Stop its writers first."));
    }
    nobody_writes(&session.rows(SESSIONS, &[&ours])?, arguments)?;
    Ok(last)
}

/// Fails if sessions are connected that write, or may write.
fn nobody_writes(connected: &[Connected], arguments: &LeaveArguments) -> Result<()> {
    let writing = connected.iter().any(|session| session.writes);
    if !writing && (connected.is_empty() || arguments.writers_stopped) {
        return Ok(());
    }
    let each = connected.iter().take(5).map(|session| {
        let role = session.role.as_deref().unwrap_or("unknown");
        let names = [session.kind.as_deref(), session.application.as_deref()];
        let names: Vec<&str> = names.into_iter().flatten().filter(|name| !name.is_empty()).collect();
        let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        format!("process {} of role {role}{names}", session.pid)
    });
    let each = each.collect::<Vec<_>>().join(", ");
    let message =
        if writing { "the node is being written to" } else { "sessions are connected that may write" };
    let hint = if writing {
        "Stop its writers, and wait until their transactions have ended."
    } else {
        "Stop its writers and end their sessions. If these sessions do not write, pass --writers-stopped."
    };
    Err(Failure::new(message).of_node(&arguments.node).detail(format!("{each}.")).hint(hint))
}

/// Waits until all slots have confirmed everything that was written up to now.
fn wait_for_slots(session: &mut Session, node: &str, patience: Duration) -> Result<()> {
    session.query_one(MARK, &[])?;
    // After the mark is committed, so that confirming this confirms the mark.
    let position: String = session.query_one(POSITION, &[])?.try_get(0)?;
    say("waiting until all rows have arrived");
    let began = Instant::now();
    loop {
        let slots: Vec<Slot> = session.rows(SLOTS, &[&position])?;
        let Some(behind) = slots.iter().find(|slot| slot.behind > 0) else { return Ok(()) };
        if began.elapsed() > patience {
            let inactive = if behind.active { "" } else { ", and nobody is connected to it" };
            return Err(Failure::new("rows of the node have not arrived in time")
                .of_node(node)
                .detail(format!("Slot \"{}\" is {} bytes behind{inactive}.", behind.slot, behind.behind))
                .hint(
                    "Let replication catch up, and drop slots that nobody uses. --timeout waits for longer.",
                ));
        }
        interrupt::sleep(Duration::from_millis(250))?;
    }
}

/// Stores the state; never over one that is there.
fn store(path: &Path, document: &str) -> Result<()> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::new(format!("could not write \"{}\": {error}", path.display())),
    };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(format!("{document}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn exists(path: &Path) -> Failure {
    Failure::new(format!("file \"{}\" exists", path.display()))
        .hint("It may be the last state of a node that left before. Name another file with --state.")
}

fn text(left: &Left, width: Option<u16>) -> String {
    let mut text = String::new();
    if left.dry_run {
        let mut sessions = Table::new(["#process", "role", "application", "kind", "writes"]);
        for session in &left.sessions {
            sessions.row([
                &session.pid.to_string(),
                session.role.as_deref().unwrap_or_default(),
                session.application.as_deref().unwrap_or_default(),
                session.kind.as_deref().unwrap_or_default(),
                if session.writes { "yes" } else { "" },
            ]);
        }
        text += &crate::output::section("Sessions that would have to end", sessions, width);
        let mut slots = Table::new(["slot", "#bytes behind", "connected"]);
        for slot in &left.slots {
            slots.row([&slot.slot, &slot.behind.to_string(), if slot.active { "yes" } else { "no" }]);
        }
        text += &crate::output::section("Slots that would have to catch up", slots, width);
    }
    if let Some(path) = &left.state {
        let path = path.display().to_string();
        text += &format!(
            "The last state of node \"{}\", {}, is in \"{}\".\n",
            left.node,
            left.class,
            printable(&path)
        );
    }
    for next in &left.next {
        text += &format!("Next: {}\n", printable(next));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_state_is_never_written_over_another_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/three.left.json");
        store(&path, "first").unwrap();
        let failure = store(&path, "second").unwrap_err();
        assert!(failure.hint.unwrap().contains("--state"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first\n");
    }
}
