//! The tables of ours about sequences.

pub(super) use crate::server::tables::{Table, own_key, select, write};

/// Which node a database is.
pub(super) const NODE: Table = Table::new(c"interleaved_node");
/// What a set-up has done with each sequence.
pub(super) const SEQUENCE: Table = Table::new(c"interleaved_sequence");
/// Columns that callers have named in `feeds`.
pub(super) const FEED: Table = Table::new(c"interleaved_feed");
/// The last set-up in batches.
pub(super) const SETUP: Table = Table::new(c"interleaved_setup");
