//! `confirm_interleaved_node`: makes a copy take the place of the node that it was copied from.

use keyspace::sequences::Class;
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::error::or_raise;
use crate::sequences::change::setup_lock::SetupLock;
use crate::sequences::own::identity::{self, Other};
use crate::sequences::own::tables;
use crate::server::extension::Extension;
use crate::server::failure::Failure;
use crate::server::tables::own_key;
use crate::server::transaction::check_transaction;

/// Makes this database the node that it was copied from: after pg_upgrade, pg_createsubscriber or
/// use as a template, when the original is gone. `node` and `nodes` select the node if several are
/// stored.
///
/// # Errors
/// 22023 if only one of them is given or they form no class, 42501 without the privilege, 55000 if
/// this database is already a node, if no node of another server or database is stored, or if
/// several are.
#[pg_extern(sql = false)]
fn confirm_interleaved_node(node: Option<i32>, nodes: Option<i32>, fcinfo: pg_sys::FunctionCallInfo) {
    if let Err(failure) = confirm(node, nodes, or_raise(Extension::of_call(fcinfo))) {
        failure.raise();
    }
}

fn confirm(node: Option<i32>, nodes: Option<i32>, extension: Extension) -> Result<(), Failure> {
    let named = match (node, nodes) {
        (None, None) => None,
        (Some(node), Some(nodes)) => Some(Class::new(node, nodes)?),
        _ => {
            let message = "node and nodes must be specified together";
            return Err(Error::new(SqlState::InvalidParameterValue, message)
                .hint("Specify both or neither.")
                .into());
        }
    };
    check_transaction(c"confirm_interleaved_node()")?;
    identity::check_may_store()?;
    let _lock = SetupLock::take(extension)?;
    if let Some(class) = identity::known(extension)? {
        let message = format!("this database is already node {} of {}", class.node(), class.nodes());
        return Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
            .detail("There is nothing to confirm.")
            .into());
    }
    let others = identity::others(extension)?;
    let other = choose(&others, named)?;
    take_over(extension, other)?;
    for replaced in others.iter().filter(|replaced| replaced.class == other.class) {
        forget(extension, replaced)?;
    }
    identity::store(extension, other.class)?;
    if other.new_sequences {
        identity::take_new_sequences(extension, true)?;
    }
    notice!("this database is now node {} of {}", other.class.node(), other.class.nodes());
    Ok(())
}

/// The node that is confirmed.
fn choose(others: &[Other], named: Option<Class>) -> Result<Other, Error> {
    let setup = "Call setup_interleaved_sequences(node, nodes) to make it a node.";
    let stored = others.iter().map(|other| format!("{} of {}", other.class.node(), other.class.nodes()));
    let stored = format!("The stored nodes are: {}.", stored.collect::<Vec<_>>().join(", "));
    let refuse = |message: &str| Error::new(SqlState::ObjectNotInPrerequisiteState, message);
    if others.is_empty() {
        return Err(refuse("no node of another server or database is stored in this database")
            .detail("A dump does not include the node, but a copy of the data directory does.")
            .hint(setup));
    }
    let mut fitting = others.iter().filter(|other| named.is_none_or(|named| named == other.class));
    let Some(first) = fitting.next() else {
        return Err(refuse("this node is not stored in this database").detail(stored).hint(setup));
    };
    // Copies of a copy have the same class, so their rows are the same.
    if fitting.any(|other| other.class != first.class) {
        return Err(refuse("several nodes are stored in this database").detail(stored).hint(
            "Specify the one that this database is a copy of: confirm_interleaved_node(node, nodes).",
        ));
    }
    Ok(*first)
}

/// Forgets the node that this database replaces, and those that it had replaced itself. Otherwise they
/// would count as nodes of their class when the class is split or changed.
fn forget(extension: Extension, replaced: &Other) -> SpiResult<()> {
    let statement = "DELETE FROM {} WHERE system_identifier OPERATOR(pg_catalog.=) $1 AND database OPERATOR(pg_catalog.=) $2";
    let key = [replaced.key.0.into(), replaced.key.1.into()];
    for table in [
        tables::NODE,
        tables::SEQUENCE,
        tables::FEED,
        tables::TRUSTED,
        tables::PEER,
        tables::ACKNOWLEDGEMENT,
        tables::SETUP,
    ] {
        table.write(statement, extension, &key)?;
    }
    Ok(())
}

/// Takes over the records of sequences and tables, which have the same OIDs in a copy.
fn take_over(extension: Extension, other: Other) -> SpiResult<()> {
    let sequences = "INSERT INTO {} (system_identifier, database, sequence, increment, former_increment, former_start, \
                     former_min_value, former_max_value, start, min_value, max_value, in_use, restart, gap, before_setup, timeline, set_up_at) \
         SELECT $1, $2, s.sequence, s.increment, s.former_increment, s.former_start, s.former_min_value, \
                s.former_max_value, s.start, s.min_value, s.max_value, s.in_use, s.restart, s.gap, s.before_setup, s.timeline, s.set_up_at FROM {} AS s \
         WHERE s.system_identifier OPERATOR(pg_catalog.=) $3 AND s.database OPERATOR(pg_catalog.=) $4 \
         ON CONFLICT DO NOTHING";
    let feeds = "INSERT INTO {} (system_identifier, database, sequence, relation, attribute) \
         SELECT $1, $2, f.sequence, f.relation, f.attribute FROM {} AS f \
         WHERE f.system_identifier OPERATOR(pg_catalog.=) $3 AND f.database OPERATOR(pg_catalog.=) $4 \
         ON CONFLICT DO NOTHING";
    let trusted = "INSERT INTO {} (system_identifier, database, sequence, rows_from) \
         SELECT $1, $2, t.sequence, t.rows_from FROM {} AS t \
         WHERE t.system_identifier OPERATOR(pg_catalog.=) $3 AND t.database OPERATOR(pg_catalog.=) $4 \
         ON CONFLICT DO NOTHING";
    let acknowledgements = "INSERT INTO {} (system_identifier, database, sequence, finding, reason, role, acknowledged_at) \
         SELECT $1, $2, a.sequence, a.finding, a.reason, a.role, a.acknowledged_at FROM {} AS a \
         WHERE a.system_identifier OPERATOR(pg_catalog.=) $3 AND a.database OPERATOR(pg_catalog.=) $4 \
         ON CONFLICT DO NOTHING";
    let (system_identifier, database) = own_key();
    let keys = [system_identifier.into(), database.into(), other.key.0.into(), other.key.1.into()];
    let peers = "INSERT INTO {} (system_identifier, database, peer_system_identifier, peer_database, peer_timeline, \
                     sequence, node, nodes, taken_at, seen_at, position, rate) \
         SELECT $1, $2, p.peer_system_identifier, p.peer_database, p.peer_timeline, p.sequence, p.node, p.nodes, \
                p.taken_at, p.seen_at, p.position, p.rate FROM {} AS p \
         WHERE p.system_identifier OPERATOR(pg_catalog.=) $3 AND p.database OPERATOR(pg_catalog.=) $4 \
         ON CONFLICT DO NOTHING";
    for (statement, table) in [
        (sequences, tables::SEQUENCE),
        (feeds, tables::FEED),
        (trusted, tables::TRUSTED),
        (peers, tables::PEER),
        (acknowledgements, tables::ACKNOWLEDGEMENT),
    ] {
        table.write(statement, extension, &keys)?;
    }
    Ok(())
}
