//! Interleaved sequences, measured by code: several sessions, and several databases in turn.

mod contention;
mod ddl;
mod stalls;

use anyhow::Result;
use pg_test::Server;

use crate::suite::Measured;

/// The tables in which a set-up leaves dead rows.
const CATALOGS: [&str; 5] = [
    "pg_class",
    "pg_sequence",
    "pg_depend",
    "keyspace_internal.interleaved_node",
    "keyspace_internal.interleaved_sequence",
];

/// Measures these chapters.
pub fn measure(server: &Server, measured: &mut Measured<'_>) -> Result<()> {
    measured.chapter("contention", |plan| contention::measure(server, plan))?;
    measured.chapter("stalls", |plan| stalls::measure(server, plan))?;
    measured.chapter("ddl", |plan| ddl::measure(server, plan))
}
