//! What is stored of this node and of the others: the table `key_migration_node`.

use keyspace::migration::nodes::{NodeState, Progress};
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::{ServerText, from_utf8};
use crate::migration::state::{self, NODE};
use crate::sequences::own::identity;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::relation_name;

/// A migration on several nodes, as this node knows it.
pub(in crate::migration) struct Nodes {
    pub(super) migration: pg_sys::Oid,
    /// The number of this node.
    pub(super) node: i32,
    /// All nodes, ascending.
    pub(super) nodes: Vec<i32>,
    pub(super) progress: Progress,
    /// The digest of what must be the same on all nodes, once it is fixed.
    pub(super) agreement: Option<String>,
    /// The last states of the others.
    pub(super) peers: Vec<NodeState>,
}

impl Nodes {
    /// Reads what is stored of a migration; `None` if it is one of this node alone.
    ///
    /// # Errors
    /// 55000 if this database is not one of its nodes any more.
    pub(in crate::migration) fn read(
        extension: Extension,
        migration: pg_sys::Oid,
        nodes: &[i32],
    ) -> Result<Option<Self>, Failure> {
        if nodes.is_empty() {
            return Ok(None);
        }
        let node = own_number(extension, nodes)?;
        let mut found = Self {
            migration,
            node,
            nodes: nodes.to_vec(),
            progress: Progress::default(),
            agreement: None,
            peers: Vec::new(),
        };
        let query = "SELECT n.node, pg_catalog.convert_to(n.progress::text, 'UTF8'), n.agreement, \
                            pg_catalog.convert_to(n.state::text, 'UTF8') \
                     FROM {} AS n WHERE {own} AND n.migration = $3 ORDER BY n.node";
        let rows = state::select(query, NODE, extension, &state::arguments(migration, []), |rows| {
            rows.map(|row| {
                let text =
                    |at: usize| -> SpiResult<Option<String>> { Ok(row.get::<Vec<u8>>(at)?.map(from_utf8)) };
                Ok((row.get::<i32>(1)?.unwrap_or(0), text(2)?, row.get::<String>(3)?, text(4)?))
            })
            .collect::<SpiResult<Vec<_>>>()
        })?;
        for (number, progress, agreement, state) in rows {
            if let Some(progress) = progress.filter(|_| number == node) {
                found.progress = serde_json::from_str(&progress).map_err(|_| unreadable(migration))?;
                found.agreement = agreement;
            }
            if let Some(state) = state.filter(|_| number != node) {
                found.peers.push(NodeState::from_json(&state)?);
            }
        }
        Ok(Some(found))
    }

    /// Stores the progress of this node.
    pub(super) fn store_progress(&self, extension: Extension) -> SpiResult<()> {
        let progress = serde_json::to_string(&self.progress).unwrap_or_default();
        state::write(
            "INSERT INTO {} (system_identifier, database, migration, node, progress, agreement) \
             VALUES ($1, $2, $3, $4, $5::jsonb, $6) ON CONFLICT (system_identifier, database, migration, node) \
             DO UPDATE SET progress = EXCLUDED.progress, agreement = EXCLUDED.agreement, stored_at = clock_timestamp()",
            NODE,
            extension,
            self.migration,
            [self.node.into(), progress.into(), self.agreement.clone().into()],
        )?;
        Ok(())
    }

    /// Stores the state of another node.
    pub(super) fn store_peer(&mut self, extension: Extension, peer: NodeState) -> SpiResult<()> {
        state::write(
            "INSERT INTO {} (system_identifier, database, migration, node, state) \
             VALUES ($1, $2, $3, $4, $5::jsonb) ON CONFLICT (system_identifier, database, migration, node) \
             DO UPDATE SET state = EXCLUDED.state, stored_at = clock_timestamp()",
            NODE,
            extension,
            self.migration,
            [peer.node.into(), ServerText(peer.to_json()).into()],
        )?;
        self.peers.retain(|known| known.node != peer.node);
        self.peers.push(peer);
        Ok(())
    }

    /// The last state of a node.
    pub(super) fn peer(&self, node: i32) -> Option<&NodeState> {
        self.peers.iter().find(|peer| peer.node == node)
    }
}

/// The number of this node, which must be one of these.
///
/// # Errors
/// 55000 if it is not.
pub(in crate::migration) fn own_number(extension: Extension, nodes: &[i32]) -> Result<i32, Error> {
    let node = identity::class(extension)?.node();
    if !nodes.contains(&node) {
        let message = format!("this database is node {node}, which is not one of the nodes of the migration");
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message).hint(
            "Name all nodes that write to the tables, each by the number with which its sequences are set up.",
        ));
    }
    Ok(node)
}

fn unreadable(migration: pg_sys::Oid) -> Error {
    let message = format!(
        "the stored progress of the key migration of table {} cannot be read",
        relation_name(migration)
    );
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .hint("Update the library to the version that has stored it.")
}
