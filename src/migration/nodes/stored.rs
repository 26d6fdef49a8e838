//! What is stored of this node and of the others: the table `key_migration_node`.

use keyspace::migration::nodes::differences::Unequal;
use keyspace::migration::nodes::{NodeState, Progress};
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::{ServerText, from_utf8};
use crate::migration::state::{self, COLUMN, MIGRATION, Migration, NODE};
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
    /// The parts of tables whose keys may differ from those of the first node; `None` before a
    /// comparison.
    pub(super) unequal: Option<Unequal>,
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
            unequal: None,
            peers: Vec::new(),
        };
        let query = "SELECT n.node, pg_catalog.convert_to(n.progress::text, 'UTF8'), n.agreement, \
                            pg_catalog.convert_to(n.state::text, 'UTF8'), \
                            pg_catalog.convert_to(n.unequal_parts::text, 'UTF8') \
                     FROM {} AS n WHERE {own} AND n.migration = $3 ORDER BY n.node";
        let rows = state::select(query, NODE, extension, &state::arguments(migration, []), |rows| {
            rows.map(|row| {
                let text =
                    |at: usize| -> SpiResult<Option<String>> { Ok(row.get::<Vec<u8>>(at)?.map(from_utf8)) };
                Ok((row.get::<i32>(1)?.unwrap_or(0), text(2)?, row.get::<String>(3)?, text(4)?, text(5)?))
            })
            .collect::<SpiResult<Vec<_>>>()
        })?;
        for (number, progress, agreement, state, unequal) in rows {
            if let Some(progress) = progress.filter(|_| number == node) {
                found.progress = Progress::from_json(&progress).ok_or_else(|| unreadable(migration))?;
                found.agreement = agreement;
                let read = |parts: &str| Unequal::from_json(parts).ok_or_else(|| unreadable(migration));
                found.unequal = unequal.as_deref().map(read).transpose()?;
            }
            if let Some(state) = state.filter(|_| number != node) {
                found.peers.push(NodeState::from_json(&state)?);
            }
        }
        Ok(Some(found))
    }

    /// Stores the progress of this node. Other nodes rely on it as soon as they are told, so it must not
    /// be lost by a crash.
    pub(super) fn store_progress(&self, extension: Extension) -> SpiResult<()> {
        force_sync_commit();
        let progress = self.progress.to_json();
        state::write(
            "INSERT INTO {} (system_identifier, database, migration, node, progress, agreement, is_closed) \
             VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7) ON CONFLICT (system_identifier, database, migration, node) \
             DO UPDATE SET progress = EXCLUDED.progress, agreement = EXCLUDED.agreement, is_closed = EXCLUDED.is_closed, \
                           stored_at = clock_timestamp()",
            NODE,
            extension,
            self.migration,
            [
                self.node.into(),
                progress.into(),
                self.agreement.clone().into(),
                self.progress.closed.is_some().into(),
            ],
        )?;
        Ok(())
    }

    /// Stores which parts of tables have to be compared row by row.
    pub(super) fn store_unequal(&self, extension: Extension) -> SpiResult<()> {
        let unequal = self.unequal.as_ref().map(Unequal::to_json);
        state::write(
            "UPDATE {} SET unequal_parts = $5::jsonb WHERE {own} AND migration = $3 AND node = $4",
            NODE,
            extension,
            self.migration,
            [self.node.into(), unequal.map(ServerText).into()],
        )?;
        Ok(())
    }

    /// Stores the state of another node, which relies on it in the same way.
    pub(super) fn store_peer(&mut self, extension: Extension, peer: NodeState) -> SpiResult<()> {
        force_sync_commit();
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

    /// Forgets another node.
    pub(super) fn remove(&self, extension: Extension, node: i32) -> SpiResult<()> {
        for (statement, table) in [
            ("DELETE FROM {} WHERE {own} AND migration = $3 AND node = $4", NODE),
            ("UPDATE {} SET nodes = array_remove(nodes, $4) WHERE {own} AND relation = $3", MIGRATION),
        ] {
            state::write(statement, table, extension, self.migration, [node.into()])?;
        }
        Ok(())
    }

    /// The last state of a node.
    pub(super) fn peer(&self, node: i32) -> Option<&NodeState> {
        self.peers.iter().find(|peer| peer.node == node)
    }
}

/// Makes this transaction commit synchronously, whatever `synchronous_commit` is.
fn force_sync_commit() {
    // SAFETY: sets a variable of this backend, until the end of the transaction.
    unsafe { pg_sys::ForceSyncCommit() };
}

/// A migration, even if it is finalized here: other nodes still need the state of this one.
///
/// # Errors
/// 42704 if there is none.
pub(super) fn existing(extension: Extension, relation: pg_sys::Oid) -> Result<Migration, Failure> {
    match state::load(extension, relation)? {
        Some(migration) if migration.is_finalized && !migration.options.nodes.is_empty() => Ok(migration),
        _ => state::existing(extension, relation),
    }
}

/// Whether a table is part of a migration on several nodes that is prepared here.
///
/// # Errors
/// Those of SPI itself.
pub(in crate::migration) fn is_of_several(extension: Extension, table: pg_sys::Oid) -> SpiResult<bool> {
    let query = "SELECT c.migration FROM {} AS c WHERE {own} AND c.relation = $3 LIMIT 1";
    let migration = state::select(query, COLUMN, extension, &state::arguments(table, []), |mut rows| {
        rows.next().map_or(Ok(None), |row| row.get::<pg_sys::Oid>(1))
    })?;
    let Some(migration) = migration else { return Ok(false) };
    let query = "SELECT count(*) FROM {} AS n WHERE {own} AND n.migration = $3 AND n.progress IS NOT NULL";
    let count = state::select(query, NODE, extension, &state::arguments(migration, []), |rows| {
        rows.first().get_one::<i64>()
    })?;
    Ok(count.unwrap_or(0) > 0)
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
