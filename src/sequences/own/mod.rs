//! What this database is: its node, the settings that stand in for it, our tables.

pub(crate) mod identity;
pub(crate) mod settings;
pub(crate) mod tables;
