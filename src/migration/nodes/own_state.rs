//! The state of this node in a migration.

use std::collections::BTreeMap;
use std::ffi::CStr;

use keyspace::migration::Scope;
use keyspace::migration::nodes::agreement::agreement;
use keyspace::migration::nodes::{NodeState, Position, state::VERSION};
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use super::stored::Nodes;
use crate::migration::state::Migration;
use crate::sequences::change::records;
use crate::sequences::own::peers_seen;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::other_extensions::{all_names_in, member_table};
use crate::server::settings::with_own_settings;
use crate::server::tables::own_key;

/// Extensions with subscriptions of their own, which have this table and column.
const SUBSCRIBING: [&CStr; 2] = [c"pglogical", c"spock"];

/// The state of this node.
///
/// # Errors
/// Those of the catalogs.
pub(super) fn own_state(
    extension: Extension,
    migration: &Migration,
    nodes: &Nodes,
) -> Result<NodeState, Failure> {
    let (system_identifier, database) = own_key();
    let agreement = match &nodes.agreement {
        Some(agreement) => agreement.clone(),
        None => present_agreement(extension, migration)?,
    };
    let slots = with_own_settings(slots)?;
    let receives_from = with_own_settings(receives_from)?;
    let timeline = records::timeline()?;
    Ok(NodeState {
        version: VERSION,
        node: nodes.node,
        nodes: nodes.nodes.clone(),
        system_identifier,
        timeline,
        database_oid: database.to_u32(),
        agreement,
        position: position(),
        clock: peers_seen::now(),
        progress: nodes.progress,
        slots,
        receives_from,
        seen: nodes.peers.iter().map(|peer| (peer.node, peer.position)).collect(),
    })
}

/// What must be the same on all nodes, as the catalogs are now.
pub(super) fn present_agreement(extension: Extension, migration: &Migration) -> Result<String, Failure> {
    let facts = migration.facts(extension)?;
    Ok(agreement(&Scope::new(&facts, &migration.options)?))
}

/// The position up to which the WAL has been written.
pub(super) fn position() -> Position {
    // SAFETY: reads shared memory.
    Position(unsafe { pg_sys::GetXLogInsertRecPtr() })
}

/// The logical slots of this database, with the positions that their readers have confirmed.
fn slots() -> Result<BTreeMap<String, Position>, Failure> {
    let query = "SELECT s.slot_name::text, s.confirmed_flush_lsn::text FROM pg_catalog.pg_replication_slots AS s \
                 WHERE s.slot_type = 'logical' AND s.database = pg_catalog.current_database() \
                   AND s.confirmed_flush_lsn IS NOT NULL";
    let found = Spi::connect(|client| -> SpiResult<Vec<(String, String)>> {
        let rows = client.select(query, None, &[])?;
        // The names of slots are ASCII.
        rows.map(|row| Ok((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default()))).collect()
    })?;
    let position = |(name, text): (String, String)| {
        let position = text.parse().map_err(|detail: String| {
            Error::new(SqlState::ObjectNotInPrerequisiteState, "could not read the replication slots")
                .detail(detail)
        })?;
        Ok((name, position))
    };
    found.into_iter().map(position).collect()
}

/// The slots on other servers from which the subscriptions of this database receive.
fn receives_from() -> Result<Vec<String>, Failure> {
    let query = "SELECT s.subslotname::text FROM pg_catalog.pg_subscription AS s \
                 JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid \
                 WHERE d.datname = pg_catalog.current_database() AND s.subslotname IS NOT NULL ORDER BY 1";
    let mut found = Spi::connect(|client| -> SpiResult<Vec<String>> {
        client.select(query, None, &[])?.map(|row| Ok(row.get(1)?.unwrap_or_default())).collect()
    })?;
    for name in SUBSCRIBING {
        if let Some(subscriptions) = member_table(name, c"subscription")? {
            found.extend(all_names_in(subscriptions, [c"sub_slot_name"]).into_iter().map(|[slot]| slot));
        }
    }
    Ok(found)
}
