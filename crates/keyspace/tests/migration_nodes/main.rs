//! Every order of events in small worlds: key migration on nodes that replicate to each other
//! (docs/protocols.md), by the rules that are shipped. Each world ends as it would without a
//! migration, and with one key for each row. With any one rule left out, the search finds a change
//! that is lost, a key that differs, or a change that can never be applied.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod apply;
mod cut_over;
mod event;
mod fill;
#[path = "../protocols/fingerprint.rs"]
mod fingerprint;
mod moves;
mod scenario;
mod search;
mod world;

/// Whether to search larger worlds, which takes minutes.
fn is_large() -> bool {
    std::env::var_os("PG_KEYSPACE_LARGE_WORLDS").is_some()
}
