//! `pg_keyspace fail-over`: a promoted standby continues as the node that its primary was.

use crate::arguments::FailOverArguments;
use crate::change::none_fails;
use crate::check::check_all;
use crate::classes::written;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::journal::{Journal, Run};
use crate::left::{self, Left};
use crate::nodes::Fleet;
use crate::observe::Observed;
use crate::output::{Output, say};
use crate::report::Report;
use crate::runs::{self, Target, log_path, resumable};
use crate::session::Session;

const COMMAND: &str = "fail-over";

/// Moves a promoted server above the ids that may have been lost, or shows what would be done.
///
/// # Errors
/// If something fails.
pub fn run(fleet: &Fleet, output: Output, arguments: &FailOverArguments) -> Result<Exit> {
    fleet.node(&arguments.node)?;
    let left = left::read(&arguments.change.left)?;
    let (mut sessions, _locks) = runs::open(fleet, COMMAND, arguments.change.dry_run)?;
    let promoted = runs::session(&mut sessions, &arguments.node)?;
    let class = promoted.facts.class.ok_or_else(|| {
        Failure::new("this node is not set up")
            .of_node(&arguments.node)
            .hint("A promoted standby is the node that its primary was. Does its connection string lead to the promoted server?")
    })?;
    if arguments.options.gap.is_none() {
        // Nothing shows the ids that have arrived nowhere, so that no gap can be computed.
        return Err(Failure::new("--gap is needed")
            .of_node(&arguments.node)
            .detail("Ids that the former primary has generated, and that have arrived nowhere, are not known to any node.")
            .hint(format!(
                "Pass the values that it may have generated since the last one that was received, times {}. If nothing can have been lost, pass 0.",
                class.nodes()
            )));
    }
    let mut journal = match arguments.change.dry_run {
        true => None,
        false => Some(Journal::open(&log_path(&arguments.change, fleet)?)?),
    };
    let request = (runs::identities(&sessions), &arguments.node, arguments.options.gap);
    if let Some(journal) = &mut journal {
        journal.interrupted::<(i32, i32)>(COMMAND, &request, arguments.change.abandon)?;
    }
    say("checking all nodes before anything is changed");
    let documents: Vec<String> = left.iter().map(|left| left.document.clone()).collect();
    let before = check_all(&mut sessions, &documents)?;
    let observed = Observed::once(&mut sessions)?;
    let target =
        Target { node: arguments.node.clone(), class, peers: peers(&observed, &arguments.node, &left) };
    let targets = [target];
    let nodes = runs::plan(&mut sessions, &targets, &arguments.options)?;
    let report = Report { command: COMMAND, before: Some(before), nodes, ..Report::default() };
    let Some(mut journal) = journal else {
        return Report { dry_run: true, ..report }.print(output);
    };
    for node in &report.nodes {
        none_fails(&node.node, &node.changes)?;
    }
    let log = journal.path().to_owned();
    let run = journal.begin(COMMAND, &request, &(class.node(), class.nodes()))?;
    let goes_on = run.goes_on;
    let report = resumable(carry_out(&mut sessions, arguments, &targets, &documents, report, run), &log)?;
    Report { goes_on, log: Some(log), ..report }.print(output)
}

fn peers(observed: &Observed, node: &str, left: &[Left]) -> Vec<String> {
    observed.peers_of(node).into_iter().chain(left.iter().map(|left| left.document.clone())).collect()
}

fn carry_out(
    sessions: &mut [Session],
    arguments: &FailOverArguments,
    targets: &[Target],
    left: &[String],
    mut report: Report,
    mut run: Run<'_>,
) -> Result<Report> {
    let done = runs::set_up_at_once(sessions, targets, &arguments.options);
    runs::take_notices(sessions, &mut report.nodes);
    for (node, changes) in done? {
        run.done("set up", &node, &targets.iter().map(|target| written(target.class)).collect::<Vec<_>>())?;
        if let Some(of_node) = report.nodes.iter_mut().find(|of_node| of_node.node == node) {
            of_node.changes = changes;
        }
    }
    say("checking all nodes");
    let check = check_all(sessions, left)?;
    run.end()?;
    let next = "allow writes on this server now; its former primary must not come back as the same node.";
    Ok(Report { check: Some(check), next: vec![next.to_owned()], ..report })
}
