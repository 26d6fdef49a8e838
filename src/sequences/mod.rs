//! Interleaved sequences: the functions that SQL calls, and what they read of the server.

mod batches;
mod catalog;
mod confirm;
mod created;
mod ddl_replication;
mod defaults;
mod extreme;
mod feeds;
mod guard;
mod identity;
mod in_place;
mod locks;
mod new_sequences;
mod nextval;
mod node_state;
mod peers;
mod records;
mod request;
mod reset;
mod selection;
mod settings;
mod setup;
mod split;
mod status;
mod steps;
mod stored;
mod tables;
mod unchecked_record;
mod values;

pub(crate) use settings::register as register_settings;

use crate::server::{failure, subtransaction};

pgrx::extension_sql_file!("../../sql/sequences/interleaved_node.sql", name = "interleaved_node");
pgrx::extension_sql_file!(
    "../../sql/sequences/interleaved_sequence.sql",
    name = "interleaved_sequence",
    requires = ["interleaved_node"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/interleaved_feed.sql",
    name = "interleaved_feed",
    requires = ["interleaved_sequence"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/interleaved_setup.sql",
    name = "interleaved_setup",
    requires = ["interleaved_feed"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/partitioned_nextval.sql",
    name = "partitioned_nextval",
    requires = ["interleaved_setup"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/setup_interleaved_sequences.sql",
    name = "setup_interleaved_sequences",
    requires = ["partitioned_nextval"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/setup_interleaved_sequences_in_batches.sql",
    name = "setup_interleaved_sequences_in_batches",
    requires = ["setup_interleaved_sequences"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/reset_interleaved_sequences.sql",
    name = "reset_interleaved_sequences",
    requires = ["setup_interleaved_sequences_in_batches"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/interleaved_sequences.sql",
    name = "interleaved_sequences",
    requires = ["reset_interleaved_sequences"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/check_interleaved_sequences.sql",
    name = "check_interleaved_sequences",
    requires = ["interleaved_sequences"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/interleaved_node_state.sql",
    name = "interleaved_node_state",
    requires = ["check_interleaved_sequences"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/confirm_interleaved_node.sql",
    name = "confirm_interleaved_node",
    requires = ["interleaved_node_state"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/split_interleaved_sequences.sql",
    name = "split_interleaved_sequences",
    requires = ["confirm_interleaved_node"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/guard_interleaved_sequences.sql",
    name = "guard_interleaved_sequences",
    requires = ["split_interleaved_sequences"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/interleave_new_sequences.sql",
    name = "interleave_new_sequences",
    requires = ["guard_interleaved_sequences"]
);
