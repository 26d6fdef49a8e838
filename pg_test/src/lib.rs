//! Throw-away PostgreSQL servers, and the tests of pg_keyspace that need them.

mod acknowledged;
mod compare;
mod install_tree;
mod pg_config;
pub mod replication;
mod run;
mod server;
mod skipped;

pub use acknowledged::{Acknowledged, Insert};
pub use compare::{Contents, contents};
pub use install_tree::{Extension, InstallTree, LIBRARY_VARIABLE, PG_CONFIG_VARIABLE, install_extension};
pub use pg_config::PgConfig;
pub use run::Run;
pub use server::Server;
pub use skipped::{SKIPPED_VARIABLE, skip};
