//! Two servers that both write, with real replication between them: by pglogical before PostgreSQL
//! 16, natively from 16 on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bucardo;
mod classes;
mod collisions;
mod crash;
mod guard;
mod pair;
mod sequence_sync;
mod ulid;
