//! Reads sequences, the columns that they feed, and the values in these columns. Changes nothing.

pub(crate) mod catalog;
pub(crate) mod created;
pub(crate) mod defaults;
pub(crate) mod feeds;
pub(crate) mod form;
pub(crate) mod furthest;
pub(crate) mod insert_conflicts;
pub(crate) mod limits;
pub(crate) mod mentions;
pub(crate) mod position_replication;
pub(crate) mod prepared;
pub(crate) mod selection;
pub(crate) mod sequence_names;
pub(crate) mod texts;
pub(crate) mod trusted;
pub(crate) mod values;
