//! The argument `peers`: the states of other nodes.

use std::rc::Rc;

use keyspace::sequences::{Class, NodeState, Peer};
use keyspace::{Error, SqlState};
use pgrx::AnyArray;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::from_utf8;
use crate::sequences::change::records;
use crate::server::call::required;
use crate::server::failure::Failure;
use crate::server::tables::own_key;

/// Reads the states of other nodes.
///
/// # Errors
/// 22004 for NULL, 22023 for a value that is not a state, or a state of a version that cannot be
/// read.
pub(super) fn read(peers: Option<AnyArray>) -> Result<Rc<[Peer]>, Failure> {
    let peers = required(peers, "peers")?;
    // SAFETY: the function is declared with an argument of type jsonb[], which lives as long as the
    // call.
    let argument = || unsafe { DatumWithOid::new(peers.datum(), pg_sys::JSONBARRAYOID) };
    // SQL knows the encoding of the strings. States are read one by one, since each can be long.
    let count = "SELECT pg_catalog.cardinality($1)";
    let query = "SELECT pg_catalog.convert_to(p.state::pg_catalog.text, 'UTF8') \
                 FROM pg_catalog.unnest($1) WITH ORDINALITY AS p (state, at) WHERE p.at OPERATOR(pg_catalog.=) $2";
    let states: Option<i32> =
        Spi::connect(|client| client.select(count, Some(1), &[argument()])?.first().get_one())?;
    let mut peers = Vec::new();
    for at in 1..=states.unwrap_or_default() {
        let document: Option<Vec<u8>> = Spi::connect(|client| {
            client.select(query, Some(1), &[argument(), i64::from(at).into()])?.first().get_one()
        })?;
        let document = document.ok_or_else(|| {
            let message = "peers must not contain nulls";
            Error::new(SqlState::NullValueNotAllowed, message)
        })?;
        peers.push(NodeState::parse(&from_utf8(document)).map(Peer::from)?);
    }
    Ok(peers.into())
}

/// Refuses the state of this very database: the same server, started at the same time. A copy of
/// the server, and an older state, count as peers.
///
/// # Errors
/// 22023 if it is among them.
pub(super) fn check_others(peers: &[Peer]) -> Result<(), Failure> {
    let (system_identifier, database) = own_key();
    let own = (system_identifier, database.to_u32());
    let mut alike = peers.iter().filter(|peer| (peer.system_identifier, peer.database_oid) == own).peekable();
    if alike.peek().is_none() {
        return Ok(());
    }
    let (timeline, started_at) = (records::timeline()?, started_at()?);
    match alike.find(|peer| (peer.timeline, &peer.started_at) == (timeline, &started_at)) {
        None => Ok(()),
        Some(peer) => {
            let message = format!("state of a peer is that of this database, \"{}\"", peer.database);
            Err(Error::new(SqlState::InvalidParameterValue, message)
                .hint("Pass only the states of the other nodes as peers.")
                .into())
        }
    }
}

/// Refuses a class that has values in common with that of a peer.
///
/// # Errors
/// 55000 if one has.
pub(super) fn check_class(peers: &[Peer], class: Class) -> Result<(), Error> {
    let meets = |peer: &&Peer| peer.class().is_some_and(|other| other.residue().meets(class.residue()));
    let Some(peer) = peers.iter().find(meets) else { return Ok(()) };
    let message =
        format!("node {} of {} would share values with {}", class.node(), class.nodes(), peer.name());
    Err(Error::new(SqlState::ObjectNotInPrerequisiteState, message)
        .detail(format!("According to its state, database \"{}\" is that node.", peer.database))
        .hint("Choose a class that no peer has. To free one, call split_interleaved_sequences() on a peer. If this database replaces the peer, leave out its state, and specify a gap for the values that it may have generated since."))
}

/// When the server was started, in UTC.
pub(super) fn started_at() -> SpiResult<String> {
    let query = "SELECT pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.pg_postmaster_start_time()), \
                                           'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    Spi::connect(|client| Ok(client.select(query, Some(1), &[])?.first().get_one()?.unwrap_or_default()))
}
