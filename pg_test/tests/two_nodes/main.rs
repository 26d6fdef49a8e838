//! Two servers that both write, with real replication between them: pglogical before PostgreSQL 16, native from
//! there on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod classes;
mod collisions;
mod crash;
mod guard;
mod pair;
mod sequence_sync;
mod ulid;
