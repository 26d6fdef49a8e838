//! The pure core of `pg_keyspace`: the form of keys, how they are generated, and the values of each
//! node. Nothing here knows PostgreSQL; `cargo test -p keyspace` needs no server.

pub mod error;
pub mod keys;
pub mod migration;
pub mod sequences;
pub mod sql;
pub mod versions;

pub use error::{Error, SqlState};
