//! `migrate plan` and `migrate run` on several nodes: the migration up to the cut-over.
//!
//! As on one node, everything that an interrupted run needs is in the databases, so there is no log.

use keyspace::migration::nodes::{Form, NodeState};

use super::super::arguments::{KeyArguments, PlanArguments, RunArguments};
use super::super::plan::{self, Finding, Plan};
use super::super::run::{left, run_one};
use super::super::watch::{Display, watched};
use super::super::{call, first_words};
use super::compare;
use super::group::{Exchange, Group, Member};
use super::outcome::{OfNode, Together};
use super::step::run_when_allowed;
use super::unfinished;
use crate::check::Severity;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::nodes::Fleet;
use crate::output::{Output, say};

/// How long it is looked whether replication goes on, after indexes were built.
const ARRIVAL: std::time::Duration = std::time::Duration::from_secs(300);

/// Shows the plan of each node.
///
/// # Errors
/// Those of the servers.
pub fn plan(fleet: &Fleet, output: Output, arguments: &PlanArguments) -> Result<Exit> {
    let mut group = Group::open(fleet, &arguments.table)?;
    let numbers = group.numbers();
    let states = group.exchange.states()?;
    let mut result = of("plan", &group, true);
    for ((member, state), own) in group.members.iter_mut().zip(&states).zip(&mut result.nodes) {
        let (plan, statements) = if exists(state.as_ref()) {
            kept(&arguments.key);
            let statements = left(&mut member.session, &member.table, "verified")?;
            (plan::read(&mut member.session, &member.table, &arguments.key)?, statements)
        } else {
            would_create(member, &arguments.key, &[], &numbers)?
        };
        report(own, plan, statements);
    }
    result.next = vec!["migrate run; with --on NAME, migrate plan shows the steps of a node.".to_owned()];
    result.print(output)
}

/// Runs the migration on all nodes up to the cut-over, or shows what would be run.
///
/// # Errors
/// Those of the servers, with the way on.
pub fn run(fleet: &Fleet, output: Output, arguments: &RunArguments) -> Result<Exit> {
    let mut group = Group::open(fleet, &arguments.table)?;
    for member in &group.members {
        // A setting that does not exist is an error of usage, whatever the plan says.
        call::set(&member.session, &member.table, &arguments.settings)?;
    }
    if !arguments.dry_run {
        group.lock(arguments.maintenance_work_mem.as_ref())?;
    }
    let states = group.exchange.states()?;
    check(&group, &states)?;
    let mut result = of("run", &group, arguments.dry_run);
    let is_cut_over = states.iter().flatten().any(|state| state.progress.form == Form::Keys);
    if is_cut_over {
        result.next = vec!["migrate finalize, days or weeks later; migrate rollback goes back.".to_owned()];
        return result.print(output);
    }
    let numbers = group.numbers();
    for ((member, state), own) in group.members.iter_mut().zip(&states).zip(&mut result.nodes) {
        let (plan, statements) = if exists(state.as_ref()) {
            kept(&arguments.key);
            let mut statements: Vec<String> =
                call::set(&member.session, &member.table, &arguments.settings)?.into_iter().collect();
            statements.extend(left(&mut member.session, &member.table, "verified")?);
            (plan::read(&mut member.session, &member.table, &KeyArguments::default())?, statements)
        } else {
            would_create(member, &arguments.key, &arguments.settings, &numbers)?
        };
        report(own, plan, statements);
    }
    if arguments.dry_run || result.nodes.iter().any(OfNode::has_errors) {
        // Nothing is created.
        result.next = vec![if result.nodes.iter().any(OfNode::has_errors) {
            "resolve every error, then call it again.".to_owned()
        } else {
            "states are passed between all steps, and keys are compared; migrate run does it.".to_owned()
        }];
        return result.print(output);
    }
    let display = Display::new();
    let done = carry_out(&mut group, arguments, &states, &display);
    display.finish();
    let statements = done.map_err(|failure| {
        let on = "Call it again, and it goes on with what is left.";
        let hint = failure.hint.as_ref().map_or_else(|| on.to_owned(), |hint| format!("{hint} {on}"));
        failure.hint(hint)
    })?;
    let is_new = |own: &OfNode| own.phase.is_none();
    for (own, statements) in result.nodes.iter_mut().zip(statements) {
        // Those of before are shown only the first time.
        let is_shown = is_new(own);
        own.findings.retain(|finding| is_shown && finding.severity == Severity::Warning);
        own.statements = statements;
    }
    fill_in(&mut group, &mut result)?;
    for (member, own) in group.members.iter_mut().zip(&mut result.nodes) {
        own.notices = member.session.take_notices();
        own.notices.retain(|notice| notice.severity == "WARNING");
    }
    result.next = vec![
        "migrate cut-over; with --on NAME --rehearse it shows what would be in its way on a node.".to_owned(),
    ];
    result.print(output)
}

/// A migration that has ended does not keep the table from being migrated once more.
fn exists(state: Option<&NodeState>) -> bool {
    state.is_some_and(|state| state.progress.form != Form::Finalized)
}

fn kept(key: &KeyArguments) {
    if !key.named().is_empty() || !key.references.is_empty() {
        say(plan::KEPT);
    }
}

/// A result without anything in it but the nodes.
pub fn of(command: &'static str, group: &Group<'_>, dry_run: bool) -> Together {
    let node = |member: &Member<'_>| OfNode {
        node: member.node.name.clone(),
        number: member.number,
        ..OfNode::default()
    };
    let table = group.members.first().map(|member| member.table.name.clone()).unwrap_or_default();
    let nodes = group.members.iter().map(node).collect();
    Together { command, table, dry_run, nodes, ..Together::default() }
}

/// What the nodes say at the end.
///
/// # Errors
/// Those of the servers.
pub fn fill_in(group: &mut Group<'_>, result: &mut Together) -> Result<()> {
    let states = group.exchange.states()?;
    for ((member, state), own) in group.members.iter_mut().zip(&states).zip(&mut result.nodes) {
        own.phase = member.table.phase(&mut member.session)?;
        own.compared = state.as_ref().is_some_and(|state| state.progress.compared);
        own.closed = state.as_ref().is_some_and(|state| state.progress.closed.is_some());
    }
    Ok(())
}

fn report(own: &mut OfNode, plan: Plan, statements: Vec<String>) {
    own.phase = plan.phase;
    own.findings = plan.findings;
    own.statements = statements;
}

/// Fails if the migration cannot go on towards its cut-over.
fn check(group: &Group<'_>, states: &[Option<NodeState>]) -> Result<()> {
    unfinished::check_open(group, states)?;
    let of = |has: &dyn Fn(&NodeState) -> bool| {
        states.iter().flatten().find(|state| has(state)).map(|state| group.name(state.node))
    };
    if let Some(node) = of(&|state| state.progress.form == Form::Unprepared && state.progress.round > 0) {
        return Err(Failure::new("the key migration is being removed")
            .of_node(node)
            .hint("Call \"migrate rollback\" again: it goes on with what is left. Then begin again."));
    }
    let forms = [Form::OldIds, Form::Keys, Form::Finalized];
    let has = |form: Form| of(&move |state| state.progress.form == form);
    for form in forms {
        let other = states.iter().zip(&group.members).find(|(state, _)| {
            // A node that is not prepared yet follows.
            state.as_ref().is_none_or(|state| state.progress.form != form)
                && !(form == Form::OldIds
                    && state.as_ref().is_some_and(|s| s.progress.form == Form::Unprepared))
        });
        if let (Some(node), Some((_, member))) = (has(form), other) {
            let message = format!("nodes \"{node}\" and \"{}\" are not in the same step", member.node.name);
            return Err(Failure::new(message)
                .detail(format!("On node \"{node}\" the tables are {}.", form.name()))
                .hint("Call the command that was interrupted again: \"migrate cut-over\", \"rollback\" or \"finalize\"."));
        }
    }
    Ok(())
}

/// The plan of a migration that is created and rolled back, and the statements of it.
fn would_create(
    member: &mut Member<'_>,
    key: &KeyArguments,
    settings: &[String],
    nodes: &[i32],
) -> Result<(Plan, Vec<String>)> {
    let (session, table) = (&mut member.session, &member.table);
    let mut statements = key.create(session, table, nodes)?;
    statements.extend(call::set(session, table, settings)?);
    session.batch_execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout TO '1min'")?;
    let shown = statements.iter().try_for_each(|statement| session.batch_execute(statement)).and_then(|()| {
        statements.extend(left(session, table, "verified")?);
        plan::read(session, table, &KeyArguments::default())
    });
    session.batch_execute("ROLLBACK")?;
    match shown {
        Ok(plan) => Ok((Plan { phase: None, ..plan }, statements)),
        // The plan says more than the first error. It does not know of other nodes.
        Err(failure) if failure.is_interrupt => Err(failure),
        Err(failure) => {
            let mut plan = plan::read(session, table, key)?;
            let text = [Some(failure.message.clone()), failure.detail.clone(), failure.hint.clone()];
            let detail = text.into_iter().flatten().collect::<Vec<_>>().join(" ");
            plan.findings.retain(|finding| finding.severity != Severity::Error);
            plan.findings
                .insert(0, Finding { severity: Severity::Error, table: Some(table.name.clone()), detail });
            Ok((plan, Vec::new()))
        }
    }
}

/// Runs everything up to the cut-over. Returns the statements that were run on each node.
fn carry_out(
    group: &mut Group<'_>,
    arguments: &RunArguments,
    states: &[Option<NodeState>],
    display: &Display,
) -> Result<Vec<Vec<String>>> {
    let numbers = group.numbers();
    let mut done = Vec::new();
    for (member, state) in group.members.iter_mut().zip(states) {
        let (session, table) = (&mut member.session, &member.table);
        let mut first = Vec::new();
        if !exists(state.as_ref()) {
            first = arguments.key.create(session, table, &numbers)?;
        }
        first.extend(call::set(session, table, &arguments.settings)?);
        // All of it or nothing, in one message, so that no transaction stays open if the connection is
        // lost.
        if !first.is_empty() {
            let created = session.batch_execute(&format!("BEGIN; {}; COMMIT", first.join("; ")));
            if created.is_err() {
                session.batch_execute("ROLLBACK")?;
            }
            created?;
        }
        done.push(first);
    }
    // Before anything changes: does each receive from all others?
    group.exchange.check_subscriptions()?;
    // One after the other: from the first one on, replication stops until the last one is prepared.
    let exchange = &group.exchange;
    for (member, done) in group.members.iter_mut().zip(&mut done) {
        advance(member, exchange, &display.of_node(&member.node.name), "prepared", done)?;
    }
    // Each learns that the others are prepared, and then up to where it must have received.
    group.exchange.pass()?;
    group.exchange.pass()?;
    each(group, display, "backfilled", &mut done)?;
    compare::compare(group, display)?;
    each(group, display, "verified", &mut done)?;
    // A worker of pglogical stops at an index that is being built.
    group.exchange.arrive(ARRIVAL)?;
    compare::compare(group, display)?;
    Ok(done)
}

/// Takes all nodes through a phase at once.
fn each(group: &mut Group<'_>, display: &Display, through: &str, done: &mut [Vec<String>]) -> Result<()> {
    let displays: Vec<(i32, Display)> =
        group.members.iter().map(|member| (member.number, display.of_node(&member.node.name))).collect();
    let ran = group.on_each(|member, exchange| {
        let mut done = Vec::new();
        let Some((_, display)) = displays.iter().find(|(number, _)| *number == member.number) else {
            return Ok(done);
        };
        let pid = member.session.process()?;
        let (node, table) = (member.node, member.table.clone());
        watched(node, &table, pid, display, || advance(member, exchange, display, through, &mut done))?;
        Ok(done)
    });
    displays.iter().for_each(|(_, display)| display.finish());
    for (done, ran) in done.iter_mut().zip(ran?) {
        done.extend(ran);
    }
    Ok(())
}

/// Runs the statements that take a node through a phase.
fn advance(
    member: &mut Member<'_>,
    exchange: &Exchange<'_>,
    display: &Display,
    through: &str,
    done: &mut Vec<String>,
) -> Result<()> {
    let mut before = Vec::new();
    loop {
        let statements = left(&mut member.session, &member.table, through)?;
        if statements.is_empty() {
            break;
        }
        if statements == before {
            return Err(Failure::new(format!(
                "the migration of table {} does not advance",
                member.table.name
            ))
            .of_node(&member.node.name)
            .detail(format!(
                "The same statements are left after they were run: {}.",
                statements.join("; ")
            )));
        }
        for (at, statement) in statements.iter().enumerate() {
            display.say(&format!("{} of {}: {}", at + 1, statements.len(), first_words(statement)));
            if statement.starts_with("CALL ") {
                run_when_allowed(member, exchange, display, statement)?;
            } else {
                run_one(&mut member.session, statement, display)?;
            }
            done.push(statement.clone());
        }
        before = statements;
    }
    // The step of the node itself, which its statements need not contain.
    let advance = member.session.object("key_migration_advance")?;
    let call = format!(
        "CALL {advance}({}, through => {}::pg_catalog.text)",
        member.table.argument(),
        keyspace::sql::literal(through)
    );
    run_when_allowed(member, exchange, display, &call)
}
