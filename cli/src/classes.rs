//! Which class each node gets.
//!
//! A class is given away only if nobody else can have it. A fleet may have nodes that are not named
//! here, so once one node is set up, nothing is free only because no named node has it.

use keyspace::sequences::Class;

use crate::failure::{Failure, Result};

/// A node before it is set up.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its class, if it is set up.
    pub current: Option<Class>,
    /// The number that the user gives it.
    pub given: Option<i32>,
}

/// A class for messages.
pub fn written(class: Class) -> String {
    format!("{} of {}", class.node(), class.nodes())
}

/// The class of each node. `classes` is the number of classes that the user asks for, and `usual`
/// the one in the file of the fleet, which counts as long as no node is set up.
///
/// # Errors
/// If a class would be given to two nodes, a node is set up as another, or it is not known whether a
/// class is free.
pub fn assign(nodes: &[Candidate], classes: Option<i32>, usual: Option<i32>) -> Result<Vec<Class>> {
    let current: Vec<Class> = nodes.iter().filter_map(|node| node.current).collect();
    let of_nodes = match current.as_slice() {
        [] => usual.or_else(|| i32::try_from(nodes.len().max(2)).ok()),
        // After a split, nodes have different numbers of classes.
        [first, others @ ..] => {
            let is_one = others.iter().all(|class| class.nodes() == first.nodes());
            if is_one || nodes.iter().all(|node| node.current.is_some()) { Some(first.nodes()) } else { None }
        }
    };
    let count = classes.or(of_nodes).ok_or_else(|| {
        Failure::new("the number of classes is not known")
            .detail("The nodes that are set up have different numbers of classes.")
            .hint("Specify it with --classes.")
    })?;
    let mut assigned = Vec::new();
    for node in nodes {
        assigned.push(match (node.current, node.given) {
            (Some(current), given) => {
                let is_other_count = classes.is_some_and(|classes| !is_compatible(nodes, current, classes));
                if is_other_count || given.is_some_and(|given| given != current.node()) {
                    let wanted = format!("{} of {count}", given.unwrap_or(current.node()));
                    return Err(Failure::new(format!("node \"{}\" is set up as {}, not {wanted}", node.name, written(current)))
                        .hint("To change the number of classes, see \"add-node\". If the class is wrong and no other node is set up, see reset_interleaved_sequences()."));
                }
                Some(current)
            }
            (None, Some(given)) => Some(Class::new(given, count).map_err(|error| Failure::from(error).of_node(&node.name))?),
            (None, None) => None,
        });
    }
    if let Some(at) = assigned.iter().position(Option::is_none)
        && !current.is_empty()
    {
        let name = nodes.get(at).map(|node| node.name.clone()).unwrap_or_default();
        let mut taken: Vec<String> = current.iter().map(|class| written(*class)).collect();
        taken.sort();
        return Err(Failure::new(format!("the class of node \"{name}\" is not specified"))
            .detail(format!(
                "Nodes that are named here have {}. Any other class may belong to a node that is not named.",
                taken.join(", ")
            ))
            .hint(format!("If you know which class is free, specify it: --class {name}=K.")));
    }
    // A fresh fleet: numbers in the order of the nodes, except those that are given.
    let mut free = (1..=count)
        .filter(|number| !assigned.iter().flatten().any(|class| class.node() == *number))
        .collect::<Vec<_>>()
        .into_iter();
    let mut all = Vec::new();
    for (node, class) in nodes.iter().zip(&assigned) {
        all.push(match class {
            Some(class) => *class,
            None => {
                let number = free.next().ok_or_else(|| {
                    Failure::new(format!("{count} classes are not enough for {} nodes", nodes.len()))
                        .of_node(&node.name)
                        .hint("Specify more with --classes.")
                })?;
                Class::new(number, count)?
            }
        });
    }
    let named: Vec<(&str, Class)> =
        nodes.iter().map(|node| node.name.as_str()).zip(all.iter().copied()).collect();
    are_disjoint(&named)?;
    Ok(all)
}

/// Whether a node can keep its class if the user asks for a number of classes: it is the same, or
/// another node was split into so many, or is going to be set up as one of so many.
fn is_compatible(nodes: &[Candidate], current: Class, classes: i32) -> bool {
    let has_it = |node: &Candidate| node.current.is_none_or(|class| class.nodes() == classes);
    classes == current.nodes() || (classes % current.nodes() == 0 && nodes.iter().any(has_it))
}

/// Fails if two classes have values in common.
///
/// # Errors
/// In that case.
pub fn are_disjoint(nodes: &[(&str, Class)]) -> Result<()> {
    for (at, (name, class)) in nodes.iter().enumerate() {
        let overlapping = nodes.iter().take(at).find(|(_, other)| other.residue().meets(class.residue()));
        if let Some((other, of_other)) = overlapping {
            let message = format!(
                "class {} of node \"{name}\" and class {} of node \"{other}\" have values in common",
                written(*class),
                written(*of_other)
            );
            return Err(Failure::new(message)
                .hint("Give each node a class of its own; \"split\" makes room for more."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn class(text: &str) -> Class {
        let (node, nodes) = text.split_once('/').unwrap();
        Class::new(node.parse().unwrap(), nodes.parse().unwrap()).unwrap()
    }

    /// Nodes `a`, `b` ... as `current:given`, either of which may be missing.
    fn nodes(texts: &[&str]) -> Vec<Candidate> {
        let one = |(at, text): (usize, &&str)| {
            let (current, given) = text.split_once(':').unwrap();
            Candidate {
                name: char::from(b'a' + u8::try_from(at).unwrap()).to_string(),
                current: (!current.is_empty()).then(|| class(current)),
                given: given.parse().ok(),
            }
        };
        texts.iter().enumerate().map(one).collect()
    }

    fn assigned(texts: &[&str], classes: Option<i32>) -> String {
        let assigned = assign(&nodes(texts), classes, None).unwrap();
        assigned
            .iter()
            .map(|class| format!("{}/{}", class.node(), class.nodes()))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn fresh_nodes_are_numbered_in_order() {
        assert_eq!(assigned(&[":", ":", ":"], None), "1/3 2/3 3/3");
        assert_eq!(assigned(&[":"], None), "1/2");
        assert_eq!(assigned(&[":", ":"], Some(8)), "1/8 2/8");
        assert_eq!(assigned(&[":2", ":", ":1"], Some(4)), "2/4 3/4 1/4");
        for (texts, classes, message) in [
            (vec![":", ":", ":"], Some(2), "2 classes are not enough for 3 nodes"),
            (
                vec![":1", ":1"],
                None,
                "class 1 of 2 of node \"b\" and class 1 of 2 of node \"a\" have values in common",
            ),
            (vec![":3", ":"], None, "node must be between 1 and 2, not 3"),
            (vec![":", ":"], Some(1), "nodes must be between 2 and 65535, not 1"),
        ] {
            assert_eq!(assign(&nodes(&texts), classes, None).unwrap_err().message, message, "{texts:?}");
        }
    }

    #[test]
    fn nodes_that_are_set_up_keep_their_classes() {
        assert_eq!(assigned(&["1/2:", "2/2:2"], None), "1/2 2/2");
        assert_eq!(assigned(&["1/4:", "2/2:", "3/4:"], None), "1/4 2/2 3/4");
        assert_eq!(assigned(&["1/8:", ":5"], None), "1/8 5/8");
        assert_eq!(assigned(&["1/4:", "2/2:", ":3"], Some(4)), "1/4 2/2 3/4");
        for (texts, classes, message) in [
            (vec!["1/2:2", "2/2:"], None, "node \"a\" is set up as 1 of 2, not 2 of 2"),
            (vec!["1/2:", "2/2:"], Some(4), "node \"a\" is set up as 1 of 2, not 1 of 4"),
            (vec!["1/2:", "2/2:"], Some(3), "node \"a\" is set up as 1 of 2, not 1 of 3"),
            (
                vec!["1/2:", "1/2:"],
                None,
                "class 1 of 2 of node \"b\" and class 1 of 2 of node \"a\" have values in common",
            ),
            (vec!["1/4:", "2/2:", ":3"], None, "the number of classes is not known"),
            (
                vec!["1/2:", ":3"],
                Some(4),
                "class 3 of 4 of node \"b\" and class 1 of 2 of node \"a\" have values in common",
            ),
        ] {
            assert_eq!(assign(&nodes(&texts), classes, None).unwrap_err().message, message, "{texts:?}");
        }
    }

    /// After a split, the file still has the number of classes from before.
    #[test]
    fn the_number_of_classes_in_the_file_counts_for_fresh_nodes_only() {
        let with = |texts: &[&str]| assign(&nodes(texts), None, Some(2)).unwrap().len();
        assert_eq!(assign(&nodes(&[":", ":"]), None, Some(8)).unwrap()[0].nodes(), 8);
        assert_eq!(assign(&nodes(&[":", ":"]), Some(4), Some(8)).unwrap()[0].nodes(), 4);
        assert_eq!(with(&["1/4:1", "2/2:2", "3/4:3"]), 3);
        assert_eq!(with(&["1/8:", ":5"]), 2);
    }

    /// The class of a node that is not named may not be given away, although no named node has it.
    #[test]
    fn no_class_is_taken_for_free_because_no_named_node_has_it() {
        for texts in [vec!["1/2:", ":"], vec!["1/8:", "2/8:", ":"]] {
            let failure = assign(&nodes(&texts), None, Some(8)).unwrap_err();
            assert!(failure.message.ends_with("is not specified"), "{}", failure.message);
        }
    }
}
