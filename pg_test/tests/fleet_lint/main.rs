//! `pg_keyspace lint` on real servers: docs/guides/fleet.md.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fleet;
mod one_node;
// Calls the program for the tests of the other commands, too.
#[allow(dead_code)]
#[path = "../fleet/program.rs"]
mod program;
mod untrusted;

use pg_test::{InstallTree, Server};
use serde_json::Value;

/// A server without the extension.
fn bare(name: &str, settings: &[&str]) -> Server {
    Server::start(&InstallTree::from_environment().unwrap(), name, settings).unwrap()
}

/// Settings with which logical replication works.
const GOOD: &[&str] = &[
    "wal_level = logical",
    "track_commit_timestamp = on",
    "max_worker_processes = 16",
    "max_replication_slots = 10",
    "max_wal_senders = 10",
];

/// The findings of a check: severity, object and detail.
fn of_check<'a>(linted: &'a Value, check: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let text = |finding: &'a Value, name: &str| finding[name].as_str().unwrap_or_default();
    linted["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == check)
        .map(|finding| (text(finding, "severity"), text(finding, "object"), text(finding, "detail")))
        .collect()
}
