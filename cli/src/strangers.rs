//! Nodes that are not named, as far as those that are named remember them.

use keyspace::sequences::Class;
use serde::Deserialize;

use crate::classes::written;
use crate::failure::{Failure, Result};
use crate::left::Left;
use crate::output::say;
use crate::session::{Session, at_once};
use crate::sessions::all;

/// A node that another one remembers.
#[derive(Clone, Debug, Deserialize)]
struct Remembered {
    system_identifier: i64,
    database_oid: u32,
    /// The class, unless the state was taken before the node had one.
    node: Option<i32>,
    nodes: Option<i32>,
}

/// The table can be read by the superuser only, if one has installed the extension.
const IS_READABLE: &str =
    "SELECT pg_catalog.has_table_privilege('keyspace_internal.interleaved_peer', 'SELECT')";

const REMEMBERED: &str = "
    SELECT DISTINCT ON (p.peer_system_identifier, p.peer_database)
           p.peer_system_identifier AS system_identifier, p.peer_database::int8 AS database_oid, p.node, p.nodes
    FROM keyspace_internal.interleaved_peer p
    WHERE p.system_identifier = (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)
      AND p.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
    ORDER BY p.peer_system_identifier, p.peer_database, p.node IS NULL, p.taken_at DESC";

/// Fails if a class that is to be given away belongs to a node that is not named and has not left.
/// Nodes remember the states that they were given.
///
/// # Errors
/// In that case, or those of the servers.
pub fn have_none_of(sessions: &mut [Session], given: &[Class], left: &[Left]) -> Result<()> {
    if given.is_empty() {
        return Ok(());
    }
    let identities: Vec<(i64, u32)> = sessions
        .iter()
        .map(|session| (session.facts.system_identifier, session.facts.database_oid))
        .collect();
    let remembered = all(at_once(sessions.iter_mut().collect(), |session: &mut Session| {
        let is_readable: bool = session.query_one(IS_READABLE, &[])?.try_get(0)?;
        let found = if is_readable { Some(session.rows::<Remembered>(REMEMBERED, &[])?) } else { None };
        Ok((session.name().to_owned(), found))
    }))?;
    let blind: Vec<&str> =
        remembered.iter().filter(|(_, found)| found.is_none()).map(|(by, _)| by.as_str()).collect();
    if !blind.is_empty() && blind.len() == remembered.len() {
        say(&format!(
            "warning: the role may not read which nodes are remembered, so nothing tells whether other nodes than {} exist",
            blind.join(", ")
        ));
    }
    for (by, found) in remembered {
        let found = found.unwrap_or_default();
        for one in found {
            let identity = (one.system_identifier, one.database_oid);
            let is_known = identities.contains(&identity)
                || left
                    .iter()
                    .any(|left| (left.state.system_identifier, left.state.database_oid) == identity);
            let class = one.node.zip(one.nodes).and_then(|(node, nodes)| Class::new(node, nodes).ok());
            // A class that is not known may be any.
            let meets = |given: &&Class| class.is_none_or(|class| given.residue().meets(class.residue()));
            let Some(wanted) = given.iter().find(meets) else { continue };
            if !is_known {
                return Err(Failure::new(format!("class {} may belong to a node that is not named", written(*wanted)))
                    .detail(format!(
                        "Node \"{by}\" was given the state of a server with system identifier {}, {}.",
                        one.system_identifier,
                        class.map_or("whose class it does not know".to_owned(), |class| format!("node {}", written(class)))
                    ))
                    .hint("Name that node, too. If it has left, pass its last state with --left FILE. Or choose another class."));
            }
        }
    }
    Ok(())
}
