//! The pure core of `pg_keyspace`: what a key looks like, how one is made, and which values belong to
//! which node. Nothing here knows PostgreSQL; `cargo test -p keyspace` needs no server.

pub mod error;
pub mod keys;
pub mod migration;
pub mod sequences;
pub mod sql;
pub mod versions;

pub use error::{Error, SqlState};
