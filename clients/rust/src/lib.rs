//! The type `ulid` of pg_keyspace for drivers of Rust. Copy `ulid.rs` and the file for your driver.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlx")]
mod sqlx;
mod ulid;

pub use ulid::{InvalidUlid, Ulid};
