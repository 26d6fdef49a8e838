//! The identity of this database: its node, the settings that override it, what it remembers of
//! other nodes, our tables.

pub(crate) mod copied_records;
pub(crate) mod identity;
pub(crate) mod peers_seen;
pub(crate) mod settings;
pub(crate) mod tables;
