//! What all commands that change nodes do in the same way.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keyspace::sequences::Class;

use crate::arguments::ChangeArguments;
use crate::change::{self, Change, SetupOptions};
use crate::classes::written;
use crate::failure::{Failure, Result};
use crate::lock::{self, Locks};
use crate::nodes::{Fleet, Node};
use crate::observe::{self, Observed};
use crate::progress::{Bar, Bars};
use crate::report::NodeReport;
use crate::session::{Facts, Session, at_once};
use crate::sessions::{self, all};

/// Where the log is.
///
/// # Errors
/// If no place is known.
pub fn log_path(arguments: &ChangeArguments, fleet: &Fleet) -> Result<PathBuf> {
    arguments.log.clone().map_or_else(|| usual_log(fleet), Ok)
}

/// Where the log is, if `--log` does not say it.
///
/// # Errors
/// If no place is known.
pub fn usual_log(fleet: &Fleet) -> Result<PathBuf> {
    if let Some(file) = &fleet.file {
        return Ok(file.with_extension("log"));
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    let state =
        state.ok_or_else(|| Failure::new("no place for the log is known").hint("Name a file with --log."))?;
    Ok(state.join("pg_keyspace/log"))
}

/// Connects to all nodes, which have to be ready to be changed, and keeps other runs away from them as
/// long as the result exists. A dry run keeps nobody away.
///
/// # Errors
/// If they are not ready, or another run has one of them.
pub fn open(fleet: &Fleet, command: &str, dry_run: bool) -> Result<(Vec<Session>, Option<Locks>)> {
    let mut sessions = sessions::open(fleet)?;
    sessions::can_be_changed(&facts(&sessions))?;
    if dry_run {
        for session in &mut sessions {
            // A check would store the states that it is given.
            session.execute("SET default_transaction_read_only TO on", &[])?;
        }
        return Ok((sessions, None));
    }
    let locks = lock::take(fleet, &facts(&sessions), command)?;
    // A set-up of an interrupted run may still be going on. States are taken after it, because a
    // gap covers the time since then.
    all(at_once(sessions.iter_mut().collect(), change::wait_for_others))?;
    // What was read before the lock may be out of date.
    all(at_once(sessions.iter_mut().collect(), Session::read_class_again))?;
    sessions::can_be_changed(&facts(&sessions))?;
    Ok((sessions, Some(locks)))
}

fn facts(sessions: &[Session]) -> Vec<&Facts> {
    sessions.iter().map(|session| &session.facts).collect()
}

/// The nodes, by name and identity: an interrupted run goes on with the same ones only.
pub fn identities(sessions: &[Session]) -> Vec<(String, i64, u32)> {
    let of = |session: &Session| {
        (session.name().to_owned(), session.facts.system_identifier, session.facts.database_oid)
    };
    sessions.iter().map(of).collect()
}

/// How long nodes in use are observed.
pub fn observing(seconds: Option<u64>, observed: &Observed) -> Duration {
    seconds.map_or_else(|| observe::default_time(observed.last()), Duration::from_secs)
}

/// Adds the way on to a failure in the middle of a run.
pub fn resumable<T>(result: Result<T>, log: &Path) -> Result<T> {
    result.map_err(|failure| {
        let on = format!(
            "Call it again with the same arguments, and it goes on; what is done is in log \"{}\".",
            log.display()
        );
        let hint = failure.hint.as_ref().map_or_else(|| on.clone(), |hint| format!("{hint} {on}"));
        failure.hint(hint)
    })
}

/// What one node is to become.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name of the node.
    pub node: String,
    /// Its class.
    pub class: Class,
    /// The states for its set-up.
    pub peers: Vec<String>,
}

/// Shows what the set-ups of all these nodes would do.
///
/// # Errors
/// Those of the servers.
pub fn plan(sessions: &mut [Session], targets: &[Target], options: &SetupOptions) -> Result<Vec<NodeReport>> {
    let reports = at_once(with_sessions(sessions, targets), |(session, target): (&mut Session, &Target)| {
        let class_before = session.facts.class.map(written);
        let changes = options.set_up(session, target.class, &target.peers, true)?;
        // The messages of a plan come again when it is carried out.
        session.take_notices();
        Ok(NodeReport {
            node: target.node.clone(),
            class_before,
            class: written(target.class),
            changes,
            notices: Vec::new(),
        })
    });
    all(reports)
}

/// Sets nodes up at once, in batches, with a progress bar for each.
///
/// # Errors
/// Those of the servers. All nodes have ended then.
pub fn set_up_in_batches(
    sessions: &mut [Session],
    fleet: &Fleet,
    targets: &[Target],
    options: &SetupOptions,
) -> Result<()> {
    let bars = Bars::new(targets.iter().map(|target| target.node.as_str()));
    let results = at_once(with_sessions(sessions, targets), |(session, target): (&mut Session, &Target)| {
        let bar = bars.add(&target.node);
        let is_over = AtomicBool::new(false);
        let done = std::thread::scope(|scope| {
            let shown = scope.spawn(|| show_progress(fleet.node(&target.node)?, &bar, &is_over));
            let done = options.set_up_in_batches(session, target.class, &target.peers);
            is_over.store(true, Ordering::SeqCst);
            // Progress that cannot be shown is no failure of the set-up.
            let _ = shown.join();
            done
        });
        bar.finish(match &done {
            Ok(()) => "set up",
            Err(failure) if failure.is_interrupt => "interrupted",
            Err(_) => "failed",
        });
        done
    });
    all(results).map(|_| ())
}

fn show_progress(node: &Node, bar: &Bar, is_over: &AtomicBool) -> Result<()> {
    let mut session = Session::open(node)?;
    change::watch_batches(&mut session, bar, || is_over.load(Ordering::SeqCst))
}

/// Sets nodes up at once, each in one transaction.
///
/// # Errors
/// Those of the servers. All nodes have ended then.
pub fn set_up_at_once(
    sessions: &mut [Session],
    targets: &[Target],
    options: &SetupOptions,
) -> Result<Vec<(String, Vec<Change>)>> {
    all(at_once(with_sessions(sessions, targets), |(session, target): (&mut Session, &Target)| {
        let changes = options.set_up(session, target.class, &target.peers, false)?;
        Ok((target.node.clone(), changes))
    }))
}

fn with_sessions<'a>(
    sessions: &'a mut [Session],
    targets: &'a [Target],
) -> Vec<(&'a mut Session, &'a Target)> {
    let target = |session: &Session| targets.iter().find(|target| target.node == session.name());
    sessions.iter_mut().filter_map(|session| target(session).map(|target| (session, target))).collect()
}

/// Moves what the servers have said into the report.
pub fn take_notices(sessions: &mut [Session], reports: &mut [NodeReport]) {
    for session in sessions {
        let notices = session.take_notices();
        if let Some(report) = reports.iter_mut().find(|report| report.node == session.name()) {
            report.notices.extend(notices.into_iter().filter(|notice| !is_progress(&notice.message)));
        }
    }
}

/// Progress is shown otherwise.
fn is_progress(message: &str) -> bool {
    message.ends_with(" sequences done")
}

/// The session of a node.
///
/// # Errors
/// If there is none.
pub fn session<'a>(sessions: &'a mut [Session], node: &str) -> Result<&'a mut Session> {
    sessions
        .iter_mut()
        .find(|session| session.name() == node)
        .ok_or_else(|| Failure::new(format!("there is no node \"{node}\"")))
}

/// Marks planned changes as done.
pub fn carried_out(reports: &mut [NodeReport]) {
    for change in reports.iter_mut().flat_map(|report| &mut report.changes) {
        if change.action == "planned" {
            "altered".clone_into(&mut change.action);
        }
    }
}
