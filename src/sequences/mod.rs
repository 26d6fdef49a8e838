//! Interleaved sequences: the functions that SQL calls, each in its own file.
//!
//! They use, from the bottom up, [`own`] (the identity of this database), [`read`] (the state of
//! the server) and [`change`] (altering sequences, and recording that).

mod acknowledge;
mod batches;
pub(crate) mod change;
mod check;
mod confirm;
mod guard;
mod lock_node;
mod new_sequences;
mod nextval;
mod node_state;
pub(crate) mod own;
mod peers;
mod read;
mod request;
mod reset;
mod setup;
mod siblings;
mod split;

pub(crate) use own::identity::known as known_class;
pub(crate) use own::settings::register as register_settings;

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
    "../../sql/sequences/interleaved_trusted.sql",
    name = "interleaved_trusted",
    requires = ["interleaved_feed"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/interleaved_setup.sql",
    name = "interleaved_setup",
    requires = ["interleaved_trusted"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/interleaved_peer.sql",
    name = "interleaved_peer",
    requires = ["interleaved_setup"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/partitioned_nextval.sql",
    name = "partitioned_nextval",
    requires = ["interleaved_peer"]
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
    "../../sql/sequences/acknowledge_interleaved_finding.sql",
    name = "acknowledge_interleaved_finding",
    requires = ["check_interleaved_sequences"]
);
pgrx::extension_sql_file!(
    "../../sql/sequences/interleaved_node_state.sql",
    name = "interleaved_node_state",
    requires = ["acknowledge_interleaved_finding"]
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
pgrx::extension_sql_file!(
    "../../sql/sequences/lock_node.sql",
    name = "lock_node",
    requires = ["interleave_new_sequences"]
);
