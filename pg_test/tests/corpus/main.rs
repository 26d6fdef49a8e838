//! A corpus of schemas, written in the manner of widely used applications and frameworks: what can
//! be planned, and each of them migrated as a whole.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cases;
mod ledger;
mod migrated;
mod plans;
mod schema;
mod shares;
mod writer;

use pg_test::{InstallTree, Server};
use postgres::Client;

pub(crate) fn start(settings: &[&str]) -> Server {
    Server::start(&InstallTree::from_environment().unwrap(), "corpus", settings).unwrap()
}

/// Runs statements, and shows those that fail with the whole error.
pub(crate) fn run(client: &mut Client, statement: &str) {
    client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {:?}", error.as_db_error()));
}

/// The first column of the rows of a query.
pub(crate) fn texts(client: &mut Client, query: &str) -> Vec<String> {
    let rows = client.query(query, &[]);
    let rows = rows.unwrap_or_else(|error| panic!("{query}: {:?}", error.as_db_error()));
    rows.iter().map(|row| row.get(0)).collect()
}
