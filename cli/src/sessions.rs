//! Connections to all nodes, and what must be true of them together.

use crate::classes::written;
use crate::failure::{Failure, Result};
use crate::nodes::Fleet;
use crate::session::{Facts, Session, at_once};

/// Connects to all nodes at once. Each result is that of the node at the same place.
pub fn open_each(fleet: &Fleet) -> Vec<Result<Session>> {
    at_once(fleet.nodes.iter().collect(), Session::open)
}

/// Connects to all nodes, which have to be different servers.
///
/// # Errors
/// If a node cannot be reached, or two are one server. All nodes that cannot be reached are named.
pub fn open(fleet: &Fleet) -> Result<Vec<Session>> {
    let sessions = all(open_each(fleet))?;
    let facts: Vec<&Facts> = sessions.iter().map(|session| &session.facts).collect();
    are_different_servers(&facts)?;
    Ok(sessions)
}

/// All results, or all failures as one: the first, with the others in its detail.
///
/// # Errors
/// If there is a failure.
pub fn all<T>(results: Vec<Result<T>>) -> Result<Vec<T>> {
    let mut good = Vec::new();
    let mut failures = Vec::new();
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(failure) => failures.push(failure),
        }
    }
    // An interrupt ends everything, whatever else failed.
    if let Some(at) = failures.iter().position(|failure| failure.is_interrupt) {
        return Err(failures.swap_remove(at));
    }
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(good) };
    let others: Vec<String> = failures
        .map(|failure| match &failure.node {
            Some(node) => format!("node \"{node}\": {}", failure.message),
            None => failure.message,
        })
        .collect();
    if others.is_empty() {
        return Err(first);
    }
    let others = format!("Also, {}.", others.join("; "));
    let detail = first.detail.as_ref().map_or_else(|| others.clone(), |detail| format!("{detail} {others}"));
    Err(Failure { detail: Some(detail), ..first })
}

/// Fails if two nodes are one database of one server, or one is a standby of the other. A copy that
/// runs next to its origin is another server, although it has the same identity.
///
/// # Errors
/// In that case.
pub fn are_different_servers(nodes: &[&Facts]) -> Result<()> {
    for (other, one) in pairs_alike(nodes) {
        let message = format!("nodes \"{}\" and \"{}\" are one server and database", other.name, one.name);
        if one.started_at == other.started_at {
            return Err(Failure::new(message)
                .detail("Both have the same system identifier and the same database, and the server was started at the same moment.")
                .hint("Leave one out."));
        }
        if one.in_recovery || other.in_recovery {
            return Err(Failure::new(message)
                .detail("One of them is a standby of the other.")
                .hint("Leave the standby out: it is no node of its own."));
        }
    }
    Ok(())
}

/// Fails if a copy of a server, such as a base backup that was promoted, still has the class of its
/// origin.
///
/// # Errors
/// In that case.
fn copies_have_other_classes(nodes: &[&Facts]) -> Result<()> {
    for (other, one) in pairs_alike(nodes) {
        let Some((class, of_other)) = one.class.zip(other.class) else { continue };
        if class.residue().meets(of_other.residue()) {
            let (class, of_other) = (written(class), written(of_other));
            let share = if class == of_other {
                format!("both are node {class}")
            } else {
                format!("node {of_other} and node {class} have values in common")
            };
            return Err(Failure::new(format!("nodes \"{}\" and \"{}\" are copies of one server, and {share}", other.name, one.name))
                .detail("They have the same system identifier and the same database, and run as two servers.")
                .hint("Keep writers away from one of them until it has a class of its own: see the runbook, \"Clone\"."));
        }
    }
    Ok(())
}

/// Every two nodes with the same system identifier and database, in order.
fn pairs_alike<'a>(nodes: &'a [&'a Facts]) -> impl Iterator<Item = (&'a Facts, &'a Facts)> {
    nodes.iter().enumerate().flat_map(move |(at, one)| {
        let alike = nodes.iter().take(at).filter(|other| other.identity() == one.identity());
        alike.map(move |other| (*other, *one))
    })
}

/// Fails if a node cannot be changed, the nodes have not the same version of the extension, or copies
/// of one server have one class.
///
/// # Errors
/// In these cases.
pub fn can_be_changed(nodes: &[&Facts]) -> Result<()> {
    for node in nodes {
        if node.in_recovery {
            return Err(Failure::new("server is in recovery")
                .of_node(&node.name)
                .hint("Connect to its primary. If it is to replace its primary, promote it first."));
        }
    }
    let mut versions = Vec::new();
    for node in nodes {
        versions.push((&node.name, &node.extension()?.version));
    }
    if let [(one, version), others @ ..] = versions.as_slice()
        && let Some((other, of_other)) = others.iter().find(|(_, other)| other != version)
    {
        let message = format!("nodes \"{one}\" and \"{other}\" have different versions of the extension");
        return Err(Failure::new(message)
            .detail(format!("They have {version} and {of_other}."))
            .hint("Run ALTER EXTENSION pg_keyspace UPDATE where the older one is."));
    }
    for node in nodes {
        if !node.is_owner {
            return Err(Failure::new(format!("must be owner of database \"{}\"", node.database))
                .of_node(&node.name)
                .hint("Connect as the owner of the database, or as a superuser."));
        }
    }
    copies_have_other_classes(nodes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use keyspace::sequences::Class;

    use super::*;
    use crate::session::Extension;

    fn facts(name: &str, system_identifier: i64) -> Facts {
        let extension =
            Extension { schema: "public".to_owned(), version: "0.1.0".to_owned(), available: None };
        Facts {
            name: name.to_owned(),
            system_identifier,
            database: "shop".to_owned(),
            database_oid: 5,
            timeline: 1,
            started_at: format!("176984640{system_identifier}.000000"),
            in_recovery: false,
            server_version: (150_000, "15.0".to_owned()),
            extension: Some(extension),
            class: None,
            is_owner: true,
        }
    }

    #[test]
    fn two_names_for_one_server_are_found() {
        let (one, two, again) = (facts("one", 1), facts("two", 2), facts("again", 1));
        assert!(are_different_servers(&[&one, &two]).is_ok());
        let failure = are_different_servers(&[&one, &two, &again]).unwrap_err();
        assert_eq!(failure.message, "nodes \"one\" and \"again\" are one server and database");
        let other_database = Facts { database_oid: 6, ..again.clone() };
        assert!(are_different_servers(&[&one, &other_database]).is_ok());
        let elsewhere = Facts { started_at: "1769932800.000000".to_owned(), ..again };
        let standby = Facts { in_recovery: true, ..elsewhere.clone() };
        let failure = are_different_servers(&[&one, &standby]).unwrap_err();
        assert_eq!(failure.detail.as_deref(), Some("One of them is a standby of the other."));
        assert!(are_different_servers(&[&one, &elsewhere]).is_ok(), "a copy is another server");
    }

    #[test]
    fn a_copy_with_the_class_of_its_origin_is_not_changed() {
        let of = |name: &str, started_at: &str, class: Option<(i32, i32)>| Facts {
            started_at: started_at.to_owned(),
            class: class.and_then(|(node, nodes)| Class::new(node, nodes).ok()),
            ..facts(name, 1)
        };
        let origin = of("one", "yesterday", Some((1, 2)));
        for (class, message) in [
            (Some((1, 2)), "nodes \"one\" and \"copy\" are copies of one server, and both are node 1 of 2"),
            (
                Some((3, 4)),
                "nodes \"one\" and \"copy\" are copies of one server, and node 1 of 2 and node 3 of 4 have values in common",
            ),
        ] {
            assert_eq!(can_be_changed(&[&origin, &of("copy", "today", class)]).unwrap_err().message, message);
        }
        for class in [None, Some((2, 4))] {
            assert!(can_be_changed(&[&origin, &of("copy", "today", class)]).is_ok());
        }
    }

    #[test]
    fn nodes_that_cannot_be_changed_are_refused() {
        let good = facts("one", 1);
        assert!(can_be_changed(&[&good, &facts("two", 2)]).is_ok());
        let standby = Facts { in_recovery: true, ..facts("two", 2) };
        let bare = Facts { extension: None, ..facts("two", 2) };
        let newer = Extension { version: "0.2.0".to_owned(), ..good.extension.clone().unwrap() };
        let newer = Facts { extension: Some(newer), ..facts("two", 2) };
        let stranger = Facts { is_owner: false, ..facts("two", 2) };
        for (other, message) in [
            (standby, "server is in recovery"),
            (bare, "database \"shop\" does not have the extension pg_keyspace"),
            (newer, "nodes \"one\" and \"two\" have different versions of the extension"),
            (stranger, "must be owner of database \"shop\""),
        ] {
            assert_eq!(can_be_changed(&[&good, &other]).unwrap_err().message, message);
        }
    }

    #[test]
    fn all_failures_are_named() {
        let failed = |node: &str| Err::<(), _>(Failure::new("no").of_node(node));
        let failure = all(vec![Ok(()), failed("b"), failed("c")]).unwrap_err();
        assert_eq!(
            (failure.node.as_deref(), failure.detail.as_deref()),
            (Some("b"), Some("Also, node \"c\": no."))
        );
        let interrupted = Failure { is_interrupt: true, ..Failure::new("interrupted") };
        assert!(all(vec![failed("b"), Err(interrupted)]).unwrap_err().is_interrupt);
        assert_eq!(all(vec![Ok(1), Ok(2)]).unwrap(), [1, 2]);
    }
}
