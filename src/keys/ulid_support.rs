//! Functions for the aggregates and casts of the type. Comparison, hashing and sorting use
//! PostgreSQL's own functions for `uuid`; see `sql/keys/ulid_comparison.sql`.

use keyspace::{Error, SqlState};
use pgrx::prelude::*;

use super::call::as_in_c;
use super::ulid_type::Ulid;
use crate::error::{raise, report};

as_in_c! {
    /// `ulid_smaller(ulid, ulid)`
    fn keyspace_ulid_smaller(call) {
        call.datum(usize::from(call.key(1) < call.key(0)))
    }

    /// `ulid_larger(ulid, ulid)`
    fn keyspace_ulid_larger(call) {
        call.datum(usize::from(call.key(1) > call.key(0)))
    }
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
