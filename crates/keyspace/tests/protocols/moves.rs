//! The events that are possible in a world, and their results.

use keyspace::sequences::Progression;

use super::action::Action;
use super::glue;
use super::scenario::{Form, Judge, Scenario, SetUp, Step, What};
use super::world::{Copy, Identity, Session, Values, World, class, each, only};

/// A value was handed out twice, or a check did not find that it was or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

/// Classes of rows, as offset and modulus, including the class of all values.
struct Classes {
    all: [(i64, i64); Self::MOST],
    /// Whether rows will be copied to a node whose sequence has another position, or a sequence will
    /// be moved back.
    copied: bool,
}

impl Classes {
    /// For each of three nodes its class, that of its set-up and the one before; and one more for
    /// every value.
    const MOST: usize = 10;
}

/// A note on the result of an action; only for traces.
pub type Note<'a> = Option<&'a mut String>;

impl Scenario {
    /// All possible events.
    pub fn possible(&self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        if world.reported {
            return actions;
        }
        let sign = self.sign();
        for (at, node) in world.nodes.iter().enumerate() {
            if !node.alive {
                continue;
            }
            if self.is_ready(world, at) {
                actions.push(Action::Step { node: at });
            }
            for (session, state) in node.sessions.iter().enumerate() {
                for sequence in self.drawn_by(at) {
                    if node.open && node.draws > 0 {
                        actions.push(Action::Draw { node: at, session, sequence });
                    }
                }
                if state.holds != 0 {
                    actions.push(Action::End { node: at, session });
                }
            }
            if world.setvals > 0 {
                for sequence in 0..self.sequences.len() {
                    actions.push(Action::Setval { node: at, sequence });
                }
            }
            if world.crashes > 0 {
                let loses = node.part > 0
                    || node.sessions.iter().any(|session| {
                        session.holds != 0 || session.cached.iter().any(|cached| cached.is_some())
                    });
                let called = node.sequences.iter().any(|sequence| sequence.is_called);
                let ahead = self.ahead.iter().filter(|ahead| if **ahead == 0 { loses } else { called });
                actions.extend(ahead.map(|ahead| Action::Crash { node: at, ahead: *ahead }));
            }
            if self.standby == Some(at) && self.will_be_copied(world) {
                // Only the changes that it received last count.
                if world.copy.is_none() {
                    actions.push(Action::Ship { node: at });
                }
            }
        }
        // Rows are inserted just before an event reads the table, in the order of their values.
        // This covers every order: until then nothing depends on them, and they do not depend on
        // each other.
        let everywhere = 0..if self.plain { world.nodes.len() } else { 0 };
        let mut read: Vec<usize> = actions.iter().filter_map(|action| self.reads(world, *action)).collect();
        if let Some((prepared, ..)) = world.preparing {
            actions.retain(|action| self.reads(world, *action) == Some(prepared));
            read.retain(|node| *node == prepared);
        }
        read.extend(everywhere.filter(|node| world.nodes[*node].alive));
        let classes = self.classes(world);
        read.sort_unstable();
        read.dedup();
        for to in read {
            for sequence in 0..self.sequences.len() {
                let place = |node: usize| &world.nodes[node].sequences[sequence];
                let insert = |value| (value, Action::Insert { node: to, sequence, value });
                let mut rows: Vec<(i64, Action)> = each(place(to).in_flight, sign).map(insert).collect();
                for from in (0..world.nodes.len()).filter(|from| *from != to) {
                    let has = place(from).local | place(from).in_flight;
                    let deliver = |value| (value, Action::Deliver { from, to, sequence, value });
                    rows.extend(each(has & !place(to).rows, sign).map(deliver));
                }
                let last = world.preparing.map(|(_, sequence, value)| (sequence, value.abs()));
                rows.retain(|(value, _)| last.is_none_or(|last| (sequence, value.abs()) > last));
                rows.retain(|(value, _)| {
                    self.plain || self.is_visible_to_any(world, &classes, to, sequence, *value)
                });
                actions.extend(rows.into_iter().map(|(_, action)| action));
            }
        }
        actions
    }

    /// The node whose rows an action reads or loses.
    fn reads(&self, world: &World, action: Action) -> Option<usize> {
        match action {
            Action::Ship { node } | Action::Setval { node, .. } => Some(node),
            Action::Step { node } => match self.next_step(world, node)?.what {
                What::CopyRows { from } => Some(from),
                What::SetUp(_) | What::GiveState | What::Dump | What::Stop => Some(node),
                What::Reset | What::Leave => Some(node),
                What::Check | What::Open | What::Restore | What::Promote { .. } => None,
                What::Confirm | What::Restart => None,
            },
            _ => None,
        }
    }

    /// The result of an action; `None` if it is not possible.
    pub fn after(&self, world: &World, action: Action, mut note: Note<'_>) -> Result<Option<World>, Fault> {
        let mut next = world.clone();
        next.preparing = match action {
            _ if self.plain => None,
            Action::Insert { node, sequence, value } => Some((node, sequence, value)),
            Action::Deliver { to, sequence, value, .. } => Some((to, sequence, value)),
            _ => None,
        };
        match action {
            Action::Draw { node, session, sequence } => {
                let Some(value) = self.draw(&mut next, node, session, sequence) else { return Ok(None) };
                if let Some(note) = note.as_mut() {
                    note.push_str(&format!("; value {value}"));
                }
                if self.inserts_at_once {
                    next.nodes[node].sequences[sequence].local |= only(value);
                    self.insert(&mut next, node, sequence, value);
                } else {
                    next.nodes[node].sequences[sequence].in_flight |= only(value);
                }
                let counts = !self.collides_before || next.nodes[node].sequences[sequence].restart.is_some();
                let handed = &mut next.handed[self.column(sequence)];
                let known = if counts { handed.before | handed.after } else { handed.after };
                *(if counts { &mut handed.after } else { &mut handed.before }) |= only(value);
                if known & only(value) != 0 {
                    next.duplicate = true;
                    let proved = self.is_proved(&next);
                    if self.judge == Judge::Duplicates || proved {
                        let when = if proved { " after checks that found nothing" } else { "" };
                        return Err(Fault(format!("value {value} is handed out twice{when}")));
                    }
                }
            }
            Action::End { node, session } => {
                next.nodes[node].sessions[session].holds = 0;
                self.forget_identity(&mut next.nodes[node].sessions[session]);
            }
            Action::Insert { node, sequence, value } => {
                let place = &mut next.nodes[node].sequences[sequence];
                place.in_flight &= !only(value);
                place.local |= only(value);
                self.insert(&mut next, node, sequence, value);
            }
            Action::Deliver { from, to, sequence, value } => {
                let place = &mut next.nodes[from].sequences[sequence];
                if place.in_flight & only(value) != 0 {
                    place.in_flight &= !only(value);
                    place.local |= only(value);
                    self.insert(&mut next, from, sequence, value);
                }
                self.insert(&mut next, to, sequence, value);
            }
            Action::Crash { node, ahead } => {
                next.crashes -= 1;
                let node = &mut next.nodes[node];
                node.part = 0;
                for sequence in node.sequences.iter_mut().filter(|sequence| sequence.is_called) {
                    sequence.last_value += i64::from(ahead) * sequence.increment;
                }
                let none = Session { cached: vec![None; self.sequences.len()], ..Session::default() };
                node.sessions.iter_mut().for_each(|session| *session = none.clone());
            }
            Action::Setval { node, sequence } => {
                next.setvals -= 1;
                let place = &mut next.nodes[node].sequences[sequence];
                let Some(maximum) = each(place.rows, self.sign()).next_back() else { return Ok(None) };
                if (maximum - place.last_value) * self.sign() <= 0 {
                    return Ok(None);
                }
                (place.last_value, place.is_called) = (maximum, true);
            }
            Action::Ship { node } => next.copy = Some(Copy::of(&next.nodes[node])),
            Action::Step { node } => {
                let step = self.steps[node][usize::from(next.nodes[node].step)].clone();
                self.carry_out(&mut next, node, &step, note);
                if next.duplicate && !next.reported && self.is_proved(&next) {
                    let fault = Fault("no check has found that a value was handed out twice".to_owned());
                    return Err(fault);
                }
            }
        }
        self.normalise(&mut next);
        Ok(Some(next))
    }

    /// A row is in the table of a sequence, and with it in that of all that feed its column.
    fn insert(&self, world: &mut World, node: usize, sequence: usize, value: i64) {
        for fed in self.of_column(sequence) {
            world.nodes[node].sequences[fed].rows |= only(value);
        }
    }

    /// A session draws a value; `None` if the default would raise an error.
    fn draw(&self, world: &mut World, at: usize, session: usize, sequence: usize) -> Option<i64> {
        let definition = self.sequences[sequence];
        let node = &mut world.nodes[at];
        node.draws -= 1;
        let stored = node.identity;
        let (session, place) = (&mut node.sessions[session], &mut node.sequences[sequence]);
        let mut value = place.nextval(&mut session.cached[sequence], definition.cache);
        if definition.partitioned {
            // The lock of a transaction's first draw makes the commits of others visible.
            let holds_lock = session.holds & 1 << sequence != 0;
            if !holds_lock && !self.sessions_keep_identity {
                session.identity = None;
            }
            let identity = session.identity.or(stored)?;
            session.identity = Some(identity);
            let (min_value, max_value) = if place.increment > 0 { (1, i64::MAX) } else { (i64::MIN, -1) };
            let progression = Progression { increment: place.increment, min_value, max_value, cycle: false };
            while !class(identity).contains(value) {
                if !class(identity).is_ahead(value, &progression) {
                    return None;
                }
                value = place.nextval(&mut session.cached[sequence], definition.cache);
            }
            if self.transactions {
                session.holds |= 1 << sequence;
            }
            self.forget_identity(session);
        }
        Some(value)
    }

    /// Forgets the node that a session knows, unless the session would use it again.
    fn forget_identity(&self, session: &mut Session) {
        if session.holds == 0 && !self.sessions_keep_identity {
            session.identity = None;
        }
    }

    fn next_step(&self, world: &World, node: usize) -> Option<&Step> {
        self.steps[node].get(usize::from(world.nodes[node].step))
    }

    /// Whether the next step of a node can run.
    fn is_ready(&self, world: &World, node: usize) -> bool {
        let Some(step) = self.next_step(world, node) else { return false };
        if !step.after.iter().all(|&(other, step)| usize::from(world.nodes[other].step) > step) {
            return false;
        }
        let What::SetUp(set_up) = &step.what else {
            return world.copy.is_some() || !matches!(step.what, What::Promote { .. });
        };
        if self.promise.is_some_and(|promise| !promise(world, node, set_up)) {
            return false;
        }
        let (_, sequences) = self.part(set_up, usize::from(world.nodes[node].part));
        let is_locked = |at: usize| world.nodes[node].sessions.iter().any(|s| s.holds & 1 << at != 0);
        !sequences
            .into_iter()
            .any(|at| is_locked(at) && glue::is_to_be_altered(self, world, node, at, set_up))
    }

    /// The part of a set-up in one transaction: whether it stores the identity, and which sequences
    /// it alters.
    fn part(&self, set_up: &SetUp, part: usize) -> (bool, Vec<usize>) {
        let all = self.sequences.len();
        match set_up.form {
            Form::Whole => (true, (0..all).collect()),
            Form::IdentityAlone => (true, vec![]),
            Form::SequencesAlone => (false, (0..all).collect()),
            Form::Batches if part == 0 => (true, vec![]),
            Form::Batches => (false, vec![part - 1]),
            Form::IdentityLast if part < all => (false, vec![part]),
            Form::IdentityLast => (true, vec![]),
        }
    }

    fn carry_out(&self, world: &mut World, node: usize, step: &Step, mut note: Note<'_>) {
        if let Some(note) = note.as_mut() {
            note.push_str(&format!("; {:?}", step.what));
        }
        let mut is_done = true;
        match step.what {
            What::GiveState => world.given[node] = Some(glue::give_state(self, world, node)),
            What::SetUp(set_up) => {
                let part = usize::from(world.nodes[node].part);
                let (identity, sequences) = self.part(&set_up, part);
                for at in sequences {
                    glue::set_up(self, world, node, at, &set_up, note.as_deref_mut());
                }
                if identity {
                    world.nodes[node].identity = Some(set_up.identity);
                }
                let parts = match set_up.form {
                    Form::Batches | Form::IdentityLast => self.sequences.len() + 1,
                    _ => 1,
                };
                is_done = part + 1 == parts;
                world.nodes[node].part = if is_done { 0 } else { part as u8 + 1 };
            }
            What::Check => {
                let findings = glue::check(self, world, node);
                if let Some(note) = note.as_mut() {
                    findings
                        .iter()
                        .for_each(|found| note.push_str(&format!("; {}: {}", found.name, found.detail)));
                }
                world.reported = !findings.is_empty();
            }
            What::Open => world.nodes[node].open = true,
            What::Stop => world.nodes[node].alive = false,
            What::Reset => glue::reset(world, node),
            What::Restart => {
                for sequence in &mut world.nodes[node].sequences {
                    (sequence.last_value, sequence.is_called) = (sequence.start, false);
                }
                let sessions = world.nodes[node].sessions.iter_mut();
                sessions.for_each(|session| session.cached.fill(None));
            }
            What::Leave => {
                world.nodes[node].open = false;
                world.given[node] = Some(glue::give_last_state(self, world, node));
            }
            What::CopyRows { from } => {
                for at in 0..self.sequences.len() {
                    let rows = world.nodes[from].sequences[at].rows;
                    world.nodes[node].sequences[at].rows |= rows;
                }
            }
            What::Dump => {
                let mut copy = Copy::of(&world.nodes[node]);
                for sequence in &mut copy.sequences {
                    (sequence.former, sequence.restart) = (None, None);
                    (sequence.history, sequence.local, sequence.gap_left) = (vec![], 0, 0);
                }
                world.copy = Some(copy);
            }
            What::Restore => {
                if let Some(copy) = world.copy.clone() {
                    world.nodes[node].sequences = copy.sequences;
                    let lost = self.loss_is_known;
                    world.nodes[node].sequences.iter_mut().for_each(|sequence| sequence.promoted = lost);
                }
            }
            What::Promote { of } => {
                if let Some(copy) = world.copy.take() {
                    let (server, timeline) = (world.nodes[of].server, world.nodes[of].timeline);
                    let node = &mut world.nodes[node];
                    (node.server, node.timeline, node.identity) = (server, timeline + 1, copy.identity);
                    node.sequences = copy.sequences;
                    let lost = self.loss_is_known;
                    node.sequences.iter_mut().for_each(|sequence| sequence.promoted = lost);
                }
            }
            What::Confirm => {
                world.nodes[node].identity = world.copy.as_ref().and_then(|copy| copy.identity);
            }
        }
        if is_done {
            world.nodes[node].step += 1;
        }
    }

    /// Whether all checks of the scenario were made, without a finding.
    fn is_proved(&self, world: &World) -> bool {
        let mut checks = self.steps.iter().enumerate().flat_map(|(node, steps)| {
            let checks = steps.iter().enumerate();
            checks
                .filter(|(_, step)| !step.left_out && matches!(step.what, What::Check))
                .map(move |(at, _)| (node, at))
        });
        let first = checks.next();
        first.into_iter().chain(checks).all(|(node, at)| usize::from(world.nodes[node].step) > at)
            && first.is_some()
            && !world.reported
    }

    fn remaining<'a>(&'a self, world: &World, node: usize) -> impl Iterator<Item = &'a What> {
        let from = usize::from(world.nodes[node].step);
        self.steps[node].iter().skip(from).filter(|step| !step.left_out).map(|step| &step.what)
    }

    /// Whether a later step uses the copy.
    fn will_be_copied(&self, world: &World) -> bool {
        let mut all = (0..world.nodes.len()).flat_map(|node| self.remaining(world, node));
        all.any(|what| {
            matches!(what, What::Restore | What::Promote { .. } | What::Confirm | What::CopyRows { .. })
        })
    }

    /// Whether a node's rows will still be read.
    fn will_be_read(&self, world: &World, node: usize) -> bool {
        let reads = |what: &What| {
            matches!(what, What::SetUp(_) | What::GiveState | What::Dump | What::Reset | What::Leave)
        };
        let copies = |what: &What| matches!(what, What::CopyRows { from } if *from == node);
        world.nodes[node].alive
            && (world.setvals > 0
                || self.remaining(world, node).any(reads)
                || (0..world.nodes.len()).any(|other| self.remaining(world, other).any(copies))
                || (self.standby == Some(node) && world.copy.is_none() && self.will_be_copied(world)))
    }

    /// Whether this row would make a difference to a node. A row that it already has makes none.
    fn is_visible(&self, world: &World, classes: &Classes, node: usize, sequence: usize, value: i64) -> bool {
        let is_there = world.nodes[node].sequences[sequence].rows & only(value) != 0;
        !is_there && self.visible(world, classes, node, sequence, only(value)) & only(value) != 0
    }

    /// Whether this row would make a difference to one of the sequences that feed its column.
    fn is_visible_to_any(
        &self,
        world: &World,
        classes: &Classes,
        node: usize,
        sequence: usize,
        value: i64,
    ) -> bool {
        self.of_column(sequence).any(|fed| self.is_visible(world, classes, node, fed, value))
    }

    /// The rows of a node, and `more`, that a later event can distinguish.
    fn visible(&self, world: &World, classes: &Classes, node: usize, at: usize, more: Values) -> Values {
        let sequence = &world.nodes[node].sequences[at];
        let next =
            if sequence.is_called { sequence.last_value + sequence.increment } else { sequence.last_value };
        let behind = if classes.copied { 0 } else { next.abs() - 1 };
        let mut all = [(0, 1); Classes::MOST + 1];
        all[..Classes::MOST].copy_from_slice(&classes.all);
        all[Classes::MOST] = (next, sequence.increment.abs());
        let look_back = self.look_back + usize::from(self.reports_unread);
        visible(sequence.rows | more, sequence.increment.signum(), behind, &all, look_back)
    }

    /// All classes in which a set-up may look for rows ahead, here or where the rows are copied to.
    fn classes(&self, world: &World) -> Classes {
        let mut classes = Classes { all: [(0, 1); Classes::MOST], copied: false };
        let mut found = 0;
        let mut add = |(node, nodes): Identity| {
            let class = (i64::from(node), i64::from(nodes));
            if !classes.all[..found].contains(&class) {
                classes.all[found] = class;
                found += 1;
            }
        };
        for node in 0..world.nodes.len() {
            world.nodes[node].identity.into_iter().for_each(&mut add);
            for what in self.remaining(world, node) {
                if let What::SetUp(set_up) = what {
                    add(set_up.identity);
                    set_up.from.into_iter().for_each(&mut add);
                }
            }
        }
        let all = (0..world.nodes.len()).flat_map(|node| self.remaining(world, node));
        classes.copied = all.into_iter().any(|what| matches!(what, What::CopyRows { .. } | What::Restart));
        classes
    }

    /// Skips steps that are left out, and drops everything that no later event depends on, so that
    /// worlds with the same future are equal. Rows matter only as long as a set-up, a state, a
    /// check or a copy reads them, and values in flight only as long as they can become such rows.
    /// The values handed out depend only on the sequences.
    pub fn normalise(&self, world: &mut World) {
        let nodes = world.nodes.len();
        for node in 0..nodes {
            while self.next_step(world, node).is_some_and(|step| step.left_out) {
                world.nodes[node].step += 1;
            }
        }
        if self.plain {
            return;
        }
        let will_be_copied = self.will_be_copied(world);
        if !will_be_copied {
            world.copy = None;
        }
        let classes = self.classes(world);
        let read: Vec<bool> = (0..nodes).map(|node| self.will_be_read(world, node)).collect();
        for sequence in 0..self.sequences.len() {
            for node in 0..nodes {
                let (read, alive) = (read[node], world.nodes[node].alive);
                let visible = if read { self.visible(world, &classes, node, sequence, 0) } else { 0 };
                let place = &mut world.nodes[node].sequences[sequence];
                place.rows &= visible;
                if !alive {
                    place.in_flight = 0;
                }
            }
            let waiting = world.nodes.iter().map(|node| &node.sequences[sequence]);
            let waiting = waiting.fold(0, |all, place| all | place.in_flight | place.local);
            let is_awaited = |value: &i64| {
                (0..nodes)
                    .any(|node| read[node] && self.is_visible_to_any(world, &classes, node, sequence, *value))
            };
            let awaited =
                each(waiting, self.sign()).filter(is_awaited).fold(0, |all, value| all | only(value));
            for node in &mut world.nodes {
                node.sequences[sequence].in_flight &= awaited;
                node.sequences[sequence].local &= awaited;
            }
        }
        for node in 0..nodes {
            let uses = |what: &What| matches!(what, What::SetUp(_) | What::Check);
            let mut others = (0..nodes).filter(|other| *other != node);
            if !others.any(|other| self.remaining(world, other).any(uses)) {
                world.given[node] = None;
            }
        }
    }
}

/// The rows of a table that a later event can distinguish: the last ones, and the furthest of each
/// class that is ahead of the sequence, which never goes back. Classes are given as offset and
/// modulus.
fn visible(rows: Values, sign: i64, behind: i64, classes: &[(i64, i64)], look_back: usize) -> Values {
    let (mut left, mut found, mut known, mut seen) = (rows, 0, 0_u32, 0);
    while left != 0 {
        let distance = i64::from(Values::BITS - 1 - left.leading_zeros());
        left &= !only(distance);
        let is_ahead = distance > behind;
        if seen >= look_back && !is_ahead {
            break;
        }
        let mut is_visible = seen < look_back;
        seen += 1;
        for (at, (offset, modulus)) in classes.iter().enumerate() {
            if known & 1 << at == 0 && (sign * distance - offset) % modulus == 0 {
                known |= 1 << at;
                is_visible |= is_ahead;
            }
        }
        if is_visible {
            found |= only(distance);
        }
    }
    found
}
