//! The argument `peers`: what other nodes have told of themselves.

use std::rc::Rc;

use keyspace::sequences::NodeState;
use keyspace::{Error, SqlState};
use pgrx::AnyArray;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

use super::failure::Failure;
use super::nextval::null;
use super::tables::own_key;
use crate::encoding::from_utf8;

/// Reads the states of other nodes.
///
/// # Errors
/// 22004 for NULL, 22023 for what is no state, or one of a version that cannot be read.
pub(super) fn read(peers: Option<AnyArray>) -> Result<Rc<[NodeState]>, Failure> {
    let peers = peers.ok_or_else(|| null("peers"))?;
    // SAFETY: the function is declared with an argument of type jsonb[], which lives as long as the call.
    let argument = unsafe { DatumWithOid::new(peers.datum(), pg_sys::JSONBARRAYOID) };
    // SQL knows the encoding of the strings in it.
    let query = "SELECT pg_catalog.convert_to(p.state::pg_catalog.text, 'UTF8') FROM pg_catalog.unnest($1) AS p (state)";
    let documents = Spi::connect(|client| {
        let table = client.select(query, None, &[argument])?;
        table.into_iter().map(|row| row.get::<Vec<u8>>(1)).collect::<Result<Vec<_>, _>>()
    })?;
    let states = documents.into_iter().map(|document| {
        let document = document.ok_or_else(|| {
            let message = "argument \"peers\" must not contain NULL";
            Error::new(SqlState::NullValueNotAllowed, message)
        })?;
        NodeState::parse(&from_utf8(document))
    });
    Ok(states.collect::<Result<_, _>>()?)
}

/// A state of this very database, or of a copy of it.
pub(super) fn of_this_database(peers: &[NodeState]) -> Option<&NodeState> {
    let (system_identifier, database) = own_key();
    let own = (system_identifier, database.to_u32());
    peers.iter().find(|peer| (peer.system_identifier, peer.database_oid) == own)
}

/// The refusal of such a state.
pub(super) fn own_state(peer: &NodeState) -> Error {
    let message = format!("a peer's state is of this database, \"{}\", or of a copy of it", peer.database);
    Error::new(SqlState::InvalidParameterValue, message)
        .detail("It has the same system identifier and database.")
        .hint("Leave it out: peers are the states of the other nodes.")
}
