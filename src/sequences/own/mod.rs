//! The identity of this database: its node, the settings that override it, our tables.

pub(crate) mod identity;
pub(crate) mod settings;
pub(crate) mod tables;
