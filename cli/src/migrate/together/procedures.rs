//! `migrate cut-over`, `rollback`, `finalize` and `open` on several nodes.

use std::time::Duration;

use keyspace::migration::nodes::{Form, NodeState};
use keyspace::sql::literal;

use super::super::arguments::{CutOverArguments, FinalizeArguments, OpenArguments, RollbackArguments, Way};
use super::super::procedures::{ask, ignored, known, uses};
use super::super::run::{left, run_one};
use super::super::watch::{Display, watched};
use super::change::{Change, Waited};
use super::group::Group;
use super::outcome::Together;
use super::run::{fill_in, of};
use super::step::{is_refusal, run_when_allowed};
use super::unfinished;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::nodes::Fleet;
use crate::output::{Output, say};

/// How long writers wait at most, unless the user says otherwise.
const LONGEST: u64 = 60;
/// How long it is looked whether replication goes on after a change.
const ARRIVAL: Duration = Duration::from_secs(60);

fn longest(seconds: Option<u64>) -> Duration {
    Duration::from_secs(seconds.unwrap_or(LONGEST))
}

/// Cuts over on all nodes, or shows what would be done.
///
/// # Errors
/// Those of the servers.
pub fn cut_over(fleet: &Fleet, output: Output, arguments: &CutOverArguments) -> Result<Exit> {
    if matches!(arguments.way, Way::View) {
        return Err(Failure::new("several nodes cannot be cut over by views")
            .detail("Replication finds tables by their names.")
            .hint("Use --way rename."));
    }
    if arguments.rehearse {
        return Err(Failure::new("--rehearse is for one node").hint("Name it: --on NAME."));
    }
    let mut group = Group::open(fleet, &arguments.table)?;
    let change = Change {
        to: Form::Keys,
        procedure: "key_migration_cutover",
        arguments: format!(", ignore => ARRAY[{}]::pg_catalog.text[]", ignored(&arguments.ignore)),
        longest: longest(arguments.max_wait),
    };
    if arguments.dry_run {
        return show(&mut group, "cut-over", &change, output);
    }
    group.lock(None)?;
    let states = required(&group)?;
    let in_progress = under_way(&group, &states, change.to)?;
    if in_progress.is_none() {
        can_cut_over(&mut group, &states, !arguments.ignore.is_empty())?;
    }
    let display = Display::new();
    let waited = change.run(&mut group, &display);
    // What is left of a cut-over that was interrupted after its change.
    let done = waited.and_then(|waited| {
        after(|| {
            for member in &mut group.members {
                for statement in left(&mut member.session, &member.table, "verified")? {
                    run_one(&mut member.session, &statement, &display)?;
                }
            }
            finish(
                &mut group,
                "cut-over",
                &waited,
                "watch the application; migrate rollback goes back, migrate finalize ends it.",
            )
        })
    });
    display.finish();
    done?.print(output)
}

/// Rolls back on all nodes: the cut-over or, before it, everything.
///
/// # Errors
/// Those of the servers.
pub fn rollback(fleet: &Fleet, output: Output, arguments: &RollbackArguments) -> Result<Exit> {
    let mut group = Group::open(fleet, &arguments.table)?;
    if !arguments.dry_run {
        group.lock(None)?;
    }
    let states = group.exchange.states()?;
    let newest =
        states.iter().flatten().max_by_key(|state| state.progress.round).ok_or_else(|| absent(&group))?;
    let was_prepared = newest.progress.round > 0;
    // What an interrupted rollback was about, or the next one.
    let oldest = states.iter().flatten().map(|state| state.progress.form).max().unwrap_or_default();
    let to = match newest.progress.form {
        Form::Keys | Form::Finalized => Form::OldIds,
        Form::OldIds if oldest == Form::Keys => Form::OldIds,
        Form::OldIds | Form::Unprepared => Form::Unprepared,
    };
    let confirm = arguments.confirm.as_ref().map_or_else(|| "NULL".to_owned(), |name| literal(name));
    let change = Change {
        to,
        procedure: "key_migration_rollback",
        arguments: format!(", confirm => {confirm}::pg_catalog.text"),
        longest: longest(arguments.max_wait),
    };
    if arguments.dry_run {
        return show(&mut group, "rollback", &change, output);
    }
    let display = Display::new();
    let done = (|| {
        let mut waited = vec![None; group.members.len()];
        if was_prepared {
            prepare_the_rest(&mut group, &states, &display)?;
            let states = group.exchange.pass()?;
            let in_progress = under_way(&group, &states, to)?;
            if to == Form::Unprepared && in_progress.is_none() {
                // What it says before writers wait.
                if let Some(member) = group.members.first_mut() {
                    let call = change.call(member)?;
                    match run_one(&mut member.session, &call, &display) {
                        Err(failure) if !is_refusal(&failure) => return Err(failure),
                        _ => {}
                    }
                }
            }
            waited = change.run(&mut group, &display)?;
        }
        after(|| {
            if to == Form::Unprepared {
                forget(&mut group, &change, &display)?;
            }
            let next = if to == Form::Unprepared {
                "nothing is left to do."
            } else {
                "migrate run goes on from here."
            };
            finish(&mut group, "rollback", &waited, next)
        })
    })();
    display.finish();
    done?.print(output)
}

/// Finalizes on all nodes, or shows what is in the way.
///
/// # Errors
/// Those of the servers, or if the name of the table is not confirmed.
pub fn finalize(fleet: &Fleet, output: Output, arguments: &FinalizeArguments) -> Result<Exit> {
    let mut group = Group::open(fleet, &arguments.table)?;
    let Some(table) = group.members.first().map(|member| member.table.clone()) else { return Ok(Exit::Fine) };
    let change = |confirm: &str| Change {
        to: Form::Finalized,
        procedure: "key_migration_finalize",
        arguments: format!(
            ", confirm => {}::pg_catalog.text, keep_old_ids => {}",
            literal(confirm),
            arguments.keep_old_ids
        ),
        longest: longest(arguments.max_wait),
    };
    if arguments.dry_run {
        return show(&mut group, "finalize", &change(&table.plain), output);
    }
    group.lock(None)?;
    let states = required(&group)?;
    under_way(&group, &states, Form::Finalized)?;
    let change = change(&match &arguments.confirm {
        Some(name) => name.clone(),
        None => ask(&table)?,
    });
    let display = Display::new();
    let done = (|| {
        // While clients write: what takes long.
        let displays: Vec<Display> =
            group.members.iter().map(|member| display.of_node(&member.node.name)).collect();
        let checked = group.on_each(|member, exchange| {
            let own = states.iter().position(|s| s.as_ref().is_some_and(|s| s.node == member.number));
            let Some((state, display)) =
                own.and_then(|at| Some((states.get(at)?.as_ref()?, displays.get(at)?)))
            else {
                return Ok(());
            };
            if state.progress.form != Form::Keys || state.progress.closed.is_some() {
                return Ok(());
            }
            let call = change.call(member)?;
            let (node, table, pid) = (member.node, member.table.clone(), member.session.process()?);
            watched(node, &table, pid, display, || run_when_allowed(member, exchange, display, &call))
        });
        displays.iter().for_each(Display::finish);
        checked?;
        let waited = change.run(&mut group, &display)?;
        after(|| finish(&mut group, "finalize", &waited, "nothing is left to do."))
    })();
    display.finish();
    done?.print(output)
}

/// Lets writers go on on nodes that an interrupted command has left closed.
///
/// # Errors
/// Those of the servers; if a node has changed, so that the others have to follow.
pub fn open(fleet: &Fleet, output: Output, arguments: &OpenArguments) -> Result<Exit> {
    let mut group = Group::open(fleet, &arguments.table)?;
    // The session of a program that was killed may still be taking its step.
    group.lock(None)?;
    let states = required(&group)?;
    let closed = unfinished::closed(&group, &states);
    if closed.is_empty() {
        say("no node is closed");
    } else {
        say(&format!("letting writers go on on {}", unfinished::listed(&closed)));
    }
    if !unfinished::open(&mut group)? {
        return Err(Failure::new("a node has changed already, so the others have to follow")
            .detail(format!("Writers wait on {}.", unfinished::listed(&unfinished::closed(&group, &states))))
            .hint("Call the command that was interrupted again: \"migrate cut-over\", \"rollback\" or \"finalize\"."));
    }
    let mut result = of("open", &group, false);
    fill_in(&mut group, &mut result)?;
    result.print(output)
}

/// After the change itself, an interrupt has no effect: a short rest is left.
fn after<T>(rest: impl FnOnce() -> T) -> T {
    if interrupt::is_interrupted() { interrupt::shielded(rest) } else { rest() }
}

fn absent(group: &Group<'_>) -> Failure {
    let table = group.members.first().map(|member| member.table.name.clone()).unwrap_or_default();
    Failure::new(format!("table {table} is not being migrated"))
        .hint("Begin with \"migrate plan\" and \"migrate run\".")
}

/// The states of all nodes, each of which has the migration.
fn required(group: &Group<'_>) -> Result<Vec<Option<NodeState>>> {
    let states = group.exchange.states()?;
    match states.iter().zip(&group.members).find(|(state, _)| state.is_none()) {
        Some((_, member)) => Err(absent(group).of_node(&member.node.name)),
        None => Ok(states),
    }
}

/// The change that was interrupted, if the nodes are not in one step. It has to be the one that is asked
/// for.
fn under_way(group: &Group<'_>, states: &[Option<NodeState>], to: Form) -> Result<Option<Form>> {
    let known: Vec<&NodeState> = states.iter().flatten().collect();
    let newest = known.iter().map(|state| state.progress.round).max();
    if known.iter().all(|state| Some(state.progress.round) == newest) {
        let is_closed = known.iter().any(|state| state.progress.closed.is_some());
        return Ok(is_closed.then_some(to));
    }
    let ahead = known.iter().find(|state| Some(state.progress.round) == newest);
    match ahead {
        Some(state) if state.progress.form != to => {
            let node = group.name(state.node);
            Err(Failure::new(format!(
                "node \"{node}\" is {}, and others are not",
                state.progress.form.name()
            ))
            .detail("A command was interrupted, and has to be ended first.")
            .hint("Call it again: \"migrate run\", \"cut-over\", \"rollback\" or \"finalize\"."))
        }
        _ => Ok(Some(to)),
    }
}

/// Fails if a node could not cut over, before writers wait for that.
fn can_cut_over(group: &mut Group<'_>, states: &[Option<NodeState>], ignores: bool) -> Result<()> {
    for (member, state) in group.members.iter_mut().zip(states) {
        let Some(progress) = state.as_ref().map(|state| state.progress) else { continue };
        if progress.form == Form::Keys {
            continue;
        }
        let phase = member.table.phase(&mut member.session)?;
        let is_ready = phase.as_deref() == Some("verified") || ignores;
        if progress.form != Form::OldIds || !is_ready || !progress.compared {
            let detail = if is_ready {
                "Its keys have not been compared with those of the others."
            } else {
                "Steps are left before it."
            };
            return Err(Failure::new("the migration cannot be cut over yet")
                .of_node(&member.node.name)
                .detail(detail)
                .hint("Call \"migrate run\" first."));
        }
        let findings = known(&mut member.session, &member.table)?;
        if let Some(error) = findings.iter().find(|f| f.severity == crate::check::Severity::Error) {
            return Err(Failure::new("the migration cannot be cut over")
                .of_node(&member.node.name)
                .detail(error.detail.clone()));
        }
    }
    Ok(())
}

/// Prepares nodes that an interrupted run has not reached: all have to be prepared to be removed.
fn prepare_the_rest(group: &mut Group<'_>, states: &[Option<NodeState>], display: &Display) -> Result<()> {
    let is_left = |state: &NodeState| state.progress.round == 0;
    if !states.iter().flatten().any(is_left) {
        return Ok(());
    }
    let exchange = &group.exchange;
    exchange.pass()?;
    for (member, state) in group.members.iter_mut().zip(states) {
        if state.as_ref().is_some_and(is_left) {
            let advance = member.session.object("key_migration_advance")?;
            let call = format!(
                "CALL {advance}({}, through => 'prepared'::pg_catalog.text)",
                member.table.argument()
            );
            run_when_allowed(member, exchange, display, &call)?;
        }
    }
    Ok(())
}

/// Forgets a migration that was removed, once every node knows that all others have removed theirs.
fn forget(group: &mut Group<'_>, change: &Change, display: &Display) -> Result<()> {
    group.exchange.pass()?;
    let states = group.exchange.pass()?;
    for (member, state) in group.members.iter_mut().zip(states) {
        if state.is_some() {
            let call = change.call(member)?;
            run_one(&mut member.session, &call, display)?;
        }
    }
    Ok(())
}

/// What a command would do.
fn show(group: &mut Group<'_>, command: &'static str, change: &Change, output: Output) -> Result<Exit> {
    let states = required(group)?;
    let mut result = of(command, group, true);
    fill_in(group, &mut result)?;
    for ((member, own), state) in group.members.iter_mut().zip(&mut result.nodes).zip(&states) {
        if change.procedure != "key_migration_rollback" {
            own.findings = known(&mut member.session, &member.table)?;
            own.uses = uses(&mut member.session, &member.table)?;
        }
        if state.as_ref().is_some_and(|state| state.progress.form != change.to) {
            if change.to == Form::Finalized {
                own.statements.push(change.call(member)?);
            }
            own.statements.push(Change::close(member)?);
            own.statements.push(change.call(member)?);
        }
    }
    result.next = vec![
        "on all nodes at once; between these statements, states are passed until all changes have arrived."
            .to_owned(),
    ];
    result.print(output)
}

/// The result, once replication goes on.
fn finish(group: &mut Group<'_>, command: &'static str, waited: &[Waited], next: &str) -> Result<Together> {
    let mut result = of(command, group, false);
    let is_left = group.exchange.states()?.iter().all(Option::is_some);
    if is_left && let Err(failure) = group.exchange.arrive(ARRIVAL) {
        // It is done on all nodes. Replication has to go on, or they diverge.
        let node = failure.node.as_deref().unwrap_or_default();
        result.next.push(format!("look at replication on node {node}: {}.", failure.message));
    }
    fill_in(group, &mut result)?;
    for ((member, own), waited) in group.members.iter_mut().zip(&mut result.nodes).zip(waited) {
        own.writers_waited_ms = waited.map(|waited| waited.as_secs_f64() * 1000.0);
        own.notices = member.session.take_notices();
        own.notices.retain(|notice| notice.severity == "WARNING");
    }
    result.next.push(next.to_owned());
    Ok(result)
}
