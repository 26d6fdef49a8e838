//! `pg_keyspace split`: a node gives up a part of its class.

use keyspace::sequences::Class;
use serde::{Deserialize, Serialize};

use crate::arguments::SplitArguments;
use crate::change::{self, Change, none_fails};
use crate::check::check_all;
use crate::classes::written;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::journal::{Journal, Run};
use crate::left;
use crate::nodes::Fleet;
use crate::output::{Output, say};
use crate::report::{NodeReport, Report};
use crate::runs::{self, log_path, resumable};
use crate::session::Session;

const COMMAND: &str = "split";

/// A split that is planned: the class before and afterwards, as numbers. It is stored, because a
/// split that is repeated would split the class once more.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Plan {
    node: String,
    before: (i32, i32),
    after: (i32, i32),
}

impl Plan {
    /// A plan for the present class of a node.
    ///
    /// # Errors
    /// If it has none, or one that cannot be split.
    pub fn of(session: &Session, factor: i32) -> Result<Self> {
        let name = session.name();
        let before = session.facts.class.ok_or_else(|| {
            Failure::new("this node is not set up").of_node(name).hint("Set it up first: \"setup\".")
        })?;
        let after = before.split(factor).map_err(|error| Failure::from(error).of_node(name))?;
        let numbers = |class: Class| (class.node(), class.nodes());
        Ok(Self { node: name.to_owned(), before: numbers(before), after: numbers(after) })
    }

    /// The name of the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    fn factor(&self) -> i32 {
        self.after.1.checked_div(self.before.1).unwrap_or_default()
    }

    /// The class before.
    fn before(&self) -> Class {
        Class::new_unchecked(self.before.0, self.before.1)
    }

    /// The class afterwards.
    fn after(&self) -> Class {
        Class::new_unchecked(self.after.0, self.after.1)
    }

    /// The classes that become free.
    pub fn freed(&self) -> Vec<Class> {
        let free = self.before().freed_by(self.after());
        free.map(|node| Class::new_unchecked(node, self.after.1)).collect()
    }

    /// The report of the split.
    pub fn report(&self, changes: Vec<Change>) -> NodeReport {
        NodeReport {
            node: self.node.clone(),
            class_before: Some(written(self.before())),
            class: written(self.after()),
            changes,
            notices: Vec::new(),
        }
    }

    /// Shows what the split would do. A split that was done before an interruption shows nothing.
    ///
    /// # Errors
    /// Those of the server, or if the node has neither of the two classes.
    pub fn show(&self, session: &mut Session) -> Result<Vec<Change>> {
        if self.is_done(session)? {
            return Ok(Vec::new());
        }
        let changes = change::split(session, self.factor(), true)?;
        session.take_notices();
        none_fails(&self.node, &changes)?;
        Ok(changes)
    }

    /// Splits the class, unless that was done before an interruption.
    ///
    /// # Errors
    /// Those of the server.
    pub fn carry_out(&self, session: &mut Session, run: &mut Run<'_>) -> Result<()> {
        if !self.is_done(session)? {
            change::split(session, self.factor(), false)?;
            session.read_class_again()?;
        }
        run.done(COMMAND, &self.node, &written(self.after()))
    }

    fn is_done(&self, session: &Session) -> Result<bool> {
        match session.facts.class {
            Some(class) if class == self.after() => Ok(true),
            Some(class) if class == self.before() => Ok(false),
            class => Err(Failure::new("the interrupted split does not fit any more")
                .of_node(&self.node)
                .detail(format!(
                    "The node was {} and is {} now.",
                    written(self.before()),
                    class.map_or_else(|| "not set up".to_owned(), written)
                ))
                .hint("Look at it with \"status\", and begin again with --abandon.")),
        }
    }
}

/// Splits the class of a node, or shows what would be done.
///
/// # Errors
/// If something fails.
pub fn run(fleet: &Fleet, output: Output, arguments: &SplitArguments) -> Result<Exit> {
    fleet.node(&arguments.node)?;
    let left = left::read(&arguments.change.left)?;
    if arguments.change.dry_run && !left.is_empty() {
        return Err(Failure::new("--left cannot be used with --dry-run here")
            .detail("The last states of nodes that have left are for the check, and a dry run of a split checks nothing."));
    }
    let (mut sessions, _locks) = runs::open(fleet, COMMAND, arguments.change.dry_run)?;
    let request = (runs::identities(&sessions), &arguments.node, arguments.factor);
    let donor = runs::session(&mut sessions, &arguments.node)?;
    if arguments.change.dry_run {
        let plan = Plan::of(donor, arguments.factor)?;
        let changes = change::split(donor, arguments.factor, true)?;
        let report = Report {
            command: COMMAND,
            dry_run: true,
            nodes: vec![plan.report(changes)],
            next: vec![next(&plan)],
            ..Report::default()
        };
        return report.print(output);
    }
    let mut journal = Journal::open(&log_path(&arguments.change, fleet)?)?;
    let log = journal.path().to_owned();
    let plan = match journal.interrupted(COMMAND, &request, arguments.change.abandon)? {
        Some(plan) => plan,
        None => Plan::of(donor, arguments.factor)?,
    };
    let mut report = plan.report(plan.show(donor)?);
    let mut run = journal.begin(COMMAND, &request, &plan)?;
    let goes_on = run.goes_on;
    resumable(plan.carry_out(donor, &mut run), &log)?;
    report.notices = donor.take_notices();
    let mut reports = vec![report];
    runs::carried_out(&mut reports);
    say("checking all nodes");
    let left: Vec<String> = left.into_iter().map(|left| left.document).collect();
    let check = resumable(check_all(&mut sessions, &left), &log)?;
    run.end()?;
    let report = Report {
        command: COMMAND,
        goes_on,
        nodes: reports,
        check: Some(check),
        next: vec![next(&plan)],
        log: Some(log),
        ..Report::default()
    };
    report.print(output)
}

fn next(plan: &Plan) -> String {
    let freed: Vec<String> = plan.freed().into_iter().map(written).collect();
    format!(
        "free for a new node: {}. Dump the schema for it after the split, let the initial copy complete, and call \"add-node\".",
        freed.join(", ")
    )
}
