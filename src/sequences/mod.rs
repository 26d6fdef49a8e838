//! Interleaved sequences: the functions that SQL calls, and what they read of the server.

mod catalog;
mod discarded;
mod identity;
mod nextval;
mod settings;
mod setup;
mod stored;

pub(crate) use settings::register as register_settings;

pgrx::extension_sql_file!("../../sql/sequences/interleaved_node.sql", name = "interleaved_node");
pgrx::extension_sql_file!(
    "../../sql/sequences/partitioned_nextval.sql",
    name = "partitioned_nextval",
    requires = ["interleaved_node"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/setup_interleaved_sequences.sql",
    name = "setup_interleaved_sequences",
    requires = ["interleaved_node"]
);
