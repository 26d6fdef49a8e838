//! What must hold after each round: the check is a proof, and all ways to look at a node agree.

use anyhow::{Context, Result, ensure};

use crate::definitions::literal;
use crate::draws::Way;
use crate::setup::array;
use crate::world::{LeftOut, World};

/// A row of the check with severity `error`.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which sequence, if it is about one.
    pub sequence: Option<usize>,
    pub finding: String,
    pub detail: String,
}

/// Errors that do not say that ids may be handed out twice.
const ABOUT_THE_END: [&str; 2] = ["used up", "nearly used up"];

impl World<'_> {
    /// The errors of a check with states of peers.
    pub fn errors_of_check(&mut self, node: usize, states: &[String]) -> Result<Vec<Finding>> {
        let peers = array(states.iter().map(|state| format!("{}::jsonb", literal(state))), "jsonb");
        let sql = format!(
            "SELECT array_position({}::regclass[], sequence) - 1, finding, detail
             FROM check_interleaved_sequences({peers}) WHERE severity = 'error'",
            self.names()
        );
        let found = self.rows(node, &sql)?.into_iter().map(|row| {
            let [sequence, finding, detail] = row.try_into().ok().context("three columns")?;
            Ok(Finding {
                sequence: sequence.map(|at| at.parse()).transpose()?,
                finding: finding.unwrap_or_default(),
                detail: detail.unwrap_or_default(),
            })
        });
        found.collect()
    }

    /// A check on every node with the states of all others. Without an error, the next `draws` of
    /// every node are free of duplicates. After a procedure, there is no error.
    pub fn prove(&mut self, draws: u64) -> Result<()> {
        self.forget_lost_ids()?;
        let alive = self.alive();
        let states: Vec<String> = self.states(&alive)?;
        let mut is_safe = vec![true; self.is_safe.len()];
        for (at, node) in alive.iter().enumerate() {
            let mut of_others = states.clone();
            of_others.remove(at);
            of_others.extend(self.left.iter().cloned());
            for error in self.errors_of_check(*node, &of_others)? {
                self.expect_alarm(*node, &error)?;
                match error.sequence {
                    Some(sequence) => is_safe[sequence] = false,
                    None => is_safe.fill(false),
                }
            }
            self.expect_agreement(*node)?;
        }
        is_safe.iter_mut().zip(&self.is_unclear).for_each(|(is_safe, is_unclear)| *is_safe &= !is_unclear);
        if self.left_out == LeftOut::Check {
            is_safe.fill(true);
        }
        if is_safe.iter().zip(&self.is_safe).any(|(now, before)| *now && !before) {
            self.forget_cycles();
        }
        // What a procedure has made safe stays so.
        for (is_safe, now) in self.is_safe.iter_mut().zip(&is_safe) {
            *is_safe |= now;
        }
        for sequence in 0..is_safe.len() {
            for node in self.alive() {
                if self.is_safe[sequence] {
                    self.draw(node, sequence, Way::Nextval, draws)?;
                }
            }
        }
        Ok(())
    }

    /// In a procedure that was followed, the check raises no false alarm.
    fn expect_alarm(&self, node: usize, error: &Finding) -> Result<()> {
        let is_safe = match error.sequence {
            // A sequence that cycles hands out again what it has handed out, and rows that cannot
            // be compared may be anything.
            Some(sequence) => {
                let of = &self.definitions.sequences[sequence];
                self.is_safe[sequence] && !of.cycles && of.is_visible
            }
            None => self.is_safe.iter().all(|is_safe| *is_safe),
        };
        // TRUNCATE ... RESTART IDENTITY on all nodes takes a sequence back onto what was generated
        // before the set-ups. It is an error until the nodes are set up again. The last state of a node
        // that had left before still has the rows.
        let is_of_before = match error.finding.as_str() {
            "moved back" | "restart too low" => true,
            "values of this class" => !self.left.is_empty(),
            _ => false,
        };
        let is_restarted = is_of_before && error.sequence.is_some_and(|sequence| self.is_restarted[sequence]);
        let is_alarm = is_safe && !is_restarted && !ABOUT_THE_END.contains(&error.finding.as_str());
        let of = error.sequence.map_or("the node", |sequence| &self.definitions.sequences[sequence].name);
        ensure!(
            !is_alarm || self.left_out != LeftOut::Nothing,
            "false alarm: on node {node}, {} of {of}: {}",
            error.finding,
            error.detail
        );
        Ok(())
    }

    /// View, check and state agree.
    fn expect_agreement(&mut self, node: usize) -> Result<()> {
        let differences = "WITH state AS (SELECT interleaved_node_state() AS state),
                 checked AS (SELECT * FROM check_interleaved_sequences())
             SELECT v.sequence::text, v.next_value, s.one ->> 'next_value', v.node, state ->> 'node', v.findings
             FROM interleaved_sequences v JOIN pg_class c ON c.oid = v.sequence
                 JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN state,
                 LATERAL (SELECT state #> ARRAY['sequences', n.nspname, c.relname]) AS s (one)
             WHERE v.next_value IS DISTINCT FROM (s.one ->> 'next_value')::bigint
                 OR v.increment IS DISTINCT FROM (s.one ->> 'increment')::bigint
                 OR v.node IS DISTINCT FROM (state ->> 'node')::int
                 OR v.nodes IS DISTINCT FROM (state ->> 'nodes')::int
                 OR EXISTS (SELECT FROM unnest(v.findings) AS f WHERE f <> 'no node'
                     AND NOT EXISTS (SELECT FROM checked WHERE checked.finding = f AND checked.sequence = v.sequence))
                 OR (v.in_order IS FALSE AND NOT EXISTS (SELECT FROM checked
                     WHERE checked.sequence = v.sequence AND checked.severity = 'error'))";
        let rows = self.rows(node, differences)?;
        ensure!(rows.is_empty(), "view, check and state of node {node} differ: {rows:?}");
        if let Some(class) = self.class(node) {
            let known = self.rows(node, "SELECT node, nodes FROM interleaved_node")?;
            let ours = vec![Some(class.node.to_string()), Some(class.nodes.to_string())];
            ensure!(
                known.is_empty()
                    || known == [ours]
                    || self.left_out != LeftOut::Nothing
                    || !self.is_safe.contains(&true),
                "node {node} is {known:?}, and not {class:?}"
            );
        }
        Ok(())
    }
}
