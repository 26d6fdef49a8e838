//! `key_migration_add_peers`: takes in the states of other nodes.

use keyspace::migration::nodes::NodeState;
use keyspace::{Error, SqlState};
use pgrx::AnyArray;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use super::change::peers_lock;
use super::own_state::own_state;
use super::steps::{self, of_one_node};
use super::stored::Nodes;
use crate::encoding::from_utf8;
use crate::error::or_raise;
use crate::migration::state;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::existing_relation;
use crate::server::transaction::check_transaction;

/// Takes in the states of other nodes. Declared in sql/migration/key_migration_nodes.sql.
///
/// # Errors
/// 22004, 22023 for anything that is not a state of another node of this migration; 42501 if the
/// caller does not own the database; 42704, 55000 if there is no such migration, or if a newer state is
/// known.
#[pg_extern(sql = false)]
fn key_migration_add_peers(
    migration: Option<pg_sys::Oid>,
    peers: Option<AnyArray>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let relation = or_raise(existing_relation(migration, "migration"));
    if let Err(failure) = add(or_raise(Extension::of_call(fcinfo)), relation, peers) {
        failure.raise();
    }
}

fn add(extension: Extension, relation: pg_sys::Oid, peers: Option<AnyArray>) -> Result<(), Failure> {
    check_transaction(c"key_migration_add_peers()")?;
    state::check_may_write()?;
    let relation = state::migration_of(extension, relation)?;
    peers_lock(extension, relation)?.wait();
    let migration = super::stored::existing(extension, relation)?;
    let Some(mut nodes) = Nodes::read(extension, migration.relation, &migration.options.nodes)? else {
        return Err(of_one_node(migration.relation).into());
    };
    let own = own_state(extension, &migration, &nodes)?;
    for peer in states(peers)? {
        own.check_peer(&peer, nodes.peer(peer.node))?;
        nodes.store_peer(extension, peer)?;
    }
    steps::mark(extension, &migration, &mut nodes)?;
    steps::compare(extension, &migration, &mut nodes)
}

/// Reads the array.
fn states(peers: Option<AnyArray>) -> Result<Vec<NodeState>, Failure> {
    let peers = required(peers, "peers")?;
    // SAFETY: the function is declared with an argument of type jsonb[], which lives as long as the
    // call.
    let argument = unsafe { DatumWithOid::new(peers.datum(), pg_sys::JSONBARRAYOID) };
    let query = "SELECT pg_catalog.convert_to(p.state::pg_catalog.text, 'UTF8') FROM pg_catalog.unnest($1) AS p (state)";
    let documents: Vec<Option<Vec<u8>>> = Spi::connect(|client| {
        client.select(query, None, &[argument])?.map(|row| row.get::<Vec<u8>>(1)).collect::<Result<_, _>>()
    })?;
    let mut found = Vec::new();
    for document in documents {
        let document = document
            .ok_or_else(|| Error::new(SqlState::NullValueNotAllowed, "peers must not contain nulls"))?;
        found.push(NodeState::from_json(&from_utf8(document))?);
    }
    Ok(found)
}
