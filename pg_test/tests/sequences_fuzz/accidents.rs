//! What happens to nodes: replication, restores, losses, and what users do by hand.

use anyhow::{Result, anyhow, bail, ensure};

use crate::definitions::{Sequence, literal};
use crate::ledger::{APPLICATION, Owner};
use crate::node::{Class, code, reason};
use crate::setup::{Arguments, Outcome};
use crate::world::{LeftOut, Snapshot, World};

impl World<'_> {
    /// Every `part`-th row that `to` lacks goes on its way.
    pub fn send(&mut self, from: usize, to: usize, part: i64) -> Result<()> {
        for table in 0..self.definitions.tables.len() {
            let (theirs, ours) = (self.ids(to, table)?, self.ids(from, table)?);
            let wire = self.wires.entry((from, to)).or_default();
            wire.extend(ours.difference(&theirs).filter(|id| *id % part == 0).map(|id| (table, *id)));
        }
        Ok(())
    }

    /// Every `part`-th row that is on its way arrives. A row whose id exists is left out.
    pub fn deliver(&mut self, from: usize, to: usize, part: i64) -> Result<()> {
        let Some(wire) = self.wires.get_mut(&(from, to)) else { return Ok(()) };
        let arrived: Vec<(usize, i64)> = wire.extract_if(.., |(_, id)| *id % part == 0).collect();
        for (table, of) in self.definitions.tables.iter().enumerate() {
            let ids: Vec<i64> = arrived.iter().filter(|(to, _)| *to == table).map(|(_, id)| *id).collect();
            if ids.is_empty() {
                continue;
            }
            let sql = format!(
                "INSERT INTO {} ({}, v) OVERRIDING SYSTEM VALUE
                 SELECT {}, 0 FROM unnest($1::bigint[]) AS x ON CONFLICT DO NOTHING",
                of.name,
                of.column,
                of.id_of_x()
            );
            let client = self.nodes[to].as_mut().expect("it exists").client(self.server)?;
            client.execute(&sql, &[&ids]).map_err(|error| anyhow!("replication: {}", reason(&error)))?;
        }
        Ok(())
    }

    /// A transaction draws and is rolled back.
    pub fn roll_back(&mut self, node: usize, sequence: usize, count: u64) -> Result<()> {
        let name = literal(&self.definitions.sequences[sequence].name);
        let sql = format!("BEGIN; SELECT nextval({name}) FROM generate_series(1, {count}); ROLLBACK");
        let (of, server) = self.node(node);
        match of.rows(server, &sql) {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == "2200H" => self.run(node, "ROLLBACK"),
            Err(error) => bail!("refused: {}", reason(&error)),
        }
    }

    /// The application brings an id, `ahead` of the next value.
    pub fn bring_id(&mut self, node: usize, table: usize, ahead: i64) -> Result<()> {
        let of = &self.definitions.tables[table];
        let sequence = &self.definitions.sequences[of.sequence];
        // Whether an id within a block is of this block or of the one before depends on how the
        // application counts, so the check can only find it if a guard says so.
        if !sequence.is_visible || sequence.block > 1 && !self.has_guard(node, table)? {
            return Ok(());
        }
        self.unsafe_from_now(Some(of.sequence));
        let Some(next) = self.next_value(node, of.sequence)? else { return Ok(()) };
        let (id, value) = if sequence.block > 1 {
            // An id of the node's next block.
            (next.saturating_add(ahead % sequence.block), next)
        } else {
            let id = next.saturating_add(ahead.saturating_mul(sequence.sign));
            (id, id)
        };
        let sql =
            format!("INSERT INTO {} ({}, v) OVERRIDING SYSTEM VALUE VALUES ({id}, 0)", of.name, of.column);
        let (on, server) = self.node(node);
        match on.rows(server, &sql) {
            Ok(_) => {
                let owner = Owner { node, period: APPLICATION };
                self.ledger.hand_out(of.sequence, value, sequence.block, owner);
                Ok(())
            }
            // Out of the range of the column, or the row exists.
            Err(error) if ["22003", "23505"].contains(&code(&error)) => Ok(()),
            Err(error) => bail!("unexpected error: {}", reason(&error)),
        }
    }

    fn has_guard(&mut self, node: usize, table: usize) -> Result<bool> {
        let guards = format!(
            "SELECT count(*)::text FROM pg_trigger WHERE tgrelid = {}::regclass
                 AND tgfoid = 'keyspace_internal.interleaved_guard'::regproc",
            literal(&self.definitions.tables[table].name)
        );
        let is_node = self.class(node).is_some();
        Ok(is_node && self.rows(node, &guards)?.concat() != [Some("0".to_owned())])
    }

    /// The next value of a sequence as the view shows it.
    pub fn next_value(&mut self, node: usize, sequence: usize) -> Result<Option<i64>> {
        let name = literal(&self.definitions.sequences[sequence].name);
        let sql = format!("SELECT next_value FROM interleaved_sequences WHERE sequence = {name}::regclass");
        let rows = self.rows(node, &sql)?;
        Ok(rows.into_iter().flatten().flatten().next().and_then(|value| value.parse().ok()))
    }

    /// A user moves a sequence by hand. The cached values of other sessions are not modelled.
    pub fn move_by_hand(&mut self, node: usize, sequence: usize, statement: &str) -> Result<()> {
        self.unsafe_from_now(Some(sequence));
        self.end_periods(node, Some(sequence))?;
        let (of, server) = self.node(node);
        match of.rows(server, statement) {
            Ok(_) => {
                of.disconnect();
                Ok(())
            }
            // Out of the range of the sequence.
            Err(error) if ["22003", "22023"].contains(&code(&error)) => Ok(()),
            Err(error) => bail!("unexpected error: {} in {statement}", reason(&error)),
        }
    }

    /// TRUNCATE ... RESTART IDENTITY on all nodes, or on one of them.
    pub fn truncate(&mut self, table: usize, only: Option<usize>) -> Result<()> {
        let of = &self.definitions.tables[table];
        let sequence = &self.definitions.sequences[of.sequence];
        let nodes = only.map_or_else(|| self.alive(), |node| vec![node]);
        for node in nodes {
            self.run(node, &format!("TRUNCATE {} RESTART IDENTITY", of.name))?;
            if sequence.is_owned {
                self.end_periods(node, Some(of.sequence))?;
            }
        }
        if only.is_some() {
            self.unsafe_from_now(Some(of.sequence));
            return Ok(());
        }
        // It is replicated behind all rows that are on their way.
        for wire in self.wires.values_mut() {
            wire.retain(|(on, _)| *on != table);
        }
        if sequence.is_owned {
            self.ledger.forget(of.sequence);
            self.is_restarted[of.sequence] = true;
        }
        Ok(())
    }

    pub fn take_snapshot(&mut self, node: usize) -> Result<()> {
        let from = self.nodes[node].as_ref().expect("it exists").database.clone();
        let database = self.new_database(&from)?;
        let class = self.class(node);
        self.snapshots.push(Snapshot { database, node, class });
        Ok(())
    }

    /// A node comes back as an older copy of itself. Returns the node, unless it has left.
    pub fn restore(&mut self, snapshot: usize) -> Result<Option<usize>> {
        let Some(Snapshot { database, node, .. }) = self.snapshots.get(snapshot) else { return Ok(None) };
        let (from, node) = (database.clone(), *node);
        if !self.exists(node) {
            return Ok(None);
        }
        let database = self.new_database(&from)?;
        self.end_periods(node, None)?;
        let of = self.nodes[node].as_mut().expect("it exists");
        of.disconnect();
        let former = std::mem::replace(&mut of.database, database);
        self.is_any_gone = true;
        self.drop_database(&former)?;
        Ok(Some(node))
    }

    /// A restore of which nobody has told the extension. The copy has no node of its own.
    pub fn restore_only(&mut self, snapshot: usize) -> Result<()> {
        let former = self.snapshots.get(snapshot).and_then(|snapshot| snapshot.class);
        let Some(node) = self.restore(snapshot)? else { return Ok(()) };
        self.unsafe_from_now(None);
        self.nodes[node].as_mut().expect("it exists").class = former;
        let shown = self.rows(node, "SELECT node FROM interleaved_node")?;
        ensure!(shown.is_empty(), "a copy of node {node} takes itself for its origin: {shown:?}");
        Ok(())
    }

    /// A node is lost, with the rows that have not arrived.
    pub fn lose(&mut self, node: usize) -> Result<()> {
        self.end_periods(node, None)?;
        self.is_any_gone = true;
        self.remove(node)
    }

    /// A node is no more.
    pub fn remove(&mut self, node: usize) -> Result<()> {
        let Some(of) = self.nodes[node].take() else { return Ok(()) };
        self.wires.retain(|(_, to), _| *to != node);
        let database = of.database.clone();
        drop(of);
        self.drop_database(&database)
    }

    /// A set-up as the user likes it: any class, any peers.
    pub fn set_up_somehow(&mut self, node: usize, arguments: &Arguments) -> Result<()> {
        let former: Option<Class> = self.class(node);
        self.forget_cycles();
        match self.set_up(node, arguments)? {
            Outcome::Done(_) if former == Some(arguments.class) => Ok(()),
            _ => {
                self.unsafe_from_now(None);
                Ok(())
            }
        }
    }

    pub fn reset(&mut self, node: usize) -> Result<()> {
        self.unsafe_from_now(None);
        self.unguard(node)?;
        let (of, server) = self.node(node);
        match of.rows(server, "SELECT * FROM reset_interleaved_sequences()") {
            Ok(_) => of.class = None,
            Err(error) if ["2200H", "55000"].contains(&code(&error)) => return self.guard(node),
            Err(error) => bail!("reset of node {node}: {}", reason(&error)),
        }
        self.follow_the_warnings_of_a_reset(node)
    }

    /// A sequence without a record of its set-up keeps its increment in a reset. Its hint says what
    /// to do before a set-up that is told about blocks.
    fn follow_the_warnings_of_a_reset(&mut self, node: usize) -> Result<()> {
        for at in 0..self.definitions.sequences.len() {
            let Sequence { name, sign, block: 1, .. } = &self.definitions.sequences[at] else { continue };
            let statement = format!("ALTER SEQUENCE {name} INCREMENT {sign}");
            self.run(node, &statement)?;
        }
        Ok(())
    }

    /// What must be seen of a sequence that a user has moved.
    pub fn expect_seen(&mut self, node: usize, sequence: usize) -> Result<()> {
        let Some(class) = self.class(node) else { return Ok(()) };
        let of = &self.definitions.sequences[sequence];
        let confirmed = !self.rows(node, "SELECT node FROM interleaved_node")?.is_empty();
        let Some(next) = self.next_value(node, sequence)? else { return Ok(()) };
        if of.block > 1 || class.contains(next) || !confirmed || self.left_out != LeftOut::Nothing {
            return Ok(());
        }
        let drawn_on = format!(
            "SELECT in_order::text, increment::text FROM interleaved_sequences WHERE sequence = {}::regclass",
            literal(&of.name)
        );
        let row = self.rows(node, &drawn_on)?.remove(0);
        let step = of.sign * class.nodes;
        if row[1].as_deref() != Some(step.to_string().as_str()) {
            // partitioned_nextval draws until it reaches the class.
            return Ok(());
        }
        ensure!(
            row[0].as_deref() != Some("true"),
            "shown as in order: {} on node {node}, next {next}",
            of.name
        );
        let errors = self.errors_of_check(node, &[])?;
        ensure!(
            errors.iter().any(|error| error.sequence.is_none_or(|of| of == sequence)),
            "not found by the check: {} on node {node}, next {next}",
            of.name
        );
        let draw = format!("SELECT partitioned_nextval({})", literal(&of.name));
        let (on, server) = self.node(node);
        match on.rows(server, &draw) {
            Err(error) if ["55000", "2200H"].contains(&code(&error)) => Ok(()),
            Err(error) => bail!("unexpected error: {}", reason(&error)),
            Ok(rows) => bail!("partitioned_nextval of {} on node {node} returns {rows:?}", of.name),
        }
    }
}
