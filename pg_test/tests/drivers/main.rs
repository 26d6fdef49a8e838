//! The programs and the ready-made lines of docs/guides/drivers.md, each against a server.
//!
//! `cargo xtask test --only drivers` installs what is missing: packages of Python and JavaScript
//! below `target/drivers`, those of Debian on the machine. A test is skipped where its driver is not
//! to be had.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod coming_from;
mod database;
mod debian;
mod derived;
mod install;
mod monitoring;
mod node;
mod program;
mod python;
mod rust;
mod sql;
mod traps;

#[path = "../../../clients/rust/src/postgres.rs"]
mod postgres_ulid;
#[path = "../../../clients/rust/src/ulid.rs"]
mod ulid;

use ulid::Ulid;
