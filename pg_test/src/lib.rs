//! Throw-away PostgreSQL servers, and the tests of pg_keyspace that need them.
