//! The life of an extension: installed by the owner of the database, dumped, restored, updated, and
//! examined with PostgreSQL's own tools.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod amcheck;
mod catalog;
mod dump;
mod objects;
mod own_tables;
mod plpgsql;
mod update;
mod upgrade;
mod versions;

use pg_test::{InstallTree, Server};

/// The database of tests that need no other.
pub const DATABASE: &str = "postgres";

/// A server, without the extension.
pub fn start(settings: &[&str]) -> Server {
    Server::start(&InstallTree::from_environment().unwrap(), "life", settings).unwrap()
}
