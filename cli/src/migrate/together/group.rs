//! The nodes that migrate a key together: a session that works on each, and one that passes states.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keyspace::migration::nodes::NodeState;

use super::super::run;
use super::super::table::Table;
use super::replication::Restarts;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::nodes::{Fleet, Node};
use crate::session::{Facts, Session, at_once};
use crate::sessions;

/// How often states are passed again while a step is waited for.
const INTERVAL: Duration = Duration::from_millis(100);

/// A node, with the session that takes its steps.
pub struct Member<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its number in the migration, which is that of its class.
    pub number: i32,
    /// The table there.
    pub table: Table,
    /// The session.
    pub session: Session,
}

/// A node, with the session that passes states. Others wait for it, so it never does anything long.
struct Control<'a> {
    node: &'a Node,
    number: i32,
    table: Table,
    session: Session,
    restarts: Restarts,
}

/// Passes the state of every node to all others. The nodes are in the order of their numbers.
pub struct Exchange<'a>(Mutex<Vec<Control<'a>>>);

/// All nodes of a migration, in the order of their numbers. The first one is the one that others are
/// compared with.
pub struct Group<'a> {
    /// Each node.
    pub members: Vec<Member<'a>>,
    /// What passes their states.
    pub exchange: Exchange<'a>,
}

impl<'a> Group<'a> {
    /// Connects to all nodes, and finds the table on each.
    ///
    /// # Errors
    /// If a node cannot be reached or changed, has no class, or does not have the table.
    pub fn open(fleet: &'a Fleet, table: &str) -> Result<Self> {
        let sessions = sessions::open(fleet)?;
        let facts: Vec<&Facts> = sessions.iter().map(|session| &session.facts).collect();
        sessions::can_be_changed(&facts)?;
        let mut members = Vec::new();
        let mut name = table.to_owned();
        for (node, mut session) in fleet.nodes.iter().zip(sessions) {
            let class = session.facts.class.ok_or_else(|| {
                Failure::new("the node has no class")
                    .of_node(&node.name)
                    .detail("Nodes that migrate a key together need interleaved sequences.")
                    .hint("Run \"pg_keyspace setup\" for all nodes first, or name one node with --on.")
            })?;
            // The path of the role counts on the first node: all nodes migrate one table.
            let table = Table::find(&mut session, &name)?;
            name.clone_from(&table.name);
            members.push(Member { node, number: class.node(), table, session });
        }
        members.sort_by_key(|member| member.number);
        if let Some([one, other]) = members.array_windows().find(|[one, other]| one.number == other.number) {
            let message = format!(
                "nodes \"{}\" and \"{}\" have the same number {} in their classes",
                one.node.name, other.node.name, one.number
            );
            return Err(Failure::new(message)
                .detail("A key migration knows nodes by the numbers of their classes.")
                .hint("See \"pg_keyspace status\"."));
        }
        let named = members.iter().map(|member| (member.node, member.number, member.table.clone())).collect();
        let controls = at_once(named, |(node, number, table): (&'a Node, i32, Table)| {
            let session = Session::open(node)?;
            Ok(Control { node, number, table, session, restarts: Restarts::default() })
        });
        let exchange = Exchange(Mutex::new(sessions::all(controls)?));
        Ok(Self { members, exchange })
    }

    /// Keeps other runs of this program away. A session of a program that was killed is waited for.
    ///
    /// # Errors
    /// If another run works on the migration.
    pub fn lock(&mut self, maintenance_work_mem: Option<&String>) -> Result<()> {
        // In the order of their numbers, so that of two runs one goes on.
        for member in &mut self.members {
            run::careful(&mut member.session, maintenance_work_mem)?;
            run::lock(&mut member.session, &member.table)?;
        }
        Ok(())
    }

    /// The numbers of all nodes.
    pub fn numbers(&self) -> Vec<i32> {
        self.members.iter().map(|member| member.number).collect()
    }

    /// The name of a node, by its number.
    pub fn name(&self, number: i32) -> &str {
        self.members.iter().find(|member| member.number == number).map_or("", |member| &member.node.name)
    }

    /// Does something on each node at once.
    ///
    /// # Errors
    /// The first failure, with the others in its detail.
    pub fn on_each<T: Send>(
        &mut self,
        work: impl Fn(&mut Member<'a>, &Exchange<'a>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let exchange = &self.exchange;
        sessions::all(at_once(self.members.iter_mut().collect(), |member| work(member, exchange)))
    }
}

impl<'a> Exchange<'a> {
    fn controls(&self) -> MutexGuard<'_, Vec<Control<'a>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of every node; `None` where there is no migration.
    ///
    /// # Errors
    /// Those of the servers; if the migration is one of a node alone, or has other nodes.
    pub fn states(&self) -> Result<Vec<Option<NodeState>>> {
        states(&mut self.controls()).map(|states| states.into_iter().map(|(state, _)| state).collect())
    }

    /// Passes the state of every node to all others, starts workers of pglogical again that have
    /// stopped, and returns the states of before.
    ///
    /// # Errors
    /// Those of the servers, for example if a node would give rows other keys.
    pub fn pass(&self) -> Result<Vec<Option<NodeState>>> {
        let mut controls = self.controls();
        let states = states(&mut controls)?;
        let found: Vec<&Option<NodeState>> = states.iter().map(|(state, _)| state).collect();
        sessions::all(at_once(controls.iter_mut().collect(), |control: &mut Control<'_>| {
            let others = states
                .iter()
                .filter(|(state, _)| state.as_ref().is_some_and(|state| state.node != control.number));
            let others: Vec<&String> = others.map(|(_, text)| text).collect();
            let has_one = found.iter().any(|state| state.as_ref().is_some_and(|s| s.node == control.number));
            if has_one && !others.is_empty() {
                let add = control.session.object("key_migration_add_peers")?;
                let add = format!("SELECT {add}({}, $1::text[]::jsonb[])", control.table.argument());
                control.session.execute(&add, &[&others])?;
            }
            let slots = found.iter().filter_map(|state| state.as_ref());
            let slots = slots.filter(|state| state.node != control.number);
            let slots: Vec<String> = slots.flat_map(|state| state.slots.keys().cloned()).collect();
            control.restarts.run(&mut control.session, &slots)
        }))?;
        Ok(states.into_iter().map(|(state, _)| state).collect())
    }

    /// Waits until everything that each node has sent up to now has arrived at all others.
    ///
    /// # Errors
    /// If that takes longer than this.
    pub fn arrive(&self, longest: Duration) -> Result<()> {
        self.check_arrival(longest, true)
    }

    /// Fails if a node has no subscription to another one.
    ///
    /// # Errors
    /// In that case.
    pub fn check_subscriptions(&self) -> Result<()> {
        self.check_arrival(Duration::ZERO, false)
    }

    fn check_arrival(&self, longest: Duration, must_arrive: bool) -> Result<()> {
        let began = Instant::now();
        let sent = self.pass()?;
        loop {
            let now = self.states()?;
            let behind = sent.iter().flatten().zip(now.iter().flatten()).find_map(|(then, from)| {
                let others = now.iter().flatten().filter(|to| to.node != from.node);
                let is_behind = |to: &&NodeState| {
                    from.confirmed_by(to).is_none_or(|at| must_arrive && at < then.position)
                };
                others.into_iter().find(is_behind).map(|to| (from, to))
            });
            let Some((from, to)) = behind else { return Ok(()) };
            let is_subscribed = from.confirmed_by(to).is_some();
            if began.elapsed() > longest || !is_subscribed {
                let names = |number: i32| {
                    let controls = self.controls();
                    let found = controls.iter().find(|control| control.number == number);
                    found.map_or_else(String::new, |control| control.node.name.clone())
                };
                let (from, to) = (names(from.node), names(to.node));
                return Err(if is_subscribed {
                    Failure::new(format!("changes of node \"{from}\" do not arrive"))
                        .of_node(&to)
                        .detail(format!("They have not arrived in {} s.", longest.as_secs()))
                        .hint("Check that its subscriptions replicate, and that its log has no error of an apply worker.")
                } else {
                    Failure::new(format!("no subscription receives the changes of node \"{from}\""))
                        .of_node(&to)
                        .hint("Nodes migrate a key together if they replicate to each other. Otherwise name one with --on.")
                });
            }
            interrupt::sleep(INTERVAL)?;
            self.pass()?;
        }
    }
}

/// The state of each node, and the text of it.
fn states(controls: &mut [Control<'_>]) -> Result<Vec<(Option<NodeState>, String)>> {
    let numbers: Vec<i32> = controls.iter().map(|control| control.number).collect();
    sessions::all(at_once(controls.iter_mut().collect(), |control: &mut Control<'_>| {
        if control.session.is_closed() {
            // A server that was restarted.
            control.session = Session::open(control.node)?;
        }
        let function = control.session.object("key_migration_node_state")?;
        let query = format!("SELECT {function}({})::text", control.table.argument());
        let text: String = match control.session.query_one(&query, &[]) {
            Ok(row) => row.try_get(0)?,
            // The table is in no migration.
            Err(failure) if failure.is("42704") => return Ok((None, String::new())),
            Err(failure) if failure.is("55000") => {
                return Err(failure.hint("Name the node with --on to go on with it there alone."));
            }
            Err(failure) => return Err(failure),
        };
        let state = NodeState::from_json(&text).map_err(|e| Failure::from(e).of_node(&control.node.name))?;
        if state.nodes != numbers {
            let list = |nodes: &[i32]| nodes.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
            return Err(Failure::new(format!("the migration of table {} has other nodes", control.table.name))
                .of_node(&control.node.name)
                .detail(format!("It has nodes {}. Named are nodes {}.", list(&state.nodes), list(&numbers)))
                .hint("Name all nodes of the migration, and no other. A node that is lost is removed with key_migration_remove_node()."));
        }
        Ok((Some(state), text))
    }))
}
