//! `key_migration_node_state`: the state of this node for the other nodes.

use pgrx::prelude::*;

use super::own_state::own_state;
use super::stored::Nodes;
use crate::encoding::ServerJson;
use crate::error::or_raise;
use crate::migration::state;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::existing_relation;

/// The state of this node in a migration. Declared in sql/migration/key_migration_nodes.sql.
///
/// # Errors
/// 42501 if the caller does not own the database, 42704 if the table is not being migrated, 55000 if it
/// is migrated on this node alone.
#[pg_extern(sql = false)]
fn key_migration_node_state(migration: Option<pg_sys::Oid>, fcinfo: pg_sys::FunctionCallInfo) -> ServerJson {
    let relation = or_raise(existing_relation(migration, "migration"));
    match read(or_raise(Extension::of_call(fcinfo)), relation) {
        Ok(json) => ServerJson(json),
        Err(failure) => failure.raise(),
    }
}

fn read(extension: Extension, relation: pg_sys::Oid) -> Result<String, Failure> {
    state::check_may_write()?;
    let migration = super::stored::existing(extension, state::migration_of(extension, relation)?)?;
    let nodes = Nodes::read(extension, migration.relation, &migration.options.nodes)?
        .ok_or_else(|| super::steps::of_one_node(migration.relation))?;
    Ok(own_state(extension, &migration, &nodes)?.to_json())
}
