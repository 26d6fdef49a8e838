//! Which step this node may take, and what is stored after one.

use keyspace::migration::Scope;
use keyspace::migration::nodes::rules::Own;
use keyspace::migration::nodes::{Form, NodeState, NodeStep, Peer, Refusal, check};
use keyspace::{Error, SqlState};
use pgrx::pg_sys;

use super::own_state::{own_state, position, present_agreement};
use super::stored::Nodes;
use crate::migration::state::Migration;
use crate::sequences::own::peers_seen::now;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::relation::relation_name;

/// The error for a migration of this node alone.
pub(super) fn of_one_node(migration: pg_sys::Oid) -> Error {
    let message =
        format!("the key migration of table {} is one of this node alone", relation_name(migration));
    Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .hint("To migrate it on several nodes, name them when you create the migration.")
}

/// Refuses a step for which other nodes are not ready.
fn check_step(step: NodeStep, nodes: &Nodes, own: &NodeState) -> Result<(), Refusal> {
    let peers: Vec<Peer> = nodes.peers.iter().map(|peer| peer.as_peer_of(own)).collect();
    let own = Own { node: nodes.node, nodes: &nodes.nodes, progress: nodes.progress, clock: own.clock };
    check(step, &own, &peers)
}

/// Refuses a step of a migration on several nodes for which other nodes are not ready. A migration of this
/// node alone may take any.
///
/// # Errors
/// 55000.
pub(in crate::migration) fn allow(
    extension: Extension,
    migration: &Migration,
    step: NodeStep,
) -> Result<(), Failure> {
    let Some(nodes) = Nodes::read(extension, migration.relation, &migration.options.nodes)? else {
        return Ok(());
    };
    let own = own_state(extension, migration, &nodes)?;
    Ok(check_step(step, &nodes, &own).map_err(|refusal| refusal.error(nodes.node, step))?)
}

/// The next step of this node that the procedure comes to, if it has not been taken.
pub(in crate::migration) fn is_left(
    extension: Extension,
    migration: &Migration,
    step: NodeStep,
) -> Result<bool, Failure> {
    let nodes = Nodes::read(extension, migration.relation, &migration.options.nodes)?;
    Ok(nodes.is_some_and(|nodes| match step {
        NodeStep::Change(form) => nodes.progress.form != form,
        NodeStep::Fill => nodes.progress.filled.is_none(),
        _ => false,
    }))
}

/// Stores that a step has been taken, in its transaction or after it.
///
/// # Errors
/// Those of SPI itself.
pub(in crate::migration) fn taken(
    extension: Extension,
    migration: &Migration,
    step: NodeStep,
) -> Result<(), Failure> {
    let Some(mut nodes) = Nodes::read(extension, migration.relation, &migration.options.nodes)? else {
        return Ok(());
    };
    if step == NodeStep::Change(Form::OldIds) && nodes.agreement.is_none() {
        nodes.agreement = Some(present_agreement(extension, migration)?);
    }
    nodes.progress = nodes.progress.after(step, position(), now());
    nodes.store_progress(extension)?;
    Ok(())
}

/// Notes the position of this node, if it may do so now. It waits for all transactions that write to
/// the tables: their commit times may be older than the clock was when the step was allowed.
///
/// # Errors
/// Those of SPI itself; 55P03 if they do not end in time.
pub(super) fn mark(extension: Extension, migration: &Migration, nodes: &mut Nodes) -> Result<(), Failure> {
    if nodes.progress.form != Form::OldIds || nodes.progress.mark.is_some() {
        return Ok(());
    }
    loop {
        let own = own_state(extension, migration, nodes)?;
        match check_step(NodeStep::Mark, nodes, &own) {
            Ok(()) => break,
            Err(refusal) if refusal.is_brief() => {
                crate::server::waiting::pause(std::time::Duration::from_millis(50));
            }
            Err(_) => return Ok(()),
        }
    }
    let facts = migration.facts(extension)?;
    let scope = Scope::new(&facts, &migration.options)?;
    for table in scope.tables_and_partitions() {
        let tag = pg_sys::LOCKTAG {
            // SAFETY: set before a backend runs its first statement.
            locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            locktag_field2: table.oid,
            locktag_field3: 0,
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_RELATION as u8,
            locktag_lockmethodid: pg_sys::DEFAULT_LOCKMETHOD as u8,
        };
        // SAFETY: waits for the transactions that hold a lock which conflicts with this one, and takes
        // none itself.
        unsafe { pg_sys::WaitForLockers(tag, pg_sys::ShareLock as i32, false) };
    }
    nodes.progress = nodes.progress.after(NodeStep::Mark, position(), now());
    nodes.store_progress(extension)?;
    Ok(())
}
