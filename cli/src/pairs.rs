//! Every two nodes, and whether their classes have values in common.

use serde::Serialize;

use crate::output::section;
use crate::states::State;
use crate::table::Table;

/// Two nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// Their names.
    pub nodes: [String; 2],
    /// Their classes, as `1 of 2`.
    pub classes: [Option<String>; 2],
    /// How their classes relate.
    pub relation: Relation,
}

/// How two classes relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// They have no value in common.
    Disjoint,
    /// They have.
    Overlap,
    /// One of the nodes has no class.
    Unknown,
}

/// All pairs of nodes.
pub fn all(states: &[State]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (at, one) in states.iter().enumerate() {
        for other in states.iter().skip(at + 1) {
            let classes = [one.state.taken_class(), other.state.taken_class()];
            let relation = match classes {
                [Some(one), Some(other)] if one.residue().meets(other.residue()) => Relation::Overlap,
                [Some(_), Some(_)] => Relation::Disjoint,
                _ => Relation::Unknown,
            };
            let written =
                classes.map(|class| class.map(|class| format!("{} of {}", class.node(), class.nodes())));
            pairs.push(Pair { nodes: [one.node.clone(), other.node.clone()], classes: written, relation });
        }
    }
    pairs
}

/// The pairs for people.
pub fn text(pairs: &[Pair], width: Option<u16>) -> String {
    let mut table = Table::new(["node", "class", "other node", "other class", "classes"]);
    for Pair { nodes: [one, other], classes: [of_one, of_other], relation } in pairs {
        let relation = match relation {
            Relation::Disjoint => "have no value in common",
            Relation::Overlap => "overlap",
            Relation::Unknown => "not set up",
        };
        let class = |class: &Option<String>| class.clone().unwrap_or_else(|| "none".to_owned());
        table.row([one, &class(of_one), other, &class(of_other), relation]);
    }
    section("Pairs of nodes", table, width)
}
