//! Which step this node may take, and what is stored after one.

use keyspace::migration::Scope;
use keyspace::migration::nodes::rules::Own;
use keyspace::migration::nodes::{Form, NodeState, NodeStep, Peer, Refusal, check, check_confirmed};
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

/// Refuses a migration of this node alone.
///
/// # Errors
/// 55000.
pub(in crate::migration) fn check_several(migration: &Migration) -> Result<(), Error> {
    if migration.options.nodes.is_empty() { Err(of_one_node(migration.relation)) } else { Ok(()) }
}

/// Refuses to add anything to a migration whose tables are prepared: other nodes would not have it.
///
/// # Errors
/// 55000.
pub(in crate::migration) fn check_extensible(
    extension: Extension,
    migration: &Migration,
) -> Result<(), Failure> {
    if !is_left(extension, migration, NodeStep::Change(Form::Unprepared))? {
        return Ok(());
    }
    let message = format!(
        "the key migration of table {} is prepared, and cannot be extended on several nodes",
        relation_name(migration.relation)
    );
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .hint("Roll the migration back on all nodes, and create it again.")
        .into())
}

/// Refuses to go on with tables that have changed since this node was prepared, so that it would send
/// columns that other nodes do not have.
///
/// # Errors
/// 55000.
pub(in crate::migration) fn check_agreement(
    extension: Extension,
    migration: &Migration,
) -> Result<(), Failure> {
    let nodes = Nodes::read(extension, migration.relation, &migration.options.nodes)?;
    let Some(agreed) = nodes.and_then(|nodes| nodes.agreement) else { return Ok(()) };
    if present_agreement(extension, migration)? == agreed {
        return Ok(());
    }
    let message = format!(
        "the tables of the key migration of table {} have changed since they were prepared",
        relation_name(migration.relation)
    );
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("Other nodes would not have the same new columns.")
        .hint("Undo the change, for example a new foreign key to the table, until the migration is finalized. Or roll the migration back on all nodes, and create it again.")
        .into())
}

/// Refuses a step for which other nodes are not ready.
fn check_step(step: NodeStep, nodes: &Nodes, own: &NodeState) -> Result<(), Refusal> {
    let peers: Vec<Peer> = nodes.peers.iter().map(|peer| peer.as_peer_of(own)).collect();
    let confirmed = nodes.peers.iter().map(|peer| (peer.as_peer_of(own), own.confirmed_by(peer)));
    let confirmed: Vec<_> = confirmed.collect();
    let progress = nodes.progress;
    let own = Own { node: nodes.node, nodes: &nodes.nodes, progress: nodes.progress, clock: own.clock };
    check(step, &own, &peers)?;
    check_confirmed(step, &progress, &confirmed)
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
    if step == NodeStep::Change(Form::Unprepared) {
        nodes.agreement = None;
    }
    // It was allowed in this transaction.
    nodes.progress = nodes.progress.after_confirmed(step, position(), now());
    nodes.store_progress(extension)?;
    Ok(())
}

/// Whether what takes long before the end has been checked on this node of several.
pub(in crate::migration) fn is_checked(extension: Extension, migration: &Migration) -> Result<bool, Failure> {
    let nodes = Nodes::read(extension, migration.relation, &migration.options.nodes)?;
    Ok(nodes.is_some_and(|nodes| nodes.progress.checked))
}

/// Stores that it has been checked, if writers on this node of several go on: they are not to wait for
/// it. Returns whether they do.
///
/// # Errors
/// Those of SPI itself.
pub(in crate::migration) fn check_before_close(
    extension: Extension,
    migration: &Migration,
) -> Result<bool, Failure> {
    let nodes = Nodes::read(extension, migration.relation, &migration.options.nodes)?;
    let Some(mut nodes) = nodes.filter(|nodes| nodes.progress.closed.is_none()) else { return Ok(false) };
    nodes.progress.checked = true;
    nodes.store_progress(extension)?;
    Ok(true)
}

/// What is next if writers on this node are to go on without a change of form.
pub(in crate::migration) enum Opening {
    /// It announces that first.
    Announce,
    /// They go on, if the other nodes know of the announcement.
    Open,
    /// They do not wait any more.
    Done,
}

/// What is next if writers on this node are to go on.
///
/// # Errors
/// 55000 if the migration is one of this node alone.
pub(in crate::migration) fn opening(extension: Extension, migration: &Migration) -> Result<Opening, Failure> {
    let nodes = Nodes::read(extension, migration.relation, &migration.options.nodes)?
        .ok_or_else(|| of_one_node(migration.relation))?;
    Ok(match (nodes.progress.closed, nodes.progress.withdrawing) {
        (None, _) => Opening::Done,
        (Some(_), None) => Opening::Announce,
        (Some(_), Some(_)) => Opening::Open,
    })
}

/// The error for a step that has to be tried again, because states of other nodes are being taken in.
pub(in crate::migration) fn taken_in(migration: pg_sys::Oid) -> Error {
    let message = format!(
        "another session is taking in states of nodes for the key migration of table {}",
        relation_name(migration)
    );
    Error::new(SqlState::LockNotAvailable, message)
        .hint("End the transaction of that session, and try again.")
}

/// Refuses to forget a migration on several nodes before the other nodes have removed theirs: they need
/// the state of this one for that.
///
/// # Errors
/// 55000.
pub(in crate::migration) fn check_forgotten(
    extension: Extension,
    migration: &Migration,
    is_confirmed: bool,
) -> Result<(), Failure> {
    let Some(nodes) = Nodes::read(extension, migration.relation, &migration.options.nodes)? else {
        return Ok(());
    };
    let is_removed = |node: &NodeState| {
        node.progress.form == Form::Unprepared && node.progress.round == nodes.progress.round
    };
    if nodes.progress.round == 0 || is_confirmed {
        return Ok(());
    }
    let left = nodes.nodes.iter().copied().filter(|node| *node != nodes.node);
    let Some(node) = left.into_iter().find(|node| !nodes.peer(*node).is_some_and(is_removed)) else {
        return Ok(());
    };
    let message = format!(
        "the key migration of table {} has been removed on this node, but perhaps not on node {node}",
        relation_name(migration.relation)
    );
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail("That node needs key_migration_node_state() of this one.")
        .hint(format!("Roll the migration back on node {node}, then pass key_migration_node_state() of node {node} to key_migration_add_peers() here. If node {node} is lost, use confirm."))
        .into())
}

/// Stores on the first node that the keys of all nodes have been compared, once the others have compared
/// theirs with its own.
///
/// # Errors
/// Those of SPI itself.
pub(super) fn compare(extension: Extension, migration: &Migration, nodes: &mut Nodes) -> Result<(), Failure> {
    let is_first = nodes.nodes.first() == Some(&nodes.node);
    let progress = &nodes.progress;
    let has_compared = |peer: &NodeState| peer.progress.round == progress.round && peer.progress.compared;
    if !is_first
        || progress.compared
        || progress.form != Form::OldIds
        || nodes.peers.len() + 1 != nodes.nodes.len()
        || !nodes.peers.iter().all(has_compared)
    {
        return Ok(());
    }
    let own = own_state(extension, migration, nodes)?;
    if check_step(NodeStep::Compare, nodes, &own).is_ok() {
        nodes.progress = nodes.progress.after(NodeStep::Compare, position(), now());
        nodes.store_progress(extension)?;
    }
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
