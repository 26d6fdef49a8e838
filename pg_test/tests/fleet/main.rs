//! The client program on real servers: docs/guides/fleet.md.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod connections;
mod interrupted;
mod procedures;
mod program;
mod set_up;
