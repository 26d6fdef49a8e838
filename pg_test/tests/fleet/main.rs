//! The client program on real servers: docs/guides/fleet.md.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod at_once;
mod bad_input;
mod connections;
mod copies;
mod interrupted;
mod procedures;
mod program;
mod set_up;
