//! What the type's aggregates and casts call. Comparison, hashing and sorting are PostgreSQL's own functions
//! for `uuid`; see `sql/keys/ulid_functions.sql`.

use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::ulid_type::Ulid;
use crate::error::raise;
use crate::error::report;

#[pg_extern(immutable, parallel_safe, strict)]
fn ulid_smaller(a: Ulid, b: Ulid) -> Ulid {
    a.min(b)
}

#[pg_extern(immutable, parallel_safe, strict)]
fn ulid_larger(a: Ulid, b: Ulid) -> Ulid {
    a.max(b)
}

#[pg_extern(immutable, parallel_safe, strict)]
fn ulid_from_bytea(bytes: &[u8]) -> Ulid {
    match <[u8; 16]>::try_from(bytes) {
        Ok(bytes) => bytes.into(),
        Err(_) => raise(report(
            Error::new(SqlState::InvalidBinaryRepresentation, "invalid input length for type ulid")
                .detail(format!("Expected 16 bytes, got {}.", bytes.len())),
        )),
    }
}
