//! `key_migration_remove_node`: the migration goes on without a node that is lost.

use pgrx::prelude::*;

use super::change::peers_lock;
use super::own_state::own_state;
use super::steps::of_one_node;
use super::stored::Nodes;
use crate::error::or_raise;
use crate::migration::state;
use crate::server::call::required;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::existing_relation;
use crate::server::transaction::check_transaction;

/// Removes a node that is lost from the migration on this node. Declared in
/// sql/migration/key_migration_nodes.sql.
///
/// # Errors
/// 22004, 22023 for a node that is not another one of the migration; 42501 if the caller does not own
/// the database; 42704, 55000 if there is no such migration, or if the nodes still replicate to each
/// other.
#[pg_extern(sql = false)]
fn key_migration_remove_node(
    migration: Option<pg_sys::Oid>,
    node: Option<i32>,
    fcinfo: pg_sys::FunctionCallInfo,
) {
    let relation = or_raise(existing_relation(migration, "migration"));
    if let Err(failure) = remove(or_raise(Extension::of_call(fcinfo)), relation, node) {
        failure.raise();
    }
}

fn remove(extension: Extension, relation: pg_sys::Oid, node: Option<i32>) -> Result<(), Failure> {
    check_transaction(c"key_migration_remove_node()")?;
    state::check_may_write()?;
    let node = required(node, "node")?;
    let relation = state::migration_of(extension, relation)?;
    peers_lock(extension, relation)?.wait();
    let migration = super::stored::existing(extension, relation)?;
    let nodes = Nodes::read(extension, migration.relation, &migration.options.nodes)?
        .ok_or_else(|| of_one_node(migration.relation))?;
    own_state(extension, &migration, &nodes)?.check_removal(node, nodes.peer(node))?;
    nodes.remove(extension, node)?;
    Ok(())
}
