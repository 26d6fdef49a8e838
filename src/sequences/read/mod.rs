//! What is read of the server: sequences, the columns that they feed, and the values in these. Nothing is changed.

pub(crate) mod catalog;
pub(crate) mod created;
pub(crate) mod defaults;
pub(crate) mod feeds;
pub(crate) mod form;
pub(crate) mod furthest;
pub(crate) mod insert_conflicts;
pub(crate) mod position_replication;
pub(crate) mod selection;
pub(crate) mod values;
