//! The glue between PostgreSQL and the pure crate `keyspace`.

pgrx::pg_module_magic!();

pub(crate) mod encoding;
pub(crate) mod error;
mod failpoint;
pub(crate) mod fmgr;
mod keys;
mod migration;
mod sequences;
mod server;
mod versions;

pgrx::extension_sql_file!("../sql/internal_schema.sql", name = "internal_schema", bootstrap);
pgrx::extension_sql_file!(
    "../sql/schema_warning.sql",
    name = "schema_warning",
    requires = ["internal_schema"]
);
pgrx::extension_sql_file!(
    "../sql/library_only.sql",
    name = "library_only",
    requires = ["key_migration_tables"]
);

/// Called once by every process that loads the library.
#[pgrx::pg_guard]
pub extern "C-unwind" fn _PG_init() {
    failpoint::register_setting();
    sequences::register_settings();
    keys::request_shared_memory();
}

/// Required of every extension by `cargo pgrx test`.
#[cfg(test)]
pub mod pg_test {
    /// Called before the server starts.
    pub fn setup(_options: Vec<&str>) {}

    /// Lines for the test server's postgresql.conf.
    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        Vec::new()
    }
}
