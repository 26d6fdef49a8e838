//! Runs the steps of docs/guides/runbook.md on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod copies;
mod fail_over;
mod nodes;
mod over_time;
mod three_nodes;
