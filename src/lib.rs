//! The glue between PostgreSQL and the pure crate `keyspace`.

pgrx::pg_module_magic!();

pub(crate) mod error;
