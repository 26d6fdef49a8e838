//! Temporary PostgreSQL servers, and the tests of pg_keyspace that need them.

mod acknowledged;
pub mod chaos;
mod cluster;
mod compare;
mod container;
mod dump;
mod install_tree;
mod link;
pub mod load;
mod pg_config;
mod processes;
mod query;
pub mod replication;
mod run;
mod server;
mod service;
mod skipped;
#[cfg(test)]
mod source_checks;
mod tested;
mod thousands;

pub use acknowledged::{Acknowledged, Insert};
pub use cluster::{Addresses, Cluster, Copy, Layout};
pub use compare::{Contents, contents};
pub use container::{CONTAINERS_VARIABLE, Container};
pub use dump::{lines_without, schema_dump};
pub use install_tree::{
    CLIENT_VARIABLE, Extension, InstallTree, LIBRARY_VARIABLE, PG_CONFIG_VARIABLE, install_extension,
};
pub use link::Link;
pub use pg_config::PgConfig;
pub use query::{first_value, number};
pub use run::Run;
pub use server::Server;
pub use service::Service;
pub use skipped::{SKIPPED_VARIABLE, skip};
pub use tested::{TESTED_VARIABLE, tested};
pub use thousands::thousands;
