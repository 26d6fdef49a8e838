//! What the states of other nodes have shown of their sequences: the table `interleaved_peer`.

use std::collections::HashMap;

use keyspace::sequences::{Class, Pace, Peer};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::sequences::own::tables;
use crate::server::extension::Extension;
use crate::server::role::owns_database;
use crate::server::tables::own_key;

/// Another node: its server, its database and its timeline.
pub(crate) type Identity = (i64, u32, i32);

/// Stands for the node as a whole in place of a sequence; pgrx passes it as NULL.
pub(crate) const NODE: pg_sys::Oid = pg_sys::InvalidOid;

/// What is remembered, by the node and by the OID of the sequence here.
pub(crate) type Seen = HashMap<(Identity, u32), Pace>;

/// The identity of a node that gave its state.
pub(crate) fn identity(peer: &Peer) -> Identity {
    (peer.system_identifier, peer.database_oid, peer.timeline)
}

/// What a state shows of the node as a whole, if nothing later is stored.
pub(crate) fn of_node(peer: &Peer, stored: Option<&Pace>, seen_at: i64) -> Option<Pace> {
    let taken_at = peer.taken_at()?;
    let is_later = stored.is_none_or(|stored| stored.taken_at < taken_at);
    is_later.then_some(Pace { class: peer.class(), taken_at, seen_at, position: 0, rate: None })
}

/// The current time, in microseconds since 1970.
pub(crate) fn now() -> i64 {
    // SAFETY: reads the clock.
    let since_2000 = unsafe { pg_sys::GetCurrentTimestamp() };
    since_2000.saturating_add(UNIX_EPOCH)
}

/// From 1970 to 2000, in microseconds.
pub(crate) const UNIX_EPOCH: i64 = 946_684_800_000_000;

/// Whether the caller may store what states show. Whoever may not could make later set-ups leave
/// gaps of any size.
pub(crate) fn may_be_kept() -> bool {
    // SAFETY: plain checks of this backend's state.
    unsafe { !pg_sys::XactReadOnly && !pg_sys::RecoveryInProgress() && owns_database() }
}

/// Reads what is remembered of other nodes, if the caller may know it.
pub(crate) fn read(extension: Extension, peers: &[Peer]) -> SpiResult<Seen> {
    if peers.is_empty() || !owns_database() {
        return Ok(Seen::new());
    }
    let query = "SELECT p.peer_system_identifier, p.peer_database, p.peer_timeline, p.sequence, p.node, p.nodes, \
                        (EXTRACT(epoch FROM p.taken_at) OPERATOR(pg_catalog.*) 1000000)::bigint, \
                        (EXTRACT(epoch FROM p.seen_at) OPERATOR(pg_catalog.*) 1000000)::bigint, p.position, p.rate \
                 FROM {} AS p \
                 WHERE p.system_identifier OPERATOR(pg_catalog.=) $1 AND p.database OPERATOR(pg_catalog.=) $2 \
                   AND p.peer_system_identifier OPERATOR(pg_catalog.=) ANY ($3)";
    let (system_identifier, database) = own_key();
    let servers: Vec<i64> = peers.iter().map(|peer| peer.system_identifier).collect();
    let arguments = [system_identifier.into(), database.into(), servers.into()];
    tables::PEER.select(query, extension, &arguments, |rows| {
        let mut seen = Seen::new();
        for row in rows {
            let oid = |at: usize| -> SpiResult<u32> {
                Ok(row.get::<pg_sys::Oid>(at)?.map_or(0, pg_sys::Oid::to_u32))
            };
            let number = |at: usize| -> SpiResult<i64> { Ok(row.get(at)?.unwrap_or_default()) };
            let peer = (number(1)?, oid(2)?, row.get(3)?.unwrap_or_default());
            let class = row.get(5)?.zip(row.get(6)?);
            let pace = Pace {
                class: class.and_then(|(node, nodes)| Class::new(node, nodes).ok()),
                taken_at: number(7)?,
                seen_at: number(8)?,
                position: number(9)?,
                // An infinite rate would be a gap without end.
                rate: row.get::<f64>(10)?.filter(|rate| rate.is_finite() && *rate >= 0.0),
            };
            seen.insert((peer, oid(4)?), pace);
        }
        Ok(seen)
    })
}

/// Stores what the state of another node shows of some sequences.
pub(crate) fn keep(extension: Extension, peer: Identity, paces: &[(pg_sys::Oid, Pace)]) -> SpiResult<()> {
    if paces.is_empty() {
        return Ok(());
    }
    let statement = "INSERT INTO {} (system_identifier, database, peer_system_identifier, peer_database, peer_timeline, \
                                     sequence, node, nodes, taken_at, seen_at, position, rate) \
         SELECT $1, $2, $3, $4, $5, COALESCE(p.sequence, 0::pg_catalog.oid), p.node, p.nodes, \
                pg_catalog.to_timestamp(p.taken_at::double precision OPERATOR(pg_catalog./) 1000000), \
                pg_catalog.to_timestamp(p.seen_at::double precision OPERATOR(pg_catalog./) 1000000), p.position, p.rate \
         FROM ROWS FROM (pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9), \
              pg_catalog.unnest($10), pg_catalog.unnest($11), pg_catalog.unnest($12)) \
              AS p (sequence, node, nodes, taken_at, seen_at, position, rate) \
         ON CONFLICT (system_identifier, database, peer_system_identifier, peer_database, peer_timeline, sequence) DO UPDATE \
         SET node = EXCLUDED.node, nodes = EXCLUDED.nodes, taken_at = EXCLUDED.taken_at, seen_at = EXCLUDED.seen_at, \
             position = EXCLUDED.position, rate = EXCLUDED.rate";
    let (system_identifier, database) = own_key();
    let of = |value: fn(&Pace) -> i64| -> Vec<i64> { paces.iter().map(|(_, pace)| value(pace)).collect() };
    let part = |value: fn(Class) -> i32| -> Vec<Option<i32>> {
        paces.iter().map(|(_, pace)| pace.class.map(value)).collect()
    };
    let sequences: Vec<pg_sys::Oid> = paces.iter().map(|(sequence, _)| *sequence).collect();
    let rates: Vec<Option<f64>> = paces.iter().map(|(_, pace)| pace.rate).collect();
    let arguments = [
        system_identifier.into(),
        database.into(),
        peer.0.into(),
        pg_sys::Oid::from(peer.1).into(),
        peer.2.into(),
        sequences.into(),
        part(Class::node).into(),
        part(Class::nodes).into(),
        of(|pace| pace.taken_at).into(),
        of(|pace| pace.seen_at).into(),
        of(|pace| pace.position).into(),
        rates.into(),
    ];
    tables::PEER.write(statement, extension, &arguments).map(|_| ())
}
