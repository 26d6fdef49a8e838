//! `pg_keyspace setup`: all nodes, each in a class of its own.

use std::collections::BTreeSet;

use keyspace::sequences::Class;
use serde::Serialize;

use crate::arguments::SetupArguments;
use crate::change::none_fails;
use crate::check::check_all;
use crate::classes::{Candidate, assign};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::journal::{Journal, Run};
use crate::left::{self, Left};
use crate::nodes::Fleet;
use crate::observe::{Observed, is_in_use};
use crate::output::{Output, say};
use crate::report::{NodeReport, Report};
use crate::runs::{self, Target, log_path, resumable};
use crate::session::Session;
use crate::strangers;

const COMMAND: &str = "setup";

/// What was asked for: an interrupted run goes on if it is the same.
#[derive(Serialize)]
struct Request<'a> {
    identities: Vec<(String, i64, u32)>,
    nodes: Vec<(&'a str, Option<i32>)>,
    classes: Option<i32>,
}

/// The classes of the nodes, as numbers.
type Plan = Vec<(String, i32, i32)>;

/// The work after everything is planned.
struct Work<'a> {
    fleet: &'a Fleet,
    arguments: &'a SetupArguments,
    left: &'a [Left],
    targets: Vec<Target>,
    reports: Vec<NodeReport>,
    observed: Observed,
}

/// Sets all nodes up, or shows what would be done.
///
/// # Errors
/// If something fails. Before the first change, nothing is half done; afterwards, another call goes
/// on.
pub fn run(fleet: &Fleet, output: Output, arguments: &SetupArguments) -> Result<Exit> {
    let given = given_classes(fleet, &arguments.class)?;
    let left = left::read(&arguments.change.left)?;
    let (mut sessions, _locks) = runs::open(fleet, COMMAND, arguments.change.dry_run)?;
    let names = fleet.nodes.iter().map(|node| node.name.as_str());
    let request = Request {
        identities: runs::identities(&sessions),
        nodes: names.zip(given.iter().copied()).collect(),
        classes: arguments.classes,
    };
    let mut journal = match arguments.change.dry_run {
        true => None,
        false => Some(Journal::open(&log_path(&arguments.change, fleet)?)?),
    };
    let interrupted: Option<Plan> = match &mut journal {
        Some(journal) => journal.interrupted(COMMAND, &request, arguments.change.abandon)?,
        None => None,
    };
    let classes = classes(fleet, &sessions, &given, arguments.classes, interrupted.as_ref())?;
    let is_new = |session: &Session, class: Class| session.facts.class.is_none().then_some(class);
    let new: Vec<Class> =
        sessions.iter().zip(&classes).filter_map(|(session, class)| is_new(session, *class)).collect();
    strangers::have_none_of(&mut sessions, &new, &left)?;

    say("reading the states of all nodes");
    let observed = Observed::once(&mut sessions)?;
    let targets = targets(&sessions, &classes, &observed, &left);
    let reports = runs::plan(&mut sessions, &targets, &arguments.options)?;
    let Some(mut journal) = journal else {
        let report = Report { command: COMMAND, dry_run: true, nodes: reports, ..Report::default() };
        return report.print(output);
    };
    for report in &reports {
        none_fails(&report.node, &report.changes)?;
    }
    let log = journal.path().to_owned();
    let plan: Plan = fleet
        .nodes
        .iter()
        .zip(&classes)
        .map(|(node, class)| (node.name.clone(), class.node(), class.nodes()))
        .collect();
    let run = journal.begin(COMMAND, &request, &plan)?;
    if run.goes_on {
        say("going on with an interrupted set-up");
    }
    let work = Work { fleet, arguments, left: &left, targets, reports, observed };
    let report = resumable(work.carry_out(&mut sessions, run), &log)?;
    Report { log: Some(log), ..report }.print(output)
}

impl Work<'_> {
    fn carry_out(mut self, sessions: &mut [Session], mut run: Run<'_>) -> Result<Report> {
        let in_use: BTreeSet<String> = self
            .observed
            .last()
            .iter()
            .filter(|state| is_in_use(&state.state))
            .map(|state| state.node.clone())
            .collect();
        let is_planned = |report: &NodeReport| report.changes.iter().any(|change| change.action == "planned");
        let is_moving = self.reports.iter().any(|report| in_use.contains(&report.node) && is_planned(report));
        if is_moving && self.arguments.options.gap.is_none() {
            let time = runs::observing(self.arguments.observe, &self.observed);
            self.observed.again(sessions, time, say)?;
        }
        // Nodes in use first, all at once. The others draw nothing, and get the states from
        // afterwards, in which the first ones are set up.
        let (first, second): (Vec<Target>, Vec<Target>) =
            self.targets.iter().cloned().partition(|target| in_use.contains(&target.node));
        for targets in [first, second] {
            if targets.is_empty() {
                continue;
            }
            let with_peers: Vec<Target> = targets
                .into_iter()
                .map(|target| Target { peers: peers(&self.observed, &target.node, self.left), ..target })
                .collect();
            let done = runs::set_up_in_batches(sessions, self.fleet, &with_peers, &self.arguments.options);
            runs::take_notices(sessions, &mut self.reports);
            done?;
            for target in &with_peers {
                run.done("set up", &target.node, &crate::classes::written(target.class))?;
            }
            self.observed = Observed::once(sessions)?;
        }
        say("checking all nodes");
        let left: Vec<String> = self.left.iter().map(|left| left.document.clone()).collect();
        let check = check_all(sessions, &left)?;
        runs::carried_out(&mut self.reports);
        let goes_on = run.goes_on;
        run.end()?;
        Ok(Report { command: COMMAND, goes_on, nodes: self.reports, check: Some(check), ..Report::default() })
    }
}

/// The states for the set-up of a node: those of all others, and of nodes that have left.
fn peers(observed: &Observed, node: &str, left: &[Left]) -> Vec<String> {
    let mut peers = observed.peers_of(node);
    peers.extend(left.iter().map(|left| left.document.clone()));
    peers
}

fn targets(sessions: &[Session], classes: &[Class], observed: &Observed, left: &[Left]) -> Vec<Target> {
    let target = |(session, class): (&Session, &Class)| Target {
        node: session.name().to_owned(),
        class: *class,
        peers: peers(observed, session.name(), left),
    };
    sessions.iter().zip(classes).map(target).collect()
}

/// The class of each node: that of the interrupted run, or one that is assigned now.
fn classes(
    fleet: &Fleet,
    sessions: &[Session],
    given: &[Option<i32>],
    classes: Option<i32>,
    interrupted: Option<&Plan>,
) -> Result<Vec<Class>> {
    let nodes = fleet.nodes.iter().zip(sessions).zip(given);
    let candidates: Vec<Candidate> = nodes
        .map(|((node, session), given)| Candidate {
            name: node.name.clone(),
            current: session.facts.class,
            given: *given,
        })
        .collect();
    let Some(plan) = interrupted else { return assign(&candidates, classes, fleet.classes) };
    let mut planned = Vec::new();
    for (candidate, (name, node, nodes)) in candidates.iter().zip(plan) {
        let class = Class::new(*node, *nodes)?;
        if candidate.name != *name || candidate.current.is_some_and(|current| current != class) {
            return Err(Failure::new("the interrupted set-up does not fit any more")
                .of_node(&candidate.name)
                .detail("The node has another class than it was to get.")
                .hint("Look at it with \"status\", and begin again with --abandon."));
        }
        planned.push(class);
    }
    Ok(planned)
}

/// The class that the user gives each node, by `--class` or in the file.
fn given_classes(fleet: &Fleet, arguments: &[String]) -> Result<Vec<Option<i32>>> {
    let mut given: Vec<Option<i32>> = fleet.nodes.iter().map(|node| node.class).collect();
    let mut seen = BTreeSet::new();
    for argument in arguments {
        let parsed =
            argument.split_once('=').and_then(|(name, number)| Some((name, number.parse::<i32>().ok()?)));
        let (name, number) = parsed.ok_or_else(|| {
            Failure::new(format!("invalid value for \"--class\": \"{argument}\""))
                .hint("Write NAME=NUMBER, for example \"three=3\".")
        })?;
        fleet.node(name)?;
        if !seen.insert(name) {
            return Err(Failure::new(format!("the class of node \"{name}\" is specified twice")));
        }
        for (node, given) in fleet.nodes.iter().zip(&mut given) {
            if node.name == name {
                *given = Some(number);
            }
        }
    }
    Ok(given)
}
