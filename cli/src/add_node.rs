//! `pg_keyspace add-node`: a node more, in a free class, or in one that a split makes free.

use keyspace::sequences::Class;
use serde::{Deserialize, Serialize};

use crate::arguments::AddNodeArguments;
use crate::change::none_fails;
use crate::check::check_all;
use crate::classes::{are_disjoint, written};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::journal::{Journal, Run};
use crate::left::{self, Left};
use crate::nodes::Fleet;
use crate::observe::Observed;
use crate::output::{Output, say};
use crate::report::{NodeReport, Report};
use crate::runs::{self, Target, log_path, resumable};
use crate::session::Session;
use crate::split;
use crate::strangers;

const COMMAND: &str = "add-node";

/// How the class of the new node comes to be free.
#[derive(Clone, Debug, Deserialize, Serialize)]
enum Plan {
    /// It is free.
    Free((i32, i32)),
    /// A node is split, and the class is one of those that become free.
    Split(split::Plan, (i32, i32)),
}

/// Adds a node, or shows what would be done.
///
/// # Errors
/// If something fails.
pub fn run(fleet: &Fleet, output: Output, arguments: &AddNodeArguments) -> Result<Exit> {
    fleet.node(&arguments.node)?;
    let left = left::read(&arguments.change.left)?;
    let (mut sessions, _locks) = runs::open(fleet, COMMAND, arguments.change.dry_run)?;
    let request = (runs::identities(&sessions), &arguments.node, arguments.class, &arguments.split);
    if arguments.change.dry_run {
        let plan = plan(&mut sessions, arguments, &left)?;
        return show(&mut sessions, arguments, &left, &plan)?.print(output);
    }
    let mut journal = Journal::open(&log_path(&arguments.change, fleet)?)?;
    let log = journal.path().to_owned();
    let plan = match journal.interrupted(COMMAND, &request, arguments.change.abandon)? {
        Some(plan) => plan,
        None => plan(&mut sessions, arguments, &left)?,
    };
    // Shown first, so that everything that can be refused is refused before the first change.
    let shown = show(&mut sessions, arguments, &left, &plan)?;
    for node in &shown.nodes {
        none_fails(&node.node, &node.changes)?;
    }
    let run = journal.begin(COMMAND, &request, &plan)?;
    let goes_on = run.goes_on;
    let report = resumable(carry_out(fleet, &mut sessions, arguments, &left, &plan, shown, run), &log)?;
    Report { goes_on, dry_run: false, log: Some(log), ..report }.print(output)
}

/// The plan for the present classes of the nodes.
fn plan(sessions: &mut [Session], arguments: &AddNodeArguments, left: &[Left]) -> Result<Plan> {
    let new = &arguments.node;
    let mut classes = Vec::new();
    for session in sessions.iter().filter(|session| session.name() != new) {
        let class = session.facts.class.ok_or_else(|| {
            Failure::new("this node is not set up")
                .of_node(session.name())
                .hint("Set up all nodes but the new one first: \"setup\".")
        })?;
        classes.push((session.name().to_owned(), class));
    }
    let named: Vec<(&str, Class)> = classes.iter().map(|(name, class)| (name.as_str(), *class)).collect();
    are_disjoint(&named)?;
    let present = runs::session(sessions, new)?.facts.class;
    if let Some(donor) = &arguments.split {
        let session = runs::session(sessions, donor)?;
        if donor == new {
            return Err(Failure::new("a node cannot be added by splitting itself").of_node(new));
        }
        let plan = split::Plan::of(session, 2)?;
        let class = *plan.freed().first().ok_or_else(|| Failure::new("no class becomes free"))?;
        is_not_another(new, present, class)?;
        return Ok(Plan::Split(plan, (class.node(), class.nodes())));
    }
    let number = arguments.class.unwrap_or_default();
    // Of as many classes as the nodes have; after a split, as the one with the most.
    let most = classes.iter().map(|(_, class)| class.nodes()).max().unwrap_or(Class::MIN_NODES);
    let class = Class::new(number, most).map_err(|error| Failure::from(error).of_node(new))?;
    let plan = Plan::Free((class.node(), class.nodes()));
    plan.is_free(sessions, new, left)?;
    Ok(plan)
}

/// A new node may have its class from an earlier call, but no other one: it would be a node of
/// another fleet, or a copy that has not been looked at.
fn is_not_another(node: &str, present: Option<Class>, class: Class) -> Result<()> {
    match present {
        Some(present) if present != class => {
            let message =
                format!("node \"{node}\" is set up as {}, not {}", written(present), written(class));
            Err(Failure::new(message).hint("If it is a copy of another node, see the runbook, \"Clone\"."))
        }
        _ => Ok(()),
    }
}

impl Plan {
    /// The set-up of the new node, with the states of all others.
    fn target(&self, new: &str, observed: &Observed, left: &[Left]) -> Result<Target> {
        let (Self::Free(class) | Self::Split(_, class)) = self;
        let left = left.iter().map(|left| left.document.clone());
        let peers = observed.peers_of(new).into_iter().chain(left).collect();
        Ok(Target { node: new.to_owned(), class: Class::new(class.0, class.1)?, peers })
    }

    /// Fails unless the class is free now, or the new node has it already. The plan may be that of a
    /// run that was interrupted long ago.
    fn is_free(&self, sessions: &mut [Session], new: &str, left: &[Left]) -> Result<()> {
        let (Self::Free(class) | Self::Split(_, class)) = self;
        let class = Class::new(class.0, class.1)?;
        is_not_another(new, runs::session(sessions, new)?.facts.class, class)?;
        let others = sessions.iter().filter(|session| session.name() != new);
        let mut named: Vec<(&str, Class)> =
            others.filter_map(|session| session.facts.class.map(|class| (session.name(), class))).collect();
        named.push((new, class));
        are_disjoint(&named)?;
        if runs::session(sessions, new)?.facts.class.is_none() {
            strangers::have_none_of(sessions, &[class], left)?;
        }
        Ok(())
    }
}

/// What the plan would do. A node whose class is not free before a split is shown without its
/// sequences.
fn show(
    sessions: &mut [Session],
    arguments: &AddNodeArguments,
    left: &[Left],
    plan: &Plan,
) -> Result<Report> {
    let mut nodes = Vec::new();
    let observed = Observed::once(sessions)?;
    let target = plan.target(&arguments.node, &observed, left)?;
    match plan {
        Plan::Free(_) => nodes.extend(runs::plan(sessions, &[target], &arguments.options)?),
        Plan::Split(split, _) => {
            let changes = split.show(runs::session(sessions, split.node())?)?;
            if arguments.change.dry_run && !arguments.options.is_default() {
                say("the set-up of the new node is planned after the split: its options are not tried now");
            }
            nodes.push(split.report(changes));
            nodes.push(NodeReport {
                node: target.node,
                class: written(target.class),
                ..NodeReport::default()
            });
        }
    }
    Ok(Report { command: COMMAND, dry_run: true, nodes, ..Report::default() })
}

fn carry_out(
    fleet: &Fleet,
    sessions: &mut [Session],
    arguments: &AddNodeArguments,
    left: &[Left],
    plan: &Plan,
    mut report: Report,
    mut run: Run<'_>,
) -> Result<Report> {
    match plan {
        Plan::Free(_) => {}
        Plan::Split(split, _) => {
            say(&format!("splitting the class of node \"{}\"", split.node()));
            split.carry_out(runs::session(sessions, split.node())?, &mut run)?;
        }
    }
    plan.is_free(sessions, &arguments.node, left)?;
    // The states from now on, in which the class is free.
    let observed = Observed::once(sessions)?;
    let new = [plan.target(&arguments.node, &observed, left)?];
    let planned = runs::plan(sessions, &new, &arguments.options)?;
    for node in planned {
        none_fails(&node.node, &node.changes)?;
        report.nodes.retain(|other| other.node != node.node);
        report.nodes.push(node);
    }
    say(&format!("setting up node \"{}\"", arguments.node));
    let done = runs::set_up_in_batches(sessions, fleet, &new, &arguments.options);
    runs::take_notices(sessions, &mut report.nodes);
    done?;
    for target in &new {
        run.done("set up", &target.node, &written(target.class))?;
    }
    say("checking all nodes");
    let left: Vec<String> = left.iter().map(|left| left.document.clone()).collect();
    let check = check_all(sessions, &left)?;
    runs::carried_out(&mut report.nodes);
    run.end()?;
    let next = "allow writes on the new node only now; other nodes need no change.";
    Ok(Report { check: Some(check), next: vec![next.to_owned()], ..report })
}
