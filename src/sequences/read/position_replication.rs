//! Replication of sequence positions between servers: by replication sets of pglogical and Spock
//! (trap S14), and from PostgreSQL 19 on by its own publications and subscriptions (trap S51). With
//! interleaved sequences, one node would get the position of another.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;

use keyspace::sequences::Carrier;
use keyspace::sql::quoted;
use keyspace::{Error, SqlState};
use pgrx::prelude::*;
use pgrx::spi::SpiResult;

use crate::encoding::from_server_bytes;
use crate::error::report;
use crate::server::by_version::HAS_SEQUENCE_PUBLICATIONS;
use crate::server::other_extensions;
use crate::server::settings::with_own_settings;

/// Extensions that replicate sequences, each with the table in which it lists them.
const EXTENSIONS: [(&CStr, &CStr); 2] =
    [(c"pglogical", c"replication_set_seq"), (c"spock", c"replication_set_seq")];

/// The sequences whose positions are replicated, by OID. Call it with the settings for our own
/// queries.
pub(crate) fn carriers() -> SpiResult<HashMap<u32, Carrier>> {
    let mut carriers = HashMap::new();
    for (name, table) in EXTENSIONS {
        if let Some(table) = other_extensions::member_table(name, table)? {
            let carrier = Carrier::ReplicationSet { extension: name.to_str().unwrap_or_default() };
            let sequences = other_extensions::oids_in(table, c"set_seqoid").into_iter();
            carriers.extend(sequences.map(|oid| (oid.to_u32(), carrier.clone())));
        }
    }
    // SAFETY: counts rows of a catalog.
    let may_subscribe =
        HAS_SEQUENCE_PUBLICATIONS && unsafe { pg_sys::CountDBSubscriptions(pg_sys::MyDatabaseId) } > 0;
    if may_subscribe {
        carriers.extend(subscribed()?);
    }
    Ok(carriers)
}

/// The sequences in subscriptions of this database. If several contain one, the first by name
/// counts.
fn subscribed() -> SpiResult<HashMap<u32, Carrier>> {
    let query = "SELECT r.srrelid, convert_to(s.subname::text, 'SQL_ASCII'), convert_to(p.name, 'SQL_ASCII') \
                 FROM pg_subscription_rel r \
                 JOIN pg_class c ON c.oid = r.srrelid AND c.relkind = 'S' \
                 JOIN pg_subscription s ON s.oid = r.srsubid \
                 CROSS JOIN unnest(s.subpublications) AS p (name) \
                 ORDER BY s.subname, p.name";
    let mut carriers: HashMap<u32, Carrier> = HashMap::new();
    Spi::connect(|client| {
        for row in client.select(query, None, &[])? {
            let oid = row.get::<pg_sys::Oid>(1)?.unwrap_or(pg_sys::InvalidOid);
            let subscription = from_server_bytes(row.get::<Vec<u8>>(2)?.unwrap_or_default());
            let publication = from_server_bytes(row.get::<Vec<u8>>(3)?.unwrap_or_default());
            let carrier = carriers.entry(oid.to_u32()).or_insert_with(|| Carrier::Subscription {
                name: subscription.clone(),
                publications: Vec::new(),
            });
            if let Carrier::Subscription { name, publications } = carrier
                && *name == subscription
            {
                publications.push(publication);
            }
        }
        Ok(carriers)
    })
}

/// The subscriptions among the carriers, each with the number of its sequences.
fn subscriptions<'a>(carriers: impl Iterator<Item = &'a Carrier>) -> BTreeMap<&'a str, (&'a Carrier, usize)> {
    let mut found = BTreeMap::new();
    for carrier in carriers {
        if let Carrier::Subscription { name, .. } = carrier {
            found.entry(name.as_str()).or_insert((carrier, 0)).1 += 1;
        }
    }
    found
}

/// The names of [`subscriptions`].
pub(crate) fn subscription_names<'a>(carriers: impl Iterator<Item = &'a Carrier>) -> Vec<String> {
    subscriptions(carriers).into_keys().map(str::to_owned).collect()
}

/// A publication of ALL SEQUENCES.
pub(crate) struct Publication {
    pub(crate) name: String,
    /// Whether it publishes tables, too.
    has_tables: bool,
}

impl Publication {
    pub(crate) fn detail(&self) -> String {
        format!("Publication \"{}\" publishes ALL SEQUENCES.", self.name)
    }

    pub(crate) fn hint(&self) -> String {
        let name = quoted(&self.name);
        if self.has_tables {
            format!(
                "Run ALTER PUBLICATION {name} SET ALL TABLES, with its EXCEPT list if it has one, then ALTER SUBSCRIPTION ... REFRESH PUBLICATION on the servers that subscribe to it."
            )
        } else {
            format!(
                "On the servers that subscribe to it, run ALTER SUBSCRIPTION ... DROP PUBLICATION {name}, or DROP SUBSCRIPTION if it is the only publication. Then run DROP PUBLICATION {name}."
            )
        }
    }
}

/// The publications of ALL SEQUENCES, ordered by name.
pub(crate) fn publications() -> SpiResult<Vec<Publication>> {
    if !HAS_SEQUENCE_PUBLICATIONS {
        return Ok(Vec::new());
    }
    // As JSON, because earlier versions do not have the column.
    let query = "SELECT convert_to(p.pubname::text, 'SQL_ASCII'), p.puballtables FROM pg_publication p \
                 WHERE (to_jsonb(p) ->> 'puballsequences')::boolean ORDER BY p.pubname";
    with_own_settings(|| {
        Spi::connect(|client| {
            let rows = client.select(query, None, &[])?.map(|row| {
                Ok(Publication {
                    name: from_server_bytes(row.get::<Vec<u8>>(1)?.unwrap_or_default()),
                    has_tables: row.get(2)?.unwrap_or(false),
                })
            });
            rows.collect()
        })
    })
}

/// Warns during a set-up about anything that would replicate this node's positions to another node,
/// or another's to this one. Nothing is refused: after a set-up, START differs between nodes, so
/// PostgreSQL refuses to overwrite the position. START can be the same for a sequence that was
/// created on both nodes since, and from which `partitioned_nextval` draws.
pub(crate) fn warn<'a>(carriers: impl Iterator<Item = &'a Carrier>) -> SpiResult<()> {
    let warn = |message: String, detail: String, hint: String| {
        let error = Error::new(SqlState::ObjectNotInPrerequisiteState, message).detail(detail).hint(hint);
        report(error).report(PgLogLevel::WARNING);
    };
    for (name, (carrier, sequences)) in subscriptions(carriers) {
        let sequences =
            if sequences == 1 { "1 sequence".to_owned() } else { format!("{sequences} sequences") };
        let message = format!("subscription \"{name}\" replicates the positions of {sequences} to this node");
        warn(message, carrier.detail(), carrier.hint());
    }
    for publication in publications()? {
        let message =
            format!("publication \"{}\" replicates the positions of all sequences", publication.name);
        let detail = "A node that subscribes to it would overwrite its own positions.".to_owned();
        warn(message, detail, publication.hint());
    }
    Ok(())
}
