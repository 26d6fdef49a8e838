//! The type `ulid` of pg_keyspace for drivers of Rust. Copy `ulid.rs` and the file for your driver.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlx")]
mod sqlx;
mod ulid;

#[cfg(feature = "postgres")]
pub use self::postgres::FIND_SCHEMA;
#[cfg(feature = "sqlx")]
pub use self::sqlx::check;
pub use ulid::{InvalidUlid, Ulid};
