//! Which events are possible in a world, and what they do.

use keyspace::migration::nodes::rules::Own;
use keyspace::migration::nodes::{Form, LocalWrite, NodeStep, Peer, Position, local_write, refusals};

use super::apply;
use super::event::Event;
use super::scenario::{Kind, LeftOut, Scenario};
use super::world::{Change, Known, NODES, Operation, ROWS, Row, Stamp, World};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

/// A commit time before all others, for that of the backfill.
const OLD: i64 = -100;
/// The numbers of all nodes.
const NUMBERS: [i32; NODES] = [1, 2, 3];

impl Scenario {
    fn clock(&self, world: &World, node: usize) -> i64 {
        world.time + self.ahead[node]
    }

    fn peers(&self, world: &World, node: usize) -> Vec<Peer> {
        let known = |other: usize| {
            if self.told {
                return world.nodes[node].known[other];
            }
            let seen = Some(Position(world.nodes[node].position));
            Some(Known { seen, ..world.told(other, node) })
        };
        world.others(node).filter_map(known).map(Known::peer).collect()
    }

    /// Whether a node may take a step; `None` if it only has to wait for its clock.
    fn may(&self, world: &World, node: usize, step: NodeStep) -> Option<bool> {
        let own = Own {
            node: NUMBERS[node],
            nodes: &NUMBERS[..world.nodes.len()],
            progress: world.nodes[node].progress,
            clock: self.clock(world, node),
        };
        let mut found = refusals(step, &own, &self.peers(world, node));
        if let Some(left_out) = self.left_out {
            found.retain(|refusal| !left_out.ignores(Kind::of(step), *refusal));
        }
        if !found.is_empty() && found.iter().all(|refusal| refusal.is_brief()) {
            return None;
        }
        Some(found.is_empty())
    }

    fn next_form(&self, world: &World, node: usize) -> Option<Form> {
        self.forms.get(world.nodes[node].progress.round as usize + 1).copied()
    }

    /// All events that are possible.
    pub fn possible(&self, world: &World) -> Vec<Event> {
        let mut found = Vec::new();
        let mut waits_for_clock = false;
        for (at, node) in world.nodes.iter().enumerate() {
            let progress = &node.progress;
            if progress.closed.is_none() && node.written < self.writes[at].len() {
                found.push(Event::Write { node: at });
            }
            for to in world.others(at) {
                if let Some(change) = node.sent[to].first()
                    && (world.nodes[to].progress.form.accepts(change.form)
                        || change.round < world.nodes[to].progress.round)
                {
                    found.push(Event::Deliver { from: at, to });
                }
                if self.told && world.nodes[to].known[at] != Some(world.told(at, to)) {
                    found.push(Event::Tell { from: at, to });
                }
            }
            let mut steps = Vec::new();
            if let Some(form) = self.next_form(world, at) {
                steps.push(NodeStep::Change(form));
                let to_accepts = form.accepts(progress.form);
                if progress.closed.is_none() && !to_accepts {
                    steps.push(NodeStep::Close);
                } else if progress.withdrawing.is_some() {
                    steps.push(NodeStep::Open);
                } else if world.withdrawals > 0 {
                    steps.push(NodeStep::Withdraw);
                }
            }
            if progress.form == Form::OldIds && progress.mark.is_none() {
                steps.push(NodeStep::Mark);
            }
            for step in steps {
                match self.may(world, at, step) {
                    Some(true) => found.push(Event::Step { node: at, step }),
                    Some(false) => {}
                    None => waits_for_clock = true,
                }
            }
            let is_filling = progress.form == Form::OldIds && progress.filled.is_none();
            if is_filling && self.may(world, at, NodeStep::Fill) == Some(true) {
                let without = |slot: &usize| node.rows[*slot].is_some_and(|row| row.key.is_none());
                let rows: Vec<usize> = (0..node.rows.len()).filter(without).collect();
                if rows.is_empty() {
                    found.push(Event::Step { node: at, step: NodeStep::Fill });
                }
                found.extend(rows.into_iter().map(|slot| Event::FillRow { node: at, slot }));
            }
            if progress.form == Form::OldIds
                && !progress.compared
                && node.read.is_none()
                && self.may(world, at, NodeStep::Compare) == Some(true)
            {
                found.push(Event::Read { node: at });
            }
            if world.kills > 0 && progress.closed.is_some() && self.leaves_out(LeftOut::LastingClose) {
                found.push(Event::Kill { node: at });
            }
        }
        if world.nodes.iter().all(|node| node.read.is_some()) {
            found.push(Event::Correct);
        }
        if waits_for_clock {
            found.push(Event::Tick);
        }
        if self.leaves_out(LeftOut::NewestState) {
            if world.aside.is_none() && world.nodes[0].progress.closed.is_some() {
                found.push(Event::PutAside);
            }
            if world.aside.is_some_and(|aside| world.nodes[1].known[0].is_some_and(|known| known != aside)) {
                found.push(Event::TellAside);
            }
        }
        found
    }

    /// The world after an event.
    pub fn after(&self, world: &World, event: Event) -> Result<World, Fault> {
        let mut after = world.clone();
        match event {
            Event::Write { node } => self.write(&mut after, node),
            Event::Deliver { from, to } => {
                let change = after.nodes[from].sent[to].remove(0);
                let receiver = &mut after.nodes[to];
                if !receiver.progress.form.accepts(change.form) {
                    return Err(Fault(format!(
                        "a change of node {} can never be applied on node {}",
                        from + 1,
                        to + 1
                    )));
                }
                apply::apply(self, receiver, &change);
            }
            Event::Tell { from, to } => {
                after.nodes[to].known[from] = Some(world.told(from, to));
                let progress = world.nodes[from].progress;
                after.nodes[to].seen[from] = progress.withdrawing.unwrap_or(progress.entered);
            }
            Event::FillRow { node, slot } => self.fill(&mut after, node, slot),
            Event::Step { node, step } => {
                if step == NodeStep::Withdraw {
                    after.withdrawals -= 1;
                }
                after.time += i64::from(step == NodeStep::Change(Form::OldIds));
                let clock = self.clock(&after, node);
                let node = &mut after.nodes[node];
                node.position += 1;
                node.progress = node.progress.after(step, Position(node.position), clock);
            }
            Event::Read { node } => {
                let node = &mut after.nodes[node];
                // A row without a key must not pass.
                node.read = Some(node.rows.map(|row| row.map(|row| row.key.unwrap_or(0))));
            }
            Event::Correct => self.correct(&mut after),
            Event::Kill { node } => {
                after.kills -= 1;
                let progress = &mut after.nodes[node].progress;
                (progress.closed, progress.withdrawing) = (None, None);
            }
            Event::Tick => after.time += 1,
            Event::PutAside => after.aside = Some(world.told(0, 1)),
            Event::TellAside => after.nodes[1].known[0] = after.aside,
        }
        if self.is_quiet(&after) {
            self.check(&after)?;
        }
        Ok(after)
    }

    fn write(&self, world: &mut World, at: usize) {
        world.time += 1;
        let stamp = Stamp { clock: self.clock(world, at), node: at as u8 };
        let node = &mut world.nodes[at];
        let write = self.writes[at][node.written];
        node.written += 1;
        let number = 10 * (at as u8 + 1) + node.written as u8;
        if let Some((operation, slot, row)) = apply::write(self, node, write, number, stamp) {
            send(world, at, operation, slot, row, true);
        }
    }

    fn fill(&self, world: &mut World, at: usize, slot: usize) {
        if self.leaves_out(LeftOut::OldCommitTime) {
            world.time += 1;
        }
        let now = self.clock(world, at);
        let node = &mut world.nodes[at];
        let Some(row) = &mut node.rows[slot] else { return };
        row.key = apply::derived(row);
        // Without an origin of its own, a transaction has no commit time of its own either.
        let is_present = self.leaves_out(LeftOut::OldCommitTime) || self.leaves_out(LeftOut::Origin);
        let clock = if is_present { now } else { commit_time(LocalWrite::Fill) };
        row.stamp = Stamp { clock, node: at as u8 };
        let row = *row;
        if self.leaves_out(LeftOut::Origin) {
            send(world, at, Operation::Update, slot, row, false);
        }
    }

    /// The end of a comparison: if keys differ, rows take the one of the first node that has them.
    fn correct(&self, world: &mut World) {
        let read: Vec<_> = world.nodes.iter_mut().filter_map(|node| node.read.take()).collect();
        let mut differs = false;
        for slot in 0..ROWS {
            let Some(right) = read.iter().find_map(|keys| keys[slot]) else { continue };
            for (node, keys) in world.nodes.iter_mut().zip(&read) {
                if keys[slot].is_none_or(|key| key == right) {
                    continue;
                }
                differs = true;
                if let Some(row) = &mut node.rows[slot] {
                    row.key = Some(right);
                    let kept = LocalWrite::Correct { changed_at: Some(row.stamp.clock) };
                    let write =
                        if self.leaves_out(LeftOut::KeptCommitTime) { LocalWrite::Fill } else { kept };
                    row.stamp.clock = commit_time(write);
                    node.position += 1;
                    node.progress = node.progress.after(NodeStep::Fill, Position(node.position), 0);
                }
            }
        }
        if !differs {
            for node in &mut world.nodes {
                node.progress = node.progress.after(NodeStep::Compare, Position(node.position), 0);
            }
        }
    }

    /// Whether nothing is on its way, and all nodes are equally far, behind the comparison.
    fn is_quiet(&self, world: &World) -> bool {
        let first = &world.nodes[0].progress;
        let is_done = |form| match form {
            Form::OldIds => world.nodes.iter().all(|node| node.progress.compared),
            Form::Unprepared => first.round > 0,
            Form::Keys | Form::Finalized => true,
        };
        world
            .nodes
            .iter()
            .all(|node| node.progress.round == first.round && node.sent.iter().all(Vec::is_empty))
            && is_done(first.form)
    }

    /// Each row is as it would be without a migration, and has the same key everywhere.
    fn check(&self, world: &World) -> Result<(), Fault> {
        let form = world.nodes[0].progress.form;
        for (at, node) in world.nodes.iter().enumerate() {
            for (slot, (row, control)) in node.rows.iter().zip(&node.control).enumerate() {
                let place = format!("row {} on node {}", slot + 1, at + 1);
                if row.map(|row| row.write) != control.map(|(write, _)| write) {
                    return Err(Fault(format!("{place} is {row:?}, and without a migration {control:?}")));
                }
                let Some(row) = row else { continue };
                let first = world.nodes.iter().find_map(|node| node.rows[slot]).and_then(|row| row.key);
                if form != Form::Unprepared && (row.key.is_none() || row.key != first) {
                    return Err(Fault(format!("{place} has the key {:?}, elsewhere {first:?}", row.key)));
                }
            }
            let mut ids: Vec<u8> =
                node.rows.iter().flatten().map(|row| row.old_id).filter(|id| *id > 0).collect();
            ids.sort_unstable();
            if ids.windows(2).any(|pair| pair[0] == pair[1]) && form != Form::Finalized {
                return Err(Fault(format!("two rows on node {} have the same old id", at + 1)));
            }
        }
        Ok(())
    }

    /// Whether everything has been done that was to be done.
    pub fn is_finished(&self, world: &World) -> bool {
        world.nodes.iter().all(|node| {
            let progress = &node.progress;
            let is_compared = progress.form != Form::OldIds || progress.compared;
            progress.round as usize + 1 == self.forms.len() && is_compared
        })
    }
}

/// The commit time of a local write, in the time of the world.
fn commit_time(write: LocalWrite) -> i64 {
    match write.commit_time() {
        local_write::OLD => OLD,
        kept => kept,
    }
}

fn send(world: &mut World, at: usize, operation: Operation, slot: usize, mut row: Row, of_client: bool) {
    let others: Vec<usize> = world.others(at).collect();
    let node = &mut world.nodes[at];
    node.position += 1;
    if node.progress.form == Form::Unprepared {
        row.key = None;
    }
    let change = Change {
        operation,
        slot,
        row,
        of_client,
        form: node.progress.form,
        round: node.progress.round,
        position: node.position,
    };
    for other in others {
        node.sent[other].push(change);
    }
}
