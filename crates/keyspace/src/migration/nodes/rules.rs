//! Which step a node may take, given what it knows of the others.
//!
//! What a node knows of another may be old. Each rule therefore only asks for what stays true: a
//! position that has arrived has arrived for good, and a node that has closed a form does not open
//! it before the others have [acknowledged](NodeStep::Withdraw) that.

use super::form::Form;
use super::position::Position;
use super::progress::Progress;
use super::refusal::Refusal;
use super::step::NodeStep;

/// The node that wants to take a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own<'a> {
    /// Its number.
    pub node: i32,
    /// All nodes of the migration.
    pub nodes: &'a [i32],
    /// What it has done.
    pub progress: Progress,
    /// The time of its clock, in microseconds since 1970.
    pub clock: i64,
}

/// Another node, as its last known state tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number.
    pub node: i32,
    /// What it has done.
    pub progress: Progress,
    /// Up to where in its WAL this node has confirmed that everything has arrived; `None` if this
    /// node has no subscription to it.
    pub arrived: Option<Position>,
    /// The position of the last state of this node that it has taken in.
    pub seen: Option<Position>,
}

impl Peer {
    /// Refuses unless everything that it sent up to a position has arrived.
    fn must_have_arrived(&self, required: Position) -> Option<Refusal> {
        let has_arrived = self.arrived.is_some_and(|arrived| arrived >= required);
        (!has_arrived).then_some(Refusal::NotArrived { node: self.node, required, confirmed: self.arrived })
    }

    /// Refuses unless it has taken in a state of this node from this position or later.
    fn must_have_seen(&self, position: Position) -> Option<Refusal> {
        let has_seen = self.seen.is_some_and(|seen| seen >= position);
        (!has_seen).then_some(Refusal::NotSeen { node: self.node })
    }

    /// Refuses unless this node can apply everything that this peer will send, if rows have another
    /// form here from now on.
    ///
    /// What a form does not accept must have arrived before, because it could never be applied
    /// afterwards (fault D05). That is what the peer has sent in the present form. It ends where the
    /// peer has closed the form, or has changed to the other one.
    fn change(&self, own: &Progress, to: Form) -> Option<Refusal> {
        let peer = &self.progress;
        let out_of_step = Some(Refusal::OutOfStep { node: self.node, form: peer.form });
        if peer.round == own.round && peer.form == own.form {
            if to.accepts(own.form) {
                return None;
            }
            return match peer.last_of_form() {
                Some(last) => self.must_have_arrived(last),
                None => Some(Refusal::StillWrites { node: self.node }),
            };
        }
        if peer.round == own.round + 1 && peer.form == to {
            let has_arrived = to.accepts(own.form) || peer.all_arrived;
            return if has_arrived { None } else { self.must_have_arrived(peer.entered) };
        }
        out_of_step
    }
}

/// Why a node must not take a step now; empty if it may.
pub fn refusals(step: NodeStep, own: &Own<'_>, peers: &[Peer]) -> Vec<Refusal> {
    let (node, progress) = (own.node, &own.progress);
    let mut found = Vec::new();
    let unknown = own.nodes.iter().copied().filter(|node| *node != own.node);
    let unknown = unknown.filter(|node| peers.iter().all(|peer| peer.node != *node));
    found.extend(unknown.map(|node| Refusal::Unknown { node }));
    let must_be = |form: Form| (progress.form != form).then_some(Refusal::NotNext { from: progress.form });
    match step {
        NodeStep::Change(to) => {
            if !progress.form.can_become(to) {
                found.push(Refusal::NotNext { from: progress.form });
            }
            // The gate: afterwards rows are identified by their keys.
            if (progress.form, to) == (Form::OldIds, Form::Keys) {
                if !progress.compared {
                    found.push(Refusal::NotCompared { node });
                }
                let not_compared = peers.iter().filter(|peer| !peer.progress.compared);
                found.extend(not_compared.map(|peer| Refusal::NotCompared { node: peer.node }));
            }
            found.extend(peers.iter().filter_map(|peer| peer.change(progress, to)));
        }
        NodeStep::Mark => {
            found.extend(must_be(Form::OldIds));
            for peer in peers {
                match peer.progress.prepared_at {
                    None => found.push(Refusal::NotPrepared { node: peer.node }),
                    Some(at) if own.clock <= at => {
                        found.push(Refusal::ClockBehind { node: peer.node, by: at - own.clock });
                    }
                    Some(_) => {}
                }
            }
        }
        NodeStep::Fill => {
            found.extend(must_be(Form::OldIds));
            if progress.mark.is_none() {
                found.push(Refusal::NotMarked { node });
            }
            for peer in peers {
                match peer.progress.mark {
                    None => found.push(Refusal::NotMarked { node: peer.node }),
                    Some(mark) => found.extend(peer.must_have_arrived(mark)),
                }
                // Its mark is about this migration, and not about one before it.
                found.extend(peer.must_have_seen(progress.entered));
            }
        }
        NodeStep::Compare => {
            found.extend(must_be(Form::OldIds));
            if progress.filled.is_none() {
                found.push(Refusal::NotFilled { node });
            }
            for peer in peers {
                match peer.progress.filled {
                    None => found.push(Refusal::NotFilled { node: peer.node }),
                    // Rows that are only on their way would be reported as different.
                    Some(filled) => found.extend(peer.must_have_arrived(filled)),
                }
            }
        }
        NodeStep::Close => {
            if progress.form == Form::Unprepared || progress.form == Form::Finalized {
                found.push(Refusal::NotNext { from: progress.form });
            }
            if progress.closed.is_some() {
                found.push(Refusal::AlreadyCloses);
            }
            // Nobody would be helped by it yet.
            let behind = peers.iter().filter(|peer| peer.progress.round < progress.round);
            found.extend(behind.map(|peer| Refusal::OutOfStep { node: peer.node, form: peer.progress.form }));
        }
        NodeStep::Withdraw => {
            if progress.last_of_form().is_none() {
                found.push(Refusal::NotClosed);
            }
        }
        NodeStep::Open => match progress.withdrawing {
            None => found.push(Refusal::NotWithdrawing),
            Some(announced) => {
                for peer in peers {
                    // If it has gone on because this node had closed the form, this node must follow.
                    if peer.progress.round != progress.round {
                        let form = peer.progress.form;
                        found.push(Refusal::OutOfStep { node: peer.node, form });
                    }
                    found.extend(peer.must_have_seen(announced));
                }
            }
        },
    }
    found
}

/// Refuses a change of form that would let the apply worker of another node fail too early: at the first
/// row of the new form, before it has confirmed everything that this node has sent before. What it has
/// not confirmed then, it would never confirm, and that node could never change its form, too.
///
/// So this node closes its form, too, and the other nodes confirm that. This loses nothing if it is left
/// out. `confirmed` are the nodes with what they have confirmed.
///
/// # Errors
/// The first reason not to.
pub fn check_confirmed(
    step: NodeStep,
    own: &Progress,
    confirmed: &[(Peer, Option<Position>)],
) -> Result<(), Refusal> {
    if !step.leaves(own.form) {
        return Ok(());
    }
    // Its own writers wait until it opens, whatever it has announced: so it can follow a node that has
    // relied on them.
    let Some(required) = own.closed else { return Err(Refusal::NotClosedYet) };
    let is_behind = |confirmed: Option<Position>| confirmed.is_none_or(|confirmed| confirmed < required);
    let mut behind = confirmed.iter().filter(|(peer, _)| peer.progress.round == own.round);
    match behind.find(|(_, confirmed)| is_behind(*confirmed)) {
        Some((peer, confirmed)) => {
            Err(Refusal::NotConfirmed { node: peer.node, required, confirmed: *confirmed })
        }
        None => Ok(()),
    }
}

/// Refuses a step that a node must not take now.
///
/// # Errors
/// The first reason not to.
pub fn check(step: NodeStep, own: &Own<'_>, peers: &[Peer]) -> Result<(), Refusal> {
    refusals(step, own, peers).into_iter().next().map_or(Ok(()), Err)
}
