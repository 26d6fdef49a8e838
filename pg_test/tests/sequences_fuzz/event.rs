//! The events of a case: what they do, and what must be seen afterwards.

use anyhow::Result;
use rand::RngExt;
use rand::rngs::ChaCha12Rng;
use rand::seq::IndexedRandom;

use crate::definitions::literal;
use crate::draws::{WAYS, Way};
use crate::node::Class;
use crate::procedures::Draws;
use crate::setup::{Arguments, Form};
use crate::world::World;

/// The most nodes of a case.
const NODES: usize = 4;

/// Where a copy of a node comes from.
#[derive(Clone, Copy, Debug)]
pub enum Origin {
    Node(usize),
    Snapshot(usize),
    /// A dump of the node by pg_dump, which is restored.
    Dump(usize),
}

/// An event. Nodes, sequences, tables and copies are named by their numbers; an event without its
/// node does nothing.
#[derive(Clone, Debug)]
pub enum Event {
    // What applications and replication do.
    Draw { node: usize, sequence: usize, way: Way, count: u64 },
    RollBack { node: usize, sequence: usize, count: u64 },
    Delete { node: usize, table: usize, part: i64 },
    TruncateEverywhere { table: usize },
    Send { from: usize, to: usize, part: i64 },
    Deliver { from: usize, to: usize, part: i64 },
    Crash { node: usize, sequence: usize },
    // Procedures of the documentation.
    SetUpAll { nodes: i64, form: Form, meanwhile: Draws },
    AddCopy { origin: Origin, donor: usize, factor: i64, meanwhile: Draws },
    Split { node: usize, factor: i64 },
    Leave { node: usize },
    TakeSnapshot { node: usize },
    RestoreAsItself { snapshot: usize, gap: i64 },
    // What the documentation says not to do, or what needs a procedure afterwards.
    Clone { node: usize, speed: u64 },
    BringId { node: usize, table: usize, ahead: i64 },
    TruncateHere { node: usize, table: usize },
    Setval { node: usize, sequence: usize, by: i64 },
    Restart { node: usize, sequence: usize },
    RestoreOnly { snapshot: usize },
    Lose { node: usize },
    SetUp { node: usize, class: Class, peers: Vec<usize>, gap: Option<i64>, form: Form },
    Reset { node: usize },
    // What must hold.
    Prove { draws: u64 },
}

impl Event {
    /// Does it, and records what it means for the ids that may be handed out.
    pub fn apply(&self, world: &mut World<'_>) -> Result<()> {
        if !self.nodes().into_iter().all(|node| world.exists(node)) {
            return Ok(());
        }
        match self {
            Self::Draw { node, sequence, way, count } => world.draw(*node, *sequence, *way, *count),
            Self::RollBack { node, sequence, count } => world.roll_back(*node, *sequence, *count),
            Self::Delete { node, table, part } => {
                let of = &world.definitions.tables[*table];
                world.run(*node, &format!("DELETE FROM {} WHERE {} % {part} = 0", of.name, of.id()))
            }
            Self::TruncateEverywhere { table } => world.truncate(*table, None),
            Self::Send { from, to, part } => world.send(*from, *to, *part),
            Self::Deliver { from, to, part } => world.deliver(*from, *to, *part),
            Self::Crash { node, sequence } => world.crash(*node, *sequence),
            Self::SetUpAll { nodes, form, meanwhile } => world.set_up_all(*nodes, *form, meanwhile),
            Self::AddCopy { origin, donor, factor, meanwhile } => {
                let from = match origin {
                    Origin::Node(node) | Origin::Dump(node) => {
                        world.nodes[*node].as_ref().map(|node| &node.database)
                    }
                    Origin::Snapshot(at) => world.snapshots.get(*at).map(|snapshot| &snapshot.database),
                };
                let is_dump = matches!(origin, Origin::Dump(_));
                match from.cloned() {
                    Some(from) => world.add_copy(&from, is_dump, *donor, *factor, meanwhile),
                    None => Ok(()),
                }
            }
            Self::Split { node, factor } => world.split(*node, *factor).map(|_| ()),
            Self::Leave { node } => world.leave(*node),
            Self::TakeSnapshot { node } => world.take_snapshot(*node),
            Self::RestoreAsItself { snapshot, gap } => world.restore_as_itself(*snapshot, *gap),
            Self::Clone { node, speed } => {
                let from = world.node(*node).0.database.clone();
                let database = world.new_database(&from)?;
                world.add_node(database, None, *speed);
                world.unsafe_from_now(None);
                Ok(())
            }
            Self::BringId { node, table, ahead } => world.bring_id(*node, *table, *ahead),
            Self::TruncateHere { node, table } => world.truncate(*table, Some(*node)),
            Self::Setval { node, sequence, by } => {
                let Some(next) = world.next_value(*node, *sequence)? else { return Ok(()) };
                let name = literal(&world.definitions.sequences[*sequence].name);
                let statement = format!("SELECT setval({name}, {})", next.saturating_add(*by));
                world.move_by_hand(*node, *sequence, &statement)
            }
            Self::Restart { node, sequence } => {
                let statement =
                    format!("ALTER SEQUENCE {} RESTART", world.definitions.sequences[*sequence].name);
                world.move_by_hand(*node, *sequence, &statement)
            }
            Self::RestoreOnly { snapshot } => world.restore_only(*snapshot),
            Self::Lose { node } => world.lose(*node),
            Self::SetUp { node, class, peers, gap, form } => {
                let peers: Vec<usize> =
                    peers.iter().copied().filter(|peer| peer != node && world.exists(*peer)).collect();
                let states = world.states(&peers)?;
                world.set_up_somehow(*node, &Arguments { class: *class, states, gap: *gap, form: *form })
            }
            Self::Reset { node } => world.reset(*node),
            Self::Prove { draws } => world.prove(*draws),
        }
    }

    /// What must be seen after it. Duplicates are found at every draw.
    pub fn expect(&self, world: &mut World<'_>) -> Result<()> {
        match self {
            Self::Setval { node, sequence, .. } | Self::Restart { node, sequence } if world.exists(*node) => {
                world.expect_seen(*node, *sequence)
            }
            _ => Ok(()),
        }
    }

    /// The nodes that must exist.
    fn nodes(&self) -> Vec<usize> {
        match self {
            Self::Draw { node, .. }
            | Self::RollBack { node, .. }
            | Self::Delete { node, .. }
            | Self::Crash { node, .. }
            | Self::Split { node, .. }
            | Self::Leave { node }
            | Self::TakeSnapshot { node }
            | Self::Clone { node, .. }
            | Self::BringId { node, .. }
            | Self::TruncateHere { node, .. }
            | Self::Setval { node, .. }
            | Self::Restart { node, .. }
            | Self::Lose { node }
            | Self::SetUp { node, .. }
            | Self::Reset { node } => vec![*node],
            Self::Send { from, to, .. } => vec![*from, *to],
            // The rows of a node that is gone may still arrive.
            Self::Deliver { to, .. } => vec![*to],
            Self::AddCopy { origin: Origin::Node(node) | Origin::Dump(node), donor, .. } => {
                vec![*node, *donor]
            }
            Self::AddCopy { donor, .. } => vec![*donor],
            _ => Vec::new(),
        }
    }

    /// The next event of a case.
    pub fn at_random(world: &World<'_>, random: &mut ChaCha12Rng) -> Self {
        let alive = world.alive();
        let node = *alive.choose(random).expect("one node always stays");
        let other = *alive.choose(random).expect("one node always stays");
        let sequence = random.random_range(0..world.definitions.sequences.len());
        let table = random.random_range(0..world.definitions.tables.len());
        let part = *[1, 1, 2, 3].choose(random).expect("it is not empty");
        let form = if random.random() { Form::OneTransaction } else { Form::InBatches };
        let is_set_up = alive.iter().all(|node| world.class(*node).is_some());
        let is_safe = world.is_safe.contains(&true);
        if alive.len() == 1 && !is_set_up
            || alive.len() < NODES && !is_set_up && random.random_range(0..4) == 0
        {
            return match random.random_range(0..3) {
                0 => Self::Clone { node, speed: *[1, 1, 1, 40].choose(random).expect("it is not empty") },
                _ => draw(world, random, node, sequence),
            };
        }
        let set_up_all = |random: &mut ChaCha12Rng| {
            let few = i64::try_from(alive.len()).unwrap_or(1).max(2);
            Self::SetUpAll {
                nodes: random.random_range(few..few + 3),
                form,
                meanwhile: meanwhile(world, random),
            }
        };
        match random.random_range(0..100) {
            0..=29 => draw(world, random, node, sequence),
            30..=32 => Self::RollBack { node, sequence, count: random.random_range(1..50) },
            33..=37 => Self::Send { from: node, to: other, part },
            38..=42 => Self::Deliver { from: random.random_range(0..world.nodes.len()), to: node, part },
            43..=44 => Self::Delete { node, table, part },
            45 => Self::TruncateEverywhere { table },
            46 if random.random_range(0..4) == 0 => Self::Crash { node, sequence },
            46..=54 if !is_safe || random.random_range(0..3) == 0 => set_up_all(random),
            46..=54 if alive.len() < NODES && is_set_up => {
                let origin = match random.random_range(0..=world.snapshots.len()) {
                    0 if random.random_range(0..4) == 0 => Origin::Dump(other),
                    0 => Origin::Node(other),
                    at => Origin::Snapshot(at - 1),
                };
                let meanwhile = meanwhile(world, random);
                Self::AddCopy { origin, donor: node, factor: random.random_range(2..4), meanwhile }
            }
            55 => Self::Split { node, factor: 2 },
            56..=57 if alive.len() > 2 => Self::Leave { node },
            58..=60 => Self::TakeSnapshot { node },
            61..=64 if !world.snapshots.is_empty() => Self::RestoreAsItself {
                snapshot: random.random_range(0..world.snapshots.len()),
                gap: *[0, 0, 10, 500].choose(random).expect("it is not empty"),
            },
            65..=66 => Self::BringId { node, table, ahead: random.random_range(0..200) },
            67 => Self::TruncateHere { node, table },
            68..=70 => Self::Setval { node, sequence, by: random.random_range(-300..60) },
            71 => Self::Restart { node, sequence },
            72 if !world.snapshots.is_empty() => Self::RestoreOnly { snapshot: 0 },
            73 if alive.len() > 2 => Self::Lose { node },
            74..=76 => set_up(world, random, node, form),
            77 if random.random() => Self::Reset { node },
            78..=90 => Self::Prove { draws: *[1, 5, 20, 100].choose(random).expect("it is not empty") },
            _ => draw(world, random, node, sequence),
        }
    }
}

/// How many ids are drawn at once: mostly few, at times thousands.
fn count(random: &mut ChaCha12Rng) -> u64 {
    match random.random_range(0..20) {
        0..=11 => random.random_range(1..6),
        12..=18 => random.random_range(6..100),
        _ => random.random_range(100..3_000),
    }
}

fn draw(world: &World<'_>, random: &mut ChaCha12Rng, node: usize, sequence: usize) -> Event {
    let speed = world.nodes[node].as_ref().map_or(1, |node| node.speed);
    let way = *WAYS.choose(random).expect("it is not empty");
    Event::Draw { node, sequence, way, count: (count(random) * speed).min(5_000) }
}

fn meanwhile(world: &World<'_>, random: &mut ChaCha12Rng) -> Draws {
    let alive = world.alive();
    (0..random.random_range(0..5))
        .map(|_| {
            let node = *alive.choose(random).expect("one node always stays");
            (node, random.random_range(0..world.definitions.sequences.len()), count(random))
        })
        .collect()
}

/// A set-up with any arguments, most often those of the node.
fn set_up(world: &World<'_>, random: &mut ChaCha12Rng, node: usize, form: Form) -> Event {
    let nodes = random.random_range(2..6);
    let other = Class { node: random.random_range(1..=nodes), nodes };
    let class = world.class(node).filter(|_| random.random_range(0..4) > 0).unwrap_or(other);
    let peers = world.alive().into_iter().filter(|_| random.random()).collect();
    Event::SetUp {
        node,
        class,
        peers,
        gap: *[None, Some(0), Some(1), Some(70)].choose(random).expect("it is not empty"),
        form,
    }
}
