//! The procedures of the documentation. After each of them no id may be handed out twice.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};

use crate::definitions::literal;
use crate::draws::Way;
use crate::node::{Class, code, reason};
use crate::setup::{Arguments, Form, Outcome};
use crate::world::{LeftOut, World};

/// Ids that are drawn while a procedure runs: the node, the sequence, and how many.
pub type Draws = Vec<(usize, usize, u64)>;

/// The largest gap that is tried.
const LARGEST_GAP: i64 = 1_000_000;

impl World<'_> {
    /// "Filled databases, all in use", and "another number of nodes": all states, a set-up of each
    /// node with the states of the others and a gap for what is drawn meanwhile.
    pub fn set_up_all(&mut self, nodes: i64, form: Form, meanwhile: &Draws) -> Result<()> {
        let mut alive = self.alive();
        let is_alone = alive.len() == 1 && alive.iter().any(|node| self.class(*node).is_some());
        // The class of a node is only changed with the states of others.
        if is_alone || i64::try_from(alive.len())? > nodes {
            return Ok(());
        }
        // Nodes that have a class have the first numbers.
        alive.sort_by_key(|node| self.class(*node).is_none());
        let numbers = 1..=i64::try_from(alive.len())?;
        let mut classes: Vec<(usize, Class)> =
            alive.iter().copied().zip(numbers.map(|node| Class { node, nodes })).collect();
        // Those that change it move first. A new class is only free when they have moved, and a node
        // that keeps its class may have values in common with one that has not moved, so the others
        // take the states again.
        let is_moving = |world: &Self, (node, class): (usize, Class)| {
            world.class(node).is_some_and(|former| former != class)
        };
        classes.sort_by_key(|of| !is_moving(self, *of));
        let is_any_moving = classes.iter().any(|of| is_moving(self, *of));
        self.forget_lost_ids()?;
        self.unsafe_from_now(None);
        // Nodes that were restored and not confirmed.
        for node in &alive {
            if let Some(class) = self.class(*node) {
                self.confirm(*node, class)?;
            }
        }
        let gap = Some(self.gap_for(meanwhile)?);
        let states: Vec<(usize, String)> = alive.iter().copied().zip(self.states(&alive)?).collect();
        self.draw_meanwhile(meanwhile)?;
        let mut is_safe = vec![true; self.is_safe.len()];
        for (node, class) in classes {
            let is_changed = is_moving(self, (node, class));
            let states = if is_any_moving && !is_changed {
                self.states_and_left(&self.others(node))?
            } else {
                let others = states.iter().filter(|(of, _)| *of != node).map(|(_, state)| state);
                others.chain(&self.left).cloned().collect()
            };
            // A class is changed in one transaction.
            let form = if is_changed { Form::OneTransaction } else { form };
            if !self.procedure(node, Arguments { class, states, gap, form }, &mut is_safe)? {
                return Ok(());
            }
        }
        for (is_restarted, is_safe) in self.is_restarted.iter_mut().zip(&is_safe) {
            *is_restarted &= !is_safe;
        }
        self.follow(is_safe);
        Ok(())
    }

    /// "Add a node": a copy of `from` becomes a node of a free class, which `donor` gives up if
    /// there is none.
    pub fn add_copy(
        &mut self,
        from: &str,
        is_dump: bool,
        donor: usize,
        factor: i64,
        meanwhile: &Draws,
    ) -> Result<()> {
        if self.alive().iter().any(|node| self.class(*node).is_none()) {
            return Ok(());
        }
        let class = match self.free_class() {
            Some(class) => class,
            None => {
                let Some(former) = self.class(donor) else { return Ok(()) };
                if !self.split(donor, factor)? {
                    return Ok(());
                }
                Class { node: former.node + former.nodes, nodes: former.nodes * factor }
            }
        };
        self.forget_lost_ids()?;
        let alive = self.alive();
        let database = if is_dump { self.restore_dump(from)? } else { self.new_database(from)? };
        let node = self.add_node(database, None, 1);
        // The class may be that of the node which is copied, if that node has left.
        self.confirm(node, class)?;
        let states = self.states_and_left(&alive)?;
        self.draw_meanwhile(meanwhile)?;
        let mut is_safe = self.is_safe.clone();
        let arguments = Arguments { class, states, gap: None, form: Form::OneTransaction };
        if self.procedure(node, arguments, &mut is_safe)? {
            self.follow(is_safe);
        }
        Ok(())
    }

    /// A class that no node has, of the numbers of nodes that are in use.
    pub fn free_class(&self) -> Option<Class> {
        let taken: Vec<Class> = self.alive().into_iter().filter_map(|node| self.class(node)).collect();
        let of = |nodes: i64| (1..=nodes).map(move |node| Class { node, nodes });
        taken
            .iter()
            .flat_map(|class| of(class.nodes))
            .find(|free| !taken.iter().any(|class| class.meets(*free)))
    }

    /// Splits the class of a node. Returns whether it was done.
    pub fn split(&mut self, node: usize, factor: i64) -> Result<bool> {
        let Some(class) = self.class(node) else { return Ok(false) };
        if class.nodes * factor > 64 {
            return Ok(false);
        }
        let (of, server) = self.node(node);
        match of.rows(server, &format!("SELECT * FROM split_interleaved_sequences({factor})")) {
            Ok(_) => {
                of.class = Some(Class { node: class.node, nodes: class.nodes * factor });
                Ok(true)
            }
            Err(error) if ["2200H", "55000"].contains(&code(&error)) => Ok(false),
            Err(error) => bail!("split of node {node}: {}", reason(&error)),
        }
    }

    /// "Restore" and "Fail over": the node comes back as an older copy of itself, is confirmed, and
    /// is set up with the states of the others.
    pub fn restore_as_itself(&mut self, snapshot: usize, gap: i64) -> Result<()> {
        let former = self.snapshots.get(snapshot).and_then(|snapshot| snapshot.class);
        let Some(node) = self.restore(snapshot)? else { return Ok(()) };
        let Some(class) = self.class(node) else {
            self.unsafe_from_now(None);
            return Ok(());
        };
        self.confirm(node, former.unwrap_or(class))?;
        self.forget_lost_ids()?;
        let others = self.others(node);
        let states = self.states_and_left(&others)?;
        let arguments = Arguments { class, states, gap: Some(gap), form: Form::OneTransaction };
        // A change of the number of nodes has ended between two of them, for want of values. Until it
        // is completed, the set-up may refuse the former class.
        if others.iter().filter_map(|other| self.class(*other)).any(|other| other.meets(class)) {
            self.unsafe_from_now(None);
            if let Outcome::Refused(..) = self.set_up(node, &arguments)? {
                self.forget_class(node)?;
            }
            return Ok(());
        }
        let mut is_safe = self.is_safe.clone();
        if self.procedure(node, arguments, &mut is_safe)? {
            self.follow(is_safe);
        } else {
            self.forget_class(node)?;
        }
        Ok(())
    }

    /// A restored node could not be set up: it is in the class that it had when it was copied, which
    /// may have been before its first set-up.
    fn forget_class(&mut self, node: usize) -> Result<()> {
        self.nodes[node].as_mut().expect("it exists").class = None;
        self.remember_class(node)
    }

    /// "A node leaves": its rows arrive on all others, and its last state is kept.
    pub fn leave(&mut self, node: usize) -> Result<()> {
        for other in self.others(node) {
            self.send(node, other, 1)?;
            self.deliver(node, other, 1)?;
        }
        let feeds = self.feeds_argument();
        let (of, server) = self.node(node);
        let last = format!("SELECT (interleaved_node_state({feeds}) || '{{\"left\": true}}')::text");
        let last = of.rows(server, &last).map_err(|error| anyhow!("last state: {}", reason(&error)))?;
        self.left.push(last.concat().remove(0).context("a node has a state")?);
        self.remove(node)
    }

    /// A procedure was followed.
    fn follow(&mut self, mut is_safe: Vec<bool>) {
        self.forget_cycles();
        is_safe.iter_mut().zip(&self.is_unclear).for_each(|(is_safe, is_unclear)| *is_safe &= !is_unclear);
        self.is_safe = is_safe;
    }

    /// Confirms that a node replaces the node of a class, if it is a copy of that.
    fn confirm(&mut self, node: usize, class: Class) -> Result<()> {
        let Class { node: number, nodes } = class;
        let (of, server) = self.node(node);
        match of.rows(server, &format!("SELECT confirm_interleaved_node({number}, {nodes})")) {
            Ok(_) => Ok(()),
            // It is a copy of another node, or from before a set-up.
            Err(error) if code(&error) == "55000" => Ok(()),
            Err(error) => bail!("confirmation of node {node}: {}", reason(&error)),
        }
    }

    /// A step of a procedure: the set-up of a node. What it cannot set up is not safe. Returns
    /// whether the node was set up at all.
    fn procedure(&mut self, node: usize, mut arguments: Arguments, is_safe: &mut [bool]) -> Result<bool> {
        match self.left_out {
            LeftOut::SetUp => {
                self.nodes[node].as_mut().expect("it exists").class = Some(arguments.class);
                return Ok(true);
            }
            LeftOut::Peers => arguments.states.clear(),
            LeftOut::Gap => arguments.gap = Some(0),
            LeftOut::Nothing | LeftOut::Check => {}
        }
        let mut outcome = self.set_up(node, &arguments)?;
        // What it knows of the peers' rates may ask for more.
        while let (Outcome::Refused(_, message), Some(gap)) = (&outcome, arguments.gap)
            && message.contains("too small")
            && gap < LARGEST_GAP
        {
            arguments.gap = Some(gap * 4 + 1_000);
            outcome = self.set_up(node, &arguments)?;
        }
        match outcome {
            Outcome::Done(in_order) => {
                for (is_safe, in_order) in is_safe.iter_mut().zip(in_order) {
                    *is_safe &= in_order;
                }
                Ok(true)
            }
            // Not enough values for all sequences, which is to be seen in the dry run.
            Outcome::Refused(code, message)
                if ["failed", "2200H"].contains(&code.as_str()) || message.contains("too small") =>
            {
                self.unsafe_from_now(None);
                Ok(false)
            }
            Outcome::Refused(code, _) if self.left_out != LeftOut::Nothing && code == "55000" => {
                self.unsafe_from_now(None);
                Ok(false)
            }
            // A copy of a node of which there is no last state is refused while it could be that node.
            Outcome::Refused(code, message)
                if code == "55000" && message.contains("may be a copy of it") && self.is_any_gone =>
            {
                self.unsafe_from_now(None);
                Ok(false)
            }
            Outcome::Refused(_, message) => {
                bail!("a procedure was refused on node {node}: {message}; {:?}", arguments.class)
            }
        }
    }

    fn draw_meanwhile(&mut self, meanwhile: &Draws) -> Result<()> {
        for (node, sequence, count) in meanwhile {
            if self.exists(*node) {
                self.draw(*node, *sequence, Way::Nextval, *count)?;
            }
        }
        Ok(())
    }

    /// The ids that any node uses of one sequence. It counts ids, not values.
    fn gap_for(&mut self, meanwhile: &Draws) -> Result<i64> {
        let mut used: BTreeMap<(usize, usize), i64> = BTreeMap::new();
        for (node, sequence, count) in meanwhile.iter().filter(|(node, ..)| self.exists(*node)) {
            *used.entry((*node, *sequence)).or_default() += i64::try_from(*count)?;
        }
        let mut gap = 0;
        for ((node, sequence), values) in used {
            let of = &self.definitions.sequences[sequence];
            let step = format!(
                "SELECT abs(seqincrement)::text FROM pg_sequence WHERE seqrelid = {}::regclass",
                literal(&of.name)
            );
            let step: i64 = self.rows(node, &step)?.concat().remove(0).unwrap_or_default().parse()?;
            // A session takes as many values as it caches.
            gap = gap.max((values + of.cache) * step);
        }
        Ok(gap)
    }
}
