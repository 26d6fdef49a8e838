//! What a change of the form of rows needs besides its statements, if other nodes replicate to this
//! one: their permission, and that writers who wait make way and go on afterwards.

use keyspace::migration::Facts;
use keyspace::migration::nodes::{Form, NodeStep, fence};
use keyspace::migration::step::Statement;
use pgrx::pg_sys;

use super::fence::change_lock;
use super::steps;
use crate::migration::state::{Migration, NODE};
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::work_lock::WorkLock;

/// The lock under which the states of other nodes are taken in. A change holds it, too: if another node
/// is told that this one knows of an announcement, this one must not rely on an older state.
pub(super) fn peers_lock(extension: Extension, migration: pg_sys::Oid) -> Result<WorkLock, Failure> {
    Ok(WorkLock::new(NODE.oid(extension)?, migration))
}

/// Begins a change, before its tables are locked; returns whether to go on with it now. Writers who wait
/// make way from now on, until the end of the transaction.
///
/// # Errors
/// 55000 if other nodes are not ready.
pub(in crate::migration) fn begin(
    extension: Extension,
    migration: &Migration,
    step: NodeStep,
) -> Result<bool, Failure> {
    if migration.options.nodes.is_empty() {
        return Ok(true);
    }
    if !peers_lock(extension, migration.relation)?.take() {
        return Ok(false);
    }
    steps::allow(extension, migration, step)?;
    if matches!(step, NodeStep::Change(_)) {
        change_lock(extension, migration.relation)?.wait();
    }
    Ok(true)
}

/// The statements that let writers go on, for the transaction of a change.
pub(in crate::migration) fn statements(facts: &Facts, step: NodeStep) -> Vec<Statement> {
    let statements = match step {
        // Those of other tables are dropped with all triggers of the migration.
        NodeStep::Change(Form::Unprepared) => fence::open_partitions(facts),
        NodeStep::Change(_) => fence::open(facts),
        _ => Vec::new(),
    };
    statements.into_iter().map(Statement::from).collect()
}
