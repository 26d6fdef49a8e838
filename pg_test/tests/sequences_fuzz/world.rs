//! The nodes of a case, rows on their way between them, and what is known about each sequence.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow};
use pg_test::Server;

use crate::definitions::{Definitions, literal};
use crate::ledger::{Ledger, Owner};
use crate::node::{Class, Node, copy_database, drop_database, dump_and_restore, reason};

/// What a run leaves out on purpose, to show that the fuzzer finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    Nothing,
    /// Procedures do not run the set-up.
    SetUp,
    /// Procedures pass no peers.
    Peers,
    /// Procedures leave no gap.
    Gap,
    /// Errors of the check are ignored.
    Check,
}

/// An older copy of a node.
pub struct Snapshot {
    pub database: String,
    pub node: usize,
    /// The class that the node had.
    pub class: Option<Class>,
}

/// Rows on their way: the table and the id.
pub type Wire = BTreeSet<(usize, i64)>;

/// A case in progress.
pub struct World<'a> {
    pub server: &'a mut Server,
    pub definitions: &'a Definitions,
    pub left_out: LeftOut,
    /// Nodes that left are none.
    pub nodes: Vec<Option<Node>>,
    pub snapshots: Vec<Snapshot>,
    /// By sender and receiver.
    pub wires: BTreeMap<(usize, usize), Wire>,
    pub ledger: Ledger,
    /// For each sequence, whether no id may be handed out twice from now on: a procedure of the
    /// documentation was followed, or a check found no error.
    pub is_safe: Vec<bool>,
    /// For each sequence, whether TRUNCATE ... RESTART IDENTITY has taken it back on all nodes, and no
    /// procedure has moved it ahead on all of them since.
    pub is_restarted: Vec<bool>,
    /// For each sequence, whether a set-up could not tell whether it steps by blocks or by nodes. It
    /// was left out then, although the documentation says not to: check and split take its values for
    /// ids, and nothing about it is a proof any more.
    pub is_unclear: Vec<bool>,
    /// The last states of nodes that have left.
    pub left: Vec<String>,
    /// Whether the database of a node is gone of which nobody has a last state: the node was lost, or
    /// an older copy has taken its place.
    pub is_any_gone: bool,
    /// The entries of the argument `feeds`, as JSON, with their sequences.
    pub feeds: Vec<(usize, String)>,
    databases: Vec<String>,
    prefix: String,
}

impl<'a> World<'a> {
    /// A first node, as a copy of the database `base`, in which the extension exists. `prefix` is
    /// unique within the server.
    pub fn new(
        server: &'a mut Server,
        definitions: &'a Definitions,
        left_out: LeftOut,
        prefix: String,
    ) -> Result<Self> {
        let count = definitions.sequences.len();
        let mut world = Self {
            server,
            definitions,
            left_out,
            nodes: Vec::new(),
            snapshots: Vec::new(),
            wires: BTreeMap::new(),
            ledger: Ledger::new(count),
            is_safe: vec![false; count],
            is_restarted: vec![false; count],
            is_unclear: vec![false; count],
            left: Vec::new(),
            is_any_gone: false,
            feeds: Vec::new(),
            databases: Vec::new(),
            prefix,
        };
        let database = world.new_database("base")?;
        let node = world.add_node(database, None, 1);
        for statement in &definitions.statements {
            world.run(node, statement)?;
        }
        for (sequence, column) in &definitions.feeds {
            let name = literal(&definitions.sequences[*sequence].name);
            let entry = format!(
                "SELECT to_json({name}::text) || ': ' || jsonb_build_array({}::text)",
                literal(column)
            );
            let entry = world.rows(node, &entry)?.concat().remove(0).context("it is not null")?;
            world.feeds.push((*sequence, entry));
        }
        Ok(world)
    }

    /// Copies a database under a new name.
    pub fn new_database(&mut self, from: &str) -> Result<String> {
        let name = format!("{}_{}", self.prefix, self.databases.len());
        for node in self.nodes.iter_mut().flatten().filter(|node| node.database == from) {
            node.disconnect();
        }
        copy_database(self.server, from, &name)?;
        self.databases.push(name.clone());
        Ok(name)
    }

    /// Dumps a database and restores the dump under a new name.
    pub fn restore_dump(&mut self, from: &str) -> Result<String> {
        let name = self.new_database("template0")?;
        dump_and_restore(self.server, from, &name)?;
        Ok(name)
    }

    pub fn drop_database(&mut self, name: &str) -> Result<()> {
        self.databases.iter_mut().filter(|database| *database == name).for_each(String::clear);
        drop_database(self.server, name)
    }

    /// Removes its databases.
    pub fn end(mut self) -> Result<()> {
        self.nodes.clear();
        for name in self.databases.iter().filter(|name| !name.is_empty()) {
            drop_database(self.server, name)?;
        }
        Ok(())
    }

    pub fn add_node(&mut self, database: String, class: Option<Class>, speed: u64) -> usize {
        let periods = self.is_safe.iter().map(|_| self.ledger.begin_period()).collect();
        self.nodes.push(Some(Node::new(database, class, periods, speed)));
        self.nodes.len() - 1
    }

    /// The numbers of all nodes that exist.
    pub fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|at| self.nodes[*at].is_some()).collect()
    }

    pub fn others(&self, node: usize) -> Vec<usize> {
        self.alive().into_iter().filter(|other| *other != node).collect()
    }

    pub fn exists(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(Option::is_some)
    }

    /// A node that exists.
    pub fn node(&mut self, node: usize) -> (&mut Node, &Server) {
        (self.nodes[node].as_mut().expect("the event has looked"), self.server)
    }

    pub fn class(&self, node: usize) -> Option<Class> {
        self.nodes[node].as_ref().and_then(|node| node.class)
    }

    pub fn owner(&self, node: usize, sequence: usize) -> Owner {
        let period = self.nodes[node].as_ref().map_or(0, |node| node.periods[sequence]);
        Owner { node, period }
    }

    /// Runs a statement that must succeed.
    pub fn run(&mut self, node: usize, sql: &str) -> Result<()> {
        self.rows(node, sql).map(|_| ())
    }

    /// The rows of a statement that must succeed.
    pub fn rows(&mut self, node: usize, sql: &str) -> Result<Vec<crate::node::Row>> {
        let (of, server) = self.node(node);
        of.rows(server, sql).map_err(|error| {
            let start: String = sql.chars().take(200).collect();
            anyhow!("unexpected error on node {node}: {} in {start}", reason(&error))
        })
    }

    /// The state of a node, as other nodes get it.
    pub fn state(&mut self, node: usize) -> Result<String> {
        // A node that was never set up does not know them otherwise.
        let feeds = self.feeds_argument();
        let (of, server) = self.node(node);
        of.state(server, &feeds)
    }

    /// The argument `feeds`, if it is needed.
    pub fn feeds_argument(&self) -> String {
        let feeds: Vec<&str> = self.feeds.iter().map(|(_, entry)| entry.as_str()).collect();
        if feeds.is_empty() {
            return String::new();
        }
        format!("feeds => {}", literal(&format!("{{{}}}", feeds.join(", "))))
    }

    pub fn states(&mut self, nodes: &[usize]) -> Result<Vec<String>> {
        nodes.iter().map(|node| self.state(*node)).collect()
    }

    /// The states of some nodes, and the last ones of those that have left.
    pub fn states_and_left(&mut self, nodes: &[usize]) -> Result<Vec<String>> {
        let mut states = self.states(nodes)?;
        states.extend(self.left.iter().cloned());
        Ok(states)
    }

    /// Ids of a sequence, or of all, may be handed out twice from now on.
    pub fn unsafe_from_now(&mut self, sequence: Option<usize>) {
        match sequence {
            Some(sequence) => self.is_safe[sequence] = false,
            None => self.is_safe.fill(false),
        }
    }

    /// The node loses its memory of what it has handed out of a sequence, or of all. Older copies
    /// may have rows of which nobody else knows any more, so they are not used again.
    pub fn end_periods(&mut self, node: usize, sequence: Option<usize>) -> Result<()> {
        for snapshot in std::mem::take(&mut self.snapshots) {
            self.drop_database(&snapshot.database)?;
        }
        for at in 0..self.is_safe.len() {
            if sequence.is_none_or(|sequence| sequence == at) {
                let next = self.ledger.begin_period();
                if let Some(node) = &mut self.nodes[node] {
                    self.ledger.end_period(node.periods[at]);
                    node.periods[at] = next;
                }
            }
        }
        Ok(())
    }

    /// The ids in a table of a node.
    pub fn ids(&mut self, node: usize, table: usize) -> Result<BTreeSet<i64>> {
        let of = &self.definitions.tables[table];
        let sql = format!("SELECT {} FROM {}", of.id(), of.name);
        let (node, server) = self.node(node);
        let ids =
            node.numbers(server, &sql).map_err(|error| anyhow!("unexpected error: {}", reason(&error)))?;
        Ok(ids.into_iter().collect())
    }

    /// Before states are taken that shall keep ids apart: forgets ids that nothing can tell about,
    /// because the node that handed them out has lost its memory, and no row has them. Such ids do
    /// not arrive any more, either.
    pub fn forget_lost_ids(&mut self) -> Result<()> {
        for (at, sequence) in self.definitions.sequences.iter().enumerate() {
            if !self.ledger.has_ended(at) {
                continue;
            }
            let mut rows = BTreeSet::new();
            if sequence.is_visible {
                for table in &sequence.tables {
                    for node in self.alive() {
                        rows.extend(self.ids(node, *table)?);
                    }
                }
            }
            self.ledger.forget_ended(at, sequence.block, &rows);
            // First and last ids of blocks are not known one by one.
            let (ledger, tables, block) = (&self.ledger, &sequence.tables, sequence.block);
            for wire in self.wires.values_mut() {
                wire.retain(|(table, id)| {
                    !tables.contains(table) || ledger.knows(at, *id) || (block > 1 && rows.contains(id))
                });
            }
        }
        Ok(())
    }

    /// A cycling sequence hands out its values again, so only those since the last procedure or
    /// check count.
    pub fn forget_cycles(&mut self) {
        for (at, sequence) in self.definitions.sequences.iter().enumerate() {
            if sequence.cycles {
                self.ledger.forget(at);
            }
        }
    }
}
