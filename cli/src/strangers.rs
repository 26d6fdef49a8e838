//! Nodes that are not named, as far as those that are named remember them.

use keyspace::sequences::Class;
use serde::Deserialize;

use crate::classes::written;
use crate::failure::{Failure, Result};
use crate::left::Left;
use crate::session::{Facts, Session, at_once};
use crate::sessions::all;

/// A node that another one remembers.
#[derive(Clone, Debug, Deserialize)]
struct Remembered {
    system_identifier: i64,
    database: u32,
    timeline: i32,
    /// The class, unless the state was taken before the node had one.
    node: Option<i32>,
    nodes: Option<i32>,
}

/// Fails if a class that is to be given away belongs to a node that is not named and has not left.
/// Nodes remember the states that they were given.
///
/// # Errors
/// In that case, or those of the servers.
pub fn have_none_of(sessions: &mut [Session], given: &[Class], left: &[Left]) -> Result<()> {
    if given.is_empty() {
        return Ok(());
    }
    let remembered = all(at_once(sessions.iter_mut().collect(), |session: &mut Session| {
        let view = session.object("interleaved_peers")?;
        let query = format!(
            "SELECT p.system_identifier, p.database::int8 AS database, p.timeline, p.node, p.nodes FROM {view} p ORDER BY p.taken_at"
        );
        Ok((session.name().to_owned(), session.rows::<Remembered>(&query, &[])?))
    }))?;
    let facts: Vec<&Facts> = sessions.iter().map(|session| &session.facts).collect();
    for (by, found) in &remembered {
        for one in found.iter().filter(|one| !one.is_named(&facts) && !one.has_left(left)) {
            if let Some(wanted) = given.iter().find(|given| one.may_have(**given)) {
                return Err(one.refusal(by, *wanted));
            }
        }
    }
    Ok(())
}

impl Remembered {
    /// Whether a node that is named is this one. A server that was promoted since has a later timeline;
    /// one with an earlier timeline is the origin of a copy, which is another node.
    fn is_named(&self, named: &[&Facts]) -> bool {
        named.iter().any(|facts| {
            facts.identity() == (self.system_identifier, self.database) && facts.timeline >= self.timeline
        })
    }

    fn has_left(&self, left: &[Left]) -> bool {
        left.iter().any(|left| {
            (left.state.system_identifier, left.state.database_oid) == (self.system_identifier, self.database)
                && left.state.timeline >= self.timeline
        })
    }

    fn class(&self) -> Option<Class> {
        self.node.zip(self.nodes).and_then(|(node, nodes)| Class::new(node, nodes).ok())
    }

    /// Whether its values may be those of a class. One that is not known may be any.
    fn may_have(&self, given: Class) -> bool {
        self.class().is_none_or(|class| given.residue().meets(class.residue()))
    }

    fn refusal(&self, by: &str, wanted: Class) -> Failure {
        let (of, hint) = match self.class() {
            Some(class) => (
                format!("node {}", written(class)),
                "Name that node, too. If it has left, pass its last state with --left FILE. Or choose another class.",
            ),
            None => (
                "which was not set up then".to_owned(),
                "Name that node, too. If it is gone, and was never set up, call setup_interleaved_sequences() instead: see the runbook.",
            ),
        };
        Failure::new(format!("class {} may belong to a node that is not named", written(wanted)))
            .detail(format!(
                "Node \"{by}\" was given the state of a server with system identifier {}, {of}.",
                self.system_identifier
            ))
            .hint(hint)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn remembered(timeline: i32, class: Option<(i32, i32)>) -> Remembered {
        let (node, nodes) = class.unzip();
        Remembered { system_identifier: 7, database: 5, timeline, node, nodes }
    }

    fn facts(timeline: i32, database_oid: u32) -> Facts {
        Facts {
            name: "one".to_owned(),
            system_identifier: 7,
            database: "shop".to_owned(),
            database_oid,
            timeline,
            started_at: String::new(),
            in_recovery: false,
            server_version: (150_000, "15.0".to_owned()),
            extension: None,
            class: None,
            is_owner: true,
        }
    }

    #[test]
    fn a_promoted_server_is_the_node_that_it_was_and_its_origin_is_not() {
        let (origin, promoted, other) = (facts(1, 5), facts(2, 5), facts(9, 6));
        assert!(remembered(1, None).is_named(&[&other, &promoted]));
        assert!(remembered(2, None).is_named(&[&promoted]));
        assert!(!remembered(2, None).is_named(&[&origin, &other]));
    }

    #[test]
    fn a_class_that_is_not_known_may_be_any() {
        let wanted = |node| Class::new(node, 4).unwrap();
        let half = remembered(1, Some((1, 2)));
        assert!(half.may_have(wanted(1)) && half.may_have(wanted(3)) && !half.may_have(wanted(2)));
        assert!(remembered(1, None).may_have(wanted(2)));
        let refusal = half.refusal("two", wanted(3));
        assert_eq!(refusal.message, "class 3 of 4 may belong to a node that is not named");
        assert!(refusal.detail.unwrap().ends_with("7, node 1 of 2."));
    }
}
