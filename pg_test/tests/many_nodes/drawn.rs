//! The values that nodes have generated, and a search for duplicates.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A value that an INSERT returned.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    pub value: i64,
    /// Whether the INSERT began after the node's set-up had returned.
    pub after_set_up: bool,
}

/// The values that one node has generated, by sequence.
#[derive(Clone, Debug, Default)]
pub struct Drawn(pub BTreeMap<String, Vec<Value>>);

impl Drawn {
    pub fn add(&mut self, sequence: &str, value: Value) {
        self.0.entry(sequence.to_owned()).or_default().push(value);
    }

    pub fn merge(&mut self, other: Self) {
        for (sequence, values) in other.0 {
            self.0.entry(sequence).or_default().extend(values);
        }
    }

    pub fn total(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

/// The faults in the values of all nodes; empty if each node's values are its own. The sequence
/// `cycling` repeats values by design, but never returns those of another node.
pub fn faults(nodes: &[Drawn], cycling: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut owner: HashMap<(&str, i64), usize> = HashMap::new();
    for (at, drawn) in nodes.iter().enumerate() {
        let (node, count) = (at as i64 + 1, nodes.len() as i64);
        for (sequence, values) in &drawn.0 {
            let mut seen = HashSet::new();
            for Value { value, after_set_up } in values {
                if !seen.insert(value) && sequence != cycling {
                    faults.push(format!("node {node} gave {value} of {sequence} twice"));
                }
                if !after_set_up {
                    continue;
                }
                if value.rem_euclid(count) != node % count {
                    faults.push(format!("node {node} of {count} gave {value} of {sequence}"));
                }
                if let Some(other) = owner.insert((sequence, *value), at)
                    && other != at
                {
                    faults.push(format!("nodes {} and {node} gave {value} of {sequence}", other + 1));
                }
            }
        }
    }
    faults
}
