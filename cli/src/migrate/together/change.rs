//! A change of the form of rows on all nodes: writers wait on all of them, what they have sent arrives,
//! and each node changes, which lets its writers go on.

use std::time::{Duration, Instant};

use keyspace::migration::nodes::{Form, NodeState};

use super::super::first_words;
use super::super::run::run_one;
use super::super::watch::{Display, watched};
use super::group::{Exchange, Group, Member};
use super::step::{is_refusal, when_allowed};
use super::unfinished::{closed, is_in_step, listed, open};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::session::{Session, at_once};
use crate::sessions;

/// How long what was sent before is waited for, while writers go on.
const ARRIVAL: Duration = Duration::from_secs(60);
/// For how long nodes are tried to be changed after an interrupt, if another one has changed.
const REST: Duration = Duration::from_secs(60);

/// A statement was cancelled, by its time limit or by an interrupt.
const CANCELED: &str = "57014";

/// A change.
pub struct Change {
    /// The form that rows have afterwards.
    pub to: Form,
    /// The procedure, without its schema.
    pub procedure: &'static str,
    /// Its further arguments, each after a comma.
    pub arguments: String,
    /// For how long writers may wait before they are let go on without it.
    pub longest: Duration,
}

/// How long the writers of a node have waited, if they have.
pub type Waited = Option<Duration>;

impl Change {
    /// The call on a node.
    ///
    /// # Errors
    /// If its database does not have the extension.
    pub fn call(&self, member: &Member<'_>) -> Result<String> {
        let procedure = member.session.object(self.procedure)?;
        Ok(format!("CALL {procedure}({}{})", member.table.argument(), self.arguments))
    }

    /// The call that makes writers wait.
    ///
    /// # Errors
    /// As above.
    pub fn close(member: &Member<'_>) -> Result<String> {
        let procedure = member.session.object("key_migration_close")?;
        Ok(format!("CALL {procedure}({})", member.table.argument()))
    }

    /// Changes all nodes that have not changed yet. If it is interrupted or fails before a node has
    /// changed, writers are let go on. Afterwards the others have to follow, so that is waited for.
    ///
    /// # Errors
    /// Those of the servers. The failure says whether writers wait.
    pub fn run(&self, group: &mut Group<'_>, display: &Display) -> Result<Vec<Waited>> {
        let mut states = group.exchange.pass()?;
        let is_closed = |states: &[Option<NodeState>]| {
            states.iter().flatten().any(|state| state.progress.closed.is_some())
        };
        let is_withdrawn = states.iter().flatten().any(|state| state.progress.withdrawing.is_some());
        if is_closed(&states) {
            let closed = closed(group, &states);
            display.say(&format!("writers wait on {}, since a command was interrupted", listed(&closed)));
            // They were about to go on: it begins again.
            if is_withdrawn && is_in_step(&states) {
                open(group)?;
                states = group.exchange.pass()?;
            }
        }
        if is_in_step(&states) && !is_closed(&states) {
            // What arrives now need not be waited for later.
            group.exchange.arrive(ARRIVAL)?;
        }
        let mut waiting =
            Waiting { since: vec![None; group.members.len()], waited: vec![None; group.members.len()] };
        match self.close_and_change(group, display, &mut waiting) {
            Ok(()) => Ok(waiting.waited),
            Err(failure) => interrupt::shielded(|| self.recover(group, display, &mut waiting, failure))
                .map(|()| waiting.waited),
        }
    }

    fn is_done(&self, state: Option<&NodeState>) -> bool {
        state.is_none_or(|state| state.progress.form == self.to)
    }

    fn close_and_change(
        &self,
        group: &mut Group<'_>,
        display: &Display,
        waiting: &mut Waiting,
    ) -> Result<()> {
        let states = group.exchange.pass()?;
        let since = group.on_each(|member, _| {
            let state = states.iter().flatten().find(|state| state.node == member.number);
            if self.is_done(state) {
                return Ok(None);
            }
            if state.is_some_and(|state| state.progress.closed.is_none()) {
                let close = Self::close(member)?;
                display.say(&format!("{}: {}", member.node.name, first_words(&close)));
                let began = Instant::now();
                limited(&mut member.session, &close, self.longest, display)?;
                return Ok(Some(began));
            }
            Ok(Some(Instant::now()))
        })?;
        waiting.since = since;
        self.change(group, display, waiting, self.longest)
    }

    /// The first node alone: what it is refused for other reasons than the states of the others, the
    /// others would be refused, too, and then all can still be let go on.
    fn change(
        &self,
        group: &mut Group<'_>,
        display: &Display,
        waiting: &mut Waiting,
        longest: Duration,
    ) -> Result<()> {
        let began = Instant::now();
        group.exchange.pass()?;
        let states = group.exchange.pass()?;
        let exchange = &group.exchange;
        let mut is_first = is_in_step(&states);
        let mut left: Vec<(&mut Member<'_>, &Option<Instant>, &mut Waited)> = Vec::new();
        let rest = group.members.iter_mut().zip(&states).zip(&waiting.since).zip(&mut waiting.waited);
        for (((member, state), since), waited) in rest {
            if self.is_done(state.as_ref()) {
                continue;
            }
            if std::mem::take(&mut is_first) {
                self.on(member, exchange, display, began, longest)?;
                *waited = since.map(|since| since.elapsed());
                continue;
            }
            left.push((member, since, waited));
        }
        sessions::all(at_once(left, |(member, since, waited)| {
            self.on(member, exchange, display, began, longest)?;
            *waited = since.map(|since| since.elapsed());
            Ok(())
        }))
        .map(drop)
    }

    fn on(
        &self,
        member: &mut Member<'_>,
        exchange: &Exchange<'_>,
        display: &Display,
        began: Instant,
        longest: Duration,
    ) -> Result<()> {
        if member.session.is_closed() {
            member.session = Session::open(member.node)?;
        }
        let (call, pid) = (self.call(member)?, member.session.process()?);
        let (node, table) = (member.node, member.table.clone());
        let display = &display.of_node(&node.name);
        display.say(first_words(&call));
        let once = |member: &mut Member<'_>| {
            let done = limited(&mut member.session, &call, longest.saturating_sub(began.elapsed()), display);
            let is_late = began.elapsed() >= longest;
            match done {
                Err(failure) if is_late && (is_refusal(&failure) || failure.is(CANCELED)) => {
                    Err(Failure::new(format!("writers have waited for {} s", longest.as_secs()))
                        .of_node(&member.node.name)
                        .detail(failure.detail.unwrap_or_else(|| "A lock could not be acquired.".to_owned())))
                }
                done => done,
            }
        };
        let done = watched(node, &table, pid, display, || when_allowed(member, exchange, display, once));
        display.finish();
        done
    }

    /// Lets writers go on or, if a node has changed, changes the others.
    fn recover(
        &self,
        group: &mut Group<'_>,
        display: &Display,
        waiting: &mut Waiting,
        failure: Failure,
    ) -> Result<()> {
        let detail = |failure: Failure, text: String| {
            let detail = failure.detail.as_ref().map_or_else(|| text.clone(), |d| format!("{d} {text}"));
            Failure { detail: Some(detail), ..failure }
        };
        display.say("letting writers go on");
        match open(group) {
            Ok(true) => return Err(detail(failure, "No node has changed, and writers go on.".to_owned())),
            Ok(false) => {}
            Err(why) => {
                let text = format!("Perhaps writers still wait: {}.", why.message);
                return Err(detail(failure, text).hint(
                    "Call the command again once all nodes can be reached. Or let the writers go on: \"migrate open\".",
                ));
            }
        }
        display.say("a node has changed already: the others follow");
        let began = Instant::now();
        let why = loop {
            match self.change(group, display, waiting, REST) {
                Ok(()) => return Ok(()),
                // A request to cancel that was under way, or a server that is starting again.
                Err(_) if began.elapsed() < REST => std::thread::sleep(Duration::from_millis(200)),
                Err(why) => break why,
            }
        };
        let states = group.exchange.states().unwrap_or_default();
        let closed = closed(group, &states);
        let text = if closed.is_empty() {
            format!("Perhaps writers still wait: {}.", why.message)
        } else {
            format!("Writers wait on {}: {}.", listed(&closed), why.message)
        };
        Err(detail(failure, text).hint("Another node has changed, so these have to follow: call the command again, as soon as what is in the way is resolved."))
    }
}

/// Runs a statement that ends with 57014 after some time, whatever it waits for.
fn limited(session: &mut Session, statement: &str, longest: Duration, display: &Display) -> Result<()> {
    let timeout = longest.as_millis().max(1);
    session.batch_execute(&format!("SET statement_timeout TO {timeout}"))?;
    let done = run_one(session, statement, display);
    // Of a connection that is lost, nothing is left to be set.
    if !session.is_closed() {
        session.batch_execute("SET statement_timeout TO 0")?;
    }
    done
}

/// Since when writers of each node wait, and how long they have waited.
struct Waiting {
    since: Vec<Option<Instant>>,
    waited: Vec<Waited>,
}
