//! The argument `nodes` of a new migration.

use keyspace::migration::Options;
use keyspace::{Error, SqlState};

use super::stored::own_number;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::replication_origin;

/// The nodes, ascending; empty for a migration of this node alone.
///
/// # Errors
/// 22004, 22023 for nodes that cannot be; 55000 if this database is none of them, or if the server does
/// not keep commit times; 42501 if the caller may not use replication origins.
pub(in crate::migration) fn checked(
    extension: Extension,
    nodes: Option<Vec<Option<i32>>>,
    options: &Options,
) -> Result<Vec<i32>, Failure> {
    let mut found = Vec::new();
    for node in required(nodes, "nodes")? {
        found.push(required(node, "an element of nodes")?);
    }
    if found.is_empty() {
        return Ok(found);
    }
    let invalid = |message: String| Error::new(SqlState::InvalidParameterValue, message);
    found.sort_unstable();
    if let Some(node) = found.iter().find(|node| **node < 1) {
        return Err(invalid(format!("a node must be at least 1, not {node}")).into());
    }
    if let Some(pair) = found.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(invalid(format!("nodes must name node {} only once", pair[0])).into());
    }
    if found.len() < 2 {
        return Err(invalid("nodes must name at least two nodes".to_owned())
            .hint("For a migration of this node alone, leave the argument out.")
            .into());
    }
    if options.fire_triggers {
        return Err(fires_triggers().into());
    }
    if options.target.keeps_values() {
        let message = format!("nodes cannot be used with target \"{}\"", options.target.name());
        return Err(Error::new(SqlState::FeatureNotSupported, message)
            .detail("The keys are the old ids, and nodes need not agree on them.")
            .hint("Migrate the key on one node after the other, each while its subscriptions are disabled.")
            .into());
    }
    own_number(extension, &found)?;
    replication_origin::check()?;
    Ok(found)
}

/// The error for a backfill on several nodes that would fire triggers.
pub(in crate::migration) fn fires_triggers() -> Error {
    Error::new(SqlState::InvalidParameterValue, "fire_triggers cannot be used with nodes")
        .detail("The backfill stays on this node, and so would everything that triggers write.")
}
